"""Keep the arms off the body and off each other: slowed where links come near, stopped before they touch.

Every state that leaves here has, like the limiter's, a way out in reserve: on the quickest stop from it no watched pair
of capsules comes nearer than its threshold.  A candidate of the limiter that would break this is replaced, for the
fewest groups of joints that mend it (left arm, right arm, waist), by one period of their quickest stop from the last
state, whose own stop is the rest of the last one's.  By induction nothing is ever nearer than the threshold.

The stop is judged at its two ends, and between them by levers: a pair whose distances there are ``d0`` and ``d1``, and
whose joints travel ``x`` in between, is never nearer than ``(d0 + d1 - levers x) / 2``.  This alone slows an arm near
the body, since the stop of a fast arm is long.  In addition the speed at which a pair may close falls linearly, from
``_FAST`` at the slow distance to ``_CREEP`` at the stop distance.

A pair that is nearer than the stop distance to begin with (a robot armed with its arms against its body) may only move
apart; the threshold of each pair follows it outwards.  Joints that others move (legs and, in ``whole_body``, the waist,
which keep the balance) are taken where they will be at the end of the period; that they come towards an arm at rest
cannot be prevented here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neon_ros.guard.config import GuardConfig
from neon_ros.guard.limiter import PLAN, Limiter
from neon_ros.guard.limits import MotionLimits
from neon_ros.guard.stopping import Vector, plan_stop, stop_reach
from neon_ros.robot.capsules import body
from neon_ros.robot.joints import NUM_JOINTS

Mask = NDArray[np.bool_]

SLACK = 0.002
"""Kept beyond the stop distance [m], so that an arm at the threshold can still move along it and away."""

_CREEP = 0.05  # [m/s] allowed closing at the threshold
_FAST = 0.5  # [m/s] allowed closing at the slow distance
_ROUNDING = 1e-9  # [m]
_GROUPS = (np.arange(15, 22), np.arange(22, 29), np.arange(12, 15))  # left arm, right arm, waist
_SUBSETS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]], dtype=bool)


class Clearance:
    """Watch the distances between the links of one robot under command.

    :param limits: of the moved joints.
    :param rows: motor indices of the moved joints (n,).
    :param config: stop and slow distance, period, and whether to watch at all.
    :param balancing: whether the moved legs and waist keep the balance and are never held back here.
    """

    def __init__(self, limits: MotionLimits, rows: NDArray[np.intp], config: GuardConfig, balancing: bool) -> None:
        self._watching = config.self_collision
        self._body = body()
        self._rows, self._period = rows, config.period
        self._legs = not np.isin(0, rows)  # moved by the robot's own controller: as measured
        self._own = rows >= (15 if balancing else 12)  # (n,)
        own = rows[self._own]
        self._acceleration, self._jerk = limits.acceleration[self._own], limits.jerk[self._own] * PLAN
        self._own_rows = own
        levers = self._body.levers
        self._levers = levers[:, own]
        self._others = np.setdiff1d(np.arange(NUM_JOINTS), own)
        self._group_of_joint = np.array([np.isin(own, group) for group in _GROUPS])  # (3, own)
        self._group_of_pair = np.array([(levers[:, np.intersect1d(own, group)] > 0).any(axis=1) for group in _GROUPS])
        # An error of a joint's angle moves the end of an arm far and its root little: the stop distance is in proportion.
        farthest = levers[:, 15:].max(axis=1)
        self._stop_distance = config.collision_stop * farthest / farthest.max()
        self._threshold = self._stop_distance + SLACK
        self._slow = config.collision_slow
        self._gain = (_FAST - _CREEP) / (self._slow - self._threshold)
        self._last = self._exact_at = np.zeros(NUM_JOINTS)
        self._exact = self._keep = np.zeros(len(levers))
        self.least = -1.0
        """Least distance of any watched pair now [m], a lower bound while all are far; -1 before :meth:`start`."""

    def start(self, commanded: Vector, measured: Vector) -> None:
        """Begin at rest.

        :param commanded: positions (29,) [rad], of absent joints 0.
        :param measured: positions (29,) [rad], used for legs that are not moved.
        """
        if self._watching:
            self._last = self._exact_at = self._posture(commanded, measured)
            self._exact = self._body.distances(self._last[None])[0]
            self._keep = np.minimum(self._exact, self._threshold)
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
        if self._is_far(q, state):
            self._last = q
            return
        last = q.copy()
        last[self._own_rows] = self._last[self._own_rows]
        end, travel = self._stop(state)
        ahead = q.copy()
        ahead[self._own_rows] = end
        before, now, then = self._body.distances(np.stack([last, q, ahead]))
        self._yield_to_others(last, before)
        refused = ~self._allowed(before, now, then, travel)
        if refused.any():
            q, now = self._brake(limiter, q, last, before, state, (self._group_of_pair & refused).any(axis=1))
        else:
            self._raise_thresholds(now, then, travel)
        self._last = self._exact_at = q
        self._exact = now
        self.least = float(now.min())

    def _posture(self, commanded: Vector, measured: Vector) -> Vector:
        """Return a new configuration (29,) [rad]: as commanded, the legs as measured when they are not."""
        q = commanded.copy()
        if self._legs:
            q[:12] = measured[:12]
        return q

    def _is_far(self, q: Vector, state: Vector) -> bool:
        """Return whether the last exact distances show, by levers alone, that nothing can be refused."""
        moved = self._body.levers.dot(np.abs(q - self._exact_at))
        reach = stop_reach(state[1], state[2], self._acceleration, self._jerk)
        travel, closing = (self._levers @ np.stack([reach, np.abs(state[1])], axis=1)).T
        now = self._exact - moved
        if (now - travel < self._threshold).any():
            return False
        # The mean speed of the period can exceed the speed at its end by what the acceleration changes in it.
        if (closing > self._allowed_closing(now)).any():
            return False
        self._keep = self._threshold
        self.least = float(now.min())
        return True

    def _allowed_closing(self, distance: Vector) -> Vector:
        """Return how fast pairs at ``distance`` (P,) [m] may close [m/s]."""
        allowed = _CREEP + self._gain * np.maximum(distance - self._threshold, 0.0)
        allowed[distance >= self._slow] = np.inf
        return np.asarray(allowed)

    def _allowed(self, before: Vector, now: Vector, then: Vector, travel: Vector) -> Mask:
        """Return which pairs are clear (..., P).

        :param before: distances at the last period's own joints (P,) [m].
        :param now: distances at the candidate (..., P) [m].
        :param then: distances at the end of its stop (..., P) [m].
        :param travel: of each own joint on that stop (..., own) [rad].
        """
        keep = self._keep - _ROUNDING
        between = 0.5 * (now + then - travel @ self._levers.T)
        clear = (np.minimum(now, then) >= keep) & (between >= keep - SLACK)
        return np.asarray(clear & ((before - now) <= self._period * self._allowed_closing(now)))

    def _raise_thresholds(self, now: Vector, then: Vector, travel: Vector) -> None:
        """Let the threshold of each pair follow it outwards, as far as its stop allows."""
        between = 0.5 * (now + then - travel @ self._levers.T)
        reached = np.minimum(np.minimum(now, then), between + SLACK)
        self._keep = np.minimum(np.maximum(self._keep, reached), self._threshold)

    def _yield_to_others(self, last: Vector, before: Vector) -> None:
        """Lower the threshold of pairs that joints moved by others have brought nearer, by what these moved at most."""
        nearer = before < self._keep
        if nearer.any():
            others = self._others
            moved = self._body.levers[:, others].dot(np.abs(last[others] - self._exact_at[others]))
            self._keep = np.where(nearer, np.maximum(before, self._keep - moved), self._keep)

    def _stop(self, state: Vector) -> tuple[Vector, Vector]:
        """Return where the quickest stop of the own joints ends and how far each travels on the way (own,) [rad].

        :param state: position, velocity, acceleration (3, own).
        """
        jerk = self._jerk
        stop = plan_stop(state[1], state[2], self._acceleration, jerk)
        t1, t2, p = stop.t1, stop.t2, stop.peak
        x1 = t1 * (stop.v + t1 * (0.5 * stop.a - t1 * jerk / 6.0))
        v1 = stop.v + t1 * (stop.a - 0.5 * t1 * jerk)
        end = x1 + t2 * (v1 - 0.5 * p * t2) + p * p * p / (6.0 * jerk * jerk)
        # A joint that moves against the mirrored direction at first turns round inside the first phase.
        turn = (stop.a - np.sqrt(np.maximum(stop.a * stop.a + 2.0 * jerk * np.minimum(stop.v, 0.0), 0.0))) / jerk
        turn = np.where(stop.v < 0.0, turn, 0.0)
        back = turn * (stop.v + turn * (0.5 * stop.a - turn * jerk / 6.0))
        return state[0] + stop.sign * end, end - 2.0 * back

    def _brake(
        self, limiter: Limiter, q: Vector, last: Vector, before: Vector, state: Vector, groups: Mask
    ) -> tuple[Vector, Vector]:
        """Make the fewest groups of joints brake that leave every pair clear; all of them always do.

        :param groups: those with a refused pair (3,).
        :returns: the configuration taken (29,) and its distances (P,).
        """
        subsets = _SUBSETS[~(_SUBSETS & ~groups).any(axis=1)]
        everything = self._group_of_joint.any(axis=1)
        if not np.array_equal(subsets[-1], everything):
            subsets = np.concatenate([subsets, everything[None]])
        held = subsets @ self._group_of_joint  # (K, own)
        braked = limiter.braked()[:, self._own]
        states = np.where(held[:, None], braked, state)  # (K, 3, own)
        stops = [self._stop(option) for option in states]
        configurations = np.repeat(q[None], 2 * len(states), axis=0)
        configurations[:, self._own_rows] = np.concatenate([states[:, 0], [end for end, _ in stops]])
        distances = self._body.distances(configurations)
        now, then = distances[: len(states)], distances[len(states) :]
        travel = np.array([travel for _, travel in stops])
        clear = self._allowed(before, now, then, travel).all(axis=1)
        clear[-1] = True  # the rest of the last state's stop
        choice = int(clear.argmax())
        mask = np.zeros(len(self._rows), dtype=bool)
        mask[self._own] = held[choice]
        limiter.brake(mask)
        return configurations[choice], now[choice]
