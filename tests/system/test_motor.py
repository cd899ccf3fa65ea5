"""The motor and guardian processes against a robot on DDS: armed, driven, stopped, killed, frozen, refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cyclonedds")

from neon_ros.errors import NeonError
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.motor.records import MotorReport
from neon_ros.motor.shared import MotorMemory
from neon_ros.robot.gains import DAMPING_KD
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.robot.modes import MODES

pytestmark = pytest.mark.system
HERE = Path(__file__).parent
LOWCMD, ARM_SDK = 0, 1


def eventually(condition: Callable[[], object], seconds: float = 40.0) -> Any:
    """Return the first true value of ``condition``; fail when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s")


class Rig:
    """A fake robot, a motor and a guardian on one domain."""

    def __init__(self, domain: int, folder: Path) -> None:
        self.domain = domain
        self.session = f"test{domain}-{os.getpid()}"
        self.heard_file = folder / "heard.npz"
        self._folder = folder
        self._started: list[subprocess.Popen[str]] = []
        self.memory: MotorMemory | None = None

    def start(self, *arguments: str, name: str) -> subprocess.Popen[str]:
        """Start a process of this rig; its stderr goes to a file."""
        log = (self._folder / f"{name}.log").open("a")
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=log, text=True, stdin=subprocess.DEVNULL
        )
        self._started.append(process)
        return process

    def log(self, name: str) -> str:
        """Return what a process said."""
        return (self._folder / f"{name}.log").read_text()

    def robot(self, *options: str) -> subprocess.Popen[str]:
        """Start the robot."""
        script = str(HERE / "fake_robot.py")
        robot = self.start(script, "--domain", str(self.domain), "--out", str(self.heard_file), *options, name="robot")
        assert robot.stdout is not None and robot.stdout.readline() == "ready\n", self.log("robot")
        return robot

    def guardian(self) -> subprocess.Popen[str]:
        """Start the guardian."""
        return self.start(
            "-m", "neon_ros.motor.guardian", "--session", self.session, "--domain", str(self.domain), name="guardian"
        )

    def motor(self, mode: str, *options: str, name: str = "motor") -> subprocess.Popen[str]:
        """Start the motor."""
        wire = ("--session", self.session, "--domain", str(self.domain), "--mode", mode, "--set", "arm_seconds=0.3")
        return self.start("-m", "neon_ros.motor.process", *wire, *options, name=name)

    def open(self) -> MotorMemory:
        """Open the motor's memory as the ROS side."""

        def opened() -> MotorMemory | None:
            try:
                return MotorMemory.open(self.session, "command")
            except NeonError:
                return None

        self.memory = eventually(opened)
        return self.memory

    def up(self, mode: str, *robot: str) -> subprocess.Popen[str]:
        """Start everything and wait until the motor is INACTIVE; return the motor."""
        self.robot(*robot)
        self.guardian()
        motor = self.motor(mode)
        memory = self.open()
        eventually(lambda: self.state() == "INACTIVE")
        eventually(lambda: memory.beat_age("guardian") < 0.02)
        return motor

    def report(self) -> MotorReport:
        """Return a report newer than this call."""
        assert self.memory is not None
        self.memory.read_report()
        return eventually(self.memory.read_report)

    def state(self) -> str:
        """Return the guard's state."""
        return self.report().state

    def arm(self) -> None:
        """Arm and wait until ACTIVE."""
        assert self.memory is not None
        accepted, text = self.memory.request("arm", timeout=20.0)
        assert accepted, text
        state = eventually(lambda: state if (state := self.state()) in ("ACTIVE", "DAMPING") else None)
        assert state == "ACTIVE", self.log("motor")

    def drive(self, seconds: float, velocity: float = 0.0) -> None:
        """Send a new chunk every 100 ms: a slow sine on all joints of the mode."""
        memory = self.memory
        assert memory is not None
        state = eventually(memory.read_state)
        moved = np.zeros(29, bool)
        moved[[JOINT_INDEX[name] for name in MODES[memory.mode].joint_names]] = True
        began, sequence = time.monotonic(), 0
        while (now := time.monotonic()) - began < seconds:
            sequence += 1
            phase = now - began + np.arange(16)[:, None] * 0.02
            q = np.where(moved, state.q + 0.05 * (1 - np.cos(3.0 * phase)), 0.0)
            base = np.tile([velocity, 0.0, 0.0], (16, 1))
            memory.write_chunk(AdmittedChunk(now, 0.02, q, moved, base, 1, sequence))
            time.sleep(0.1)

    def heard(self) -> dict[str, np.ndarray]:
        """End the robot and return what it heard."""
        robot = self._started[0]
        robot.terminate()
        robot.wait(timeout=10)
        with np.load(self.heard_file) as heard:
            return dict(heard)

    def close(self) -> None:
        """End everything."""
        if self.memory is not None:
            self.memory.close()
        for process in self._started:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        for path in Path("/dev/shm/neon_ros").glob(f"{self.session}.*"):
            path.unlink()
        for path in self._folder.glob("*.log"):
            print(f"--- {path.name}\n{path.read_text()}")  # shown by pytest where a test failed


