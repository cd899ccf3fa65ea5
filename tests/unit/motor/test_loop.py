"""One tick of the motor, over a virtual clock: what it writes, and above all when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from neon_ros.errors import ConfigError
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.limits import Dynamic, LimitConfig
from neon_ros.guard.machine import State
from neon_ros.motor.loop import MotorLoop, TakenOver
from neon_ros.motor.parts import Door
from neon_ros.motor.realtime import Ticker
from neon_ros.motor.records import MotorReport
from neon_ros.motor.shared import MotorMemory
from neon_ros.motor.side import Verdict
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.robot.modes import MODES, ControlMode
from neon_ros.robot.remote import STOPS, remote_with
from neon_ros.robot.wire import LowCmd, LowStateFrame, decode_low_cmd

PERIOD_NS = 2_000_000


YES = Verdict(True, "")


@dataclass
class FakeSide:
    """A slow thread that answers at once."""

    commanding: bool = False
    base_velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    alarm: str = ""
    lost: str = ""
    weak: str = ""
    charge: float = -1.0
    answer: Verdict | None = YES
    prepared: int = 0

    modes: list[str] = field(default_factory=list)

    def switch(self, mode: ControlMode, watch: object) -> None:
        self.modes.append(mode.name)

    def prepare(self) -> None:
        self.prepared += 1

    def verdict(self) -> Verdict | None:
        return self.answer


@dataclass
class Robot:
    """Both ends of the wire: LowState out, LowCmd in."""

    topic: str
    mode_machine: int = 5
    silent: bool = False
    corrupt: bool = False
    motorstate: int = 0
    remote: bytes = bytes(40)
    now_ns: int = 10_000_000_000
    heard: list[LowCmd] = field(default_factory=list)
    q: np.ndarray = field(default_factory=lambda: np.full(29, 0.1))
    _frame: LowStateFrame = field(default_factory=LowStateFrame)

    def take_newest(self) -> bytes | None:
        if self.silent:
            return None
        self._frame.set_mode(0, self.mode_machine)
        self._frame.set_imu([1, 0, 0, 0], [0, 0, 0], [0, 0, 9.8], [0, 0, 0])
        faults = np.zeros(29, np.uint32)
        faults[3] = self.motorstate
        self._frame.set_health(motorstate=faults)
        self._frame.set_remote(self.remote)
        self._frame.fill(self.now_ns // 1_000_000, self.q, np.zeros(29), np.zeros(29))
        payload = bytearray(self._frame.seal())
        if self.corrupt:
            payload[500] ^= 1
        return bytes(payload)

    def write(self, payload: bytes | memoryview) -> None:
        command = decode_low_cmd(payload)
        self.heard.append(command)
        self.q = np.where(command.kp > 0, command.q, self.q)


class Bench:
    """A loop with everything around it."""

    def __init__(self, folder: Path, mode: str, **settings: object) -> None:
        self.memory = MotorMemory.create("s", mode, folder)
        self.command = MotorMemory.open("s", "command", folder)
        self.side = FakeSide()
        self.robot = Robot(f"rt/{MODES[mode].topic}")
        config = GuardConfig(simulated=True, arm_seconds=0.2, **settings)  # type: ignore[arg-type]
        self.guard = Guard(MODES[mode], config)
        self.ticker = Ticker(500.0)
        self.loop = MotorLoop(
            MODES[mode],
            self.guard,
            self.memory,
            self.robot,
            self.robot,
            self.side,
            self.ticker,
            "rt/lowstate, domain 1",
        )
        self._numbers: dict[str, int] = {}

    def run(self, seconds: float) -> None:
        """Tick for so long."""
        for _ in range(round(seconds * 500)):
            self.robot.now_ns += PERIOD_NS
            self.ticker.ticks += 1
            self.loop.tick(self.robot.now_ns)

    def ask(self, kind: str, seconds: float = 0.02) -> tuple[bool, str] | None:
        """Make a request and return the answer, if there is one after some ticks."""
        number = self.command.post(kind)
        self.run(seconds)
        return self.command.answer(kind, number)

    def armed(self) -> None:
        """Arm and wait until ACTIVE."""
        self.run(0.02)
        assert self.ask("arm") == (True, "arm: accepted")
        self.run(0.3)
        assert self.loop.state is State.ACTIVE

    def report(self) -> MotorReport:
        """Return the newest report."""
        self.run(0.06)
        report = self.command.read_report()
        assert report is not None
        return report

    def close(self) -> None:
        """Let go of the memory."""
        self.command.close()
        self.memory.close()


@pytest.fixture(params=["upper_body", "whole_body"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Yield a bench for each door of the robot."""
    made = Bench(tmp_path / "shm", request.param)
    yield made
    made.close()


