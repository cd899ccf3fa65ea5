"""A new chunk begins with what the robot is already doing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neon_ros.act.committed import committed_steps
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
