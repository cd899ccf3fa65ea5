"""The prediction as markers, as plain data; ``bridge/`` turns them into ``visualization_msgs`` for RViz and Foxglove.

Every marker has a namespace and a fixed id, so a new one replaces the old, and a lifetime, so that a dead policy leaves
nothing behind.  All are in the pelvis frame, the fixed frame of ``config/neon.rviz``: no transform is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neon_ros.show.palette import BLUE, DARK, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, Rgb, rgba, time_ramp
from neon_ros.show.prediction import TRACKED, Prediction, along, dashes

PELVIS_FRAME = "pelvis"
COLOUR_OF: dict[str, Rgb] = {"left": BLUE, "right": VERMILION, "torso": PURPLE}
LIFETIME = 0.5  # [s]
STEP = 0.1  # [s] between two balls on a predicted path


@dataclass(frozen=True)
class Marker:
    """One thing to draw.

    :param namespace: group, shown as a check box in RViz.
    :param number: id within the group.
    :param kind: ``line``, ``lines``, ``spheres``, ``arrow``, ``text``, ``box``, ``cylinder`` or ``sphere``.
    :param points: (N, 3) in ``frame`` [m]; pairs for ``lines``, start and end of an arrow, the place of all others.
    :param scale: line width, diameter of spheres, arrow shaft diameter or letter height [m].
    :param colors: one per point, or one for all (N or 1, 4), 0 to 1.
    :param text: what a text says.
    :param lifetime: seconds until it vanishes.
    :param size: full extents of a box, cylinder or sphere (3,) [m].
    :param wxyz: its orientation in ``frame`` (4,).
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
    size: tuple[float, float, float] = (0.0, 0.0, 0.0)
    wxyz: NDArray[np.float64] = field(default_factory=lambda: np.array([1.0, 0.0, 0.0, 0.0]))


def prediction_markers(
    now: Prediction, before: Prediction | None, blend: tuple[float, float] | None = None
) -> list[Marker]:
    """Return the predicted paths, dark now and light at the end, and the previous chunk's dashed in grey.

    :param blend: when the guard fades from the previous chunk into this one, after this one's capture [s].
    """
    markers = []
    for number, (name, _, _) in enumerate(TRACKED):
        path, rgb = now.paths[number], COLOUR_OF[name]
        colors = np.concatenate([time_ramp(rgb, len(path)), np.ones((len(path), 1))], axis=1)
        markers.append(Marker("predicted_path", number, "line", path, 0.008, colors))
        if before is not None:
            pieces = dashes(before.paths[number]).reshape(-1, 3)
            markers.append(Marker("previous_path", number, "lines", pieces, 0.005, rgba(GREY, 0.8)))
        if name == "torso":
            continue
        each = max(1, round(STEP / float(now.seconds[1]))) if len(path) > 1 else 1
        markers.append(Marker("predicted_steps", number, "spheres", path[::each], 0.014, colors[::each]))
        end, text = path[-1:] + np.array([[0.0, 0.0, 0.04]]), f"{name} +{now.seconds[-1]:.2f} s"
        markers.append(Marker("predicted_end", number, "text", end, 0.03, rgba(DARK), text))
    if blend is not None and before is not None:
        markers += _blend_markers(now, *blend)
    markers.append(velocity_marker(now.base_velocity))
    return markers


def _blend_markers(now: Prediction, start: float, end: float) -> list[Marker]:
    markers = []
    for number, part in enumerate(along(now, start, end)):
        if not len(part):
            return []
        markers.append(Marker("blend_window", number, "line", part, 0.02, rgba(ORANGE, 0.6)))
        if TRACKED[number][0] != "torso":
            place = part[:1] + np.array([[0.0, 0.0, -0.04]])
            text = f"blend {1e3 * (end - start):.0f} ms"
            markers.append(Marker("blend_text", number, "text", place, 0.02, rgba(DARK), text))
    return markers


def velocity_marker(base_velocity: NDArray[np.floating]) -> Marker:
    """Return the commanded base velocity as an arrow one second long.

    :param base_velocity: vx, vy, yaw rate (3,) [m/s, m/s, rad/s]; the yaw rate is written, not drawn.
    """
    end = np.array([float(base_velocity[0]), float(base_velocity[1]), 0.0])
    return Marker("base_velocity", 0, "arrow", np.stack([np.zeros(3), end]), 0.02, rgba(GREEN))


def trail_markers(commanded: NDArray[np.float64], measured: NDArray[np.float64]) -> list[Marker]:
    """Return where the palms were commanded to be and where they were, over the last moments.

    :param commanded: (2, N, 3), left first, pelvis frame [m]; none when nothing is commanded.
    :param measured: (2, M, 3).
    """
    markers = []
    for namespace, paths, color, width in (
        ("commanded_path", commanded, rgba(DARK), 0.005),
        ("measured_path", measured, rgba(SKY), 0.009),
    ):
        for number, path in enumerate(paths):
            if len(path) > 1:
                markers.append(Marker(namespace, number, "line", path, width, color))
    return markers
