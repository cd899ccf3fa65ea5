"""The single checks of ``neon check``: facts in, one row out.  Nothing here touches robot, files or clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import numpy as np

from neon_ros.errors import ContractError, RobotError
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.limits import motion_limits
from neon_ros.motor.jitter import Jitter
from neon_ros.motor.side import NOT_STANDING
from neon_ros.robot.battery import BATTERY_TOPIC
from neon_ros.robot.faults import motor_faults
from neon_ros.robot.joints import JOINT_NAMES
from neon_ros.robot.modes import ControlMode
from neon_ros.robot.remote import STOPS, present, pressed
from neon_ros.robot.variants import Variant, variant
from neon_ros.robot.wire import LowState, decode_low_state

EPOCH = 1_704_067_200.0  # [s] 2024-01-01: an older system time is that of a computer without one
_RATE = (400.0, 600.0)  # [Hz] of LowState; the robot sends 500
_LOST = 0.01  # share of LowStates that may be lost
_PUNCTUAL, _HOLDABLE = 0.0004, 0.001  # [s] period error p99.9: good (200 us are 10 % of a period), and still a loop
_CLOCKS = 0.005  # [s] that wall and steady clock may part by while listening
_LOW = 30.0  # [%] charge that is worth a warning


class Result(Enum):
    """How a check ended; only FAIL makes ``neon check`` fail."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIP = "-"  # could not be judged


class Check(NamedTuple):
    """One row of the table.

    :param name: what was looked at.
    :param seen: what was found.
    :param allowed: what would have been right.
    """

    name: str
    result: Result
    seen: str
    allowed: str


@dataclass
class Heard:
    """What a while of listening to LowState brought.

    :param seconds: how long was listened [s].
    :param state: the newest sound one.
    """

    seconds: float = 0.0
    good: int = 0
    bad: int = 0
    last_bad: str = ""
    lost: int = 0
    stuck: int = 0
    state: LowState | None = None
    _times: list[int] = field(default_factory=list)

    def take(self, payload: bytes, steady_ns: int) -> None:
        """Take in one message.

        :param steady_ns: when it came [ns, steady clock].
        """
        try:
            state = decode_low_state(payload, steady_ns)
        except ContractError as error:
            self.bad, self.last_bad = self.bad + 1, str(error)
            return
        if self.state is not None:
            step = state.tick - self.state.tick
            self.stuck += step <= 0
            self.lost += max(0, round(step / 2) - 1)  # the tick counts milliseconds, a message comes every second one
        self.good += 1
        self.state = state

    @property
    def rate(self) -> float:
        """Return messages that the robot sent per second, those included that were lost on the way to us."""
        return (self.good + self.bad + self.lost) / self.seconds if self.seconds else 0.0


def judged(name: str, wrong: bool, seen: object, allowed: str, result: Result = Result.FAIL) -> Check:
    """Return a row that is ok unless ``wrong``."""
    return Check(name, result if wrong else Result.OK, str(seen), allowed)


def interface(name: str, existing: Sequence[str], state: str) -> Check:
    """Judge the network interface; ``state`` as in ``/sys/class/net/<name>/operstate``."""
    if name not in existing:
        return Check("network interface", Result.FAIL, repr(name), ", ".join(existing))
    fine = state == "up" or (name == "lo" and state == "unknown")
    unsure = state == "unknown"
    result = Result.OK if fine else Result.WARN if unsure else Result.FAIL
    return Check("network interface", result, f"{name} ({state or 'state unknown'})", "one that is up")


def domains(robot: int, ros: str, error: str) -> Check:
    """Judge the DDS domain of the robot and whether a link could be opened on it."""
    return judged("DDS link", bool(error), error or f"domain {robot}; ROS on {ros}", "a link, and two domains")


def low_state(heard: Heard, where: str) -> list[Check]:
    """Judge whether LowState comes, how often, and whether it is sound."""
    if not heard.good + heard.bad:
        return [Check("LowState", Result.FAIL, f"none in {heard.seconds:.1f} s", f"500 a second on {where}")]
    total = heard.good + heard.lost
    lost = heard.lost / total if total else 1.0
    low, high = _RATE
    return [
        judged("LowState rate", not low <= heard.rate <= high, f"{heard.rate:.0f} a second", f"{low:g} to {high:g}"),
        judged(
            "LowState lost",
            lost > _LOST,
            f"{heard.lost} of {total}",
            f"{100 * _LOST:g} %, on the way or here",
            Result.WARN,
        ),
        judged("LowState tick", heard.stuck > 0, f"{heard.stuck} times not moved on", "always moved on"),
        judged("LowState CRC", heard.bad > 0, heard.last_bad or f"{heard.good} right", "every one right"),
    ]


