"""The bare loop that ``neon check`` measures this machine with."""

from __future__ import annotations

import json
import subprocess
import sys

from neon_ros.motor.jitter import Jitter


def test_it_says_what_it_measured_and_leaves_nothing_behind() -> None:
    words = [sys.executable, "-m", "neon_ros.motor.jitter", "--seconds", "0.2"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60.0, check=True)
    jitter = Jitter(**json.loads(done.stdout))
    assert jitter.ticks == 100 and 0.0 <= jitter.p50 <= jitter.p999 <= jitter.worst < 60.0
    assert jitter.memory == "memory locked" or jitter.memory.startswith("mlockall refused")
    assert 0 <= jitter.late <= 100 and isinstance(jitter.fifo, bool)
