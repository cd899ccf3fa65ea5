"""The one split of the suite: what is kept from training, where it lies, and the door that keeps it out.

Four things are held out: colour-shape pairs (:data:`~neon_ros.sim.things.HELD_OUT_PAIRS`), phrasings (the word orders
and noun phrases ``heldout`` of :mod:`neon_ros.learn.language`), lighting (dimmer or brighter than any training scene)
and places (a rim of 3 cm around each task's area).  Evaluation scenes come from another stream of random numbers on
top.  :func:`training_only` judges a scene by what is in it, not by how it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.learn.language import Instruction, every_sentence
from neon_ros.sim.things import HELD_OUT_PAIRS

if TYPE_CHECKING:
    from neon_ros.learn.tasks.scene import TabletopScene

HELD: tuple[str, ...] = ("pairs", "phrases", "lighting", "places")
"""What can be held out."""

RIM = 0.03  # [m] width of the held-out rim around an area
LIGHT, AMBIENT = (0.35, 0.70), (0.25, 0.50)  # bands of training, as neon_ros.sim.table draws them
DIM = ((0.20, 0.32), (0.15, 0.23))  # held-out light and ambient, below the bands
BRIGHT = ((0.73, 0.85), (0.52, 0.60))  # and above them


class Area(NamedTuple):
    """A rectangle on the table, in metres ahead and to the left of the origin."""

    x: tuple[float, float]
    y: tuple[float, float]

    def holds(self, x: float, y: float) -> bool:
        """Return whether a place is inside."""
        return self.x[0] <= x <= self.x[1] and self.y[0] <= y <= self.y[1]

    def draw(self, rng: np.random.Generator, rim: bool) -> tuple[float, float]:
        """Return a place, evenly from the area, or from its rim: beyond the far edge or beyond a side."""
        x, y = float(rng.uniform(*self.x)), float(rng.uniform(*self.y))
        if rim:
            beyond = float(rng.uniform(0.1, 1.0)) * RIM
            side = int(rng.integers(3))
            if side == 0:
                x = self.x[1] + beyond
            else:
                y = self.y[1] + beyond if side == 1 else self.y[0] - beyond
        return x, y


def checked_held(held: Sequence[str], purpose: str) -> tuple[str, ...]:
    """Return what is held out, in the order of :data:`HELD`.

    :param purpose: ``train`` or ``eval``.
    :raises ConfigError: on an unknown name, or on anything held out for training.
    """
    for name in held:
        if name not in HELD:
            raise ConfigError(refuse("held-out part", name, ", ".join(HELD)))
    if held and purpose != "eval":
        raise ConfigError(refuse(f"held out for {purpose}", ", ".join(held), "nothing; held-out parts are for eval"))
    return tuple(name for name in HELD if name in held)


def held_out_in(scene: TabletopScene, area: Area) -> tuple[str, ...]:
    """Return which held-out parts stand in ``scene``, whatever it was sampled as.

    :param area: where the task's training scenes have their place.
    """
    found = []
    if any((thing.colour, thing.shape) in HELD_OUT_PAIRS for thing in scene.objects):
        found.append("pairs")
    if not (LIGHT[0] <= scene.light <= LIGHT[1] and AMBIENT[0] <= scene.ambient <= AMBIENT[1]):
        found.append("lighting")
    if not area.holds(*scene.place):
        found.append("places")
    return tuple(found)


def training_only(scene: TabletopScene, area: Area) -> None:
    """Let a scene through to training.

    :raises ContractError: when it was drawn for evaluation or holds anything that is held out.
    """
    found = held_out_in(scene, area)
    if scene.purpose != "train":
        found = (f"purpose {scene.purpose}", *found)
    if found:
        raise ContractError(
            refuse(f"training scene {scene.seed} of {scene.task}", ", ".join(found), "nothing held out")
        )


def training_sentence(sentence: str, instruction: Instruction, task: str) -> None:
    """Let a sentence through to training.

    :raises ContractError: when it is not one of the training split.
    """
    if sentence not in every_sentence(instruction, "train", task):
        raise ContractError(refuse(f"training sentence of {task}", repr(sentence), "a phrasing of the split train"))
