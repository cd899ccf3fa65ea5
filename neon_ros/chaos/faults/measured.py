"""What the robot measures goes wrong, or the robot itself: F15 to F21, F37, F38."""

from __future__ import annotations

import time

import numpy as np

from neon_ros.chaos import reactions
from neon_ros.chaos.bench import CYCLE, WALL, Bench, fault
from neon_ros.chaos.rig import Rig
from neon_ros.chaos.tape import Records, commands_of, measured_of

_HOT, _HOT_WINDING = 85.0, 120.0  # [deg C] limits of casing and winding
_BATTERY = 1.0 + 0.15  # [s] between two looks at it, and of its own word and the thread that looks
_JOINT = 13  # waist roll
_ELBOW = 18


def _last_good(records: Records, moment: int) -> int:
    """Return when the last LowState without a fault was sent before a moment [ns]."""
    good = measured_of(records)
    good = good["time"][(good["faulty"] == 0) & (good["time"] < moment)]
    return int(good[-1]) if len(good) else moment


def _silent(rig: Rig, bench: Bench, what: str, **ills: object) -> None:
    """Measure HOLD and DAMPING after the last good LowState."""
    mark = rig.mark()
    time.sleep(0.02)
    bench.moment()
    moment = rig.ills(**ills)
    time.sleep(0.2)
    records = rig.records(mark)
    last = _last_good(records, moment)
    hold = reactions.state_from(records, ("HOLD",), last)
    bench.took(f"HOLD, LowState {what}", last, hold, 0.020 + CYCLE + WALL, least=0.020 - CYCLE)
    damping = reactions.damping_from(records, rig.law, last)
    bench.took(f"DAMPING, LowState {what}", last, damping, 0.050 + CYCLE + WALL, least=0.050 - CYCLE)


@fault("F15", "LowState lost", "HOLD at 20 ms, DAMPING at 50 ms")
def lowstate_lost(rig: Rig, bench: Bench) -> None:
    """Send no LowState any more."""
    _silent(rig, bench, "lost", lowstate="lost")


@fault("F16", "LowState stuck (same tick), bad CRC, not finite", "as F15")
def lowstate_bad(rig: Rig, bench: Bench) -> None:
    """Send LowStates that are worth nothing, in each of three ways."""
    for what in ("frozen", "corrupt", "nan"):
        _silent(rig, bench, what, lowstate=what)
        if what != "nan":
            rig.active()


@fault("F17", "LowState spikes: q jumps, dq 14 rad/s, gyro 7 rad/s", "one is ignored, three in a row: DAMPING")
def lowstate_spikes(rig: Rig, bench: Bench) -> None:
    """Send one outlier, then three."""
    for index, kind in enumerate(("q", "dq", "gyro")):
        if index:
            rig.active()
        mark = rig.mark()
        bench.moment()
        rig.ills(spike=kind, spikes=1)
        time.sleep(0.15)
        records = rig.records(mark)
        left = float(reactions.states_after(records, 0) != ["ACTIVE"]) + len(reactions.sudden(records, rig.law))
        bench.exactly("reactions to one outlier", left, 0)
        mark = rig.mark()
        moment = rig.ills(spike=kind, spikes=3)
        time.sleep(0.1)
        damping = reactions.damping_from(rig.records(mark), rig.law, moment)
        bench.took(f"DAMPING after the first of three, {kind}", moment, damping, 4 * CYCLE)


@fault("F18", "tilt of 1.2 rad", "DAMPING, stiffness at once 0")
def tilted(rig: Rig, bench: Bench) -> None:
    """Let the IMU lean."""
    mark = rig.mark()
    bench.moment()
    moment = rig.ills(tilt=1.2)
    time.sleep(0.1)
    records = rig.records(mark)
    bench.took("DAMPING", moment, reactions.damping_from(records, rig.law, moment), 2 * CYCLE)
    if rig.mode.topic == "lowcmd":
        bench.took("stiffness is 0", moment, reactions.slack_from(records, rig.law, moment), 2 * CYCLE)


def _asked(records: Records, joint: int) -> float:
    """Return the torque that the last commands asked of a joint [N m]."""
    commands, states = commands_of(records)[-50:], measured_of(records)
    rows = np.searchsorted(states["time"], commands["time"]) - 1
    error = commands["q"][:, joint] - states["q"][rows, joint]
    return float(np.median(np.abs(commands["kp"][:, joint] * error)))


@fault("F19", "overheating: casing 70 to 85 deg C, winding to 120 deg C", "derated from 80 %, DAMPING at the limit")
def overheated(rig: Rig, bench: Bench) -> None:
    """Heat a motor that works hard, step by step to just below its limit, then over it."""
    for index, (part, limit) in enumerate((("surface", _HOT), ("winding", _HOT_WINDING))):
        if index:
            rig.active()
        rig.ills(lag=0.25, joint=_JOINT)
        time.sleep(0.15)
        cool = _asked(rig.records(rig.mark() - 400), _JOINT)
        mark = rig.mark()
        for degrees in np.linspace(70.0, limit - 1.0, 5):
            rig.ills(**{part: float(degrees)})
            time.sleep(0.06)
        records = rig.records(mark)
        bench.exactly(f"states before the limit, {part}", len(reactions.states_after(records, 0)), 1)
        ratio = _asked(records, _JOINT) / max(cool, 1e-9)
        bench.counted(f"torque left just below the limit, {part}", ratio, 0.9, least=0.05)
        mark = rig.mark()
        moment = rig.ills(**{part: limit + 1.0})
        time.sleep(0.1)
        damping = reactions.damping_from(rig.records(mark), rig.law, moment)
        bench.took(f"DAMPING over the limit, {part}", moment, damping, 2 * CYCLE)


