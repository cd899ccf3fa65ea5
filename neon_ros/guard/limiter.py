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

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import ruckig
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, refuse
from neon_ros.guard.limits import MotionLimits
from neon_ros.guard.stopping import Stop, Vector, plan_stop, stop_reach, stop_step

REASONS: tuple[str, ...] = ("", "position", "velocity", "acceleration", "jerk", "torque", "collision")
"""Why a joint was held back; the limiter's reason codes are indices of this tuple."""

POSITION, VELOCITY, ACCELERATION, JERK, TORQUE, COLLISION = range(1, len(REASONS))

PLAN = 1.0 - 1e-3
"""Share of the jerk limit that plans and stops may use; the rest covers landing on the reference."""

_LANDED = np.array([[1e-10], [1e-8], [1e-6]])  # [rad, rad/s, rad/s^2] from the reference: below this the joint is on it
_EDGE = 1e-9  # [rad] kept from the ends of the range, so that rounding cannot cross them
_NOWHERE = 1e6  # [rad] a position that is never safe
_ROUNDING = 1.0 + 1e-10
_STATE, _SPEED, _COASTING, _FREE = 4, 5, 7, 8  # rows of Limiter._judge; from _STATE on they are of the state alone


class Reference(NamedTuple):
    """Where the joints ought to be at the end of the period.

    :param derivatives: position, velocity, acceleration and jerk (4, n) [rad, rad/s, rad/s^2, rad/s^3].
    :param peak_jerk: largest absolute jerk within the period (n,) [rad/s^3].
    """

    derivatives: Vector
    peak_jerk: Vector


