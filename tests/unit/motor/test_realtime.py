"""Deadlines and what is asked of the system; no assertion on speed."""

from __future__ import annotations

import gc
import os
import sys
import time

import pytest

from neon_ros.motor import realtime
from neon_ros.motor.realtime import Ticker, lock_memory, prefer_fifo, quiet_interpreter, sleep_until


def test_sleep_until_does_not_wake_early_nor_wait_for_the_past() -> None:
    deadline = time.monotonic_ns() + 3_000_000
    sleep_until(deadline)
    assert time.monotonic_ns() >= deadline
    sleep_until(0)


def test_ticks_are_on_a_grid_and_missed_ones_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000_000]
    slept: list[int] = []

    def sleep(deadline: int) -> None:
        slept.append(deadline)
        now[0] = max(now[0], deadline)

    monkeypatch.setattr(realtime, "sleep_until", sleep)
    monkeypatch.setattr(realtime.time, "monotonic_ns", lambda: now[0])
    ticker = Ticker(500.0)
    assert [ticker.wait(), ticker.wait()] == [1_002_000_000, 1_004_000_000]
    now[0] += 7_000_000  # a stall of three and a half periods
    late = ticker.wait()
    assert late == 1_011_000_000, "runs at once"
    assert ticker.wait() == 1_012_000_000, "then on the grid again, without a burst"
    assert ticker.ticks == 4 and ticker.late == 1
    assert slept == [1_002_000_000, 1_004_000_000, 1_012_000_000]


def test_percentiles_of_a_known_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0]
    monkeypatch.setattr(realtime, "sleep_until", lambda deadline: now.__setitem__(0, deadline))
    monkeypatch.setattr(realtime.time, "monotonic_ns", lambda: now[0])
    ticker = Ticker(500.0)
    assert ticker.p99() == (0.0, 0.0)
    now[0] = 5
    for _ in range(300):
        ticker.wait()
        now[0] += 400_000
    period, computing = ticker.p99()
    assert period == pytest.approx(0.002) and computing == pytest.approx(0.0004)


def test_refusals_of_the_system_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    granted, how = prefer_fifo(50)
    assert not granted and "SCHED_FIFO refused" in how and "CAP_SYS_NICE" in how
    monkeypatch.setattr(realtime, "_libc", type("libc", (), {"mlockall": staticmethod(lambda flags: -1)}))
    assert "mlockall refused" in lock_memory()


def test_a_quiet_interpreter_does_not_collect() -> None:
    interval = sys.getswitchinterval()
    try:
        quiet_interpreter()
        assert not gc.isenabled() and gc.get_freeze_count() > 0 and sys.getswitchinterval() < 0.001
    finally:
        gc.unfreeze()
        gc.enable()
        sys.setswitchinterval(interval)
