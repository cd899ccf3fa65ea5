"""The whole guard, explored: every sequence of happenings to depth 10, memoised, and random walks (I13, I18, F35)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest

from neon_ros.contracts import RobotState
from neon_ros.errors import Refused
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.health import Finding
from neon_ros.guard.limits import MotionLimits, motion_limits
from neon_ros.guard.machine import MOVING, TABLE, Event, Machine, State
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS

DT = 0.01
Maker = Callable[..., RobotState]
FALLEN = np.array([0.5, 0.866, 0.0, 0.0])
MODE = "upper_body"


class World:
    """A guard with 10 ms periods and short timers, so that ten happenings reach every state."""

    def __init__(self, make: Maker, mode: str) -> None:
        self.make = make
        self.mode = mode
        self.tick, self.sequence = 0, 0
        self.q = np.zeros(29)
        self.path: list[np.ndarray] = []
        self.start()

    def start(self) -> None:
        """Begin with a new guard, as a motor process that was started anew, or that changes its mode."""
        config = GuardConfig(
            period=DT, simulated=True, arm_seconds=0.2, hold_seconds=0.3, stale_after=0.05, release_seconds=0.2
        )
        self.guard = Guard(MODES[self.mode], config)
        self.armed_by_operator = self.configured = False
        self.trouble = ""
        self.path.clear()

    def happen(self, what: str, rng: np.random.Generator) -> None:
        """Let one thing happen, then run the periods it takes; check the rules after each."""
        now = self.tick * DT
        machine = self.guard.machine
        before = (machine.state, machine.since, machine.reason, machine.transitions)
        try:
            if what in ("arm", "disarm", "stop"):
                self.guard.request(what, now)
                self.armed_by_operator |= what == "arm"
                after = TABLE[before[0]][Event(what)]
                assert machine.state is after, "what the table refuses is refused, what it allows happens"
                assert what != "arm" or not self.trouble, "nobody arms a robot that is not well"
            elif what == "restart":
                self.start()
            elif what == "remote":
                self.guard.react(Finding(Event.STOP, "remote: L2+B", limp=True, yields=True), now)
            elif what == "taken":
                self.guard.react(Finding(Event.LOST, "owner of the motors"), now)
                assert machine.state in (State.UNCONFIGURED, State.INACTIVE)
            elif what in ("trouble", "well"):
                self.trouble = "battery" if what == "trouble" else ""
            elif what == "configure":
                self.guard.configure(VARIANTS[5])
                self.configured = True
            elif what == "chunk" and self.configured:
                self.guard.submit(self.chunk(now, rng))
            elif what == "caller's fault":
                self.guard.fault("a fault", now)
        except Refused:
            assert before == (machine.state, machine.since, machine.reason, machine.transitions), "a refusal changes it"
            assert what not in ("disarm", "stop"), "never refused"
        changes: dict[str, object] = {}
        periods = {"wait": 40, "silence": 4, "long silence": 8}.get(what, 1)
        if what == "fall":
            changes["quaternion_wxyz"] = FALLEN
        elif what == "other variant":
            changes["mode_machine"] = 6
        elif what == "nan":
            changes["q"] = np.full(29, np.nan)
        for _ in range(periods):
            self.period(None if "silence" in what else changes)

    def chunk(self, now: float, rng: np.random.Generator) -> AdmittedChunk:
        """Return a chunk that asks for anything within half a radian of the range."""
        self.sequence += 1
        moved = np.isin(np.arange(29), np.arange(12, 29))
        limits = VARIANTS[5].limits()
        q = rng.uniform(limits.lower - 0.5, limits.upper + 0.5, (8, 29)) * moved
        return AdmittedChunk(now - 0.02, 0.02, q, moved, rng.uniform(-0.5, 0.5, (8, 3)), 1, self.sequence)

    def period(self, changes: dict[str, object] | None) -> None:
        """Run one period and check what must hold after any."""
        now = self.tick * DT
        self.tick += 1
        before = self.guard.machine.state
        self.guard.impair(self.trouble)
        measured = None if changes is None else self.make(now, **{"q": self.q.copy(), **changes})
        command = self.guard.step(measured, now)
        state = command.state
        if state not in MOVING:
            self.armed_by_operator = False
        assert state not in MOVING or self.armed_by_operator
        assert not self.trouble or state is not State.ACTIVE
        assert not (before is State.DAMPING and state in (State.ACTIVE, State.HOLD))
        assert command.writes or not command.kp.any() or state is State.DAMPING
        assert not command.writes or state in MOVING or state is State.DAMPING
        assert 0.0 <= command.weight <= 1.0
        for part in (command.q, command.dq, command.tau, command.kp, command.kd, command.base_velocity):
            assert np.isfinite(part).all()
        assert (command.kp >= 0).all() and (command.kd >= 0).all() and not command.kp[:12].any()
        if command.writes:
            self.q = np.where(command.kp > 0, command.q, self.q)
            self.path.append(command.q)
        else:
            self.path.clear()

    def signature(self) -> tuple[object, ...]:
        """Return what distinguishes this world for the rules: coarse on purpose, as memoisation needs."""
        guard = self.guard
        now = self.tick * DT
        chunk = guard.timeline.chunk if self.configured else None
        health = guard.health
        return (
            guard.machine.state,
            self.armed_by_operator,
            self.configured,
            round((now - guard.machine.since) / 0.1) if guard.machine.state in MOVING else -1,
            math.ceil(guard._authority) + (guard._authority >= 1.0),  # none, some, all
            None if chunk is None else np.sign(chunk.end - now),
            guard._pending is not None,
            bool(self.trouble),
            guard._disarming and guard._released_at < np.inf,
            None if health is None else (min(health.silence(now) // 0.025, 2), health.outliers_in_a_row),
        )


HAPPENINGS = (
    "configure",
    "arm",
    "disarm",
    "stop",
    "chunk",
    "wait",
    "silence",
    "long silence",
    "fall",
    "nan",
    "other variant",
    "caller's fault",
    "remote",
    "taken",
    "trouble",
    "well",
    "restart",
)


def test_every_sequence_to_depth_10_keeps_the_rules(robot_state: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    taken: set[tuple[State, Event]] = set()
    handle = Machine.handle

    def noted(machine: Machine, event: Event, reason: str, now: float) -> bool:
        before = machine.state
        changed = handle(machine, event, reason, now)
        if changed:
            taken.add((before, event))
        return changed

    monkeypatch.setattr(Machine, "handle", noted)
    seen: set[tuple[object, ...]] = set()
    states: set[State] = set()
    frontier = [World(robot_state, MODE)]
    for _ in range(10):
        following = []
        for world in frontier:
            for what in HAPPENINGS:
                after = _twin(world, robot_state)
                after.happen(what, rng)
                states.add(after.guard.machine.state)
                signature = after.signature()
                if signature not in seen:
                    seen.add(signature)
                    following.append(after)
        frontier = following
    assert states == set(State)
    assert len(seen) > 300
    moves = {
        (state, event)
        for state, row in TABLE.items()
        for event, after in row.items()
        if isinstance(after, State) and after is not state
    }
    assert moves - taken == set(), "every change of state that the table allows was seen to happen"
    assert taken <= moves


def _twin(world: World, make: Maker) -> World:
    """Return a copy that shares nothing that changes; Ruckig's objects keep nothing between calls."""
    memo: dict[int, object] = {id(make): make}
    if world.configured:
        limiter = world.guard.limiter
        memo |= {id(part): part for part in (limiter._otg, limiter._input, limiter._output)}
    return copy.deepcopy(world, memo)


