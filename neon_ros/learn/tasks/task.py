"""What a task of the suite is: scenes, an instruction, an expert and a judge, all in one module each.

A judge sees :class:`Facts`, the poses of hands and things, and nothing else: it can be tested on states that were made
by hand.  An expert answers :class:`~neon_ros.learn.tasks.hands.Situation`, many at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.learn.language import HANDS, Instruction
from neon_ros.learn.tasks.hands import Situation
from neon_ros.learn.tasks.scene import TabletopScene
from neon_ros.learn.tasks.split import Area
from neon_ros.sim.things import NUM_OBJECTS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Facts:
    """Where hands and things are, in the world.

    :param palm: positions of both palms, left first (2, 3) [m].
    :param fingers: where the fingers of each hand point, unit vectors (2, 3).
    :param distance: palm of each hand to the surface of each thing (2, 3) [m].
    :param contact: whether that hand touches that thing (2, 3).
    :param centre: centres of the things (3, 3) [m].
    :param top: highest point above each centre, as heights (3,) [m]; ``bottom`` the lowest.
    :param speed: of each thing's centre (3,) [m/s].
    """

    palm: Array
    fingers: Array
    distance: Array
    contact: NDArray[np.bool_]
    centre: Array
    top: Array
    bottom: Array
    speed: Array


class Referee:
    """Follow one episode and say when it is decided; a subclass holds the rule.

    :param limit: time limit [s].
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.elapsed = 0.0
        self.verdict: str | None = None

    def update(self, dt: float, facts: Facts) -> str | None:
        """Return ``success``, a kind of failure, or ``None`` while undecided.

        :param dt: time since the last call [s].
        """
        if self.verdict is None:
            self.elapsed += dt
            self.verdict = self.decide(dt, facts)
            if self.verdict is None and self.elapsed >= self.limit - 1e-9:
                self.verdict = "timeout"
        return self.verdict

    def decide(self, dt: float, facts: Facts) -> str | None:
        """Return the verdict of the rule alone."""
        raise TypeError(f"{type(self).__name__} has no rule")


class Held:
    """Count for how long each of many conditions has held without a break."""

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        self._seconds = np.zeros(shape)

    def update(self, dt: float, now: NDArray[np.bool_] | bool, seconds: float) -> NDArray[np.bool_]:
        """Return which conditions have held for ``seconds``."""
        self._seconds = np.where(now, self._seconds + dt, 0.0)
        return np.asarray(self._seconds >= seconds - 1e-9)


class TaskExpert(Protocol):
    """Labels states with what good hands would do next."""

    def chunks(self, situation: Situation, hand: NDArray[np.intp], thing: NDArray[np.intp]) -> tuple[Array, Array]:
        """Return the next 16 targets of the 17 joints (B, 16, 17) [rad] and base velocities (B, 16, 3).

        :param hand: 0 left, 1 right (B,).
        :param thing: which thing is meant (B,).
        """


class Task(Protocol):
    """One task of the suite.

    :param name: as it is asked for.
    :param area: where the place of a training scene lies.
    :param mark: whether there is a mark on the table.
    :param walks: whether the robot may walk.
    """

    name: str
    area: Area
    mark: bool
    walks: bool

    def sample(self, seed: int, purpose: str = "train", held: Sequence[str] = ()) -> TabletopScene:
        """Return the scene of ``seed``.

        :param held: which parts of it are held-out ones; for evaluation only.
        """

    def asked(self, scene: TabletopScene) -> NDArray[np.bool_]:
        """Return which pairs of hand and thing make sense in ``scene`` (2, 3)."""

    def expert(self, model: mujoco.MjModel, kp: Array | None) -> TaskExpert:
        """Return the expert.

        :param kp: stiffness of the motors (29,) [N m/rad]; ``None`` when they are given the torque of gravity.
        """

    def judge(self, scene: TabletopScene, facts: Facts) -> Referee:
        """Return the judge of what ``scene`` asks for, as it stands now."""


def instruction_of(scene: TabletopScene) -> Instruction:
    """Return what the scene asks for; a task that names no hand keeps the one that its expert uses."""
    return instruction(scene, HANDS.index(scene.hand), scene.target)


def instruction(scene: TabletopScene, hand: int, thing: int) -> Instruction:
    """Return the instruction for one hand and one thing of ``scene``."""
    meant = scene.objects[thing]
    return Instruction(HANDS[hand], meant.colour, meant.shape)


def all_asked() -> NDArray[np.bool_]:
    """Return that every hand may be asked for every thing (2, 3)."""
    return np.ones((len(HANDS), NUM_OBJECTS), dtype=bool)
