"""The experts' common engine: a task says how palms, waist and base shall move now, the engine makes chunks of it.

Like the expert of `touch` the engine keeps no memory: a task's aim is a function of the present state, and the next
16 steps come from letting that state move as aimed.  Many states are answered at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.learn.expert import DT, FIRST, HORIZON, JOINTS, POSTURE, Expert, ExpertRules, arm_velocity
from neon_ros.robot.gains import gains
from neon_ros.sim.model import MIRROR

Array = NDArray[np.float64]
_OF_THINGS = ("centre", "top", "velocity", "half", "turn", "round")
PALM_IN = np.array(
    [-0.5, 0.95, -1.2, 0.25, -0.95, -0.95, 0.9]
)  # [rad] left arm: elbow up and out, palm facing the other hand


@dataclass(frozen=True)
class Situation:
    """What the experts know of B states, in the pelvis frame.

    :param q: joints (B, 29) [rad]; ``dq`` their velocities [rad/s].
    :param centre: of the things (B, 3, 3) [m]; ``top`` their highest points above the centres.
    :param velocity: of the things in the world (B, 3, 3) [m/s].
    :param half: half extents of the things (B, 3, 3) [m].
    :param turn: yaw of the things (B, 3) [rad]; ``round`` whether it makes no difference (B, 3).
    :param mark: centre of the mark on the table (B, 3) [m]; zeros where there is none.
    :param table: where the origin of the table's frame is: x, y [m], yaw [rad], (B, 3).
    """

    q: Array
    dq: Array
    centre: Array
    top: Array
    velocity: Array
    half: Array
    turn: Array
    round: NDArray[np.bool_]
    mark: Array
    table: Array

    @staticmethod
    def stack(parts: Sequence[Situation]) -> Situation:
        """Return several situations as one."""
        return Situation(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Situation)))

    def repeat(self, times: int) -> Situation:
        """Return each state ``times`` times in a row."""
        return Situation(*(np.repeat(getattr(self, f.name), times, axis=0) for f in fields(Situation)))


@dataclass(frozen=True)
class Moment:
    """One instant of B states as a task's aim sees them; ``thing`` is the one that is meant.

    :param side: +1 left, -1 right (B,).
    :param row: of the commanded hand in arrays of both (B,).
    :param palm: positions of both palms (B, 2, 3) [m]; ``rotation`` of both hands (B, 2, 3, 3).
    :param upper: the 17 joints (B, 17) [rad].
    """

    side: Array
    row: NDArray[np.intp]
    palm: Array
    rotation: Array
    upper: Array
    centre: Array
    top: Array
    velocity: Array
    half: Array
    turn: Array
    round: NDArray[np.bool_]
    mark: Array
    table: Array

    @property
    def own(self) -> Array:
        """Palm of the commanded hand (B, 3) [m]."""
        return np.asarray(self.palm[np.arange(len(self.row)), self.row])


@dataclass
class Aim:
    """How B robots shall move now.

    :param palm: velocities of both palms (B, 2, 3) [m/s].
    :param fingers: where the fingers shall point (B, 2, 3); ``back`` where the back of the hand shall face.
    :param active: which arms move so; the others return to the ready pose (B, 2).
    :param waist: where the three joints of the waist shall be (B, 3) [rad].
    :param base: velocity of the base (B, 3) [m/s, m/s, rad/s].
    :param force: with which each hand shall press (B, 2, 3) [N].
    :param carry: velocity of the thing that is meant, beyond its own (B, 3) [m/s].
    """

    palm: Array
    fingers: Array
    back: Array
    active: NDArray[np.bool_]
    waist: Array
    base: Array
    force: Array
    carry: Array

    @staticmethod
    def still(moment: Moment, waist: Array) -> Aim:
        """Return the aim of a robot that only takes its ready pose, palms down, its waist at ``waist`` (B, 3) [rad]."""
        batch = len(moment.side)
        zeros = np.zeros((batch, 2, 3))
        pitch = ExpertRules().pitch
        return Aim(
            palm=zeros.copy(),
            fingers=np.tile([np.cos(pitch), 0.0, -np.sin(pitch)], (batch, 2, 1)),
            back=np.tile([np.sin(pitch), 0.0, np.cos(pitch)], (batch, 2, 1)),
            active=np.zeros((batch, 2), dtype=bool),
            waist=waist,
            base=np.zeros((batch, 3)),
            force=zeros.copy(),
            carry=np.zeros((batch, 3)),
        )


class Hands:
    """Make chunks of a task's aim.

    :param model: any compiled model with the robot.
    :param kp: see :class:`neon_ros.learn.expert.Expert`.
    :param aim: says how to move; gets the moment and the waist of the ready pose, turned as `touch` turns it.
    :param posture: of the left arm, to which the freedom is drawn that the palms leave (7,) [rad].
    :param weight: of the direction of a hand against its position [m/rad].
    :param shares: weights of the fingers' direction and of that of the back of the hand.
    :param rules: of the arms' inverse kinematics.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        kp: Array | None,
        aim: Callable[[Moment, Array], Aim],
        posture: Array = POSTURE,
        weight: float | None = None,
        shares: tuple[float, float] = (0.3, 1.0),
        rules: ExpertRules | None = None,
    ) -> None:
        self.core = Expert(model, kp, rules)
        self._stiffness = (gains("arm_sdk").kp if kp is None else kp)[FIRST:]
        self._aim = aim
        self._posture = np.stack([posture, posture * MIRROR])
        self._weight, self._shares = weight, shares

    def chunks(self, situation: Situation, hand: NDArray[np.intp], thing: NDArray[np.intp]) -> tuple[Array, Array]:
        """Return targets (B, 16, 17) [rad] and base velocities (B, 16, 3); see :class:`TaskExpert`."""
        core, rules, batch = self.core, self.core.rules, len(hand)
        rows = np.arange(batch)
        now = np.array(situation.q[:, FIRST:])
        speed = np.clip(situation.dq[:, FIRST:], -rules.joint_speed, rules.joint_speed)
        side = np.where(hand == 0, 1.0, -1.0)
        meant = {name: getattr(situation, name)[rows, thing].copy() for name in _OF_THINGS}
        meant["mark"], meant["table"] = situation.mark.copy(), situation.table.copy()
        ready = np.tile(core.ready[FIRST:], (batch, 1))
        out, base = np.empty((batch, HORIZON, len(JOINTS))), np.empty((batch, HORIZON, 3))
        forces = []
        for step in range(HORIZON):
            out[:, step] = now
            palm, rotation, linear, angular = self._both(now)
            moment = Moment(side, hand, palm, rotation, now, **meant)
            aim = self._aim(moment, self._waist(ready, side, meant["top"]))
            base[:, step] = aim.base
            wanted = rules.return_gain * (ready - now)
            wanted[:, :3] = rules.return_gain * (aim.waist - now[:, :3])
            wanted = np.clip(wanted, -0.6, 0.6)
            wanted[:, 3:] = self._arms(now, wanted, aim, rotation, linear, angular)
            change = rules.acceleration * DT
            speed = speed + np.clip(wanted - speed, -change, change)
            now = np.clip(now + speed * DT, core.lower, core.upper)
            _go_on(meant, aim)
            if step in (0, HORIZON - 1):
                forces.append(np.einsum("bhkj,bhk->bhj", linear, aim.force))
        out = out + core.lead(out) + self._press(forces)
        return np.clip(out, core.lower, core.upper), base

    def _both(self, now: Array) -> tuple[Array, Array, Array, Array]:
        """Return palm, rotation and Jacobians of both hands, each (B, 2, ...)."""
        chain = np.stack([now[:, :10], np.concatenate([now[:, :3], now[:, 10:]], axis=1)], axis=1)  # (B, 2, 10)
        sides = np.tile([0, 1], len(now))
        parts = self.core.chain.forward(chain.reshape(-1, 10), sides)
        palm, rotation, linear, angular = (part.reshape(len(now), 2, *part.shape[1:]) for part in parts)
        return palm, rotation, linear, angular

    def _waist(self, ready: Array, side: Array, top: Array) -> Array:
        """Return the ready waist, turned towards things on the far side (B, 3) [rad]."""
        rules = self.core.rules
        waist = ready[:, :3].copy()
        waist[:, 0] = -side * np.clip(rules.turn * (rules.own_side - side * top[:, 1]), 0.0, rules.turn_most)
        return waist

    def _arms(self, now: Array, wanted: Array, aim: Aim, rotation: Array, linear: Array, angular: Array) -> Array:
        """Return joint velocities of both arms (B, 14) [rad/s]."""
        batch = len(now)
        own = np.array([1.0, -1.0])[None, :, None]
        error = self._shares[0] * np.cross(rotation[..., 0], aim.fingers)
        error = error + self._shares[1] * np.cross(own * rotation[..., 1], aim.back)
        turn = np.clip(2.0 * error, -1.0, 1.0)
        chain = np.stack([now[:, :10], np.concatenate([now[:, :3], now[:, 10:]], axis=1)], axis=1)
        waist = np.repeat(wanted[:, None, :3], 2, axis=1)
        q, w, jl, ja, v, t = (
            x.reshape(2 * batch, *x.shape[2:]) for x in (chain, waist, linear, angular, aim.palm, turn)
        )
        posture = np.tile(self._posture, (batch, 1))
        reach = arm_velocity(self.core.rules, q, w, jl, ja, v, t, posture, self._weight).reshape(batch, 2, 7)
        back = wanted[:, 3:].reshape(batch, 2, 7)
        return np.where(aim.active[..., None], reach, back).reshape(batch, 14)

    def _press(self, torques: list[Array]) -> Array:
        """Return the lead over the springs of the joints that presses as aimed (B, 16, 17) [rad], linear in time."""
        leads = []
        for torque in torques:  # (B, 2, 10)
            lead = np.zeros((len(torque), len(JOINTS)))
            lead[:, 3:] = torque[:, :, 3:].reshape(len(torque), 14) / self._stiffness[3:]
            leads.append(lead)
        share = np.linspace(0.0, 1.0, HORIZON)[None, :, None]
        return np.asarray(leads[0][:, None] * (1.0 - share) + leads[1][:, None] * share)


