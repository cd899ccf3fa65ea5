"""Encode and decode LowCmd and LowState: the same bytes as the SDK's objects, without the objects.

A frame is one buffer with views into it that is filled, sealed with its CRC and written again and again; decoding
reads a payload through the same layout, see :mod:`neon_ros.robot.layout`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neon_ros.contracts import DoubleArray, RobotState
from neon_ros.errors import ContractError, refuse
from neon_ros.robot.joints import JOINT_NAMES, NUM_JOINTS
from neon_ros.robot.layout import (
    CDR_LITTLE_ENDIAN,
    LOW_CMD_LAYOUT,
    LOW_STATE_LAYOUT,
    MOTOR_CMD,
    MOTOR_STATE,
    NUM_SLOTS,
    Q_OFFSET,
    WEIGHT_SLOT,
    Checksum,
    Layout,
    crc_of,
)

_TICK, _IMU, _IMU_TEMPERATURE, _REMOTE = 16, 20, 72, 2032  # payload offsets in LowState
_TEMPERATURE = LOW_STATE_LAYOUT.motors + 20
_MOTORSTATE = LOW_STATE_LAYOUT.motors + int(MOTOR_STATE.fields["motorstate"][1])  # type: ignore[index]
_REMOTE_BYTES = 40
_MOTOR_FLOATS = ("q", "dq", "tau", "kp", "kd")


class _Frame:
    """A payload buffer of one layout with views into it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._buffer = bytearray(layout.size)
        self._buffer[: len(CDR_LITTLE_ENDIAN)] = CDR_LITTLE_ENDIAN
        self._bytes = np.frombuffer(self._buffer, dtype=np.uint8)
        self._motors = np.frombuffer(self._buffer, dtype=layout.motor, count=NUM_SLOTS, offset=layout.motors)
        self._crc = np.frombuffer(self._buffer, dtype="<u4", count=1, offset=layout.size - 4)
        self._payload = memoryview(self._buffer).toreadonly()
        self._checksum = Checksum(self._buffer, layout)
        self._sealed = False

    def set_mode(self, mode_pr: int, mode_machine: int) -> None:
        """Write both modes.

        :param mode_pr: 0 for pitch/roll, 1 for the motors A/B of the parallel joints.
        :param mode_machine: variant, see :mod:`neon_ros.robot.variants`.
        :raises ContractError: on values the field cannot hold.
        """
        if mode_pr not in (0, 1):
            raise ContractError(refuse(f"{self._layout.name}.mode_pr", mode_pr, "0 (pitch/roll) or 1 (A/B)"))
        if not 0 <= mode_machine <= 255:
            raise ContractError(refuse(f"{self._layout.name}.mode_machine", mode_machine, "0 to 255"))
        self._sealed = False
        self._bytes[self._layout.mode] = mode_pr
        self._bytes[self._layout.mode + 1] = mode_machine

    def set_motor_mode(self, mode: ArrayLike) -> None:
        """Write the mode byte of the 29 joints: 0 off, 1 on.

        :param mode: one number, or one per joint (29,).
        :raises ContractError: on another length or value.
        """
        modes = np.asarray(mode)
        if modes.shape not in ((), (NUM_JOINTS,)) or not np.isin(modes, (0, 1)).all():
            raise ContractError(refuse(f"{self._layout.name} motor mode", mode, f"0 or 1, once or {NUM_JOINTS} times"))
        self._sealed = False
        modes = np.broadcast_to(modes, (NUM_JOINTS,))
        self._bytes[self._layout.first_mode] = modes[0]
        self._motors["mode"][1:NUM_JOINTS] = modes[1:]

    def _seal(self) -> memoryview:
        self._crc[0] = self._checksum()
        self._sealed = True
        return self._payload

    @property
    def payload(self) -> memoryview:
        """Return the sealed bytes for DDS, valid until the next change.

        :raises ContractError: when something changed since the last ``seal()``.
        """
        if not self._sealed:
            raise ContractError(refuse(f"{self._layout.name} payload", "changed after seal()", "a sealed frame"))
        return self._payload


