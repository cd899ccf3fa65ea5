"""The online limiter: one period of motion towards a reference, with every limit held and a stop always in reserve.

Each period has four candidates, the first that is safe wins, joint by joint:

1. *pass*: the joint is on its reference and the reference obeys the limits: the output is the reference, to the bit;
2. *track*: the time-optimal way onto the moving reference, planned by Ruckig in the frame of the reference
   (Berscheid and Kröger, "Jerk-limited Real-time Trajectory Generation with Arbitrary Target States", RSS 2021);
3. *approach*: the time-optimal way to rest at the reference's position, cut to the range;
4. *stop*: the quickest stop (:mod:`neon_ros.guard.stopping`).

A candidate is safe when it is inside all limits and viable: a stop from it stays inside the position range.  The
fourth needs no test: from a viable state the quickest stop is viable by definition.  Hence, by induction, every
state published is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import ruckig
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, refuse
from neon_ros.guard.limits import MotionLimits
from neon_ros.guard.stopping import Vector, coasting_velocity, stop_extent, stop_reach, stop_step

REASONS: tuple[str, ...] = ("", "position", "velocity", "acceleration", "jerk", "torque", "collision")
"""Why a joint was held back; the limiter's reason codes are indices of this tuple."""

POSITION, VELOCITY, ACCELERATION, JERK, TORQUE, COLLISION = range(1, len(REASONS))

PLAN = 1.0 - 1e-3
"""Share of the jerk limit that plans and stops may use; the rest covers landing on the reference."""

_LANDED = np.array([[1e-10], [1e-8], [1e-6]])  # [rad, rad/s, rad/s^2] from the reference: below this the joint is on it
_EDGE = 1e-9  # [rad] kept from the ends of the range, so that rounding cannot cross them
_NOWHERE = 1e6  # [rad] a position that is never safe
_ROUNDING = 1.0 + 1e-10


class Reference(NamedTuple):
    """Where the joints ought to be at the end of the period.

    :param derivatives: position, velocity, acceleration and jerk (4, n) [rad, rad/s, rad/s^2, rad/s^3].
    :param peak_jerk: largest absolute jerk within the period (n,) [rad/s^3].
    """

    derivatives: Vector
    peak_jerk: Vector


