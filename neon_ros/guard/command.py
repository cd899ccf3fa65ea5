"""What the guard gives out: the command of one period and the status it reports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neon_ros.guard.limiter import REASONS
from neon_ros.guard.machine import State
from neon_ros.guard.stopping import Vector
from neon_ros.robot.joints import JOINT_NAMES


@dataclass(frozen=True, slots=True)
class Command:
    """What the motors are to be told, in motor order.

    :param q: (29,) [rad]; ``dq`` [rad/s], ``tau`` [N m], ``kp`` [N m/rad], ``kd`` [N m s/rad] likewise.
    :param weight: of ``arm_sdk``, 0 to 1; 0 on ``lowcmd``, whose slot 29 stays untouched.
    :param base_velocity: vx, vy, yaw rate for the sport service (3,) [m/s, m/s, rad/s].
    :param writes: whether this command is to be sent at all.
    """

    q: Vector
    dq: Vector
    tau: Vector
    kp: Vector
    kd: Vector
    weight: float
    base_velocity: Vector
    state: State
    writes: bool


@dataclass(frozen=True)
class GuardStatus:
    """What the guard is doing and has done.

    :param reason: why it is in ``state``.
    :param limited_joints: joints that a limit held back in the last period, with ``limited_reasons`` beside them.
    :param limit_count: joint-periods held back since start.
    :param counts: the same as (joint, reason, joint-periods), only where there were any.
    :param clearance: least distance between capsules of the robot's own links [m]; -1 when it was not checked.
    :param chunk_age: time since step 0 of the running chunk [s]; -1 without one.
    :param remaining: time to the last step of the running chunk [s]; -inf without one.
    :param authority: 0 to 1, the weight or the part of the stiffness.
    """

    state: State
    reason: str
    steps: int
    commands_sent: int
    chunks_joined: int
    chunks_expired: int
    limited_joints: tuple[str, ...]
    limited_reasons: tuple[str, ...]
    limit_count: int
    limits_by_reason: dict[str, int]
    counts: tuple[tuple[str, str, int], ...]
    clearance: float
    early_steps: int
    late_steps: int
    outliers: int
    transitions: int
    chunk_age: float
    remaining: float
    authority: float
    tilt: float
    hottest: float


def interventions(counts: NDArray[np.int64]) -> tuple[tuple[str, str, int], ...]:
    """Return (joint, reason, joint-periods) wherever there were any.

    :param counts: joint-periods by joint and reason code (29, len(REASONS)).
    """
    joints, reasons = np.nonzero(counts)
    rows = zip(joints.tolist(), reasons.tolist(), counts[joints, reasons].tolist(), strict=True)
    return tuple((JOINT_NAMES[joint], REASONS[reason], count) for joint, reason, count in rows)
