"""What the simulated robot says of itself: LowState and the torso's IMU as wire payloads, faults included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neon_ros.robot.faults import MOTOR_FAULTS
from neon_ros.robot.joints import JOINT_INDEX, NUM_JOINTS
from neon_ros.robot.remote import remote_with
from neon_ros.robot.wire import LowStateFrame
from neon_ros.sim.faults import Faults
from neon_ros.sim.firmware import Firmware
from neon_ros.sim.motors import AMBIENT
from neon_ros.sim.world import Imu, World

WINDING_LIMIT = 120.0  # [deg C] at which the motor reports that it is too hot
_WINDING_HOT = next(bit for bit, text in MOTOR_FAULTS.items() if text == "winding overheated")
_IMU_STATE = np.dtype([("header", "u1", 4), ("floats", "<f4", 13), ("temperature", "<i2")])
_CORRUPTED_BYTE = 500


class Telemetry:
    """Makes the payloads of one robot.

    :param seed: of the random loss of frames.
    """

    def __init__(self, seed: int = 0) -> None:
        self._frame = LowStateFrame()
        self._imu = np.zeros(1, _IMU_STATE)
        self._imu["header"] = (0, 1, 0, 0)
        self._imu["temperature"] = AMBIENT
        self._rng = np.random.default_rng(seed)
        self._last: bytes | None = None
        self._health: Faults | None = None
        self._mode: NDArray[np.uint8] | None = None

    def low_state(self, world: World, firmware: Firmware, faults: Faults) -> bytes | None:
        """Return the LowState payload of this instant; ``None`` when a fault swallows it."""
        if not faults.powered or faults.lowstate == "lost":
            return None
        if faults.loss > 0 and self._rng.random() < faults.loss:
            return None
        if faults.lowstate == "frozen" and self._last is not None:
            return self._last
        frame = self._frame
        if faults is not self._health:
            self._set_health(faults)
        frame.set_mode(0, firmware.machine)
        if firmware.motor_mode is not self._mode:
            self._mode = firmware.motor_mode
            frame.set_motor_mode(self._mode)
        frame.fill(world.tick, world.q, world.dq, world.tau, world.ddq)
        imu = world.imu("pelvis")
        frame.set_imu(imu.quaternion_wxyz, imu.gyroscope, imu.accelerometer, imu.rpy)
        payload = bytes(frame.seal())
        if faults.lowstate == "corrupt":
            spoiled = bytearray(payload)
            spoiled[_CORRUPTED_BYTE] ^= 0x01
            return bytes(spoiled)
        self._last = payload
        return payload

    def imu_state(self, imu: Imu) -> bytes:
        """Return the payload of ``rt/secondary_imu`` (CDR of ``unitree_hg`` IMUState)."""
        parts = (imu.quaternion_wxyz, imu.gyroscope, imu.accelerometer, imu.rpy)
        self._imu["floats"] = np.concatenate(parts)
        return self._imu.tobytes()

    def _set_health(self, faults: Faults) -> None:
        winding = np.full(NUM_JOINTS, AMBIENT)
        if faults.hot_joint:
            winding[JOINT_INDEX[faults.hot_joint]] = faults.temperature
        bits = np.where(winding >= WINDING_LIMIT, _WINDING_HOT, 0)
        if faults.faulty_joint:
            bits[JOINT_INDEX[faults.faulty_joint]] |= faults.motorstate
        self._frame.set_health(surface=np.maximum(winding - 10.0, AMBIENT), winding=winding, motorstate=bits)
        self._frame.set_remote(remote_with(*faults.held))
        self._health = faults