class Limiter:
    """Hold n joints inside their limits, one fixed period at a time.

    :param limits: of the n joints.
    :param period: duration of each step [s].
    """

    def __init__(self, limits: MotionLimits, period: float) -> None:
        if not 1e-4 <= period <= 0.1:
            raise ConfigError(refuse("limiter period", period, "0.0001 to 0.1 s"))
        self.limits = limits
        self.period = period
        self.n = len(limits.lower)
        self.state = np.zeros((3, self.n))
        self.reasons: NDArray[np.int8] = np.zeros(self.n, dtype=np.int8)
        self._on_reference = np.zeros(self.n, dtype=bool)
        self._low = limits.lower.copy()
        self._high = limits.upper.copy()
        self._outside = False
        self._before = self.state, self._low, self._high, False
        velocity, acceleration, jerk = limits.velocity, limits.acceleration, limits.jerk
        self._plan_jerk = jerk * PLAN
        self._top = np.stack([velocity, acceleration]) * _ROUNDING
        self._farthest = velocity * (period * _ROUNDING)
        # A limited jerk leads from a state to within these of where constant acceleration would lead.
        dt = period
        self._coast = np.array([[1.0, dt, 0.5 * dt * dt], [0.0, 1.0, dt], [0.0, 0.0, 1.0]])
        self._spread = np.stack([jerk * dt**3 / 6.0, jerk * dt**2 / 2.0, jerk * dt]) * _ROUNDING + 1e-12
        # The stop reaches at most (|v| + |a| A / (2 j)) * (longest stop), a bound linear in |v| and |a|.
        fastest = velocity + acceleration**2 / (2.0 * self._plan_jerk)
        longest = stop_reach(fastest, np.zeros(self.n), acceleration, self._plan_jerk) / fastest
        longest = longest + acceleration / self._plan_jerk
        self._reach = np.stack([longest, longest * acceleration / (2.0 * self._plan_jerk)])
        self._otg = ruckig.Ruckig(self.n, period)
        self._input = ruckig.InputParameter(self.n)
        self._input.synchronization = ruckig.Synchronization.No
        self._output = ruckig.OutputParameter(self.n)
        self._zeros = [0.0] * self.n

    def start(self, q: Vector) -> None:
        """Begin at rest at ``q`` (n,) [rad]; outside the range it may only move inwards from there."""
        self.state = np.stack([np.asarray(q, dtype=np.float64), np.zeros(self.n), np.zeros(self.n)])
        self.reasons = np.zeros(self.n, dtype=np.int8)
        self.meet()
        self._low = np.minimum(self.limits.lower, self.state[0] - _EDGE)
        self._high = np.maximum(self.limits.upper, self.state[0] + _EDGE)
        self._outside = True

    def meet(self) -> None:
        """Take the next reference as continuing from the present state, which its maker has seen to."""
        self._on_reference = np.ones(self.n, dtype=bool)

    def part(self) -> None:
        """Take the next reference as unrelated to the present state (a late period, a jump)."""
        self._on_reference = np.zeros(self.n, dtype=bool)

    def stop(self) -> None:
        """Advance one period along the quickest stop."""
        if self.state[1:].any():
            self.state = self._brake()
            self._follow_inwards()
        self.reasons = np.zeros(self.n, dtype=np.int8)
        self.part()

    def step(self, reference: Reference) -> None:
        """Advance one period towards ``reference``; the outcome is in ``state`` and ``reasons``."""
        derivatives = reference.derivatives
        self._before = self.state, self._low, self._high, self._outside
        if not math.isfinite(derivatives.sum()):
            self.stop()
            self.reasons[:] = POSITION
            return
        wanted = derivatives[:3]
        fits = np.abs(wanted - self._coast.dot(self.state)) <= self._spread
        if fits.all() and (reference.peak_jerk <= self.limits.jerk).all() and self._on_reference.all():
            safe = self._safe(wanted)
            if safe.all():
                self.state = wanted
                if self.reasons.any():
                    self.reasons = np.zeros(self.n, dtype=np.int8)
                self._follow_inwards()
                return
        else:
            safe = self._safe(wanted)
        passes = safe & fits.all(axis=0) & (reference.peak_jerk <= self.limits.jerk) & self._on_reference
        self._chase(derivatives, passes)

    def braked(self) -> Vector:
        """Return the state one period along the quickest stop from before the last step (3, n)."""
        q, v, a = self._before[0]
        return np.stack(stop_step(q, v, a, self.limits.acceleration, self._plan_jerk, self.period))

    def brake(self, joints: NDArray[np.bool_]) -> None:
        """Undo the last step of ``joints`` (n,): one period of their quickest stop takes its place."""
        _, low, high, outside = self._before
        self.state = np.where(joints, self.braked(), self.state)
        self.reasons = np.where(joints, np.int8(COLLISION), self.reasons)
        self._on_reference = self._on_reference & ~joints
        self._low, self._high, self._outside = (
            np.where(joints, low, self._low),
            np.where(joints, high, self._high),
            outside,
        )
        self._follow_inwards()

    def _safe(self, state: Vector) -> NDArray[np.bool_]:
        """Return which joints are inside acceleration, velocity and position limits and can stay so (n,)."""
        acceleration, jerk = self.limits.acceleration, self._plan_jerk
        q, v, a = state
        size = np.abs(state[1:])
        reach = (size * self._reach).sum(axis=0)
        low, high = self._low + _EDGE, self._high - _EDGE
        inside = np.all(size <= self._top, axis=0) & (np.abs(q - self.state[0]) <= self._farthest)
        inside &= np.abs(coasting_velocity(v, a, jerk)) <= self._top[0]
        free = (q - reach >= low) & (q + reach <= high)
        if not free.all():
            lowest, highest = stop_extent(q, v, a, acceleration, jerk)
            inside = inside & (lowest >= low) & (highest <= high)
        return np.asarray(inside, dtype=np.bool_)

    def _brake(self) -> Vector:
        """Return the state one period along the quickest stop (3, n)."""
        q, v, a = self.state
        return np.stack(stop_step(q, v, a, self.limits.acceleration, self._plan_jerk, self.period))

    def _chase(self, derivatives: Vector, passes: NDArray[np.bool_]) -> None:
        """Advance the joints that do not pass by the first safe of track, approach and stop."""
        limits, wanted = self.limits, derivatives[:3]
        target = derivatives.copy()
        target[0] = np.clip(derivatives[0], limits.lower, limits.upper)
        cut = target[0] != derivatives[0]
        target[1:, cut] = 0.0
        why = np.full(self.n, JERK, dtype=np.int8)
        why[np.abs(target[2]) > limits.acceleration] = ACCELERATION
        why[np.abs(target[1]) > limits.velocity] = VELOCITY
        why[cut] = POSITION

        state = self._track(target, passes)
        safe = self._safe(state) | passes
        if not safe.all():
            why[~safe & (np.abs(state[1:]) <= self._top).all(axis=0)] = POSITION
            approach = self._approach(target[0])
            state = np.where(safe, state, np.where(self._safe(approach), approach, self._brake()))
        landed = (np.abs(state - wanted) <= _LANDED).all(axis=0) | passes
        self.state = np.where(landed, wanted, state)
        why[passes] = 0
        self.reasons = why
        self._on_reference = landed
        self._follow_inwards()

    def _track(self, target: Vector, passes: NDArray[np.bool_]) -> Vector:
        """Return the state one period along the quickest way onto the moving reference (3, n).

        The frame moves with the reference, its rates cut to what leaves room to catch up; relative limits are what the
        frame, anywhere within the period, leaves of the absolute ones.
        """
        limits, dt = self.limits, self.period
        frame = target[:3].copy()
        frame[1] = np.clip(target[1], -0.95 * limits.velocity, 0.95 * limits.velocity)
        frame[2] = np.clip(target[2], -0.9 * limits.acceleration, 0.9 * limits.acceleration)
        jerk = np.clip(target[3], -0.49 * limits.jerk, 0.49 * limits.jerk)  # as much again is left to correct
        # A frame that was beyond the limits when the period began moves with less of its rates.
        jerk[np.abs(frame[2] - jerk * dt) > 0.95 * limits.acceleration] = 0.0
        too_fast = np.abs(frame[1] - (frame[2] - 0.5 * jerk * dt) * dt) > 0.97 * limits.velocity
        jerk[too_fast] = 0.0
        frame[2, too_fast] = 0.0
        start = np.empty_like(frame)
        start[2] = frame[2] - jerk * dt
        start[1] = frame[1] - (start[2] + 0.5 * jerk * dt) * dt
        start[0] = frame[0] - (start[1] + (0.5 * start[2] + jerk * dt / 6.0) * dt) * dt
        relative = self.state - start
        relative[:, passes] = 0.0
        rates = np.maximum(frame[1:], start[1:]), np.minimum(frame[1:], start[1:])
        rates[0][0] += np.abs(jerk) * (dt * dt / 8.0)  # between its ends the frame may be a little faster
        rates[1][0] -= np.abs(jerk) * (dt * dt / 8.0)
        return frame + self._plan(relative, *rates, self._plan_jerk - np.abs(jerk), self._zeros)

    def _approach(self, target: Vector) -> Vector:
        """Return the state one period along the quickest way to rest at ``target`` (3, n)."""
        still = np.zeros((2, self.n))
        return self._plan(self.state, still, still, self._plan_jerk, target.tolist())

    def _plan(self, state: Vector, highest: Vector, lowest: Vector, jerk: Vector, target: list[float]) -> Vector:
        """Return the state (3, n) after one period on Ruckig's way to rest at ``target``.

        :param highest: velocity and acceleration of the frame at most (2, n); they narrow the limits within it.
        :param lowest: the same at least.
        :returns: a place outside every range, hence never safe, when Ruckig finds no way.
        """
        wanted, limits = self._input, self.limits
        wanted.current_position, wanted.current_velocity, wanted.current_acceleration = state.tolist()
        wanted.max_velocity = (limits.velocity - highest[0]).tolist()
        wanted.min_velocity = (-limits.velocity - lowest[0]).tolist()
        wanted.max_acceleration = (limits.acceleration - highest[1]).tolist()
        wanted.min_acceleration = (-limits.acceleration - lowest[1]).tolist()
        wanted.max_jerk = jerk.tolist()
        wanted.target_position = target
        out = self._output
        try:
            result = self._otg.update(wanted, out)
        except ruckig.RuckigError:
            result = ruckig.Result.Error
        if result not in (ruckig.Result.Working, ruckig.Result.Finished):
            return np.stack([np.full(self.n, _NOWHERE), np.zeros(self.n), np.zeros(self.n)])
        return np.array([out.new_position, out.new_velocity, out.new_acceleration])

    def _follow_inwards(self) -> None:
        """Close the range behind joints that began outside and have moved inwards."""
        if self._outside:
            q, limits = self.state[0], self.limits
            self._low = np.minimum(limits.lower, np.maximum(self._low, q - _EDGE))
            self._high = np.maximum(limits.upper, np.minimum(self._high, q + _EDGE))
            self._outside = bool((self._low < limits.lower).any() or (self._high > limits.upper).any())
