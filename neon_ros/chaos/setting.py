"""How a graph under test is run, what its commands must keep to, and what robot and policy are when they are well."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neon_ros.chaos.referee import Law
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.limits import motion_limits
from neon_ros.robot.gains import DAMPING_KD, MODE_GAINS, gains
from neon_ros.robot.joints import NUM_JOINTS
from neon_ros.robot.modes import control_mode
from neon_ros.robot.variants import variant

ARM_SECONDS = 0.3
"""Of a simulated robot: a real one takes two seconds, which no fault here depends on [s]."""


@dataclass(frozen=True)
class Setting:
    """How a graph is run.

    :param mode: control mode.
    :param ros_domain: domain of the ROS nodes; ``robot_domain`` of the stub robot, not the same.
    :param session: of its shared memory.
    :param folder: for logs.
    :param seed: of everything random.
    :param environment: variables added to the motor, the guardian, g1_command and the policy.
    :param prepare: called in each of these and the stub before it runs.
    :param fifo: whether to ask for SCHED_FIFO.
    :param motor_words: added to the motor's command line.
    """

    mode: str
    ros_domain: int
    robot_domain: int
    session: str
    folder: Path
    seed: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] | None = None
    fifo: bool = True
    motor_words: tuple[str, ...] = ()


def law_of(mode_name: str, mode_machine: int = 5) -> Law:
    """Return what commands of a mode on a variant must keep to, at the guard's default settings."""
    mode, which, config = control_mode(mode_name), variant(mode_machine), GuardConfig()
    limits, present, chosen = motion_limits(which, config.limits), which.present(), gains(MODE_GAINS[mode_name])
    sdk = mode.topic == "arm_sdk"
    held = present & (np.arange(NUM_JOINTS) >= 12) if sdk else present
    return Law(
        lower=limits.lower,
        upper=limits.upper,
        velocity=limits.velocity,
        acceleration=limits.acceleration,
        jerk=limits.jerk,
        torque=which.limits().effort * config.torque_margin,
        kp=chosen.kp * held,
        kd=chosen.kd * held,
        damping_kd=DAMPING_KD * (1.0 if not sdk else 0.0),
        held=held,
        period=config.period,
        rise=1.0 / ARM_SECONDS,
        fall=1.0 / config.release_seconds if sdk else 1.0 / config.damp_seconds,
    )


HEALTHY: dict[str, Any] = {
    "lowstate": "ok",
    "loss": 0.0,
    "spike": "",
    "spikes": 0,
    "tilt": 0.0,
    "surface": 35.0,
    "winding": 45.0,
    "motorstate": 0,
    "blocked": -1.0,
    "lag": 0.0,
    "mode_machine": 5,
    "mode_pr": 0,
    "soc": 80.0,
    "owner": "",
    "stubborn": False,
    "remote": "",
    "powered": True,
}
"""The robot's ills when there are none."""

WELL: dict[str, Any] = {
    "rate": 20.0,
    "delay": 0.0,
    "jitter": 0.0,
    "loss": 0.0,
    "burst": 1,
    "duplicate": 0.0,
    "amplitude": 0.05,
    "swing": 0.0,
    "mute": False,
    "wrong": "",
}
"""The policy's habits when it behaves."""


def clear(folder: Path) -> Path:
    """Return an empty folder for logs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def session_name() -> str:
    """Return a session that no other run uses."""
    return f"chaos-{os.getpid()}-{time.monotonic_ns() % 100000}"
