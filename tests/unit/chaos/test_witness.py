"""Spans of time in which the machine stood still."""

from __future__ import annotations

import time

import numpy as np

from neon_ros.chaos.witness import Stalls, watching


def test_a_stall_falls_into_the_cycles_it_overlaps_and_no_others() -> None:
    begin = np.array([0, 10, 20, 30, 40], np.int64)
    stalls = Stalls(np.array([[12, 21], [39, 41]], np.int64))
    assert stalls.within(begin, begin + 10).tolist() == [False, True, True, True, True]
    assert not Stalls().within(begin, begin + 10).any()


def test_every_core_is_watched_and_what_was_seen_lies_within_the_time() -> None:
    before = time.monotonic_ns()
    with watching() as stalls:
        time.sleep(0.2)
    after = time.monotonic_ns()
    assert stalls.times.shape[1] == 2
    assert ((stalls.times >= before) & (stalls.times <= after)).all()
    assert (stalls.times[:, 1] > stalls.times[:, 0]).all()
