"""Prepare the poses of both hands for the EEF encoder: position and 6-D rotation, left hand first.

The 6-D rotation is the first two columns of the rotation matrix (Zhou et al., "On the Continuity of Rotation
Representations in Neural Networks", arXiv 1812.07035): continuous, where a quaternion changes its sign.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neon_ros.contracts import checked_array
from neon_ros.errors import ContractError, refuse

EEF_SIZE = 18


def eef_input(poses: ArrayLike) -> NDArray[np.float32]:
    """Return the input of the EEF encoder.

    :param poses: left and right hand in the pelvis frame (2, 7): position [m], quaternion x y z w.
    :returns: float32 (1, 18): per hand position (3) [m] and 6-D rotation (6).
    :raises ContractError: on a wrong shape, a value that is not finite, or a quaternion that is no unit quaternion.
    """
    checked = checked_array("eef.poses", poses, (2, 7))
    lengths = np.linalg.norm(checked[:, 3:], axis=1)
    for hand, length in zip(("left", "right"), lengths, strict=True):
        if abs(float(length) - 1.0) > 0.02:
            raise ContractError(refuse(f"eef.{hand} quaternion length", round(float(length), 4), "1 +- 0.02"))
    return eef_rows(checked[None])


def eef_rows(poses: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the same for B captures that have been checked already: (B, 2, 7) to (B, 18)."""
    position, quaternion = poses[..., :3], poses[..., 3:]
    x, y, z, w = np.moveaxis(quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True), -1, 0)
    first = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)], axis=-1)
    second = np.stack([2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)], axis=-1)
    rows = np.concatenate([position, first, second], axis=-1)  # (B, 2, 9)
    return rows.reshape(len(poses), EEF_SIZE).astype(np.float32)
