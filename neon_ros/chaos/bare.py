"""``python -m neon_ros.chaos.bare``: how late a bare 500 Hz loop wakes on this machine now; the baseline of a run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time

import numpy as np

from neon_ros.motor.realtime import MOTOR_PRIORITY, lock_memory, prefer_fifo, quiet_interpreter, sleep_until

PERIOD_NS = 2_000_000


def lateness(seconds: float) -> np.ndarray:
    """Return how late each wake-up of a loop that does nothing was [s]."""
    late = np.zeros(max(1, int(seconds * 1e9 / PERIOD_NS)))
    deadline = time.monotonic_ns()
    for index in range(len(late)):
        deadline += PERIOD_NS
        sleep_until(deadline)
        now = time.monotonic_ns()
        late[index] = (now - deadline) * 1e-9
        deadline = max(deadline, now - PERIOD_NS)
    return late


def main() -> None:
    """Print one JSON object."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=2.0)
    chosen = options.parse_args()
    fifo, how = prefer_fifo(MOTOR_PRIORITY)
    lock_memory()
    quiet_interpreter()
    late = lateness(chosen.seconds)
    load = os.getloadavg()
    result = {
        "fifo": fifo,
        "how": how,
        "p50": float(np.median(late)),
        "p999": float(np.quantile(late, 0.999)),
        "worst": float(late.max()),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "load": round(load[0], 2),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