@pytest.fixture
def rig(robot_domain: int, tmp_path: Path) -> Iterator[Rig]:
    """Yield a rig and end its processes."""
    made = Rig(robot_domain, tmp_path)
    try:
        yield made
    finally:
        made.close()


def after(heard: dict[str, np.ndarray], moment_ns: int) -> dict[str, np.ndarray]:
    """Return what was heard after a moment."""
    late = heard["time"] > moment_ns
    return {name: values[late] for name, values in heard.items() if name != "velocity"}


def test_arm_drive_and_leave_on_sigterm(rig: Rig) -> None:
    motor = rig.up("upper_body")
    time.sleep(0.2)
    rig.arm()
    rig.drive(1.0, velocity=0.1)
    report = rig.report()
    assert report.state == "ACTIVE" and report.chunks_taken >= 5 and report.mode_machine == 5
    motor.send_signal(signal.SIGTERM)
    assert motor.wait(timeout=3.0) == 0
    heard = rig.heard()
    assert set(heard["topic"]) == {ARM_SDK} and set(heard["mode_machine"]) == {5}
    assert not heard["kp"][:, :12].any() and not heard["q"][:, :12].any(), "the legs are the robot's"
    weight = heard["weight"]
    assert weight[0] < 0.05 and weight.max() == 1.0 and weight[-1] < 0.05
    assert np.abs(np.diff(weight)).max() < 0.2, "the weight is ramped both ways"
    assert np.abs(np.diff(heard["q"], axis=0)).max() < 0.05, "no jump"
    assert heard["velocity"][:, 0].max() > 0.05 and not heard["velocity"][-1].any(), "the base stands at the end"
    assert not Path(f"/dev/shm/neon_ros/{rig.session}.motor").exists()
    assert "Traceback" not in rig.log("motor") and "the robot is at rest" in rig.log("motor")


def test_whole_body_releases_first_and_ends_damped(rig: Rig) -> None:
    motor = rig.up("whole_body")
    rig.arm()
    rig.drive(0.5)
    motor.send_signal(signal.SIGINT)
    assert motor.wait(timeout=3.0) == 0
    heard = rig.heard()
    assert set(heard["topic"]) == {LOWCMD} and not heard["weight"].any()
    assert not heard["kp"][-1].any() and np.allclose(heard["kd"][-1], DAMPING_KD), "the last frame is damping"


def test_an_inactive_motor_writes_nothing_and_leaves_at_once(rig: Rig) -> None:
    motor = rig.up("upper_body")
    time.sleep(0.5)
    motor.terminate()
    assert motor.wait(timeout=3.0) == 0
    assert len(rig.heard()["time"]) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_guardian_damps_when_the_motor_dies_or_hangs(rig: Rig, number: signal.Signals) -> None:
    motor = rig.up("whole_body")
    rig.arm()
    rig.drive(0.5)
    motor.send_signal(number)
    moment = time.monotonic_ns()
    eventually(lambda: "it must be started and armed anew" in rig.log("guardian"))
    if number == signal.SIGSTOP:
        motor.send_signal(signal.SIGCONT)
        assert motor.wait(timeout=3.0) == 4, "a motor that was replaced leaves"
        assert "taken over by the guardian" in rig.log("motor")
    heard = after(rig.heard(), moment + 150_000_000)
    assert set(heard["topic"]) == {LOWCMD}
    assert not heard["kp"].any() and np.allclose(heard["kd"], DAMPING_KD) and not heard["dq"].any()
    assert (heard["time"][-1] - moment) * 1e-9 >= 4.9 and len(heard["time"]) > 1000, "damping for five seconds"


def test_the_guardian_lets_go_of_the_arms_when_the_motor_dies(rig: Rig) -> None:
    motor = rig.up("upper_body")
    rig.arm()
    rig.drive(0.5)
    motor.kill()
    moment = time.monotonic_ns()
    eventually(lambda: "it must be started and armed anew" in rig.log("guardian"))
    heard = after(rig.heard(), moment + 100_000_000)
    assert set(heard["topic"]) == {ARM_SDK}
    assert heard["weight"][0] > 0.8 and heard["weight"][-1] == 0.0 and (np.diff(heard["weight"]) <= 0).all()
    assert np.ptp(heard["q"], axis=0).max() == 0.0 and (heard["kp"][:, 12:] > 0).all(), "the pose is held"


