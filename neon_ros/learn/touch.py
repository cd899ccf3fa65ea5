"""The task `touch` in one process: the simulated robot at its table, and the judge of what it touched.

Success: the palm of the commanded hand within 3 cm of the surface of the right thing, or that hand in contact with
it, for 0.3 s, within the time limit.  Failure: any other pair of hand and thing in contact, closer than 1 cm, or
closer than 3 cm for 0.3 s; a thing thrown off the table or pushed by more than 8 cm; or no touch in time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ContractError, refuse
from neon_ros.learn.language import HANDS, Instruction
from neon_ros.sim.model import CAMERA, PALMS, addresses, build_spec, place_robot
from neon_ros.sim.table import TABLE_TOP, TouchScene, add_table, object_names
from neon_ros.sim.things import NUM_OBJECTS, SceneObject, surface_distance

Array = NDArray[np.float64]

FAILURES: tuple[str, ...] = ("wrong_hand", "wrong_object", "knocked", "timeout")


@dataclass(frozen=True)
class TouchRules:
    """When an episode of `touch` is won or lost.

    :param near: palm to surface that counts as a touch [m].
    :param hold: how long a touch must last [s].
    :param too_near: palm to surface of a wrong pair that loses at once [m].
    :param push: how far a thing may be pushed [m].
    :param limit: time limit [s].
    """

    near: float = 0.03
    hold: float = 0.3
    too_near: float = 0.01
    push: float = 0.08
    limit: float = 6.0


class Judge:
    """Follow one episode and say when it is decided.

    :param hand: index of the commanded hand in ``HANDS``.
    :param target: index of the right thing.
    :param start: centres of the things at the start (3, 3) [m].
    """

    def __init__(self, hand: int, target: int, start: Array, rules: TouchRules | None = None) -> None:
        self.rules = rules or TouchRules()
        self._hand, self._target, self._start = hand, target, np.array(start)
        self._held = np.zeros((2, NUM_OBJECTS))
        self.elapsed = 0.0
        self.verdict: str | None = None

    def update(self, dt: float, distance: Array, contact: NDArray[np.bool_], centre: Array) -> str | None:
        """Return ``success``, one of :data:`FAILURES`, or ``None`` while undecided.

        :param dt: time since the last call [s].
        :param distance: palm of each hand to the surface of each thing (2, 3) [m].
        :param contact: whether that hand touches that thing (2, 3).
        :param centre: centres of the things now (3, 3) [m].
        """
        if self.verdict is not None:
            return self.verdict
        rules = self.rules
        self.elapsed += dt
        near = contact | (distance < rules.near)
        self._held = np.where(near, self._held + dt, 0.0)
        held = self._held >= rules.hold - 1e-9
        wrong = contact | (distance < rules.too_near) | held
        wrong[self._hand, self._target] = False
        if wrong.any():
            hand = int(np.argwhere(wrong)[0][0])
            self.verdict = "wrong_object" if hand == self._hand else "wrong_hand"
        elif np.linalg.norm((centre - self._start)[:, :2], axis=1).max() > rules.push or centre[:, 2].min() < TABLE_TOP:
            self.verdict = "knocked"
        elif held[self._hand, self._target]:
            self.verdict = "success"
        elif self.elapsed >= rules.limit - 1e-9:
            self.verdict = "timeout"
        return self.verdict


class TouchWorld:
    """The robot at its table, compiled once; :meth:`reset` places any scene.

    The pelvis stands still and the legs are held, as by the robot's own controller under ``rt/arm_sdk``.

    :param extend: adds to the model, before it is compiled, what another task needs.
    """

    def __init__(self, extend: Callable[[mujoco.MjSpec], None] | None = None) -> None:
        spec = build_spec("stand")
        add_table(spec)
        if extend is not None:
            extend(spec)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self.dt = float(self.model.opt.timestep)
        self._where = addresses(self.model)
        self._limit = self.model.actuator_ctrlrange[self._where.actuator, 1].copy()
        self._palms = [self.model.site(name).id for name in PALMS]
        self._bodies = [self.model.body(name).id for name in object_names()]
        self._pelvis = self.model.body("pelvis").id
        self._camera = self.model.camera(CAMERA).id
        # What each geom is to the judge: 1, 2 a hand; 3, 4, 5 a thing.
        self._role = np.zeros(self.model.ngeom, dtype=np.intp)
        for index, hand in enumerate(HANDS):
            body = self.model.body(f"{hand}_wrist_yaw_link").id
            self._role[self.model.geom_bodyid == body] = 1 + index
        for index, body in enumerate(self._bodies):
            self._role[self.model.geom_bodyid == body] = 3 + index
        self.scene = TouchScene.sample(0)

    def reset(self, scene: TouchScene) -> None:
        """Start ``scene``: things on the table, robot at rest in its ready pose."""
        self.scene = scene
        mujoco.mj_resetData(self.model, self.data)
        place_robot(self.model, self.data, scene.rest_pose())
        scene.apply(self.model, self.data)

    def place(self, q: Array, dq: Array | None = None) -> None:
        """Put the robot at ``q`` (29,) [rad], at rest or at ``dq`` (29,) [rad/s], without moving the things."""
        place_robot(self.model, self.data, q)
        if dq is not None:
            self.data.qvel[self._where.dof] = dq[self._where.motor]

    def step(self, q: Array, dq: Array, tau: Array, kp: Array, kd: Array) -> None:
        """Run the motors' law for one period: tau + kp (q - q_measured) + kd (dq - dq_measured), all (29,)."""
        torque = tau + kp * (q - self.data.qpos[self._where.qpos]) + kd * (dq - self.data.qvel[self._where.dof])
        self.data.ctrl[self._where.actuator] = np.clip(torque, -self._limit, self._limit)
        mujoco.mj_step(self.model, self.data)

    def walk(self, velocity: Array) -> None:
        """Follow a commanded base velocity (3,); this robot stands."""

    @property
    def q(self) -> Array:
        """Joint positions (29,) [rad]."""
        return np.array(self.data.qpos[self._where.qpos])

    @property
    def dq(self) -> Array:
        """Joint velocities (29,) [rad/s]."""
        return np.array(self.data.qvel[self._where.dof])

    def gravity(self) -> Array:
        """Return the direction of gravity in the pelvis frame (3,)."""
        return -self.data.xmat[self._pelvis].reshape(3, 3)[2].copy()

    def gyroscope(self) -> Array:
        """Return the angular velocity of the pelvis in its own frame (3,) [rad/s]."""
        velocity = np.zeros(6)
        mujoco.mj_objectVelocity(self.model, self.data, mujoco.mjtObj.mjOBJ_BODY, self._pelvis, velocity, 1)
        return velocity[:3]

    def centres(self) -> Array:
        """Return the centres of the things in the world (3, 3) [m]."""
        return np.array(self.data.xpos[self._bodies])

    def tops(self) -> Array:
        """Return the points above the centres at the height of the highest point, in the pelvis frame (3, 3) [m]."""
        centre = self.centres()
        for row, (body, thing) in enumerate(zip(self._bodies, self.scene.objects, strict=True)):
            centre[row, 2] += _rise(thing, self.data.xmat[body].reshape(3, 3))
        return self.in_pelvis(centre)

    def in_pelvis(self, points: Array) -> Array:
        """Return points of the world (N, 3) in the pelvis frame."""
        return (points - self.data.xpos[self._pelvis]) @ self.data.xmat[self._pelvis].reshape(3, 3)

    def in_picture(self, points: Array, aspect: float) -> tuple[Array, NDArray[np.bool_]]:
        """Project points of the world (N, 3) into the head camera.

        :param aspect: width / height of the picture.
        :returns: column and row, 0 to 1 from the upper left corner (N, 2), and whether inside the picture (N,).
        """
        local = (points - self.data.cam_xpos[self._camera]) @ self.data.cam_xmat[self._camera].reshape(3, 3)
        ahead = np.maximum(-local[:, 2], 1e-6)
        half = np.tan(np.deg2rad(float(self.model.cam_fovy[self._camera])) / 2.0)
        uv = 0.5 + 0.5 * np.stack([local[:, 0] / (half * aspect), -local[:, 1] / half], axis=1) / ahead[:, None]
        return uv, (local[:, 2] < 0.0) & (uv >= 0.0).all(axis=1) & (uv <= 1.0).all(axis=1)

    def distances(self) -> Array:
        """Return the distance of each palm to the surface of each thing (2, 3) [m]."""
        return np.array(
            [
                [
                    surface_distance(
                        thing, self.data.xpos[body], self.data.xmat[body].reshape(3, 3), self.data.site_xpos[palm]
                    )
                    for body, thing in zip(self._bodies, self.scene.objects, strict=True)
                ]
                for palm in self._palms
            ]
        )

    def contacts(self) -> NDArray[np.bool_]:
        """Return whether each hand touches each thing (2, 3)."""
        touching = np.zeros((2, NUM_OBJECTS), dtype=bool)
        roles = np.sort(self._role[self.data.contact.geom], axis=1)
        for hand, thing in roles[(roles[:, 0] > 0) & (roles[:, 0] < 3) & (roles[:, 1] > 2)]:
            touching[hand - 1, thing - 3] = True
        return touching

    def judge(self, instruction: Instruction, rules: TouchRules | None = None) -> Judge:
        """Return a judge of ``instruction`` for the scene as it stands now.

        :raises ContractError: when the thing is not in the scene.
        """
        return Judge(HANDS.index(instruction.hand), self.index_of(instruction), self.centres(), rules)

    def index_of(self, instruction: Instruction) -> int:
        """Return which thing of the scene ``instruction`` names.

        :raises ContractError: when it is not there.
        """
        names = [(thing.colour, thing.shape) for thing in self.scene.objects]
        wanted = (instruction.colour, instruction.shape)
        if wanted not in names:
            there = ", ".join(f"{colour} {shape}" for colour, shape in names)
            raise ContractError(refuse("thing of the instruction", " ".join(wanted), there))
        return names.index(wanted)

    def observe(self, judge: Judge, dt: float) -> str | None:
        """Let ``judge`` see the world, ``dt`` seconds after the last time."""
        return judge.update(dt, self.distances(), self.contacts(), self.centres())


def instruction_of(scene: TouchScene) -> Instruction:
    """Return what the scene asks for."""
    thing = scene.objects[scene.target]
    return Instruction(scene.hand, thing.colour, thing.shape)


def every_instruction(scene: TouchScene) -> tuple[Instruction, ...]:
    """Return the six instructions that make sense in ``scene``: hands outside, things inside."""
    return tuple(Instruction(hand, thing.colour, thing.shape) for hand in HANDS for thing in scene.objects)


def _rise(thing: SceneObject, rotation: Array) -> float:
    """Return how far the highest point of ``thing`` is above its centre [m]."""
    if thing.shape == "ball":
        return thing.half[0]
    up = np.abs(rotation[2])
    if thing.shape == "can":
        return float(thing.half[0] * np.sqrt(max(0.0, 1.0 - up[2] ** 2)) + thing.half[2] * up[2])
    return float(up @ np.array(thing.half))
