"""The three progressive control modes: which joints a policy moves, and by which door of the robot.

``arms_only`` and ``upper_body`` go through ``rt/arm_sdk`` (the robot's own controller keeps balance, base velocity goes
through the sport service); ``whole_body`` goes through ``rt/lowcmd`` after the motion service has been released.
"""

from __future__ import annotations

from dataclasses import dataclass

from neon_ros.errors import ConfigError, refuse
from neon_ros.robot.joints import JOINT_NAMES


@dataclass(frozen=True)
class ControlMode:
    """One control mode.

    :param name: as written in launch arguments, manifests and chunks.
    :param joint_names: the joints the policy moves, in motor order.
    :param topic: DDS topic of the command, without the ``rt/`` prefix.
    :param needs_release: whether the motion service must be released first.
    """

    name: str
    joint_names: tuple[str, ...]
    topic: str
    needs_release: bool


MODES: dict[str, ControlMode] = {
    mode.name: mode
    for mode in (
        ControlMode("arms_only", JOINT_NAMES[15:29], "arm_sdk", needs_release=False),
        ControlMode("upper_body", JOINT_NAMES[12:29], "arm_sdk", needs_release=False),
        ControlMode("whole_body", JOINT_NAMES, "lowcmd", needs_release=True),
    )
}


def control_mode(name: str) -> ControlMode:
    """Return the mode called ``name``.

    :raises ConfigError: when there is no such mode; the error lists the known ones.
    """
    if name not in MODES:
        raise ConfigError(refuse("mode", name, ", ".join(MODES)))
    return MODES[name]