@pytest.mark.parametrize(("mode", "buttons"), [("upper_body", "L2+B"), ("whole_body", "select")])
def test_the_remote_stops_the_robot(rig: Rig, mode: str, buttons: str) -> None:
    rig.up(mode, "--buttons", buttons, "--charge", "55")
    rig.arm()
    rig.drive(1.5)
    report = eventually(lambda: r if (r := rig.report()).state == "DAMPING" else None)
    assert report.reason == report.last_alarm == f"remote: got {buttons} held down; allowed: no stop"
    time.sleep(1.0)
    assert rig.memory is not None
    accepted, text = rig.memory.request("arm", timeout=5.0)
    assert not accepted and f"{buttons} held down" in text
    assert rig.report().charge == 55.0
    heard = rig.heard()
    assert np.abs(np.diff(heard["q"], axis=0)).max() < 0.05, "no jump"
    if mode == "upper_body":
        assert heard["weight"][-1] == 0.0, "the robot has its arms back"
    else:
        assert not heard["kp"][-1].any() and np.allclose(heard["kd"][-1], DAMPING_KD)


def test_a_weak_battery_forbids_arming(rig: Rig) -> None:
    rig.up("upper_body", "--charge", "12")
    eventually(lambda: rig.report().charge == 12.0)
    assert rig.memory is not None
    accepted, text = rig.memory.request("arm", timeout=5.0)
    assert not accepted and "battery: got 12 %; allowed: at least 20 %" in text
    assert len(rig.heard()["time"]) == 0


def test_a_motor_that_is_killed_again_and_again_comes_back_inactive(rig: Rig) -> None:
    """F36: whoever starts it again finds a robot that nobody has armed."""
    motor = rig.up("upper_body")
    rig.arm()
    for k in range(3):
        motor.kill()
        motor.wait()
        assert rig.memory is not None
        rig.memory.close()
        motor = rig.motor("upper_body", name=f"motor{k}")
        memory = rig.open()
        eventually(lambda: rig.state() == "INACTIVE")
        assert not memory.commanding and not memory.taken_over and rig.report().commands_sent == 0


def test_another_mode_goes_through_the_other_door_and_the_guardian_follows(rig: Rig) -> None:
    motor = rig.up("upper_body")
    memory = rig.memory
    assert memory is not None
    rig.arm()
    refused = memory.request("mode", mode="whole_body")
    assert refused == (False, "mode whole_body: got asked for in ACTIVE; allowed: INACTIVE; disarm first")
    assert memory.mode == "upper_body"
    assert memory.request("disarm")[0]
    eventually(lambda: rig.state() == "INACTIVE")
    assert memory.request("mode", mode="whole_body") == (True, "mode: whole_body, commands to rt/lowcmd")
    assert memory.mode == "whole_body" and rig.state() == "INACTIVE"
    changed = time.monotonic_ns()
    rig.arm()
    rig.drive(0.5)
    motor.kill()
    moment = time.monotonic_ns()
    eventually(lambda: "it must be started and armed anew" in rig.log("guardian"))
    heard = rig.heard()
    first, last = after(heard, changed), after(heard, moment + 150_000_000)
    assert set(first["topic"]) == {LOWCMD} == set(last["topic"]) and not first["weight"].any()
    assert first["kp"][:, :12].any() and not last["kp"].any() and np.allclose(last["kd"], DAMPING_KD)
    assert "taking over on rt/lowcmd" in rig.log("guardian")


def test_a_motor_that_dies_inactive_needs_no_guardian(rig: Rig) -> None:
    motor = rig.up("whole_body")
    motor.kill()
    time.sleep(0.5)
    assert len(rig.heard()["time"]) == 0 and "taking over" not in rig.log("guardian")


def test_a_dead_guardian_stops_the_robot_and_a_new_one_allows_it_again(rig: Rig) -> None:
    rig.up("upper_body")
    rig.arm()
    rig._started[1].kill()
    report = eventually(lambda: r if (r := rig.report()).state == "DAMPING" else None)
    assert "guardian: got its last beat" in report.reason
    time.sleep(1.5)
    assert rig.memory is not None
    accepted, text = rig.memory.request("arm", timeout=5.0)
    assert not accepted and "guardian" in text
    rig._started[1].wait()
    rig.guardian()
    eventually(lambda: rig.memory is not None and rig.memory.beat_age("guardian") < 0.02)
    rig.arm()


def test_a_second_motor_and_a_second_guardian_are_refused(rig: Rig) -> None:
    rig.up("upper_body")
    second = rig.motor("upper_body", name="second")
    assert second.wait(timeout=20.0) == 2
    assert f"motor of session '{rig.session}': got a second one" in rig.log("second")
    other = rig.guardian()
    assert other.wait(timeout=20.0) == 2
    assert f"guardian of session '{rig.session}': got a second one" in rig.log("guardian")
    assert rig.state() == "INACTIVE"


