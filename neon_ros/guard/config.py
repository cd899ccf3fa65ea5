"""What a guard can be told: every value with its default, unit, range and meaning; safety timers only tighten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from neon_ros.errors import ConfigError, refuse
from neon_ros.guard.limits import GROUP_OF_JOINT, LimitConfig, motion_limits
from neon_ros.guard.timeline import TimelineConfig
from neon_ros.robot.joints import JOINT_NAMES
from neon_ros.robot.variants import VARIANTS

REAL_ARM_SECONDS = 2.0
"""Shortest arming on a real robot [s] (invariant I8)."""


def _value(default: float, low: float, high: float, unit: str, description: str) -> Any:
    """Return a dataclass field that knows its range, unit and meaning."""
    return field(default=default, metadata={"low": low, "high": high, "unit": unit, "description": description})


@dataclass(frozen=True)
class GuardConfig:
    """Settings of a guard; ranges are in the metadata of each field and checked when it is made.

    :param self_collision: whether arms are kept off the body and each other; off in a simulation only.
    :param simulated: whether the robot is a simulation; allows arming in less than two seconds.
    :param limits: limits of motion, see :class:`neon_ros.guard.limits.LimitConfig`.
    :param timeline: how chunks are joined, see :class:`neon_ros.guard.timeline.TimelineConfig`.
    """

    period: float = _value(0.002, 0.001, 0.02, "s", "time between commands")
    arm_seconds: float = _value(2.0, 0.2, 10.0, "s", "rise of authority when arming; at least 2 s on a real robot")
    release_seconds: float = _value(1.0, 0.2, 2.0, "s", "fall of the arm_sdk weight to zero")
    damp_seconds: float = _value(0.2, 0.02, 0.2, "s", "fall of the stiffness to zero in lowcmd modes")
    stale_after: float = _value(0.1, 0.0, 0.1, "s", "from the last step of the last chunk to HOLD")
    hold_seconds: float = _value(2.0, 0.1, 2.0, "s", "HOLD before DAMPING")
    silent_hold: float = _value(0.02, 0.005, 0.02, "s", "LowState silent or stuck before HOLD")
    silent_damp: float = _value(0.05, 0.01, 0.05, "s", "LowState silent or stuck before DAMPING")
    outliers: float = _value(3, 1, 3, "samples", "implausible LowStates in a row before DAMPING")
    max_dq: float = _value(10.0, 1.0, 10.0, "rad/s", "measured joint speed that is implausible")
    max_gyroscope: float = _value(6.0, 0.5, 6.0, "rad/s", "measured turn rate that is implausible")
    max_jump: float = _value(0.3, 0.05, 0.3, "rad", "measured step between LowStates that is implausible")
    max_tilt: float = _value(1.0, 0.1, 1.0, "rad", "lean of the pelvis before DAMPING")
    max_casing: float = _value(85.0, 40.0, 85.0, "deg C", "temperature of a motor's casing before DAMPING")
    max_winding: float = _value(120.0, 40.0, 120.0, "deg C", "temperature of a motor's winding before DAMPING")
    derate_from: float = _value(0.8, 0.1, 0.8, "", "part of either temperature from which a motor is derated")
    derate_to: float = _value(0.5, 0.1, 1.0, "", "part of torque and velocity left at either temperature")
    min_charge: float = _value(20.0, 20.0, 90.0, "%", "charge of the battery below which HOLD, and no arming")
    torque_margin: float = _value(0.9, 0.1, 1.0, "", "part of the effort limit that commands may ask for")
    following_error: float = _value(0.3, 0.05, 0.3, "rad", "distance of a joint from its command that is a fault")
    following_seconds: float = _value(0.1, 0.02, 0.1, "s", "time a following error lasts before HOLD")
    arm_max_dq: float = _value(1.0, 0.1, 2.0, "rad/s", "fastest joint with which arming is allowed")
    base_acceleration: float = _value(1.0, 0.1, 2.0, "m/s^2", "largest change of vx and vy per second")
    base_yaw_acceleration: float = _value(2.0, 0.1, 4.0, "rad/s^2", "largest change of the yaw rate per second")
    collision_stop: float = _value(0.01, 0.01, 0.05, "m", "distance between links of the robot at which arms stop")
    collision_slow: float = _value(0.04, 0.04, 0.2, "m", "distance between links of the robot from which arms slow")
    self_collision: bool = True
    simulated: bool = False
    limits: LimitConfig = field(default_factory=LimitConfig)
    timeline: TimelineConfig = field(default_factory=TimelineConfig)

    def __post_init__(self) -> None:
        for item in numbers():
            value, low, high = getattr(self, item.name), item.metadata["low"], item.metadata["high"]
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                raise ConfigError(refuse(f"guard.{item.name}", value, f"{low:g} to {high:g} {item.metadata['unit']}"))
        for name, kind in (
            ("self_collision", bool),
            ("simulated", bool),
            ("limits", LimitConfig),
            ("timeline", TimelineConfig),
        ):
            if not isinstance(getattr(self, name), kind):
                raise ConfigError(refuse(f"guard.{name}", getattr(self, name), kind.__name__))
        if self.outliers != int(self.outliers):
            raise ConfigError(refuse("guard.outliers", self.outliers, "a whole number of samples"))
        if not self.simulated and self.arm_seconds < REAL_ARM_SECONDS:
            raise ConfigError(
                refuse("guard.arm_seconds", self.arm_seconds, f"at least {REAL_ARM_SECONDS:g} s unless simulated")
            )
        if not self.simulated and not self.self_collision:
            raise ConfigError(refuse("guard.self_collision", False, "True unless simulated"))
        if self.collision_slow < self.collision_stop + 0.02:
            least = f"at least 0.02 m above collision_stop, {self.collision_stop:g} m"
            raise ConfigError(refuse("guard.collision_slow", self.collision_slow, least))
        if self.silent_damp < self.silent_hold:
            raise ConfigError(
                refuse("guard.silent_damp", self.silent_damp, f"at least silent_hold, {self.silent_hold:g} s")
            )


GROUPS: tuple[str, ...] = ("leg", "waist", "arm")
QUANTITIES: tuple[str, ...] = ("velocity", "acceleration", "jerk")


def from_settings(
    values: Mapping[str, object], *, period: float = 0.002, simulated: bool = False, where: str = "motor"
) -> GuardConfig:
    """Return a guard's settings from names and numbers, as they are written in files and on command lines.

    :param values: fields of :class:`GuardConfig`, ``limits.position_margin``, and ``limits.<of>.<quantity>`` with
        ``leg``, ``waist``, ``arm`` or the name of a joint, and ``velocity``, ``acceleration`` or ``jerk``.
    :param period: time between commands [s].
    :param simulated: whether the robot is.
    :param where: what the names are written under, for errors.
    :raises ConfigError: on an unknown name, a value that is no number or out of range, or a limit wider than every
        variant's, naming joint, value and bound.
    """
    plain = {item.name for item in numbers()} - {"period"}
    chosen: dict[str, float] = {}
    limits: dict[str, dict[str, float]] = {}
    margin = LimitConfig().position_margin
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(refuse(f"{where}.{name}", repr(value), "a number"))
        words = name.split(".")
        if name in plain:
            chosen[name] = value
        elif name == "limits.position_margin":
            margin = value
        elif (
            len(words) == 3 and words[0] == "limits" and words[1] in (*GROUPS, *JOINT_NAMES) and words[2] in QUANTITIES
        ):
            limits.setdefault(words[1], {})[words[2]] = value
        else:
            allowed = ", ".join([*sorted(plain), "limits.position_margin", "limits.<leg|waist|arm|joint>.<quantity>"])
            raise ConfigError(refuse(f"{where}.{name}", "an unknown setting", allowed))
    groups = {of: replace(getattr(LimitConfig(), of), **limits.get(of, {})) for of in GROUPS}
    joints = {of: replace(groups[GROUP_OF_JOINT[of]], **given) for of, given in limits.items() if of not in GROUPS}
    config = LimitConfig(position_margin=margin, joints=joints, **groups)
    _refuse_wider(config)
    return GuardConfig(period=period, simulated=simulated, limits=config, **chosen)  # type: ignore[arg-type]


def _refuse_wider(limits: LimitConfig) -> None:
    """Refuse limits that no variant allows; whether the variant at hand does is judged once it is known."""
    for found in VARIANTS.values():
        try:
            motion_limits(found, limits)
        except ConfigError as error:
            refusal = error
        else:
            return
    raise refusal


def numbers() -> tuple[Field[Any], ...]:
    """Return the fields of :class:`GuardConfig` that are numbers with a range, for declaring parameters."""
    return tuple(item for item in fields(GuardConfig) if "low" in item.metadata)