def _check(path: list[np.ndarray], limits: MotionLimits) -> None:
    """Check a path of commands (ticks, 29) of the moved joints against their limits, by finite differences."""
    moved = slice(12, 29)
    q = np.array(path)[:, moved]
    assert (q >= limits.lower[moved] - 1e-9).all() and (q <= limits.upper[moved] + 1e-9).all()
    for order, bound in enumerate((limits.velocity, limits.acceleration, limits.jerk), start=1):
        if len(q) > order:
            assert (np.abs(np.diff(q, n=order, axis=0)) / DT**order <= bound[moved] * (1 + 1e-6)).all()


def _walk(seed: int, happenings: int, make: Maker) -> None:
    """Walk at random, mostly forwards, and check every written path."""
    rng = np.random.default_rng(seed)
    world = World(make, MODE)
    world.happen("configure", rng)
    limits = motion_limits(VARIANTS[5])
    likely = np.array([0.3, 3, 0.3, 0.3, 12, 0.7, 0.4, 0.1, 0.05, 0.3, 0.05, 0.05, 0.1, 0.05, 0.1, 1.0])
    for what in rng.choice(HAPPENINGS[:-1], happenings, p=likely / likely.sum()):
        world.happen(str(what), rng)
        if len(world.path) > 300:
            _check(world.path, limits)
            del world.path[:-4]
    if world.path:
        _check(world.path, limits)


@pytest.mark.parametrize("seed", range(3))
def test_random_walks_stay_inside_every_limit(seed: int, robot_state: Maker) -> None:
    _walk(seed, 600, robot_state)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 120))
def test_random_walks_stay_inside_every_limit_long(seed: int, robot_state: Maker) -> None:
    _walk(seed, 5_000, robot_state)