def test_without_a_robot_it_says_where_it_listens_and_goes_on(rig: Rig) -> None:
    rig.guardian()
    rig.motor("upper_body")
    memory = rig.open()
    sentence = f"LowState: got none for 1 s; allowed: 500 a second on rt/lowstate, domain {rig.domain}, interface lo"
    eventually(lambda: sentence in rig.log("motor"))
    accepted, text = memory.request("arm", timeout=5.0)
    assert not accepted and "rt/lowstate" in text
    rig.robot()
    eventually(lambda: rig.state() == "INACTIVE")


def test_an_unknown_variant_is_refused(rig: Rig) -> None:
    rig.robot("--mode-machine", "9")
    rig.guardian()
    rig.motor("upper_body")
    memory = rig.open()
    eventually(lambda: "mode_machine: got 9" in rig.report().reason)
    accepted, text = memory.request("arm", timeout=5.0)
    assert not accepted and "mode_machine: got 9; allowed: one of" in text


def test_motors_that_are_not_released_are_not_fought_for(rig: Rig) -> None:
    rig.up("whole_body", "--stubborn")
    assert rig.memory is not None
    number = rig.memory.post("arm")
    answer = eventually(lambda: rig.memory is not None and rig.memory.answer("arm", number), 25.0)
    assert not answer[0] and "owner of the motors: got 'ai' after 5 requests to release" in answer[1]
    assert len(rig.heard()["time"]) == 0


def test_another_writer_forbids_arming_and_stops_an_armed_robot(rig: Rig) -> None:
    rig.up("upper_body")
    rig.arm()
    program = (
        "import sys, time; from neon_ros.motor.link import Link; link = Link(int(sys.argv[1]), 'lo')\n"
        "writer = link.low_cmd_writer('rt/arm_sdk'); time.sleep(60)"
    )
    rogue = rig.start("-c", program, str(rig.domain), name="rogue")
    report = eventually(lambda: r if (r := rig.report()).state == "DAMPING" else None)
    assert "writers on rt/arm_sdk: got 1 besides this one" in report.reason
    time.sleep(1.5)
    assert rig.memory is not None
    accepted, text = rig.memory.request("arm", timeout=5.0)
    assert not accepted and "writers on rt/arm_sdk" in text
    rogue.terminate()


def test_a_robot_that_falls_silent_is_damped(rig: Rig) -> None:
    rig.up("whole_body", "--silent-after", "6")
    rig.arm()
    report = eventually(lambda: r if (r := rig.report()).state == "DAMPING" else None)
    assert report.state == "DAMPING"
    heard = rig.heard()
    assert not heard["kp"][-1].any() and np.allclose(heard["kd"][-1], DAMPING_KD)


def test_an_interface_that_is_not_there_is_named(rig: Rig) -> None:
    motor = rig.motor("upper_body", "--interface", "nowhere0")
    assert motor.wait(timeout=20.0) == 2
    assert f"DDS domain {rig.domain} on interface 'nowhere0': got" in rig.log("motor")
    assert "Traceback" not in rig.log("motor")


def test_a_failing_loop_damps_prints_one_traceback_and_exits_nonzero(rig: Rig) -> None:
    program = (
        "import sys, time; from neon_ros.motor import loop, process\n"
        "tick, began = loop.MotorLoop.tick, time.monotonic()\n"
        "def broken(self, now_ns):\n"
        "    tick(self, now_ns)\n"
        "    if self.state.value == 'ACTIVE': raise ZeroDivisionError('injected')\n"
        "loop.MotorLoop.tick = broken; sys.exit(process.main(sys.argv[1:]))"
    )
    rig.robot()
    rig.guardian()
    wire = ("--session", rig.session, "--domain", str(rig.domain), "--mode", "whole_body", "--set", "arm_seconds=0.3")
    motor = rig.start("-c", program, *wire, name="motor")
    memory = rig.open()
    eventually(lambda: rig.state() == "INACTIVE" and memory.beat_age("guardian") < 0.02)
    assert memory.request("arm", timeout=20.0)[0]
    assert motor.wait(timeout=5.0) == 1
    assert rig.log("motor").count("Traceback") == 1 and "ZeroDivisionError: injected" in rig.log("motor")
    eventually(lambda: "it must be started and armed anew" in rig.log("guardian"))
    heard = rig.heard()
    damped = heard["time"][~heard["kp"].any(axis=1)]
    assert (damped[-1] - damped[0]) * 1e-9 > 4.0 and np.allclose(heard["kd"][-1], DAMPING_KD)
    assert np.diff(heard["time"]).max() < 200_000_000, "damping without a gap between process and guardian"
