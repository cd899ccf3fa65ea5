"""Ways of joining late chunks: each hands the guard what its definition says."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.act.policy import HeadOutput
from neon_ros.errors import ConfigError
from neon_ros.learn.drive import STEP_DT
from neon_ros.learn.joins import EXECUTED, JOINS, NEWER, TAPER, join_of

LATENCY = 0.2


def line(slope: float, start: float, captured: float) -> HeadOutput:
    """Return a chunk whose joints all move at ``slope`` through ``start`` at time 0."""
    q = np.tile((start + slope * (captured + STEP_DT * np.arange(16)))[:, None], (1, 17)).astype(np.float32)
    return HeadOutput(q, np.zeros((16, 3), dtype=np.float32))


@pytest.mark.parametrize("name", ["aligned", "naive", "committed"])
def test_aligned_chunks_start_at_their_capture(name: str) -> None:
    output = line(0.5, 0.1, 1.0)
    handed = join_of(name).arrived(output, 1.0, 1.2)
    assert handed.start == 1.0
    assert np.array_equal(handed.q, output.q)


def test_only_ours_fade() -> None:
    assert join_of("naive").timeline.fade == join_of("averaged").timeline.fade == 0.02
    assert join_of("aligned").timeline.fade > 0.05


def test_what_is_committed_is_the_chunk_before_until_the_answer() -> None:
    join = join_of("committed")
    assert join.committed(0.0, np.zeros(17)) is None
    join.arrived(line(0.5, 0.1, 0.0), 0.0, LATENCY)
    told = join.committed(0.1, np.full(17, 0.15))
    assert told is not None and told.shape == (round(LATENCY / STEP_DT), 17)
    assert told[:, 3] == pytest.approx(0.1 + 0.5 * (0.1 + STEP_DT * np.arange(len(told))), abs=1e-6)


def test_synchronous_execution_stands_while_it_waits() -> None:
    join = join_of("synchronous")
    assert join.looks(0.0, False) and not join.looks(0.1, True)
    handed = join.arrived(line(0.5, 0.1, 0.0), 0.0, 0.2)
    assert handed.start == 0.2 and len(handed.q) == EXECUTED + 1
    assert not join.looks(0.3, False)
    assert join.looks(0.2 + EXECUTED * STEP_DT, False)


def test_averaging_weighs_all_chunks_that_reach_a_time() -> None:
    join = join_of("averaged")
    first = join.arrived(line(0.0, 1.0, 0.0), 0.0, 0.2)
    assert first.q == pytest.approx(1.0, abs=1e-6)
    second = join.arrived(line(0.0, 3.0, 0.1), 0.1, 0.3)
    older, newer = 1.0 / TAPER, np.exp(-NEWER)  # the first chunk ends one step later
    assert second.start == 0.3
    assert second.q[0] == pytest.approx((1.0 * older + 3.0 * newer) / (older + newer), abs=1e-6)
    assert second.q[1:] == pytest.approx(3.0, abs=1e-6)


def test_an_average_of_parts_of_one_line_is_that_line() -> None:
    join = join_of("averaged")
    for captured in (0.0, 0.1, 0.2):
        handed = join.arrived(line(0.5, 0.1, captured), captured, captured + LATENCY)
        wanted = 0.1 + 0.5 * (handed.start + STEP_DT * np.arange(len(handed.q)))
        assert handed.q[:, 0] == pytest.approx(wanted, abs=1e-5)


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="join: got jump; allowed: aligned, fresh, committed, synchronous, naive, averaged"
    ):
        join_of("jump")
    assert next(iter(JOINS)) == "aligned"
