"""What a 500 Hz loop needs of the operating system: absolute deadlines, priority, locked memory, no collector.

Each request to the system may be refused (no ``CAP_SYS_NICE``, a small ``RLIMIT_MEMLOCK``); the answer is returned as
text, so that the caller can say under which conditions it runs.  Figures that led to these settings: lateness p99.9 of
191 us with SCHED_FIFO, locked memory and a frozen collector against 5 to 18 ms without, on the same loaded machine.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import numpy as np

MOTOR_PRIORITY = 50
SIDE_PRIORITY = 40
"""Of the motor's side threads: they hold the interpreter lock at times, so no ordinary process may preempt them."""
DDS_PRIORITY = 55
"""Of the DDS threads: LowState must come in while every core is busy, also when the loop itself is due."""
GUARDIAN_PRIORITY = 60

_RTTIME_US = 300_000  # [us] a FIFO thread may run without sleeping; then the kernel ends a loop that has gone wild
_SWITCH_INTERVAL = 1e-4  # [s] after which a side thread must yield the interpreter; Python's default is 5 ms
_WINDOW, _SLIP = 4, 400  # parts of the period: how far a tick may come from its deadline, and move the next one
_QUIET_TICKS = 3  # without an arrival after which a tick no longer waits for one beyond its deadline
_CLOCK_MONOTONIC, _TIMER_ABSTIME = 1, 1
_MCL_CURRENT, _MCL_FUTURE = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def sleep_until(deadline_ns: int) -> None:
    """Sleep until a time of the steady clock, through signals; returns at once when it has passed.

    A tick that a signal made early would repeat the command before it: the joints would stand still for a period.

    :param deadline_ns: of ``time.monotonic_ns()`` [ns].
    """
    until = _Timespec(*divmod(deadline_ns, 1_000_000_000))
    while _libc.clock_nanosleep(_CLOCK_MONOTONIC, _TIMER_ABSTIME, ctypes.byref(until), None) == errno.EINTR:
        pass  # the handler of the signal has run by now


class Arrivals(Protocol):
    """What a ticker can keep in step with, see :class:`neon_ros.motor.link.PayloadReader`."""

    def hold(self) -> bool:
        """Put aside what has arrived, so that only what is newer counts; return whether anything had."""

    def wait_until(self, deadline_ns: int) -> bool:
        """Wait for something to arrive, at most until ``deadline_ns`` [ns, steady clock]; return whether it has."""


class Ticker:
    """Wakes its caller at absolute deadlines, and keeps the figures of how well.

    With something to ``follow`` each tick comes as it arrives, so that a command answers the newest measurement and not
    one that has waited for up to a period.  It may only come a quarter of a period from its deadline, and the deadlines
    move after it by a fraction of that: neither a wild sender nor a silent one changes how many ticks there are.

    :param rate: ticks per second [Hz].
    """

    def __init__(self, rate: float) -> None:
        self.period_ns = round(1e9 / rate)
        self.follow: Arrivals | None = None
        self.before: Callable[[], None] | None = None
        """Called ahead of each tick that is not late: what can be done before the measurement is there."""
        self.ticks = 0
        self.late = 0
        self._deadline = 0
        self._last = 0
        self._filled = 0
        self._quiet = _QUIET_TICKS
        self._periods = np.zeros(max(int(rate), 2))
        self._computing = np.zeros(max(int(rate), 2))

    def wait(self) -> int:
        """Sleep until the next tick and return its actual time [ns, steady clock].

        A tick that was missed altogether is skipped, never made up for in a burst.
        """
        now = time.monotonic_ns()
        index = self.ticks % len(self._periods)
        if self._last:
            self._computing[index] = (now - self._last) * 1e-9
        if not self._deadline:
            self._deadline = now
        self._deadline = planned = self._deadline + self.period_ns
        if now > planned:
            self._deadline += (now - planned) // self.period_ns * self.period_ns
        elif self.follow is None:
            self._prepare()
            sleep_until(planned)
        else:
            self._deadline += self._meet(planned, self.follow)
        woke = time.monotonic_ns()
        if self._last:
            self._periods[index] = (woke - self._last) * 1e-9
            self._filled = min(self._filled + 1, len(self._periods))
        self.late += woke - planned > self.period_ns // 2
        self.ticks += 1
        self._last = woke
        return woke

    def _meet(self, planned: int, follow: Arrivals) -> int:
        """Wait around ``planned`` for an arrival; return by how much the deadlines move [ns]."""
        window, slip = self.period_ns // _WINDOW, self.period_ns // _SLIP
        sleep_until(planned - window)
        held = follow.hold()
        self._prepare()  # as late as may be: what has run just now is still in the processor's caches at the tick
        self._quiet = 0 if held else self._quiet + 1
        if follow.wait_until(planned + window if self._quiet < _QUIET_TICKS else planned):
            self._quiet = 0
            return min(max(time.monotonic_ns() - planned, -slip), slip)
        return slip if held else 0  # it came out of reach: look for it a little later every time

    def _prepare(self) -> None:
        if self.before is not None:
            self.before()

    def p99(self) -> tuple[float, float]:
        """Return the 99th percentiles of the last second's periods and computing times [s]."""
        if not self._filled:
            return 0.0, 0.0
        place = int(0.99 * (self._filled - 1))
        periods = np.partition(self._periods[: self._filled], place)[place]
        computing = np.partition(self._computing[: self._filled], place)[place]
        return float(periods), float(computing)


