"""The states of the guard: every state, every event and what follows, as one table.

The table is total: each pair of state and event is a next state (the same state means "no change") or a sentence,
the refusal.
Only an operator's ``ARM`` leads towards motion; from ``DAMPING`` there is no other way back (latched).
"""

from __future__ import annotations

from enum import Enum

from neon_ros.errors import Refused, refuse


class State(Enum):
    """What the guard is doing."""

    UNCONFIGURED = "UNCONFIGURED"  # the variant is unknown; silent
    INACTIVE = "INACTIVE"  # ready to be armed; silent
    ARMING = "ARMING"  # holding the measured pose, authority rising
    ACTIVE = "ACTIVE"  # following chunks, or holding until the first comes
    HOLD = "HOLD"  # stopped within limits, holding; a valid chunk resumes, two seconds latch DAMPING
    DAMPING = "DAMPING"  # authority falling to none, latched


class Event(Enum):
    """What can happen to the guard."""

    CONFIGURE = "configure"  # the variant has been learnt
    ARM = "arm"  # operator
    DISARM = "disarm"  # operator
    STOP = "stop"  # operator, always accepted
    ARMED = "armed"  # the arming ramp is over
    RESUME = "resume"  # a valid chunk begins and every cause of HOLD is gone
    PAUSE = "pause"  # chunks are stale, or a fault that a stop answers
    FAULT = "fault"  # a fault that only damping answers, or HOLD lasted too long
    LOST = "lost"  # somebody else has the robot: other variant, other mode_pr
    RELEASED = "released"  # authority has fallen to none after a disarm


MOVING: frozenset[State] = frozenset({State.ARMING, State.ACTIVE, State.HOLD})
"""States in which the guard has authority over the joints."""

_U, _I, _A, _R, _H, _D = (
    State.UNCONFIGURED,
    State.INACTIVE,
    State.ARMING,
    State.ACTIVE,
    State.HOLD,
    State.DAMPING,
)
_NOT_CONFIGURED = "a guard that is configured: no LowState has told the robot's variant yet"
_MOVING = "INACTIVE; disarm first"
_ALREADY = "INACTIVE or DAMPING; it is armed already"

TABLE: dict[State, dict[Event, State | str]] = {
    _U: {
        Event.CONFIGURE: _I,
        Event.ARM: _NOT_CONFIGURED,
        Event.DISARM: _U,
        Event.STOP: _U,
        Event.ARMED: _U,
        Event.RESUME: _U,
        Event.PAUSE: _U,
        Event.FAULT: _U,
        Event.LOST: _U,
        Event.RELEASED: _U,
    },
    _I: {
        Event.CONFIGURE: _I,
        Event.ARM: _A,
        Event.DISARM: _I,
        Event.STOP: _I,
        Event.ARMED: _I,
        Event.RESUME: _I,
        Event.PAUSE: _I,
        Event.FAULT: _I,
        Event.LOST: _I,
        Event.RELEASED: _I,
    },
    _A: {
        Event.CONFIGURE: _MOVING,
        Event.ARM: _ALREADY,
        Event.DISARM: _D,
        Event.STOP: _D,
        Event.ARMED: _R,
        Event.RESUME: _A,
        Event.PAUSE: _D,
        Event.FAULT: _D,
        Event.LOST: _I,
        Event.RELEASED: _A,
    },
    _R: {
        Event.CONFIGURE: _MOVING,
        Event.ARM: _ALREADY,
        Event.DISARM: _D,
        Event.STOP: _D,
        Event.ARMED: _R,
        Event.RESUME: _R,
        Event.PAUSE: _H,
        Event.FAULT: _D,
        Event.LOST: _I,
        Event.RELEASED: _R,
    },
    _H: {
        Event.CONFIGURE: _MOVING,
        Event.ARM: _ALREADY,
        Event.DISARM: _D,
        Event.STOP: _D,
        Event.ARMED: _H,
        Event.RESUME: _R,
        Event.PAUSE: _H,
        Event.FAULT: _D,
        Event.LOST: _I,
        Event.RELEASED: _H,
    },
    _D: {
        Event.CONFIGURE: _MOVING,
        Event.ARM: _A,
        Event.DISARM: _D,
        Event.STOP: _D,
        Event.ARMED: _D,
        Event.RESUME: _D,
        Event.PAUSE: _D,
        Event.FAULT: _D,
        Event.LOST: _I,
        Event.RELEASED: _I,
    },
}


def follow(state: State, event: Event) -> State:
    """Return the state after ``event`` in ``state``.

    :raises Refused: where the table refuses.
    """
    after = TABLE[state][event]
    if isinstance(after, str):
        raise Refused(refuse(f"{event.value} in state", state.value, after))
    return after


class Machine:
    """The present state, since when and why.

    :param reason: in words, for the operator.
    """

    def __init__(self) -> None:
        self.state = State.UNCONFIGURED
        self.since = 0.0
        self.reason = "no LowState yet"
        self.transitions = 0

    def handle(self, event: Event, reason: str, now: float) -> bool:
        """Take ``event``; return whether the state changed.

        :param reason: kept when the state changes.
        :param now: [s, steady clock].
        :raises Refused: where the table refuses; then nothing has changed.
        """
        after = follow(self.state, event)
        if after is self.state:
            return False
        self.state, self.since, self.reason = after, now, reason
        self.transitions += 1
        return True
