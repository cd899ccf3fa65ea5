"""What the stub robot heard, said and read, in the order it happened: a ring in shared memory.

One writer, any number of readers; each record bears the steady time at which it happened.

.. code-block:: text

    /dev/shm/neon_ros/<session>.tape, mode 0600, little endian
    offset 0    u64 magic, u64 count of records written since the start
    offset 64   RECORD x LENGTH, record n at place n % LENGTH
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ContractError, RobotError, refuse
from neon_ros.guard.machine import State
from neon_ros.motor.locks import FOLDER, session_file
from neon_ros.robot.joints import NUM_JOINTS

LOWCMD, ARM_SDK, MEASURED, REPORT, SILENT = range(5)
"""Kinds of record: a LowCmd by its topic, a LowState that was sent, a report of the motor, a LowState not sent."""

STATES: tuple[str, ...] = tuple(state.value for state in State)

BAD_CRC, BAD_SLOTS, BAD_MODE = 1, 2, 4
"""Flaws of a LowCmd: its CRC or length is wrong; an unused slot is not zero; mode_pr or mode_machine is not ours."""

RECORD = np.dtype(
    [
        ("time", "<u8"),  # [ns, steady clock]; of a report, when the motor wrote it
        ("number", "<u8"),  # REPORT: sequence of the newest chunk taken; MEASURED: the tick
        ("sent", "<u8"),  # REPORT: commands sent since start
        ("limited", "<u8"),  # REPORT: joint-periods held back since start
        ("alarms", "<u8"),  # REPORT: since start
        ("age", "<f8"),  # REPORT: of the running chunk [s]; MEASURED, SILENT: how late the robot's cycle began [s]
        ("kind", "u1"),
        ("state", "u1"),  # REPORT: index in STATES
        ("flaws", "u1"),  # of a LowCmd; of a LowState: 1 when no guard may judge by it
        ("faulty", "u1"),  # MEASURED: whether a fault was in it
        ("weight", "<f4"),
        ("q", "<f4", NUM_JOINTS),  # [rad]
        ("dq", "<f4", NUM_JOINTS),  # [rad/s]
        ("tau", "<f4", NUM_JOINTS),  # [N m]
        ("kp", "<f4", NUM_JOINTS),  # [N m/rad]
        ("kd", "<f4", NUM_JOINTS),  # [N m s/rad]
    ]
)
LENGTH = 65536
"""Records kept: about a minute of commands, measurements and reports."""

Records = NDArray[np.void]

_MAGIC = int.from_bytes(b"NEONTAPE", "little")
_HEAD = 64
_SIZE = _HEAD + LENGTH * RECORD.itemsize
_GUARD = 256  # records that the writer may be overwriting while a reader copies


class Tape:
    """A tape, to be written by one process (``create``) or read by others (``open``)."""

    def __init__(self, path: Path, file: int, writable: bool) -> None:
        self.path = path
        self._map = mmap.mmap(file, _SIZE, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
        os.close(file)
        self._head = np.frombuffer(self._map, "<u8", 2)
        self._ring = np.frombuffer(self._map, RECORD, LENGTH, _HEAD)

    @classmethod
    def create(cls, session: str, folder: Path = FOLDER) -> Tape:
        """Make an empty tape; one that an earlier robot left is replaced."""
        path = session_file(session, "tape", folder)
        path.unlink(missing_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.ftruncate(file, _SIZE)
        tape = cls(path, file, writable=True)
        tape._head[0] = _MAGIC
        return tape

    @classmethod
    def open(cls, session: str, folder: Path = FOLDER) -> Tape:
        """Open a tape to read it.

        :raises RobotError: when there is none.
        :raises ContractError: when the file is no tape.
        """
        path = session_file(session, "tape", folder)
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise RobotError(refuse("tape", f"none at {path}", "a running stub robot")) from None
        if os.fstat(file).st_size != _SIZE:
            size = os.fstat(file).st_size
            os.close(file)
            raise ContractError(refuse(f"{path}", f"{size} bytes", f"{_SIZE} bytes"))
        tape = cls(path, file, writable=False)
        if int(tape._head[0]) != _MAGIC:
            raise ContractError(refuse(f"{path}", "another magic", "a tape"))
        return tape

    @property
    def count(self) -> int:
        """Return how many records have been written since the start."""
        return int(self._head[1])

    def write(self, record: Records) -> None:
        """Append one record (1,)."""
        count = int(self._head[1])
        self._ring[count % LENGTH] = record[0]
        self._head[1] = count + 1

    def read(self, since: int) -> tuple[int, Records]:
        """Return the count now and a copy of all records from number ``since`` on.

        :raises RobotError: when some of them have been overwritten.
        """
        count = self.count
        places = np.arange(since, count) % LENGTH
        records = self._ring[places]
        if self.count - since > LENGTH - _GUARD:
            raise RobotError(refuse("tape", f"{self.count - since} records since the last look", f"{LENGTH - _GUARD}"))
        return count, records

    def last(self, number: int) -> Records:
        """Return a copy of the newest ``number`` records, or as many as there are."""
        count = self.count
        return self.read(max(0, count - min(number, LENGTH - 2 * _GUARD)))[1]

    def close(self, remove: bool = False) -> None:
        """Let go; the writer also removes the file."""
        del self._head, self._ring
        if remove:
            self.path.unlink(missing_ok=True)


def commands_of(records: Records) -> Records:
    """Return the LowCmds, whatever their topic."""
    return records[records["kind"] <= ARM_SDK]


def measured_of(records: Records) -> Records:
    """Return the LowStates."""
    return records[records["kind"] == MEASURED]


def reports_of(records: Records) -> Records:
    """Return the motor's reports."""
    return records[records["kind"] == REPORT]


def standstill(records: Records) -> float:
    """Return how late the robot's own cycle was at most [s]: at the highest priority, so the machine stood still."""
    cycles = records[(records["kind"] == MEASURED) | (records["kind"] == SILENT)]
    return float(cycles["age"].max()) if len(cycles) else 0.0
