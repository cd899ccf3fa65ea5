"""Poses as matrices and as the position and xyzw quaternion that ROS messages carry."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from neon_ros.contracts import DoubleArray, checked_array
from neon_ros.errors import ContractError, refuse
from neon_ros.sense.imu import checked_quaternion

_ROTATION_TOLERANCE = 1e-4


def pose_from_matrix(matrix: ArrayLike) -> DoubleArray:
    """Return position [m] and quaternion x y z w (7,) of a homogeneous matrix; w is never negative.

    The quaternion follows Shepperd, "Quaternion from Rotation Matrix" (1978): the largest component is found first.

    :param matrix: rotation and translation (4, 4).
    :raises ContractError: on a wrong shape, a value that is not finite or a part that is no rotation.
    """
    checked = checked_array("pose matrix", matrix, (4, 4), np.float64)
    turn = checked[:3, :3]
    if np.abs(turn @ turn.T - np.eye(3)).max() > _ROTATION_TOLERANCE or np.linalg.det(turn) < 0:
        raise ContractError(refuse("pose matrix", turn.round(4).tolist(), "a rotation"))
    trace = np.trace(turn)
    squares = np.array([*(1 + 2 * np.diag(turn) - trace), 1 + trace])  # 4 x^2, 4 y^2, 4 z^2, 4 w^2
    largest = int(squares.argmax())
    if largest == 3:
        products = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1], squares[3]])
    else:
        i, j, k = largest, (largest + 1) % 3, (largest + 2) % 3
        products = np.empty(4)
        products[[i, j, k, 3]] = squares[i], turn[j, i] + turn[i, j], turn[k, i] + turn[i, k], turn[k, j] - turn[j, k]
    quaternion = products / np.linalg.norm(products)
    return np.concatenate([checked[:3, 3], quaternion if quaternion[3] >= 0 else -quaternion])


def matrix_from_pose(pose: ArrayLike) -> DoubleArray:
    """Return the homogeneous matrix (4, 4) of a position [m] and quaternion x y z w (7,).

    :raises ContractError: on a wrong shape, a value that is not finite or a quaternion whose length is not 1.
    """
    checked = checked_array("pose", pose, (7,), np.float64)
    x, y, z, w = checked_quaternion(checked[3:], "pose quaternion")
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = checked[:3]
    return matrix
