"""How well this machine keeps a 500 Hz loop that does nothing: ``python -m neon_ros.motor.jitter``.

A process of its own, because locked memory and priority would stay with whoever asked.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from neon_ros.motor.realtime import MOTOR_PRIORITY, Ticker, lock_memory, prefer_fifo, quiet_interpreter


@dataclass(frozen=True)
class Jitter:
    """What a bare loop was worth.

    :param fifo: whether it ran under SCHED_FIFO.
    :param memory: what came of locking its memory.
    :param memlock: soft limit on locked memory [bytes]; -1 for none.
    :param ticks: of the loop.
    :param p50: of |period - wanted period| [s]; ``p999`` and ``worst`` likewise.
    :param late: ticks more than half a period late.
    """

    fifo: bool
    memory: str
    memlock: int
    ticks: int
    p50: float
    p999: float
    worst: float
    late: int


def measure(seconds: float, rate: float = 500.0, fifo: bool = True) -> Jitter:
    """Run a loop for a while and return how punctual it was.

    :param seconds: how long [s].
    :param rate: ticks per second [Hz].
    :param fifo: whether to ask for SCHED_FIFO.
    """
    granted = prefer_fifo(MOTOR_PRIORITY)[0] if fifo else False
    memory = lock_memory()
    quiet_interpreter()
    ticker = Ticker(rate)
    woke = np.array([ticker.wait() for _ in range(max(2, round(seconds * rate)))])
    error = np.abs(np.diff(woke) * 1e-9 - 1.0 / rate)
    p50, p999 = np.quantile(error, (0.5, 0.999))
    memlock = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    return Jitter(granted, memory, memlock, len(woke), float(p50), float(p999), float(error.max()), ticker.late)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures as JSON."""
    options = argparse.ArgumentParser(prog="neon_ros.motor.jitter", description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=3.0, help="how long to run")
    chosen = options.parse_args(arguments)
    print(json.dumps(asdict(measure(chosen.seconds))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
