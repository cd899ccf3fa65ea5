"""Limits of motion follow the variant and may only be tightened."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.errors import ConfigError
from neon_ros.guard.limits import Dynamic, LimitConfig, motion_limits
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.robot.variants import VARIANTS


@pytest.mark.parametrize("mode_machine", VARIANTS)
def test_defaults_lie_inside_every_variant(mode_machine: int) -> None:
    limits, allowed = motion_limits(VARIANTS[mode_machine]), VARIANTS[mode_machine].limits()
    np.testing.assert_allclose(limits.lower, allowed.lower + 0.02)
    np.testing.assert_allclose(limits.upper, allowed.upper - 0.02)
    assert (limits.velocity <= allowed.velocity).all()
    assert (limits.velocity > 0).all() and (limits.acceleration > 0).all() and (limits.jerk > 0).all()
    assert set(limits.velocity[15:]) == {4.0} and set(limits.acceleration[12:15]) == {15.0}


def test_one_joint_may_be_an_exception() -> None:
    config = LimitConfig(joints={"left_elbow_joint": Dynamic(1.0, 5.0, 50.0)})
    limits = motion_limits(VARIANTS[5], config)
    elbow = JOINT_INDEX["left_elbow_joint"]
    assert (limits.velocity[elbow], limits.acceleration[elbow], limits.jerk[elbow]) == (1.0, 5.0, 50.0)
    part = limits.take(np.array([elbow]))
    assert part.velocity.tolist() == [1.0] and part.lower.tolist() == [limits.lower[elbow]]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            LimitConfig(arm=Dynamic(23.0, 40, 2000)),
            r"left_wrist_pitch_joint velocity limit: got 23\.0; allowed: 0\.001 to 22",
        ),
        (
            LimitConfig(leg=Dynamic(20.5, 40, 2000)),
            r"left_hip_roll_joint velocity limit: got 20\.5; allowed: 0\.001 to 20 ",
        ),
        (
            LimitConfig(waist=Dynamic(1, 201, 2000)),
            r"waist_yaw_joint acceleration limit: got 201; allowed: 0\.001 to 200",
        ),
        (
            LimitConfig(waist=Dynamic(1, 20, 1e6)),
            r"waist_yaw_joint jerk limit: got 1000000\.0; allowed: 0\.001 to 20000",
        ),
        (LimitConfig(arm=Dynamic(0.0, 40, 2000)), r"left_shoulder_pitch_joint velocity limit: got 0\.0"),
        (LimitConfig(arm=Dynamic(float("nan"), 40, 2000)), r"left_shoulder_pitch_joint velocity limit: got nan"),
        (LimitConfig(arm=Dynamic("4", 40, 2000)), r"left_shoulder_pitch_joint velocity limit: got 4;"),  # type: ignore[arg-type]
        (LimitConfig(arm=Dynamic(True, 40, 2000)), r"velocity limit: got True"),
        (LimitConfig(position_margin=-0.01), r"limits\.position_margin: got -0\.01; allowed: 0 to 0\.1309"),
        (LimitConfig(position_margin=0.2), r"limits\.position_margin: got 0\.2"),
        (
            LimitConfig(joints={"tail": Dynamic(1, 1, 1)}),
            r"limits\.joints: got \['tail'\]; allowed: names among left_hip",
        ),
    ],
)
def test_wider_limits_are_refused_by_joint_value_and_bound(config: LimitConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        motion_limits(VARIANTS[5], config)


def test_same_setting_may_be_too_wide_for_another_variant() -> None:
    config = LimitConfig(leg=Dynamic(20.0, 100, 5000), joints={"left_hip_pitch_joint": Dynamic(32.0, 100, 5000)})
    assert motion_limits(VARIANTS[5], config)
    with pytest.raises(ConfigError, match=r"left_hip_pitch_joint velocity limit: got 32\.0; allowed: 0\.001 to 20 "):
        motion_limits(VARIANTS[11], config)