class LowCmdFrame(_Frame):
    """One LowCmd, filled again and again."""

    def __init__(self) -> None:
        super().__init__(LOW_CMD_LAYOUT)
        shape, strides = (len(_MOTOR_FLOATS), NUM_SLOTS), (4, MOTOR_CMD.itemsize)
        self._floats: NDArray[np.float32] = np.ndarray(
            shape, "<f4", self._buffer, LOW_CMD_LAYOUT.motors + Q_OFFSET, strides
        )
        self._joints = self._floats[:, :NUM_JOINTS]
        self._rows = tuple(self._joints)

    def fill(self, q: ArrayLike, dq: ArrayLike, tau: ArrayLike, kp: ArrayLike, kd: ArrayLike) -> None:
        """Write all 29 joints in motor order.

        :param q: target positions (29,) [rad].
        :param dq: target velocities (29,) [rad/s].
        :param tau: feed-forward torques (29,) [N m].
        :param kp: stiffness (29,) [N m/rad].
        :param kd: damping (29,) [N m s/rad].
        :raises ContractError: on a wrong length; values that are not finite are found by :meth:`seal`.
        """
        self._sealed = False
        for row, name, values in zip(self._rows, _MOTOR_FLOATS, (q, dq, tau, kp, kd), strict=True):
            if getattr(values, "shape", None) != (NUM_JOINTS,) and np.shape(values) != (NUM_JOINTS,):
                raise ContractError(refuse(f"LowCmd.{name} shape", np.shape(values), (NUM_JOINTS,)))
            row[:] = values

    def set_weight(self, weight: float) -> None:
        """Write the weight of ``rt/arm_sdk`` into slot 29.

        :param weight: 0 to 1.
        :raises ContractError: on anything else.
        """
        if not 0.0 <= weight <= 1.0:
            raise ContractError(refuse("arm_sdk weight", weight, "0 to 1"))
        self._sealed = False
        self._floats[0, WEIGHT_SLOT] = weight

    def seal(self) -> memoryview:
        """Compute the CRC and return the payload.

        :raises ContractError: when a joint holds a value that is not finite (float32), and names it.
        """
        if np.count_nonzero(np.isfinite(self._joints)) != self._joints.size:
            row, joint = (int(i) for i in np.argwhere(~np.isfinite(self._joints))[0])
            name = f"LowCmd.{_MOTOR_FLOATS[row]}[{JOINT_NAMES[joint]}]"
            raise ContractError(refuse(name, self._joints[row, joint], "finite float32 values"))
        return self._seal()


class LowStateFrame(_Frame):
    """One LowState, as a robot (or the simulator) writes it."""

    def __init__(self) -> None:
        super().__init__(LOW_STATE_LAYOUT)
        self._tick = np.frombuffer(self._buffer, "<u4", 1, _TICK)
        self._imu = np.frombuffer(self._buffer, "<f4", 13, _IMU)
        self._imu_temperature = np.frombuffer(self._buffer, "<i2", 1, _IMU_TEMPERATURE)
        self.set_motor_mode(1)

    def fill(self, tick: int, q: ArrayLike, dq: ArrayLike, tau: ArrayLike, ddq: ArrayLike = 0.0) -> None:
        """Write the tick and the 29 joints in motor order.

        :param tick: millisecond counter; wraps at 32 bits.
        :param q: positions (29,) [rad].
        :param dq: velocities (29,) [rad/s].
        :param tau: estimated torques (29,) [N m].
        :param ddq: accelerations (29,) [rad/s^2].
        """
        self._sealed = False
        self._tick[0] = tick & 0xFFFFFFFF
        motors = self._motors[:NUM_JOINTS]
        motors["q"], motors["dq"], motors["tau_est"], motors["ddq"] = q, dq, tau, ddq

    def set_imu(
        self, quaternion_wxyz: ArrayLike, gyroscope: ArrayLike, accelerometer: ArrayLike, rpy: ArrayLike
    ) -> None:
        """Write the pelvis IMU.

        :param quaternion_wxyz: orientation (4,).
        :param gyroscope: (3,) [rad/s].
        :param accelerometer: (3,) [m/s^2].
        :param rpy: roll, pitch, yaw (3,) [rad].
        """
        self._sealed = False
        imu = self._imu
        imu[0:4], imu[4:7], imu[7:10], imu[10:13] = quaternion_wxyz, gyroscope, accelerometer, rpy

    def set_health(
        self, surface: ArrayLike = 30, winding: ArrayLike = 30, motorstate: ArrayLike = 0, voltage: ArrayLike = 48.0
    ) -> None:
        """Write temperatures, fault bits and voltage of the motors.

        :param surface: one or (29,) [deg C].
        :param winding: one or (29,) [deg C].
        :param motorstate: fault bits, one or (29,), see :mod:`neon_ros.robot.faults`.
        :param voltage: one or (29,) [V].
        """
        self._sealed = False
        motors = self._motors[:NUM_JOINTS]
        motors["temperature"][:, 0], motors["temperature"][:, 1] = surface, winding
        motors["motorstate"], motors["vol"] = motorstate, voltage
        self._imu_temperature[0] = np.max(surface)

    def set_remote(self, remote: bytes) -> None:
        """Write the 40 bytes of the wireless remote.

        :raises ContractError: on another length.
        """
        if len(remote) != _REMOTE_BYTES:
            raise ContractError(refuse("wireless_remote length", len(remote), _REMOTE_BYTES))
        self._sealed = False
        self._buffer[_REMOTE : _REMOTE + _REMOTE_BYTES] = remote

    def seal(self) -> memoryview:
        """Compute the CRC and return the payload.  A robot may report nonsense, so nothing is checked."""
        return self._seal()


