"""The processes that ``benchmarks/motor.py`` starts: a robot, a DDS echo, the motor with a recorder, a bare loop.

``python benchmarks/motor_peers.py robot|echo|motor|bare``; each saves what it measured to ``--out`` (npz) when it ends.
All of them run as the motor does: SCHED_FIFO where allowed, memory locked, collector frozen.
"""

from __future__ import annotations

import argparse
import gc
import signal
import sys
import time
from pathlib import Path

import numpy as np

from neon_ros.motor import process
from neon_ros.motor.link import Link, PayloadReader
from neon_ros.motor.realtime import (
    MOTOR_PRIORITY,
    Ticker,
    lock_memory,
    prefer_fifo,
    quiet_interpreter,
    receive_under_fifo,
    sleep_until,
    threads_under_fifo,
)
from neon_ros.robot.gains import MODE_GAINS, gains
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.robot.layout import LOW_CMD_BYTES
from neon_ros.robot.variants import variant
from neon_ros.robot.wire import LowCmd, LowStateFrame, decode_low_cmd

PERIOD_NS = 2_000_000
MODE = "upper_body"
JOINT = JOINT_INDEX["left_wrist_pitch_joint"]
TAGS = (4.0, 5.5, 7.0, 8.5)
"""Speeds of that joint [rad/s] by which a LowState is recognised in its answer: each bounds the torque differently."""


class Tags:
    """Recognises the LowState that a LowCmd answers by how far the guard has scaled the gains of one joint."""

    def __init__(self) -> None:
        chosen = gains(MODE_GAINS[MODE])
        self._kp, self._kd = float(chosen.kp[JOINT]), float(chosen.kd[JOINT])
        self._bound = 0.9 * float(variant(5).limits().effort[JOINT])

    def scale(self, command: LowCmd, q: float, dq: float) -> float:
        """Return the scale that a measurement (q, dq) asks of ``command``."""
        asked = abs(self._kp * (command.q[JOINT] - q) + self._kd * (command.dq[JOINT] - dq))
        return min(1.0, self._bound / max(asked, 1e-9))

    def answers(self, command: LowCmd, q: float, dq: float) -> bool:
        """Return whether ``command`` was made from a measurement (q, dq)."""
        return abs(float(command.kp[JOINT]) / self._kp - self.scale(command, q, dq)) < 0.01


def live_quietly() -> None:
    """Run as the motor does."""
    lock_memory()
    prefer_fifo(MOTOR_PRIORITY)
    quiet_interpreter()


def until_signal() -> list[int]:
    """Return a list that is no longer empty once SIGTERM has come."""
    got: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    return got


