"""The gains: right width, sane, read-only, and one per control mode."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.errors import ConfigError
from neon_ros.robot.gains import DAMPING_KD, GAINS, MODE_GAINS, gains
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.robot.modes import MODES


@pytest.mark.parametrize("name", GAINS)
def test_gains_are_finite_symmetric_and_read_only(name: str) -> None:
    chosen = gains(name)
    for row in (chosen.kp, chosen.kd):
        assert row.shape == (29,) and np.isfinite(row).all() and (row >= 0).all()
        assert np.array_equal(row[0:6], row[6:12]) and np.array_equal(row[15:22], row[22:29])
        with pytest.raises(ValueError, match="read-only"):
            row[0] = 1.0
    assert chosen.source and ((chosen.kp > 0) == (chosen.kd > 0)).all()


def test_arm_sdk_leaves_the_legs_to_the_robot() -> None:
    assert not gains("arm_sdk").kp[:12].any() and not gains("arm_sdk").kd[:12].any()


def test_the_knee_is_the_stiffest_leg_joint() -> None:
    assert gains("low_level").kp[JOINT_INDEX["left_knee_joint"]] == 100 == gains("low_level").kp[:12].max()


def test_every_mode_has_gains() -> None:
    assert set(MODE_GAINS) == set(MODES) and set(MODE_GAINS.values()) <= set(GAINS)
    assert (DAMPING_KD > 0).all() and DAMPING_KD.shape == (29,)


def test_unknown_gains_list_the_known() -> None:
    with pytest.raises(ConfigError, match="gains: got soft; allowed: arm_sdk, low_level, stand"):
        gains("soft")
