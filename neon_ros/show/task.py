"""Whether the hand touches what it was told to, seen from the outside: the simulated scene's things and the palms.

This is for people who watch.  The verdict that counts is :class:`neon_ros.learn.touch.Judge`'s; distance and time are
the same there (a test compares them).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NEAR = 0.03  # [m] palm to surface that counts as a touch
HOLD = 0.3  # [s] that a touch must last
HANDS = ("left", "right")


class Thing(NamedTuple):
    """A thing on the table.

    :param name: colour and shape, e.g. ``red cube``.
    :param shape: ``box``, ``sphere`` or ``cylinder``.
    :param size: full extents (3,) [m].
    :param pose: in the pelvis frame (4, 4).
    """

    name: str
    shape: str
    size: tuple[float, float, float]
    pose: NDArray[np.float64]


def surface_distance(thing: Thing, point: NDArray[np.float64]) -> float:
    """Return how far ``point`` (3,) is outside the surface of ``thing`` [m]; 0 inside."""
    local = thing.pose[:3, :3].T @ (point - thing.pose[:3, 3])
    half = np.array(thing.size) / 2.0
    if thing.shape == "sphere":
        return max(float(np.linalg.norm(local)) - half[0], 0.0)
    if thing.shape == "cylinder":
        outside = np.array([np.hypot(local[0], local[1]) - half[0], abs(local[2]) - half[2]])
    else:
        outside = np.abs(local) - half
    return float(np.linalg.norm(np.maximum(outside, 0.0)))


def named(instruction: str, things: Sequence[Thing]) -> tuple[int, int] | None:
    """Return hand and thing that an instruction names; ``None`` when it is not clear which.

    :returns: index into :data:`HANDS` and into ``things``.
    """
    words = set(re.findall(r"[a-z]+", instruction.lower()))
    hands = [index for index, hand in enumerate(HANDS) if hand in words]
    meant = [index for index, thing in enumerate(things) if thing.name.split()[0] in words]
    if len(meant) > 1:  # two of one colour: the shape decides
        meant = [index for index in meant if things[index].name.split()[-1] in words]
    return (hands[0], meant[0]) if len(hands) == 1 and len(meant) == 1 else None


class TaskWatch:
    """Follows one instruction at a time and says in words how it stands."""

    def __init__(self) -> None:
        self._instruction = ""
        self._since: dict[tuple[int, int], float] = {}
        self._verdict = ""

    def update(self, now: float, instruction: str, things: Sequence[Thing], palms: NDArray[np.float64]) -> str:
        """Return how the task stands; nothing where there is none.

        :param now: [s, steady clock].
        :param palms: positions of both palms (2, 3), pelvis frame [m].
        """
        if instruction != self._instruction:
            self._instruction, self._verdict, self._since = instruction, "", {}
        if not instruction or not things:
            return ""
        meant = named(instruction, things)
        if meant is None:
            return "task: cannot tell which hand or thing is meant"
        distances = {
            (hand, index): surface_distance(thing, palms[hand])
            for hand in range(2)
            for index, thing in enumerate(things)
        }
        for pair, distance in distances.items():
            if distance >= NEAR:
                self._since.pop(pair, None)
            elif now - self._since.setdefault(pair, now) >= HOLD and not self._verdict:
                word = "SUCCESS" if pair == meant else "WRONG"
                self._verdict = f"{word}: {HANDS[pair[0]]} hand touched the {things[pair[1]].name}"
        hand, thing = HANDS[meant[0]], things[meant[1]].name
        return f"task: {self._verdict or 'under way'} · {hand} palm {100 * distances[meant]:.0f} cm from the {thing}"
