"""The quickest stop of a joint under acceleration and jerk limits, and how far it reaches.

The stop is time-optimal control of the velocity to zero: jerk against the motion until the deceleration is at its
peak, hold it, jerk back until velocity and acceleration are both zero.  A state from which this stop stays inside the
position limits is *viable*; every state the limiter publishes is.

In a frame mirrored so that the velocity left after ending the present acceleration is not negative
(``v + a |a| / (2 j) >= 0``), the peak deceleration ``p`` follows from ``v + a^2 / (2 j) - p^2 / j = 0``, cut at the
acceleration limit; the three durations follow from it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class Stop(NamedTuple):
    """A stop of n joints, in the mirrored frame of each: three phases of jerk ``-j, 0, +j``.

    :param sign: mirror of each joint, +1 or -1 (n,).
    :param v: mirrored start velocity (n,) [rad/s].
    :param a: mirrored start acceleration (n,) [rad/s^2].
    :param peak: deceleration held in the middle phase (n,) [rad/s^2].
    :param t1: duration of the first phase (n,) [s]; ``t2``, ``t3`` likewise.
    """

    sign: Vector
    v: Vector
    a: Vector
    peak: Vector
    t1: Vector
    t2: Vector
    t3: Vector


def coasting_velocity(v: Vector, a: Vector, jerk: Vector) -> Vector:
    """Return the velocity left when the acceleration has been brought to zero at full jerk (n,) [rad/s]."""
    return v + a * np.abs(a) / (2.0 * jerk)


def plan_stop(v: Vector, a: Vector, acceleration: Vector, jerk: Vector) -> Stop:
    """Return the quickest stop from velocity ``v`` and acceleration ``a``.

    :param v: (n,) [rad/s].
    :param a: (n,) [rad/s^2], within ``acceleration``.
    :param acceleration: limit (n,) [rad/s^2].
    :param jerk: limit (n,) [rad/s^3].
    """
    sign = np.where(coasting_velocity(v, a, jerk) < 0.0, -1.0, 1.0)
    v, a = sign * v, sign * a
    energy = np.maximum(jerk * v + 0.5 * a * a, 0.0)
    peak = np.minimum(np.sqrt(energy), acceleration)
    t1 = np.maximum(a + peak, 0.0) / jerk
    t2 = np.maximum(energy / jerk - peak * peak / jerk, 0.0) / np.maximum(peak, 1e-12)
    return Stop(sign, v, a, peak, t1, t2, peak / jerk)


def stop_step(q: Vector, v: Vector, a: Vector, acceleration: Vector, jerk: Vector, dt: float) -> tuple[Vector, ...]:
    """Return position, velocity and acceleration after ``dt`` of the quickest stop.

    :param q: (n,) [rad].
    :param dt: [s].
    """
    stop = plan_stop(v, a, acceleration, jerk)
    left = np.full_like(v, dt)
    x, v, a = np.zeros_like(v), stop.v, stop.a
    for duration, j in ((stop.t1, -jerk), (stop.t2, np.zeros_like(jerk)), (stop.t3, jerk)):
        t = np.minimum(duration, left)
        x = x + t * (v + t * (0.5 * a + t * j / 6.0))
        v = v + t * (a + 0.5 * t * j)
        a = a + t * j
        left = left - t
    at_rest = left > 0.0
    v, a = np.where(at_rest, 0.0, v), np.where(at_rest, 0.0, a)
    return q + stop.sign * x, stop.sign * v, stop.sign * a


def stop_extent(q: Vector, v: Vector, a: Vector, acceleration: Vector, jerk: Vector) -> tuple[Vector, Vector]:
    """Return the lowest and the highest position that the quickest stop passes, start included.

    :returns: lowest (n,) and highest (n,) [rad].
    """
    stop = plan_stop(v, a, acceleration, jerk)
    t1, t2, p = stop.t1, stop.t2, stop.peak
    x1 = t1 * (stop.v + t1 * (0.5 * stop.a - t1 * jerk / 6.0))
    v1 = stop.v + t1 * (stop.a - 0.5 * t1 * jerk)
    end = x1 + t2 * (v1 - 0.5 * p * t2) + p * p * p / (6.0 * jerk * jerk)
    # Moving backwards at first (v < 0 < a in the mirrored frame): it turns round inside the first phase.
    root = np.sqrt(np.maximum(stop.a * stop.a + 2.0 * jerk * np.minimum(stop.v, 0.0), 0.0))
    turn = np.where(stop.v < 0.0, (stop.a - root) / jerk, 0.0)
    back = turn * (stop.v + turn * (0.5 * stop.a - turn * jerk / 6.0))
    low, high = np.minimum(np.minimum(back, end), 0.0), np.maximum(end, 0.0)
    mirrored = stop.sign < 0.0
    return q + np.where(mirrored, -high, low), q + np.where(mirrored, -low, high)


def stop_reach(v: Vector, a: Vector, acceleration: Vector, jerk: Vector) -> Vector:
    """Return a cheap upper bound of how far the quickest stop leads from its start (n,) [rad].

    The speed never exceeds ``s = |v| + a^2 / (2 j)`` and the stop takes at most ``|a|/j + s/A + 2 sqrt(s/j)``.
    """
    magnitude = np.abs(a)
    ramp = magnitude / jerk
    speed = np.abs(v) + 0.5 * magnitude * ramp
    return speed * (ramp + speed / acceleration + 2.0 * np.sqrt(speed / jerk))
