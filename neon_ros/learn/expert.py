"""The privileged expert of the task `touch`: inverse kinematics that answers any state, for any hand and any thing.

The expert is Markov: it keeps no phase and no memory, so every recorded state can be labelled for every instruction,
after the fact and in one batch.  The palm moves towards a point above the thing at a speed proportional to its
distance, cut to a walking pace of the hand; while the palm is not yet above the thing that point is lifted, which
gives the approach from above.  Joint velocities follow from damped least squares on palm position and (softly) palm
direction, with the remaining freedom drawn to a posture with the elbow out; the other arm and the waist return to the
ready pose, the waist turned a little towards things on the far side.

Damped least squares: Wampler, "Manipulator inverse kinematic solutions based on vector formulations and damped
least-squares methods", 1986.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ContractError, refuse
from neon_ros.robot.modes import control_mode
from neon_ros.sim.model import MIRROR, PALM_POS, ready_pose

HORIZON = 16
DT = 0.02  # [s]
JOINTS = control_mode("upper_body").joint_names
FIRST = 12  # motor index of the first of the 17 joints
_SIDES = ("left", "right")
_MARGIN = 0.03  # [rad] kept from the ends of each joint, a little more than the guard keeps
POSTURE = np.array([0.7, 0.7, 0.35, -0.8, 1.0, 0.0, 0.0])  # [rad] left arm: elbow out, clear of the chest

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ExpertRules:
    """How the expert moves.

    :param speed: fastest palm [m/s].
    :param gain: palm speed per distance [1/s].
    :param clearance: palm site above the top of the thing at the end [m]; the hand is 2 to 4 cm thick below it, so that
        a value near zero presses lightly and a touch survives an error of centimetres.
    :param setback: palm site behind the centre of the thing at the end [m]; fingers and palm then share the touch.
    :param lift: height of the approach above the end [m].
    :param near: horizontal distance below which nothing is lifted [m].
    :param far: horizontal distance above which all of the lift applies [m].
    :param acceleration: most change of a joint's velocity [rad/s^2].
    :param joint_speed: fastest joint [rad/s].
    :param return_gain: speed per distance of joints that go back to the ready pose [1/s].
    :param direction_weight: weight of palm direction against position [m/rad].
    :param damping: of the least squares [m].
    :param pitch: of the fingers below the horizon [rad].
    :param posture_gain: draw of the remaining freedom to its posture [1/s].
    :param turn: waist turn per distance of the thing beyond ``own_side`` [rad/m]; it brings the shoulder forward, so
        that the upper arm stays clear of the chest.
    :param own_side: how far on the hand's own side a thing must lie to be reached without turning [m].
    :param turn_most: largest waist turn [rad].
    """

    speed: float = 0.30
    gain: float = 3.0
    clearance: float = -0.005
    setback: float = 0.015
    lift: float = 0.11
    near: float = 0.02
    far: float = 0.09
    acceleration: float = 8.0
    joint_speed: float = 1.5
    return_gain: float = 2.0
    direction_weight: float = 0.05
    damping: float = 0.04
    pitch: float = 0.15
    posture_gain: float = 1.5
    turn: float = 2.0
    own_side: float = 0.08
    turn_most: float = 0.40


def approach(rules: ExpertRules, palm: Array, top: Array) -> Array:
    """Return the velocity (B, 3) [m/s] of a palm that comes down from above onto what it touches.

    :param palm: its position (B, 3) [m].
    :param top: top of the thing to touch (B, 3) [m].
    """
    goal = top + np.array([-rules.setback, 0.0, rules.clearance])
    away = np.linalg.norm(goal[:, :2] - palm[:, :2], axis=1)
    goal[:, 2] += rules.lift * np.clip((away - rules.near) / (rules.far - rules.near), 0.0, 1.0)
    velocity = rules.gain * (goal - palm)
    # Rise before moving aside, so that nothing on the way is brushed.
    velocity[:, :2] *= np.clip(1.0 - (goal[:, 2] - palm[:, 2]) / 0.05, 0.1, 1.0)[:, None]
    length = np.linalg.norm(velocity, axis=1, keepdims=True)
    return np.asarray(velocity * np.minimum(1.0, rules.speed / np.maximum(length, 1e-9)))


def arm_velocity(
    rules: ExpertRules,
    q: Array,
    waist: Array,
    linear: Array,
    angular: Array,
    velocity: Array,
    turn: Array,
    posture: Array,
    weight: float | None = None,
) -> Array:
    """Return joint velocities (B, 7) [rad/s] of an arm, by damped least squares.

    :param q: waist and arm (B, 10) [rad].
    :param waist: how fast the waist turns (B, 3) [rad/s].
    :param linear: Jacobian of the palm's position (B, 3, 10); ``angular`` of its rotation.
    :param velocity: wanted, of the palm (B, 3) [m/s]; ``turn`` of the hand (B, 3) [rad/s].
    :param posture: to which the remaining freedom is drawn (B, 7) [rad].
    :param weight: of the turn against the velocity [m/rad]; that of ``rules`` when ``None``.
    """
    weight = rules.direction_weight if weight is None else weight
    both = np.concatenate([linear, weight * angular], axis=1)  # (B, 6, 10)
    jacobian = both[:, :, 3:]
    wanted = np.concatenate([velocity, weight * turn], axis=1)[..., None] - both[:, :, :3] @ waist[..., None]
    transpose = jacobian.transpose(0, 2, 1)
    damped = jacobian @ transpose + rules.damping**2 * np.eye(6)
    drawn = np.clip(rules.posture_gain * (posture - q[:, 3:]), -0.6, 0.6)[..., None]
    velocity_q = transpose @ np.linalg.solve(damped, wanted - jacobian @ drawn) + drawn
    fastest = np.abs(velocity_q).max(axis=1, keepdims=True)
    return np.asarray((velocity_q * np.minimum(1.0, rules.joint_speed / np.maximum(fastest, 1e-9)))[..., 0])


class ArmChain:
    """Batched kinematics from the pelvis over the waist to each palm.

    :param model: any compiled model with the robot of :mod:`neon_ros.sim.model`.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        chains = [self._chain(model, side) for side in _SIDES]
        self._offset = np.stack([c[0] for c in chains])  # (2, 10, 3)
        self._turn = np.stack([c[1] for c in chains])  # (2, 10, 3, 3)
        self._axis = np.stack([c[2] for c in chains])  # (2, 10, 3)
        x, y, z = np.moveaxis(self._axis, -1, 0)
        o = np.zeros_like(x)
        self._cross = np.stack([o, -z, y, z, o, -x, -y, x, o], axis=-1).reshape(2, 10, 3, 3)

    @staticmethod
    def _chain(model: mujoco.MjModel, side: str) -> tuple[Array, Array, Array]:
        body = model.body(f"{side}_wrist_yaw_link").id
        pelvis = model.body("pelvis").id
        offset, turn, axis = [], [], []
        while body != pelvis:
            joint = int(model.body_jntadr[body])
            if int(model.body_jntnum[body]) != 1:
                raise ContractError(refuse(f"joints of {model.body(body).name}", int(model.body_jntnum[body]), 1))
            matrix = np.zeros(9)
            mujoco.mju_quat2Mat(matrix, model.body_quat[body])
            offset.append(model.body_pos[body].copy())
            turn.append(matrix.reshape(3, 3))
            axis.append(model.jnt_axis[joint].copy())
            body = int(model.body_parentid[body])
        return np.array(offset[::-1]), np.array(turn[::-1]), np.array(axis[::-1])

    def forward(self, q: Array, side: NDArray[np.intp]) -> tuple[Array, Array, Array, Array]:
        """Return palm position, hand rotation and both Jacobians, in the pelvis frame.

        :param q: waist and arm of that side (B, 10) [rad].
        :param side: 0 left, 1 right (B,).
        :returns: position (B, 3) [m], rotation (B, 3, 3), linear (B, 3, 10) and angular (B, 3, 10) Jacobian.
        """
        batch = q.shape[0]
        sin, cos = np.sin(q)[..., None, None], (1.0 - np.cos(q))[..., None, None]
        cross = self._cross[side]  # (B, 10, 3, 3)
        local = self._turn[side] @ (np.eye(3) + sin * cross + cos * (cross @ cross))  # (B, 10, 3, 3)
        offset, axis = self._offset[side], self._axis[side]
        position, rotation = np.zeros((batch, 3)), np.broadcast_to(np.eye(3), (batch, 3, 3))
        at, along = np.empty((batch, 10, 3)), np.empty((batch, 10, 3))
        for j in range(10):
            position = position + (rotation @ offset[:, j, :, None])[..., 0]
            rotation = rotation @ local[:, j]
            at[:, j] = position
            along[:, j] = (rotation @ axis[:, j, :, None])[..., 0]
        palm = position + rotation @ np.array(PALM_POS)
        linear = np.cross(along, palm[:, None] - at)  # (B, 10, 3)
        return palm, rotation, linear.transpose(0, 2, 1), along.transpose(0, 2, 1)


