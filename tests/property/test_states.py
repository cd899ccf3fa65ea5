"""I13: staleness only leads down, in the stated cycles, and never back without the operator."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from neon_ros.errors import Refused
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.machine import Event, Machine, State
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS
from oracles import machine as oracle
from oracles.makers import measured
from oracles.parallel import PROCESSES, spread
from oracles.scale import scaled

TRACES = scaled(1_000_000)
TIMED = scaled(100_000)  # traces of a whole guard; a million of them are long
LENGTH = 10
EVENTS = tuple(Event)
MOVED = np.arange(29) >= 15
FALLEN = np.array([0.5, 0.75**0.5, 0.0, 0.0])


def walk_many(seed: int, count: int) -> tuple[int, set[tuple[str, str]]]:
    """Lead ``count`` machines along random events beside the list of transitions; return how many, and what was met."""
    rng = np.random.default_rng(seed)
    met: set[tuple[str, str]] = set()
    for start in range(0, count, 10_000):
        for codes in rng.integers(0, len(EVENTS), (min(10_000, count - start), LENGTH)):
            made = Machine()
            state, since, reason, changes = "UNCONFIGURED", 0.0, "no LowState yet", 0
            for k, code in enumerate(codes.tolist()):
                event = EVENTS[code]
                after = oracle.after(state, event.value)
                met.add((state, event.value))
                try:
                    changed = made.handle(event, event.name, float(k))
                except Refused:
                    assert after is None
                    changed = False
                else:
                    assert after is not None
                if after is not None and after != state:
                    state, since, reason, changes = after, float(k), event.name, changes + 1
                    assert changed
                else:
                    assert not changed
                assert (made.state.value, made.since, made.reason, made.transitions) == (state, since, reason, changes)
    return count, met


def test_i13_a_million_traces_follow_the_list_of_transitions() -> None:
    found = spread(walk_many, [(130 + i, -(-TRACES // PROCESSES)) for i in range(PROCESSES)])
    assert sum(one[0] for one in found) >= TRACES
    met = set.union(*(one[1] for one in found))
    assert met == set(itertools.product(oracle.STATES, (event.value for event in Event))), "every pair was met"


def test_i13_every_pair_of_state_and_event_is_in_the_list() -> None:
    from neon_ros.guard.machine import TABLE

    for state, event in itertools.product(State, Event):
        after = TABLE[state][event]
        wanted = oracle.after(state.value, event.value)
        assert (after.value if isinstance(after, State) else None) == wanted
        if wanted is None:
            assert isinstance(after, str) and after


def test_i13_every_sequence_to_depth_10_comes_back_up_only_by_the_operator() -> None:
    """All 10 events at each of 10 places, memoised: 10 billion sequences that end in the few states there are."""
    reached = {("UNCONFIGURED", False)}
    for _ in range(LENGTH):
        after = set()
        for (state, armed), event in itertools.product(reached, Event):
            made = Machine()
            made.state = State(state)
            try:
                made.handle(event, "", 0.0)
            except Refused:
                assert made.state.value == state
            now = made.state.value
            moving = now in ("ARMING", "ACTIVE", "HOLD")
            operator = event is Event.ARM
            assert not moving or armed or operator, "only an operator makes it move"
            if state == "DAMPING":
                assert now in ("DAMPING", "INACTIVE") or operator
            after.add((now, moving and (armed or operator)))
        reached |= after
    assert {state for state, _ in reached} == set(oracle.STATES)


class Bench:
    """One guard, led through one trace after another by the tick; only the ticks that matter are run."""

    period = 0.01

    def __init__(self) -> None:
        config = GuardConfig(period=self.period, simulated=True, arm_seconds=0.2, hold_seconds=0.305, stale_after=0.1)
        self.guard = Guard(MODES["arms_only"], config)
        self.guard.configure(VARIANTS[5])
        self.tick = self.sequence = 0
        self.q = np.zeros(29)

    @property
    def now(self) -> float:
        return self.tick * self.period

    def go(self, ticks: int, expect: str, **changes: object) -> None:
        """Run the tick that lies ``ticks`` ahead, with a fresh LowState, and compare the state."""
        self.tick += ticks
        # LowState is 0.3 periods old, so that no bound falls on a tick.
        state = measured(self.tick, self.now - 0.3 * self.period, self.q, **changes)
        assert self.guard.step(state, self.now).state.value == expect, self.guard.machine.reason

    def quiet(self, ticks: int, expect: str, stuck: bool = False) -> None:
        """Run the tick ``ticks`` ahead without a LowState, or with the last one again."""
        self.tick += ticks
        assert self.guard.step(self.guard.health.state if stuck else None, self.now).state.value == expect

    def chunk(self, steps: int = 4, dt: float = 0.02) -> int:
        """Submit a chunk that began just now; return the number of ticks from now until it has run out 100 ms ago."""
        self.sequence += 1
        # The path runs 0.4 periods behind the ticks, as arming came between two: no bound may fall on it.
        t0 = self.now - 0.6 * self.period
        q = np.full((steps, 29), 0.001 * (self.sequence % 7)) * MOVED
        self.guard.submit(AdmittedChunk(t0, dt, q, MOVED, np.zeros((steps, 3)), 1, self.sequence))
        return (
            round((steps - 1) * dt / self.period) + 10
        )  # the first tick whose path lies beyond (a period before it does not)

    def arm(self, full: bool = True) -> None:
        """Arm between two ticks; unless ``full`` stay in ARMING."""
        self.go(1, "INACTIVE")
        self.guard.request("arm", self.now + 0.6 * self.period)
        self.go(1, "ARMING")
        if full:
            self.go(19, "ARMING")  # 0.194 s
            self.go(1, "ACTIVE")  # 0.204 s

    def latched(self, rng: np.random.Generator) -> None:
        """Show that DAMPING stays whatever comes, but for the operator; then let another variant end the trace."""
        if rng.random() < 0.5:
            self.chunk()
        self.go(int(rng.integers(1, 300)), "DAMPING")
        if rng.random() < 0.3:
            self.guard.fault("another", self.now, pause=True)
        if rng.random() < 0.1:
            self.guard.request("stop", self.now)
        self.go(1, "DAMPING")
        self.go(1, "INACTIVE", mode_machine=6)


def trace(bench: Bench, rng: np.random.Generator) -> str:
    """Lead a guard through one way from ACTIVE (or ARMING) down; return its name."""
    kind = str(
        rng.choice(["used up", "resumed", "silent", "stuck", "spikes", "fall", "hot", "arming", "stop", "pause"])
    )
    if kind == "arming":
        bench.arm(full=False)
        bench.quiet(1, "ARMING")
        bench.quiet(1, "DAMPING")  # 23 ms of silence
    else:
        bench.arm()
        runs_out = 0
        if kind in ("used up", "resumed") or rng.random() < 0.5:
            runs_out = bench.chunk(int(rng.integers(2, 9)), float(rng.choice([0.02, 0.03, 0.05])))
            bench.go(1, "ACTIVE")
        if kind in ("used up", "resumed"):
            if runs_out > 3:
                bench.go(runs_out - 2, "ACTIVE")
            bench.go(1, "HOLD")
            if kind == "resumed":
                bench.go(int(rng.integers(3, 30)), "HOLD")  # 2 would leave the path half a step behind
                runs_out = bench.chunk()
                bench.go(1, "ACTIVE")
                bench.go(runs_out - 2, "ACTIVE")
                bench.go(1, "HOLD")
            bench.go(30, "HOLD")  # 300 ms
            bench.go(1, "DAMPING")  # 310 ms
        elif kind in ("silent", "stuck"):
            stuck = kind == "stuck"
            bench.quiet(1, "ACTIVE", stuck)
            bench.quiet(1, "HOLD", stuck)  # 23 ms
            bench.quiet(2, "HOLD", stuck)  # 43 ms
            bench.quiet(1, "DAMPING", stuck)  # 53 ms
        elif kind == "spikes":
            for _ in range(2):
                bench.go(1, "ACTIVE", dq=np.full(29, 11.0))
            bench.go(1, "DAMPING", dq=np.full(29, 11.0))
        elif kind == "fall":
            bench.go(1, "DAMPING", quaternion_wxyz=FALLEN)
        elif kind == "hot":
            bench.go(1, "DAMPING", temperature=np.full(29, 85.5))
        elif kind == "stop":
            bench.guard.request(str(rng.choice(["stop", "disarm"])), bench.now)
            bench.go(1, "DAMPING")
        else:
            bench.guard.fault("for a test", bench.now + 0.2 * bench.period, pause=True)
            bench.go(1, "HOLD")
            bench.go(29, "HOLD")  # 298 ms
            bench.go(1, "DAMPING")  # 308 ms
    bench.latched(rng)
    return kind


def trace_many(seed: int, count: int) -> tuple[int, set[str]]:
    """Lead one guard through ``count`` traces."""
    rng = np.random.default_rng(seed)
    bench, kinds = Bench(), set()
    bench.go(1, "INACTIVE")
    for k in range(count):
        kinds.add(trace(bench, rng))
        if k % 5_000 == 4_999:  # times stay small, so that a bound between two ticks stays one
            bench = Bench()
            bench.go(1, "INACTIVE")
    return count, kinds


def _timed(traces: int) -> None:
    found = spread(trace_many, [(1300 + i, -(-traces // PROCESSES)) for i in range(PROCESSES)])
    assert sum(one[0] for one in found) >= traces
    assert set.union(*(one[1] for one in found)) == {
        "used up", "resumed", "silent", "stuck", "spikes", "fall", "hot", "arming", "stop", "pause"
    }  # fmt: skip


def test_i13_every_timer_runs_out_in_the_stated_cycle() -> None:
    _timed(TIMED)


@pytest.mark.long
def test_i13_every_timer_runs_out_in_the_stated_cycle_long() -> None:
    _timed(10 * TIMED)
