"""Stiffness and damping of the 29 joints, per use, in motor order.

Motor law: ``tau = tau_ff + kp (q - q_m) + kd (dq - dq_m)``.  Each row names the vendor's file it comes from; the
joints hold for ``mode_pr == 0`` only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, refuse
from neon_ros.robot.joints import NUM_JOINTS

_LEGS, _WAIST, _ARMS = 6, 3, 7  # joints per leg, in the waist, per arm


@dataclass(frozen=True)
class Gains:
    """Gains of all joints.

    :param name: of the use.
    :param source: file the numbers come from.
    :param kp: stiffness (29,) [N m/rad].
    :param kd: damping (29,) [N m s/rad].
    """

    name: str
    source: str
    kp: NDArray[np.float64]
    kd: NDArray[np.float64]


def _row(leg: tuple[float, ...], waist: tuple[float, ...], arm: tuple[float, ...]) -> NDArray[np.float64]:
    """Return one value per joint: both legs, waist, both arms."""
    row = np.array([*leg, *leg, *waist, *arm, *arm], dtype=np.float64)
    row.setflags(write=False)
    return row


_NO_LEGS = (0.0,) * _LEGS

GAINS: dict[str, Gains] = {
    gains.name: gains
    for gains in (
        Gains(
            "arm_sdk",
            "unitree_sdk2:example/g1/high_level/g1_arm7_sdk_dds_example.cpp",
            _row(_NO_LEGS, (60.0,) * _WAIST, (60.0,) * _ARMS),
            _row(_NO_LEGS, (1.5,) * _WAIST, (1.5,) * _ARMS),
        ),
        Gains(
            "low_level",
            "unitree_sdk2_python:example/g1/low_level/g1_low_level_example.py",
            _row((60, 60, 60, 100, 40, 40), (60, 40, 40), (40,) * _ARMS),
            _row((1, 1, 1, 2, 1, 1), (1,) * _WAIST, (1,) * _ARMS),
        ),
        Gains(
            "stand",
            "unitree_rl_lab:deploy/robots/g1_29dof FixStand",
            _row((100, 100, 100, 150, 40, 40), (200,) * _WAIST, (40,) * _ARMS),
            _row((2, 2, 2, 4, 2, 2), (5,) * _WAIST, (10,) * _ARMS),
        ),
    )
}

DAMPING_KD = np.full(NUM_JOINTS, 3.0)
"""Damping of a robot that is to sink, not to fall (29,) [N m s/rad]: ``unitree_rl_lab`` Passive; ``kp`` is 0."""
DAMPING_KD.setflags(write=False)

MODE_GAINS: dict[str, str] = {"arms_only": "arm_sdk", "upper_body": "arm_sdk", "whole_body": "stand"}
"""Which gains each control mode uses."""


def gains(name: str) -> Gains:
    """Return the gains called ``name``.

    :raises ConfigError: when there are none; the error lists the known ones.
    """
    if name not in GAINS:
        raise ConfigError(refuse("gains", name, ", ".join(GAINS)))
    return GAINS[name]
