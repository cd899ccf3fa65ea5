"""The motor's slow thread: who else writes, who owns the motors, how the base walks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from neon_ros.errors import Refused, RobotError
from neon_ros.motor import side as side_module
from neon_ros.motor.side import Side, Verdict
from neon_ros.robot.battery import encode_battery
from neon_ros.robot.modes import control_mode


class Robot:
    """Stands in for the watch, the motion switcher and the walking controller."""

    topic = "rt/test"

    def __init__(self) -> None:
        self.writers: tuple[str, ...] = ()
        self.owner = "ai"
        self.state: int | None = 500
        self.battery: bytes | None = None
        self.releases = 0
        self.stubborn = self.deaf = False
        self.velocities: list[tuple[float, float, float]] = []
        self.broken: Exception | None = None

    def foreign(self) -> tuple[str, ...]:
        if self.broken:
            raise self.broken
        return self.writers

    def active(self, timeout: float | None = None) -> str:
        if self.deaf:
            raise RobotError("no answer")
        return self.owner

    def fsm(self, timeout: float | None = None) -> int:
        if self.state is None:
            raise RobotError("no such service")
        return self.state

    def take_newest(self) -> bytes | None:
        payload, self.battery = self.battery, None
        return payload

    def release(self) -> None:
        self.releases += 1
        if self.stubborn:
            raise Refused("owner of the motors: got 'ai'; allowed: none")
        self.owner = ""

    def set_velocity(self, vx: float, vy: float, yaw_rate: float, duration: float) -> None:
        if self.deaf:
            raise RobotError("no answer")
        assert 0 < duration <= 1.0, "the robot must stop by itself when we fall silent"
        self.velocities.append((vx, vy, yaw_rate))


@contextmanager
def running(robot: Robot, mode: str, **options: bool) -> Iterator[Side]:
    """Yield a running side thread."""
    side = Side(control_mode(mode), robot, robot, robot, **options)  # type: ignore[arg-type]
    side.start()
    try:
        yield side
    finally:
        side.close()


def wait_for(condition: Callable[[], object], seconds: float = 5.0) -> bool:
    """Return whether ``condition`` became true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return False


def verdict_of(side: Side) -> Verdict:
    """Return the verdict on arming."""
    side.prepare()
    found: list[Verdict] = []
    assert wait_for(lambda: found.append(v) or True if (v := side.verdict()) else False)
    return found[0]


def test_a_free_robot_may_be_armed() -> None:
    robot = Robot()
    with running(robot, "upper_body") as side:
        assert verdict_of(side) == Verdict(True, "")
        assert robot.releases == 0, "rt/arm_sdk leaves the motors to the robot's controller"


def test_whole_body_releases_the_motors_first() -> None:
    robot = Robot()
    robot.owner = "ai"
    with running(robot, "whole_body") as side:
        assert verdict_of(side).accepted and robot.releases == 1 and robot.owner == ""


def test_a_robot_that_does_not_let_go_is_not_armed() -> None:
    robot = Robot()
    robot.stubborn = True
    with running(robot, "whole_body") as side:
        verdict = verdict_of(side)
        assert not verdict.accepted and "owner of the motors: got 'ai'" in verdict.text


def test_another_writer_forbids_arming_and_stops_an_armed_robot() -> None:
    robot = Robot()
    robot.writers = ("abc",)
    with running(robot, "upper_body") as side:
        verdict = verdict_of(side)
        assert verdict == Verdict(False, "writers on rt/test: got 1 besides this one (abc); allowed: none")
        assert side.alarm == "", "nothing is armed, so nothing must stop"
        side.commanding = True
        assert wait_for(lambda: side.alarm) and "writers on rt/test" in side.alarm
        robot.writers = ()
        assert wait_for(lambda: not side.alarm)


def test_another_writer_can_be_allowed() -> None:
    robot = Robot()
    robot.writers = ("abc",)
    with running(robot, "upper_body", refuse_writers=False) as side:
        side.commanding = True
        assert verdict_of(side).accepted and not side.alarm


def test_a_controller_that_takes_the_motors_back_stops_an_armed_robot() -> None:
    robot = Robot()
    robot.owner = ""
    with running(robot, "whole_body") as side:
        side.commanding = True
        robot.owner = "ai"
        assert wait_for(lambda: side.lost)
        assert side.lost == "owner of the motors: got 'ai'; allowed: none while we write rt/lowcmd"
        assert not side.alarm, "whoever owns the motors is not fought with damping"
        side.commanding = False
        assert wait_for(lambda: not side.lost)


def test_a_silent_switcher_is_not_a_reason_to_fall(caplog: pytest.LogCaptureFixture) -> None:
    robot = Robot()
    robot.deaf = True
    with running(robot, "whole_body") as side:
        side.commanding = True
        assert wait_for(lambda: "cannot tell who owns the motors" in caplog.text)
        assert not side.alarm


def test_the_base_walks_and_stands_when_commanding_ends() -> None:
    robot = Robot()
    with running(robot, "upper_body") as side:
        side.base_velocity = (0.1, 0.0, 0.2)
        time.sleep(0.12)
        assert robot.velocities == [], "not before it is armed"
        side.commanding = True
        assert wait_for(lambda: len(robot.velocities) >= 2)
        side.commanding = False
        assert wait_for(lambda: robot.velocities[-1] == (0.0, 0.0, 0.0))
        count = len(robot.velocities)
        time.sleep(0.12)
        assert len(robot.velocities) == count, "a standing base is told once"


def test_the_base_stands_when_the_thread_ends() -> None:
    robot = Robot()
    with running(robot, "arms_only") as side:
        side.commanding, side.base_velocity = True, (0.3, 0.0, 0.0)
        assert wait_for(lambda: robot.velocities)
    assert robot.velocities[-1] == (0.0, 0.0, 0.0)


