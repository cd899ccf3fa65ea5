"""What to draw, as ``visualization_msgs/MarkerArray`` and ``nav_msgs/Path``, for RViz, Foxglove and the browser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from geometry_msgs.msg import Point, PoseStamped
from nav_msgs.msg import Path
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from visualization_msgs.msg import Marker as MarkerMsg
from visualization_msgs.msg import MarkerArray

from neon_ros.bridge.plain import filled, short, time_of
from neon_ros.contracts import DoubleArray, checked_array
from neon_ros.errors import ContractError, refuse
from neon_ros.robot.joints import JOINT_NAMES
from neon_ros.sense.imu import checked_quaternion, wxyz_from_xyzw, xyzw_from_wxyz
from neon_ros.show.markers import PELVIS_FRAME, Marker

_SOLIDS = {"box": MarkerMsg.CUBE, "sphere": MarkerMsg.SPHERE, "cylinder": MarkerMsg.CYLINDER}
_KINDS = {
    **_SOLIDS,
    "line": MarkerMsg.LINE_STRIP,
    "lines": MarkerMsg.LINE_LIST,
    "spheres": MarkerMsg.SPHERE_LIST,
    "arrow": MarkerMsg.ARROW,
    "text": MarkerMsg.TEXT_VIEW_FACING,
}
_MAX_SOLIDS = 64


class Solid(NamedTuple):
    """A thing of the world in the pelvis frame.

    :param shape: ``box``, ``sphere`` or ``cylinder``.
    :param size: full extents x, y, z [m].
    :param rgb: each 0 to 1.
    :param position: (3,) [m].
    :param quaternion_wxyz: (4,).
    """

    name: str
    shape: str
    size: tuple[float, float, float]
    rgb: tuple[float, float, float]
    position: DoubleArray
    quaternion_wxyz: DoubleArray


def markers_to_msg(stamp_ns: int, markers: Iterable[Marker]) -> MarkerArray:
    """Return the message of plain markers."""
    return MarkerArray(markers=[_marker_to_msg(stamp_ns, marker) for marker in markers])


def _marker_to_msg(stamp_ns: int, marker: Marker) -> MarkerMsg:
    msg = _blank(stamp_ns, marker.frame, marker.namespace, marker.number, _KINDS[marker.kind])
    msg.lifetime.sec, msg.lifetime.nanosec = divmod(round(marker.lifetime * 1e9), 1_000_000_000)
    colors = _colors(marker.colors.astype(np.float32).tobytes())
    msg.color, msg.text = colors[0], marker.text
    _scale(msg, marker)
    if marker.kind in ("text", *_SOLIDS):
        msg.pose.position = _point(marker.points[0])
        o = msg.pose.orientation
        o.w, o.x, o.y, o.z = marker.wxyz.tolist()
    else:
        msg.points = [Point(x=x, y=y, z=z) for x, y, z in marker.points.tolist()]
        msg.colors = colors if len(colors) == len(msg.points) else []
    return msg


@lru_cache(maxsize=256)
def _colors(rgba: bytes) -> list[ColorRGBA]:
    """Return the colours of (N, 4) float32; made once, because a few ramps come back with every chunk."""
    rows = np.frombuffer(rgba, np.float32).reshape(-1, 4)
    return [ColorRGBA(r=r, g=g, b=b, a=a) for r, g, b, a in rows.tolist()]


def solids_to_msg(stamp_ns: int, solids: Sequence[Solid]) -> MarkerArray:
    """Return the message of the world's things."""
    array = MarkerArray()
    for number, solid in enumerate(solids):
        msg = _blank(stamp_ns, PELVIS_FRAME, "scene", number, _SOLIDS[solid.shape])
        msg.text = solid.name
        msg.scale.x, msg.scale.y, msg.scale.z = (float(side) for side in solid.size)
        msg.color = ColorRGBA(**dict(zip("rgb", map(float, solid.rgb), strict=True)), a=1.0)
        o = msg.pose.orientation
        msg.pose.position = _point(solid.position)
        o.x, o.y, o.z, o.w = xyzw_from_wxyz(solid.quaternion_wxyz).tolist()
        array.markers.append(msg)
    return array


