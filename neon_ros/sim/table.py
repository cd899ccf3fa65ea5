"""The table of the task `touch`: three coloured things on a table, drawn from a seed and placed without recompiling.

The model is compiled once with a table and three free bodies; :meth:`TouchScene.apply` then changes shapes, sizes,
colours, masses, poses, light and camera mount of that model in about a millisecond.  A scene is a pure function of
its seed and purpose, so two processes that share the seed share the scene.  Training and evaluation draw from
different streams of the same generator: no seed of one can give a scene of the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.sim.camera import Exposure
from neon_ros.sim.model import CAMERA, CAMERA_POS, camera_quaternion_wxyz, ready_pose
from neon_ros.sim.things import NUM_OBJECTS, PAIR_SETS, SceneObject, hsv, inertia, sample_objects, sample_pairs, triple

TABLE_TOP = 0.765  # [m] above the floor: 0.6 cm above the pelvis of the standing robot
TABLE_X = (0.19, 0.85)  # [m] front and back edge
TABLE_HALF_WIDTH = 0.50  # [m]

PURPOSES: tuple[str, ...] = ("train", "eval")

_TYPES = {
    "cube": mujoco.mjtGeom.mjGEOM_BOX,
    "ball": mujoco.mjtGeom.mjGEOM_SPHERE,
    "can": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "bar": mujoco.mjtGeom.mjGEOM_BOX,
}
_BODY, _GEOM, _JOINT = "object_{}", "object_{}_shape", "object_{}_free"


@dataclass(frozen=True)
class TouchScene:
    """Everything that differs between two episodes of `touch`.

    :param seed: with ``purpose`` and ``pairs`` it determines all the rest.
    :param purpose: ``train`` or ``eval``.
    :param pairs: whether the target's colour-shape pair is a trained or a held-out one.
    :param objects: the three things.
    :param target: which of them is asked for.
    :param hand: ``left`` or ``right``.
    :param rest_noise: added to the ready pose of waist and arms (17,) [rad].
    """

    seed: int
    purpose: str
    pairs: str
    objects: tuple[SceneObject, ...]
    target: int
    hand: str
    table_rgb: tuple[float, float, float]
    floor_rgb: tuple[float, float, float]
    light_direction: tuple[float, float, float]
    light: float
    ambient: float
    camera_shift: tuple[float, float, float]
    camera_turn: tuple[float, float, float]
    exposure: Exposure
    rest_noise: tuple[float, ...]

    @staticmethod
    def sample(
        seed: int,
        purpose: str = "train",
        pairs: str = "trained",
    ) -> TouchScene:
        """Return the scene of ``seed``.

        :param purpose: ``train`` or ``eval``; each has its own stream of scenes.
        :param pairs: ``heldout`` makes the target one of ``HELD_OUT_PAIRS``; nothing else ever is one.
        :raises ConfigError: on an unknown purpose or set of pairs, a negative seed or ``pairs="heldout"`` for
            training.
        """
        if purpose not in PURPOSES:
            raise ConfigError(refuse("scene purpose", purpose, ", ".join(PURPOSES)))
        if pairs not in PAIR_SETS:
            raise ConfigError(refuse("scene pairs", pairs, ", ".join(PAIR_SETS)))
        if pairs == "heldout" and purpose != "eval":
            raise ConfigError(refuse(f"scene pairs for {purpose}", pairs, "trained"))
        if not 0 <= seed < 2**63:
            raise ConfigError(refuse("scene seed", seed, "0 to 2^63 - 1"))
        stream = np.random.SeedSequence(seed, spawn_key=(PURPOSES.index(purpose), PAIR_SETS.index(pairs)))
        rng = np.random.default_rng(stream)
        names, target = sample_pairs(rng, pairs)
        turn = rng.uniform(-0.5, 0.5)
        grey = rng.uniform(0.3, 0.9)
        return TouchScene(
            seed=seed,
            purpose=purpose,
            pairs=pairs,
            objects=sample_objects(rng, names),
            target=target,
            hand=("left", "right")[int(rng.integers(2))],
            table_rgb=hsv(rng.uniform(0, 360), rng.uniform(0.0, 0.22), rng.uniform(0.35, 0.90)),
            floor_rgb=(grey, grey, grey),
            light_direction=(float(np.sin(turn)), float(rng.uniform(-0.5, 0.5)), -1.0),
            light=float(rng.uniform(0.35, 0.70)),
            ambient=float(rng.uniform(0.25, 0.50)),
            camera_shift=triple(rng.uniform(-0.004, 0.004, 3)),
            camera_turn=triple(rng.uniform(-0.017, 0.017, 3)),
            exposure=Exposure(
                gain=float(np.exp(rng.uniform(-0.25, 0.25))),
                white_balance=triple(rng.uniform(0.94, 1.06, 3)),
                noise=float(rng.uniform(1.0, 5.0)),
            ),
            rest_noise=tuple(
                float(v) for v in np.clip(rng.normal(0.0, 1.0, 17), -2.0, 2.0) * ([0.01] * 3 + [0.04] * 14)
            ),
        )

    def rest_pose(self) -> NDArray[np.float64]:
        """Return the pose in which the episode starts (29,) [rad]."""
        q = ready_pose()
        q[12:29] += self.rest_noise
        return q

    def apply(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Dress ``model`` as this scene and put its things at rest on the table; the robot stays where it is.

        :param model: compiled from a spec that went through :func:`add_table`.
        :raises ContractError: when the model has no table.
        """
        _require_table(model)
        for index, thing in enumerate(self.objects):
            _dress(model, index, thing)
        robot, velocity = data.qpos.copy(), data.qvel.copy()
        mujoco.mj_setConst(model, data)
        data.qpos[:], data.qvel[:] = robot, velocity
        for index, thing in enumerate(self.objects):
            joint = model.joint(_JOINT.format(index))
            at, dof = int(joint.qposadr[0]), int(joint.dofadr[0])
            half_turn = thing.yaw / 2.0
            height = TABLE_TOP + thing.half[2]
            data.qpos[at : at + 7] = (thing.x, thing.y, height, np.cos(half_turn), 0.0, 0.0, np.sin(half_turn))
            data.qvel[dof : dof + 6] = 0.0
        self._dress_room(model)
        mujoco.mj_forward(model, data)

    def _dress_room(self, model: mujoco.MjModel) -> None:
        model.geom("table_top").rgba[:3] = self.table_rgb
        model.geom("floor").rgba[:3] = self.floor_rgb
        light = model.light("ceiling")
        light.dir[:] = np.array(self.light_direction) / np.linalg.norm(self.light_direction)
        light.diffuse[:] = self.light
        model.vis.headlight.ambient[:] = self.ambient
        camera = model.camera(CAMERA)
        camera.pos[:] = np.add(CAMERA_POS, self.camera_shift)
        turn, quaternion = np.zeros(4), np.zeros(4)
        angle = float(np.linalg.norm(self.camera_turn))
        mujoco.mju_axisAngle2Quat(turn, np.array(self.camera_turn) / max(angle, 1e-12), angle)
        mujoco.mju_mulQuat(quaternion, camera_quaternion_wxyz(), turn)
        camera.quat[:] = quaternion


