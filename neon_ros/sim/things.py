"""The things of the task `touch`: their colours and shapes by word, and how three of them are drawn and laid out.

Pure numpy: the language of the task and its judge read the words from here without a simulator.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_HUES = {"red": 0.0, "orange": 28.0, "yellow": 54.0, "green": 130.0, "blue": 225.0, "purple": 285.0}  # [deg]
COLOURS: tuple[str, ...] = tuple(_HUES)
SHAPES: tuple[str, ...] = ("cube", "ball", "can", "bar")

HELD_OUT_PAIRS: frozenset[tuple[str, str]] = frozenset(
    {("red", "can"), ("yellow", "cube"), ("green", "ball"), ("blue", "bar")}
)
"""Colour-shape pairs that never stand in a training scene, neither as target nor as distractor."""

NUM_OBJECTS = 3
AREA_X = (0.32, 0.42)  # [m] centres of the things, ahead of the pelvis; both hands reach all of it
AREA_Y = (-0.15, 0.15)  # [m]
GAP = 0.055  # [m] between two things, enough for a hand on one not to brush the other

PAIR_SETS: tuple[str, ...] = ("trained", "heldout")


@dataclass(frozen=True)
class SceneObject:
    """One thing on the table.

    :param colour: its colour word.
    :param shape: its shape word.
    :param rgb: its colour, each 0 to 1.
    :param half: half extents of its box: x, y, z (3,) [m]; a ball's radius thrice, a can's radius twice and half its
        height.
    :param x: centre ahead of the pelvis [m].
    :param y: centre to the left [m].
    :param yaw: [rad].
    :param mass: [kg].
    """

    colour: str
    shape: str
    rgb: tuple[float, float, float]
    half: tuple[float, float, float]
    x: float
    y: float
    yaw: float
    mass: float

    @property
    def height(self) -> float:
        """Height of its top above the table [m]."""
        return 2.0 * self.half[2]


def surface_distance(
    thing: SceneObject, centre: NDArray[np.float64], rotation: NDArray[np.float64], point: NDArray[np.float64]
) -> float:
    """Return the distance from ``point`` to the surface of ``thing``, zero inside [m].

    :param centre: where the thing is now, (3,) [m], in the frame of ``point``.
    :param rotation: its axes now, (3, 3).
    :param point: (3,) [m].
    """
    local = np.abs(rotation.T @ (point - centre))
    if thing.shape == "ball":
        return max(0.0, float(np.linalg.norm(local)) - thing.half[0])
    if thing.shape == "can":
        local = np.array(
            [max(0.0, float(np.hypot(local[0], local[1])) - thing.half[0]), 0.0, max(0.0, local[2] - thing.half[2])]
        )
        return float(np.linalg.norm(local))
    return float(np.linalg.norm(np.maximum(local - thing.half, 0.0)))


def inertia(thing: SceneObject) -> NDArray[np.float64]:
    a, b, c = thing.half
    if thing.shape == "ball":
        return np.full(3, 0.4 * thing.mass * a * a)
    if thing.shape == "can":
        side = thing.mass * (3 * a * a + (2 * c) ** 2) / 12.0
        return np.array([side, side, thing.mass * a * a / 2.0])
    return thing.mass / 3.0 * np.array([b * b + c * c, a * a + c * c, a * a + b * b])


def sample_pairs(rng: np.random.Generator, pairs: str) -> tuple[list[tuple[str, str]], int]:
    trained = [(colour, shape) for colour in COLOURS for shape in SHAPES if (colour, shape) not in HELD_OUT_PAIRS]
    pool = sorted(HELD_OUT_PAIRS) if pairs == "heldout" else trained
    target = pool[rng.integers(len(pool))]
    names = [target]
    while len(names) < NUM_OBJECTS:
        # Most distractors share the colour or the shape, so that both words are needed.
        share = rng.choice(("colour", "shape", "neither"), p=(0.4, 0.4, 0.2))
        near = [
            pair
            for pair in trained
            if pair not in names
            and (share != "colour" or pair[0] == target[0])
            and (share != "shape" or pair[1] == target[1])
        ]
        if near:
            names.append(near[rng.integers(len(near))])
    order = rng.permutation(NUM_OBJECTS)
    return [names[i] for i in order], int(np.flatnonzero(order == 0)[0])


def sample_objects(rng: np.random.Generator, names: list[tuple[str, str]]) -> tuple[SceneObject, ...]:
    halves = [_sample_half(rng, shape) for _, shape in names]
    radii = [
        max(half[0], half[1]) * (0.85 if shape == "bar" else 1.0)
        for half, (_, shape) in zip(halves, names, strict=True)
    ]
    while True:  # three things fit in about one of two tries
        x, y = rng.uniform(*AREA_X, NUM_OBJECTS), rng.uniform(*AREA_Y, NUM_OBJECTS)
        apart = [np.hypot(x[i] - x[j], y[i] - y[j]) - radii[i] - radii[j] for i in range(3) for j in range(i)]
        if min(apart) >= GAP:
            break
    return tuple(
        SceneObject(
            colour=colour,
            shape=shape,
            rgb=hsv(_HUES[colour] + rng.uniform(-5.0, 5.0), rng.uniform(0.75, 0.95), rng.uniform(0.65, 0.95)),
            half=halves[i],
            x=float(x[i]),
            y=float(y[i]),
            yaw=float(rng.uniform(-np.pi, np.pi)),
            mass=float(rng.uniform(0.10, 0.20)),
        )
        for i, (colour, shape) in enumerate(names)
    )


def _sample_half(rng: np.random.Generator, shape: str) -> tuple[float, float, float]:
    if shape == "cube":
        side = rng.uniform(0.026, 0.031)
        return triple([side, side, side])
    if shape == "ball":
        radius = rng.uniform(0.028, 0.033)
        return triple([radius, radius, radius])
    if shape == "can":
        radius = rng.uniform(0.026, 0.030)
        return triple([radius, radius, rng.uniform(0.034, 0.040)])
    width = rng.uniform(0.018, 0.022)
    return triple([rng.uniform(0.048, 0.058), width, width])


def hsv(hue_degrees: float, saturation: float, value: float) -> tuple[float, float, float]:
    return triple(colorsys.hsv_to_rgb((hue_degrees / 360.0) % 1.0, saturation, value))


def triple(values: object) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in values)  # type: ignore[attr-defined]
    return a, b, c
