"""The shared memory of the simulator: what the wire does not show (the whole scene) and requests to it.

.. code-block:: text

    /dev/shm/neon_ros/<session>.sim, mode 0600, little endian
    offset 0    header   (HEADER)   magic, version, size, pid of the simulator
    then        scene    (TEXT)     written by the simulator: SceneDescription as JSON, anew at each reset
                state    (STATE)    written by the simulator: positions and velocities of the whole model
                report   (TEXT)     written by the simulator: SimReport as JSON
                request  (TEXT)     written by a client that holds the role sim_control: faults, reset

Blocks are sequence-locked, see :mod:`neon_ros.motor.seqlock`.  A process that renders builds its own model from the
scene and copies the state into it; the state's ``generation`` says to which scene it belongs.
"""

from __future__ import annotations

import json
import mmap
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ContractError, Refused, RobotError, refuse
from neon_ros.motor.locks import FOLDER, RoleLock, session_file
from neon_ros.motor.seqlock import Block, block_bytes
from neon_ros.sim.faults import Faults
from neon_ros.sim.scene import SceneDescription

MAGIC = b"NEONSIM"
VERSION = 1
MAX_COORDINATES = 96
_POLL = 0.005  # [s] between looks for an answer

HEADER = np.dtype([("magic", "S8"), ("version", "<u4"), ("size", "<u4"), ("pid", "<u8")])
TEXT = np.dtype([("number", "<u8"), ("length", "<u4"), ("text", "u1", 4096)])
STATE = np.dtype(
    [
        ("generation", "<u8"),  # of the scene
        ("steady_ns", "<u8"),  # when it was so, on the steady clock
        ("time", "<f8"),  # [s] simulated
        ("nq", "<u4"),
        ("nv", "<u4"),
        ("qpos", "<f8", MAX_COORDINATES),
        ("qvel", "<f8", MAX_COORDINATES),
    ]
)
_BLOCKS: dict[str, np.dtype[np.void]] = {"scene": TEXT, "state": STATE, "report": TEXT, "request": TEXT}
SIZE = 64 + sum(block_bytes(record) for record in _BLOCKS.values())


@dataclass(frozen=True)
class SimState:
    """Where everything in the simulated world is.

    :param generation: of the scene it belongs to.
    :param steady_ns: when it was so [ns, steady clock].
    :param time: simulated [s].
    :param qpos: MuJoCo's positions (nq,).
    :param qvel: MuJoCo's velocities (nv,).
    """

    generation: int
    steady_ns: int
    time: float
    qpos: NDArray[np.float64]
    qvel: NDArray[np.float64]


@dataclass(frozen=True)
class SimReport:
    """How the simulator is.

    :param time: simulated since the start [s].
    :param factor: simulated over real time, of the last second.
    :param lost: real time given up because the machine was too slow, since the start [s].
    :param owner: motion service that owns the motors, empty when released.
    :param fsm: state of the built-in controller.
    :param weight: of ``rt/arm_sdk``, 0 to 1.
    :param velocity: asked of the built-in controller (3,) [m/s, m/s, rad/s].
    :param machine: the ``mode_machine`` the robot reports.
    :param low_states: LowState frames sent since the start.
    :param counts: command frames since the start, by what became of them.
    :param faults: what is wrong, as fields of :class:`~neon_ros.sim.faults.Faults`.
    :param generation: of the scene.
    :param answered: number of the last request served.
    :param refusal: why that request was refused; empty when it was served.
    """

    time: float = 0.0
    factor: float = 0.0
    lost: float = 0.0
    owner: str = ""
    fsm: int = 0
    weight: float = 0.0
    velocity: tuple[float, ...] = (0.0, 0.0, 0.0)
    machine: int = 0
    low_states: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    faults: dict[str, Any] = field(default_factory=dict)
    generation: int = 0
    answered: int = 0
    refusal: str = ""


class _Memory:
    def __init__(self, file: int) -> None:
        self._map = mmap.mmap(file, SIZE)
        buffer = memoryview(self._map)
        self._header = np.frombuffer(buffer, HEADER, 1)
        self._blocks: dict[str, Block] = {}
        offset = 64
        for name, record in _BLOCKS.items():
            self._blocks[name] = Block(buffer, offset, record)
            offset += block_bytes(record)
        self._seen = dict.fromkeys(_BLOCKS, 0)

    def _put_text(self, name: str, number: int, value: str) -> None:
        raw = value.encode()
        record = self._blocks[name].blank()
        if len(raw) > TEXT["text"].itemsize:
            raise ContractError(
                refuse(f"{name} of the simulator", f"{len(raw)} bytes", f"at most {TEXT['text'].itemsize}")
            )
        record["number"], record["length"] = number, len(raw)
        record["text"][0, : len(raw)] = np.frombuffer(raw, np.uint8)
        self._blocks[name].write(record)

    def _text(self, name: str, newer: bool = False) -> tuple[int, str] | None:
        found = self._blocks[name].read(self._seen[name] if newer else 0)
        if found is None:
            return None
        self._seen[name] = found[0]
        record = found[1]
        return int(record["number"]), bytes(record["text"][: int(record["length"])]).decode()


