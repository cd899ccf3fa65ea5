"""What operator, remote, heat, battery and motor faults make of a running guard: F19 to F21, F37 of the safety card."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neon_ros.contracts import RobotState
from neon_ros.errors import Refused
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.command import Command
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.health import Finding
from neon_ros.guard.limiter import VELOCITY, Limiter, Reference
from neon_ros.guard.limits import MotionLimits, motion_limits
from neon_ros.guard.machine import Event, State
from neon_ros.robot.joints import JOINT_INDEX, JOINT_NAMES
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS

DT = 0.002
ELBOW = 18
TROUBLE = "motor left_knee_joint: got winding overheated; allowed: no fault"
Maker = Callable[..., RobotState]


class Bench:
    """A guard on a virtual clock and a robot that goes where it is told."""

    def __init__(self, make: Maker, mode: str) -> None:
        self.make = make
        self.guard = Guard(MODES[mode], GuardConfig(simulated=True, arm_seconds=0.2))
        self.guard.configure(VARIANTS[5])
        self.q = np.zeros(29)
        self.tick, self.sequence = 50_000, 0
        self.changes: dict[str, object] = {}
        self.silent = False
        self.commands: list[Command] = []

    @property
    def now(self) -> float:
        return self.tick * DT

    @property
    def state(self) -> State:
        return self.guard.machine.state

    def run(self, seconds: float) -> Command:
        for _ in range(max(1, round(seconds / DT))):
            measured = None if self.silent else self.make(self.now, **{"q": self.q.copy(), **self.changes})
            command = self.guard.step(measured, self.now)
            if command.writes:
                self.q = np.where(command.kp > 0, command.q, self.q)
            self.commands.append(command)
            self.tick += 1
        return command

    def arm(self) -> None:
        self.run(0.01)
        self.guard.request("arm", self.now)
        self.run(0.21)
        assert self.state is State.ACTIVE, self.guard.report().reason

    def drive(self, seconds: float, slope: float = 0.5, start: float = 0.0) -> None:
        """Send a chunk every 100 ms in which all moved joints go on at ``slope`` [rad/s]."""
        for _ in range(round(seconds / 0.1)):
            self.sequence += 1
            moved = self.guard._moved
            times = (self.now + np.arange(16) * 0.02 - start)[:, None]
            q = np.where(moved, np.clip(slope * times, -0.4, 0.4), 0.0)
            self.guard.submit(AdmittedChunk(self.now, 0.02, q, moved, np.zeros((16, 3)), 1, self.sequence))
            self.run(0.1)


@pytest.fixture(params=["upper_body", "whole_body"])
def bench(request: pytest.FixtureRequest, robot_state: Maker) -> Bench:
    """A bench behind each door of the robot."""
    return Bench(robot_state, request.param)


def test_trouble_holds_then_damps_and_no_chunk_resumes(bench: Bench) -> None:
    """F20: HOLD within two cycles, DAMPING after two seconds, though fresh chunks go on coming."""
    bench.arm()
    bench.drive(0.2, start=bench.now)
    bench.guard.impair(TROUBLE)
    bench.run(2 * DT)
    assert bench.state is State.HOLD and bench.guard.report().reason == TROUBLE
    begun = bench.guard.machine.since
    for _ in range(25):
        bench.drive(0.1, slope=0.0)
        if bench.state is not State.HOLD:
            break
    assert bench.state is State.DAMPING and TROUBLE in bench.guard.report().reason
    assert bench.guard.machine.since - begun == pytest.approx(2.0, abs=2 * DT)


def test_trouble_that_passes_lets_a_chunk_resume(bench: Bench) -> None:
    bench.arm()
    bench.guard.impair(TROUBLE)
    bench.run(0.5)
    bench.guard.impair("")
    bench.drive(0.1, slope=0.0)
    assert bench.state is State.ACTIVE


def test_trouble_forbids_arming_and_ends_it(bench: Bench) -> None:
    bench.run(0.01)
    bench.guard.impair(TROUBLE)
    with pytest.raises(Refused, match="cannot arm: the robot: got motor left_knee_joint"):
        bench.guard.request("arm", bench.now)
    bench.guard.impair("")
    bench.guard.request("arm", bench.now)
    bench.guard.impair(TROUBLE)
    bench.run(2 * DT)
    assert bench.state is State.DAMPING


def released_after(bench: Bench) -> float:
    """Return how long the weight, or the stiffness, takes to fall to none [s]."""
    ticks = 0
    while bench.guard.report().authority > 0.0:
        bench.run(DT)
        ticks += 1
        assert ticks < 1000
    return ticks * DT


@pytest.mark.parametrize(("yields", "seconds"), [(False, 1.0), (True, 0.2)])
def test_the_arms_are_given_back_sooner_when_the_robot_damps_itself(
    yields: bool, seconds: float, robot_state: Maker
) -> None:
    bench = Bench(robot_state, "upper_body")
    bench.arm()
    bench.guard.react(Finding(Event.STOP, "remote: L2+B", limp=yields, yields=yields), bench.now)
    assert released_after(bench) == pytest.approx(seconds, abs=2 * DT)
    assert bench.state is State.DAMPING


def test_the_legs_go_soft_at_once_when_the_robot_damps_itself(robot_state: Maker) -> None:
    bench = Bench(robot_state, "whole_body")
    bench.arm()
    bench.guard.react(Finding(Event.STOP, "remote: L2+B", limp=True, yields=True), bench.now)
    command = bench.run(DT)
    assert bench.state is State.DAMPING and not command.kp.any() and (command.kd > 0).all()


def test_a_stop_in_damping_can_still_hurry_it(robot_state: Maker) -> None:
    bench = Bench(robot_state, "upper_body")
    bench.arm()
    bench.guard.request("stop", bench.now)
    bench.run(0.1)
    bench.guard.react(Finding(Event.STOP, "remote: L2+B", limp=True, yields=True), bench.now)
    assert released_after(bench) < 0.25


def test_the_next_arming_forgets_the_hurry(robot_state: Maker) -> None:
    bench = Bench(robot_state, "upper_body")
    bench.arm()
    bench.guard.react(Finding(Event.STOP, "remote: L2+B", limp=True, yields=True), bench.now)
    bench.run(0.5)
    bench.arm()
    bench.guard.request("stop", bench.now)
    assert released_after(bench) == pytest.approx(1.0, abs=2 * DT)


def test_a_lost_robot_is_written_to_no_more(bench: Bench) -> None:
    """F21: whoever takes the motors gets them in the same cycle."""
    bench.arm()
    bench.guard.react(Finding(Event.LOST, "owner of the motors: got 'ai'"), bench.now)
    assert not bench.run(DT).writes and bench.state is State.INACTIVE


def test_a_robot_that_was_off_is_met_where_it_is(bench: Bench) -> None:
    """F37: switched off while moving; nothing winds up, and the first command after it is back is its pose."""
    bench.arm()
    bench.drive(0.3, slope=2.0, start=bench.now)
    bench.silent = True
    bench.run(0.1)
    assert bench.state is State.DAMPING
    for _ in range(30):
        bench.sequence += 1
        moved = bench.guard._moved
        ask = AdmittedChunk(
            bench.now, 0.02, np.where(moved, 0.4, 0.0) * np.ones((16, 1)), moved, np.zeros((16, 3)), 1, bench.sequence
        )
        bench.guard.submit(ask)
        bench.run(0.1)
    bench.silent = False
    bench.q = np.full(29, -0.2)
    first = bench.run(DT)
    assert bench.state is State.DAMPING, "coming back arms nothing"
    if first.writes:
        assert not first.kp.any() and np.array_equal(first.q, bench.q) and not first.dq.any()
    bench.run(0.1)
    bench.guard.request("arm", bench.now)
    first = bench.run(DT)
    held = first.kd > 0
    assert first.writes and np.abs(first.q - bench.q)[held].max() <= 1e-3 and not first.dq.any()


LEFT_ROLL, RIGHT_ROLL = (JOINT_INDEX[f"{side}_shoulder_roll_joint"] for side in ("left", "right"))


def _peak(bench: Bench) -> float:
    path = np.array([command.q[ELBOW] for command in bench.commands])
    return float(np.abs(np.diff(path)).max() / DT)


@pytest.mark.parametrize(("winding", "fastest"), [(30.0, 4.0), (108.0, 3.0), (119.99, 2.0)])
def test_a_warm_motor_is_moved_more_slowly(winding: float, fastest: float, robot_state: Maker) -> None:
    """F19: velocity is derated with the torque, from 80 % of the temperature on."""
    bench = Bench(robot_state, "arms_only")
    heat = np.full(29, 30.0)
    heat[ELBOW] = winding
    bench.changes = {"winding": heat}
    bench.arm()
    moved = bench.guard._moved
    bench.commands.clear()
    for k in range(12):
        q = np.zeros((16, 29))
        q[:, ELBOW], q[:, LEFT_ROLL], q[:, RIGHT_ROLL] = 1.5, 0.6, -0.6  # arms off the body
        bench.guard.submit(AdmittedChunk(bench.now - 0.02, 0.02, q, moved, np.zeros((16, 3)), 1, k))
        bench.run(0.1)
    assert bench.state is State.ACTIVE and _peak(bench) == pytest.approx(fastest, rel=0.01)
    assert _peak(bench) <= fastest * (1 + 1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_a_motor_that_warms_up_in_motion_stays_inside_every_limit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    limits = MotionLimits(-np.ones(n), np.ones(n), np.full(n, 4.0), np.full(n, 40.0), np.full(n, 2000.0))
    limiter, rows = Limiter(limits, DT), np.arange(n)
    limiter.start(np.zeros(n))
    path, part = [limiter.state[0]], np.ones(n)
    target = np.zeros(n)
    for tick in range(3000):
        if tick % 50 == 0:
            part = rng.uniform(0.4, 1.0, n)
            limiter.derate(part, rows)
        target = np.where(rng.random(n) < 0.01, rng.uniform(-1.2, 1.2, n), target)
        limiter.step(Reference(np.stack([target, *[np.zeros(n)] * 3]), np.zeros(n)))
        path.append(limiter.state[0])
        if tick % 50 == 49:
            assert (np.abs(limiter.state[1]) <= 4.0 * part * (1 + 1e-9)).all(), "slow enough 100 ms later"
    q = np.array(path)
    assert (np.abs(q) <= 1.0 + 1e-9).all()
    for order, bound in enumerate((4.0, 40.0, 2000.0), start=1):
        assert (np.abs(np.diff(q, n=order, axis=0)) / DT**order <= bound * (1 + 1e-5)).all(), order


def test_the_same_part_again_changes_nothing_and_one_is_the_full_speed() -> None:
    limits = motion_limits(VARIANTS[5])
    limiter = Limiter(limits, DT)
    before = limiter.limits
    limiter.derate(0.5, np.arange(29))
    assert np.array_equal(limiter.limits.velocity, 0.5 * limits.velocity)
    limiter.derate(1.0, np.arange(29))
    assert np.array_equal(limiter.limits.velocity, before.velocity)
    limiter.start(np.zeros(29))
    limiter.derate(0.1, np.arange(29))
    limiter.meet()
    limiter.step(Reference(np.stack([np.full(29, 0.004), np.full(29, 2.0), *[np.zeros(29)] * 2]), np.zeros(29)))
    assert (limiter.reasons == VELOCITY).any(), JOINT_NAMES
