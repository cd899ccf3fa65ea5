"""A scene of the suite: the table of `touch`, and what other tasks put there: a mark, motion, a robot that is away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.learn.language import TASK_NAMES
from neon_ros.learn.tasks.split import BRIGHT, DIM, checked_held
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.sim.table import PURPOSES, TouchScene
from neon_ros.sim.things import GAP, NUM_OBJECTS, PAIR_SETS, SceneObject

MARK = "goal_mark"
MARK_RADIUS = 0.035  # [m]
_WAIST_PITCH = JOINT_INDEX["waist_pitch_joint"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sway:
    """A thing that slides to and fro on a straight line, as a sine.

    :param amplitude: [m]; ``period`` [s]; ``phase`` [rad].
    :param direction: of the line, from x towards y [rad].
    """

    amplitude: float
    period: float
    phase: float
    direction: float

    def offset(self, time: float) -> Array:
        """Return where it is from its centre (2,) [m]."""
        return self._along() * (self.amplitude * np.sin(self._angle(time)))

    def velocity(self, time: float) -> Array:
        """Return its velocity (2,) [m/s]."""
        return self._along() * (self.amplitude * 2 * np.pi / self.period * np.cos(self._angle(time)))

    def _angle(self, time: float) -> float:
        return 2 * np.pi * time / self.period + self.phase

    def _along(self) -> Array:
        return np.array([np.cos(self.direction), np.sin(self.direction)])


@dataclass(frozen=True)
class TabletopScene(TouchScene):
    """Everything that differs between two episodes of a task of the suite.

    :param task: its name.
    :param held: which parts are held-out ones, see :data:`neon_ros.learn.tasks.split.HELD`.
    :param place: the place on the table that the split judges: the target's, or the mark's (2,) [m].
    :param mark: centre of the mark on the table (2,) [m]; ``None`` where there is none.
    :param sways: how each thing moves; ``None`` for one that lies still.
    :param start: of the pelvis: x, y [m] and yaw [rad].
    :param lean: waist pitch at the start [rad]; that of the ready pose when ``None``.
    """

    task: str = "touch"
    held: tuple[str, ...] = ()
    place: tuple[float, float] = (0.0, 0.0)
    mark: tuple[float, float] | None = None
    sways: tuple[Sway | None, ...] = (None, None, None)
    start: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lean: float | None = None

    def rest_pose(self) -> Array:
        """Return the pose in which the episode starts (29,) [rad]."""
        q = super().rest_pose()
        if self.lean is not None:
            q[_WAIST_PITCH] = self.lean + self.rest_noise[2]
        return q

    def apply(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Dress ``model`` as this scene, things at rest where they start; see :meth:`TouchScene.apply`."""
        super().apply(model, data)
        if self.mark is not None:
            for ring in ("", "_inner"):
                model.geom(MARK + ring).pos[:2] = self.mark
        mujoco.mj_forward(model, data)


def begin(task: str, seed: int, purpose: str, held: Sequence[str]) -> tuple[TabletopScene, np.random.Generator]:
    """Return the scene of `touch` with this seed, relit if that is held out, and the stream of what the task adds.

    :raises ConfigError: on an unknown purpose, a negative seed, or parts that cannot be held out.
    """
    parts = checked_held(held, purpose)
    pairs = "heldout" if "pairs" in parts else "trained"
    touch = TouchScene.sample(seed, purpose, pairs)
    values = {item.name: getattr(touch, item.name) for item in fields(TouchScene)}
    scene = TabletopScene(**values, task=task, held=parts)
    key = (PURPOSES.index(purpose), PAIR_SETS.index(pairs), 20 + TASK_NAMES.index(task))
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    if "lighting" in parts:
        relit = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(*key, 1)))
        light, ambient = (DIM, BRIGHT)[int(relit.integers(2))]
        scene = replace(scene, light=float(relit.uniform(*light)), ambient=float(relit.uniform(*ambient)))
    return at_target(scene), rng


def at_target(scene: TabletopScene) -> TabletopScene:
    """Return ``scene`` whose place is that of its target."""
    thing = scene.objects[scene.target]
    return replace(scene, place=(thing.x, thing.y))


def move_target(scene: TabletopScene, x: float, y: float) -> TabletopScene:
    """Return ``scene`` with its target at (x, y)."""
    objects = list(scene.objects)
    objects[scene.target] = replace(objects[scene.target], x=x, y=y)
    return at_target(replace(scene, objects=tuple(objects)))


def radius(thing: SceneObject) -> float:
    """Return how far a thing reaches from its centre on the table [m]."""
    return float(np.hypot(thing.half[0], thing.half[1]) if thing.shape in ("cube", "bar") else thing.half[0])


def apart(objects: Sequence[SceneObject], gap: float = GAP) -> bool:
    """Return whether all things are at least ``gap`` [m] apart."""
    return all(
        np.hypot(one.x - other.x, one.y - other.y) - radius(one) - radius(other) >= gap
        for index, one in enumerate(objects)
        for other in objects[:index]
    )


def index_rest(target: int) -> tuple[int, ...]:
    """Return the things that are not the target."""
    return tuple(index for index in range(NUM_OBJECTS) if index != target)
