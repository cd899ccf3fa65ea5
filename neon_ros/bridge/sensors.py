"""Pictures and clouds as messages: ``Image``, ``CameraInfo``, ``PointCloud2``."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

from neon_ros.bridge.plain import filled, nanoseconds_of, short, time_of
from neon_ros.contracts import FloatArray
from neon_ros.errors import ContractError, refuse
from neon_ros.sense.compressed import decode_compressed
from neon_ros.sense.image import decode
from neon_ros.sense.points import PointLayout, decode_points, valid_returns

MAX_POINTS = 1 << 20
_BIG_ENDIAN = sys.byteorder == "big"


class Picture(NamedTuple):
    """One picture.

    :param stamp_ns: capture [ns, ROS clock].
    :param rgb: uint8 (H, W, 3).
    """

    stamp_ns: int
    frame: str
    rgb: NDArray[np.uint8]


class Cloud(NamedTuple):
    """One cloud.

    :param stamp_ns: capture [ns, ROS clock].
    :param points: valid returns, float32 (N, 3) [m] in ``frame``.
    """

    stamp_ns: int
    frame: str
    points: FloatArray


def image_to_msg(stamp_ns: int, frame: str, rgb: NDArray[np.uint8]) -> Image:
    """Return an ``rgb8`` message of a picture uint8 (H, W, 3)."""
    height, width, _ = rgb.shape
    msg = Image(height=height, width=width, encoding="rgb8", is_bigendian=0, step=3 * width)
    msg.header.stamp, msg.header.frame_id = time_of(stamp_ns), frame
    msg.data = filled(rgb, "B")
    return msg


def image_from_msg(msg: Any) -> Picture:
    """Return the picture of a message.

    :raises ContractError: see :func:`neon_ros.sense.image.decode`; also on no stamp.
    """
    encoding = short("image encoding", msg.encoding, 64)
    rgb = decode(memoryview(msg.data), int(msg.width), int(msg.height), encoding, int(msg.step))
    return Picture(nanoseconds_of(msg.header.stamp), msg.header.frame_id, rgb)


def picture_from_msg(msg: Any) -> Picture:
    """Return the picture of a ``CompressedImage``; its text ``format`` is not trusted, the bytes say what they are.

    :raises ContractError: see :func:`neon_ros.sense.compressed.decode_compressed`; also on no stamp.
    """
    return Picture(nanoseconds_of(msg.header.stamp), msg.header.frame_id, decode_compressed(memoryview(msg.data)))


def camera_info_to_msg(
    stamp_ns: int, frame: str, width: int, height: int, intrinsics: NDArray[np.float64]
) -> CameraInfo:
    """Return the calibration of an ideal pinhole camera.

    :param intrinsics: K (3, 3) [px].
    """
    msg = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    msg.header.stamp, msg.header.frame_id = time_of(stamp_ns), frame
    msg.k = intrinsics.astype(np.float64).ravel()
    msg.r = np.eye(3).ravel()
    msg.p = np.hstack([intrinsics, np.zeros((3, 1))]).astype(np.float64).ravel()
    return msg


def cloud_to_msg(stamp_ns: int, frame: str, points: NDArray[np.floating]) -> PointCloud2:
    """Return an x y z message of points (N, 3) [m]."""
    values = np.ascontiguousarray(points, dtype=np.float32)
    fields = [PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, n in enumerate("xyz")]
    msg = PointCloud2(height=1, width=len(values), fields=fields, is_bigendian=_BIG_ENDIAN, point_step=12)
    msg.header.stamp, msg.header.frame_id = time_of(stamp_ns), frame
    msg.row_step, msg.is_dense = 12 * len(values), True
    msg.data = filled(values, "B")
    return msg


def cloud_from_msg(msg: Any) -> Cloud:
    """Return the valid returns of a message; other fields than x, y, z are left unread.

    :raises ContractError: see :func:`neon_ros.sense.points.decode_points`; also on no stamp, or more points than any
        sensor sends.
    """
    if int(msg.width) * int(msg.height) > MAX_POINTS:
        raise ContractError(refuse("cloud size", f"{msg.width} x {msg.height} points", f"at most {MAX_POINTS}"))
    fields = {field.name: (int(field.offset), int(field.datatype)) for field in msg.fields}
    layout = PointLayout(
        int(msg.width), int(msg.height), int(msg.point_step), int(msg.row_step), fields, bool(msg.is_bigendian)
    )
    points = decode_points(memoryview(msg.data), layout)
    return Cloud(nanoseconds_of(msg.header.stamp), msg.header.frame_id, valid_returns(points).points)
