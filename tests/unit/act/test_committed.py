"""A new chunk begins with what the robot is already doing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neon_ros.act.committed import FAR, Commitment, committed_steps
from neon_ros.errors import ContractError

RAMP = np.outer(np.arange(16), [1.0, -2.0])


@pytest.mark.parametrize(
    ("elapsed", "delay", "first", "count"),
    [
        (0.1, 0.06, 5.0, 3),
        (0.1, 0.05, 5.0, 3),  # a step that has begun is decided
        (0.11, 0.04, 5.5, 2),
        (0.1, 0.0, 5.0, 0),
        (0.28, 0.2, 14.0, 2),  # no further than the old chunk
        (0.3, 0.2, 15.0, 1),
        (0.31, 0.2, 0.0, 0),
        (9.0, 0.2, 0.0, 0),
        (0.0, 9.0, 0.0, 16),
    ],
)
def test_it_is_the_old_chunk_at_the_new_times(elapsed: float, delay: float, first: float, count: int) -> None:
    steps = committed_steps(RAMP, 0.02, elapsed, delay)
    wanted = (first + np.arange(count))[:, None] * [1.0, -2.0]
    assert steps.dtype == np.float32
    np.testing.assert_allclose(steps, wanted.reshape(-1, 2), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dt": 0.0}, r"committed dt: got 0.0; allowed: above 0 \[s\]"),
        ({"elapsed": -0.1}, "committed elapsed: got -0.1; allowed: 0 or more"),
        ({"delay": float("nan")}, "committed delay: got nan"),
        ({"previous": np.full((2, 2), np.nan)}, r"previous chunk\[0, 0\]: got nan"),
        ({"previous": np.zeros(3)}, r"previous chunk shape: got \(3,\)"),
    ],
)
def test_what_is_no_chunk_or_no_time_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        committed_steps(**{"previous": RAMP, "dt": 0.02, "elapsed": 0.1, "delay": 0.06, **change})


SLOW = 0.01 * RAMP  # [rad]


def test_the_next_chunk_is_told_what_will_have_been_executed() -> None:
    commitment = Commitment(0.02, 12, margin=0.01)
    assert commitment.steps(0.0, [0.0, 0.0]) is None
    commitment.sent(SLOW, 1.0, 0.03)
    commitment.sent(SLOW, 1.1, 0.05)
    told = commitment.steps(1.2, SLOW[5])
    assert told is not None
    np.testing.assert_allclose(told, SLOW[5:8], atol=1e-5)  # the slowest of the last answers, and the margin


def test_no_more_is_told_than_the_head_was_trained_on() -> None:
    commitment = Commitment(0.02, 2)
    commitment.sent(SLOW, 1.0, 0.2)
    told = commitment.steps(1.1, SLOW[5])
    assert told is not None and len(told) == 2


@pytest.mark.parametrize(
    ("captured", "where"),
    [
        (1.1, SLOW[5] + [0.0, 1.1 * FAR]),  # the robot is somewhere else: it is not armed, or was pushed
        (0.9, SLOW[0]),  # a clock that jumped back
        (2.0, SLOW[15]),  # the chunk before is over
    ],
)
def test_nothing_counts_as_decided_of_a_chunk_that_is_not_executed(captured: float, where: Any) -> None:
    commitment = Commitment(0.02, 12)
    commitment.sent(SLOW, 1.0, 0.05)
    assert commitment.steps(captured, where) is None
