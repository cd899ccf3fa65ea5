"""Deadlines and what is asked of the system; no assertion on speed."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
import time

import pytest

from neon_ros.motor import realtime
from neon_ros.motor.realtime import Ticker, birth_of, demote, lock_memory, prefer_fifo, quiet_interpreter, sleep_until


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


class Sender:
    """Something to follow, over a virtual clock: arrivals at known times [ns], received when looked at."""

    def __init__(self, now: list[int], arrivals: list[int]) -> None:
        self.now, self.arrivals, self.waited = now, arrivals, [0]

    def hold(self) -> bool:
        before = len(self.arrivals)
        self.arrivals[:] = [time for time in self.arrivals if time > self.now[0]]
        return len(self.arrivals) < before

    def wait_until(self, deadline_ns: int) -> bool:
        self.waited.append(deadline_ns)
        came = bool(self.arrivals) and self.arrivals[0] <= deadline_ns
        self.now[0] = max(self.now[0], self.arrivals[0] if came else deadline_ns)
        return came


def _follow(monkeypatch: pytest.MonkeyPatch, arrivals: list[int], ticks: int) -> tuple[list[int], Sender]:
    now = [1_000_000_000]
    monkeypatch.setattr(realtime, "sleep_until", lambda deadline: now.__setitem__(0, max(now[0], deadline)))
    monkeypatch.setattr(realtime.time, "monotonic_ns", lambda: now[0])
    ticker, sender = Ticker(500.0), Sender(now, arrivals)
    ticker.follow = sender
    return [ticker.wait() for _ in range(ticks)], sender


@pytest.mark.parametrize("phase", range(0, 2_000_000, 90_000))
def test_a_ticker_gets_in_step_with_what_it_follows_from_any_phase(monkeypatch: pytest.MonkeyPatch, phase: int) -> None:
    arrivals = [1_000_000_000 + phase + k * 2_000_000 for k in range(1, 900)]
    woke, _ = _follow(monkeypatch, list(arrivals), 800)
    assert set(woke[500:]) <= set(arrivals), "every tick is the moment of an arrival"
    assert max(b - a for a, b in itertools.pairwise(woke)) <= 3_000_000


@pytest.mark.parametrize("period", [700_000, 1_000_000, 2_000_200, 2_500_000, 5_000_000, 33_000_000])
def test_no_sender_changes_how_many_ticks_there_are(monkeypatch: pytest.MonkeyPatch, period: int) -> None:
    woke, _ = _follow(monkeypatch, [1_000_000_000 + k * period for k in range(1, 9000)], 2000)
    assert (woke[-1] - woke[0]) / 1999 == pytest.approx(2_000_000, rel=0.003)
    steps = [b - a for a, b in itertools.pairwise(woke)]
    assert min(steps) >= 950_000 and max(steps) <= 3_050_000


def test_a_silent_sender_leaves_the_ticks_on_their_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    woke, sender = _follow(monkeypatch, [1_001_990_000, 1_003_990_000], 20)
    assert woke[:2] == [1_001_990_000, 1_003_990_000]
    late = woke[6]
    assert woke[6:] == [late + 2_000_000 * k for k in range(14)]
    assert sender.waited[-1] == woke[-1], "no longer than its deadline"


def test_a_process_that_hangs_loses_its_priority_and_no_other_of_its_number_does() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        try:
            birth = birth_of(child.pid)
            try:
                os.sched_setscheduler(child.pid, os.SCHED_FIFO, os.sched_param(5))
            except PermissionError:
                pytest.skip("SCHED_FIFO is not allowed here")
            assert demote(child.pid, str(int(birth) + 1)) == f"process {child.pid} is gone"
            assert os.sched_getscheduler(child.pid) == os.SCHED_FIFO
            assert demote(child.pid, birth) == f"process {child.pid} runs without priority now"
            assert os.sched_getscheduler(child.pid) == os.SCHED_OTHER
        finally:
            child.kill()
    assert birth_of(child.pid) == "" and demote(child.pid, birth) == f"process {child.pid} is gone"


@pytest.mark.parametrize("follows", [True, False])
def test_what_comes_before_a_tick_is_done_once_a_period_and_not_when_it_is_late(
    monkeypatch: pytest.MonkeyPatch, follows: bool
) -> None:
    now, done = [1_000_000_000], []
    monkeypatch.setattr(realtime, "sleep_until", lambda deadline: now.__setitem__(0, max(now[0], deadline)))
    monkeypatch.setattr(realtime.time, "monotonic_ns", lambda: now[0])
    ticker = Ticker(500.0)
    ticker.follow = Sender(now, [1_000_000_000 + k * 2_000_000 for k in range(1, 20)]) if follows else None
    ticker.before = lambda: done.append(now[0])
    woke = [ticker.wait() for _ in range(5)]
    assert len(done) == 5 and all(before < tick for before, tick in zip(done, woke, strict=True))
    now[0] += 7_000_000
    ticker.wait()
    assert len(done) == 5
