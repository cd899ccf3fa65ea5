"""What the limiter does, to ten digits: a change of how the robot moves must not come in unseen.

The other tests say what every motion must keep; this one says which motion it is.  Where a change is meant, look
at what it does to the figures and write them anew: ``python tests/unit/guard/test_limiter_golden.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ruckig")

from neon_ros.guard.limiter import Limiter, Reference
from neon_ros.guard.limits import MotionLimits

GOLDEN = Path(__file__).with_name("limiter_golden.npz")
N, TICKS, BLOCK, DT = 24, 960, 40, 0.002


def references(random: np.ndarray, limits: MotionLimits, t: np.ndarray) -> np.ndarray:
    """Return a block of references (ticks, 4, n), of each joint one kind: rest anywhere, waves tame and wild, ramps."""
    kind = np.floor(5.0 * random[0])
    middle, half = (limits.lower + limits.upper) / 2.0, (limits.upper - limits.lower) / 2.0
    place = middle + (2.4 * random[1] - 1.2) * half
    rate = 2.0 * np.pi * (0.3 + 5.0 * random[2])
    fits = np.minimum(np.minimum(limits.velocity / rate, limits.acceleration / rate**2), limits.jerk / rate**3)
    size = np.choose(kind.astype(int), [0.0 * half, 0.6 * np.minimum(fits, half), 1.2 * fits, half, 0.0 * half])
    slope = np.where(kind == 4.0, (4.0 * random[3] - 2.0) * limits.velocity, 0.0)
    phase = rate * t[:, None] + 6.3 * random[3]
    rows = np.stack(
        [
            place + size * np.sin(phase) + slope * (t[:, None] - t[0]),
            size * rate * np.cos(phase) + slope,
            -size * rate**2 * np.sin(phase),
            -size * rate**3 * np.cos(phase),
        ],
        axis=1,
    )
    return np.asarray(rows)


def fly() -> tuple[np.ndarray, np.ndarray]:
    """Return what the limiter made of it: states (samples, 3, n) and reasons (ticks, n)."""
    rng = np.random.default_rng(20)
    u = rng.random((5, N))
    limits = MotionLimits(-0.2 - 2.0 * u[0], 0.2 + 2.0 * u[1], 1 + 9 * u[2], 10 + 90 * u[3], 500 + 5000 * u[4])
    limiter = Limiter(limits, DT)
    states, reasons = [], []
    for tick in range(TICKS):
        k = tick % BLOCK
        if tick % 240 == 0:
            limiter.start(limits.lower + (1.1 * rng.random(N) - 0.05) * (limits.upper - limits.lower))
        if k == 0:
            block = references(rng.random((4, N)), limits, DT * np.arange(tick, tick + BLOCK))
            part = np.ones(29)
            part[:N] = np.where(rng.random(N) < 0.3, 0.5 + 0.5 * rng.random(N), 1.0)
            limiter.derate(part if tick % 160 == 120 else 1.0, np.arange(N))
        if k == 20:
            limiter.part()
        if k == 10:
            limiter.meet()
        if tick % 120 > 108:
            limiter.stop()
        else:
            limiter.step(Reference(block[k], np.abs(block[k, 3])))
        reasons.append(limiter.reasons.copy())
        if tick % 10 == 9:
            states.append(limiter.state.copy())
    return np.array(states), np.array(reasons)


def test_the_limiter_moves_as_it_did() -> None:
    states, reasons = fly()
    golden = np.load(GOLDEN)
    for order, (name, tolerance) in enumerate((("q", 1e-9), ("dq", 1e-7), ("ddq", 1e-5))):
        np.testing.assert_allclose(states[:, order], golden[name], rtol=1e-9, atol=tolerance, err_msg=name)
    assert (reasons != golden["reasons"]).mean() < 1e-4, "where two reasons hold, rounding may choose"
    assert set(np.unique(reasons)) >= {0, 1, 2, 3, 4}


if __name__ == "__main__":
    made, why = fly()
    np.savez_compressed(GOLDEN, q=made[:, 0], dq=made[:, 1], ddq=made[:, 2], reasons=why.astype(np.int8))
