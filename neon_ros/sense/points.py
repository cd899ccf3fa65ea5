"""LiDAR clouds: the bytes of a cloud message to points, invalid returns counted out, brought into another frame.

The MID-360 of the G1 hangs upside down on the torso; :meth:`neon_ros.robot.kinematics.Kinematics.mount` of
``livox_frame`` gives the pose for :func:`transformed`.  Thinning for the point encoder is in
:mod:`neon_ros.encode.lidar`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neon_ros.contracts import FloatArray, checked_array
from neon_ros.errors import ContractError, refuse

MAX_POINT_STEP = 4096
"""Longest point that is read [bytes]; the Livox driver's have 18."""

MIN_RANGE = 0.1
"""Nearest return of a Livox MID-360 [m] (user manual, "close proximity blind zone"); no return is sent as 0 0 0."""
_DATATYPES = {7: "f4", 8: "f8"}
"""FLOAT32 and FLOAT64 of ``sensor_msgs/PointField``."""


class PointLayout(NamedTuple):
    """How a ``sensor_msgs/PointCloud2`` lays out its bytes.

    :param width: points per row.
    :param height: rows.
    :param point_step: bytes from one point to the next.
    :param row_step: bytes from one row to the next.
    :param fields: name to (byte offset, datatype code).
    :param is_bigendian: byte order of the numbers.
    """

    width: int
    height: int
    point_step: int
    row_step: int
    fields: Mapping[str, tuple[int, int]]
    is_bigendian: bool = False


class Returns(NamedTuple):
    """What is left of a cloud.

    :param points: finite returns (N, 3) [m].
    :param dropped: returns that were not finite or nearer than the sensor can see.
    """

    points: FloatArray
    dropped: int


def decode_points(data: bytes | bytearray | memoryview | NDArray[np.uint8], layout: PointLayout) -> FloatArray:
    """Return x, y, z of every point of a cloud message, float32 (N, 3) [m], invalid ones included.

    :raises ContractError: when a coordinate is missing or of another type, or the bytes do not match the layout.
    """
    missing = [name for name in "xyz" if name not in layout.fields]
    if missing:
        raise ContractError(refuse("cloud fields", f"no {', '.join(missing)}", "x, y and z"))
    kinds = {name: layout.fields[name][1] for name in "xyz"}
    if len(set(kinds.values())) != 1 or kinds["x"] not in _DATATYPES:
        raise ContractError(
            refuse("cloud datatypes of x, y, z", list(kinds.values()), "all 7 (float32) or all 8 (float64)")
        )
    if layout.point_step > MAX_POINT_STEP:
        raise ContractError(refuse("cloud point_step", layout.point_step, f"at most {MAX_POINT_STEP} bytes a point"))
    kind = np.dtype((">" if layout.is_bigendian else "<") + _DATATYPES[kinds["x"]])
    offsets = [layout.fields[name][0] for name in "xyz"]
    if min(offsets) < 0 or max(offsets) + kind.itemsize > layout.point_step:
        raise ContractError(refuse("cloud offsets of x, y, z", offsets, f"inside {layout.point_step} bytes a point"))
    if layout.row_step < layout.width * layout.point_step:
        least = layout.width * layout.point_step
        raise ContractError(
            refuse("cloud row_step", layout.row_step, f"at least {least} bytes for {layout.width} points")
        )
    raw = np.frombuffer(data, dtype=np.uint8)
    if raw.size != layout.row_step * layout.height:
        raise ContractError(refuse("cloud data", f"{raw.size} bytes", f"{layout.row_step * layout.height}"))
    rows = raw.reshape(layout.height, layout.row_step)[:, : layout.width * layout.point_step]
    point = np.dtype(
        {"names": ["x", "y", "z"], "formats": [kind] * 3, "offsets": offsets, "itemsize": layout.point_step}
    )
    table = np.ascontiguousarray(rows).reshape(-1).view(point)
    return np.stack([table["x"], table["y"], table["z"]], axis=1).astype(np.float32)


def valid_returns(points: ArrayLike, min_range: float = MIN_RANGE) -> Returns:
    """Return the points that are finite and at least ``min_range`` away from the sensor, and how many are not.

    :param points: cloud in the sensor's frame (N, 3) [m].
    :param min_range: [m].
    :raises ContractError: on a wrong shape.
    """
    cloud = np.asarray(points, dtype=np.float32)
    if cloud.ndim != 2 or cloud.shape[1] != 3:
        raise ContractError(refuse("points shape", cloud.shape, "(N, 3)"))
    with np.errstate(over="ignore", invalid="ignore"):
        valid = np.isfinite(cloud).all(axis=1) & (np.einsum("ij,ij->i", cloud, cloud) >= min_range**2)
    return Returns(cloud[valid], int(len(cloud) - valid.sum()))


def transformed(points: ArrayLike, target_from_source: ArrayLike) -> FloatArray:
    """Return the points in another frame.

    :param points: finite points in the source frame (N, 3) [m].
    :param target_from_source: pose of the source frame in the target frame (4, 4), a rigid motion.
    :raises ContractError: on a wrong shape, a value that is not finite, or a matrix that is no rigid motion.
    """
    cloud = checked_array("points", points, (None, 3))
    pose = checked_array("target_from_source", target_from_source, (4, 4), np.float64)
    turn = pose[:3, :3]
    rigid = np.allclose(turn @ turn.T, np.eye(3), atol=1e-5) and np.linalg.det(turn) > 0
    if not rigid or not np.array_equal(pose[3], [0, 0, 0, 1]):
        raise ContractError(refuse("target_from_source", pose.round(4).tolist(), "a rotation and a translation"))
    return (cloud @ turn.T + pose[:3, 3]).astype(np.float32)


def cropped(points: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> FloatArray:
    """Return the points inside a box, lower faces included.

    :param points: (N, 3) [m].
    :param lower: corner (3,) [m].
    :param upper: corner (3,) [m].
    :raises ContractError: on a wrong shape, a value that is not finite, or corners that enclose nothing.
    """
    cloud = checked_array("points", points, (None, 3))
    low, high = checked_array("lower", lower, (3,)), checked_array("upper", upper, (3,))
    if not (low < high).all():
        raise ContractError(refuse("crop box", f"{low.tolist()} to {high.tolist()}", "lower below upper in x, y and z"))
    return np.asarray(cloud[((cloud >= low) & (cloud < high)).all(axis=1)], dtype=np.float32)
