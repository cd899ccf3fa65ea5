"""Limits of motion: position, velocity, acceleration, jerk of each joint, never wider than the variant allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, refuse
from neon_ros.robot.joints import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS
from neon_ros.robot.variants import Variant

ACCELERATION_CEILING = 200.0
"""No setting may ask for more [rad/s^2]: twice what public G1 limiters were measured at (safety table: 100)."""

JERK_CEILING = 20000.0
"""No setting may ask for more [rad/s^3]: four times the 5000 of the same table."""

GROUP_OF_JOINT: dict[str, str] = dict(zip(JOINT_NAMES, ("leg",) * 12 + ("waist",) * 3 + ("arm",) * 14, strict=True))
"""Joint to the group whose limits it has unless it has its own."""


@dataclass(frozen=True)
class Dynamic:
    """Velocity, acceleration and jerk limit of one joint or one group of joints.

    :param velocity: [rad/s].
    :param acceleration: [rad/s^2].
    :param jerk: [rad/s^3].
    """

    velocity: float
    acceleration: float
    jerk: float


@dataclass(frozen=True)
class LimitConfig:
    """What limits are wanted; :func:`motion_limits` refuses any that would widen the variant's.

    :param position_margin: kept free before each end of the range [rad].
    :param leg: hip, knee and ankle joints (moved in ``whole_body`` only).
    :param waist: waist joints.
    :param arm: shoulder, elbow and wrist joints.
    :param joints: exceptions by joint name.
    """

    position_margin: float = 0.02
    leg: Dynamic = Dynamic(10.0, 100.0, 5000.0)
    waist: Dynamic = Dynamic(2.0, 15.0, 800.0)
    arm: Dynamic = Dynamic(4.0, 40.0, 2000.0)
    joints: Mapping[str, Dynamic] = field(default_factory=dict)


@dataclass(frozen=True)
class MotionLimits:
    """Limits of all 29 joints in motor order.

    :param lower: lowest position, margin included (29,) [rad].
    :param upper: highest position, margin included (29,) [rad].
    :param velocity: (29,) [rad/s].
    :param acceleration: (29,) [rad/s^2].
    :param jerk: (29,) [rad/s^3].
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    velocity: NDArray[np.float64]
    acceleration: NDArray[np.float64]
    jerk: NDArray[np.float64]

    def take(self, rows: NDArray[np.intp]) -> MotionLimits:
        """Return the limits of the joints ``rows``."""
        return MotionLimits(
            self.lower[rows], self.upper[rows], self.velocity[rows], self.acceleration[rows], self.jerk[rows]
        )


def motion_limits(variant: Variant, config: LimitConfig | None = None) -> MotionLimits:
    """Return the limits for ``variant``, tightened by ``config``.

    :raises ConfigError: naming joint, value and bound, when a limit is wider than the variant's, not positive or not a
        number, when the margin leaves no range, or when an exception names an unknown joint.
    """
    config = LimitConfig() if config is None else config
    unknown = sorted(set(config.joints) - set(JOINT_INDEX))
    if unknown:
        raise ConfigError(refuse("limits.joints", unknown, f"names among {', '.join(JOINT_NAMES)}"))
    allowed = variant.limits()
    widest = float(np.min(allowed.upper - allowed.lower)) / 4.0
    _check("limits.position_margin", config.position_margin, widest, lowest=0.0)
    rows = np.empty((NUM_JOINTS, 3))
    for index, name in enumerate(JOINT_NAMES):
        wanted = config.joints.get(name, getattr(config, GROUP_OF_JOINT[name]))
        for column, (quantity, bound) in enumerate(
            (
                ("velocity", float(allowed.velocity[index])),
                ("acceleration", ACCELERATION_CEILING),
                ("jerk", JERK_CEILING),
            )
        ):
            rows[index, column] = _check(f"{name} {quantity} limit", getattr(wanted, quantity), bound)
    margin = config.position_margin
    return MotionLimits(
        allowed.lower + margin, allowed.upper - margin, rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].copy()
    )


def _check(name: str, value: object, bound: float, lowest: float = 1e-3) -> float:
    """Return ``value`` as a float within ``lowest`` to ``bound``; refuse anything else."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not lowest <= value <= bound:  # type: ignore[operator]
        raise ConfigError(refuse(name, value, f"{lowest:g} to {bound:g} (may only tighten)"))
    return float(value)  # type: ignore[arg-type]
