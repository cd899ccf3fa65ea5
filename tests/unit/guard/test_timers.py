"""The timers of the state machine to the cycle, at several rates (I13): never a cycle early, never one late."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from neon_ros.contracts import RobotState
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.machine import State
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS

Maker = Callable[..., RobotState]
START = 64.0  # [s] with the periods below every tick is exact in binary


class Clock:
    """A guard whose cycles are counted.

    :param period: [s], a power of two so that no rounding moves a cycle.
    """

    def __init__(self, make: Maker, mode: str, period: float, **settings: float) -> None:
        config = GuardConfig(period=period, simulated=True, arm_seconds=0.25, **settings)  # type: ignore[arg-type]
        self.make, self.period = make, period
        self.guard = Guard(MODES[mode], config)
        self.guard.configure(VARIANTS[5])
        self.cycle = 0
        self.sequence = 0
        self.silent = False
        self.q = np.zeros(29)

    @property
    def now(self) -> float:
        return START + self.cycle * self.period

    @property
    def state(self) -> State:
        return self.guard.machine.state

    def step(self) -> None:
        measured = None if self.silent else self.make(self.now, q=self.q.copy(), tick=self.cycle)
        command = self.guard.step(measured, self.now)
        if command.writes:
            self.q = np.where(command.kp > 0, command.q, self.q)
        self.cycle += 1

    def until(self, state: State, most: int = 20_000) -> int:
        """Return how many cycles it takes to reach a state."""
        for count in range(1, most):
            self.step()
            if self.state is state:
                return count
        raise AssertionError(f"no {state} in {most} cycles, but {self.state}: {self.guard.machine.reason}")

    def arm(self) -> None:
        self.step()
        self.guard.request("arm", self.now)
        self.until(State.ACTIVE)

    def chunk(self) -> AdmittedChunk:
        """Send and return a chunk that holds still for a quarter of a second from now."""
        self.sequence += 1
        moved = self.guard._moved.copy()
        q = np.where(moved, self.q, 0.0) * np.ones((17, 1))
        made = AdmittedChunk(self.now, 1 / 64, q, moved, np.zeros((17, 3)), 1, self.sequence)
        self.guard.submit(made)
        return made


def first_after(seconds: float, period: float, inclusive: bool) -> int:
    """Return the first cycle whose time is later than ``seconds``, or at it."""
    exact = seconds / period
    return math.ceil(exact) if inclusive else math.floor(exact) + 1


@pytest.fixture(params=[1 / 512, 1 / 256, 1 / 128])
def period(request: pytest.FixtureRequest) -> float:
    """About 500, 250 and 125 Hz."""
    return float(request.param)


@pytest.mark.parametrize("mode", ["upper_body", "whole_body"])
def test_arming_takes_its_time_to_the_cycle(mode: str, period: float, robot_state: Maker) -> None:
    clock = Clock(robot_state, mode, period)
    clock.step()
    clock.guard.request("arm", clock.now)
    assert clock.until(State.ACTIVE) == 1 + first_after(0.25, period, inclusive=True)


@pytest.mark.parametrize("stale", [0.0625, 0.1])
def test_staleness_then_hold_then_damping_to_the_cycle(stale: float, period: float, robot_state: Maker) -> None:
    clock = Clock(robot_state, "upper_body", period, stale_after=stale)
    clock.arm()
    clock.step()
    chunk = clock.chunk()
    begun = clock.cycle
    clock.until(State.HOLD)
    held = clock.cycle - 1
    allowed = chunk.end - chunk.t0 + stale
    assert held - begun == first_after(allowed, period, inclusive=False)
    assert clock.until(State.DAMPING) == first_after(2.0, period, inclusive=True)
    for _ in range(200):
        clock.chunk()
        clock.step()
        assert clock.state is State.DAMPING, "never back without an operator"


@pytest.mark.parametrize("mode", ["upper_body", "whole_body"])
def test_silence_of_low_state_to_the_cycle(mode: str, period: float, robot_state: Maker) -> None:
    clock = Clock(robot_state, mode, period)
    clock.arm()
    last = clock.cycle - 1
    clock.silent = True
    clock.until(State.HOLD)
    assert clock.cycle - 1 - last == first_after(0.02, period, inclusive=False)
    clock.until(State.DAMPING)
    assert clock.cycle - 1 - last == first_after(0.05, period, inclusive=False)


def test_following_error_to_the_cycle(period: float, robot_state: Maker) -> None:
    clock = Clock(robot_state, "upper_body", period)
    clock.arm()
    held, elbow = clock.q.copy(), np.arange(29) == 18
    for count in range(1, 200):  # the elbow is pushed away, 0.031 rad a cycle, to 0.31 rad
        clock.q = held + elbow * min(0.031 * count, 0.31)
        clock.step()
        if clock.state is State.HOLD:
            break
    assert clock.state is State.HOLD and "left_elbow_joint" in clock.guard.machine.reason
    assert count == 10 + first_after(0.1, period, inclusive=True)


@pytest.mark.parametrize("seed", range(4))
def test_staleness_only_falls(seed: int, robot_state: Maker) -> None:
    """Chunks, gaps and silences in any order: from ACTIVE only through HOLD or to DAMPING, and there it stays."""
    rng = np.random.default_rng(seed)
    order = {State.ACTIVE: 0, State.HOLD: 1, State.DAMPING: 2}
    for _ in range(40):
        clock = Clock(robot_state, "upper_body", 1 / 256, hold_seconds=0.5)
        clock.arm()
        clock.chunk()
        held_since = None
        while clock.state is not State.DAMPING:
            what = rng.choice(["chunk", "wait", "silence"], p=[0.45, 0.45, 0.1])
            if what == "chunk":
                clock.chunk()
            clock.silent = what == "silence"
            for _ in range(int(rng.integers(1, 30))):
                before = clock.state
                clock.step()
                after = clock.state
                assert order[after] >= order[before] or (before is State.HOLD and after is State.ACTIVE)
                held_since = clock.cycle if after is State.HOLD and before is not State.HOLD else held_since
                assert after is not State.HOLD or clock.cycle - (held_since or 0) <= 0.5 * 256
            if clock.cycle > 6000:
                break
        clock.silent = False
        for _ in range(20):
            clock.chunk()
            clock.step()
            assert clock.cycle > 6000 or clock.state is State.DAMPING
