"""References that no policy should send: jumps, noise, lies about their own rates, places out of reach, no numbers."""

from __future__ import annotations

import numpy as np

from oracles.motion import Bounds

STEP, SINE, NOISE, WALK, EDGE, LIAR, HUGE, REST = range(8)
KINDS = 8


class Adversary:
    """References for n joints.  Each joint follows one kind for a while (a *trajectory*), then draws another.

    :param bounds: of the joints; references go up to half a range beyond them.
    """

    def __init__(self, bounds: Bounds, rng: np.random.Generator) -> None:
        self.rng, self.n = rng, len(bounds.lower)
        self.bounds = bounds
        self.middle, self.half = (bounds.lower + bounds.upper) / 2, (bounds.upper - bounds.lower) / 2
        self.trajectories = 0
        self.kind = np.zeros(self.n, dtype=int)
        self.target, self.walk = self.middle.copy(), np.zeros(self.n)
        self.draw()

    def draw(self) -> None:
        """Let every joint begin a new trajectory."""
        rng, n, bounds = self.rng, self.n, self.bounds
        self.trajectories += n
        self.kind = rng.integers(0, KINDS, n)
        self.rate = 2 * np.pi * rng.uniform(0.2, 8.0, n)
        self.phase = rng.uniform(0, 2 * np.pi, n)
        self.size = rng.uniform(0.02, 1.5, n) * self.half
        tame = rng.random(n) < 0.5  # a sine inside every limit, so that it can be caught and followed
        rate = self.rate
        fits = np.minimum(np.minimum(bounds.velocity / rate, bounds.acceleration / rate**2), bounds.jerk / rate**3)
        self.size = np.where(tame, np.minimum(0.4 * fits, self.half), self.size)
        self.target = self.middle + rng.uniform(-1.5, 1.5, n) * self.half
        self.walk = rng.uniform(-1.0, 1.0, n) * self.half
        self.edge = np.where(rng.random(n) < 0.5, bounds.lower, bounds.upper)
        self.huge = rng.choice(np.array([1e9, -1e9, 1e100, -1e100, 1e300, -1e300, 5e-324]), n)

    def at(self, t: float) -> np.ndarray:
        """Return position, velocity, acceleration, jerk at ``t`` (4, n)."""
        rng, n, kind = self.rng, self.n, self.kind
        thrown = self.middle + rng.uniform(-1.5, 1.5, n) * self.half
        self.target = np.where(rng.random(n) < 0.02, thrown, self.target)
        self.walk = self.walk + rng.normal(size=n) * 0.05
        wave, slope = np.sin(self.rate * t + self.phase), np.cos(self.rate * t + self.phase)
        rows = np.zeros((4, n))
        sine = self.middle + self.size * wave
        rows[0] = np.choose(
            kind, [self.target, sine, thrown, self.middle + self.walk, self.edge, sine, self.huge, self.middle]
        )
        first, second = self.size * self.rate, self.size * self.rate**2
        honest = kind == SINE
        rows[1, honest] = (first * slope)[honest]
        rows[2, honest] = (-second * wave)[honest]
        rows[3, honest] = (-second * self.rate * slope)[honest]
        liar = np.flatnonzero(kind == LIAR)
        rows[1:, liar] = rng.normal(size=(3, len(liar))) * np.array([[10.0], [100.0], [9000.0]])
        huge = np.flatnonzero(kind == HUGE)
        rows[1, huge], rows[2, huge], rows[3, huge] = -self.huge[huge], self.huge[huge], self.huge[huge]
        return rows