def robot(domain: int, echo_domain: int, out: Path) -> None:
    """Be a robot on ``domain``: one LowState every period, whose answer is timed in every second one.

    In the others, half a period later, the same LowState goes to the echo on ``echo_domain``, whose answer is timed
    likewise: both see the same machine, in turns.
    """
    receive_under_fifo()
    with threads_under_fifo(MOTOR_PRIORITY):
        link, bare = Link(domain, "lo"), Link(echo_domain, "lo")
    states, commands = link.low_state_writer(), link.low_cmd_reader("rt/arm_sdk")
    pings, pongs = bare.low_state_writer(), bare.low_cmd_reader("rt/lowcmd")
    frame = LowStateFrame()
    frame.set_mode(0, 5)
    frame.set_imu([1, 0, 0, 0], [0, 0, 0], [0, 0, 9.81], [0, 0, 0])
    frame.set_health()
    q, dq, still = np.zeros(29), np.zeros(29), np.zeros(29)
    q[18] = q[25] = 0.3
    tags, stop = Tags(), until_signal()
    woke: list[int] = []
    ours: list[tuple[int, int]] = []
    echo: list[tuple[int, int]] = []
    print("ready", flush=True)
    live_quietly()
    weight, deadline, tick = 0.0, time.monotonic_ns(), 0
    while not stop:
        deadline += PERIOD_NS
        sleep_until(deadline)
        woke.append(time.monotonic_ns())
        tick += 1
        dq[JOINT] = TAGS[tick // 2 % len(TAGS)] if tick % 2 == 0 and weight >= 1.0 else 0.0
        frame.fill(2 * tick, q, dq, still)
        payload = frame.seal()
        sent = time.monotonic_ns()
        states.write(payload)
        if tick % 2 == 0:
            command = _answer(commands, tags, q, dq, sent, deadline + PERIOD_NS - 100_000, ours)
        else:
            sleep_until(deadline + PERIOD_NS // 2)
            newest = commands.take_newest()
            command = None if newest is None else decode_low_cmd(newest)
            pongs.take_newest()  # an answer that came too late to be timed
            sent = time.monotonic_ns()
            pings.write(payload)
            if pongs.wait_newest(0.0008) is not None:
                echo.append((sent, time.monotonic_ns() - sent))
        if command is not None:
            weight = command.weight
            q = q + weight * (command.kp > 0) * (command.q - q)
    np.savez(out, woke=np.array(woke), ours=np.array(ours).reshape(-1, 2), echo=np.array(echo).reshape(-1, 2))


def _answer(
    commands: PayloadReader,
    tags: Tags,
    q: np.ndarray,
    dq: np.ndarray,
    sent: int,
    until: int,
    times: list[tuple[int, int]],
) -> LowCmd | None:
    """Wait for the command that answers this LowState, note when it came, and return the newest command."""
    command = None
    while (left := until - time.monotonic_ns()) > 0:
        payload = commands.wait_newest(left * 1e-9)
        came = time.monotonic_ns()
        if payload is None:
            break
        command = decode_low_cmd(payload)
        if dq[JOINT] and tags.answers(command, float(q[JOINT]), float(dq[JOINT])):
            times.append((sent, came - sent))
            break
    return command


def echo(domain: int) -> None:
    """Answer every LowState with as many bytes as a LowCmd has: the least that any command process could do."""
    receive_under_fifo()
    with threads_under_fifo(MOTOR_PRIORITY):
        link = Link(domain, "lo")
    reader, writer, stop = link.low_state_reader(), link.low_cmd_writer("rt/lowcmd"), until_signal()
    print("ready", flush=True)
    live_quietly()
    while not stop:
        payload = reader.wait_newest(0.1)
        if payload is not None:
            writer.write(payload[:LOW_CMD_BYTES])


class RecordingTicker(Ticker):
    """A ticker that keeps every wake-up."""

    woke = np.zeros(2_000_000, dtype=np.int64)
    count = 0

    def wait(self) -> int:
        """Sleep until the next tick, and note when it began."""
        now = super().wait()
        cls = type(self)
        if cls.count < len(cls.woke):
            cls.woke[cls.count] = now
            cls.count += 1
        return now


def motor(out: Path, arguments: list[str]) -> int:
    """Be the motor process, and record its wake-ups and its full garbage collections."""
    full: list[int] = []

    def collected(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            full.append(time.monotonic_ns())

    gc.callbacks.append(collected)
    RecordingTicker.woke[:] = 0  # its pages are there before memory is locked
    process.Ticker = RecordingTicker  # type: ignore[misc]
    status = process.main(arguments)
    np.savez(out, woke=RecordingTicker.woke[: RecordingTicker.count], full=np.array(full, dtype=np.int64))
    return status


def bare(out: Path) -> None:
    """Be the least of loops: clock_nanosleep and nothing else."""
    woke, count, stop = np.zeros(2_000_000, dtype=np.int64), 0, until_signal()
    woke[:] = 0  # its pages are there before memory is locked
    print("ready", flush=True)
    live_quietly()
    deadline = time.monotonic_ns()
    while not stop and count < len(woke):
        deadline += PERIOD_NS
        sleep_until(deadline)
        woke[count] = time.monotonic_ns()
        count += 1
    np.savez(out, woke=woke[:count])


def main() -> int:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=("robot", "echo", "motor", "bare"))
    parser.add_argument("--domain", type=int, default=1)
    parser.add_argument("--echo-domain", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("motor_peers.npz"))
    options, rest = parser.parse_known_args()
    if options.role == "robot":
        robot(options.domain, options.echo_domain, options.out)
    elif options.role == "echo":
        echo(options.domain)
    elif options.role == "motor":
        return motor(options.out, ["--domain", str(options.domain), *rest])
    else:
        bare(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