@pytest.fixture
def arms(tmp_path: Path) -> Iterator[Bench]:
    """Yield a bench in arms_only."""
    made = Bench(tmp_path / "shm", "arms_only")
    yield made
    made.close()


OUTWARDS = np.where(np.arange(29) == JOINT_INDEX["right_shoulder_roll_joint"], -1.0, 1.0)


def chunk(bench: Bench, sequence: int, change: float, velocity: float = 0.0) -> AdmittedChunk:
    """Return a chunk that moves every joint of the mode by ``change`` [rad] within 0.3 s, both arms off the body."""
    mode = MODES[bench.memory.mode]
    moved = np.zeros(29, bool)
    moved[[JOINT_INDEX[name] for name in mode.joint_names]] = True
    q = np.where(moved, bench.robot.q + change * OUTWARDS * np.linspace(0, 1, 16)[:, None] ** 2, 0.0)
    base = np.tile([velocity, 0.0, 0.0], (16, 1))
    return AdmittedChunk(bench.robot.now_ns * 1e-9, 0.02, q, moved, base, 1, sequence)


def test_an_inactive_motor_writes_nothing(bench: Bench) -> None:
    bench.run(0.5)
    report = bench.report()
    assert bench.robot.heard == [] and not bench.memory.commanding and not bench.side.commanding
    assert (report.state, report.mode_machine, report.commands_sent) == ("INACTIVE", 5, 0)
    assert report.low_states > 200 and report.bad_low_states == 0


def test_without_low_state_it_says_where_it_listens(bench: Bench) -> None:
    bench.robot.silent = True
    bench.run(0.1)
    assert bench.report().reason == "waiting for LowState on rt/lowstate, domain 1"
    bench.run(1.0)
    report = bench.report()
    assert report.reason == "LowState: got none for 1 s; allowed: 500 a second on rt/lowstate, domain 1"
    assert report.state == "UNCONFIGURED" and bench.robot.heard == []
    answer = bench.ask("arm")
    assert answer is not None and not answer[0] and "rt/lowstate, domain 1" in answer[1]
    bench.robot.silent = False
    bench.run(0.05)
    assert bench.report().state == "INACTIVE", "it goes on by itself when LowState comes, and arms nothing"


@pytest.mark.parametrize("mode_machine", [0, 1, 9, 77])
def test_an_unknown_variant_is_never_configured(bench: Bench, mode_machine: int) -> None:
    bench.robot.mode_machine = mode_machine
    bench.run(0.1)
    report = bench.report()
    assert report.state == "UNCONFIGURED" and f"mode_machine: got {mode_machine}; allowed: one of" in report.reason
    answer = bench.ask("arm")
    assert answer is not None and not answer[0] and "mode_machine" in answer[1] and bench.robot.heard == []


def test_a_bad_low_state_is_counted_and_says_why(bench: Bench) -> None:
    bench.robot.corrupt = True
    bench.run(0.1)
    report = bench.report()
    assert report.state == "UNCONFIGURED" and report.low_states == 0 and report.bad_low_states > 40
    assert "LowState CRC: got" in report.reason


def test_arming_begins_where_the_robot_is(bench: Bench) -> None:
    bench.robot.q = np.linspace(-0.2, 0.2, 29)
    measured = bench.robot.q.copy()
    bench.run(0.02)
    bench.ask("arm")
    first = bench.robot.heard[0]
    held = first.kd > 0
    assert held[12:].all() and np.allclose(first.q[held], measured[held], atol=1e-3) and not first.dq.any()
    assert first.mode_machine == 5 and first.mode_pr == 0 and first.mode.tolist() == [1] * 29
    assert bench.memory.commanding and bench.side.commanding


def test_arm_sdk_never_touches_the_legs(arms: Bench) -> None:
    arms.armed()
    arms.command.write_chunk(chunk(arms, 1, 0.2))
    arms.run(0.3)
    for sent in arms.robot.heard:
        assert not any(getattr(sent, name)[:12].any() for name in ("q", "dq", "tau", "kp", "kd"))
        assert (sent.kp[12:] > 0).all(), "the waist is held"
    weights = [sent.weight for sent in arms.robot.heard]
    assert weights[0] < 0.02 and weights[-1] == 1.0 and (np.diff(weights) >= 0).all()


