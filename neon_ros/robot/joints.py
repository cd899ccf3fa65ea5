"""The 29 joints of the Unitree G1 in motor order: names, axes and limits.

Source: ``unitreerobotics/unitree_ros:robots/g1_description/g1_29dof_rev_1_0.urdf`` (2026-06-18);
the index equals ``motor_cmd[i]`` and ``motor_state[i]`` of ``unitree_sdk2``.  Position limits are the same for
all variants; effort and velocity limits that differ live in :mod:`neon_ros.robot.variants`.
Everything here holds for ``mode_pr == 0`` (pitch/roll) only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ContractError, refuse

NUM_JOINTS = 29
"""Motors that move a joint; message slots 29 to 34 move none (29 is the arm_sdk weight)."""


@dataclass(frozen=True)
class Joint:
    """One joint: index on the wire, name, axis and limits in SI units."""

    index: int
    name: str
    axis: str
    lower: float  # [rad]
    upper: float  # [rad]
    effort: float  # [N m]
    velocity: float  # [rad/s]


_TABLE: tuple[tuple[str, str, float, float, float, float], ...] = (
    ("left_hip_pitch_joint", "y", -2.5307, 2.8798, 88, 32),
    ("left_hip_roll_joint", "x", -0.5236, 2.9671, 139, 20),
    ("left_hip_yaw_joint", "z", -2.7576, 2.7576, 88, 32),
    ("left_knee_joint", "y", -0.087267, 2.8798, 139, 20),
    ("left_ankle_pitch_joint", "y", -0.87267, 0.5236, 35, 30),
    ("left_ankle_roll_joint", "x", -0.2618, 0.2618, 35, 30),
    ("right_hip_pitch_joint", "y", -2.5307, 2.8798, 88, 32),
    ("right_hip_roll_joint", "x", -2.9671, 0.5236, 139, 20),
    ("right_hip_yaw_joint", "z", -2.7576, 2.7576, 88, 32),
    ("right_knee_joint", "y", -0.087267, 2.8798, 139, 20),
    ("right_ankle_pitch_joint", "y", -0.87267, 0.5236, 35, 30),
    ("right_ankle_roll_joint", "x", -0.2618, 0.2618, 35, 30),
    ("waist_yaw_joint", "z", -2.618, 2.618, 88, 32),
    ("waist_roll_joint", "x", -0.52, 0.52, 35, 30),
    ("waist_pitch_joint", "y", -0.52, 0.52, 35, 30),
    ("left_shoulder_pitch_joint", "y", -3.0892, 2.6704, 25, 37),
    ("left_shoulder_roll_joint", "x", -1.5882, 2.2515, 25, 37),
    ("left_shoulder_yaw_joint", "z", -2.618, 2.618, 25, 37),
    ("left_elbow_joint", "y", -1.0472, 2.0944, 25, 37),
    ("left_wrist_roll_joint", "x", -1.972222054, 1.972222054, 25, 37),
    ("left_wrist_pitch_joint", "y", -1.614429558, 1.614429558, 5, 22),
    ("left_wrist_yaw_joint", "z", -1.614429558, 1.614429558, 5, 22),
    ("right_shoulder_pitch_joint", "y", -3.0892, 2.6704, 25, 37),
    ("right_shoulder_roll_joint", "x", -2.2515, 1.5882, 25, 37),
    ("right_shoulder_yaw_joint", "z", -2.618, 2.618, 25, 37),
    ("right_elbow_joint", "y", -1.0472, 2.0944, 25, 37),
    ("right_wrist_roll_joint", "x", -1.972222054, 1.972222054, 25, 37),
    ("right_wrist_pitch_joint", "y", -1.614429558, 1.614429558, 5, 22),
    ("right_wrist_yaw_joint", "z", -1.614429558, 1.614429558, 5, 22),
)

JOINTS: tuple[Joint, ...] = tuple(Joint(i, *row) for i, row in enumerate(_TABLE))
JOINT_NAMES: tuple[str, ...] = tuple(joint.name for joint in JOINTS)
JOINT_INDEX: dict[str, int] = {joint.name: joint.index for joint in JOINTS}


def joint_indices(names: Sequence[str]) -> NDArray[np.intp]:
    """Return the motor index of each name.

    :param names: joint names in any order, each at most once.
    :raises ContractError: on an unknown or repeated name.
    """
    unknown = [name for name in names if name not in JOINT_INDEX]
    if unknown:
        raise ContractError(refuse("joint names", unknown, f"names among {', '.join(JOINT_NAMES)}"))
    if len(set(names)) != len(names):
        repeated = sorted({name for name in names if list(names).count(name) > 1})
        raise ContractError(refuse("joint names", f"repeated {repeated}", "each name once"))
    return np.array([JOINT_INDEX[name] for name in names], dtype=np.intp)
