"""What one message costs: the SDK's objects against the pre-laid buffers of ``neon_ros.robot.wire``.

``python benchmarks/wire.py``.  Both sides are timed alternately within one run, so that a busy machine slows both; the
median ratio of paired rounds is what counts, not the microseconds.  First it checks that both put the same bytes on
the wire.  A DDS reader in another process receives what is written, so that a write includes the sending.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from cyclonedds.pub import DataWriter
from cyclonedds.topic import Topic
from unitree_sdk2py.idl.default import unitree_hg_msg_dds__LowCmd_, unitree_hg_msg_dds__LowState_
from unitree_sdk2py.idl.unitree_hg.msg.dds_ import LowCmd_, LowState_
from unitree_sdk2py.utils.crc import CRC

from neon_ros.motor.link import Link
from neon_ros.robot.wire import LowCmdFrame, LowStateFrame, decode_low_cmd, decode_low_state

GOALS = {"LowCmd fill + CRC + encode": 20.0, "LowState decode": 20.0, "LowCmd whole write": 4.0}
_READER = """
import sys, time
from neon_ros.motor.link import Link
reader = Link(int(sys.argv[1]), "lo").low_cmd_reader("rt/lowcmd")
print("ready", flush=True)
while time.monotonic() < float(sys.argv[2]):
    reader.wait_newest(0.5)
"""


class Row(NamedTuple):
    """One line of the table: medians [us] and the median ratio of paired rounds."""

    name: str
    sdk: float
    ours: float
    ratio: float


class Case(NamedTuple):
    """One operation, done both ways."""

    name: str
    sdk: Callable[[], Any]
    ours: Callable[[], Any]


def cpu() -> str:
    """Return what the processor calls itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def timed(call: Callable[[], Any], times: int) -> float:
    """Return the time of one call [us], averaged over ``times``."""
    began = time.perf_counter_ns()
    for _ in range(times):
        call()
    return (time.perf_counter_ns() - began) / times / 1000.0


def compare(case: Case, rounds: int, times: int) -> Row:
    """Time both ways alternately, the first to go changing every round."""
    sdk, ours = [], []
    for index in range(rounds):
        for which in (0, 1) if index % 2 else (1, 0):
            (ours if which else sdk).append(timed(case.ours if which else case.sdk, times))
    ratio = median(s / o for s, o in zip(sdk, ours, strict=True))
    return Row(case.name, median(sdk), median(ours), ratio)


