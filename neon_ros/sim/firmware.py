"""What the G1 does with commands: who owns the motors, which frames it takes, and its two services.

The robot starts standing under its own controller (motion service ``ai``).  While that owns the motors, ``rt/arm_sdk``
blends into waist and arms by the weight in slot 29 and the service ``sport`` steers the walk; ``rt/lowcmd`` is ignored.
Once the service ``motion_switcher`` has released them, only ``rt/lowcmd`` counts.  A frame with a wrong CRC or another
robot's ``mode_machine`` is dropped without a word, as on the robot; here it is counted.  Motors keep their last command
for ever.

Knows no DDS: frames come in as bytes, calls as JSON objects.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ContractError
from neon_ros.robot.joints import NUM_JOINTS
from neon_ros.robot.wire import LowCmd, decode_low_cmd
from neon_ros.sim.balance import POLICY_PERIOD, WalkingPolicy, seen_by_policy
from neon_ros.sim.motors import Drive

MOTION_SERVICE = "ai"
ARM_SDK_FIRST = 12  # rt/arm_sdk moves waist and arms only
FSM_ZERO_TORQUE, FSM_DAMP, FSM_LOCK_STAND = 0, 1, 4
FSM_WALK: tuple[int, ...] = (200, 500, 501, 801)
OK, BAD_PARAMETER = 0, 3204
LOCO_NOT_AVAILABLE, LOCO_BAD_FSM = 7301, 7302
_DAMPING = 8.0  # [N m s/rad]
_ALL_ON = np.ones(NUM_JOINTS, dtype=np.uint8)
_UPPER = (np.arange(NUM_JOINTS) >= ARM_SDK_FIRST).astype(np.float64)

# Standing gains, unitree_rl_lab FixStand.
_STAND_KP = np.array([100, 100, 100, 150, 40, 40] * 2 + [200] * 3 + [40] * 14, dtype=np.float64)
_STAND_KD = np.array([2, 2, 2, 4, 2, 2] * 2 + [5] * 3 + [10] * 14, dtype=np.float64)


@dataclass
class Counts:
    """Frames since the start, by what became of them."""

    lowcmd_taken: int = 0
    arm_sdk_taken: int = 0
    bad_frames: int = 0
    wrong_machine: int = 0
    not_finite: int = 0
    not_owner: int = 0


class Firmware:
    """The robot's computer.

    :param machine: the ``mode_machine`` it reports and demands.
    :param posture: joint positions its own controller holds with waist and arms, and with the legs when not walking
        (29,) [rad].
    :param policy: balances the legs; ``None`` holds them at ``posture`` (a pelvis that is held needs no balance).
    """

    def __init__(self, machine: int, posture: NDArray[np.float64], policy: WalkingPolicy | None = None) -> None:
        self.machine = machine
        self.counts = Counts()
        self._policy = policy
        self.reset(posture)

    def reset(self, posture: NDArray[np.float64]) -> None:
        """Start again, standing under the robot's own controller; counts go on."""
        self.posture = posture.copy()
        self.owner = MOTION_SERVICE
        self.fsm = FSM_WALK[1]
        self.weight = 0.0
        self.velocity = np.zeros(3)
        self._velocity_until = 0.0
        self._next_policy = 0.0
        self._legs = posture.copy()
        self._arm: Drive | None = None
        self._mode = _ALL_ON
        self._time = 0.0
        self._own = Drive.towards(self.posture, _STAND_KP, _STAND_KD)
        self._drive = self._own
        if self._policy is not None:
            self._policy.reset()

    @property
    def motor_mode(self) -> NDArray[np.uint8]:
        """Mode byte of each motor: 1 on, 0 off (29,)."""
        return self._mode

    def low_cmd(self, payload: bytes) -> None:
        """Take a frame from ``rt/lowcmd``, or drop and count it."""
        command = self._checked(payload)
        if command is None:
            return
        if self.owner:
            self.counts.not_owner += 1
            return
        drive, mode = command
        self._drive, self._mode = drive, mode.mode.copy()
        self.counts.lowcmd_taken += 1

    def arm_sdk(self, payload: bytes) -> None:
        """Take a frame from ``rt/arm_sdk``, or drop and count it."""
        command = self._checked(payload)
        if command is None:
            return
        if not self.owner or self.fsm in (FSM_ZERO_TORQUE, FSM_DAMP):
            self.counts.not_owner += 1
            return
        drive, frame = command
        self._arm, self.weight = drive, float(np.clip(frame.weight, 0.0, 1.0))
        self.counts.arm_sdk_taken += 1

    def step(
        self,
        time: float,
        q: NDArray[np.float64],
        dq: NDArray[np.float64],
        quaternion_wxyz: NDArray[np.float64],
        gyroscope: NDArray[np.float64],
    ) -> Drive:
        """Return what the motors obey now.

        :param time: simulated [s].
        :param q: joint positions (29,) [rad].
        :param dq: joint velocities (29,) [rad/s].
        :param quaternion_wxyz: pelvis orientation (4,).
        :param gyroscope: pelvis angular velocity in its own frame (3,) [rad/s].
        """
        self._time = time
        if time >= self._velocity_until:
            self.velocity = np.zeros(3)
        if self.owner:
            self._drive = self._own_drive(time, q, dq, quaternion_wxyz, gyroscope)
            self._mode = _ALL_ON
        on = self._mode.astype(np.float64)
        return Drive(*(on * part for part in self._drive))

    def _own_drive(
        self,
        time: float,
        q: NDArray[np.float64],
        dq: NDArray[np.float64],
        quaternion_wxyz: NDArray[np.float64],
        gyroscope: NDArray[np.float64],
    ) -> Drive:
        if self.fsm == FSM_ZERO_TORQUE:
            return Drive.damping(0.0)
        if self.fsm == FSM_DAMP:
            return Drive.damping(_DAMPING)
        drive = self._own
        if self._policy is not None and self.fsm in FSM_WALK:
            if time >= self._next_policy:
                told = seen_by_policy(q, dq, self._policy.default)
                self._legs[:12] = self._policy.step(*told, quaternion_wxyz, gyroscope, self.velocity)[:12]
                self._next_policy = time + POLICY_PERIOD - 1e-6
            walking = Drive.towards(self._legs, self._policy.kp, self._policy.kd)
            drive = walking.blend(drive, _UPPER)
        if self._arm is not None and self.weight > 0:
            drive = drive.blend(self._arm, self.weight * _UPPER)
        return drive

    def _checked(self, payload: bytes) -> tuple[Drive, LowCmd] | None:
        try:
            frame = decode_low_cmd(payload)
        except ContractError:
            self.counts.bad_frames += 1
            return None
        if frame.mode_machine != self.machine:
            self.counts.wrong_machine += 1
            return None
        try:
            drive = Drive.towards(frame.q, frame.kp, frame.kd, frame.dq, frame.tau).checked()
        except ContractError:
            self.counts.not_finite += 1
            return None
        if not np.isfinite(frame.weight):
            self.counts.not_finite += 1
            return None
        return drive, frame

    def press(self, buttons: Collection[str]) -> None:
        """Do what the robot does by itself on its remote's combinations: L2+B damps, L2+R2 gives the motors away."""
        if {"L2", "B"} <= set(buttons):
            self.set_fsm({"data": FSM_DAMP})
        elif {"L2", "R2"} <= set(buttons):
            self.release_mode({})

    # services; each handler takes the request's parameters and returns a code and the response's data -------------

    def check_mode(self, _: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer which controller owns the motors (motion_switcher 1001)."""
        return OK, {"form": "0", "name": self.owner}

    def select_mode(self, parameter: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Give the motors back to the robot's own controller (motion_switcher 1002)."""
        if parameter.get("name") != MOTION_SERVICE:
            return BAD_PARAMETER, {}
        if not self.owner:
            self.owner, self.fsm = MOTION_SERVICE, FSM_WALK[1]
            self._arm, self.weight = None, 0.0
            if self._policy is not None:
                self._policy.reset()
        return OK, {}

    def release_mode(self, _: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Take the motors from the robot's own controller (motion_switcher 1003); they keep its last command."""
        self.owner, self._arm, self.weight = "", None, 0.0
        return OK, {}

    def get_fsm(self, _: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer the state of the walking controller (sport 7001)."""
        return OK, {"data": self.fsm}

    def set_fsm(self, parameter: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Switch the walking controller (sport 7101): zero torque, damping, locked stand or walking."""
        if not self.owner:
            return LOCO_NOT_AVAILABLE, {}
        fsm = parameter.get("data")
        if not isinstance(fsm, int) or isinstance(fsm, bool):
            return BAD_PARAMETER, {}
        if fsm not in (FSM_ZERO_TORQUE, FSM_DAMP, FSM_LOCK_STAND, *FSM_WALK):
            return LOCO_BAD_FSM, {}
        if fsm in (FSM_ZERO_TORQUE, FSM_DAMP):
            self._arm, self.weight = None, 0.0
        self.fsm = fsm
        return OK, {}

    def set_velocity(self, parameter: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Walk at a velocity for a while (sport 7105)."""
        if not self.owner or self.fsm not in FSM_WALK:
            return LOCO_NOT_AVAILABLE, {}
        velocity, duration = parameter.get("velocity"), parameter.get("duration", 1.0)
        try:
            wanted = np.array(velocity, dtype=np.float64)
            seconds = float(duration)
        except (TypeError, ValueError):
            return BAD_PARAMETER, {}
        if wanted.shape != (3,) or not np.isfinite(wanted).all() or not (np.isfinite(seconds) and seconds >= 0):
            return BAD_PARAMETER, {}
        self.velocity, self._velocity_until = wanted, self._time + seconds
        return OK, {}
