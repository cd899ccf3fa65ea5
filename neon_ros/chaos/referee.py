"""Judge a recorded stream of commands: the invariants I1 to I5, I7, I8, I15 and the ramps of weight and stiffness.

Pure functions over records of :mod:`neon_ros.chaos.tape`; they share no code with the guard.  Velocities, accelerations
and jerks are differences of what went over the wire.  Its float32 costs each difference a known amount (half a unit in
the last place per sample), which is allowed and nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.chaos.tape import ARM_SDK, BAD_CRC, BAD_MODE, BAD_SLOTS, Records, commands_of, measured_of
from neon_ros.robot.joints import JOINT_NAMES, NUM_JOINTS

Array = NDArray[np.float64]

_GAP = 5.0  # periods without a frame after which another process may have written; until then each frame is one step
_SOON, _NEAR = 0.5, 6  # periods that a tick is early or late; frames around it
_NEW = 0.05  # [s] of silence after which a stream begins anew
_PAST = 6  # LowStates before a command that the guard may have judged it by: 12 ms
_ROUNDED = 1e-6  # relative, of products of float32 numbers
_TORQUE_ROUNDED = 1e-4
_DAMPING_EXCESS = 0.1  # [N m s/rad] of kd above every nominal gain that tells damping frames


@dataclass(frozen=True)
class Law:
    """What the commands of one robot and mode must keep to, in motor order.

    :param lower: lowest position (29,) [rad]; ``upper`` likewise.
    :param velocity: (29,) [rad/s]; ``acceleration`` [rad/s^2] and ``jerk`` [rad/s^3] likewise.
    :param torque: largest torque that may be asked for (29,) [N m].
    :param kp: largest stiffness (29,) [N m/rad].
    :param kd: damping outside DAMPING (29,) [N m s/rad]; ``damping_kd`` inside.
    :param held: which joints are commanded (29,).
    :param period: between two commands [s].
    :param rise: of the weight or the part of the stiffness while arming [1/s]; ``fall`` while letting go.
    """

    lower: Array
    upper: Array
    velocity: Array
    acceleration: Array
    jerk: Array
    torque: Array
    kp: Array
    kd: Array
    damping_kd: Array
    held: NDArray[np.bool_]
    period: float = 0.002
    rise: float = 5.0
    fall: float = 5.0


class Breach(NamedTuple):
    """One violation.

    :param time: of the command [ns, steady clock].
    :param law: the invariant, e.g. ``I4``.
    :param joint: name of the joint; empty when it is none's.
    :param value: what was found.
    :param allowed: what was allowed.
    """

    time: int
    law: str
    joint: str
    value: float
    allowed: float

    def __str__(self) -> str:
        joint = f" {self.joint}" if self.joint else ""
        return f"{self.law}{joint}: got {self.value:.6g}; allowed: {self.allowed:.6g} (at {self.time} ns)"


def _without_repeats(commands: Records, law: Law) -> Records:
    """Return the frames without those that repeat the one before them near a tick that did not come in time.

    A tick that comes right after a late one is no new period; the command stays.  Where the ticks are regular, a
    repeated frame is a joint that stands still for a period, and is judged.  For motion only: what ramps goes on.
    """
    if len(commands) < 2:
        return commands
    irregular = np.abs(np.diff(commands["time"].astype(np.float64)) * 1e-9 - law.period) > _SOON * law.period
    near = np.convolve(irregular, np.ones(2 * _NEAR + 1))[_NEAR:-_NEAR] > 0
    given = is_damping(commands, law)
    same = (commands["q"][1:] == commands["q"][:-1]).all(axis=1) & (commands["dq"][1:] == commands["dq"][:-1]).all(
        axis=1
    )
    return commands[np.concatenate([[True], ~(near & same & (given[1:] == given[:-1]))])]


def is_damping(commands: Records, law: Law) -> NDArray[np.bool_]:
    """Return which LowCmds on ``rt/lowcmd`` are damping frames (n,): their kd is that of damping, or kp is 0."""
    low = commands["kind"] != ARM_SDK
    raised = (commands["kd"] > law.kd + _DAMPING_EXCESS).any(axis=1)
    slack = (commands["kp"] == 0.0).all(axis=1) & (commands["kd"] > 0.0).any(axis=1)
    return np.asarray(low & (raised | slack))


def judge(records: Records, law: Law) -> list[Breach]:
    """Return every breach in a piece of tape, in the order of the invariants."""
    commands = commands_of(records)
    breaches = _frames(commands, law)
    commands = commands[(commands["flaws"] & BAD_CRC) == 0]
    if len(commands) == 0:
        return breaches
    breaches += _values(commands, law)
    for piece in pieces(commands, law):
        breaches += _motion(piece, law)
    breaches += _torque(commands, measured_of(records), law)
    breaches += _ramps(commands, law)
    breaches += _starts(commands, measured_of(records), law)
    return breaches


def pieces(commands: Records, law: Law) -> list[Records]:
    """Return the runs of moving frames: what differences may be taken of.

    A tick that came late, or not at all, may not make a larger step: each frame is one period after the one before.
    """
    commands = _without_repeats(commands, law)
    moving = ~is_damping(commands, law)
    gap = np.diff(commands["time"].astype(np.float64)) > _GAP * law.period * 1e9
    cut = np.flatnonzero(gap | (moving[1:] != moving[:-1])) + 1
    return [piece for piece in np.split(commands, cut) if len(piece) > 1 and not is_damping(piece[:1], law)[0]]


def _report(law_name: str, commands: Records, value: Array, allowed: Array) -> list[Breach]:
    """Return the breaches where ``value`` (n, 29) exceeds ``allowed`` (29,) or (n, 29); NaN exceeds everything."""
    over = ~(value <= allowed)
    if not over.any():
        return []
    bound = np.broadcast_to(allowed, value.shape)
    return [
        Breach(int(commands["time"][i]), law_name, JOINT_NAMES[j], float(value[i, j]), float(bound[i, j]))
        for i, j in np.argwhere(over)
    ]


def _frames(commands: Records, law: Law) -> list[Breach]:
    """I15: CRC, unused slots, modes; I1 for the weight."""
    found = []
    for bit, what in ((BAD_CRC, "CRC"), (BAD_SLOTS, "unused slots"), (BAD_MODE, "mode")):
        for record in commands[(commands["flaws"] & bit) != 0]:
            found.append(Breach(int(record["time"]), f"I15 {what}", "", 1.0, 0.0))
    for record in commands[~((commands["weight"] >= 0.0) & (commands["weight"] <= 1.0))]:
        found.append(Breach(int(record["time"]), "weight", "", float(record["weight"]), 1.0))
    return found


def _values(commands: Records, law: Law) -> list[Breach]:
    """I1, I2 and the ranges of the gains, for each frame alone."""
    found = []
    for name in ("q", "dq", "tau", "kp", "kd"):
        infinite = ~np.isfinite(commands[name])
        found += _report(f"I1 {name}", commands, infinite.astype(float), np.zeros(NUM_JOINTS))
    moving = commands[~is_damping(commands, law)]
    q = moving["q"].astype(np.float64)
    slip = np.spacing(np.abs(moving["q"])).astype(np.float64) / 2 + 1e-9
    outside = np.maximum(law.lower - q, q - law.upper) * law.held
    found += _report("I2 position", moving, outside, slip + _outside_before(moving, outside))
    tau = np.abs(commands["tau"].astype(np.float64))
    found += _report("I7 feed-forward", commands, tau, np.zeros(NUM_JOINTS))
    kp, kd = commands["kp"].astype(np.float64), commands["kd"].astype(np.float64)
    found += _report("I7 kp", commands, np.where(kp >= 0, kp, np.inf), law.kp * (1 + _ROUNDED))
    widest = np.maximum(law.kd, law.damping_kd) * (1 + _ROUNDED)
    found += _report("I7 kd", commands, np.where(kd >= 0, kd, np.inf), widest)
    return found


def _outside_before(moving: Records, outside: Array) -> Array:
    """Return how far outside each frame may still be (n, 29) [rad]: as the one before, so that it only moves inwards.

    The first after silence or damping is bounded by the measured pose, see I8.
    """
    before = np.vstack([np.full((1, NUM_JOINTS), np.inf), outside[:-1]])[: len(outside)]
    before[1:][np.diff(moving["time"].astype(np.float64)) > _NEW * 1e9] = np.inf
    return np.maximum(before, 0.0)


def _motion(piece: Records, law: Law) -> list[Breach]:
    """I3, I4 and I5 within a run of frames without a gap."""
    q, dq, dt = piece["q"].astype(np.float64), piece["dq"].astype(np.float64), law.period
    slip_q = float(np.spacing(np.float32(np.abs(q).max()))) / 2
    slip_dq = float(np.spacing(np.float32(np.abs(dq).max()))) / 2
    found = _report("I3 velocity", piece, np.abs(dq), law.velocity * (1 + _ROUNDED) + slip_dq)
    for name, values, order, bound, slip in (
        ("I3 velocity of q", q, 1, law.velocity, slip_q),
        ("I4 acceleration of q", q, 2, law.acceleration, slip_q),
        ("I5 jerk of q", q, 3, law.jerk, slip_q),
        ("I4 acceleration", dq, 1, law.acceleration, slip_dq),
        ("I5 jerk", dq, 2, law.jerk, slip_dq),
    ):
        if len(values) > order:
            rate = np.abs(np.diff(values, order, axis=0)) / dt**order
            found += _report(name, piece[order:], rate, bound * (1 + _ROUNDED) + 2**order * slip / dt**order)
    return found


def _torque(commands: Records, measured: Records, law: Law) -> list[Breach]:
    """I7: what a command asks for is within the torque, for one of the LowStates it may have been judged by."""
    measured = measured[measured["flaws"] == 0]
    if len(measured) == 0:
        return []
    rows = np.searchsorted(measured["time"], commands["time"])
    known = rows >= _PAST
    commands, rows = commands[known], rows[known]
    if len(commands) == 0:
        return []
    kp, kd, q, dq, tau = (commands[name].astype(np.float64) for name in ("kp", "kd", "q", "dq", "tau"))
    least = np.full((len(commands), NUM_JOINTS), np.inf)
    excess = np.full(len(commands), np.inf)
    for back in range(1, _PAST + 1):
        state = measured[rows - back]
        asked = np.abs(kp * (q - state["q"]) + kd * (dq - state["dq"]) + tau)
        over = (asked - law.torque * (1 + _TORQUE_ROUNDED)).max(axis=1)
        better = over < excess
        excess[better], least[better] = over[better], asked[better]
    guardian = (commands["kp"] == 0.0).all(axis=1)  # knows no LowState; damping alone is bounded by the speed
    return _report("I7 torque", commands[~guardian], least[~guardian], law.torque * (1 + _TORQUE_ROUNDED))


def _ramps(commands: Records, law: Law) -> list[Breach]:
    """The weight of arm_sdk moves no faster than its ramps."""
    sdk = commands[commands["kind"] == ARM_SDK]
    if len(sdk) < 2:
        return []
    elapsed = np.diff(sdk["time"].astype(np.int64)) * 1e-9
    steps = np.maximum(1.0, np.round(elapsed / law.period))
    change = np.diff(sdk["weight"].astype(np.float64))
    allowed = np.where(change > 0, law.rise, law.fall) * law.period * steps + 1e-6
    anew = elapsed > _NEW
    over = (np.abs(change) > allowed) & ~anew
    return [
        Breach(int(sdk["time"][i + 1]), "weight ramp", "", float(change[i]), float(allowed[i]))
        for i in np.flatnonzero(over)
    ]


def _starts(commands: Records, measured: Records, law: Law) -> list[Breach]:
    """I8: the first moving command after silence or damping is the measured pose, at rest, with no authority yet."""
    moving = ~is_damping(commands, law)
    elapsed = np.diff(commands["time"].astype(np.float64)) * 1e-9
    begins = np.flatnonzero(moving[1:] & (~moving[:-1] | (elapsed > _NEW))) + 1
    found = []
    for index in begins:
        command = commands[index]
        before = measured[measured["time"] < command["time"]][-_PAST:]
        if len(before) == 0:
            continue
        away = np.abs(before["q"].astype(np.float64) - command["q"]).min(axis=0) * law.held
        one = command[None]
        found += _report("I8 first pose", one, away[None], np.full(NUM_JOINTS, 1e-3))
        found += _report("I8 first velocity", one, np.abs(command["dq"].astype(np.float64))[None], np.zeros(NUM_JOINTS))
        authority = float(
            command["weight"] if command["kind"] == ARM_SDK else (command["kp"] / law.kp.clip(1e-9)).max()
        )
        allowed = 2.0 * law.rise * law.period + 1e-6
        if authority > allowed:
            found.append(Breach(int(command["time"]), "I8 authority", "", authority, allowed))
    return found
