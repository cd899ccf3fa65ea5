"""The pose in which the stub robot stands at its start, and around which the stub policy moves: clear of itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neon_ros.robot.joints import JOINT_INDEX, NUM_JOINTS

_ANGLES = {
    **dict.fromkeys(("left_knee_joint", "right_knee_joint"), 0.3),
    **dict.fromkeys(("left_elbow_joint", "right_elbow_joint"), 0.97),
    "left_shoulder_roll_joint": 0.25,
    "right_shoulder_roll_joint": -0.25,
}


def standing() -> NDArray[np.float64]:
    """Return the pose (29,) [rad]."""
    q = np.zeros(NUM_JOINTS)
    for name, angle in _ANGLES.items():
        q[JOINT_INDEX[name]] = angle
    return q
