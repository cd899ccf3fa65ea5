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

from typing import NamedTuple

import numpy as np
import ruckig
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, refuse
from neon_ros.guard.limits import MotionLimits
from neon_ros.guard.stopping import Vector, coasting_velocity, stop_extent, stop_reach, stop_step

REASONS: tuple[str, ...] = ("", "position", "velocity", "acceleration", "jerk", "torque")
"""Why a joint was held back; the limiter's reason codes are indices of this tuple."""

POSITION, VELOCITY, ACCELERATION, JERK, TORQUE = 1, 2, 3, 4, 5

_PLAN = 1.0 - 1e-3  # share of the jerk limit that plans may use; the rest covers landing on the reference
_LANDED = (1e-10, 1e-8, 1e-6)  # [rad, rad/s, rad/s^2] from the reference: below this the joint is on it
_EDGE = 1e-9  # [rad] kept from the ends of the range, so that rounding cannot cross them
_ROUNDING = 1.0 + 1e-10


class Reference(NamedTuple):
    """Where the joints ought to be at the end of the period.

    :param q: (n,) [rad].
    :param dq: (n,) [rad/s].
    :param ddq: (n,) [rad/s^2].
    :param dddq: jerk at the end of the period (n,) [rad/s^3].
    :param peak_jerk: largest absolute jerk within the period (n,) [rad/s^3].
    """

    q: Vector
    dq: Vector
    ddq: Vector
    dddq: Vector
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
        self.q = np.zeros(self.n)
        self.v = np.zeros(self.n)
        self.a = np.zeros(self.n)
        self.reasons: NDArray[np.int8] = np.zeros(self.n, dtype=np.int8)
        self._on_reference = np.zeros(self.n, dtype=bool)
        self._low = limits.lower.copy()
        self._high = limits.upper.copy()
        self._outside = False
        self._plan_jerk = limits.jerk * _PLAN
        self._top_v, self._top_a = limits.velocity * _ROUNDING, limits.acceleration * _ROUNDING
        self._otg = ruckig.Ruckig(self.n, period) if self.n else None
        self._input = ruckig.InputParameter(self.n)
        self._input.synchronization = ruckig.Synchronization.No
        self._output = ruckig.OutputParameter(self.n)
        self._zeros = [0.0] * self.n

    def start(self, q: Vector) -> None:
        """Begin at rest at ``q`` (n,) [rad]; outside the range it may only move inwards from there."""
        self.q = np.array(q, dtype=np.float64)
        self.v = np.zeros(self.n)
        self.a = np.zeros(self.n)
        self.reasons = np.zeros(self.n, dtype=np.int8)
        self.meet()
        self._low = np.minimum(self.limits.lower, self.q - _EDGE)
        self._high = np.maximum(self.limits.upper, self.q + _EDGE)
        self._outside = True

    def meet(self) -> None:
        """Take the next reference as continuing from the present state, which its maker has seen to."""
        self._on_reference = np.ones(self.n, dtype=bool)

    def part(self) -> None:
        """Take the next reference as unrelated to the present state (a late period, a jump)."""
        self._on_reference = np.zeros(self.n, dtype=bool)

    def stop(self) -> None:
        """Advance one period along the quickest stop."""
        self.q, self.v, self.a = stop_step(
            self.q, self.v, self.a, self.limits.acceleration, self._plan_jerk, self.period
        )
        self.reasons = np.zeros(self.n, dtype=np.int8)
        self.part()
        self._follow_inwards()

    def step(self, reference: Reference) -> None:
        """Advance one period towards ``reference``; the outcome is in ``q``, ``v``, ``a`` and ``reasons``."""
        if not np.isfinite(reference.q.sum() + reference.dq.sum() + reference.ddq.sum() + reference.dddq.sum()):
            self.stop()
            self.reasons[:] = POSITION
            return
        limits, dt = self.limits, self.period
        if self._on_reference.all():
            fits = (
                (reference.peak_jerk <= limits.jerk)
                & (np.abs(reference.ddq - self.a) <= limits.jerk * (dt * _ROUNDING))
                & self._continues(reference)
                & self._safe(reference.q, reference.dq, reference.ddq)
            )
            if fits.all():
                self.q, self.v, self.a = reference.q.copy(), reference.dq.copy(), reference.ddq.copy()
                if self.reasons.any():
                    self.reasons = np.zeros(self.n, dtype=np.int8)
                self._follow_inwards()
                return
        else:
            fits = (
                self._on_reference
                & (reference.peak_jerk <= limits.jerk)
                & (np.abs(reference.ddq - self.a) <= limits.jerk * (dt * _ROUNDING))
                & self._continues(reference)
                & self._safe(reference.q, reference.dq, reference.ddq)
            )
        self._chase(reference, fits)

    def _continues(self, reference: Reference) -> NDArray[np.bool_]:
        """Return which joints a limited jerk can lead from the present state to the reference in one period."""
        dt, jerk = self.period, self.limits.jerk
        expected_v = self.v + self.a * dt
        expected_q = self.q + (self.v + 0.5 * dt * self.a) * dt
        near_v = np.abs(reference.dq - expected_v) <= jerk * (0.5 * dt * dt * _ROUNDING) + 1e-12
        near_q = np.abs(reference.q - expected_q) <= jerk * (dt * dt * dt / 6.0 * _ROUNDING) + 1e-12
        return near_v & near_q

    def _safe(self, q: Vector, v: Vector, a: Vector) -> NDArray[np.bool_]:
        """Return which joints are inside acceleration, velocity and position limits and can stay so."""
        limits = self.limits
        inside = (np.abs(a) <= self._top_a) & (np.abs(v) <= self._top_v)
        inside &= np.abs(coasting_velocity(v, a, self._plan_jerk)) <= self._top_v
        low, high = self._low + _EDGE, self._high - _EDGE
        reach = stop_reach(v, a, limits.acceleration, self._plan_jerk)
        if ((q - reach >= low) & (q + reach <= high)).all():
            return inside
        lowest, highest = stop_extent(q, v, a, limits.acceleration, self._plan_jerk)
        return inside & (lowest >= low) & (highest <= high)

    def _chase(self, reference: Reference, fits: NDArray[np.bool_]) -> None:
        """Advance the joints that do not ``fit`` by the first safe of track, approach and stop."""
        limits, dt = self.limits, self.period
        target = np.clip(reference.q, limits.lower, limits.upper)
        cut = target != reference.q
        wanted_v = np.where(cut, 0.0, reference.dq)
        wanted_a = np.where(cut, 0.0, reference.ddq)
        wanted_j = np.where(cut, 0.0, reference.dddq)
        why = np.full(self.n, JERK, dtype=np.int8)
        why[np.abs(wanted_a) > limits.acceleration] = ACCELERATION
        why[np.abs(wanted_v) > limits.velocity] = VELOCITY
        why[cut] = POSITION

        q, v, a = self._track(target, wanted_v, wanted_a, wanted_j, fits)
        safe = self._safe(q, v, a) | fits
        if not safe.all():
            why[~safe & (np.abs(v) <= self._top_v) & (np.abs(a) <= self._top_a)] = POSITION
            approach = self._approach(target)
            safe_too = self._safe(*approach)
            brake = stop_step(self.q, self.v, self.a, limits.acceleration, self._plan_jerk, dt)
            q, v, a = (
                np.where(safe, first, np.where(safe_too, second, third))
                for first, second, third in zip((q, v, a), approach, brake, strict=True)
            )
        landed = (
            (np.abs(q - reference.q) <= _LANDED[0])
            & (np.abs(v - reference.dq) <= _LANDED[1])
            & (np.abs(a - reference.ddq) <= _LANDED[2])
        ) | fits
        self.q = np.where(landed, reference.q, q)
        self.v = np.where(landed, reference.dq, v)
        self.a = np.where(landed, reference.ddq, a)
        self.reasons = np.where(fits, 0, why).astype(np.int8)
        self._on_reference = landed
        self._follow_inwards()

    def _track(
        self, target: Vector, wanted_v: Vector, wanted_a: Vector, wanted_j: Vector, fits: NDArray[np.bool_]
    ) -> tuple[Vector, Vector, Vector]:
        """Return the state one period along the quickest way onto the moving reference.

        The frame moves with the reference, its rates cut to what leaves room to catch up; relative limits are what
        remains of the absolute ones.
        """
        limits, dt = self.limits, self.period
        frame_v = np.clip(wanted_v, -0.95 * limits.velocity, 0.95 * limits.velocity)
        frame_a = np.clip(wanted_a, -0.9 * limits.acceleration, 0.9 * limits.acceleration)
        frame_j = np.clip(wanted_j, -0.75 * limits.jerk, 0.75 * limits.jerk)
        start_a = frame_a - frame_j * dt
        start_v = frame_v - (start_a + 0.5 * frame_j * dt) * dt
        start_q = target - (start_v + (0.5 * start_a + frame_j * dt / 6.0) * dt) * dt
        relative = self._plan(
            np.where(fits, 0.0, self.q - start_q),
            np.where(fits, 0.0, self.v - start_v),
            np.where(fits, 0.0, self.a - start_a),
            (limits.velocity - frame_v, -limits.velocity - frame_v),
            (limits.acceleration - frame_a, -limits.acceleration - frame_a),
            self._plan_jerk - np.abs(frame_j),
            self._zeros,
        )
        if relative is None:
            return self._nowhere()
        return target + relative[0], frame_v + relative[1], frame_a + relative[2]

    def _approach(self, target: Vector) -> tuple[Vector, Vector, Vector]:
        """Return the state one period along the quickest way to rest at ``target``."""
        limits = self.limits
        state = self._plan(
            self.q,
            self.v,
            self.a,
            (limits.velocity, -limits.velocity),
            (limits.acceleration, -limits.acceleration),
            self._plan_jerk,
            target.tolist(),
        )
        return self._nowhere() if state is None else state

    def _plan(
        self,
        q: Vector,
        v: Vector,
        a: Vector,
        velocity: tuple[Vector, Vector],
        acceleration: tuple[Vector, Vector],
        jerk: Vector,
        target: list[float],
    ) -> tuple[Vector, Vector, Vector] | None:
        """Return Ruckig's state after one period on the way to rest at ``target``; None when it finds no way."""
        if self._otg is None:
            return q, v, a
        wanted = self._input
        wanted.current_position = q.tolist()
        wanted.current_velocity = v.tolist()
        wanted.current_acceleration = a.tolist()
        wanted.max_velocity, wanted.min_velocity = velocity[0].tolist(), velocity[1].tolist()
        wanted.max_acceleration, wanted.min_acceleration = acceleration[0].tolist(), acceleration[1].tolist()
        wanted.max_jerk = jerk.tolist()
        wanted.target_position = target
        try:
            result = self._otg.update(wanted, self._output)
        except ruckig.RuckigError:
            return None
        if result not in (ruckig.Result.Working, ruckig.Result.Finished):
            return None
        out = self._output
        return np.array(out.new_position), np.array(out.new_velocity), np.array(out.new_acceleration)

    def _nowhere(self) -> tuple[Vector, Vector, Vector]:
        """Return a state that is never safe, so that the next candidate is taken."""
        beyond = np.full(self.n, np.inf)
        return beyond, beyond, np.zeros(self.n)

    def _follow_inwards(self) -> None:
        """Close the range behind joints that began outside and have moved inwards."""
        if self._outside:
            self._low = np.minimum(self.limits.lower, np.maximum(self._low, self.q - _EDGE))
            self._high = np.maximum(self.limits.upper, np.minimum(self._high, self.q + _EDGE))
            self._outside = bool((self._low < self.limits.lower).any() or (self._high > self.limits.upper).any())