class Bench:
    """Both ways to make and read the same messages."""

    def __init__(self, link: Link) -> None:
        random = np.random.default_rng(0)
        self.values = [random.normal(size=29).astype(np.float32).astype(np.float64) for _ in range(5)]
        self.crc = CRC()
        self.command = unitree_hg_msg_dds__LowCmd_()
        self.frame = LowCmdFrame()
        self.frame.set_mode(0, 5)
        self.frame.set_motor_mode(1)
        state = LowStateFrame()
        state.set_mode(0, 5)
        state.set_imu([1, 0, 0, 0], [0.1, 0.2, 0.3], [0, 0, 9.75], [0, 0, 0])
        state.set_health()
        state.fill(1, *self.values[:3])
        self.state = bytes(state.seal())
        self.sdk_writer = DataWriter(link.participant, Topic(link.participant, "rt/lowcmd", LowCmd_))
        self.writer = link.low_cmd_writer("rt/lowcmd")

    def sdk_fill(self) -> None:
        """Fill the SDK's object, as the vendor's examples do."""
        command = self.command
        command.mode_pr, command.mode_machine = 0, 5
        q, dq, tau, kp, kd = (values.tolist() for values in self.values)
        for i in range(29):
            motor = command.motor_cmd[i]
            motor.mode = 1
            motor.q, motor.dq, motor.tau, motor.kp, motor.kd = q[i], dq[i], tau[i], kp[i], kd[i]

    def sdk_crc(self) -> None:
        """Compute the CRC with the SDK."""
        self.command.crc = self.crc.Crc(self.command)

    def sdk_encode(self) -> bytes:
        """Fill, CRC and serialise with the SDK."""
        self.sdk_fill()
        self.sdk_crc()
        return self.command.serialize()

    def sdk_write(self) -> None:
        """Fill, CRC and write with the SDK."""
        self.sdk_fill()
        self.sdk_crc()
        self.sdk_writer.write(self.command)

    def sdk_decode(self) -> tuple[np.ndarray, ...]:
        """Read a LowState with the SDK into the arrays a controller needs; its CRC is not even checked."""
        state = LowState_.deserialize(self.state)
        motors = state.motor_state[:29]
        imu = state.imu_state
        return (
            np.array([motor.q for motor in motors]),
            np.array([motor.dq for motor in motors]),
            np.array([motor.tau_est for motor in motors]),
            np.array([motor.temperature[0] for motor in motors]),
            np.array(imu.quaternion),
            np.array(imu.gyroscope),
            np.array(imu.accelerometer),
        )

    def fill(self) -> None:
        """Fill our frame."""
        self.frame.fill(*self.values)

    def encode(self) -> bytes:
        """Fill, check, CRC; the buffer is the encoding."""
        self.frame.fill(*self.values)
        return bytes(self.frame.seal())

    def write(self) -> None:
        """Fill, check, CRC and write."""
        self.frame.fill(*self.values)
        self.writer.write(self.frame.seal())

    def decode(self) -> object:
        """Check CRC and finiteness of a LowState and decode it."""
        return decode_low_state(self.state, 0)

    def check_same_bytes(self) -> None:
        """Fail unless both ways make the same bytes and read the same numbers."""
        if self.sdk_encode() != self.encode():
            raise SystemExit("LowCmd differs between the SDK's objects and ours")
        command = LowCmd_.deserialize(bytes(self.frame.payload))
        ours = decode_low_cmd(self.frame.payload)
        if [motor.q for motor in command.motor_cmd[:29]] != ours.q.tolist():
            raise SystemExit("LowCmd is read differently by the SDK and by us")
        message = LowState_.deserialize(self.state)
        if message.serialize() != self.state or self.crc.Crc(message) != message.crc:
            raise SystemExit("LowState differs between the SDK's objects and ours")
        state = decode_low_state(self.state, 0)
        mine = (state.q, state.dq, state.tau, state.temperature, state.quaternion_wxyz, state.gyroscope)
        if any(not np.array_equal(a, b) for a, b in zip(self.sdk_decode(), mine, strict=False)):
            raise SystemExit("LowState is read differently by the SDK and by us")

    def cases(self) -> Sequence[Case]:
        """Return the operations to compare."""
        seal = self.frame.seal
        state = unitree_hg_msg_dds__LowState_()
        return (
            Case("LowCmd fill", self.sdk_fill, self.fill),
            Case("LowCmd CRC (ours: with a check that all is finite)", self.sdk_crc, seal),
            Case("LowCmd encode", self.command.serialize, lambda: bytes(self.frame.payload)),
            Case("LowCmd fill + CRC + encode", self.sdk_encode, self.encode),
            Case("LowCmd whole write", self.sdk_write, self.write),
            Case("LowState CRC (ours: the whole decode)", lambda: self.crc.Crc(state), self.decode),
            Case("LowState decode", self.sdk_decode, self.decode),
        )


def main() -> int:
    """Print the table; return 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domain", type=int, default=39, help="DDS domain to write on")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--times", type=int, default=100, help="calls per round")
    options = parser.parse_args()
    until = time.monotonic() + 120.0
    arguments = [sys.executable, "-c", _READER, str(options.domain), str(until)]
    reader = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        if reader.stdout is None or reader.stdout.readline() != "ready\n":
            raise SystemExit("the reading process did not start")
        with Link(options.domain, "lo") as link:
            bench = Bench(link)
            bench.check_same_bytes()
            time.sleep(0.5)  # discovery
            rows = [compare(case, options.rounds, options.times) for case in bench.cases()]
    finally:
        reader.terminate()
        reader.wait()
    print(f"{platform.node()}: {cpu()}, Python {platform.python_version()}, numpy {np.__version__}")
    print(f"{options.rounds} alternating rounds of {options.times} calls; medians; same bytes on the wire: checked\n")
    print(f"{'operation':52s} {'SDK us':>9s} {'ours us':>9s} {'ratio':>8s}   goal")
    missed = 0
    for row in rows:
        goal = GOALS.get(row.name)
        verdict = "" if goal is None else f"{goal:g}x {'met' if row.ratio >= goal else 'MISSED'}"
        missed += goal is not None and row.ratio < goal
        print(f"{row.name:52s} {row.sdk:9.1f} {row.ours:9.2f} {row.ratio:7.1f}x   {verdict}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
