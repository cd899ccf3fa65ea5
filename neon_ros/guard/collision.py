"""Keep the arms off the body and off each other: slowed where links come near, stopped before they touch.

Every state that leaves here has, like the limiter's, a way out in reserve: on the quickest stop from it no watched pair
of capsules comes nearer than its stop distance.  A candidate of the limiter that would break this is refused; then
joints advance one period of their quickest stop from the last state instead: those that bring the pair nearer, as far
as that is known, else all of the arms concerned, else all.  The last always does, since the stop from there is the rest
of the last state's.  By induction nothing is ever nearer than the stop distance, and an arm at the body slides along it
or leaves.  Which joints bring it nearer is found out in a period that needs no second look: no period takes long.

The stop is judged at its two ends, and between them by levers: a pair whose distances there are ``d0`` and ``d1``, and
whose joints travel ``x`` in between, is never nearer than ``(d0 + d1 - levers x) / 2``.  This alone slows an arm near
the body, since the stop of a fast arm is long.  In addition the speed at which a pair may close falls linearly, from
``_FAST`` at the slow distance to ``_CREEP`` at the stop distance.

A pair that is nearer than that to begin with (a robot armed with its arms against its body) may come nearer by no more
than twice its slack, and the threshold follows it outwards.  Joints that others move (legs and, in ``whole_body``, the
waist, which keep the balance) are taken where they will be at the end of the period; that they come towards an arm at
rest cannot be prevented here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.guard.config import GuardConfig
from neon_ros.guard.limiter import PLAN, Limiter
from neon_ros.guard.limits import MotionLimits
from neon_ros.guard.stopping import Vector, stop_reach
from neon_ros.robot.capsules import body
from neon_ros.robot.joints import NUM_JOINTS

Mask = NDArray[np.bool_]

SLACK = 0.002
"""Kept beyond the stop distance of a hand [m], so that an arm at the threshold can still move along it and away.

