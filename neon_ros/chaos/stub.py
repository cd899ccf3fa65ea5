"""``python -m neon_ros.chaos.stub``: a light robot on the real DDS that fails on request, and writes everything down.

LowState at 500 Hz, the services ``motion_switcher`` and ``sport``, joints that follow their commands without inertia.
Every LowCmd it hears, every LowState it sends and every report of the motor goes onto the session's tape.  Questions on
stdin: ``{"set": {fault: value}}`` changes faults from the next LowState on and is answered with its time ``at`` [ns].
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from neon_ros.chaos.pipe import Questions, answer
from neon_ros.chaos.stand import standing
from neon_ros.chaos.tape import (
    ARM_SDK,
    BAD_CRC,
    BAD_MODE,
    BAD_SLOTS,
    LOWCMD,
    MEASURED,
    RECORD,
    REPORT,
    SILENT,
    STATES,
    Tape,
)
from neon_ros.errors import ContractError, NeonError, RobotError
from neon_ros.motor.link import Link
from neon_ros.motor.realtime import DDS_PRIORITY, lock_memory, prefer_fifo, quiet_interpreter, threads_under_fifo
from neon_ros.motor.rpc import CHECK_MODE, GET_FSM, RELEASE_MODE, SELECT_MODE, SET_VELOCITY, RpcServer
from neon_ros.motor.shared import MotorMemory
from neon_ros.robot.battery import encode_battery
from neon_ros.robot.joints import NUM_JOINTS
from neon_ros.robot.layout import LOW_CMD_LAYOUT, MOTOR_CMD, Q_OFFSET, WEIGHT_SLOT
from neon_ros.robot.wire import LowStateFrame, decode_low_cmd

PERIOD_NS = 2_000_000
PRIORITY = 70  # of SCHED_FIFO: a robot has a computer of its own, nothing here may delay it
_TOPICS = {"lowcmd": LOWCMD, "arm_sdk": ARM_SDK}
_DEPTH = 64  # LowCmds kept while the machine stands still: none is missed for 128 ms
_STILL: tuple[float, ...] = (0.0, 0.0, 0.0)
_LOOK = 25  # cycles between two looks for a motor's memory
_BATTERY = 50  # cycles between two words about the battery: 10 Hz
_WALKING = 500  # state of a walking controller that stands, see neon_ros.motor.rpc


@dataclass(frozen=True)
class Ills:
    """What is wrong with the robot; the default is a healthy one.

    :param lowstate: ``ok``, ``lost`` (none is sent), ``frozen`` (the same frame again), ``corrupt`` (a bit is flipped
        after the CRC), ``nan``.
    :param loss: part of the LowStates that are not sent, at random.
    :param spike: ``q``, ``dq`` or ``gyro``: what is out of all reason in the next ``spikes`` LowStates.
    :param tilt: lean of the pelvis to the left [rad].
    :param surface: temperature of the casing of motor ``joint`` [deg C]; ``winding`` likewise.
    :param motorstate: fault bits of motor ``joint``.
    :param joint: index of the motor that is ill.
    :param blocked: how far joint ``joint`` may move from where it is now [rad]; negative: it is free.
    :param lag: joint ``joint`` stays this far behind its command [rad].
    :param mode_machine: what the robot says it is.
    :param soc: state of charge of the battery [%].
    :param owner: name of the robot's controller that owns the motors.
    :param stubborn: never release the motors.
    :param remote: the 40 bytes of the wireless remote, as hex; empty for zeros.
    :param powered: false: no LowState, and services that say nothing.
    """

    lowstate: str = "ok"
    loss: float = 0.0
    spike: str = ""
    spikes: int = 0
    tilt: float = 0.0
    surface: float = 35.0
    winding: float = 45.0
    motorstate: int = 0
    joint: int = 13
    blocked: float = -1.0
    lag: float = 0.0
    mode_machine: int = 5
    mode_pr: int = 0
    soc: float = 80.0
    owner: str = "ai"
    stubborn: bool = False
    remote: str = ""
    powered: bool = True


class Stub:
    """The robot.

    :param link: DDS link to the robot's domain.
    :param session: whose motor to read the reports of.
    :param topic: where commands are expected first, ``lowcmd`` or ``arm_sdk``.
    """

    def __init__(self, link: Link, session: str, topic: str, seed: int) -> None:
        self.ills = Ills()
        self._session = session
        self._random = random.Random(seed)
        self.tape = Tape.create(session)
        self._record = np.zeros(1, RECORD)
        self._link = link
        self._main = (link.low_cmd_reader(f"rt/{topic}", _DEPTH), _TOPICS[topic])
        other = next(name for name in _TOPICS if name != topic)
        self._other = (link.low_cmd_reader(f"rt/{other}", _DEPTH), _TOPICS[other])
        self._writer = link.low_state_writer()
        self._battery = link.battery_writer()
        self._memory: MotorMemory | None = None
        self._cycle = 0
        self._began = time.monotonic_ns()
        self._frame = LowStateFrame()
        self.q = standing()
        self._dq = np.zeros(NUM_JOINTS)
        self._anchor = 0.0
        self._dressed: Ills | None = None
        self._sick = False
        self._late = 0.0
        self.velocities = 0
        self.servers = self._serve(link)

    def _serve(self, link: Link) -> tuple[RpcServer, ...]:
        def release(parameter: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            if not self.ills.stubborn:
                self.ills = replace(self.ills, owner="")
            return 0, {}

        def select(parameter: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            self.ills = replace(self.ills, owner=str(parameter["name"]))
            return 0, {}

        def walk(parameter: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            self.velocities += 1
            return 0, {}

        switcher = {
            CHECK_MODE: lambda _: (0, {"name": self.ills.owner}),
            RELEASE_MODE: release,
            SELECT_MODE: select,
        }
        walker = {GET_FSM: lambda _: (0, {"data": _WALKING}), SET_VELOCITY: walk}
        return (RpcServer(link, "motion_switcher", switcher), RpcServer(link, "sport", walker))

    def run(self, questions: Questions) -> None:
        """Be a robot until the runner closes the pipe."""
        deadline = time.monotonic_ns()
        while not questions.closed:
            deadline = max(deadline + PERIOD_NS, time.monotonic_ns())
            self._listen(deadline)
            asked = questions.take()
            for question in asked:
                self._apply(question)
            at = self._measure()
            self._read_reports()
            for _ in asked:
                answer(at=at, q=self.q.tolist(), velocities=self.velocities)

    def _apply(self, question: dict[str, Any]) -> None:
        if "set" in question:
            before, self.ills = self.ills, replace(self.ills, **question["set"])
            if self.ills.blocked >= 0.0 > before.blocked:
                self._anchor = float(self.q[self.ills.joint])
            for server in self.servers:
                server.silent = not self.ills.powered
        if "q" in question:
            self.q[:] = question["q"]
        if "shift" in question:
            self.q = standing() + question["shift"]

    def _listen(self, deadline_ns: int) -> None:
        """Take commands as they come until the deadline, each with the time of its arrival."""
        reader, kind = self._main
        while (left := deadline_ns - time.monotonic_ns()) > 0:
            for payload in reader.wait_each(left * 1e-9):
                self._hear(payload, kind)
        reader, kind = self._other
        for payload in reader.wait_each(0.0):
            self._hear(payload, kind)
        self._late = (time.monotonic_ns() - deadline_ns) * 1e-9

    def _hear(self, payload: bytes, kind: int) -> None:
        record = self._record
        record["time"], record["kind"], record["flaws"] = time.monotonic_ns(), kind, 0
        try:
            cmd = decode_low_cmd(payload)
        except ContractError:
            record["flaws"] = BAD_CRC
            self.tape.write(record)
            return
        record["flaws"] = _flaws(payload, kind, (cmd.mode_pr, cmd.mode_machine) == (0, self.ills.mode_machine))
        record["weight"] = cmd.weight
        for name in ("q", "dq", "tau", "kp", "kd"):
            record[name] = getattr(cmd, name)
        self.tape.write(record)
        if self.ills.powered:
            share = cmd.weight if kind == ARM_SDK else 1.0
            follows = share * (cmd.kp > 0)
            wanted = cmd.q
            wanted[self.ills.joint] -= self.ills.lag
            self._move(self.q + follows * (wanted - self.q), follows * cmd.dq)

    def _move(self, q: np.ndarray, dq: np.ndarray) -> None:
        ills, joint = self.ills, self.ills.joint
        if ills.blocked >= 0.0:
            q[joint] = min(max(q[joint], self._anchor - ills.blocked), self._anchor + ills.blocked)
        self.q, self._dq = q, dq

    def _measure(self) -> int:
        """Send one LowState and return when [ns]."""
        ills, frame = self.ills, self._frame
        now = time.monotonic_ns()
        self._cycle += 1
        record = self._record
        record["time"], record["kind"], record["flaws"] = now, SILENT, 0
        record["age"] = self._late
        record["faulty"] = ills is not self._dressed or self._sick
        q, dq, gyro = self.q, self._dq, _STILL
        if ills.spikes > 0:
            q, dq, gyro = _spiked(ills.spike, q, dq)
            self.ills = replace(ills, spikes=ills.spikes - 1)
        if ills.lowstate != "frozen":
            record["number"] = tick = (now - self._began) // 1_000_000
            if ills is not self._dressed or gyro is not _STILL:
                self._dress(ills, gyro)
            if ills.lowstate == "nan":
                q = np.where(np.arange(NUM_JOINTS) == ills.joint, np.nan, q)
            frame.fill(tick, q, dq, np.zeros(NUM_JOINTS))
        payload = bytes(frame.seal())
        if ills.lowstate == "corrupt":
            payload = payload[:500] + bytes([payload[500] ^ 1]) + payload[501:]
        if ills.powered and self._cycle % _BATTERY == 0:
            self._battery.write(encode_battery(round(ills.soc)))
        if not ills.powered or ills.lowstate == "lost" or self._random.random() < ills.loss:
            self.tape.write(record)
            return now
        self._writer.write(payload)
        record["kind"], record["q"], record["dq"] = MEASURED, q, dq
        record["flaws"] = ills.lowstate != "ok" or ills.spikes > 0
        self.tape.write(record)
        return now

    def _dress(self, ills: Ills, gyro: tuple[float, ...]) -> None:
        """Write what changes seldom into the frame."""
        frame, half = self._frame, ills.tilt / 2
        frame.set_mode(ills.mode_pr, ills.mode_machine)
        frame.set_imu([np.cos(half), np.sin(half), 0, 0], gyro, [0, 0, 9.81], [ills.tilt, 0, 0])
        heat = np.full((2, NUM_JOINTS), 35.0)
        heat[:, ills.joint] = ills.surface, ills.winding
        bits = np.zeros(NUM_JOINTS, np.uint32)
        bits[ills.joint] = ills.motorstate
        frame.set_health(heat[0], heat[1], bits)
        frame.set_remote(bytes.fromhex(ills.remote) if ills.remote else bytes(40))
        self._dressed = ills if gyro is _STILL else None
        self._sick = replace(ills, owner="ai") != Ills()

    def _read_reports(self) -> None:
        """Write down a new report of the motor; find its memory, and a later motor's."""
        memory = self._memory
        if memory is None:
            if self._cycle % _LOOK == 0:
                try:
                    self._memory = MotorMemory.open(self._session)
                except NeonError:
                    return
            return
        report = memory.read_report()
        if report is not None:
            record = self._record
            record["time"], record["kind"], record["flaws"] = report.steady_ns, REPORT, 0
            record["state"] = STATES.index(report.state)
            record["number"], record["age"] = report.chunk_sequence, report.chunk_age
            record["sent"], record["limited"] = report.commands_sent, report.limit_count
            record["alarms"] = report.alarms
            self.tape.write(record)
        elif self._cycle % _LOOK == 0 and memory.removed:
            memory.close()
            self._memory = None

    def close(self) -> None:
        """Leave DDS."""
        for server in self.servers:
            server.close()
        self.tape.close(remove=True)


