"""``python -m neon_ros.chaos.witness``: on each core a loop above all others, so that stalls of the machine are known.

A kernel that cannot be preempted, or a host that takes a core away, delays every process alike, whatever its priority.
What the witness of a core could not do at its time, nobody on that core could.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from neon_ros.motor.realtime import lock_memory, prefer_fifo, quiet_interpreter, sleep_until

PRIORITY = 80
PERIOD_NS = 1_000_000
STALL_NS = 300_000
"""A witness that wakes so late was kept from its core."""
_LIMIT = 20.0  # [s] for a witness to say what it saw


class Stalls:
    """Times at which a core stood still.

    :param times: begin and end of each (N, 2) [ns, steady clock].
    """

    def __init__(self, times: NDArray[np.int64] | None = None) -> None:
        self.times = np.zeros((0, 2), np.int64) if times is None else times

    def within(self, begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the spans (N,) [ns] a stall falls into."""
        overlaps = (self.times[None, :, 0] < end[:, None]) & (self.times[None, :, 1] > begin[:, None])
        return np.asarray(overlaps.any(axis=1))


@contextmanager
def watching() -> Iterator[Stalls]:
    """Watch all cores while inside; the stalls are there afterwards."""
    stalls = Stalls()
    words = [sys.executable, "-m", "neon_ros.chaos.witness", "--core"]
    processes = [
        subprocess.Popen([*words, str(core)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for core in sorted(os.sched_getaffinity(0))
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()  # it watches now
        yield stalls
        found = [json.loads(process.communicate("", timeout=_LIMIT)[0]) for process in processes]
        stalls.times = np.array([span for spans in found for span in spans], np.int64).reshape(-1, 2)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> None:
    """Watch one core until standard input ends; print the stalls as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--core", type=int, required=True)
    chosen = options.parse_args()
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    os.sched_setaffinity(0, {chosen.core})
    prefer_fifo(PRIORITY)
    lock_memory()
    quiet_interpreter()
    spans: list[tuple[int, int]] = []
    print("watching", flush=True)
    deadline = time.monotonic_ns()
    while not ended.is_set():
        deadline += PERIOD_NS
        sleep_until(deadline)
        now = time.monotonic_ns()
        if now - deadline > STALL_NS:
            spans.append((deadline, now))
            deadline = now
    print(json.dumps(spans), flush=True)


if __name__ == "__main__":
    main()
