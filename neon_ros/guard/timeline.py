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


def _fade_rates(points: int = 11) -> NDArray[np.float64]:
    """Return derivatives 1 to 3 of the fading quintic over 0 to 1, at ``points`` (3, points, 3).

    The last axis multiplies the start (q, v, a): see :meth:`Timeline._begin_fade` for the quintic's coefficients.
    """
    coefficients = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0.5], [-10, -6, -1.5], [15, 8, 1.5], [-6, -3, -0.5]])
    u = np.linspace(0.0, 1.0, points)[:, None]
    rates = [sum(math.perm(p, k) * u ** (p - k) * coefficients[p] for p in range(k, 6)) for k in (1, 2, 3)]
    return np.array(rates)


_FADE_RATES = _fade_rates()


@lru_cache(maxsize=128)
def _second_derivatives(knots: int) -> NDArray[np.float64]:
    """Return K with ``M = K @ q / dt**2``: second derivatives of the not-a-knot cubic spline (knots, knots)."""
    if knots == 2:
        return np.zeros((2, 2))
    if knots == 3:  # one parabola
        return np.tile(np.array([1.0, -2.0, 1.0]), (3, 1))
    left, right = np.zeros((knots, knots)), np.zeros((knots, knots))
    for i in range(1, knots - 1):
        left[i, i - 1 : i + 2] = (1.0, 4.0, 1.0)
        right[i, i - 1 : i + 2] = (6.0, -12.0, 6.0)
    left[0, :3] = left[-1, -3:] = (1.0, -2.0, 1.0)
    return np.asarray(np.linalg.solve(left, right), dtype=np.float64)


def _spline(q: NDArray[np.float64], dt: float) -> NDArray[np.float64]:
    """Return the coefficients (knots - 1, 4, n) of the spline through ``q`` (knots, n), powers of time in a piece."""
    m = _second_derivatives(len(q)) @ q / (dt * dt)
    pieces = np.empty((len(q) - 1, 4, q.shape[1]))
    pieces[:, 0] = q[:-1]
    pieces[:, 1] = (q[1:] - q[:-1]) / dt - dt / 6.0 * (2.0 * m[:-1] + m[1:])
    pieces[:, 2] = 0.5 * m[:-1]
    pieces[:, 3] = (m[1:] - m[:-1]) / (6.0 * dt)
    return pieces


@lru_cache(maxsize=8)
def _differentiation(powers: int) -> NDArray[np.float64]:
    """Return the matrix (4 powers, powers): row 4 r + k picks the factor of ``t**r`` in the k-th derivative."""
    matrix = np.zeros((powers, 4, powers))
    for k in range(4):
        for p in range(k, powers):
            matrix[p - k, k, p] = math.perm(p, k)
    return matrix.reshape(4 * powers, powers)


def _with_derivatives(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return coefficients (..., powers, 4 n) of the value and its first three derivatives, for :func:`_evaluate`.

    :param coefficients: of the value (..., powers, n).
    """
    *lead, powers, n = coefficients.shape
    return (_differentiation(powers) @ coefficients).reshape(*lead, powers, 4 * n)


def _evaluate(coefficients: NDArray[np.float64], t: float) -> NDArray[np.float64]:
    """Return value and three derivatives (4, n) at ``t`` of what :func:`_with_derivatives` made (powers, 4 n)."""
    powers = [1.0]
    for _ in range(len(coefficients) - 1):
        powers.append(powers[-1] * t)
    return np.array(powers).dot(coefficients).reshape(4, -1)


class Timeline:
    """The reference of n moved joints over time.

    :param limits: of the moved joints; they set how long a large residual takes to fade.
    :param config: how chunks are joined.
    """

    def __init__(self, limits: MotionLimits, config: TimelineConfig | None = None) -> None:
        self.config = TimelineConfig() if config is None else config
        self._limits = limits
        self._n = len(limits.lower)
        self._times = np.geomspace(self.config.fade, self.config.longest_fade, _CANDIDATES)
        self._budget = self.config.share * np.stack([limits.velocity, limits.acceleration, limits.jerk])
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
        knots = chunk.q[:, chunk.moved]
        self.chunk = chunk
        self._pieces = _with_derivatives(_spline(knots, chunk.dt))
        self._base = chunk.base_velocity
        self.end = chunk.t0 + (len(knots) - 1) * chunk.dt
        last = _evaluate(self._pieces[-1], chunk.dt)
        # Slow to rest: dq falls from v to 0 along the cubic with slopes a and 0, hence q along its integral.
        rest, (end_q, v, a) = self.config.rest, last[:3]
        self._tail = _with_derivatives(
            np.stack(
                [
                    end_q,
                    v,
                    0.5 * a,
                    (-3.0 * v / rest - 2.0 * a) / (3.0 * rest),
                    (2.0 * v / rest + a) / (4.0 * rest * rest),
                ]
            )
        )
        self._final = end_q + 0.5 * v * rest + a * rest * rest / 12.0
        self._fade_end = -math.inf
        asked = self._asked(now)
        self._begin_fade(now, q - asked[0], dq - asked[1], ddq - asked[2])
        self._last_jerk = np.abs(self._derivatives(now)[3])

    def _begin_fade(self, now: float, q: Vector, v: Vector, a: Vector) -> None:
        """Plan the fade of a residual: per joint the quintic from (q, v, a) to rest, as short as the limits allow."""
        # Candidates T: peaks of the three derivatives of the quintic, each as a share of its limit (T, 3, n).
        t = self._times
        start = np.stack([np.outer(t**0, q), np.outer(t, v), np.outer(t * t, a)], axis=1)
        peaks = np.abs(_FADE_RATES @ start[:, None]).max(axis=2)
        usage = (peaks / self._budget / t[:, None, None] ** np.array([[1], [2], [3]])).max(axis=1)
        usage[-1] = 0.0  # the longest is always allowed; the limiter sees to the rest
        time = t[(usage <= 1.0).argmax(axis=0)]
        self._fade_start, self._fade_time = now, time
        self._fade_end = now + float(time.max(initial=0.0))
        x, y, z = q / time**3, v / time**2, a / time
        self._fade = _with_derivatives(
            np.stack(
                [
                    q,
                    v,
                    0.5 * a,
                    -10.0 * x - 6.0 * y - 1.5 * z,
                    (15.0 * x + 8.0 * y + 1.5 * z) / time,
                    (-6.0 * x - 3.0 * y - 0.5 * z) / time**2,
                ]
            )
        )

    def _asked(self, now: float) -> NDArray[np.float64]:
        """Return what the chunk itself asks at ``now``: value and three derivatives (4, n)."""
        chunk = self.chunk
        if chunk is None:
            return np.zeros((4, self._n))
        since = now - chunk.t0
        if now < self.end:
            piece = min(max(int(since / chunk.dt), 0), len(self._pieces) - 1)
            return _evaluate(self._pieces[piece], max(since - piece * chunk.dt, 0.0))
        after = now - self.end
        if after < self.config.rest:
            return _evaluate(self._tail, after)
        asked = np.zeros((4, self._n))
        asked[0] = self._final
        return asked

    def _derivatives(self, now: float) -> NDArray[np.float64]:
        """Return chunk plus fading residual at ``now`` (4, n)."""
        asked = self._asked(now)
        if now < self._fade_end:
            since = now - self._fade_start
            asked = asked + _evaluate(self._fade, since) * (since < self._fade_time)
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
        step = min(int(place), len(self._base) - 2)
        weight = place - step
        return (1.0 - weight) * self._base[step] + weight * self._base[step + 1]