def add_table(spec: mujoco.MjSpec) -> None:
    """Add the table and three things to ``spec``; :meth:`TouchScene.apply` dresses them once it is compiled."""
    centre, half = (TABLE_X[0] + TABLE_X[1]) / 2.0, (TABLE_X[1] - TABLE_X[0]) / 2.0
    table = spec.worldbody.add_body(name="table", pos=[centre, 0.0, TABLE_TOP])
    table.add_geom(
        name="table_top",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[half, TABLE_HALF_WIDTH, 0.02],
        pos=[0.0, 0.0, -0.02],
        rgba=[0.75, 0.68, 0.60, 1.0],
    )
    for index in range(NUM_OBJECTS):
        body = spec.worldbody.add_body(name=_BODY.format(index), pos=[0.36, 0.15 * (index - 1), TABLE_TOP + 0.03])
        body.add_freejoint(name=_JOINT.format(index))
        body.add_geom(
            name=_GEOM.format(index),
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.03, 0.03, 0.03],
            mass=0.15,
            rgba=[0.5, 0.5, 0.5, 1.0],
            condim=6,
            priority=1,
            friction=[0.8, 0.01, 0.002],
        )


def object_names() -> tuple[str, ...]:
    """Return the names of the bodies of the three things."""
    return tuple(_BODY.format(index) for index in range(NUM_OBJECTS))


def _require_table(model: mujoco.MjModel) -> None:
    for name in object_names():
        if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name) < 0:
            raise ContractError(refuse("model of a touch scene", f"no body {name}", "a model made with add_table"))


def _dress(model: mujoco.MjModel, index: int, thing: SceneObject) -> None:
    geom, body = model.geom(_GEOM.format(index)), model.body(_BODY.format(index))
    a, b, c = thing.half
    model.geom_type[geom.id] = _TYPES[thing.shape]
    size = {"ball": (a, 0.0, 0.0), "can": (a, c, 0.0)}.get(thing.shape, thing.half)
    geom.size[:] = size
    geom.rgba[:3] = thing.rgb
    model.geom_aabb[geom.id] = (0.0, 0.0, 0.0, a, b, c)
    bound = {"ball": a, "can": float(np.hypot(a, c))}.get(thing.shape, float(np.linalg.norm(thing.half)))
    model.geom_rbound[geom.id] = bound
    leaf = int(model.body_bvhadr[body.id])
    if leaf >= 0:
        model.bvh_aabb[leaf] = (0.0, 0.0, 0.0, a, b, c)
    body.mass[:] = thing.mass
    body.inertia[:] = inertia(thing)