def clock(system: float, wall: float, steady: float) -> list[Check]:
    """Judge the system time, and how far wall and steady clock parted while listening.

    :param system: [s since 1970].
    :param wall: time that passed on the wall clock [s].
    :param steady: the same on the steady clock [s].
    """
    apart = abs(wall - steady)
    return [
        judged(
            "system time", system < EPOCH, f"{(system - EPOCH) / 31_557_600.0:.1f} years after 2024", "2024 or later"
        ),
        judged("clocks", apart > _CLOCKS, f"{1e3 * apart:.2f} ms apart", f"{1e3 * _CLOCKS:g} ms", Result.WARN),
    ]


def owner(mode: ControlMode, name: str | None, trouble: str) -> Check:
    """Judge who owns the motors; ``None`` and ``trouble`` when nobody said."""
    title = "motors' owner"
    if name is None:
        return Check(title, Result.FAIL, trouble, "an answer of motion_switcher")
    if mode.needs_release:
        said = f"{name!r}; arming releases it" if name else "nobody"
        return judged(title, bool(name), said, f"nobody for {mode.name}", Result.WARN)
    return judged(title, not name, repr(name), f"the robot's controller, for {mode.name}")


def walker(mode: ControlMode, fsm: int | None, trouble: str) -> Check:
    """Judge the state of the walking controller."""
    title = "walking controller"
    if fsm is None:
        return Check(title, Result.SKIP if mode.needs_release else Result.WARN, trouble, "its state, of service sport")
    wrong = fsm in NOT_STANDING and not mode.needs_release
    return judged(title, wrong, f"state {fsm}" + (f" ({NOT_STANDING[fsm]})" if fsm in NOT_STANDING else ""), "standing")


def machine(mode: ControlMode, state: LowState, config: GuardConfig) -> tuple[list[Check], Variant | None]:
    """Judge which robot it says it is; return also the variant."""
    try:
        found = variant(state.mode_machine)
    except RobotError as error:
        return [
            Check("variant", Result.FAIL, f"mode_machine {state.mode_machine}", str(error).split("allowed: ")[-1])
        ], None
    absent = [name for name in mode.joint_names if name in found.absent]
    said = f"{found.urdf} (mode_machine {state.mode_machine})"
    rows = [Check("variant", Result.OK, said, "a known one")]
    if absent:
        rows.append(Check("joints", Result.WARN, f"{', '.join(absent)} absent", f"the joints of {mode.name}"))
    rows.append(judged("mode_pr", state.mode_pr != 0, state.mode_pr, "0 (pitch/roll)"))
    limits = motion_limits(found, config.limits)
    outside = [
        f"{JOINT_NAMES[i]} {state.q[i]:.3f}"
        for i in np.flatnonzero(found.present() & ((state.q < limits.lower) | (state.q > limits.upper)))
    ]
    rows.append(judged("pose", bool(outside), ", ".join(outside) or "inside", "inside the limits", Result.WARN))
    return rows, found


def posture(state: LowState, config: GuardConfig) -> list[Check]:
    """Judge lean and motion."""
    x, y = state.quaternion_wxyz[1:3]
    tilt = math.acos(min(1.0, max(-1.0, 1.0 - 2.0 * float(x * x + y * y))))
    fastest = int(np.abs(state.dq).argmax())
    speed = float(np.abs(state.dq[fastest]))
    return [
        judged("tilt", tilt > config.max_tilt, f"{tilt:.2f} rad", f"at most {config.max_tilt:g} rad"),
        judged(
            "joint speed",
            speed > config.arm_max_dq,
            f"{JOINT_NAMES[fastest]} {speed:.2f} rad/s",
            f"at most {config.arm_max_dq:g} rad/s",
        ),
    ]


def motors(state: LowState, found: Variant, config: GuardConfig) -> list[Check]:
    """Judge temperatures and fault bits of the motors that this variant has."""
    rows, here = [], np.flatnonzero(found.present())
    for what, heat, top in (
        ("casings", state.temperature, config.max_casing),
        ("windings", state.winding, config.max_winding),
    ):
        hottest = int(here[int(heat[here].argmax())])
        value = float(heat[hottest])
        warm = Result.FAIL if value >= top else Result.WARN
        rows.append(
            judged(
                what,
                value >= config.derate_from * top,
                f"{JOINT_NAMES[hottest]} {value:.0f} deg C",
                f"below {top:g} deg C; derated from {config.derate_from * top:g}",
                warm,
            )
        )
    bits = state.motorstate
    faults = [f"{JOINT_NAMES[i]}: {', '.join(motor_faults(int(bits[i])))}" for i in here if bits[i]]
    rows.append(judged("motor faults", bool(faults), "; ".join(faults) or "none", "none"))
    return rows