def test_whole_body_never_asks_the_base_to_walk() -> None:
    robot = Robot()
    with running(robot, "whole_body") as side:
        side.commanding, side.base_velocity = True, (0.3, 0.0, 0.0)
        time.sleep(0.15)
    assert robot.velocities == []


def test_a_base_that_does_not_walk_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    robot = Robot()
    robot.deaf = True
    with running(robot, "upper_body") as side:
        side.commanding, side.base_velocity = True, (0.3, 0.0, 0.0)
        assert wait_for(lambda: "the base does not walk" in caplog.text)
        time.sleep(0.15)
    assert caplog.text.count("the base does not walk") == 1


def test_a_failing_thread_stops_the_robot_and_refuses_to_arm() -> None:
    robot = Robot()
    with running(robot, "upper_body") as side:
        robot.broken = ValueError("boom")
        assert wait_for(lambda: side.alarm)
        assert side.alarm == "the motor's side thread failed: boom"
        verdict = verdict_of(side)
        assert not verdict.accepted and "boom" in verdict.text


def test_the_verdict_on_an_older_question_does_not_count() -> None:
    robot = Robot()
    with running(robot, "upper_body") as side:
        assert verdict_of(side).accepted
        robot.writers = ("abc",)
        side.prepare()
        assert side.verdict() is None
        assert wait_for(side.verdict)
        verdict = side.verdict()
        assert verdict is not None and not verdict.accepted


NOBODY = "owner of the motors: got ''; allowed: 'ai', which balances behind rt/arm_sdk"
DAMPED = "state of the walking controller: got 1 (damping); allowed: a robot that stands"


def test_arms_are_not_moved_on_a_robot_that_nobody_balances() -> None:
    robot = Robot()
    robot.owner = ""
    with running(robot, "upper_body") as side:
        assert verdict_of(side) == Verdict(False, NOBODY)
        robot.owner, robot.state = "ai", 1
        assert verdict_of(side) == Verdict(False, DAMPED)
        robot.state = 500
        assert verdict_of(side).accepted


def test_an_unknown_owner_forbids_arming() -> None:
    robot = Robot()
    robot.deaf = True
    with running(robot, "upper_body") as side:
        assert verdict_of(side) == Verdict(False, "no answer")


@pytest.mark.parametrize(("change", "sentence"), [({"owner": ""}, NOBODY), ({"state": 1}, DAMPED)])
def test_a_remote_that_takes_the_robot_over_ends_our_writing(change: dict[str, object], sentence: str) -> None:
    """F21, behind rt/arm_sdk: L2+R2 gives the motors away, L2+B damps."""
    robot = Robot()
    with running(robot, "upper_body") as side:
        assert verdict_of(side).accepted
        side.commanding = True
        time.sleep(0.1)
        assert not side.lost
        for name, value in change.items():
            setattr(robot, name, value)
        assert wait_for(lambda: side.lost) and side.lost == sentence


def test_walking_states_may_change(caplog: pytest.LogCaptureFixture) -> None:
    robot = Robot()
    with running(robot, "upper_body") as side:
        assert verdict_of(side).accepted
        side.commanding, robot.state = True, 801
        assert wait_for(lambda: "went from state 500 to 801" in caplog.text)
        assert not side.lost


def test_a_robot_that_does_not_say_its_state_can_be_armed(caplog: pytest.LogCaptureFixture) -> None:
    robot = Robot()
    robot.state = None
    with running(robot, "upper_body") as side:
        assert verdict_of(side).accepted and "state is not watched: no such service" in caplog.text
        side.commanding = True
        time.sleep(0.7)
        assert not side.lost and not side.alarm


def test_a_weak_battery_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_module, "_BATTERY_PERIOD", 0.01)
    robot = Robot()
    side = Side(control_mode("upper_body"), robot, robot, robot, battery=robot, min_charge=25.0)
    side.start()
    try:
        robot.battery = encode_battery(24)
        assert wait_for(lambda: side.weak)
        assert (side.weak, side.charge) == ("battery: got 24 %; allowed: at least 25 %", 24.0)
        robot.battery = b"garbage"
        time.sleep(0.1)
        assert side.weak and side.charge == 24.0
        robot.battery = encode_battery(60)
        assert wait_for(lambda: side.charge == 60.0 and not side.weak)
    finally:
        side.close()


def test_a_battery_that_is_not_said_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(side_module, "_BATTERY_PERIOD", 0.01)
    monkeypatch.setattr(side_module, "_BATTERY_PATIENCE", 0.05)
    robot = Robot()
    side = Side(control_mode("upper_body"), robot, robot, robot, battery=robot)
    side.start()
    try:
        assert wait_for(lambda: "nothing on rt/lf/bmsstate: the battery is not watched" in caplog.text)
        time.sleep(0.2)
        assert caplog.text.count("battery is not watched") == 1 and not side.weak and side.charge == -1.0
        assert verdict_of(side).accepted
    finally:
        side.close()


def test_a_broken_crc_forbids_arming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_module, "crc_trouble", lambda: "CRC of the golden LowCmd: got 0x0")
    with running(Robot(), "upper_body") as side:
        assert verdict_of(side) == Verdict(False, "CRC of the golden LowCmd: got 0x0")


def test_a_switched_side_watches_the_other_door() -> None:
    robot, other = Robot(), Robot()
    other.topic, other.writers = "rt/other", ("xyz",)
    with running(robot, "upper_body") as side:
        assert verdict_of(side).accepted and robot.releases == 0
        side.switch(control_mode("whole_body"), other)
        assert "writers on rt/other" in verdict_of(side).text
        other.writers = ()
        assert verdict_of(side).accepted and robot.releases == 1
