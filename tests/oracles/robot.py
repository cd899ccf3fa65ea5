"""The G1 typed again from the vendor's tables: order, limits, variants; limits of motion from the safety page."""

from __future__ import annotations

import numpy as np

# i, joint, lower [rad], upper [rad], effort [N m], velocity [rad/s] (g1_29dof_rev_1_0.urdf)
TABLE = """
 0 left_hip_pitch_joint       -2.5307      2.8798       88 32
 1 left_hip_roll_joint        -0.5236      2.9671      139 20
 2 left_hip_yaw_joint         -2.7576      2.7576       88 32
 3 left_knee_joint            -0.087267    2.8798      139 20
 4 left_ankle_pitch_joint     -0.87267     0.5236       35 30
 5 left_ankle_roll_joint      -0.2618      0.2618       35 30
 6 right_hip_pitch_joint      -2.5307      2.8798       88 32
 7 right_hip_roll_joint       -2.9671      0.5236      139 20
 8 right_hip_yaw_joint        -2.7576      2.7576       88 32
 9 right_knee_joint           -0.087267    2.8798      139 20
10 right_ankle_pitch_joint    -0.87267     0.5236       35 30
11 right_ankle_roll_joint     -0.2618      0.2618       35 30
12 waist_yaw_joint            -2.618       2.618        88 32
13 waist_roll_joint           -0.52        0.52         35 30
14 waist_pitch_joint          -0.52        0.52         35 30
15 left_shoulder_pitch_joint  -3.0892      2.6704       25 37
16 left_shoulder_roll_joint   -1.5882      2.2515       25 37
17 left_shoulder_yaw_joint    -2.618       2.618        25 37
18 left_elbow_joint           -1.0472      2.0944       25 37
19 left_wrist_roll_joint      -1.972222054 1.972222054  25 37
20 left_wrist_pitch_joint     -1.614429558 1.614429558   5 22
21 left_wrist_yaw_joint       -1.614429558 1.614429558   5 22
22 right_shoulder_pitch_joint -3.0892      2.6704       25 37
23 right_shoulder_roll_joint  -2.2515      1.5882       25 37
24 right_shoulder_yaw_joint   -2.618       2.618        25 37
25 right_elbow_joint          -1.0472      2.0944       25 37
26 right_wrist_roll_joint     -1.972222054 1.972222054  25 37
27 right_wrist_pitch_joint    -1.614429558 1.614429558   5 22
28 right_wrist_yaw_joint      -1.614429558 1.614429558   5 22
"""

_ROWS = [line.split() for line in TABLE.strip().splitlines()]
NAMES = tuple(row[1] for row in _ROWS)
LOWER, UPPER, EFFORT, VELOCITY = (np.array([float(row[i]) for row in _ROWS]) for i in (2, 3, 4, 5))

WAIST_LOCKED = (6, 12, 14, 16)
DOF_23 = (4, 10)
STRONG_HIP_PITCH = (10, 11, 12, 15, 16)  # 139 N m, 20 rad/s at joints 0 and 6
STRONG_WRIST = (13, 14, 15, 16)  # 13.4 N m, 27 rad/s at wrist pitch and yaw
KNOWN = (4, 5, 6, 10, 11, 12, 13, 14, 15, 16)

MARGIN = 0.02  # [rad] kept before each end of the range
# velocity [rad/s], acceleration [rad/s^2], jerk [rad/s^3] of legs, waist and arms: the table of docs/safety.md
DYNAMICS = np.array([[10.0, 100.0, 5000.0]] * 12 + [[2.0, 15.0, 800.0]] * 3 + [[4.0, 40.0, 2000.0]] * 14)

MODE_JOINTS = {"arms_only": NAMES[15:], "upper_body": NAMES[12:], "whole_body": NAMES}


def absent(mode_machine: int) -> tuple[int, ...]:
    """Return the joints that a variant lacks."""
    if mode_machine in DOF_23:
        return (13, 14, 20, 21, 27, 28)
    return (13, 14) if mode_machine in WAIST_LOCKED else ()


def effort(mode_machine: int) -> np.ndarray:
    """Return the torque limits of a variant (29,) [N m]."""
    limits = EFFORT.copy()
    if mode_machine in STRONG_HIP_PITCH:
        limits[[0, 6]] = 139.0
    if mode_machine in STRONG_WRIST:
        limits[[20, 21, 27, 28]] = 13.4
    return limits


def velocity(mode_machine: int) -> np.ndarray:
    """Return the velocity limits of a variant (29,) [rad/s]."""
    limits = VELOCITY.copy()
    if mode_machine in STRONG_HIP_PITCH:
        limits[[0, 6]] = 20.0
    if mode_machine in STRONG_WRIST:
        limits[[20, 21, 27, 28]] = 27.0
    return limits