@fault("F20", "motor fault bits; battery below 20 %", "HOLD or DAMPING, arming refused")
def faulty_motor(rig: Rig, bench: Bench) -> None:
    """Report an overcurrent, then an empty battery."""
    kinds: tuple[tuple[str, dict[str, float], float], ...] = (
        ("motorstate", {"motorstate": 1}, 2 * CYCLE),
        ("battery", {"soc": 15.0}, _BATTERY),
    )
    for index, (what, ills, bound) in enumerate(kinds):
        if index:
            rig.active()
        mark = rig.mark()
        bench.moment()
        moment = rig.ills(**ills)
        rig.until(lambda: rig.state() in ("HOLD", "DAMPING"), f"a reaction to {what}", 6.0)
        stopped = reactions.state_from(rig.records(mark), ("HOLD", "DAMPING"), moment)
        bench.took(f"HOLD or DAMPING, {what}", moment, stopped, bound)
        rig.until(lambda: rig.state() == "DAMPING", "DAMPING", 6.0)
        time.sleep(0.3)
        bench.exactly(f"armed with it, {what}", rig.arm()["success"], 0)


@fault("F21", "mode_machine changes; a controller of the robot takes the motors", "silence, INACTIVE")
def taken_away(rig: Rig, bench: Bench) -> None:
    """Become another variant; then let the robot's own controller own the motors."""
    mark = rig.mark()
    bench.moment()
    moment = rig.ills(mode_machine=6)
    time.sleep(0.2)
    records = rig.records(mark)
    bench.took("last command after the variant changed", moment, reactions.last_command(records), 2 * CYCLE)
    bench.exactly("INACTIVE", rig.state() == "INACTIVE", 1)
    if rig.mode.needs_release:
        rig.active()
        mark = rig.mark()
        bench.moment()
        moment = rig.ills(owner="ai")
        time.sleep(1.0)
        damping = reactions.damping_from(rig.records(mark), rig.law, moment)
        last = reactions.last_command(rig.records(mark))
        gone = last if last is not None and time.monotonic_ns() - last > 300_000_000 else damping
        bench.took("given up after another owner was set (asked for at 2 Hz)", moment, gone, 0.6)


@fault("F37", "robot powered off while ACTIVE, back in another pose", "as F15; then a bumpless start")
def powered_off(rig: Rig, bench: Bench) -> None:
    """Switch the robot off and on; arm it in the pose to which it has sunk."""
    _silent(rig, bench, "off", powered=False)
    time.sleep(0.5)
    rig.robot.ask(set={"powered": True}, shift=[0.05] * 29)
    rig.until(lambda: rig.state() in ("DAMPING", "INACTIVE"), "a motor that waits")
    time.sleep(0.3)
    bench.exactly("moving by itself", rig.state() in ("ACTIVE", "ARMING", "HOLD"), 0)
    mark = rig.mark()
    rig.active(settle=0.0)
    records = rig.records(mark)
    armed = reactions.state_from(records, ("ARMING",), 0) or 0
    first = commands_of(records)
    first = first[first["time"] >= armed][:1]
    before = measured_of(records)
    before = before[before["time"] < (first["time"][0] if len(first) else 0)][-3:]
    away = np.abs(first["q"] - before["q"]).max(axis=1).min() if len(first) and len(before) else np.nan
    bench.counted("first command from the measured pose [mrad]", float(away) * 1e3, 1.0)


@fault("F38", "a joint is blocked", "torque within the limit, HOLD when it is over 0.3 rad off for 100 ms")
def blocked(rig: Rig, bench: Bench) -> None:
    """Hold the left elbow while the policy swings it."""
    rig.habits(swing=0.45, joint=_ELBOW)
    time.sleep(1.0)
    mark = rig.mark()
    rig.ills(blocked=0.01, joint=_ELBOW)
    rig.until(lambda: rig.state() in ("HOLD", "DAMPING"), "HOLD", 8.0)
    time.sleep(0.05)
    records = rig.records(mark)
    hold = reactions.state_from(records, ("HOLD",), 0)
    commands, states = commands_of(records), measured_of(records)
    rows = np.maximum(np.searchsorted(states["time"], commands["time"]) - 1, 0)
    off = np.abs(commands["q"][:, _ELBOW] - states["q"][rows, _ELBOW]) > 0.3
    begun = np.flatnonzero(~off[:-1] & off[1:] & (commands["time"][1:] < (hold or 0)))
    start = int(commands["time"][begun[-1] + 1]) if len(begun) else 0
    bench.took("HOLD after the error passed 0.3 rad", start, hold if start else None, 0.110, least=0.098)
    bench.exactly("DAMPING before HOLD", reactions.states_after(records, 0)[:2] != ["ACTIVE", "HOLD"], 0)