def test_low_cmd_leaves_slot_29_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "shm", "whole_body")
    bench.armed()
    assert {sent.weight for sent in bench.robot.heard} == {0.0}
    bench.close()


def test_a_chunk_moves_the_robot_and_is_counted(bench: Bench) -> None:
    bench.armed()
    before = bench.robot.q.copy()
    bench.command.write_chunk(chunk(bench, 7, 0.05, velocity=0.2))
    bench.run(0.25)
    moved = bench.robot.q - before
    assert (OUTWARDS[15:29] * moved[15:29] > 0.02).all() and moved.max() < 0.06
    report = bench.report()
    assert (report.chunks_taken, report.chunk_epoch, report.chunk_sequence) == (1, 1, 7)
    assert 0.2 < report.chunk_age < 0.4
    assert 0 <= len(bench.robot.heard) - report.commands_sent < 25, "the report is at most 25 ticks old"
    assert bench.side.base_velocity[0] > 0.05
    sent = bench.command.read_command()
    assert sent is not None and sent[1] == bench.robot.topic


def test_a_chunk_is_looked_for_once_a_period_ahead_of_the_tick(bench: Bench) -> None:
    bench.armed()
    bench.command.write_chunk(chunk(bench, 7, 0.05))
    bench.loop.prepare()
    bench.command.write_chunk(chunk(bench, 8, 0.05))
    bench.run(0.002)
    assert bench.guard.report().chunks_joined == 1
    assert bench.report().chunk_sequence == 8, "the next one is taken by the tick after it"