def _spiked(kind: str, q: np.ndarray, dq: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Return q, dq and the turn rate with one of them out of all reason."""
    if kind == "q":
        return np.where(np.arange(NUM_JOINTS) == 15, q + 1.5, q), dq, _STILL
    if kind == "dq":
        return q, np.where(np.arange(NUM_JOINTS) == 15, 14.0, dq), _STILL
    return q, dq, (7.0, 0.0, 0.0)


def _flaws(payload: bytes, kind: int, modes_fit: bool) -> int:
    """Return what is wrong with a LowCmd whose CRC is right: invariant I15."""
    first = WEIGHT_SLOT + (kind == ARM_SDK)
    start = LOW_CMD_LAYOUT.motors + first * MOTOR_CMD.itemsize + Q_OFFSET
    unused = payload[start:-4]
    if kind == ARM_SDK:  # slot 29: q is the weight, all else zero
        weight = LOW_CMD_LAYOUT.motors + WEIGHT_SLOT * MOTOR_CMD.itemsize + Q_OFFSET
        unused += payload[weight + 4 : start - Q_OFFSET]
    return (BAD_SLOTS if any(unused) else 0) | (0 if modes_fit else BAD_MODE)


def main() -> None:
    """Be a robot until stdin ends."""
    parser = argparse.ArgumentParser(prog="neon_ros.chaos.stub", description=__doc__.splitlines()[0])
    parser.add_argument("--domain", type=int, required=True)
    parser.add_argument("--session", required=True)
    parser.add_argument("--topic", choices=sorted(_TOPICS), required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with threads_under_fifo(DDS_PRIORITY):
        link = Link(options.domain, "lo")
    stub = Stub(link, options.session, options.topic, options.seed)
    lock_memory()
    quiet_interpreter()
    prefer_fifo(PRIORITY)
    answer(ready=True, tape=str(Path(stub.tape.path)))
    try:
        stub.run(Questions())
    except RobotError as error:
        raise SystemExit(f"stub: {error}") from None
    finally:
        stub.close()


if __name__ == "__main__":
    main()
