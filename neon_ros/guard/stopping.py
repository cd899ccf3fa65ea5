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
    """A stop of n joints, or k of each (k, n), in the mirrored frame of each: three phases of jerk ``-j, 0, +j``.

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

    :param v: (n,) or (k, n), k states of each joint [rad/s].
    :param a: likewise [rad/s^2], within ``acceleration``.
    :param acceleration: limit (n,) [rad/s^2].
    :param jerk: limit (n,) [rad/s^3].
    """
    sign = np.copysign(1.0, coasting_velocity(v, a, jerk))
    v, a = sign * v, sign * a
    energy = np.maximum(jerk * v + 0.5 * a * a, 0.0)
    peak = np.minimum(np.sqrt(energy), acceleration)
    t1 = np.maximum(a + peak, 0.0) / jerk
    t2 = np.maximum(energy - peak * peak, 0.0) / (jerk * np.maximum(peak, 1e-12))
    return Stop(sign, v, a, peak, t1, t2, peak / jerk)


def advance_stop(stop: Stop, jerk: Vector, dt: float) -> Vector:
    """Return how far the stop has led after ``dt``, and velocity and acceleration then (3, n), in the joint's frame.

    :param jerk: limit (n,) [rad/s^3].
    :param dt: [s].
    """
    left = np.full_like(stop.v, dt)
    x, v, a = np.zeros_like(stop.v), stop.v, stop.a
    for duration, sense in ((stop.t1, -1.0), (stop.t2, 0.0), (stop.t3, 1.0)):
        t = np.minimum(duration, left)
        change = t * (sense * jerk)
        x = x + t * (v + t * (0.5 * a + change / 6.0))
        v = v + t * (a + 0.5 * change)
        a = a + change
        left = left - t
        if not np.count_nonzero(left):
            break  # no joint has reached the next phase
    moves = stop.sign * (left <= 0.0)
    return np.stack([stop.sign * x, moves * v, moves * a]) + 0.0  # one zero only: a skipped phase changes no bit


def stop_step(q: Vector, v: Vector, a: Vector, acceleration: Vector, jerk: Vector, dt: float) -> Vector:
    """Return position, velocity and acceleration (3, n) after ``dt`` of the quickest stop.

    :param q: (n,) [rad].
    :param dt: [s].
    """
    after = advance_stop(plan_stop(v, a, acceleration, jerk), jerk, dt)
    after[0] += q
    return after


def extent_of(stop: Stop, jerk: Vector) -> tuple[Vector, Vector]:
    """Return how far below (not positive) and above (not negative) its start the stop leads [rad].

    :param jerk: limit (n,) [rad/s^3].
    """
    v, a, t1, t2, p = stop.v, stop.a, stop.t1, stop.t2, stop.peak
    change = t1 * jerk
    x1 = t1 * (v + t1 * (0.5 * a - change / 6.0))
    v1 = v + t1 * (a - 0.5 * change)
    end = x1 + t2 * (v1 - 0.5 * p * t2) + p * stop.t3 * stop.t3 / 6.0
    # Moving backwards at first (v < 0 < a in the mirrored frame): it turns round inside the first phase.
    backwards = np.minimum(v, 0.0)
    turn = (a - np.sqrt(np.maximum(a * a + 2.0 * jerk * backwards, 0.0))) / jerk * (backwards < 0.0)
    back = turn * (v + turn * (0.5 * a - turn * jerk / 6.0))
    low, high = np.minimum(np.minimum(back, end), 0.0), np.maximum(end, 0.0)
    mirrored = stop.sign < 0.0
    return np.where(mirrored, -high, low), np.where(mirrored, -low, high)


def stop_extent(q: Vector, v: Vector, a: Vector, acceleration: Vector, jerk: Vector) -> tuple[Vector, Vector]:
    """Return the lowest and the highest position that the quickest stop passes, start included.

    :returns: lowest (n,) and highest (n,) [rad].
    """
    low, high = extent_of(plan_stop(v, a, acceleration, jerk), jerk)
    return q + low, q + high


def stop_reach(v: Vector, a: Vector, acceleration: Vector, jerk: Vector) -> Vector:
    """Return a cheap upper bound of how far the quickest stop leads from its start (n,) [rad].

    The speed never exceeds ``s = |v| + a^2 / (2 j)`` and the stop takes at most ``|a|/j + s/A + 2 sqrt(s/j)``.
    """
    magnitude = np.abs(a)
    ramp = magnitude / jerk
    speed = np.abs(v) + 0.5 * magnitude * ramp
    return speed * (ramp + speed / acceleration + 2.0 * np.sqrt(speed / jerk))
