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


class MarkerMessages:
    """Writes plain markers as messages; that of one namespace and id is made once and filled again.

    Making a marker's message costs more than all it says.  What was returned is overwritten by the next call.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[str, int, str], _Kept] = {}

    def array(self, stamp_ns: int, markers: Iterable[Marker]) -> MarkerArray:
        """Return the message of plain markers."""
        stamp = time_of(stamp_ns)
        return MarkerArray(markers=[self._filled(stamp, marker) for marker in markers])

    def _filled(self, stamp: Any, marker: Marker) -> MarkerMsg:
        key = (marker.namespace, marker.number, marker.kind)
        kept = self._made.get(key)
        if kept is None:
            kept = self._made[key] = _Kept(
                _blank(0, marker.frame, marker.namespace, marker.number, _KINDS[marker.kind])
            )
        msg = kept.msg
        msg.header.stamp = stamp
        if msg.text != marker.text:
            msg.text = marker.text
        look = (marker.frame, marker.scale, marker.size, marker.lifetime)
        if look != kept.look:
            kept.look, msg.header.frame_id = look, marker.frame
            msg.lifetime.sec, msg.lifetime.nanosec = divmod(round(marker.lifetime * 1e9), 1_000_000_000)
            _scale(msg, marker)
        colors = _colors(marker.colors.astype(np.float32).tobytes())
        if colors is not kept.colors:
            kept.colors, msg.color = colors, colors[0]
        if marker.kind in ("text", *_SOLIDS):
            p, o = msg.pose.position, msg.pose.orientation
            p.x, p.y, p.z = marker.points[0].tolist()
            o.w, o.x, o.y, o.z = marker.wxyz.tolist()
        else:
            _move(msg.points, marker.points)
            msg.colors = colors if len(colors) == len(msg.points) else []
        return msg


class _Kept:
    """A message that was made, and what was last written into it."""

    def __init__(self, msg: MarkerMsg) -> None:
        self.msg = msg
        self.look: tuple[object, ...] = ()
        self.colors: list[ColorRGBA] | None = None


def _move(points: list[Point], places: NDArray[np.floating]) -> None:
    """Make ``points`` say ``places`` (N, 3) [m], with as few new ones as may be."""
    del points[len(places) :]
    points += [Point() for _ in range(len(places) - len(points))]
    for point, (x, y, z) in zip(points, places.tolist(), strict=True):
        point.x, point.y, point.z = x, y, z


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


class PathMessage:
    """Writes a path of positions; what was returned is overwritten by the next call."""

    def __init__(self, frame: str = PELVIS_FRAME) -> None:
        self._frame, self._msg = frame, Path()
        self._msg.header.frame_id = frame

    def path(self, stamp_ns: int, points: NDArray[np.floating], dt: float) -> Path:
        """Return a path of positions (N, 3) [m], ``dt`` [s] apart from the stamp on."""
        msg = self._msg
        msg.header.stamp = time_of(stamp_ns)
        del msg.poses[len(points) :]
        while len(msg.poses) < len(points):
            pose = PoseStamped()
            pose.header.frame_id, pose.pose.orientation.w = self._frame, 1.0
            msg.poses.append(pose)
        for step, (pose, (x, y, z)) in enumerate(zip(msg.poses, points.tolist(), strict=True)):
            pose.header.stamp = time_of(stamp_ns + round(step * dt * 1e9))
            place = pose.pose.position
            place.x, place.y, place.z = x, y, z
        return msg


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
