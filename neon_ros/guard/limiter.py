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
from neon_ros.guard.stopping import (
    Stop,
    Vector,
    advance_stop,
    extent_of,
    plan_stop,
    stop_extent,
    stop_reach,
    stop_step,
)

REASONS: tuple[str, ...] = ("", "position", "velocity", "acceleration", "jerk", "torque", "collision")
"""Why a joint was held back; the limiter's reason codes are indices of this tuple."""

POSITION, VELOCITY, ACCELERATION, JERK, TORQUE, COLLISION = range(1, len(REASONS))

PLAN = 1.0 - 1e-3
"""Share of the jerk limit that plans and stops may use; the rest covers landing on the reference."""

_LANDED = np.array([[1e-10], [1e-8], [1e-6]])  # [rad, rad/s, rad/s^2] from the reference: below this the joint is on it
_EDGE = 1e-9  # [rad] kept from the ends of the range, so that rounding cannot cross them
_NOWHERE = 1e6  # [rad] a position that is never safe
_ROUNDING = 1.0 + 1e-10
_STATE, _FREE = 5, 9  # rows of Limiter._judge: from here on the state itself; the bound on where a stop can lead


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
        self.limits = limits
        self.period = period
        self.n = len(limits.lower)
        self.state = np.zeros((3, self.n))
        self.reasons: NDArray[np.int8] = np.zeros(self.n, dtype=np.int8)
        self.part()
        self._fastest = limits.velocity
        self._derated: Vector | float = 1.0
        velocity, acceleration, jerk = limits.velocity, limits.acceleration, limits.jerk
        self._plan_jerk = jerk * PLAN
        self._half_per_jerk = 0.5 / self._plan_jerk
        self._rates = np.stack([velocity, acceleration])
        self._frame_rates = np.stack([0.95 * velocity, 0.9 * acceleration, 0.49 * jerk])  # the rest is left to catch up
        self._steep = 0.9 * acceleration
        self._frame_speed, self._frame_acceleration = 0.97 * velocity, 0.95 * acceleration
        # The stop reaches at most (|v| + |a| A / (2 j)) * (longest stop), a bound linear in |a| and |v|.
        fastest = velocity + acceleration**2 / (2.0 * self._plan_jerk)
        longest = stop_reach(fastest, np.zeros(self.n), acceleration, self._plan_jerk) / fastest
        longest = longest + acceleration / self._plan_jerk
        self._reach = np.stack([longest * acceleration / (2.0 * self._plan_jerk), longest])
        # What _judge compares with; a limited jerk leads to within ``spread`` of where constant acceleration would.
        dt, top = period, self._rates * _ROUNDING
        spread = np.stack([jerk * dt**3 / 6.0, jerk * dt**2 / 2.0, jerk * dt]) * _ROUNDING + 1e-12
        self._bounds = np.vstack([spread, jerk, jerk, top[::-1], top[0] * dt, top[0], np.zeros(self.n)])
        self._set_range(limits.lower, limits.upper)
        self._before = self.state, self._low, self._high
        self._otg = ruckig.Ruckig(self.n, period)
        self._input = ruckig.InputParameter(self.n)
        self._input.synchronization = ruckig.Synchronization.No
        self._output = ruckig.OutputParameter(self.n)
        self._at_rest = [0.0] * self.n
        self._whole_rates = [*self._rates.tolist(), *(-self._rates).tolist(), self._plan_jerk.tolist()]

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
        if part is self._derated:
            return
        self._derated = part
        velocity = self._fastest * (part if isinstance(part, float) else part[rows])
        self.limits = replace(self.limits, velocity=velocity)
        self._rates[0], self._frame_rates[0], self._frame_speed = velocity, 0.95 * velocity, 0.97 * velocity
        top = velocity * _ROUNDING
        self._bounds[_STATE + 1 : _FREE] = top, top * self.period, top
        self._whole_rates = [*self._rates.tolist(), *(-self._rates).tolist(), self._plan_jerk.tolist()]

    def meet(self) -> None:
        """Take the next reference as continuing from the present state, which its maker has seen to."""
        self._on_reference = np.ones(self.n, dtype=bool)

    def part(self) -> None:
        """Take the next reference as unrelated to the present state (a late period, a jump)."""
        self._on_reference = np.zeros(self.n, dtype=bool)

    def stop(self) -> None:
        """Advance one period along the quickest stop."""
        if np.count_nonzero(self.state[1:]):
            q, v, a = self.state
            self.state = stop_step(q, v, a, self.limits.acceleration, self._plan_jerk, self.period)
            self._follow_inwards()
        self.reasons = np.zeros(self.n, dtype=np.int8)
        self.part()

    def step(self, reference: Reference) -> None:
        """Advance one period towards ``reference``; the outcome is in ``state`` and ``reasons``."""
        derivatives = reference.derivatives
        self._before = self.state, self._low, self._high
        within = self._judge(derivatives, reference.peak_jerk)
        if np.count_nonzero(within) != within.size or np.count_nonzero(self._on_reference) != self.n:
            if not np.isfinite(derivatives).all():
                self.stop()
                self.reasons[:] = POSITION
                return
            passes = np.logical_and.reduce(within[:_FREE]) & self._on_reference
            passes = self._viable(derivatives, within, passes)
            if np.count_nonzero(passes) != self.n:
                self._chase(derivatives, within, passes)
                return
        self.state = derivatives[:3]
        if np.count_nonzero(self.reasons):
            self.reasons = np.zeros(self.n, dtype=np.int8)
        self._follow_inwards()

    def braked(self) -> Vector:
        """Return the state one period along the quickest stop from before the last step (3, n)."""
        q, v, a = self._before[0]
        return stop_step(q, v, a, self.limits.acceleration, self._plan_jerk, self.period)

    def brake(self, joints: NDArray[np.bool_]) -> None:
        """Undo the last step of ``joints`` (n,): one period of their quickest stop takes its place."""
        _, low, high = self._before
        self.state = np.where(joints, self.braked(), self.state)
        self.reasons = np.where(joints, np.int8(COLLISION), self.reasons)
        self._on_reference = self._on_reference & ~joints
        self._set_range(np.where(joints, low, self._low), np.where(joints, high, self._high))
        self._follow_inwards()

    def _judge(self, derivatives: Vector, peak_jerk: Vector) -> NDArray[np.bool_]:
        """Return what of a reference is within its bound (10, n), each row necessary for it to pass.

        Three rows: the motion since the present state is one of a limited jerk; two: its jerk; five: its state.
        """
        dt = self.period
        sizes = np.empty((len(self._bounds), self.n))
        moved = derivatives[:3] - self.state
        moved[:2] -= dt * self.state[1:]
        moved[0] -= (0.5 * dt * dt) * self.state[2]
        np.abs(moved, out=sizes[:3])
        sizes[3] = peak_jerk
        np.abs(derivatives[3], out=sizes[4])
        self._measure(derivatives[:3], sizes[_STATE:])
        steep = sizes[_STATE] > self._steep
        if np.count_nonzero(steep):  # falling from there, the acceleration may have had its peak within the period
            falling = steep & (np.signbit(derivatives[2]) != np.signbit(derivatives[3]))
            sizes[_STATE] += np.where(falling, dt * sizes[4], 0.0)
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

    def _viable(self, state: Vector, within: NDArray[np.bool_], joints: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which of ``joints`` (n,) can stop inside the range from ``state``, by the bound or else exactly."""
        free = within[_FREE]
        if not np.count_nonzero(joints & ~free):
            return joints
        low, high = stop_extent(state[0], state[1], state[2], self.limits.acceleration, self._plan_jerk)
        return np.asarray(joints & (free | ((low >= self._lowest) & (high <= self._highest))))

    def _chase(self, derivatives: Vector, within: NDArray[np.bool_], passes: NDArray[np.bool_]) -> None:
        """Advance the joints that do not pass by the first safe of track, approach and stop."""
        limits, wanted = self.limits, derivatives[:3]
        q = np.minimum(np.maximum(derivatives[0], limits.lower), limits.upper)
        cut = q != derivatives[0]
        state = self._track(derivatives, q, cut, ~passes)
        sizes = np.empty((5, self.n))
        self._measure(state, sizes)
        inside = sizes <= self._bounds[_STATE:]
        safe = np.logical_and.reduce(inside) | passes
        why = self._reasons(derivatives, cut)
        if np.count_nonzero(safe) != self.n:
            state, safe = self._fall_back(state, inside, safe, q)
            why[~safe & inside[0] & inside[1]] = POSITION
        # A joint next to its reference lands on it, if that is safe as well.
        landed = np.logical_and.reduce(np.abs(state - wanted) <= _LANDED) & np.logical_and.reduce(within[_STATE:_FREE])
        landed = self._viable(wanted, within, landed) | passes
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
        self, track: Vector, inside: NDArray[np.bool_], safe: NDArray[np.bool_], target: Vector
    ) -> tuple[Vector, NDArray[np.bool_]]:
        """Replace what is not safe of ``track`` by approach or stop.

        :param inside: as measured of ``track`` (5, n).
        :param safe: joints that need no further proof (n,).
        :returns: the state (3, n) and where ``track`` was safe (n,).
        """
        limits, jerk = self.limits, self._plan_jerk
        approach = self._plan([*self.state.tolist(), *self._whole_rates], target.tolist(), ~safe)
        sizes = np.empty((5, self.n))
        self._measure(approach, sizes)
        near = sizes <= self._bounds[_STATE:]
        states = np.stack([track, approach, self.state], axis=1)  # (3, 3 states, n)
        stops = plan_stop(states[1], states[2], limits.acceleration, jerk)
        low, high = extent_of(stops, jerk)
        viable = (states[0] + low >= self._lowest) & (states[0] + high <= self._highest)
        safe = safe | (np.logical_and.reduce(inside[:-1]) & (inside[-1] | viable[0]))
        good = np.logical_and.reduce(near[:-1]) & (near[-1] | viable[1])
        if np.count_nonzero(safe | good) != self.n:
            brake = advance_stop(Stop(*(part[2] for part in stops)), jerk, self.period)
            brake[0] += self.state[0]
            approach = np.where(good, approach, brake)
        return np.where(safe, track, approach), safe

    def _track(self, derivatives: Vector, target: Vector, cut: NDArray[np.bool_], joints: NDArray[np.bool_]) -> Vector:
        """Return the state one period along the quickest way of ``joints`` onto the moving reference (3, n).

        The frame moves with the reference, its rates cut to what leaves room to catch up; relative limits are what the
        frame, anywhere within the period, leaves of the absolute ones.

        :param target: position of the reference, cut to the range (n,); where it was ``cut`` the frame is at rest.
        """
        dt = self.period
        frame = np.zeros((6, self.n))  # position and all its derivatives
        frame[0] = target
        rates = frame[1:4]
        np.minimum(derivatives[1:], self._frame_rates, out=rates)
        np.maximum(rates, -self._frame_rates, out=rates)
        if np.count_nonzero(cut):
            rates *= ~cut
        velocity, acceleration, jerk = rates
        # A frame that was beyond the limits when the period began moves with less of its rates.
        jerk *= np.abs(acceleration - jerk * dt) <= self._frame_acceleration
        slow = np.abs(velocity - (acceleration - 0.5 * dt * jerk) * dt) <= self._frame_speed
        frame[2:4] *= slow
        start = frame[:3] - dt * (frame[1:4] - (dt / 2.0) * (frame[2:5] - (dt / 3.0) * frame[3:]))
        highest, lowest = np.maximum(rates[:2], start[1:]), np.minimum(rates[:2], start[1:])
        size = np.abs(jerk)
        bend = size * (dt * dt / 8.0)  # between its ends the frame may be a little faster
        highest[0] += bend
        lowest[0] -= bend
        plan = np.empty((8, self.n))
        plan[:3] = self.state - start
        plan[3:5] = self._rates - highest
        plan[5:7] = -self._rates - lowest
        plan[7] = self._plan_jerk - size
        return frame[:3] + self._plan(plan.tolist(), self._at_rest, joints)

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

    def _set_range(self, low: Vector, high: Vector) -> None:
        """Let the joints stop anywhere between ``low`` and ``high`` (n,) [rad], less what rounding needs."""
        self._low, self._high = low, high
        self._lowest, self._highest = low + _EDGE, high - _EDGE
        self._middle = 0.5 * (low + high)
        self._bounds[_FREE] = 0.5 * (high - low) - _EDGE
        self._outside = bool((low < self.limits.lower).any() or (high > self.limits.upper).any())

    def _follow_inwards(self) -> None:
        """Close the range behind joints that began outside and have moved inwards."""
        if self._outside:
            q, limits = self.state[0], self.limits
            self._set_range(
                np.minimum(limits.lower, np.maximum(self._low, q - _EDGE)),
                np.maximum(limits.upper, np.minimum(self._high, q + _EDGE)),
            )
