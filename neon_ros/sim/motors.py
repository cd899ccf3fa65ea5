"""The torque law of the G1's motors and what they do with a command."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ContractError, refuse
from neon_ros.robot.joints import JOINT_NAMES, NUM_JOINTS

AMBIENT = 30.0  # [deg C] temperature of a rested motor


class Drive(NamedTuple):
    """What a motor obeys between two commands: ``tau = bias - kp q - kd dq``.

    It is the law ``tau_ff + kp (q* - q) + kd (dq* - dq)`` with all that the command fixes gathered in ``bias``, so that
    two commands blend by adding.

    :param bias: tau_ff + kp q* + kd dq* (29,) [N m].
    :param kp: stiffness (29,) [N m/rad].
    :param kd: damping (29,) [N m s/rad].
    """

    bias: NDArray[np.float64]
    kp: NDArray[np.float64]
    kd: NDArray[np.float64]

    @staticmethod
    def towards(
        q: NDArray[np.float64],
        kp: NDArray[np.float64],
        kd: NDArray[np.float64],
        dq: NDArray[np.float64] | float = 0.0,
        tau: NDArray[np.float64] | float = 0.0,
    ) -> Drive:
        """Return the drive of one command.

        :param q: target position (29,) [rad].
        :param kp: stiffness (29,) [N m/rad].
        :param kd: damping (29,) [N m s/rad].
        :param dq: target velocity (29,) [rad/s].
        :param tau: feed-forward torque (29,) [N m].
        """
        return Drive(tau + kp * q + kd * dq, kp, kd)

    @staticmethod
    def damping(kd: float) -> Drive:
        """Return a drive that only brakes: no stiffness, ``kd`` [N m s/rad] on every joint."""
        return Drive(np.zeros(NUM_JOINTS), np.zeros(NUM_JOINTS), np.full(NUM_JOINTS, kd))

    def blend(self, other: Drive, weight: NDArray[np.float64]) -> Drive:
        """Return ``weight`` of ``other`` and the rest of this one.

        :param weight: share of ``other`` per joint, 0 to 1 (29,).
        """
        keep = 1.0 - weight
        return Drive(*(keep * mine + weight * theirs for mine, theirs in zip(self, other, strict=True)))

    def torque(
        self, q: NDArray[np.float64], dq: NDArray[np.float64], effort: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the torque the motors give (29,) [N m].

        :param q: measured position (29,) [rad].
        :param dq: measured velocity (29,) [rad/s].
        :param effort: largest torque of each motor (29,) [N m].
        """
        return np.clip(self.bias - self.kp * q - self.kd * dq, -effort, effort)

    def checked(self) -> Drive:
        """Return this drive.

        :raises ContractError: when a number in it is not finite.
        """
        for name, values in zip(self._fields, self, strict=True):
            if not np.isfinite(values).all():
                joint = int(np.argmin(np.isfinite(values)))
                got = f"{values[joint]} at {JOINT_NAMES[joint]}"
                raise ContractError(refuse(f"motor {name}", got, "finite numbers"))
        return self
