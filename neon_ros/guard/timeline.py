"""Join chunks into one smooth reference, aligned by time.

Within a chunk the reference is the cubic spline through its knots (C2, not-a-knot ends: exact for cubics), so a chunk
is met at its knots.  A chunk that arrives late simply starts in its middle: steps whose time has passed are skipped.
What the joints are doing when it is joined differs from what it asks; that residual (position, velocity, acceleration)
fades to zero along a quintic, so the whole is C2 across the seam.  The fade lasts ``fade`` and, for a residual that
could not be faded within the limits in that time, as long as its peak rates need.  After the last step
the reference slows to rest and stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, refuse
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.limiter import Reference
from neon_ros.guard.limits import MotionLimits
from neon_ros.guard.stopping import Vector


@dataclass(frozen=True)
class TimelineConfig:
    """How chunks are joined.

    :param fade: shortest time over which a residual fades [s].
    :param longest_fade: longest time that a large residual may take [s].
    :param share: part of the velocity, acceleration and jerk limits that a fade may use.
    :param rest: time from the last step to rest [s].
    """

    fade: float = 0.08
    longest_fade: float = 0.5
    share: float = 0.6
    rest: float = 0.2

    def __post_init__(self) -> None:
        for name, low, high in (
            ("fade", 0.02, 0.2),
            ("longest_fade", 0.02, 1.0),
            ("share", 0.05, 0.9),
            ("rest", 0.05, 1.0),
        ):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                raise ConfigError(refuse(f"timeline.{name}", value, f"{low:g} to {high:g}"))
        if self.longest_fade < self.fade:
            raise ConfigError(refuse("timeline.longest_fade", self.longest_fade, f"at least fade, {self.fade:g} s"))


class Sample(NamedTuple):
    """The reference at one instant.

    :param reference: position and derivatives of the n moved joints.
    :param base_velocity: vx, vy, yaw rate (3,) [m/s, m/s, rad/s].
    :param remaining: time to the end of the last step [s]; negative after it.
    """

    reference: Reference
    base_velocity: Vector
    remaining: float


_CANDIDATES = 14  # durations tried for a fade
_POINTS = 11  # at which the rates of a fade are looked at
_FADE = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0.5], [-10, -6, -1.5], [15, 8, 1.5], [-6, -3, -0.5]])
"""Coefficients (6 powers, 3) of the quintic that leads from (q, v, a) to rest at 0 while time goes from 0 to 1."""


def _differentiation(powers: int) -> NDArray[np.float64]:
    """Return the matrix (4 powers, powers): row 4 r + k picks the factor of ``t**r`` in the k-th derivative."""
    matrix = np.zeros((powers, 4, powers))
    for k in range(4):
        for p in range(k, powers):
            matrix[p - k, k, p] = math.perm(p, k)
    return matrix.reshape(4 * powers, powers)


def _fade_rates() -> NDArray[np.float64]:
    """Return derivatives 1 to 3 of the fade at points between 0 and 1 (3 derivatives, points, 3)."""
    u = np.linspace(0.0, 1.0, _POINTS)[:, None]
    return np.stack([sum(math.perm(p, k) * u ** (p - k) * _FADE[p] for p in range(k, 6)) for k in (1, 2, 3)])


_FADE_DERIVATIVES = _differentiation(6) @ _FADE  # (24, 3)


@lru_cache(maxsize=128)
def _second_derivatives(knots: int) -> NDArray[np.float64]:
    """Return K with ``M = K @ diff(q) / dt**2``: second derivatives of the not-a-knot cubic spline (knots, knots - 1).

    From differences, so that a chunk at rest is exactly at rest.
    """
    if knots == 2:
        return np.zeros((2, 1))
    if knots == 3:  # one parabola
        return np.tile(np.array([-1.0, 1.0]), (3, 1))
    left, right = np.zeros((knots, knots)), np.zeros((knots, knots - 1))
    for i in range(1, knots - 1):
        left[i, i - 1 : i + 2] = (1.0, 4.0, 1.0)
        right[i, i - 1 : i + 1] = (-6.0, 6.0)
    left[0, :3] = left[-1, -3:] = (1.0, -2.0, 1.0)
    return np.asarray(np.linalg.solve(left, right), dtype=np.float64)


@lru_cache(maxsize=128)
def _piece_matrix(dt: float) -> NDArray[np.float64]:
    """Return the matrix (16, 4) from what a piece of the spline is made of to its derivatives, for :func:`_evaluate`.

    A piece is made of its first knot, the way to the next and the second derivatives at both.
    """
    cubic = np.array(
        [
            [1.0, 0.0, 0.0, 0.0],
            [0.0, 1.0 / dt, -dt / 3.0, -dt / 6.0],
            [0.0, 0.0, 0.5, 0.0],
            [0.0, 0.0, -1.0 / (6.0 * dt), 1.0 / (6.0 * dt)],
        ]
    )
    return _differentiation(4) @ cubic


@lru_cache(maxsize=8)
def _tail_matrix(rest: float) -> NDArray[np.float64]:
    """Return the matrix (20, 3) from the last (q, v, a) to the derivatives of the way to rest, for :func:`_evaluate`.

    dq falls from v to 0 along the cubic with slopes a and 0, hence q along its integral.
    """
    quartic = np.array(
        [
            [1.0, 0.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 0.5],
            [0.0, -1.0 / rest**2, -2.0 / (3.0 * rest)],
            [0.0, 0.5 / rest**3, 0.25 / rest**2],
        ]
    )
    return _differentiation(5) @ quartic


def _evaluate(coefficients: NDArray[np.float64], t: float) -> NDArray[np.float64]:
    """Return value and three derivatives (4, n) at ``t``.

    :param coefficients: rows as of :func:`_differentiation` (4 powers, n).
    """
    powers = [1.0]
    for _ in range(len(coefficients) // 4 - 1):
        powers.append(powers[-1] * t)
    return np.array(powers).dot(coefficients.reshape(len(powers), -1)).reshape(4, -1)


class Timeline:
    """The reference of n moved joints over time.

    :param limits: of the moved joints; they set how long a large residual takes to fade.
    :param config: how chunks are joined.
    """

    def __init__(self, limits: MotionLimits, config: TimelineConfig | None = None) -> None:
        self.config = TimelineConfig() if config is None else config
        self._n = len(limits.lower)
        # Of each duration a fade may take: its powers, its rates from a unit of q, v and a, how its coefficients scale.
        self._times = np.geomspace(self.config.fade, self.config.longest_fade, _CANDIDATES)
        self._powers = self._times ** np.arange(3)[:, None]  # (3, candidates)
        order = np.arange(3) - np.arange(1, 4)[:, None, None]  # of time, by derivative and by q, v, a (3, 1, 3)
        rates = _fade_rates()[:, :, None] * (self._times[:, None] ** order)[:, None]  # (3, points, candidates, 3)
        self._rates = rates.reshape(-1, 3)
        self._shortest = self._rates[::_CANDIDATES].copy()
        self._budget = self.config.share * np.stack([limits.velocity, limits.acceleration, limits.jerk])
        power = np.arange(6.0)[:, None] + np.arange(4.0)
        self._scales = self._times ** -power.reshape(-1, 1)  # (24, candidates)
        self.clear()

    def clear(self) -> None:
        """Forget every chunk."""
        self.chunk: AdmittedChunk | None = None
        self.end = math.inf
        self._fade_end = -math.inf
        self._last_jerk = np.zeros(self._n)

    def join(self, chunk: AdmittedChunk, now: float, q: Vector, dq: Vector, ddq: Vector) -> None:
        """Make ``chunk`` the reference from ``now`` on, starting smoothly from the present state.

        :param now: time of the state, at or after the chunk's first step [s, steady clock].
        :param q: present command of the moved joints (n,) [rad]; ``dq``, ``ddq`` likewise.
        """
        knots = chunk.q.take(np.flatnonzero(chunk.moved), axis=1)
        ways = knots[1:] - knots[:-1]
        curves = _second_derivatives(len(knots)).dot(ways)
        curves /= chunk.dt * chunk.dt
        self.chunk = chunk
        self.end = chunk.end
        self._spline = knots, ways, curves
        self._piece_at = -1
        self._tail: NDArray[np.float64] | None = None
        asked = self._asked(now)
        residual = -asked[:3]
        residual[0] += q
        residual[1] += dq
        residual[2] += ddq
        self._begin_fade(now, residual)
        self._last_jerk = np.abs(asked[3] + self._fade[3])

    def _begin_fade(self, now: float, residual: Vector) -> None:
        """Plan the fade of a residual: per joint the quintic from (q, v, a) to rest, as short as the limits allow.

        :param residual: (3, n).
        """
        chosen = np.zeros(self._n, dtype=np.intp)
        peaks = np.abs(self._shortest.dot(residual)).reshape(3, _POINTS, self._n).max(axis=1)
        fits = np.logical_and.reduce(peaks <= self._budget)
        if np.count_nonzero(fits) != self._n:
            large = np.flatnonzero(~fits)
            rates = np.abs(self._rates.dot(residual.take(large, axis=1)))
            peaks = rates.reshape(3, _POINTS, _CANDIDATES, len(large)).max(axis=1)
            fits = np.logical_and.reduce(peaks <= self._budget[:, None, large])
            fits[-1] = True  # the longest is always allowed; the limiter sees to the rest
            chosen[large] = fits.argmax(axis=0)
        self._fade_start, self._fade_time = now, self._times[chosen]
        self._fade_first, self._fade_end = now + float(self._fade_time.min()), now + float(self._fade_time.max())
        self._fade = _FADE_DERIVATIVES.dot(residual * self._powers.take(chosen, axis=1)) * self._scales.take(
            chosen, axis=1
        )

    def _asked(self, now: float) -> NDArray[np.float64]:
        """Return what the chunk itself asks at ``now``: value and three derivatives (4, n)."""
        chunk = self.chunk
        if chunk is None:
            return np.zeros((4, self._n))
        since = now - chunk.t0
        if now < self.end:
            at = min(max(int(since / chunk.dt), 0), len(chunk.q) - 2)
            if at != self._piece_at:
                self._piece_at, self._piece = at, self._derived(at, chunk.dt)
            return _evaluate(self._piece, max(since - at * chunk.dt, 0.0))
        if self._tail is None:
            last = _evaluate(self._derived(len(chunk.q) - 2, chunk.dt), chunk.dt)[:3]
            self._tail = _tail_matrix(self.config.rest).dot(last)
            self._final = _evaluate(self._tail, self.config.rest)[0]
        after = now - self.end
        if after < self.config.rest:
            return _evaluate(self._tail, after)
        asked = np.zeros((4, self._n))
        asked[0] = self._final
        return asked

    def _derived(self, at: int, dt: float) -> NDArray[np.float64]:
        """Return one piece of the spline with its derivatives, for :func:`_evaluate`."""
        knots, ways, curves = self._spline
        piece = np.empty((4, self._n))
        piece[0], piece[1], piece[2:] = knots[at], ways[at], curves[at : at + 2]
        return _piece_matrix(dt).dot(piece)

    def _derivatives(self, now: float) -> NDArray[np.float64]:
        """Return chunk plus fading residual at ``now`` (4, n)."""
        asked = self._asked(now)
        if now < self._fade_end:
            fade = _evaluate(self._fade, now - self._fade_start)
            if now >= self._fade_first:
                fade *= now - self._fade_start < self._fade_time
            asked += fade
        return asked

    def sample(self, now: float) -> Sample:
        """Return the reference at ``now``, which must not lie before the last join or sample.

        Without a chunk ``remaining`` is minus infinity and the reference is zero: hold instead.
        """
        derivatives = self._derivatives(now)
        # Within a period the jerk is constant, or has one step (a knot), or bends little (the fade): its ends bound it.
        jerk = np.abs(derivatives[3])
        reference = Reference(derivatives, np.maximum(jerk, self._last_jerk))
        self._last_jerk = jerk
        if self.chunk is None:
            return Sample(reference, np.zeros(3), -math.inf)
        remaining = self.end - now
        return Sample(reference, self._base_velocity(now), remaining)

    def _base_velocity(self, now: float) -> Vector:
        """Return the chunk's base velocity at ``now``, linear between steps, zero after the last."""
        chunk = self.chunk
        if chunk is None or now >= self.end:
            return np.zeros(3)
        place = max((now - chunk.t0) / chunk.dt, 0.0)
        base = chunk.base_velocity
        step = min(int(place), len(base) - 2)
        weight = place - step
        return (1.0 - weight) * base[step] + weight * base[step + 1]