def _go_on(meant: dict[str, Array], aim: Aim) -> None:
    """Let the thing move on and the base walk for one step; everything is seen from the base."""
    for name in ("centre", "top"):
        meant[name] = meant[name] + (meant["velocity"] + aim.carry) * DT
    angle = -aim.base[:, 2] * DT
    if not np.any(aim.base):
        return
    for name in ("centre", "top", "mark"):
        moved = meant[name]
        moved[:, :2] -= aim.base[:, :2] * DT
        moved[:, :2] = turned(moved[:, :2], angle)
    meant["velocity"][:, :2] = turned(meant["velocity"][:, :2], angle)
    table = meant["table"]
    table[:, :2] = turned(table[:, :2] - aim.base[:, :2] * DT, angle)
    table[:, 2] += angle
    meant["turn"] = meant["turn"] + angle


def turned(points: Array, angle: Array) -> Array:
    """Return plane vectors (B, 2) turned by ``angle`` (B,) [rad]."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * points[:, 0] - sin * points[:, 1], sin * points[:, 0] + cos * points[:, 1]], axis=1)


def towards(goal: Array, palm: Array, gain: float, speed: float) -> Array:
    """Return the velocity (..., 3) towards ``goal``: ``gain`` [1/s] times the distance, at most ``speed`` [m/s]."""
    velocity = gain * (goal - palm)
    length = np.linalg.norm(velocity, axis=-1, keepdims=True)
    return np.asarray(velocity * np.minimum(1.0, speed / np.maximum(length, 1e-9)))


def unit(vectors: Array) -> Array:
    """Return vectors of length 1 (..., N); a zero vector stays zero."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


__all__ = ["PALM_IN", "Aim", "Hands", "Moment", "Situation", "towards", "turned", "unit"]
