"""Named joint values to motor order: joints travel with names and are put in order at the door."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from neon_ros.contracts import DoubleArray, checked_array
from neon_ros.errors import ContractError, refuse
from neon_ros.robot.joints import JOINT_NAMES, NUM_JOINTS, joint_indices


def in_motor_order(names: Sequence[str], values: ArrayLike, what: str = "joint positions") -> DoubleArray:
    """Return the values of all 29 joints in motor order (29,).

    :param names: the joint of each value, in any order.
    :param values: one number per name, e.g. [rad], [rad/s] or [N m].
    :param what: how the error calls the values.
    :raises ContractError: on an unknown, repeated or missing name, a wrong length or a value that is not finite.
    """
    checked = checked_array(what, values, (len(names),), np.float64)
    motors = joint_indices(names)
    if len(motors) != NUM_JOINTS:
        missing = [name for name in JOINT_NAMES if name not in set(names)]
        raise ContractError(refuse(what, f"no value for {', '.join(missing)}", f"all {NUM_JOINTS} joints"))
    ordered = np.empty(NUM_JOINTS, dtype=np.float64)
    ordered[motors] = checked
    return ordered