class SimServer(_Memory):
    """The simulator's side: makes the memory of a session and removes it at the end.

    :raises Refused: when the session has a living simulator.
    """

    def __init__(self, session: str, folder: Path = FOLDER) -> None:
        self._lock = RoleLock(session, "sim", folder)
        self._path = session_file(session, "sim", folder)
        self._path.unlink(missing_ok=True)
        partial = self._path.with_suffix(".sim_partial")
        file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.ftruncate(file, SIZE)
        super().__init__(file)
        os.close(file)
        header = self._header
        header["magic"], header["version"], header["size"], header["pid"] = MAGIC, VERSION, SIZE, os.getpid()
        self._state = self._blocks["state"].blank()
        self.generation = 0
        os.rename(partial, self._path)

    def publish_scene(self, scene: SceneDescription) -> None:
        """Publish a scene; the states that follow belong to it."""
        self.generation += 1
        self._put_text("scene", self.generation, scene.to_json())

    def publish_state(self, time_s: float, qpos: NDArray[np.float64], qvel: NDArray[np.float64]) -> None:
        """Publish where everything is now.

        :param time_s: simulated [s].
        """
        record = self._state
        record["generation"], record["steady_ns"], record["time"] = self.generation, time.monotonic_ns(), time_s
        record["nq"], record["nv"] = qpos.size, qvel.size
        record["qpos"][0, : qpos.size], record["qvel"][0, : qvel.size] = qpos, qvel
        self._blocks["state"].write(record)

    def publish_report(self, report: SimReport) -> None:
        """Publish how the simulator is."""
        self._put_text("report", 0, json.dumps(asdict(report)))

    def take_request(self) -> tuple[int, dict[str, Any]] | None:
        """Return the number and content of a request that was not taken yet."""
        found = self._text("request", newer=True)
        return None if found is None else (found[0], json.loads(found[1]))

    def close(self) -> None:
        """Remove the memory."""
        self._path.unlink(missing_ok=True)
        self._lock.release()


class SimClient(_Memory):
    """Everyone else's side: reads, and asks for faults and resets.

    :param timeout: how long to wait for the simulator to appear [s].
    :raises RobotError: when there is none, or one of another version.
    """

    def __init__(self, session: str, timeout: float = 0.0, folder: Path = FOLDER) -> None:
        self._session, self._folder = session, folder
        self._path = session_file(session, "sim", folder)
        deadline = time.monotonic() + timeout
        while True:
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                break
            except FileNotFoundError:
                if time.monotonic() >= deadline:
                    running = ", ".join(sorted(path.stem for path in folder.glob("*.sim"))) or "none is running"
                    raise RobotError(refuse("simulator of session", session, running)) from None
                time.sleep(_POLL)
        self._inode = os.fstat(file).st_ino
        head = np.frombuffer(os.pread(file, HEADER.itemsize, 0).ljust(HEADER.itemsize, b"\0"), HEADER)[0]
        if head["magic"] != MAGIC or head["version"] != VERSION or os.fstat(file).st_size != SIZE:
            os.close(file)
            raise RobotError(refuse(f"{self._path}", "another format", f"simulator memory, version {VERSION}"))
        super().__init__(file)
        os.close(file)

    @property
    def removed(self) -> bool:
        """Whether the simulator that made this memory has ended; a new one has another memory, to be opened anew."""
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def scene(self) -> tuple[int, SceneDescription] | None:
        """Return generation and words of the present scene; ``None`` before the first."""
        found = self._text("scene")
        return None if found is None else (found[0], SceneDescription.from_json(found[1]))

    def state(self) -> SimState | None:
        """Return the newest state; ``None`` before the first."""
        found = self._blocks["state"].read()
        if found is None:
            return None
        record = found[1]
        nq, nv = int(record["nq"]), int(record["nv"])
        return SimState(
            generation=int(record["generation"]),
            steady_ns=int(record["steady_ns"]),
            time=float(record["time"]),
            qpos=record["qpos"][:nq].copy(),
            qvel=record["qvel"][:nv].copy(),
        )

    def report(self) -> SimReport:
        """Return how the simulator is; all zeros before its first report."""
        found = self._text("report")
        if found is None:
            return SimReport()
        values = json.loads(found[1])
        return SimReport(**{**values, "velocity": tuple(values["velocity"])})

    def inject(self, faults: Faults, timeout: float = 2.0) -> SimReport:
        """Make ``faults`` all that is wrong with the robot; ``Faults()`` heals it."""
        return self._request({"faults": asdict(faults)}, timeout)

    def reset(
        self,
        seed: int,
        purpose: str = "eval",
        pairs: str = "trained",
        robot: bool = True,
        timeout: float = 2.0,
    ) -> SimReport:
        """Lay out another scene.

        :param robot: also put the robot back to its start, standing under its own controller.
        :raises Refused: when there is no such scene.
        """
        return self._request({"reset": {"seed": seed, "purpose": purpose, "pairs": pairs, "robot": robot}}, timeout)

    def _request(self, content: dict[str, Any], timeout: float) -> SimReport:
        """Ask, and wait until it is done.

        :raises RobotError: when the simulator does not answer.
        :raises Refused: when it refuses, or another process is asking.
        """
        lock = RoleLock(self._session, "sim_control", self._folder)
        try:
            number = self.report().answered + 1
            self._put_text("request", number, json.dumps(content))
            deadline = time.monotonic() + timeout
            while (report := self.report()).answered < number:
                if time.monotonic() > deadline:
                    raise RobotError(refuse("request to the simulator", f"no answer in {timeout} s", "an answer"))
                time.sleep(_POLL)
        finally:
            lock.release()
        if report.refusal:
            raise Refused(report.refusal)
        return report