def test_an_old_chunk_is_refused_by_the_guard(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.armed()
    bench.command.write_chunk(chunk(bench, 2, 0.0))
    bench.run(0.004)
    bench.command.write_chunk(chunk(bench, 1, 0.5))
    bench.run(0.1)
    assert bench.report().chunks_taken == 1 and "chunk refused: chunk (epoch, sequence): got (1, 1)" in caplog.text


def test_the_slow_threads_verdict_is_the_answer(bench: Bench) -> None:
    bench.side.answer = Verdict(False, "owner of the motors: got 'ai'; allowed: none")
    bench.run(0.02)
    assert bench.ask("arm") == (False, "owner of the motors: got 'ai'; allowed: none")
    assert bench.robot.heard == []


def test_arming_waits_for_the_verdict_and_a_stop_cancels_it(bench: Bench) -> None:
    bench.side.answer = None
    bench.run(0.02)
    assert bench.ask("arm", 1.0) is None and bench.robot.heard == []
    assert bench.ask("stop") == (True, "stop: accepted")
    assert bench.command.answer("arm", 1) == (False, "a stop came while the robot was being armed")
    bench.side.answer = YES
    bench.run(0.1)
    assert bench.robot.heard == [], "a late verdict arms nothing"


def test_a_stop_and_an_arm_in_one_tick_do_not_arm(bench: Bench) -> None:
    bench.run(0.02)
    bench.command.post("arm")
    assert bench.ask("stop") == (True, "stop: accepted")
    assert bench.command.answer("arm", 1) == (False, "a stop came while the robot was being armed")
    bench.run(0.1)
    assert bench.robot.heard == [] and bench.side.prepared == 0


def test_a_second_arm_is_refused(bench: Bench) -> None:
    bench.armed()
    answer = bench.ask("arm")
    assert answer is not None and not answer[0] and "it is armed already" in answer[1]


def test_disarm_lets_go(bench: Bench) -> None:
    bench.armed()
    assert bench.ask("disarm") == (True, "disarm: accepted")
    bench.run(3.0)
    count = len(bench.robot.heard)
    bench.run(0.1)
    assert bench.loop.state is State.INACTIVE and len(bench.robot.heard) == count and not bench.memory.commanding


@pytest.mark.parametrize("cause", ["writer", "fault", "guardian"])
def test_what_only_the_motor_sees_stops_the_robot_and_forbids_arming(bench: Bench, cause: str) -> None:
    bench.armed()
    if cause == "writer":
        bench.side.alarm = "writers on rt/test: got 1"
    elif cause == "fault":
        bench.robot.motorstate = 0x200
    else:
        bench.loop.guardian_timeout = 0.04
    bench.run(0.004)
    assert bench.loop.state is (State.DAMPING if cause == "writer" else State.HOLD)
    bench.run(2.1)
    assert bench.loop.state is State.DAMPING
    names = {"writer": "writers on rt/test", "fault": "motor left_knee_joint", "guardian": "guardian"}
    assert bench.report().alarms == 1 and bench.report().last_alarm.startswith(names[cause])
    bench.run(1.5)
    answer = bench.ask("arm")
    words = {"writer": "writers on rt/test", "fault": "motor left_knee_joint: got winding overheated"}
    assert answer is not None and not answer[0] and words.get(cause, "guardian: got its last beat") in answer[1]


def test_a_living_guardian_is_enough(bench: Bench) -> None:
    bench.loop.guardian_timeout = 0.04
    guardian = MotorMemory.open("s", "guardian", bench.memory.path.parent)
    guardian.beat(bench.robot.now_ns + 10**9)
    bench.armed()
    guardian.close()


def test_a_robot_that_turns_into_another_is_let_go_and_adopted(bench: Bench) -> None:
    bench.armed()
    bench.robot.mode_machine = 11
    bench.run(0.01)
    assert bench.loop.state is State.INACTIVE
    count = len(bench.robot.heard)
    bench.run(0.1)
    assert len(bench.robot.heard) == count
    bench.armed()
    assert bench.robot.heard[-1].mode_machine == 11


def test_silence_of_low_state_ends_in_damping(bench: Bench) -> None:
    bench.armed()
    bench.robot.silent = True
    bench.run(0.06)
    assert bench.loop.state is State.DAMPING and "silent" in bench.report().reason


def test_stop_brings_the_robot_to_rest(bench: Bench) -> None:
    bench.armed()
    bench.loop.stop(bench.robot.now_ns * 1e-9, "stopped by SIGTERM")
    bench.run(0.01)
    assert bench.loop.state is State.DAMPING and bench.report().reason == "stopped by SIGTERM"
    bench.run(2.0)
    last = bench.robot.heard[-1]
    assert last.weight == 0.0
    if bench.robot.topic == "rt/lowcmd":
        assert not last.kp.any() and (last.kd > 0).all() and bench.loop.writing, "damping until the process leaves"
    else:
        assert not bench.loop.writing


def test_stop_answers_a_pending_arm(bench: Bench) -> None:
    bench.side.answer = None
    bench.run(0.02)
    number = bench.command.post("arm")
    bench.run(0.02)
    bench.loop.stop(bench.robot.now_ns * 1e-9, "stopped by SIGINT")
    assert bench.command.answer("arm", number) == (False, "stopped by SIGINT")


def test_a_motor_that_was_replaced_never_writes_again(bench: Bench) -> None:
    bench.armed()
    with MotorMemory.open("s", "guardian", bench.memory.path.parent) as guardian:
        guardian.take_over()
    count = len(bench.robot.heard)
    with pytest.raises(TakenOver, match="this motor process: got taken over by the guardian"):
        bench.run(0.002)
    assert len(bench.robot.heard) == count


def test_a_motor_that_was_stopped_in_the_midst_of_a_tick_does_not_end_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP between the guard's step and the write; the guardian acts; SIGCONT."""
    bench.armed()
    step = bench.guard.step

    def stopped(measured: object, now: float) -> object:
        command = step(measured, now)
        with MotorMemory.open("s", "guardian", bench.memory.path.parent) as guardian:
            guardian.take_over()
        return command

    monkeypatch.setattr(bench.guard, "step", stopped)
    count = len(bench.robot.heard)
    with pytest.raises(TakenOver):
        bench.run(0.002)
    assert len(bench.robot.heard) == count


def test_absent_joints_are_off(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "shm", "upper_body")
    bench.robot.mode_machine = 6  # waist locked
    bench.armed()
    sent = bench.robot.heard[-1]
    assert sent.mode.tolist() == [1] * 13 + [0, 0] + [1] * 14
    assert not sent.kp[[13, 14]].any()
    bench.close()


@pytest.mark.parametrize("combination", STOPS)
def test_the_remotes_stop_buttons_stop_and_latch(bench: Bench, combination: str) -> None:
    bench.armed()
    bench.robot.remote = remote_with(*combination.split("+"))
    bench.run(0.004)
    assert bench.loop.state is State.ACTIVE, "a touch of 4 ms is none"
    bench.run(0.004)
    assert bench.loop.state is State.DAMPING
    report = bench.report()
    assert report.reason == f"remote: got {combination} held down; allowed: no stop"
    assert (report.alarms, report.last_alarm) == (1, report.reason)
    bench.run(2.0)
    answer = bench.ask("arm")
    assert answer is not None and not answer[0] and f"remote: got {combination} held down" in answer[1]
    bench.robot.remote = bytes(40)
    bench.run(0.02)
    assert bench.loop.state is State.DAMPING, "letting go of the button arms nothing"
    bench.armed()


def test_the_robots_own_damping_is_not_fought(bench: Bench) -> None:
    bench.armed()
    bench.robot.remote = remote_with("L2", "B")
    bench.run(0.006 + 0.004)
    heard = len(bench.robot.heard)
    if bench.robot.topic == "rt/lowcmd":
        assert not bench.robot.heard[-1].kp.any(), "soft at once"
    bench.run(0.35)
    last = bench.robot.heard[-1]
    assert last.weight == 0.0 and len(bench.robot.heard) > heard
    if bench.robot.topic == "rt/arm_sdk":
        assert not bench.loop.writing, "the robot has its arms back after 0.2 s, and hears nothing more"


def test_a_remote_full_of_noise_ends_nothing_but_motion(bench: Bench) -> None:
    bench.armed()
    rng = np.random.default_rng(0)
    for _ in range(300):
        bench.robot.remote = rng.bytes(40)
        bench.run(0.002)
    assert bench.loop.state in (State.ACTIVE, State.DAMPING)


def test_a_robot_that_somebody_else_has_is_let_go_in_the_same_tick(bench: Bench) -> None:
    bench.armed()
    count = len(bench.robot.heard)
    bench.side.lost = "owner of the motors: got 'ai'; allowed: none while we write rt/lowcmd"
    bench.run(0.004)
    assert bench.loop.state is State.INACTIVE and len(bench.robot.heard) == count
    report = bench.report()
    assert "owner of the motors" in report.reason and report.last_alarm == bench.side.lost
    bench.side.lost = ""
    bench.armed()


def test_a_weak_battery_holds_damps_and_forbids_arming(bench: Bench) -> None:
    bench.armed()
    bench.side.weak, bench.side.charge = "battery: got 12 %; allowed: at least 20 %", 12.0
    bench.run(0.004)
    assert bench.loop.state is State.HOLD
    bench.run(2.1)
    assert bench.loop.state is State.DAMPING and "battery: got 12 %" in bench.report().reason
    assert bench.report().charge == 12.0
    bench.run(1.5)
    answer = bench.ask("arm")
    assert answer is not None and not answer[0] and "battery: got 12 %" in answer[1]


def test_an_alarm_counts_each_time_it_rises(bench: Bench) -> None:
    bench.run(0.1)
    for k in range(3):
        bench.side.alarm = f"writers on rt/test: got {k}"
        bench.run(0.1)
        bench.side.alarm = ""
        bench.run(0.1)
    report = bench.report()
    assert (report.alarms, report.last_alarm) == (3, "writers on rt/test: got 2")


def test_limits_wider_than_the_robots_own_forbid_arming(tmp_path: Path) -> None:
    """F27: the variant is only known here; a limit it does not allow must not end the process."""
    bench = Bench(tmp_path / "shm", "whole_body", limits=LimitConfig(joints={"left_hip_pitch_joint": WIDE}))
    bench.robot.mode_machine = 11  # hip pitch 20 rad/s instead of 32
    bench.run(0.1)
    sentence = "left_hip_pitch_joint velocity limit: got 25.0; allowed: 0.001 to 20 (may only tighten)"
    assert bench.report().state == "UNCONFIGURED" and bench.report().reason == sentence
    assert bench.ask("arm") == (False, sentence)
    bench.robot.mode_machine = 5
    bench.run(0.1)
    assert bench.report().state == "INACTIVE"
    bench.close()


WIDE = Dynamic(25.0, 100.0, 5000.0)


def changing(bench: Bench, name: str, seconds: float = 0.02) -> tuple[bool, str] | None:
    """Ask for another mode and return the answer."""
    number = bench.command.post("mode", name)
    bench.run(seconds)
    return bench.command.answer("mode", number)


def doors(bench: Bench) -> dict[str, Robot]:
    """Let the mode of a bench be changed; return the robot behind each mode's topic."""
    made: dict[str, Robot] = {}

    def door_of(mode: ControlMode) -> Door:
        made[mode.name] = Robot(f"rt/{mode.topic}")
        guard = Guard(mode, GuardConfig(simulated=True, arm_seconds=0.2))
        return Door(guard, made[mode.name], made[mode.name])  # type: ignore[arg-type]

    bench.loop.door_of = door_of
    return made


@pytest.mark.parametrize("first", list(MODES))
@pytest.mark.parametrize("second", list(MODES))
def test_a_silent_motor_changes_its_mode(first: str, second: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "shm", first)
    made = doors(bench)
    bench.armed()
    bench.ask("disarm")
    bench.run(3.0)
    assert bench.loop.state is State.INACTIVE
    before = len(bench.robot.heard)
    topic = f"rt/{MODES[second].topic}"
    assert changing(bench, second) == (True, f"mode: {second}, commands to {topic}")
    assert bench.command.mode == second and bench.report().mode == second and bench.side.modes == [second]
    assert bench.report().state == "INACTIVE", "nothing is armed by it"
    bench.armed()
    bench.command.write_chunk(chunk(bench, 1, 0.02))
    bench.run(0.2)
    heard = made[second].heard
    assert len(bench.robot.heard) == before and heard, "the old topic is silent"
    legs = MODES[second].topic == "lowcmd"
    assert heard[-1].kp[:12].any() == legs and (heard[-1].weight == 1.0) is not legs
    if legs:
        assert {sent.weight for sent in heard} == {0.0}, "slot 29 is left alone on rt/lowcmd"
    assert bench.report().chunks_taken == 1
    bench.close()


@pytest.mark.parametrize("state", ["ARMING", "ACTIVE", "HOLD", "DAMPING"])
def test_a_mode_is_kept_while_the_robot_is_commanded(state: str, bench: Bench) -> None:
    doors(bench)
    bench.run(0.02)
    bench.ask("arm", 0.02)
    if state != "ARMING":
        bench.run(0.3)
    if state == "HOLD":
        bench.side.weak = "battery"
        bench.run(0.01)
    if state == "DAMPING":
        bench.ask("stop", 0.01)
    assert bench.loop.state.value == state
    mode = bench.command.mode
    sentence = f"mode arms_only: got asked for in {state}; allowed: INACTIVE; disarm first"
    assert changing(bench, "arms_only") == (False, sentence)
    assert bench.command.mode == mode == bench.report().mode and bench.side.modes == []


def test_a_mode_and_an_arm_in_one_tick_do_not_arm(bench: Bench) -> None:
    doors(bench)
    bench.run(0.02)
    bench.command.post("arm")
    answer = changing(bench, "arms_only")
    assert answer is not None and answer[0]
    assert bench.command.answer("arm", 1) == (False, "a mode came while the robot was being armed")
    bench.run(0.3)
    assert bench.loop.state is State.INACTIVE


def test_a_mode_can_be_chosen_before_the_robot_speaks(bench: Bench) -> None:
    doors(bench)
    bench.robot.silent = True
    bench.run(0.1)
    answer = changing(bench, "arms_only")
    assert answer is not None and answer[0]
    bench.robot.silent = False
    bench.run(0.1)
    assert bench.report().state == "INACTIVE" and bench.report().mode == "arms_only"


def test_unknown_modes_are_refused_before_they_are_asked_for(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="mode: got legs; allowed: arms_only, upper_body, whole_body"):
        bench.command.post("mode", "legs")
    bench.run(0.02)
    sentence = f"mode: got arms_only; allowed: {bench.command.mode}, until the motor process is started anew"
    assert changing(bench, "arms_only") == (False, sentence)


def test_wrong_chunks_pause_an_active_robot_and_a_right_one_lets_it_go_on(bench: Bench) -> None:
    assert bench.ask("pause") == (False, "pause in state: got UNCONFIGURED; allowed: ACTIVE")
    bench.armed()
    assert bench.ask("pause") == (True, "pause: accepted")
    report = bench.report()
    assert (report.state, report.reason) == (
        "HOLD",
        "the policy's chunks are refused, see chunks_refused and last_refusal",
    )
    assert bench.ask("pause") == (False, "pause in state: got HOLD; allowed: ACTIVE")
    bench.command.write_chunk(chunk(bench, 1, 0.05))
    bench.run(0.1)
    assert bench.report().state == "ACTIVE"
