"""The table of states, explored to depth 10 against rules written down apart from it."""

from __future__ import annotations

import pytest

from neon_ros.errors import Refused
from neon_ros.guard.machine import MOVING, TABLE, Event, Machine, State, follow


def test_table_is_total() -> None:
    assert set(TABLE) == set(State)
    for row in TABLE.values():
        assert set(row) == set(Event)
        assert all(isinstance(after, State) or (isinstance(after, str) and after) for after in row.values())


def _explore(depth: int) -> set[tuple[State, bool, bool]]:
    """Return every (state, armed since the last latch, configured) that sequences of ``depth`` events reach.

    The history kept beside the state is what the rules need: whether an operator armed since DAMPING or silence.
    Memoised: two sequences that end in the same triple are one.
    """
    reached = {(State.UNCONFIGURED, False, False)}
    frontier = set(reached)
    for _ in range(depth):
        following = set()
        for state, armed, configured in frontier:
            for event in Event:
                try:
                    after = follow(state, event)
                except Refused:
                    after = state
                now_configured = configured or event is Event.CONFIGURE
                now_armed = (armed or (event is Event.ARM and now_configured)) and after in MOVING
                following.add((after, now_armed, now_configured))
        frontier = following - reached
        reached |= following
    return reached


def test_nothing_moves_that_no_operator_armed() -> None:
    reached = _explore(10)
    assert {state for state, _, _ in reached} == set(State)
    for state, armed, configured in reached:
        assert state not in MOVING or (armed and configured)
        assert state is State.UNCONFIGURED or configured


def test_every_way_out_of_damping_is_the_operators() -> None:
    ways = {event for event, after in TABLE[State.DAMPING].items() if after not in (State.DAMPING,)}
    assert {event for event in ways if isinstance(TABLE[State.DAMPING][event], State)} == {
        Event.ARM,
        Event.RELEASED,
        Event.LOST,
    }
    assert TABLE[State.DAMPING][Event.ARM] is State.ARMING


@pytest.mark.parametrize("state", sorted(MOVING, key=lambda state: state.value))
def test_faults_stops_and_losses_always_end_motion(state: State) -> None:
    assert follow(state, Event.FAULT) is State.DAMPING
    assert follow(state, Event.STOP) is State.DAMPING
    assert follow(state, Event.DISARM) is State.DAMPING
    assert follow(state, Event.LOST) is State.INACTIVE


@pytest.mark.parametrize("state", State)
def test_stop_and_disarm_are_never_refused(state: State) -> None:
    for event in Event:
        if event not in (Event.ARM, Event.CONFIGURE):
            follow(state, event)


def test_staleness_only_goes_down() -> None:
    order = [State.ACTIVE, State.HOLD, State.DAMPING]
    for state in order:
        for event in (Event.PAUSE, Event.FAULT):
            after = follow(state, event)
            assert order.index(after) >= order.index(state)


@pytest.mark.parametrize(
    ("path", "event", "message"),
    [
        ([], Event.ARM, r"arm in state: got UNCONFIGURED; allowed: a guard that is configured"),
        ([Event.CONFIGURE, Event.ARM], Event.ARM, r"arm in state: got ARMING; allowed: INACTIVE or DAMPING"),
        ([Event.CONFIGURE, Event.ARM], Event.CONFIGURE, r"configure in state: got ARMING; allowed: INACTIVE; disarm"),
        ([Event.CONFIGURE, Event.ARM, Event.ARMED], Event.CONFIGURE, r"configure in state: got ACTIVE"),
        ([Event.CONFIGURE, Event.ARM, Event.FAULT], Event.CONFIGURE, r"configure in state: got DAMPING"),
    ],
)
def test_refusals_say_why_and_change_nothing(path: list[Event], event: Event, message: str) -> None:
    machine = Machine()
    for k, step in enumerate(path):
        machine.handle(step, f"step {k}", float(k))
    before = (machine.state, machine.since, machine.reason, machine.transitions)
    with pytest.raises(Refused, match=message):
        machine.handle(event, "never kept", 99.0)
    assert (machine.state, machine.since, machine.reason, machine.transitions) == before


def test_keeps_the_first_reason_and_time_of_a_state() -> None:
    machine = Machine()
    assert machine.handle(Event.CONFIGURE, "configured", 1.0)
    assert not machine.handle(Event.CONFIGURE, "again", 2.0)
    assert (machine.state, machine.since, machine.reason, machine.transitions) == (State.INACTIVE, 1.0, "configured", 1)


def test_a_new_machine_waits_for_the_robot() -> None:
    machine = Machine()
    assert (machine.state, machine.since, machine.reason, machine.transitions) == (
        State.UNCONFIGURED,
        0.0,
        "no LowState yet",
        0,
    )
