"""The memory that the ROS side, the motor and the guardian share; its layout is in :mod:`neon_ros.motor.records`.

Roles, one process each (a lock file refuses a second): ``motor`` makes the file and writes answers, state, report and
command; ``command`` writes chunks and requests; ``guardian`` only beats.  Any number of ``view`` only read.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path
from types import TracebackType

import numpy as np

from neon_ros.errors import ConfigError, ContractError, Refused, RobotError, refuse
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.motor.locks import FOLDER, RoleLock, session_file
from neon_ros.motor.records import (
    BLOCKS,
    HEADER,
    MAGIC,
    OFFSETS,
    REQUESTS,
    SIZE,
    VERSION,
    MotorReport,
    pack_chunk,
    pack_report,
    unpack_chunk,
    unpack_report,
)
from neon_ros.motor.seqlock import Block
from neon_ros.robot.modes import control_mode
from neon_ros.robot.wire import LowCmd, LowState, decode_low_cmd, decode_low_state

ROLES: tuple[str, ...] = ("motor", "command", "guardian", "view")
_POLL = 0.002  # [s] between looks at an answer
_TIMEOUT, _ARM_TIMEOUT = 1.0, 15.0  # [s] for an answer; before whole_body is armed the motors are asked for five times


def answer_timeout(kind: str) -> float:
    """Return how long the answer to a request may take [s]."""
    return _ARM_TIMEOUT if kind == "arm" else _TIMEOUT


class MotorMemory:
    """One session's shared memory, seen from one role: the motor makes it, all others :meth:`open` it."""

    def __init__(self, path: Path, role: str, lock: RoleLock | None, file: int) -> None:
        self.path = path
        self.role = role
        self._lock = lock
        self._file = file
        access = mmap.ACCESS_READ if role == "view" else mmap.ACCESS_WRITE
        self._map = mmap.mmap(file, SIZE, access=access)
        buffer = memoryview(self._map)
        self._header = np.frombuffer(buffer, HEADER, 1)
        self._blocks = {name: Block(buffer, OFFSETS[name], record) for name, record in BLOCKS.items()}
        self._records = {name: block.blank() for name, block in self._blocks.items()}
        self._seen = dict.fromkeys(BLOCKS, 0)
        self._beats = {name: self._header[f"{name}_beat_ns"] for name in ROLES[:-1]}
        self._beat = self._beats.get(role)
        self._commanding, self._taken_over = self._header["commanding"], self._header["taken_over"]

    @classmethod
    def create(cls, session: str, mode: str, folder: Path = FOLDER, robot: str = "real") -> MotorMemory:
        """Make the memory of a session, as its motor.  What an earlier motor left is wiped, but keeps its place.

        :param mode: control mode of the motor.
        :param robot: ``sim`` or ``real``, so that nothing meant for a simulator reaches a robot by a wrong parameter.
        :raises Refused: when the session has a living motor.
        """
        lock = RoleLock(session, "motor", folder)
        path = session_file(session, "motor", folder)
        path.unlink(missing_ok=True)  # those who had the old one open see that it is gone, and open this one
        partial = path.with_suffix(".partial")
        file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.ftruncate(file, SIZE)
        memory = cls(path, "motor", lock, file)
        header = memory._header
        header["magic"], header["version"], header["size"] = MAGIC, VERSION, SIZE
        header["mode"], header["robot"], header["motor_pid"] = mode.encode(), robot.encode(), os.getpid()
        os.rename(partial, path)  # complete before anyone can see it
        return memory

    @classmethod
    def open(cls, session: str, role: str = "view", folder: Path = FOLDER) -> MotorMemory:
        """Open the memory of a session.

        :param role: ``command``, ``guardian`` or ``view``.
        :raises RobotError: when there is no such session, or it was made by another version.
        :raises Refused: when another process holds the role.
        """
        if role not in ROLES[1:]:
            raise ConfigError(refuse("role", role, ", ".join(ROLES[1:])))
        path = session_file(session, "motor", folder)
        try:
            file = os.open(path, (os.O_RDONLY if role == "view" else os.O_RDWR) | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            running = sorted(entry.stem for entry in folder.glob("*.motor"))
            allowed = f"a session with a running motor process: {', '.join(running) or 'none is running'}"
            raise RobotError(refuse("session", session, allowed)) from None
        try:
            _check_header(path, file)
            lock = None if role == "view" else RoleLock(session, role, folder)
        except Exception:
            os.close(file)
            raise
        return cls(path, role, lock, file)

    @property
    def mode(self) -> str:
        """Return the control mode of the motor."""
        return bytes(self._header["mode"][0]).decode()

    @mode.setter
    def mode(self, name: str) -> None:
        self._header["mode"] = name.encode()

    @property
    def wanted_mode(self) -> str:
        """Return the control mode that the last ``mode`` request asks for."""
        found = self._blocks["request"].read()
        return "" if found is None else bytes(found[1]["mode"]).decode(errors="replace")

    @property
    def robot(self) -> str:
        """Return what the motor talks to: ``sim`` or ``real``."""
        return bytes(self._header["robot"][0]).decode()

    @property
    def removed(self) -> bool:
        """Return whether the motor that made this memory has left; a new one has another memory, to be opened anew."""
        return os.fstat(self._file).st_nlink == 0

    @property
    def motor_pid(self) -> int:
        """Return the process id of the motor."""
        return int(self._header["motor_pid"][0])

    @property
    def motor_beat_ns(self) -> int:
        """Return when the motor last beat [ns, steady clock]; 0 when it never did."""
        return int(self._header["motor_beat_ns"][0])

    @property
    def commanding(self) -> bool:
        """Return whether the motor is writing commands to the robot."""
        return bool(self._commanding[0])

    @commanding.setter
    def commanding(self, value: bool) -> None:
        self._commanding[0] = value

    @property
    def taken_over(self) -> bool:
        """Return whether the guardian has taken the robot from the motor, for good."""
        return bool(self._taken_over[0])

    def take_over(self) -> None:
        """Take the robot from the motor, which must not write again.

        :raises Refused: for any role but the guardian.
        """
        if self.role != "guardian":
            raise Refused(refuse("take over", f"role {self.role!r}", "role 'guardian' only"))
        self._taken_over[0] = 1

    def beat(self, now_ns: int | None = None) -> None:
        """Say that this role is alive.

        :raises Refused: for a view, which has no beat.
        """
        if self._beat is None:
            raise Refused(refuse("beat", "a view", "the roles motor, command and guardian"))
        self._beat[0] = time.monotonic_ns() if now_ns is None else now_ns

    def beat_age(self, role: str, now_ns: int | None = None) -> float:
        """Return how long ago a role was last alive [s]; infinite when it never was."""
        last = int(self._beats[role][0])
        return ((time.monotonic_ns() if now_ns is None else now_ns) - last) * 1e-9 if last else float("inf")

    # the ROS side -----------------------------------------------------------------------------------------------

    def write_chunk(self, chunk: AdmittedChunk) -> None:
        """Hand an admitted chunk to the motor; it replaces one that was not taken yet.

        :raises ContractError: when it does not fit.
        """
        record = self._own("chunk", "command")
        pack_chunk(chunk, record)
        self._blocks["chunk"].write(record)

    def post(self, kind: str, mode: str = "") -> int:
        """Make a request without waiting.

        :param kind: one of :data:`~neon_ros.motor.records.REQUESTS`.
        :param mode: the control mode that the request ``mode`` asks for.
        :returns: its number, for :meth:`answer`.
        """
        if kind not in REQUESTS:
            raise ConfigError(refuse("request", kind, ", ".join(REQUESTS)))
        name = control_mode(mode).name if kind == "mode" else ""
        record = self._own("request", "command")
        found = self._blocks["request"].read()
        if found is not None:
            record[0] = found[1]
        record["count"][0, REQUESTS.index(kind)] += 1
        if kind == "mode":
            record["mode"] = name.encode()
        self._blocks["request"].write(record)
        return int(record["count"][0, REQUESTS.index(kind)])

    def answer(self, kind: str, number: int) -> tuple[bool, str] | None:
        """Return whether request ``number`` was accepted, and what the motor said; ``None`` when not answered yet."""
        found = self._blocks["answer"].read()
        index = REQUESTS.index(kind)
        if found is None or int(found[1]["count"][index]) < number:
            return None
        return bool(found[1]["accepted"][index]), bytes(found[1]["text"][index]).decode(errors="ignore")

    def request(self, kind: str, timeout: float | None = None, mode: str = "") -> tuple[bool, str]:
        """Make a request and wait for the motor's answer.

        :param kind: and ``mode``: see :meth:`post`.
        :param timeout: [s]; by default long enough for the motors to be released before arming, else one second.
        :returns: whether it was accepted, and why.
        :raises RobotError: when the motor does not answer in time.
        """
        if timeout is None:
            timeout = answer_timeout(kind)
        number = self.post(kind, mode)
        deadline = time.monotonic() + timeout
        while (answer := self.answer(kind, number)) is None:
            if time.monotonic() > deadline:
                age = self.beat_age("motor")
                got = f"no answer in {timeout} s (the motor's last beat is {age:.2f} s old)"
                raise RobotError(refuse(f"request {kind!r}", got, "a motor process that is alive"))
            time.sleep(_POLL)
        return answer

    def read_state(self) -> LowState | None:
        """Return the newest LowState, ``None`` when there is none newer than the last one read."""
        found = self._new("state")
        return None if found is None else decode_low_state(found["payload"].tobytes(), int(found["steady_ns"]))

    def read_report(self) -> MotorReport | None:
        """Return the newest report, ``None`` when there is none newer than the last one read."""
        found = self._new("report")
        return None if found is None else unpack_report(found)

    def read_command(self) -> tuple[int, str, LowCmd] | None:
        """Return the newest command: steady stamp [ns], topic, LowCmd; ``None`` when there is none newer."""
        found = self._new("command")
        if found is None:
            return None
        return int(found["steady_ns"]), bytes(found["topic"]).decode(), decode_low_cmd(found["payload"].tobytes())

    def last_command(self) -> bytes | None:
        """Return the newest LowCmd payload, also when it was read before; ``None`` when there is none."""
        found = self._blocks["command"].read()
        return None if found is None else found[1]["payload"].tobytes()

    # the motor --------------------------------------------------------------------------------------------------

    def take_chunk(self) -> AdmittedChunk | None:
        """Return the newest chunk, ``None`` when it was taken before."""
        found = self._new("chunk")
        return None if found is None else unpack_chunk(found)

    def take_requests(self) -> list[str]:
        """Return the kinds requested since the last call, the safest first; each must be answered."""
        found = self._new("request")
        if found is None:
            return []
        answered = self._records["answer"]["count"][0]
        return [kind for kind, count, last in zip(REQUESTS, found["count"], answered, strict=True) if count > last]

    def give_answer(self, kind: str, accepted: bool, text: str) -> None:
        """Answer all requests of one kind made so far."""
        record = self._own("answer", "motor")
        index = REQUESTS.index(kind)
        found = self._blocks["request"].read()
        if found is not None:
            record["count"][0, index] = found[1]["count"][index]
        record["accepted"][0, index] = accepted
        record["text"][0, index] = text.encode()[:256]
        self._blocks["answer"].write(record)

    def write_state(self, payload: bytes, steady_ns: int) -> None:
        """Publish the newest LowState payload."""
        record = self._own("state", "motor")
        record["steady_ns"] = steady_ns
        record["payload"] = np.frombuffer(payload, np.uint8)
        self._blocks["state"].write(record)

    def write_command(self, payload: bytes | memoryview, topic: str, steady_ns: int) -> None:
        """Publish the newest LowCmd payload."""
        record = self._own("command", "motor")
        record["steady_ns"], record["topic"] = steady_ns, topic.encode()
        record["payload"] = np.frombuffer(payload, np.uint8)
        self._blocks["command"].write(record)

    def write_report(self, report: MotorReport) -> None:
        """Publish a report."""
        record = self._own("report", "motor")
        pack_report(report, record)
        self._blocks["report"].write(record)

    # all --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go; the motor also removes the memory."""
        if self._file < 0:
            return
        if self.role == "motor" and not self.removed:
            self.path.unlink(missing_ok=True)
        del self._blocks, self._header, self._beat, self._beats, self._commanding, self._taken_over
        self._map = None  # type: ignore[assignment]  # unmapped once the last view of it is gone
        os.close(self._file)
        self._file = -1
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> MotorMemory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _own(self, name: str, role: str) -> np.ndarray:
        if self.role != role:
            raise Refused(refuse(f"write of block {name!r}", f"role {self.role!r}", f"role {role!r} only"))
        return self._records[name]

    def _new(self, name: str) -> np.void | None:
        found = self._blocks[name].read(self._seen[name])
        if found is None:
            return None
        self._seen[name] = found[0]
        return found[1]


def _check_header(path: Path, file: int) -> None:
    """Refuse a file that is not ours or of another version."""
    header = np.frombuffer(os.pread(file, HEADER.itemsize, 0).ljust(HEADER.itemsize, b"\0"), HEADER)[0]
    if header["magic"] != MAGIC.rstrip(b"\0"):
        raise ContractError(refuse(f"{path}", "not a motor memory", f"a file that begins with {MAGIC!r}"))
    if header["version"] != VERSION or header["size"] != SIZE or os.fstat(file).st_size != SIZE:
        got = f"version {header['version']}, {header['size']} bytes"
        raise RobotError(refuse(f"{path}", got, f"version {VERSION}, {SIZE} bytes: restart both sides"))
    pid = int(header["motor_pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        name = f"session {path.stem}"
        raise RobotError(
            refuse(name, f"a motor process ({pid}) that has ended", "a running one: start it again")
        ) from None