class Expert:
    """Label states with what a good hand would do next.

    :param model: any compiled model with the robot; only its kinematics and masses are used.
    :param kp: stiffness of the motors (29,) [N m/rad]; the labels lead by the sag that gravity causes, gravity / kp.
        ``None`` when the motors are given the torque of gravity.
    """

    def __init__(self, model: mujoco.MjModel, kp: Array | None = None, rules: ExpertRules | None = None) -> None:
        self.rules = rules or ExpertRules()
        self.chain = ArmChain(model)
        self.ready = ready_pose()
        joints = [model.joint(name) for name in JOINTS]
        ranges = np.array([joint.range for joint in joints])
        self.lower, self.upper = ranges[:, 0] + _MARGIN, ranges[:, 1] - _MARGIN
        self.model, self._data = model, mujoco.MjData(model)
        self._qpos = np.array([int(j.qposadr[0]) for j in joints])
        self._dof = np.array([int(j.dofadr[0]) for j in joints])
        self._kp = None if kp is None else np.asarray(kp, dtype=np.float64)[FIRST:]

    def chunks(self, q: Array, dq: Array, hand: NDArray[np.intp], top: Array) -> Array:
        """Return the next 16 targets of the 17 joints, absolute (B, 16, 17) [rad]; step k is for the time k * 20 ms.

        :param q: measured joints (B, 29) [rad].
        :param dq: measured joint velocities (B, 29) [rad/s].
        :param hand: 0 left, 1 right (B,).
        :param top: top of the thing to touch, in the pelvis frame (B, 3) [m].
        """
        rules, batch = self.rules, q.shape[0]
        now = np.array(q[:, FIRST:], dtype=np.float64)
        speed = np.clip(dq[:, FIRST:], -rules.joint_speed, rules.joint_speed)
        rows = np.arange(batch)[:, None]
        arm = np.where(hand[:, None] == 0, np.arange(3, 10), np.arange(10, 17))  # (B, 7) columns
        chain = np.concatenate([np.tile(np.arange(3), (batch, 1)), arm], axis=1)
        ready = np.tile(self.ready[FIRST:], (batch, 1))
        side = np.where(hand == 0, 1.0, -1.0)
        ready[:, 0] = -side * np.clip(rules.turn * (rules.own_side - side * top[:, 1]), 0.0, rules.turn_most)
        out = np.empty((batch, HORIZON, len(JOINTS)))
        for step in range(HORIZON):
            out[:, step] = now
            wanted = np.clip(rules.return_gain * (ready - now), -0.6, 0.6)
            wanted[rows, arm] = self._reach(now[rows, chain], wanted[:, :3], hand, top)
            change = rules.acceleration * DT
            speed = speed + np.clip(wanted - speed, -change, change)
            now = np.clip(now + speed * DT, self.lower, self.upper)
        return np.clip(out + self.lead(out), self.lower, self.upper)

    def _reach(self, q: Array, waist: Array, hand: NDArray[np.intp], top: Array) -> Array:
        """Return joint velocities (B, 7) of the reaching arm, while the waist turns at ``waist`` (B, 3) [rad/s]."""
        palm, rotation, linear, angular = self.chain.forward(q, hand)
        velocity = approach(self.rules, palm, top)
        # The back of the hand is +y of the left hand and -y of the right; its fingers point ahead and a little down.
        side = np.where(hand == 0, 1.0, -1.0)[:, None]
        pitch = self.rules.pitch
        error = np.cross(rotation[:, :, 0], np.array([np.cos(pitch), 0.0, -np.sin(pitch)]))
        error = 0.3 * error + np.cross(side * rotation[:, :, 1], np.array([np.sin(pitch), 0.0, np.cos(pitch)]))
        turn = np.clip(2.0 * error, -1.0, 1.0)
        posture = np.where(hand[:, None] == 0, POSTURE, POSTURE * MIRROR)
        return arm_velocity(self.rules, q, waist, linear, angular, velocity, turn, posture)

    def lead(self, out: Array) -> Array:
        """Return the lead of the targets over gravity's sag (B, 16, 17) [rad], linear over the steps."""
        first = np.stack([self.sag(row) for row in out[:, 0]])
        last = np.stack([self.sag(row) for row in out[:, -1]])
        share = np.linspace(0.0, 1.0, HORIZON)[None, :, None]
        return first[:, None] * (1.0 - share) + last[:, None] * share

    def sag(self, upper: Array) -> Array:
        """Return how far the 17 joints hang below their targets at ``upper`` (17,) [rad], zero without ``kp``."""
        return np.zeros(len(JOINTS)) if self._kp is None else self.gravity(upper) / self._kp

    def gravity(self, upper: Array) -> Array:
        """Return the torques that hold the 17 joints still at ``upper`` (17,) [rad], pelvis upright: (17,) [N m]."""
        self._data.qpos[:] = self.model.qpos0
        self._data.qpos[self._qpos] = upper
        self._data.qvel[:] = 0.0
        mujoco.mj_fwdPosition(self.model, self._data)
        mujoco.mj_fwdVelocity(self.model, self._data)
        return np.array(self._data.qfrc_bias[self._dof])