def battery(charge: float | None, config: GuardConfig) -> Check:
    """Judge the charge [%]; ``None`` when the robot did not say it."""
    if charge is None:
        return Check("battery", Result.WARN, f"nothing on {BATTERY_TOPIC}", "its charge; arming goes without")
    result = Result.FAIL if charge < config.min_charge else Result.WARN
    return judged(
        "battery", charge < max(_LOW, config.min_charge), f"{charge:.0f} %", f"at least {config.min_charge:g} %", result
    )


def remote(data: bytes) -> Check:
    """Say whether the wireless remote is there, and judge that nobody holds a stop."""
    if not present(data):
        return Check("remote", Result.WARN, "none", "the wireless remote at hand: its L2+B stops the robot")
    down = pressed(data)
    stops = any(set(stop.split("+")) <= set(down) for stop in STOPS)
    seen, result = "+".join(down) or "there", Result.FAIL if stops else Result.WARN
    return judged("remote", bool(down), seen, "no button held down", result)


def writers(topic: str, foreign: Sequence[str], needed: bool) -> Check:
    """Judge who else writes on a command topic."""
    seen = f"{len(foreign)}: {', '.join(foreign)}" if foreign else "none"
    return judged(f"writers {topic}", bool(foreign), seen, "none", Result.FAIL if needed else Result.WARN)


def head(
    name: str,
    mode: ControlMode,
    manifest_mode: str,
    joint_names: Iterable[str],
    checksum: str,
    found: Variant | None,
    trouble: str,
) -> Check:
    """Judge the checkpoint against mode and joints of the robot; ``trouble`` when it could not be opened."""
    if trouble:
        return Check("checkpoint", Result.FAIL, trouble, f"a whole checkpoint for {mode.name}")
    names = tuple(joint_names)
    absent = [] if found is None else [joint for joint in names if joint in found.absent]
    needed = [joint for joint in mode.joint_names if found is None or joint not in found.absent]
    said = f"{name}, {manifest_mode}, {len(names)} joints, sha256 {checksum[:12]}"
    if absent or set(names) != set(needed):
        wrong = f"lacks {', '.join(absent)}" if absent else f"{sorted(set(names) ^ set(needed))}"
        return Check(
            "checkpoint", Result.FAIL, f"{said}; the robot {wrong}", f"the {len(needed)} joints of {mode.name}"
        )
    return Check("checkpoint", Result.OK, said, "every file as in its manifest, for this robot")


def key(mode: int | None, size: int, mine: bool) -> Check:
    """Judge the file with the session's chunk key: its permissions, or ``None`` when there is no file yet."""
    if mode is None:
        return Check("chunk key", Result.OK, "none yet", "made at the start, mode 0600")
    wrong = bool(mode & 0o077) or not mine or size < 32
    return judged(
        "chunk key", wrong, f"mode {mode:04o}, {size} bytes{'' if mine else ', of another user'}", "mode 0600, yours"
    )


def session(name: str, running: str) -> Check:
    """Say whether a motor process of this session runs already."""
    return judged("session", bool(running), running or f"{name} is free", "free, to start another", Result.WARN)


def punctuality(jitter: Jitter, real: bool) -> list[Check]:
    """Judge the bare 500 Hz loop of this machine."""
    error = jitter.p999
    result = Result.FAIL if real and error > _HOLDABLE else Result.WARN
    seen = f"p50 {1e6 * jitter.p50:.0f} us, p99.9 {1e6 * error:.0f} us, worst {1e6 * jitter.worst:.0f} us"
    limit = "unlimited" if jitter.memlock < 0 else f"{jitter.memlock >> 20} MiB"
    unlocked = jitter.memory != "memory locked"
    return [
        judged("500 Hz loop", error > _PUNCTUAL, seen, f"p99.9 within {1e6 * _PUNCTUAL:g} us of 2 ms", result),
        judged("SCHED_FIFO", not jitter.fifo, "granted" if jitter.fifo else "refused", "granted", Result.WARN),
        judged("locked memory", unlocked, f"{jitter.memory}; limit {limit}", "memory locked", Result.WARN),
    ]


def limit_table(found: Variant, config: GuardConfig) -> list[dict[str, object]]:
    """Return the limits of each joint of a variant: its own, and ours within them, in SI units."""
    theirs, ours = found.limits(), motion_limits(found, config.limits)
    here = found.present()
    return [
        {
            "joint": name,
            "lower": theirs.lower[i],
            "upper": theirs.upper[i],
            "velocity": theirs.velocity[i],
            "effort": theirs.effort[i],
            "our_lower": ours.lower[i],
            "our_upper": ours.upper[i],
            "our_velocity": ours.velocity[i],
            "our_acceleration": ours.acceleration[i],
            "our_jerk": ours.jerk[i],
            "our_effort": theirs.effort[i] * config.torque_margin,
        }
        for i, name in enumerate(JOINT_NAMES)
        if here[i]
    ]