class Limiter:
    """Hold n joints inside their limits, one fixed period at a time.

    Joints do not touch each other: what becomes of one is the same, to the bit, alone and among any number of others.
    Hence elementwise arithmetic only (a matrix product rounds by its size) and no plan that outlives its period.

    :param limits: of the n joints.
    :param period: duration of each step [s].
    """

    def __init__(self, limits: MotionLimits, period: float) -> None:
        if not 1e-4 <= period <= 0.1:
            raise ConfigError(refuse("limiter period", period, "0.0001 to 0.1 s"))
        self.limits, self._full_velocity = limits, limits.velocity
        self.period, self.n = period, len(limits.lower)
        self.state = np.zeros((3, self.n))
        self.reasons: NDArray[np.int8] = np.zeros(self.n, dtype=np.int8)
        self.part()
        self.derated: Vector | float = 1.0
        velocity, acceleration, jerk = limits.velocity, limits.acceleration, limits.jerk
        self._plan_jerk = jerk * PLAN
        self._half_per_jerk = 0.5 / self._plan_jerk
        # The stop reaches at most (|v| + |a| A / (2 j)) * (longest stop), a bound linear in |a| and |v|.
        fastest = velocity + acceleration**2 / (2.0 * self._plan_jerk)
        longest = stop_reach(fastest, np.zeros(self.n), acceleration, self._plan_jerk) / fastest
        longest = longest + acceleration / self._plan_jerk
        self._reach = np.stack([longest * acceleration / (2.0 * self._plan_jerk), longest])
        # What _judge compares with; a limited jerk leads to within ``spread`` of where constant acceleration would.
        dt, none = period, np.zeros(self.n)
        spread = np.stack([jerk * dt**3 / 6.0, jerk * dt**2 / 2.0, jerk * dt]) * _ROUNDING + 1e-12
        way = velocity * (dt * _ROUNDING)
        self._bounds = np.vstack([spread, jerk, acceleration * _ROUNDING, none, way, none, none])
        self._set_range(limits.lower, limits.upper)
        self._set_velocity(velocity)
        self._before = self.state, self._low, self._high
        self._braked: Vector | None = None
        self._otg = ruckig.Ruckig(self.n, period)
        self._input = ruckig.InputParameter(self.n)
        self._input.synchronization = ruckig.Synchronization.No
        self._output = ruckig.OutputParameter(self.n)
        self._at_rest = [0.0] * self.n

    def start(self, q: Vector) -> None:
        """Begin at rest at ``q`` (n,) [rad]; outside the range it may only move inwards from there."""
        self.state = np.stack([np.asarray(q, dtype=np.float64), np.zeros(self.n), np.zeros(self.n)])
        self.reasons = np.zeros(self.n, dtype=np.int8)
        self.meet()
        self._set_range(
            np.minimum(self.limits.lower, self.state[0] - _EDGE), np.maximum(self.limits.upper, self.state[0] + _EDGE)
        )

    def derate(self, part: Vector | float, rows: NDArray[np.intp]) -> None:
        """Let the joints be only so fast from now on; one that is faster slows down within its limits.

        :param part: of the velocity limits this limiter was made with, above 0 up to 1: one number or one per joint of
            the robot.  The same object again changes nothing.
        :param rows: which joints of the robot this limiter holds (n,).
        """
        if part is self.derated:
            return
        self.derated = part
        velocity = self._full_velocity * (part if isinstance(part, float) else part[rows])
        self.limits = replace(self.limits, velocity=velocity)
        self._set_velocity(velocity)

    def meet(self) -> None:
        """Take the next reference as continuing from the present state, which its maker has seen to."""
        self._on_reference = np.ones(self.n, dtype=bool)

    def part(self) -> None:
        """Take the next reference as unrelated to the present state (a late period, a jump)."""
        self._on_reference = np.zeros(self.n, dtype=bool)

    def stop(self) -> None:
        """Advance one period along the quickest stop."""
        self._before, self._braked = (self.state, self._low, self._high), None
        if np.count_nonzero(self.state[1:]):
            self.state = self.braked()
            self._follow_inwards()
        self.reasons = np.zeros(self.n, dtype=np.int8)
        self.part()

    def step(self, reference: Reference) -> None:
        """Advance one period towards ``reference``; the outcome is in ``state`` and ``reasons``."""
        derivatives = reference.derivatives
        self._before, self._braked = (self.state, self._low, self._high), None
        if np.count_nonzero(np.isfinite(derivatives)) != derivatives.size:
            self.stop()
            self.reasons[:] = POSITION
            return
        joined = np.count_nonzero(self._on_reference)
        if joined:
            within = self._judge(derivatives, reference.peak_jerk)
            if joined == self.n and np.count_nonzero(within) == within.size:
                passes = self._on_reference
            else:
                passes = np.logical_and.reduce(within[:_FREE]) & self._on_reference
                passes = self._viable(derivatives, within[_FREE], passes)
        else:
            passes = self._on_reference
        if np.count_nonzero(passes) != self.n:
            self._chase(derivatives, passes)
            return
        self.state = derivatives[:3]
        if np.count_nonzero(self.reasons):
            self.reasons = np.zeros(self.n, dtype=np.int8)
        self._follow_inwards()

    def braked(self) -> Vector:
        """Return the state one period along the quickest stop from before the last step (3, n)."""
        if self._braked is None:
            q, v, a = self._before[0]
            self._braked = stop_step(q, v, a, self.limits.acceleration, self._plan_jerk, self.period)
        return self._braked

    def brake(self, joints: NDArray[np.bool_]) -> None:
        """Undo the last step of ``joints`` (n,): one period of their quickest stop takes its place."""
        _, low, high = self._before
        self.state = np.where(joints, self.braked(), self.state)
        self.reasons = np.where(joints, np.int8(COLLISION), self.reasons)
        self._on_reference = self._on_reference & ~joints
        if low is not self._low:
            self._set_range(np.where(joints, low, self._low), np.where(joints, high, self._high))
            self._follow_inwards()

    def _judge(self, derivatives: Vector, peak_jerk: Vector) -> NDArray[np.bool_]:
        """Return what of a reference is within its bound (9, n), each row necessary for it to pass.

        Three rows: the motion since the present state is one of a limited jerk; one: its jerk; five: its state.
        """
        dt = self.period
        sizes = np.empty((len(self._bounds), self.n))
        moved = derivatives[:3] - self.state
        moved[:2] -= dt * self.state[1:]
        moved[0] -= (0.5 * dt * dt) * self.state[2]
        np.abs(moved, out=sizes[:3])
        sizes[3] = peak_jerk
        self._measure(derivatives[:3], sizes[_STATE:])
        steep = sizes[_STATE] > self._steep
        if np.count_nonzero(steep):  # falling from there, the acceleration may have had its peak within the period
            falling = steep & (np.signbit(derivatives[2]) != np.signbit(derivatives[3]))
            sizes[_STATE] += np.where(falling, dt * np.abs(derivatives[3]), 0.0)
        return np.asarray(sizes <= self._bounds)

    def _measure(self, state: Vector, sizes: Vector) -> None:
        """Measure a state (3, n) that would follow the present one, for the last five rows of :meth:`_judge`.

        :param sizes: written (5, n): acceleration, velocity, way, velocity once the acceleration has ended, and the
            distance from the middle of the range that the stop cannot exceed.
        """
        q, v, a = state
        np.abs(state[:0:-1], out=sizes[:2])
        np.abs(q - self.state[0], out=sizes[2])
        coasting = a * sizes[0]
        coasting *= self._half_per_jerk
        coasting += v
        np.abs(coasting, out=sizes[3])
        if self._outside:  # beyond the range not even the end of a stop may lead back out
            limits = self.limits
            sizes[3, (q > limits.upper) & (coasting > 0.0) | (q < limits.lower) & (coasting < 0.0)] = np.inf
        reach = sizes[:2] * self._reach
        np.abs(q - self._middle, out=sizes[4])
        sizes[4] += reach[0]
        sizes[4] += reach[1]
        if self._outside:  # where the range will close behind it, only _stays knows
            sizes[4, (self._low < self.limits.lower) | (self._high > self.limits.upper)] = np.inf

    def _inside(self, state: Vector) -> NDArray[np.bool_]:
        """Return which limits a state (3, n) that would follow the present one obeys (5, n), see :meth:`_measure`."""
        sizes = np.empty((5, self.n))
        self._measure(state, sizes)
        return np.asarray(sizes <= self._bounds[_STATE:])

    def _viable(self, state: Vector, free: NDArray[np.bool_], joints: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which of ``joints`` (n,) can stop inside the range; for those that are ``free`` that is known."""
        if not np.count_nonzero(joints & ~free):
            return joints
        stop = plan_stop(state[1], state[2], self.limits.acceleration, self._plan_jerk)
        return np.asarray(joints & (free | self._stays(state[0], stop)))

    def _stays(self, q: Vector, stop: Stop) -> NDArray[np.bool_]:
        """Return where a ``stop`` that begins at ``q`` stays inside the range, as it will be once closed behind ``q``.

        :param q: (n,), or (k, n) for k stops of each joint [rad].
        """
        if not self._outside:
            return stop.stays_within(q - self._middle, self._bounds[_FREE], self._plan_jerk)
        low, high = self._closed_behind(q, 2.0 * _EDGE)
        return stop.stays_within(q - 0.5 * (low + high), 0.5 * (high - low) - _EDGE, self._plan_jerk)

    def _chase(self, derivatives: Vector, passes: NDArray[np.bool_]) -> None:
        """Advance the joints that do not pass by the first safe of track, approach and stop."""
        limits, wanted = self.limits, derivatives[:3]
        target = np.minimum(np.maximum(derivatives[0], limits.lower), limits.upper)
        cut = target != derivatives[0]
        why = self._reasons(derivatives, cut)
        state = self._track(derivatives, target, cut, ~passes)
        inside = self._inside(state)
        safe = np.logical_and.reduce(inside) | passes
        if np.count_nonzero(safe) != self.n:
            safe = self._fall_back(state, inside, safe, target, cut)
            why[~safe & inside[0] & inside[1]] = POSITION
        landed = np.logical_and.reduce(np.abs(state - wanted) <= _LANDED)
        if np.count_nonzero(landed & ~passes):  # next to its reference a joint lands on it, if that is safe as well
            inside = self._judge(derivatives, derivatives[3])[_STATE:]
            landed = self._viable(wanted, inside[-1], landed & np.logical_and.reduce(inside[:-1]))
        landed = landed | passes
        self.state = np.where(landed, wanted, state)
        why[passes] = 0
        self.reasons = why
        self._on_reference = landed
        self._follow_inwards()

    def _reasons(self, derivatives: Vector, cut: NDArray[np.bool_]) -> NDArray[np.int8]:
        """Return what keeps each joint off its reference (n,); ``cut`` where that lies outside the range."""
        why = np.full(self.n, JERK, dtype=np.int8)
        fast, sharp = np.abs(derivatives[1:3]) > self._rates
        for code, broken in ((ACCELERATION, sharp), (VELOCITY, fast), (POSITION, cut)):
            if np.count_nonzero(broken):
                why[broken] = code
        return why

    def _fall_back(
        self, state: Vector, inside: NDArray[np.bool_], safe: NDArray[np.bool_], target: Vector, cut: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Replace what is not safe of ``state`` by approach or stop; return which joints needed neither.

        :param state: the tracks (3, n), changed where they are not safe.
        :param inside: limits they obey (5, n).
        :param safe: joints that need no further proof (n,).
        :param target: where to come to rest (n,) [rad].
        :param cut: where the target was cut (n,); the track there has been this very approach.
        """
        jerk, joints = self._plan_jerk, ~(safe | cut)
        approach = state
        if np.count_nonzero(joints):
            approach = self._plan([*self.state.tolist(), *self._whole_rates], target.tolist(), joints)
        near = self._inside(approach)
        states = np.empty((3, 3, self.n))  # quantity, state, joint
        states[:, 0], states[:, 1], states[:, 2] = state, approach, self.state
        stops = plan_stop(states[1], states[2], self.limits.acceleration, jerk)
        stays = self._stays(states[0], stops)
        safe = safe | (np.logical_and.reduce(inside[:-1]) & (inside[-1] | stays[0]))
        good = np.logical_and.reduce(near[:-1]) & (near[-1] | stays[1]) & joints & ~safe
        np.copyto(state, approach, where=good)
        stopped = ~(safe | good)
        if np.count_nonzero(stopped):
            brake = stops.of(2).after(np.where(stopped, self.period, 0.0), jerk)
            brake[0] += self.state[0]
            np.copyto(state, brake, where=stopped)
        return safe

    def _track(self, derivatives: Vector, target: Vector, cut: NDArray[np.bool_], joints: NDArray[np.bool_]) -> Vector:
        """Return the state one period along the quickest way of ``joints`` onto the moving reference (3, n).

        The frame moves with the reference, its rates cut to what leaves room to catch up; relative limits are what the
        frame, anywhere within the period, leaves of the absolute ones.

        :param target: position of the reference, cut to the range (n,); where it was ``cut`` the frame is at rest.
        """
        dt = self.period
        frame = np.empty((4, self.n))
        frame[0] = target
        rates = np.minimum(derivatives[1:], self._frame_rates, out=frame[1:])
        np.maximum(rates, self._frame_rates_back, out=rates)
        if np.count_nonzero(cut):
            rates[:, cut] = 0.0
        velocity, acceleration, jerk = rates
        # Where the frame was when the period began; one that was beyond the limits then moves with less of its rates.
        begun = acceleration - dt * jerk
        sharp = np.abs(begun) > self._frame_acceleration
        if np.count_nonzero(sharp):
            jerk[sharp] = 0.0
            begun[sharp] = acceleration[sharp]
        speed = velocity - (0.5 * dt) * (acceleration + begun)
        fast = np.abs(speed) > self._frame_speed
        if np.count_nonzero(fast):
            rates[1:, fast] = begun[fast] = 0.0
            speed[fast] = velocity[fast]
        size = np.abs(jerk)
        bend = (dt * dt / 8.0) * size  # between its ends the frame may be a little faster
        way = (0.5 * dt) * (velocity + speed)
        way -= (dt**3 / 12.0) * jerk
        plan = np.empty((8, self.n))
        np.subtract(self.state[0], target - way, out=plan[0])
        np.subtract(self.state[1], speed, out=plan[1])
        np.subtract(self.state[2], begun, out=plan[2])
        np.subtract(self._rates[0] - bend, np.maximum(velocity, speed), out=plan[3])
        np.subtract(self._rates[1], np.maximum(acceleration, begun), out=plan[4])
        np.subtract(bend - self._rates[0], np.minimum(velocity, speed), out=plan[5])
        np.subtract(-self._rates[1], np.minimum(acceleration, begun), out=plan[6])
        np.subtract(self._plan_jerk, size, out=plan[7])
        state = self._plan(plan.tolist(), self._at_rest, joints)
        state += frame[:3]
        return state

    def _plan(self, rows: list[list[float]], target: list[float], joints: NDArray[np.bool_]) -> Vector:
        """Return the state (3, n) after one period on Ruckig's way of ``joints`` to rest at ``target``.

        :param rows: position, velocity, acceleration; highest velocity and acceleration; lowest; jerk; n of each.
        :returns: a place outside every range, hence never safe, when Ruckig finds no way; of no meaning for the others.
        """
        wanted, out = self._input, self._output
        wanted.current_position, wanted.current_velocity, wanted.current_acceleration = rows[:3]
        wanted.max_velocity, wanted.max_acceleration, wanted.min_velocity, wanted.min_acceleration = rows[3:7]
        wanted.max_jerk = rows[7]
        wanted.target_position = target
        wanted.enabled = joints.tolist()
        try:
            self._otg.reset()  # or it would go on along its last plan where it can, which rounds differently
            result = self._otg.update(wanted, out)
        except ruckig.RuckigError:
            result = ruckig.Result.Error
        if result not in (ruckig.Result.Working, ruckig.Result.Finished):
            return np.stack([np.full(self.n, _NOWHERE), np.zeros(self.n), np.zeros(self.n)])
        return np.array([out.new_position, out.new_velocity, out.new_acceleration])

    def _set_velocity(self, velocity: Vector) -> None:
        """Hold the joints below ``velocity`` (n,) [rad/s]."""
        acceleration, jerk = self.limits.acceleration, self.limits.jerk
        self._bounds = self._bounds.copy()  # no array is changed in place: a shallow copy may advance on its own
        self._bounds[_SPEED] = self._bounds[_COASTING] = velocity * _ROUNDING
        self._rates = np.stack([velocity, acceleration])
        self._whole_rates = [*self._rates.tolist(), *(-self._rates).tolist(), self._plan_jerk.tolist()]
        # The frame in which tracks are planned is slower still: the rest is left to catch up.
        self._frame_rates = np.stack([0.95 * velocity, 0.9 * acceleration, 0.49 * jerk])
        self._frame_rates_back = -self._frame_rates
        self._frame_speed, self._frame_acceleration = 0.97 * velocity, 0.95 * acceleration
        self._steep = 0.9 * acceleration

    def _set_range(self, low: Vector, high: Vector) -> None:
        """Let the joints stop anywhere between ``low`` and ``high`` (n,) [rad], less what rounding needs."""
        self._low, self._high = low, high
        self._middle, self._bounds = 0.5 * (low + high), self._bounds.copy()
        self._bounds[_FREE] = 0.5 * (high - low) - _EDGE
        self._outside = bool((low < self.limits.lower).any() or (high > self.limits.upper).any())

    def _follow_inwards(self) -> None:
        """Close the range behind joints that began outside and have moved inwards."""
        if self._outside:
            self._set_range(*self._closed_behind(self.state[0], _EDGE))

    def _closed_behind(self, q: Vector, edge: float) -> tuple[Vector, Vector]:
        """Return the range closed to within ``edge`` [rad] behind joints at ``q`` that began outside the limits."""
        lower, upper = self.limits.lower, self.limits.upper
        return np.minimum(lower, np.maximum(self._low, q - edge)), np.maximum(upper, np.minimum(self._high, q + edge))
