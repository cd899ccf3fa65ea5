"""The prediction as markers, as plain data; ``bridge/`` turns them into ``visualization_msgs`` for RViz and Foxglove.

Every marker has a namespace and a fixed id, so a new one replaces the old, and a lifetime, so that a dead policy leaves
no path behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neon_ros.show.prediction import Prediction

PELVIS_FRAME = "pelvis"
HANDS: tuple[tuple[str, tuple[int, int, int]], ...] = (("left", (0, 114, 178)), ("right", (213, 94, 0)))
"""Side and colour (Okabe and Ito: told apart by colour-blind eyes)."""
LIFETIME = 0.5  # [s]


@dataclass(frozen=True)
class Marker:
    """One thing to draw.

    :param namespace: group, shown as a check box in RViz.
    :param number: id within the group.
    :param kind: ``line``, ``spheres``, ``arrow`` or ``text``.
    :param points: (N, 3) in ``frame`` [m]; an arrow has start and end, a text its place.
    :param scale: line width, sphere diameter, arrow shaft diameter or letter height [m].
    :param colors: one per point, or one for all (N or 1, 4), 0 to 1.
    :param text: what a text says.
    :param lifetime: seconds until it vanishes.
    """

    namespace: str
    number: int
    kind: str
    points: NDArray[np.float64]
    scale: float
    colors: NDArray[np.float64]
    text: str = ""
    frame: str = PELVIS_FRAME
    lifetime: float = LIFETIME


def _rgba(rgb: tuple[int, int, int], alpha: float = 1.0) -> NDArray[np.float64]:
    return np.array([[*(channel / 255.0 for channel in rgb), alpha]])


def prediction_markers(now: Prediction, before: Prediction | None) -> list[Marker]:
    """Return the palms' predicted paths: light towards the future, spheres at the steps, the previous chunk in grey."""
    markers = []
    for hand, (side, rgb) in enumerate(HANDS):
        fade = np.linspace(1.0, 0.25, len(now.seconds))
        colors = np.repeat(_rgba(rgb), len(fade), axis=0)
        colors[:, 3] = fade
        markers.append(Marker("predicted_path", hand, "line", now.palms[hand], 0.008, colors))
        markers.append(Marker("predicted_steps", hand, "spheres", now.palms[hand], 0.014, colors))
        if before is not None:
            grey = _rgba((130, 130, 130), 0.7)
            markers.append(Marker("previous_path", hand, "line", before.palms[hand], 0.004, grey))
        end = now.palms[hand][-1:] + np.array([[0.0, 0.0, 0.04]])
        text = f"{side} +{now.seconds[-1]:.2f} s"
        markers.append(Marker("predicted_end", hand, "text", end, 0.03, _rgba((30, 30, 30)), text))
    return markers


def state_marker(state: str, reason: str) -> Marker:
    """Return the guard's state in words above the head."""
    text = f"{state}: {reason}" if reason else state
    return Marker("state", 0, "text", np.array([[0.0, 0.0, 0.75]]), 0.06, _rgba((20, 20, 20)), text, lifetime=2.0)


def velocity_marker(base_velocity: NDArray[np.float32]) -> Marker:
    """Return the commanded base velocity as an arrow one second long.

    :param base_velocity: vx, vy, yaw rate (3,) [m/s, m/s, rad/s]; the yaw rate is written, not drawn.
    """
    end = np.array([float(base_velocity[0]), float(base_velocity[1]), 0.0])
    points = np.stack([np.zeros(3), end])
    return Marker("base_velocity", 0, "arrow", points, 0.02, _rgba((0, 158, 115)))