@dataclass(frozen=True)
class LowCmd:
    """What a LowCmd asks of the 29 joints, in motor order.

    :param mode: 0 off, 1 on (29,).
    :param q: target positions (29,) [rad].
    :param dq: target velocities (29,) [rad/s].
    :param tau: feed-forward torques (29,) [N m].
    :param kp: stiffness (29,) [N m/rad].
    :param kd: damping (29,) [N m s/rad].
    :param weight: ``q`` of slot 29, the weight on ``rt/arm_sdk``.
    """

    mode_pr: int
    mode_machine: int
    mode: NDArray[np.uint8]
    q: DoubleArray
    dq: DoubleArray
    tau: DoubleArray
    kp: DoubleArray
    kd: DoubleArray
    weight: float


@dataclass(frozen=True)
class LowState(RobotState):
    """A :class:`~neon_ros.contracts.RobotState` that also keeps the payload, and reads the rest of it when asked.

    :param payload: the bytes it was decoded from.
    """

    payload: bytes = field(kw_only=True, repr=False)

    @property
    def mode(self) -> NDArray[np.uint8]:
        """Return the motors' modes, 0 off, 1 on (29,)."""
        return _modes(self._motors(), self.payload[LOW_STATE_LAYOUT.first_mode])

    @property
    def ddq(self) -> DoubleArray:
        """Return joint accelerations (29,) [rad/s^2]."""
        return self._motors()["ddq"].astype(np.float64)

    @property
    def voltage(self) -> DoubleArray:
        """Return motor voltages (29,) [V]."""
        return self._motors()["vol"].astype(np.float64)

    @property
    def motorstate(self) -> NDArray[np.uint32]:
        """Return fault bits (29,), see :mod:`neon_ros.robot.faults`."""
        return np.ndarray((NUM_JOINTS,), "<u4", self.payload, _MOTORSTATE, (MOTOR_STATE.itemsize,))

    @property
    def rpy(self) -> DoubleArray:
        """Return roll, pitch, yaw of the pelvis (3,) [rad]."""
        return np.frombuffer(self.payload, "<f4", 3, _IMU + 40).astype(np.float64)

    @property
    def wireless_remote(self) -> bytes:
        """Return the remote control's 40 bytes."""
        return self.payload[_REMOTE : _REMOTE + _REMOTE_BYTES]

    def _motors(self) -> NDArray[np.void]:
        return np.frombuffer(self.payload, MOTOR_STATE, NUM_JOINTS, LOW_STATE_LAYOUT.motors)


def _check_frame(payload: bytes | memoryview, layout: Layout) -> None:
    """Refuse a payload whose length or header is wrong."""
    if len(payload) != layout.size:
        raise ContractError(refuse(f"{layout.name} length", f"{len(payload)} bytes", f"{layout.size} bytes"))
    if payload[:2] != CDR_LITTLE_ENDIAN[:2]:
        raise ContractError(refuse(f"{layout.name} CDR header", bytes(payload[:2]).hex(), CDR_LITTLE_ENDIAN[:2].hex()))


def _check_crc(payload: bytes | memoryview, want: int, layout: Layout) -> None:
    """Refuse a payload whose CRC is not the one that was computed."""
    got = int.from_bytes(payload[-4:], "little")
    if got != want:
        raise ContractError(refuse(f"{layout.name} CRC", f"{got:#010x}", f"{want:#010x}, computed from its bytes"))


