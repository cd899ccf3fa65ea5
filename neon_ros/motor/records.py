"""What lies in the shared memory between the ROS side and the motor: one file, documented here and nowhere else.

.. code-block:: text

    /dev/shm/neon_ros/<session>.motor, mode 0600, little endian
    offset 0    header  (HEADER)          magic, version, size, session's mode and robot, pids, beats
    then        chunk   (CHUNK)           written by the ROS side: the newest admitted chunk
                request (REQUEST)         written by the ROS side: how often each request was made, and for what
                answer  (ANSWER)          written by the motor: what became of the last request of each kind
                state   (STATE)           written by the motor: the newest LowState, as it came over the wire
                report  (REPORT)          written by the motor: state of the guard, counters
                command (COMMAND)         written by the motor: the newest LowCmd, as it went over the wire

Each block is sequence-locked, see :mod:`neon_ros.motor.seqlock`.  The beats in the header are single 8-byte words on
the steady clock (``time.monotonic_ns``, the same in all processes of a machine).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ContractError, refuse
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.limiter import REASONS
from neon_ros.motor.seqlock import block_bytes
from neon_ros.robot.joints import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS
from neon_ros.robot.layout import LOW_CMD_BYTES, LOW_STATE_BYTES

VERSION = 3
MAGIC = b"NEONMTR\0"
MAX_STEPS = 64
REQUESTS: tuple[str, ...] = ("stop", "disarm", "pause", "mode", "arm")
"""In order of precedence: when several arrive within one tick, the safer one is served first."""

HEADER = np.dtype(
    [
        ("magic", "S8"),
        ("version", "<u4"),
        ("size", "<u4"),
        ("mode", "S16"),
        ("robot", "S8"),  # sim or real: what the motor process talks to
        ("motor_pid", "<u8"),
        ("motor_beat_ns", "<u8"),
        ("command_beat_ns", "<u8"),
        ("guardian_beat_ns", "<u8"),
        ("commanding", "<u8"),  # 1 while the motor writes commands: what the guardian must take over
        ("taken_over", "<u8"),  # 1 once the guardian has: the motor must not write again
    ]
)
CHUNK = np.dtype(
    [
        ("epoch", "<u8"),
        ("sequence", "<u8"),
        ("t0", "<f8"),  # [s, steady clock] of row 0
        ("dt", "<f8"),  # [s]
        ("steps", "<u4"),
        ("moved", "u1", NUM_JOINTS),  # which joints the chunk moves
        ("q", "<f8", (MAX_STEPS, NUM_JOINTS)),  # [rad]
        ("base_velocity", "<f8", (MAX_STEPS, 3)),  # [m/s, m/s, rad/s]
    ]
)
REQUEST = np.dtype([("count", "<u8", len(REQUESTS)), ("mode", "S16")])  # mode: what "mode" asks for
ANSWER = np.dtype([("count", "<u8", len(REQUESTS)), ("accepted", "u1", len(REQUESTS)), ("text", "S256", len(REQUESTS))])
STATE = np.dtype([("steady_ns", "<u8"), ("payload", "u1", LOW_STATE_BYTES)])
COMMAND = np.dtype([("steady_ns", "<u8"), ("topic", "S32"), ("payload", "u1", LOW_CMD_BYTES)])
REPORT = np.dtype(
    [
        ("steady_ns", "<u8"),
        ("state", "S16"),
        ("reason", "S256"),
        ("mode", "S16"),
        ("mode_machine", "u1"),
        ("commands_sent", "<u8"),
        ("ticks", "<u8"),
        ("late_ticks", "<u8"),
        ("low_states", "<u8"),
        ("bad_low_states", "<u8"),
        ("chunks_taken", "<u8"),
        ("chunk_epoch", "<u8"),
        ("chunk_sequence", "<u8"),
        ("chunk_age", "<f8"),
        ("limited", "u1", NUM_JOINTS),  # index in neon_ros.guard.limiter.REASONS; 0 for a joint that was not held back
        ("limit_count", "<u8"),
        ("counts", "<u8", (NUM_JOINTS, len(REASONS))),  # joint-periods held back since start; column 0 stays 0
        ("clearance", "<f8"),
        ("alarms", "<u8"),
        ("last_alarm", "S256"),
        ("charge", "<f8"),  # [%]
        ("period_p99", "<f8"),
        ("tick_p99", "<f8"),
    ]
)

BLOCKS: dict[str, np.dtype[np.void]] = {
    "chunk": CHUNK,
    "request": REQUEST,
    "answer": ANSWER,
    "state": STATE,
    "report": REPORT,
    "command": COMMAND,
}


def _offsets() -> tuple[dict[str, int], int]:
    offset, offsets = 256, {}
    for name, record in BLOCKS.items():
        offsets[name] = offset
        offset += block_bytes(record)
    return offsets, offset


OFFSETS, SIZE = _offsets()


@dataclass(frozen=True)
class MotorReport:
    """How the motor process and its guard are.

    :param steady_ns: when it was written [ns, steady clock].
    :param state: UNCONFIGURED, INACTIVE, ARMING, ACTIVE, HOLD or DAMPING.
    :param reason: why it is in that state.
    :param mode: control mode.
    :param mode_machine: variant the robot reports; 0 before the first LowState.
    :param commands_sent: LowCmd frames written since start.
    :param ticks: since start.
    :param late_ticks: that began more than half a period late.
    :param low_states: accepted since start.
    :param bad_low_states: refused since start (length, CRC, not finite).
    :param chunks_taken: handed to the guard since start.
    :param chunk_epoch: of the newest chunk taken.
    :param chunk_sequence: of the newest chunk taken.
    :param chunk_age: since the capture the newest chunk answers [s]; -1 when there is none.
    :param limited_joints: held back by a limit in the last period.
    :param limited_reasons: position, velocity, acceleration, jerk or torque; parallel to ``limited_joints``.
    :param limit_count: joint-periods held back since start.
    :param counts: the same as (joint, reason, joint-periods), only where there were any.
    :param clearance: least distance between capsules of the robot's own links [m]; -1 when it was not checked.
    :param alarms: since start: other writers or owners, stops on the remote, lost guardian, motor faults, battery.
    :param last_alarm: in words.
    :param charge: of the battery [%]; -1 when the robot has not said it.
    :param period_p99: of the last second's periods [s].
    :param tick_p99: of the last second's computing times [s].
    """

    steady_ns: int = 0
    state: str = "UNCONFIGURED"
    reason: str = ""
    mode: str = ""
    mode_machine: int = 0
    commands_sent: int = 0
    ticks: int = 0
    late_ticks: int = 0
    low_states: int = 0
    bad_low_states: int = 0
    chunks_taken: int = 0
    chunk_epoch: int = 0
    chunk_sequence: int = 0
    chunk_age: float = -1.0
    limited_joints: tuple[str, ...] = ()
    limited_reasons: tuple[str, ...] = ()
    limit_count: int = 0
    counts: tuple[tuple[str, str, int], ...] = ()
    clearance: float = -1.0
    alarms: int = 0
    last_alarm: str = ""
    charge: float = -1.0
    period_p99: float = 0.0
    tick_p99: float = 0.0


def pack_chunk(chunk: AdmittedChunk, record: NDArray[np.void]) -> None:
    """Write a chunk into a record (1,) of :data:`CHUNK`.

    :raises ContractError: when it is empty, longer than :data:`MAX_STEPS` or of another width.
    """
    steps = len(chunk.q)
    if not 1 <= steps <= MAX_STEPS:
        raise ContractError(refuse("chunk steps", steps, f"1 to {MAX_STEPS}"))
    if chunk.q.shape != (steps, NUM_JOINTS) or chunk.base_velocity.shape != (steps, 3):
        shapes = f"q {chunk.q.shape}, base_velocity {chunk.base_velocity.shape}"
        raise ContractError(refuse("chunk shapes", shapes, f"q ({steps}, {NUM_JOINTS}), base_velocity ({steps}, 3)"))
    record["epoch"], record["sequence"] = chunk.epoch, chunk.sequence
    record["t0"], record["dt"], record["steps"] = chunk.t0, chunk.dt, steps
    record["moved"] = chunk.moved
    record["q"][0, :steps], record["base_velocity"][0, :steps] = chunk.q, chunk.base_velocity


def unpack_chunk(record: np.void) -> AdmittedChunk:
    """Return the chunk of a record."""
    steps = int(record["steps"])
    return AdmittedChunk(
        t0=float(record["t0"]),
        dt=float(record["dt"]),
        q=record["q"][:steps],
        moved=record["moved"].astype(bool),
        base_velocity=record["base_velocity"][:steps],
        epoch=int(record["epoch"]),
        sequence=int(record["sequence"]),
    )


def pack_report(report: MotorReport, record: NDArray[np.void]) -> None:
    """Write a report into a record (1,) of :data:`REPORT`; long reasons are cut."""
    for name in REPORT.names or ():
        if name == "limited":
            held = np.zeros(NUM_JOINTS, np.uint8)
            for joint, reason in zip(report.limited_joints, report.limited_reasons, strict=True):
                held[JOINT_INDEX[joint]] = REASONS.index(reason)
            record[name] = held
        elif name == "counts":
            record[name] = 0
            for joint, reason, count in report.counts:
                record[name][0, JOINT_INDEX[joint], REASONS.index(reason)] = count
        else:
            value = getattr(report, name)
            record[name] = value.encode()[: REPORT[name].itemsize] if isinstance(value, str) else value


def unpack_report(record: np.void) -> MotorReport:
    """Return the report of a record."""
    values: dict[str, object] = {}
    for name in REPORT.names or ():
        value = record[name]
        if name == "limited":
            held = np.flatnonzero(value)
            values["limited_joints"] = tuple(JOINT_NAMES[i] for i in held)
            values["limited_reasons"] = tuple(REASONS[value[i]] for i in held)
        elif name == "counts":
            places = np.argwhere(value)
            values[name] = tuple((JOINT_NAMES[i], REASONS[j], int(value[i, j])) for i, j in places)
        elif isinstance(value, bytes):
            values[name] = value.decode(errors="ignore")
        else:
            values[name] = value.item()
    return MotorReport(**values)  # type: ignore[arg-type]
