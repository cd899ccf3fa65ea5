"""What the guard says and reports on the way through all its states: every sentence and figure, word for word."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from neon_ros.contracts import RobotState
from neon_ros.errors import Refused
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.command import Command
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.machine import State
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS

Maker = Callable[..., RobotState]
PERIOD = 0.01


class Bench:
    """A guard of a simulated robot that stands still, 100 periods a second."""

    def __init__(self, mode: str, robot_state: Maker, **config: float) -> None:
        settings = {"period": PERIOD, "arm_seconds": 0.2, "simulated": True, **config}
        self.guard = Guard(MODES[mode], GuardConfig(**settings))  # type: ignore[arg-type]
        self.robot_state, self.tick, self.q = robot_state, 1000, np.zeros(29)

    @property
    def now(self) -> float:
        return self.tick * PERIOD

    def go(self, periods: int = 1, **changes: object) -> Command:
        """Run some periods, each with a fresh LowState; return the last command."""
        for _ in range(periods):
            self.tick += 1
            command = self.guard.step(self.robot_state(self.now, q=self.q, **changes), self.now)
        return command

    def chunk(self, sequence: int, steps: int = 4, base: float = 0.0, dt: float = 0.1) -> AdmittedChunk:
        """Return a chunk that begins now and moves nothing but the base."""
        moved = np.isin(np.arange(29), self.guard._rows)
        velocity = np.tile([base, -base / 2.0, base], (steps, 1))
        return AdmittedChunk(self.now, dt, np.zeros((steps, 29)), moved, velocity, 1, sequence)

    def ready(self) -> Bench:
        """Configure, arm and wait until ACTIVE."""
        self.guard.configure(VARIANTS[5])
        self.go(2)
        self.guard.request("arm", self.now)
        assert self.guard.machine.reason == "armed by the operator"
        self.go(22)
        assert self.guard.machine.state is State.ACTIVE
        assert self.guard.machine.reason == "armed; holding until a chunk comes"
        return self


def test_before_anything_is_known_the_report_is_empty(robot_state: Maker) -> None:
    report = Bench("arms_only", robot_state).guard.report()
    assert (report.tilt, report.hottest, report.chunk_age, report.remaining) == (0.0, 0.0, -1.0, -math.inf)
    assert (report.clearance, report.outliers, report.transitions, report.authority) == (-1.0, 0, 0, 0.0)
    assert report.limits_by_reason == dict.fromkeys(
        ("position", "velocity", "acceleration", "jerk", "torque", "collision"), 0
    )


def test_the_report_counts_what_was_done(robot_state: Maker) -> None:
    bench = Bench("arms_only", robot_state).ready()
    assert bench.guard.report().chunk_age == -1.0 and bench.guard.report().remaining == -math.inf
    bench.guard.submit(bench.chunk(1))
    begun = bench.now
    bench.go(5)
    report = bench.guard.report()
    assert (report.chunks_joined, report.chunks_expired, report.transitions) == (1, 0, 3)
    assert report.chunk_age == pytest.approx(bench.now - begun) and report.remaining == pytest.approx(0.3 - 0.05)
    assert (report.state, report.reason, report.authority) == (State.ACTIVE, "following chunks", 1.0)
    assert report.limit_count == 0 and report.counts == () and report.limited_joints == ()
    assert report.steps == 2 + 22 + 5 and report.early_steps == report.late_steps == 0


@pytest.mark.parametrize("mode", ["arms_only", "whole_body"])
def test_a_disarm_in_words_and_time(mode: str, robot_state: Maker) -> None:
    bench = Bench(mode, robot_state, release_seconds=0.5, damp_seconds=0.2).ready()
    machine = bench.guard.machine
    bench.guard.request("disarm", bench.now)
    assert (machine.state, machine.reason) == (State.DAMPING, "disarmed by the operator")
    fall = 50 if mode == "arms_only" else 20
    for k in range(1, fall):
        command = bench.go()
        assert command.writes and bench.guard.report().authority == pytest.approx(1.0 - k / fall, abs=1e-9)
        assert command.weight == pytest.approx(1.0 - k / fall if mode == "arms_only" else 0.0, abs=1e-9)
        if k == 5:
            with pytest.raises(Refused) as refusal:
                bench.guard.request("arm", bench.now)
            share = f"{1.0 - k / fall:.2f}"
            sentence = f"cannot arm: authority: got {share}; allowed: 0, once DAMPING has let go"
            assert str(refusal.value) == sentence
    bench.q = np.linspace(-0.1, 0.1, 29)
    command = bench.go(2)
    assert command.writes and machine.state is State.DAMPING
    if mode == "whole_body":
        np.testing.assert_array_equal(command.q, bench.q)
        assert not command.dq.any() and not command.kp.any() and command.kd.any() and command.weight == 0.0
        bench.go(190)
        assert machine.state is State.DAMPING, "two seconds limp"
        bench.go(15)
    else:
        bench.go(150)
    assert (machine.state, machine.reason) == (State.INACTIVE, "disarmed by the operator")
    assert not bench.go().writes


def test_the_base_follows_its_chunk_no_faster_than_allowed_and_comes_to_rest(robot_state: Maker) -> None:
    bench = Bench("arms_only", robot_state).ready()
    bench.guard.submit(bench.chunk(1, steps=11, base=0.04))
    seen = np.array([bench.go().base_velocity for _ in range(12)])
    rise = np.minimum(np.arange(1, 13)[:, None] * PERIOD * np.array([1.0, 1.0, 2.0]), [0.04, 0.02, 0.04])
    assert not seen[:2].any(), "the path runs a period behind, and begins at the first step"
    np.testing.assert_allclose(seen[2:], rise[:-2] * [1.0, -1.0, 1.0], atol=1e-12)
    bench.guard.request("stop", bench.now)
    assert not bench.go().base_velocity.any()


def test_the_shortest_chunk_has_two_steps(robot_state: Maker) -> None:
    bench = Bench("arms_only", robot_state).ready()
    bench.guard.submit(bench.chunk(1, steps=2))
    with pytest.raises(Refused) as refusal:
        bench.guard.submit(bench.chunk(2, steps=1))
    assert str(refusal.value) == "chunk shapes: got ((1, 29), (1, 3)); allowed: (H, 29) and (H, 3), H > 1"


def test_a_chunk_is_followed_from_its_first_instant_and_dropped_at_its_last(robot_state: Maker) -> None:
    bench = Bench("arms_only", robot_state).ready()
    bench.guard.submit(bench.chunk(1))
    due = bench.guard._due(bench.now)
    assert due is not None and due.t0 == bench.now
    assert bench.guard._due(due.end) is None and bench.guard.report().chunks_expired == 1
    ahead = bench.chunk(2)
    bench.guard.submit(ahead)
    assert bench.guard._due(ahead.t0 - 0.59) is None and bench.guard.report().chunks_expired == 1
    assert bench.guard._due(ahead.t0 - 0.61) is None and bench.guard.report().chunks_expired == 2


def test_a_period_that_comes_twice_repeats_and_one_that_comes_late_jumps(robot_state: Maker) -> None:
    bench = Bench("arms_only", robot_state).ready()
    assert bench.guard._advance_path(bench.now) == (True, False)
    bench.guard._elapsed = 0.0  # the same instant once more
    assert bench.guard._advance_path(bench.now) == (False, False)
    bench.guard._elapsed = 5 * PERIOD
    assert bench.guard._advance_path(bench.now + 5 * PERIOD) == (True, True)
    report = bench.guard.report()
    assert (report.early_steps, report.late_steps) == (1, 1)