def _modes(motors: NDArray[np.void], first: int) -> NDArray[np.uint8]:
    """Return the mode bytes of the joints; the first one lies elsewhere in CDR."""
    modes = motors["mode"][:NUM_JOINTS].copy()
    modes[0] = first
    return modes


def decode_low_cmd(payload: bytes | memoryview) -> LowCmd:
    """Read a LowCmd payload.

    :raises ContractError: on a wrong length, header or CRC.
    """
    layout = LOW_CMD_LAYOUT
    _check_frame(payload, layout)
    _check_crc(payload, crc_of(payload, layout), layout)
    motors = np.frombuffer(payload, layout.motor, NUM_SLOTS, layout.motors)
    strides = (4, MOTOR_CMD.itemsize)
    floats = np.ndarray((len(_MOTOR_FLOATS), NUM_SLOTS), "<f4", payload, layout.motors + Q_OFFSET, strides)
    q, dq, tau, kp, kd = floats[:, :NUM_JOINTS].astype(np.float64)
    modes = _modes(motors, payload[layout.first_mode])
    weight = float(floats[0, WEIGHT_SLOT])
    return LowCmd(payload[layout.mode], payload[layout.mode + 1], modes, q, dq, tau, kp, kd, weight)


class LowStateDecoder:
    """Reads LowState payloads, one after the other: the views are laid out once."""

    def __init__(self) -> None:
        layout, stride = LOW_STATE_LAYOUT, MOTOR_STATE.itemsize
        self._buffer = buffer = bytearray(layout.size)
        self._checksum = Checksum(buffer, layout)
        motors, start = (4, NUM_JOINTS), layout.motors + Q_OFFSET
        self._motors: NDArray[np.float32] = np.ndarray(motors, "<f4", buffer, start, (4, stride))
        self._imu = np.frombuffer(buffer, "<f4", 13, _IMU)
        self._heat: NDArray[np.int16] = np.ndarray((2, NUM_JOINTS), "<i2", buffer, _TEMPERATURE, (2, stride))
        self._finite = np.empty(4 * NUM_JOINTS + len(self._imu), dtype=bool)
        self._finite_motors = self._finite[: 4 * NUM_JOINTS].reshape(4, NUM_JOINTS)
        self._finite_imu = self._finite[4 * NUM_JOINTS :]

    def decode(self, payload: bytes | memoryview, steady_ns: int) -> LowState:
        """Read one payload.

        :param steady_ns: when it arrived [ns, steady clock].
        :raises ContractError: on a wrong length, header or CRC, or on a joint or IMU value that is not finite.
        """
        layout = LOW_STATE_LAYOUT
        payload = bytes(payload)
        _check_frame(payload, layout)
        self._buffer[:] = payload
        _check_crc(payload, self._checksum(), layout)
        np.isfinite(self._motors, out=self._finite_motors)
        np.isfinite(self._imu, out=self._finite_imu)
        if np.count_nonzero(self._finite) != len(self._finite):
            raise ContractError(refuse("LowState", _not_finite(self._motors, self._imu), "finite values"))
        (q, dq, _, tau), imu = self._motors.astype(np.float64), self._imu.astype(np.float64)
        casing, winding = self._heat.astype(np.float64)
        return LowState(
            steady_ns=steady_ns,
            tick=int.from_bytes(payload[_TICK : _TICK + 4], "little"),
            q=q,
            dq=dq,
            tau=tau,
            quaternion_wxyz=imu[0:4],
            gyroscope=imu[4:7],
            accelerometer=imu[7:10],
            mode_machine=payload[layout.mode + 1],
            mode_pr=payload[layout.mode],
            temperature=casing,
            winding=winding,
            payload=payload,
        )


def decode_low_state(payload: bytes | memoryview, steady_ns: int) -> LowState:
    """Read a single LowState payload, see :meth:`LowStateDecoder.decode`."""
    return LowStateDecoder().decode(payload, steady_ns)


def _not_finite(floats: NDArray[np.float32], imu: NDArray[np.float32]) -> str:
    """Name the first value that is not finite."""
    bad = np.argwhere(~np.isfinite(floats))
    if len(bad):
        row, joint = (int(i) for i in bad[0])
        return f"{('q', 'dq', 'ddq', 'tau_est')[row]}[{JOINT_NAMES[joint]}] = {floats[row, joint]}"
    index = int(np.argmin(np.isfinite(imu)))
    return f"imu float {index} (quaternion 0-3, gyroscope 4-6, accelerometer 7-9, rpy 10-12) = {imu[index]}"