def solids_from_msg(msg: Any) -> list[Solid]:
    """Return the things of a scene message; other kinds of markers are left out.

    :raises ContractError: on more things than any scene has, values that are not finite, or no unit quaternion.
    """
    if len(msg.markers) > _MAX_SOLIDS:
        raise ContractError(refuse("scene.markers", len(msg.markers), f"at most {_MAX_SOLIDS}"))
    shapes = {number: name for name, number in _SOLIDS.items()}
    result = []
    for m in msg.markers:
        if m.type not in shapes:
            continue
        p, o, s, c = m.pose.position, m.pose.orientation, m.scale, m.color
        numbers = checked_array("scene", [p.x, p.y, p.z, s.x, s.y, s.z, c.r, c.g, c.b], (9,), np.float64)
        x, y, z, wide, deep, tall, red, green, blue = numbers.tolist()
        turned = wxyz_from_xyzw(checked_quaternion([o.x, o.y, o.z, o.w], "scene.orientation"))
        name, place = short("scene.text", m.text), np.array([x, y, z])
        result.append(Solid(name, shapes[m.type], (wide, deep, tall), (red, green, blue), place, turned))
    return result


def path_to_msg(stamp_ns: int, points: NDArray[np.floating], dt: float, frame: str = PELVIS_FRAME) -> Path:
    """Return a path of positions (N, 3) [m], ``dt`` [s] apart from the stamp on."""
    path = Path()
    path.header.stamp, path.header.frame_id = time_of(stamp_ns), frame
    for step, point in enumerate(points):
        pose = PoseStamped()
        pose.header.stamp, pose.header.frame_id = time_of(stamp_ns + round(step * dt * 1e9)), frame
        pose.pose.position, pose.pose.orientation.w = _point(point), 1.0
        path.poses.append(pose)
    return path


def trajectory_to_msg(stamp_ns: int, q: NDArray[np.floating], seconds: NDArray[np.floating]) -> JointTrajectory:
    """Return what a chunk asks of all joints.

    :param stamp_ns: capture that the chunk answers [ns, ROS clock].
    :param q: (H, 29) [rad].
    :param seconds: of each step after the capture (H,) [s].
    """
    msg = JointTrajectory(joint_names=JOINT_NAMES)
    msg.header.stamp, msg.header.frame_id = time_of(stamp_ns), PELVIS_FRAME
    for row, second in zip(q, seconds.tolist(), strict=True):
        point = JointTrajectoryPoint(positions=filled(row.astype(np.float64, copy=False), "d"))
        point.time_from_start.sec, point.time_from_start.nanosec = divmod(round(second * 1e9), 1_000_000_000)
        msg.points.append(point)
    return msg


def _blank(stamp_ns: int, frame: str, namespace: str, number: int, kind: int) -> MarkerMsg:
    msg = MarkerMsg(ns=namespace, id=number, type=kind, action=MarkerMsg.ADD)
    msg.header.stamp, msg.header.frame_id = time_of(stamp_ns), frame
    msg.pose.orientation.w = 1.0
    return msg


def _scale(msg: MarkerMsg, marker: Marker) -> None:
    """Set the scale as each kind reads it: line width in x, letters in z, arrows in shaft and head, solids by side."""
    if marker.kind in _SOLIDS:
        msg.scale.x, msg.scale.y, msg.scale.z = marker.size
        return
    width = float(marker.scale)
    flat = {"line": (1, 0, 0), "lines": (1, 0, 0), "text": (0, 0, 1), "arrow": (1, 2, 0)}
    x, y, z = flat.get(marker.kind, (1, 1, 1))
    msg.scale.x, msg.scale.y, msg.scale.z = x * width, y * width, z * width


def _point(values: NDArray[np.floating]) -> Point:
    return Point(x=float(values[0]), y=float(values[1]), z=float(values[2]))
