"""Prepare what the robot feels of itself for the proprio encoder: joints, gravity and turning, in unit-size numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neon_ros.contracts import checked_array
from neon_ros.errors import ContractError, refuse
from neon_ros.robot.joints import JOINTS, NUM_JOINTS

PROPRIO_SIZE = 2 * NUM_JOINTS + 6
"""q (29), dq (29), gravity (3), gyroscope (3)."""

_LOWER = np.array([joint.lower for joint in JOINTS], dtype=np.float32)
_UPPER = np.array([joint.upper for joint in JOINTS], dtype=np.float32)
VELOCITY_SCALE = 2.0
"""A fast arm motion [rad/s]: dq is squashed as tanh(dq / 2), so that one spike of an estimator cannot dominate."""
GYROSCOPE_SCALE = 2.0
"""A fast turn of the pelvis [rad/s], squashed alike."""


def proprio_input(q: ArrayLike, dq: ArrayLike, gravity: ArrayLike, gyroscope: ArrayLike) -> NDArray[np.float32]:
    """Return the input of the proprio encoder.

    Joint positions are mapped so that the joint's range is -1 to 1; velocities are squashed with tanh.

    :param q: joint positions (29,) in motor order [rad].
    :param dq: joint velocities (29,) [rad/s].
    :param gravity: direction of gravity in the pelvis frame, unit vector (3,); (0, 0, -1) when upright.
    :param gyroscope: angular velocity of the pelvis (3,) [rad/s].
    :returns: float32 (1, 64).
    :raises ContractError: on a wrong shape, a value that is not finite, or a gravity that is no unit vector.
    """
    q = checked_array("proprio.q", q, (NUM_JOINTS,))
    dq = checked_array("proprio.dq", dq, (NUM_JOINTS,))
    gravity = checked_array("proprio.gravity", gravity, (3,))
    gyroscope = checked_array("proprio.gyroscope", gyroscope, (3,))
    length = float(np.linalg.norm(gravity))
    if abs(length - 1.0) > 0.05:
        raise ContractError(refuse("proprio.gravity length", round(length, 4), "1 +- 0.05"))
    return proprio_rows(q[None], dq[None], gravity[None], gyroscope[None])


def proprio_rows(
    q: NDArray[np.float32], dq: NDArray[np.float32], gravity: NDArray[np.float32], gyroscope: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the same for B captures that have been checked already: (B, 29), (B, 29), (B, 3), (B, 3) to (B, 64)."""
    position = 2.0 * (q - _LOWER) / (_UPPER - _LOWER) - 1.0
    rows = [position, np.tanh(dq / VELOCITY_SCALE), gravity, np.tanh(gyroscope / GYROSCOPE_SCALE)]
    return np.concatenate(rows, axis=1).astype(np.float32)
