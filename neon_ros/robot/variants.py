"""The G1 variants by the ``mode_machine`` that LowState reports, and the limits of each.

Source: ``unitreerobotics/unitree_ros:robots/g1_description/README.md`` and the URDF named per row.  The value on the
robot is shown by the app under Device, Data, Robot, Machine Type; it is adopted at run time, never taken from a config.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import RobotError, refuse
from neon_ros.robot.joints import JOINT_INDEX, JOINTS

_WAIST_LOCK = ("waist_roll_joint", "waist_pitch_joint")
_WRISTS = tuple(f"{side}_wrist_{axis}_joint" for side in ("left", "right") for axis in ("pitch", "yaw"))
_DOF_23_ABSENT = (*_WAIST_LOCK, *_WRISTS)
_HIP_PITCH = ("left_hip_pitch_joint", "right_hip_pitch_joint")


@dataclass(frozen=True)
class Limits:
    """Position, velocity and effort limits of all 29 joints of one variant, in motor order.

    :param lower: (29,) [rad].
    :param upper: (29,) [rad].
    :param velocity: (29,) [rad/s].
    :param effort: (29,) [N m].
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    velocity: NDArray[np.float64]
    effort: NDArray[np.float64]


@dataclass(frozen=True)
class Variant:
    """One row of the machine-type table.

    :param mode_machine: value on the wire.
    :param urdf: the vendor's description of it, without suffix.
    :param absent: joints this variant does not have.
    :param strong_hip_pitch: hip pitch with the 22.5 gear: 139 N m, 20 rad/s.
    :param strong_wrist: wrist motor 5010: 13.4 N m, 27 rad/s; the hand sits 5 mm further out.
    """

    mode_machine: int
    urdf: str
    absent: tuple[str, ...] = ()
    strong_hip_pitch: bool = False
    strong_wrist: bool = False

    @property
    def wrist_yaw_x(self) -> float:
        """From the wrist's pitch axis to its yaw axis [m]."""
        return 0.051 if self.strong_wrist else 0.046

    def present(self) -> NDArray[np.bool_]:
        """Return which of the 29 joints exist (29,)."""
        mask = np.ones(len(JOINTS), dtype=bool)
        mask[[JOINT_INDEX[name] for name in self.absent]] = False
        return mask

    def limits(self) -> Limits:
        """Return the limits of this variant."""
        effort = np.array([joint.effort for joint in JOINTS], dtype=np.float64)
        velocity = np.array([joint.velocity for joint in JOINTS], dtype=np.float64)
        for names, strong, tau, dq in (
            (_HIP_PITCH, self.strong_hip_pitch, 139.0, 20.0),
            (_WRISTS, self.strong_wrist, 13.4, 27.0),
        ):
            if strong:
                rows = [JOINT_INDEX[name] for name in names]
                effort[rows], velocity[rows] = tau, dq
        lower = np.array([joint.lower for joint in JOINTS], dtype=np.float64)
        upper = np.array([joint.upper for joint in JOINTS], dtype=np.float64)
        return Limits(lower, upper, velocity, effort)


VARIANTS: dict[int, Variant] = {
    variant.mode_machine: variant
    for variant in (
        Variant(4, "g1_23dof_rev_1_0", absent=_DOF_23_ABSENT),
        Variant(5, "g1_29dof_rev_1_0"),
        Variant(6, "g1_29dof_lock_waist_rev_1_0", absent=_WAIST_LOCK),
        Variant(10, "g1_23dof_mode_10", absent=_DOF_23_ABSENT, strong_hip_pitch=True),
        Variant(11, "g1_29dof_mode_11", strong_hip_pitch=True),
        Variant(12, "g1_29dof_mode_12", absent=_WAIST_LOCK, strong_hip_pitch=True),
        Variant(13, "g1_29dof_mode_13", strong_wrist=True),
        Variant(14, "g1_29dof_mode_14", absent=_WAIST_LOCK, strong_wrist=True),
        Variant(15, "g1_29dof_mode_15", strong_hip_pitch=True, strong_wrist=True),
        Variant(16, "g1_29dof_mode_16", absent=_WAIST_LOCK, strong_hip_pitch=True, strong_wrist=True),
    )
}


def variant(mode_machine: int) -> Variant:
    """Return the variant that reports ``mode_machine``.

    :raises RobotError: for 0, deprecated (1, 2, 3), arms-only (9) and unknown values: their limits are not known.
    """
    if mode_machine not in VARIANTS:
        raise RobotError(refuse("mode_machine", mode_machine, f"one of {sorted(VARIANTS)}"))
    return VARIANTS[mode_machine]
