"""Joints travel with names."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.errors import ContractError
from neon_ros.robot.joints import JOINT_NAMES
from neon_ros.sense.joints import in_motor_order


def test_any_order_of_names_becomes_motor_order() -> None:
    values = np.arange(29.0)
    shuffled = np.random.default_rng(0).permutation(29)
    ordered = in_motor_order([JOINT_NAMES[i] for i in shuffled], values[shuffled])
    assert np.array_equal(ordered, values)


@pytest.mark.parametrize(
    ("names", "values", "message"),
    [
        (JOINT_NAMES[:-1], np.zeros(28), "joint positions: got no value for right_wrist_yaw_joint; allowed: all 29"),
        (JOINT_NAMES, np.zeros(28), r"joint positions shape: got \(28,\); allowed: \(29,\)"),
        ((*JOINT_NAMES, "tail_joint"), np.zeros(30), r"joint names: got \['tail_joint'\]"),
        ((*JOINT_NAMES[:-1], JOINT_NAMES[0]), np.zeros(29), r"joint names: got repeated \['left_hip_pitch_joint'\]"),
        (JOINT_NAMES, np.full(29, np.nan), r"joint positions\[0\]: got nan; allowed: finite values"),
        (JOINT_NAMES, ["a"] * 29, "joint positions: got list"),
    ],
)
def test_what_is_not_29_named_numbers_is_refused(names: tuple[str, ...], values: object, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        in_motor_order(names, values)  # type: ignore[arg-type]


def test_the_error_says_what_the_values_are() -> None:
    with pytest.raises(ContractError, match="joint velocities: got no value for"):
        in_motor_order(JOINT_NAMES[:3], np.zeros(3), "joint velocities")
