"""Inertial readings: the two orders of a quaternion, gravity as the body feels it, and the units of the MID-360."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from neon_ros.contracts import DoubleArray, checked_array
from neon_ros.errors import ContractError, refuse

STANDARD_GRAVITY = 9.80665
"""[m/s^2] per g (CGPM 1901)."""
UNIT_TOLERANCE = 0.01
"""Farthest that the length of a quaternion may be from 1."""


def xyzw_from_wxyz(quaternion_wxyz: ArrayLike) -> DoubleArray:
    """Return a unit quaternion of the Unitree wire (4,) in the order of ROS.

    :raises ContractError: on a wrong shape, a value that is not finite or a length that is not 1.
    """
    return np.roll(checked_quaternion(quaternion_wxyz), -1)


def wxyz_from_xyzw(quaternion_xyzw: ArrayLike) -> DoubleArray:
    """Return a unit quaternion of ROS (4,) in the order of the Unitree wire.

    :raises ContractError: on a wrong shape, a value that is not finite or a length that is not 1.
    """
    return np.roll(checked_quaternion(quaternion_xyzw), 1)


def checked_quaternion(quaternion: ArrayLike, name: str = "quaternion") -> DoubleArray:
    """Return a unit quaternion (4,), in either order, its rounding removed.

    :raises ContractError: on a wrong shape, a value that is not finite or a length farther than 0.01 from 1.
    """
    checked = checked_array(name, quaternion, (4,), np.float64)
    length = float(np.linalg.norm(checked))
    if abs(length - 1.0) > UNIT_TOLERANCE:
        raise ContractError(refuse(f"{name} length", f"{length:.4g}", f"1 ± {UNIT_TOLERANCE}"))
    return checked / length


def projected_gravity(quaternion_wxyz: ArrayLike) -> DoubleArray:
    """Return the direction of gravity in the body frame, a unit vector (3,); upright gives 0 0 -1.

    :param quaternion_wxyz: orientation of the body in the world (4,), w first.
    :raises ContractError: on a wrong shape, a value that is not finite or a length that is not 1.
    """
    w, x, y, z = checked_quaternion(quaternion_wxyz)
    return np.array([2 * (w * y - x * z), -2 * (y * z + w * x), 2 * (x * x + y * y) - 1])


def acceleration_from_g(acceleration: ArrayLike) -> DoubleArray:
    """Return an acceleration in m/s^2 from one in g (3,), as the Livox driver of the MID-360 publishes it.

    :raises ContractError: on a wrong shape or a value that is not finite.
    """
    return checked_array("acceleration", acceleration, (3,), np.float64) * STANDARD_GRAVITY
