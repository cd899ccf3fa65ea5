"""The state machine as a list of transitions typed from the safety card."""

from __future__ import annotations

# state, what happens, next state.  What is not listed changes nothing; REFUSED ones say why.
TRANSITIONS = """
UNCONFIGURED configure INACTIVE
INACTIVE     arm       ARMING
ARMING       armed     ACTIVE
ARMING       pause     DAMPING
ACTIVE       pause     HOLD
HOLD         resume    ACTIVE
DAMPING      released  INACTIVE
DAMPING      arm       ARMING
ARMING       fault     DAMPING
ACTIVE       fault     DAMPING
HOLD         fault     DAMPING
ARMING       stop      DAMPING
ACTIVE       stop      DAMPING
HOLD         stop      DAMPING
ARMING       disarm    DAMPING
ACTIVE       disarm    DAMPING
HOLD         disarm    DAMPING
ARMING       lost      INACTIVE
ACTIVE       lost      INACTIVE
HOLD         lost      INACTIVE
DAMPING      lost      INACTIVE
"""
REFUSALS = """
UNCONFIGURED arm
ARMING       arm
ACTIVE       arm
HOLD         arm
ARMING       configure
ACTIVE       configure
HOLD         configure
DAMPING      configure
"""
STATES = ("UNCONFIGURED", "INACTIVE", "ARMING", "ACTIVE", "HOLD", "DAMPING")

NEXT = {(a, what): b for a, what, b in (line.split() for line in TRANSITIONS.strip().splitlines())}
REFUSED = {tuple(line.split()) for line in REFUSALS.strip().splitlines()}


def after(state: str, event: str) -> str | None:
    """Return the state after ``event``; ``None`` when it is refused."""
    return None if (state, event) in REFUSED else NEXT.get((state, event), state)
