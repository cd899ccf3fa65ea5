"""The robot's body as simple shapes: the ghost at the end of a chunk, and the capsules that must not meet.

The ghost is made of markers and not of a second RobotModel on purpose: a RobotModel needs a second set of transforms,
which stays where it was when the policy dies, while markers vanish with their lifetime; and RViz, Foxglove and rqt
draw them alike, translucent and without a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from neon_ros.resources import share
from neon_ros.robot.capsules import Capsule
from neon_ros.robot.kinematics import URDF
from neon_ros.robot.urdf import rotation_from_rpy
from neon_ros.show.figure import quaternions_wxyz
from neon_ros.show.markers import Marker
from neon_ros.show.palette import GREEN, SKY, rgba

Poses = Mapping[str, NDArray[np.float64]]
CAPSULE_LIFETIME = 1.5  # [s]
_ARM = ("shoulder", "elbow", "wrist", "hand")
_MOVED = 1e-2  # [m], [rad] of motion from which a link that is not of an arm is drawn as ghost


class LinkShape(NamedTuple):
    """A simple shape that is part of a link.

    :param kind: ``box``, ``cylinder`` or ``sphere``.
    :param size: full extents in its own frame (3,) [m]; a cylinder stands along z.
    :param pose: in the link (4, 4).
    """

    link: str
    kind: str
    size: tuple[float, float, float]
    pose: NDArray[np.float64]


def link_shapes(path: Path | None = None) -> list[LinkShape]:
    """Return the shapes that a URDF collides with; by default of the one that ships with neon_ros."""
    shapes = []
    for link in ElementTree.parse(share(URDF) if path is None else path).getroot().iter("link"):
        for element in link.iter("collision"):
            size = _size(element.find("geometry"))
            if size is None:
                continue
            pose, origin = np.eye(4), element.find("origin")
            if origin is not None:
                pose[:3, :3] = rotation_from_rpy(_numbers(origin.get("rpy", "0 0 0")))
                pose[:3, 3] = _numbers(origin.get("xyz", "0 0 0"))
            shapes.append(LinkShape(str(link.get("name")), *size, pose))
    return shapes


def _size(geometry: ElementTree.Element | None) -> tuple[str, tuple[float, float, float]] | None:
    if geometry is None:
        return None
    if (box := geometry.find("box")) is not None:
        x, y, z = _numbers(box.attrib["size"])
        return "box", (x, y, z)
    if (cylinder := geometry.find("cylinder")) is not None:
        width, length = 2.0 * float(cylinder.attrib["radius"]), float(cylinder.attrib["length"])
        return "cylinder", (width, width, length)
    if (sphere := geometry.find("sphere")) is not None:
        width = 2.0 * float(sphere.attrib["radius"])
        return "sphere", (width, width, width)
    return None


def _numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()]


def ghost_markers(shapes: Sequence[LinkShape], end: Poses, now: Poses) -> list[Marker]:
    """Return the translucent shapes of the arms, and of any other link that moves, at the end of a chunk.

    :param end: link name to (4, 4) at the end, pelvis frame; ``now`` likewise.
    """
    drawn = [
        (number, shape)
        for number, shape in enumerate(shapes)
        if any(part in shape.link for part in _ARM) or np.abs(end[shape.link] - now[shape.link]).max() > _MOVED
    ]
    if not drawn:
        return []
    poses = np.stack([end[shape.link] @ shape.pose for _, shape in drawn])
    turns, color = quaternions_wxyz(poses[:, :3, :3]), rgba(GREEN, 0.3)
    return [
        Marker("ghost", number, shape.kind, pose[None, :3, 3], 0.0, color, size=shape.size, wxyz=turn)
        for (number, shape), pose, turn in zip(drawn, poses, turns, strict=True)
    ]


def capsule_markers(capsules: Sequence[Capsule], poses: Poses) -> list[Marker]:
    """Return each capsule as a cylinder between two balls.

    :param poses: link name to (4, 4), pelvis frame.
    """
    markers = []
    color = rgba(SKY, 0.35)
    for number, capsule in enumerate(capsules):
        pose = poses[capsule.link]
        p0, p1 = (pose[:3, :3] @ end + pose[:3, 3] for end in (capsule.start, capsule.end))
        width, length = 2.0 * capsule.radius, float(np.linalg.norm(p1 - p0))
        balls = np.stack([p0, p1]) if length > 1e-6 else p0[None]
        markers.append(Marker("capsule_end", number, "spheres", balls, width, color, lifetime=CAPSULE_LIFETIME))
        if length > 1e-6:
            place, size = (p0 + p1)[None] / 2.0, (width, width, length)
            turn = wxyz_of_axis((p1 - p0) / length)
            markers.append(
                Marker(
                    "capsule",
                    number,
                    "cylinder",
                    place,
                    0.0,
                    color,
                    "",
                    lifetime=CAPSULE_LIFETIME,
                    size=size,
                    wxyz=turn,
                )
            )
    return markers


def wxyz_of_axis(axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shortest turn of z onto the unit vector ``axis`` (3,), as w x y z."""
    x, y, z = axis
    if z < -1.0 + 1e-9:
        return np.array([0.0, 1.0, 0.0, 0.0])
    turn = np.array([1.0 + z, -y, x, 0.0])
    return turn / np.linalg.norm(turn)
