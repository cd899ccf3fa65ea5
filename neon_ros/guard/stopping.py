"""The quickest stop of a joint under acceleration and jerk limits, and how far it reaches.

The stop is time-optimal control of the velocity to zero: jerk against the motion until the deceleration is at its
peak, hold it, jerk back until velocity and acceleration are both zero.  A state from which this stop stays inside the
position limits is *viable*; every state the limiter publishes is.

In a frame mirrored so that the velocity left after ending the present acceleration is not negative
(``v + a |a| / (2 j) >= 0``), the peak deceleration ``p`` follows from ``v + a^2 / (2 j) - p^2 / j = 0``, cut at the
acceleration limit; the three durations follow from it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


_TURN = 2.0 * math.sqrt(2.0) / 3.0  # see Stop.extent


class Stop(NamedTuple):
    """A stop of n joints, or k of each (k, n), in the mirrored frame of each: three phases of jerk ``-j, 0, +j``.

    :param sign: mirror of each joint, +1 or -1 (n,).
    :param v: mirrored start velocity (n,) [rad/s].
    :param a: mirrored start acceleration (n,) [rad/s^2].
    :param ramp: ``a / j``, the time that ends the start acceleration; negative with it (n,) [s].
    :param turned: ``a^2 / (2 j)``, the velocity gained or lost meanwhile (n,) [rad/s].
    :param speed: ``v + a^2 / (2 j)``, the velocity at which the acceleration is, or would have been, zero (n,) [rad/s].
    :param peak: deceleration held in the middle phase (n,) [rad/s^2].
    :param t2: duration of the second phase (n,) [s]; ``t3`` of the third likewise, ``peak / j``.
    """

    sign: Vector
    v: Vector
    a: Vector
    ramp: Vector
    turned: Vector
    speed: Vector
    peak: Vector
    t2: Vector
    t3: Vector

    @property
    def t1(self) -> Vector:
        """Return the duration of the first phase (n,) [s]."""
        return np.maximum(self.ramp + self.t3, 0.0)

    def of(self, index: int) -> Stop:
        """Return one of k stops of each joint."""
        return Stop(*(part[index] for part in self))

    def extent(self, jerk: Vector) -> tuple[Vector, Vector]:
        """Return how far the stop leads back (not positive) and ahead (not negative) in the mirrored frame [rad].

        With the acceleration ``u`` as variable the velocity is ``speed - u^2 / (2 j)``, whose integral from ``a`` down
        to ``-peak`` is the way of the first phase; velocity is zero, where the joint turns, at ``u^2 = 2 j speed``.

        :param jerk: limit (n,) [rad/s^3].
        """
        begun = self.ramp * (self.speed - self.turned / 3.0)
        end = begun + self.speed * (self.t3 + 0.5 * self.t2)
        backwards = self.v < 0.0
        low = np.minimum(end, 0.0)
        if np.count_nonzero(backwards):
            turn = begun - _TURN * self.speed * np.sqrt(self.speed / jerk)
            low = np.minimum(low, turn * backwards)
        return low, np.maximum(end, 0.0)

    def stays_within(self, start: Vector, half: Vector, jerk: Vector) -> NDArray[np.bool_]:
        """Return which joints stay within ``half`` of the middle of their range until they rest.

        :param start: from the middle of the range (n,) [rad].
        :param half: (n,) [rad].
        """
        low, high = self.extent(jerk)
        start = self.sign * start
        return np.asarray((start + low >= -half) & (start + high <= half))

    def after(self, time: float | Vector, jerk: Vector) -> Vector:
        """Return how far the stop has led after ``time``, and velocity and acceleration then (3, n), not mirrored.

        :param time: [s], or (n,).
        :param jerk: limit (n,) [rad/s^3].
        """
        left = np.zeros_like(self.v) + time
        x, v, a = np.zeros_like(self.v), self.v, self.a
        for duration, sense in ((self.t1, -1.0), (self.t2, 0.0), (self.t3, 1.0)):
            t = np.minimum(duration, left)
            change = t * (sense * jerk)
            x = x + t * (v + t * (0.5 * a + change / 6.0))
            v = v + t * (a + 0.5 * change)
            a = a + change
            left = left - t
            if not np.count_nonzero(left):
                break  # no joint has reached the next phase
        moves = np.where(left > 0.0, 0.0, self.sign)
        after = np.empty((3, *x.shape))
        after[0], after[1], after[2] = self.sign * x, moves * v, moves * a
        after += 0.0  # no -0, so that a skipped phase changes no bit
        return after


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
    ramp = a / jerk
    turned = 0.5 * a * ramp
    sign = np.copysign(1.0, v + np.copysign(turned, a))
    v, a, ramp = sign * v, sign * a, sign * ramp
    speed = np.maximum(v + turned, 0.0)
    peak = np.minimum(np.sqrt(jerk * speed), acceleration)
    t3 = peak / jerk
    t2 = np.maximum(speed - peak * t3, 0.0) / np.maximum(peak, 1e-12)
    return Stop(sign, v, a, ramp, turned, speed, peak, t2, t3)


def stop_step(q: Vector, v: Vector, a: Vector, acceleration: Vector, jerk: Vector, dt: float) -> Vector:
    """Return position, velocity and acceleration (3, n) after ``dt`` of the quickest stop.

    :param q: (n,) [rad].
    :param dt: [s].
    """
    after = plan_stop(v, a, acceleration, jerk).after(dt, jerk)
    after[0] += q
    return after


def stop_extent(q: Vector, v: Vector, a: Vector, acceleration: Vector, jerk: Vector) -> tuple[Vector, Vector]:
    """Return the lowest and the highest position that the quickest stop passes, start included.

    :returns: lowest (n,) and highest (n,) [rad].
    """
    stop = plan_stop(v, a, acceleration, jerk)
    low, high = stop.extent(jerk)
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
