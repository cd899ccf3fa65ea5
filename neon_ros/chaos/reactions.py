"""When a stream of commands reacts to a fault: pure functions over a piece of tape, times in ns of the steady clock."""

from __future__ import annotations

import numpy as np

from neon_ros.chaos.referee import Law, is_damping, pieces
from neon_ros.chaos.tape import ARM_SDK, STATES, Records, commands_of, reports_of

_SUDDEN = 0.2
"""Part of the jerk limit that no smooth policy reaches, and a stop does in its first period."""


def state_from(records: Records, states: tuple[str, ...], after: int) -> int | None:
    """Return when the motor was first in one of ``states`` after a moment; it reports each change at once."""
    reports = reports_of(records)
    wanted = np.isin(reports["state"], [STATES.index(state) for state in states]) & (reports["time"] >= after)
    return int(reports["time"][wanted][0]) if wanted.any() else None


def states_after(records: Records, after: int) -> list[str]:
    """Return the states after a moment in their order, each change once."""
    seen = reports_of(records)
    seen = seen["state"][seen["time"] >= after]
    return [STATES[seen[i]] for i in range(len(seen)) if i == 0 or seen[i] != seen[i - 1]]


def damping_from(records: Records, law: Law, after: int) -> int | None:
    """Return when the first frame that gives the robot up came: damping on lowcmd, a falling weight on arm_sdk."""
    commands = commands_of(records)
    given = is_damping(commands, law)
    sdk = commands["kind"] == ARM_SDK
    falling = np.zeros(len(commands), dtype=bool)
    falling[1:] = sdk[1:] & sdk[:-1] & (commands["weight"][1:] < commands["weight"][:-1])
    wanted = (given | falling) & (commands["time"] >= after)
    return int(commands["time"][wanted][0]) if wanted.any() else None


def slack_from(records: Records, law: Law, after: int) -> int | None:
    """Return when stiffness (or the weight) was first 0 after a moment."""
    commands = commands_of(records)
    sdk = commands["kind"] == ARM_SDK
    slack = np.where(sdk, commands["weight"] == 0.0, (commands["kp"] == 0.0).all(axis=1))
    wanted = slack & (commands["time"] >= after)
    return int(commands["time"][wanted][0]) if wanted.any() else None


def stop_from(records: Records, law: Law, after: int) -> int | None:
    """Return when the joints first left a smooth path, as a stop does."""
    times = sudden(records, law)
    times = times[times >= after]
    return int(times[0]) if len(times) else None


def sudden(records: Records, law: Law) -> np.ndarray:
    """Return the times of frames whose jerk no smooth path has."""
    found: list[np.ndarray] = []
    for piece in pieces(commands_of(records), law):
        jerk = np.abs(np.diff(piece["dq"].astype(np.float64), 2, axis=0)) / law.period**2
        found.append(piece["time"][2:][(jerk > _SUDDEN * law.jerk).any(axis=1)])
    return np.concatenate(found) if found else np.zeros(0, np.uint64)


def rest_from(records: Records, law: Law, after: int) -> int | None:
    """Return from when on no joint is asked to move any more."""
    commands = commands_of(records)
    commands = commands[commands["time"] >= after]
    moving = np.flatnonzero((np.abs(commands["dq"]) > 1e-6).any(axis=1) & ~is_damping(commands, law))
    if len(commands) == 0:
        return None
    first = 0 if len(moving) == 0 else int(moving[-1]) + 1
    return int(commands["time"][min(first, len(commands) - 1)])


def last_command(records: Records) -> int | None:
    """Return when the last LowCmd came."""
    commands = commands_of(records)
    return int(commands["time"][-1]) if len(commands) else None


def first_command(records: Records, after: int) -> int | None:
    """Return when the first LowCmd after a moment came."""
    times = commands_of(records)["time"]
    times = times[times >= after]
    return int(times[0]) if len(times) else None


def longest_gap(records: Records, after: int, until: int | None = None) -> float:
    """Return the longest time without a LowCmd after a moment [s]."""
    times = commands_of(records)["time"].astype(np.int64)
    times = times[(times >= after) & (times <= (until or np.iinfo(np.int64).max))]
    return float(np.diff(np.concatenate([[after], times])).max() * 1e-9) if len(times) else float("inf")


def period_errors(records: Records, law: Law, after: int = 0) -> np.ndarray:
    """Return how far the time between each two LowCmds was from the period [s]."""
    times = commands_of(records)["time"].astype(np.int64)
    return np.abs(np.diff(times[times >= after]) * 1e-9 - law.period)


def chunk_end(records: Records, before: int, length: float) -> int | None:
    """Return when the last step of the newest chunk that was joined before a moment is due.

    :param length: from a chunk's first step to its last [s].
    """
    reports = reports_of(records)
    reports = reports[(reports["time"] <= before) & (reports["age"] >= 0.0)]
    if len(reports) == 0:
        return None
    newest = reports[-1]
    return int(newest["time"]) - round(float(newest["age"]) * 1e9) + round(length * 1e9)
