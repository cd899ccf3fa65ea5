"""What was worked out in advance is what the period would have worked out itself, to the bit, or is not used."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neon_ros.contracts import RobotState
from neon_ros.errors import Refused
from neon_ros.guard import foresight
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.limiter import Limiter
from neon_ros.guard.machine import State
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS

DT = 0.002
Maker = Callable[..., RobotState]


class Pair:
    """Two guards that are told the same; only the second looks ahead, and not always."""

    def __init__(self, make: Maker, mode: str, seed: int) -> None:
        config = GuardConfig(simulated=True, arm_seconds=0.2, hold_seconds=0.5)
        self.guards = [Guard(MODES[mode], config) for _ in range(2)]
        self.make, self.rng = make, np.random.default_rng(seed)
        self.now, self.tick, self.sequence = 100.0, 0, 0
        self.q, self.heat = np.zeros(29), 35.0
        self.q[[JOINT_INDEX["left_shoulder_roll_joint"], JOINT_INDEX["right_shoulder_roll_joint"]]] = 0.4, -0.4
        self.moved = np.zeros(29, dtype=bool)
        self.moved[[JOINT_INDEX[name] for name in MODES[mode].joint_names]] = True
        for guard in self.guards:
            guard.configure(VARIANTS[5])

    def each(self, do: Callable[[Guard], None]) -> None:
        """Tell both guards the same; either both refuse or none does."""
        answers = []
        for guard in self.guards:
            try:
                answers.append(str(do(guard)))
            except Refused as error:
                answers.append(str(error))
        assert answers[0] == answers[1]

    def step(self, look: bool = True, late: float = 0.0, silent: bool = False) -> None:
        """Run one period, and compare all that comes of it."""
        self.now += DT
        self.tick += 2
        measured = None
        if not silent:
            measured = self.make(self.now, tick=self.tick, q=self.q.copy(), temperature=np.full(29, self.heat))
        if look:
            self.guards[1].foresee()
        one, other = (guard.step(measured, self.now + late) for guard in self.guards)
        for name in ("q", "dq", "tau", "kp", "kd", "base_velocity"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        assert (one.weight, one.state, one.writes) == (other.weight, other.state, other.writes)
        assert self.guards[0].report() == self.guards[1].report()
        if one.writes:
            self.q = np.where(one.kp > 0, one.q, self.q)

    def chunk(self, size: float, ahead: float = 0.0, steps: int = 16) -> None:
        """Offer a chunk to both: a walk of so much per step [rad] that began a little ago, or begins later."""
        self.sequence += 1
        walk = np.cumsum(self.rng.normal(0.0, size, (steps, 29)), axis=0)
        q = np.where(self.moved, np.clip(self.q + walk, -0.5, 0.8), 0.0)
        chunk = AdmittedChunk(self.now + ahead, 0.02, q, self.moved, np.full((steps, 3), 0.1), 1, self.sequence)
        self.each(lambda guard: guard.submit(chunk))


@pytest.fixture(params=["upper_body", "whole_body"])
def pair(request: pytest.FixtureRequest, robot_state: Maker) -> Pair:
    """An armed pair."""
    pair = Pair(robot_state, request.param, seed=7)
    pair.step()
    pair.each(lambda guard: guard.request("arm", pair.now))
    for _ in range(120):
        pair.step()
    assert pair.guards[0].machine.state is State.ACTIVE
    return pair


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Limiter]:
    """The limiters that went ahead."""
    ahead: list[Limiter] = []
    foresee = foresight.foresee

    def note(*arguments: object) -> foresight.Foresight:
        made = foresee(*arguments)  # type: ignore[arg-type]
        ahead.append(made.limiter)
        return made

    monkeypatch.setattr("neon_ros.guard.guard.foresee", note)
    return ahead


def test_a_regular_period_takes_what_was_foreseen(pair: Pair, looked: list[Limiter]) -> None:
    pair.chunk(0.01, ahead=-0.04)
    for _ in range(20):
        pair.step()
        assert pair.guards[1].limiter is looked[-1], "also the period that joins the chunk"
    assert len(looked) == 20 and pair.guards[1].report().chunks_joined == 1


@pytest.mark.parametrize("size", [0.004, 0.05, 0.4])
def test_foresight_changes_no_bit(pair: Pair, size: float) -> None:
    """Chunks gentle and wild, early, due later and expired; steps early, late, missing; heat, stops, faults, arming."""
    rng = np.random.default_rng(11)
    states = set()
    for index in range(1500):
        chance = rng.random()
        if chance < 0.06:
            pair.chunk(size, ahead=rng.choice([-0.3, -0.04, 0.0, 0.01, 0.4]), steps=int(rng.integers(2, 20)))
        elif chance < 0.07:
            pair.heat = float(rng.choice([35.0, 78.0, 82.0]))
        elif chance < 0.075:
            pair.each(lambda guard: guard.request("disarm", pair.now))
        elif chance < 0.08:
            pair.each(lambda guard: guard.fault("chunks refused", pair.now, pause=True))
        if index % 300 == 299:
            pair.heat = 35.0
            for _ in range(600):
                pair.step(look=False)
            pair.each(lambda guard: guard.request("arm", pair.now))
        if chance > 0.98:
            pair.now += float(rng.choice([-DT, 0.3 * DT, DT, 5 * DT]))
        if rng.random() < 0.1:  # what has been foreseen may be overtaken
            pair.guards[1].foresee()
            pair.chunk(size)
            pair.step(look=False)
        else:
            pair.step(look=rng.random() < 0.9, late=float(rng.choice([0.0, 0.0, 0.0, 0.4])) * DT, silent=chance > 0.97)
        states.add(pair.guards[0].machine.state)
    assert states >= {State.ACTIVE, State.HOLD, State.DAMPING, State.ARMING}


def test_a_stop_between_the_two_is_obeyed(pair: Pair) -> None:
    pair.chunk(0.05)
    for _ in range(30):
        pair.step()
    pair.guards[1].foresee()
    pair.each(lambda guard: guard.request("stop", pair.now))
    pair.step(look=False)
    assert pair.guards[1].machine.state is State.DAMPING