Of other links in proportion to their lever, as their stop distance is to the square of it."""

_CREEP = 0.05  # [m/s] allowed closing at the threshold
_FAST = 0.5  # [m/s] allowed closing at the slow distance
_ROUNDING = 1e-9  # [m]
_TINY = 1e-12  # [rad/s^2]
_PAUSE = 8  # periods
_NUDGE = 1e-6  # [rad]
_TURN = 2.0 * math.sqrt(2.0) / 3.0  # see stopping.Stop.extent


class _Options(NamedTuple):
    """What comes of K ways to go on.

    :param q: configuration at the end of the period (K, 29) [rad].
    :param before: distances where the own joints were before it (P,) [m].
    :param now: distances there (K, P) [m].
    :param reached: least distance from there on, with the slack granted between the ends of the stop (K, P) [m].
    :param clear: whether the pair may (K, P).
    """

    q: Vector
    before: Vector
    now: Vector
    reached: Vector
    clear: Mask


class Clearance:
    """Watch the distances between the links of one robot under command.

    :param limits: of the moved joints.
    :param rows: motor indices of the moved joints (n,).
    :param config: stop and slow distance, period, and whether to watch at all.
    :param balancing: whether the moved legs and waist keep the balance and are never held back here.
    :param mode_machine: of the variant, whose wrists count.
    """

    def __init__(
        self, limits: MotionLimits, rows: NDArray[np.intp], config: GuardConfig, balancing: bool, mode_machine: int
    ) -> None:
        self._watching = config.self_collision
        self._body = body(mode_machine)
        self._rows, self._period = rows, config.period
        self._legs = not np.isin(0, rows)  # moved by the robot's own controller: as measured
        self._own: Mask = np.asarray(rows >= (15 if balancing else 12))  # (n,)
        own = rows[self._own]
        self._acceleration, self._jerk = limits.acceleration[self._own], limits.jerk[self._own] * PLAN
        self._per_jerk = 1.0 / self._jerk
        self._nothing = np.zeros((1, len(own)), dtype=bool)
        self._likely: Mask | None = None
        self._sliding: Mask | None = None
        self._misses = self._pressed = 0
        self._own_rows = own
        levers = self._body.levers
        self._levers_transposed = np.ascontiguousarray(levers[:, own].T)
        self._involved = self._levers_transposed > 0.0  # (own, P)
        self._others = np.setdiff1d(np.arange(NUM_JOINTS), own)
        self._levers_of_others = np.ascontiguousarray(levers[:, self._others])
        self._others_move = balancing or self._legs
        # An error of an angle moves the end of an arm far, its root little, and adds up along it: hence the square.
        farthest = levers[:, 15:].max(axis=1)
        share = farthest / farthest.max()
        self._stop_distance = config.collision_stop * share**2
        self._slack = SLACK * share
        self._threshold = self._stop_distance + self._slack
        self._slow = config.collision_slow
        self._gain = (_FAST - _CREEP) / (self._slow - self._threshold)
        self._last = self._exact_at = self._clear_at = np.zeros(NUM_JOINTS)
        self._exact = self._keep = np.zeros(len(levers))
        self.least = -1.0
        """Least distance of any watched pair now [m], a lower bound while all are far; -1 before :meth:`start`."""

    def start(self, commanded: Vector, measured: Vector) -> None:
        """Begin at rest.

        :param commanded: positions (29,) [rad], of absent joints 0.
        :param measured: positions (29,) [rad], used for legs that are not moved.
        """
        if self._watching:
            self._last = self._exact_at = self._clear_at = self._posture(commanded, measured)
            self._likely, self._sliding, self._misses, self._pressed = None, None, 0, 0
            self._exact = self._body.distances(self._last[None])[0]
            self._keep = np.minimum(self._exact - self._slack, self._threshold)
            self.least = float(self._exact.min())

    def follow(self, limiter: Limiter, commanded: Vector, measured: Vector) -> None:
        """Take note of a period of the quickest stop, or of rest, which needs no leave; parameters as for ``start``."""
        if not self._watching:
            return
        q = self._last = self._posture(commanded, measured)
        q[self._rows] = limiter.state[0]
        lowest = self._exact - self._body.levers.dot(np.abs(q - self._exact_at))
        self.least = float(lowest.min())

    def hold_back(self, limiter: Limiter, commanded: Vector, measured: Vector) -> None:
        """Let ``limiter`` keep the state it has just taken, or make groups of its joints brake instead.

        Parameters as for :meth:`start`.
        """
        if not self._watching:
            return
        q = self._posture(commanded, measured)
        q[self._rows] = limiter.state[0]
        state = limiter.state[:, self._own]
        # Twice in a row not far, the second time by fresh distances: it will not be for some periods either.
        if (self._misses < 2 or self._misses % _PAUSE == 0) and self._is_far(q, state):
            self._last, self._likely, self._sliding, self._misses, self._pressed = q, None, None, 0, 0
            return
        self._misses += 1
        last = q.copy()
        last[self._own_rows] = self._last[self._own_rows]
        # An arm that presses on is refused period after period: its braking is then looked at in the same breath.
        held = self._nothing if self._likely is None else np.stack([self._nothing[0], self._likely])
        options = self._look(q, last, state, held, limiter)
        clear = np.asarray(options.clear.all(axis=1))
        if clear[0]:
            self._likely, self._pressed = None, 0
            self._keep = np.minimum(np.maximum(self._keep, options.reached[0] - self._slack), self._threshold)
            self._settle(options, 0)
            return
        if clear[-1]:  # never both a second look and a search: the worst period is what counts
            choice, likely = 1, held[1]
            if self._pressed % _PAUSE == 1:
                likely = self._sliding = self._nearing(options, state)
        else:
            refused = ~options.clear[0]
            held = self._ways_out(np.asarray(self._involved[:, refused].any(axis=1)))
            options = self._look(q, last, state, held, limiter, options.before)
            clear = np.asarray(options.clear.all(axis=1))
            clear[-1] = True  # the rest of the last state's stop
            choice = int(clear.argmax())
            likely = held[choice]
        self._likely, self._pressed = likely, self._pressed + 1
        mask = np.zeros(len(self._rows), dtype=bool)
        mask[self._own] = held[choice]
        limiter.brake(mask)
        self._settle(options, choice)

    def _settle(self, options: _Options, choice: int) -> None:
        """Take note of what one of the ``options`` has come to."""
        self._last = self._exact_at = options.q[choice]
        self._exact = options.now[choice]
        self.least = float(self._exact.min())

    def _posture(self, commanded: Vector, measured: Vector) -> Vector:
        """Return a new configuration (29,) [rad]: as commanded, the legs as measured when they are not."""
        q = commanded.copy()
        if self._legs:
            q[:12] = measured[:12]
        return q

    def _is_far(self, q: Vector, state: Vector) -> bool:
        """Return whether the last exact distances show, by levers alone, that nothing can be refused."""
        _, v, a = state
        parts = np.empty((3, len(v)))
        moved, travel, speed = parts
        np.abs(v, out=speed)
        travel[:] = stop_reach(v, a, self._acceleration, self._jerk)
        np.abs(q[self._own_rows] - self._exact_at[self._own_rows], out=moved)
        moved, travel, speed = parts @ self._levers_transposed  # (3, P)
        now = self._exact - moved
        if self._others_move:
            now -= self._levers_of_others.dot(np.abs(q - self._exact_at)[self._others])
        if np.count_nonzero(now - travel < self._threshold):
            return False
        fast = speed > _CREEP + self._gain * (now - self._threshold)
        if np.count_nonzero(fast) and np.count_nonzero(fast & (now < self._slow)):
            return False
        self._keep = self._threshold
        self.least = float(now.min())
        return True

    def _allowed_closing(self, distance: Vector) -> Vector:
        """Return how fast pairs at ``distance`` (..., P) [m] may close [m/s]."""
        allowed = _CREEP + self._gain * np.maximum(distance - self._threshold, 0.0)
        allowed[distance >= self._slow] = np.inf
        return np.asarray(allowed)

    def _look(
        self, q: Vector, last: Vector, state: Vector, held: Mask, limiter: Limiter, before: Vector | None = None
    ) -> _Options:
        """Judge what comes of letting joints brake.

        :param q: configuration of the candidate (29,) [rad].
        :param last: the own joints where they were, all others as in ``q`` (29,) [rad].
        :param state: candidate of the own joints (3, own).
        :param held: which own joints brake, by option (K, own).
        :param before: the distances at ``last`` (P,) [m], where they are known.
        """
        options, states = len(held), state[None]
        if held is not self._nothing:
            states = np.where(held[:, None], limiter.braked()[:, self._own], states)
        end, travel = self._stop(states)
        configurations = np.empty((2 * options + (before is None), NUM_JOINTS))
        configurations[:] = q
        configurations[:options, self._own_rows] = states[:, 0]
        configurations[options : 2 * options, self._own_rows] = end
        if before is None:
            configurations[-1] = last
        distances = self._body.distances(configurations)
        now, then = distances[:options], distances[options : 2 * options]
        before = distances[-1] if before is None else before
        keep = self._nearest(last, before) - _ROUNDING
        reached = np.minimum(np.minimum(now, then), 0.5 * (now + then - travel @ self._levers_transposed) + self._slack)
        clear = np.asarray(reached >= keep)
        slow = (before - now) <= self._period * self._allowed_closing(now)
        if held is self._nothing:
            clear &= slow
        else:
            # A pair of which every joint brakes needs no leave; one that closes too fast is mended by braking some.
            braking = np.asarray(held.any(axis=1))[:, None]
            clear |= braking & ~(~held @ self._involved)
            clear &= braking | slow
        return _Options(configurations[:options], before, now, reached, clear)

    def _nearest(self, last: Vector, before: Vector) -> Vector:
        """Return how near each pair may come (P,) [m]: not nearer than joints moved by others have brought it.

        What these may have brought is bounded by how far they are from where they were when all was clear, so that
        neither noise of their measurement nor a stop that passes closely adds up.
        """
        nearer = before < self._keep
        if not self._others_move or not nearer.any():
            self._clear_at = last
            return self._keep
        moved = self._levers_of_others.dot(np.abs(last - self._clear_at)[self._others])
        return np.where(nearer, np.maximum(before, self._keep - moved), self._keep)

    def _stop(self, states: Vector) -> tuple[Vector, Vector]:
        """Return where the quickest stop of the own joints ends and how far each travels on the way (K, own) [rad].

        :param states: positions, velocities, accelerations (K, 3, own).
        """
        # As stopping.plan_stop and Stop.extent, written for few operations.
        v, a = states[:, 1], states[:, 2]
        ramp = a * self._per_jerk
        turned = 0.5 * a * ramp
        sign = np.copysign(1.0, v + np.copysign(turned, a))
        speed = np.maximum(v * sign + turned, 0.0)
        peak = np.minimum(np.sqrt(speed * self._jerk), self._acceleration)
        t3 = peak * self._per_jerk
        t2 = np.maximum(speed - peak * t3, 0.0) / (peak + _TINY)
        ramp *= sign
        begun = ramp * (speed - turned / 3.0)
        end = begun + speed * (t3 + 0.5 * t2)
        travel = end
        backwards = v * sign < 0.0
        if np.count_nonzero(backwards):
            # A joint that moves against the mirrored direction at first turns round inside the first phase.
            turn = begun - _TURN * speed * np.sqrt(speed * self._per_jerk)
            travel = end - 2.0 * np.minimum(turn, 0.0) * backwards
        return states[:, 0] + sign * end, travel

    def _ways_out(self, involved: Mask) -> Mask:
        """Return which own joints may brake to mend a refused candidate, the least first, all of them last (K, own).

        :param involved: those of the arms of a refused pair (own,).
        """
        everything = ~self._nothing[0]
        if self._sliding is None:
            return np.stack([involved, everything])
        return np.stack([self._sliding, involved, everything])

    def _nearing(self, options: _Options, state: Vector) -> Mask:
        """Return which own joints bring a refused pair nearer (own,).

        When only these brake an arm slides along the body, and what leads away goes on.

        :param options: whose first is the candidate.
        :param state: candidate of the own joints (3, own).
        """
        refused = np.flatnonzero(~options.clear[0])
        moving = np.flatnonzero(self._involved[:, refused].any(axis=1))
        nudged = np.repeat(options.q[:1], len(moving), axis=0)
        nudged[np.arange(len(moving)), self._own_rows[moving]] += _NUDGE
        slope = self._body.distances(nudged, refused) - options.now[0, refused]  # (moving, refused)
        nearing = self._nothing[0].copy()
        nearing[moving] = (slope * state[1, moving, None] < 0.0).any(axis=1)
        return nearing