def prefer_fifo(priority: int) -> tuple[bool, str]:
    """Run the calling thread under SCHED_FIFO, with a limit on time without sleep; return whether it does, and how."""
    try:
        resource.setrlimit(resource.RLIMIT_RTTIME, (_RTTIME_US, 2 * _RTTIME_US))
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except (OSError, ValueError) as error:
        return False, f"SCHED_FIFO refused ({error}); it needs CAP_SYS_NICE or an rtprio limit of {priority}"
    return True, f"SCHED_FIFO priority {priority}"


def receive_under_fifo() -> tuple[bool, str]:
    """Prepare the calling thread to open DDS, whose threads inherit its priority; then it chooses its own.

    Without it LowState arrived more than 20 ms late on a machine with ten ordinary processes per two cores.
    """
    granted, how = prefer_fifo(DDS_PRIORITY)
    return granted, f"DDS: {how}"


@contextmanager
def threads_under_fifo(priority: int, wanted: bool = True) -> Iterator[None]:
    """Let the threads that are begun inside run under SCHED_FIFO, where that is allowed; the caller itself does not.

    DDS reads from threads of its own: without this a busy machine lets LowState lie in the socket for 20 ms.
    """
    raised = False
    if wanted:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
            raised = True
    try:
        yield
    finally:
        if raised:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def birth_of(pid: int) -> str:
    """Return when a process was started, in the kernel's ticks; with its number it names one process for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def demote(pid: int, birth: str) -> str:
    """Let a process that hangs yield to all others: an endless loop under SCHED_FIFO costs everybody 50 ms a second.

    The kernel throttles what runs in real time on such a core, the innocent too (``sched_rt_runtime_us``).

    :param pid: of the process.
    :param birth: when it was started, see :func:`birth_of`; another process of that number is left alone.
    :returns: what came of it.
    """
    if not birth or birth_of(pid) != birth:
        return f"process {pid} is gone"
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))
    except OSError as error:
        return f"process {pid} keeps its priority ({error})"
    return f"process {pid} runs without priority now"


def lock_memory() -> str:
    """Keep all pages of this process in memory, now and later; return what came of it."""
    if _libc.mlockall(_MCL_CURRENT | _MCL_FUTURE):
        return f"mlockall refused ({os.strerror(ctypes.get_errno())}); it needs CAP_IPC_LOCK or a larger memlock limit"
    return "memory locked"


def warm_linear_algebra() -> None:
    """Let OpenBLAS take its working memory now: under locked memory its first call takes 90 ms, 45 periods."""
    np.linalg.solve(np.eye(64), np.eye(64)) @ np.ones((64, 29))


def quiet_interpreter() -> None:
    """Stop the garbage collector, whose full collection takes up to 120 ms, and make threads yield quickly.

    The loop makes no reference cycles; what is freed by reference counts still is.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(_SWITCH_INTERVAL)
