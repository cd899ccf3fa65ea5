"""The robot's own state goes in checked and of size one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neon_ros.encode.proprio import PROPRIO_SIZE, proprio_input
from neon_ros.errors import ContractError
from neon_ros.robot.joints import JOINTS

GOOD: dict[str, Any] = {"q": np.zeros(29), "dq": np.zeros(29), "gravity": (0, 0, -1), "gyroscope": np.zeros(3)}


def test_the_limits_of_a_joint_are_minus_one_and_one() -> None:
    for side, bound in (("lower", -1.0), ("upper", 1.0)):
        q = [getattr(joint, side) for joint in JOINTS]
        np.testing.assert_allclose(proprio_input(**{**GOOD, "q": q})[0, :29], bound, atol=1e-6)


def test_everything_has_its_place() -> None:
    row = proprio_input(np.zeros(29), np.full(29, 100.0), (0.6, 0.0, -0.8), (0.0, -100.0, 0.0))
    assert row.shape == (1, PROPRIO_SIZE)
    assert row.dtype == np.float32
    np.testing.assert_allclose(row[0, 29:58], 1.0)
    np.testing.assert_allclose(row[0, 58:61], (0.6, 0.0, -0.8), atol=1e-6)
    np.testing.assert_allclose(row[0, 61:], (0.0, -1.0, 0.0), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": np.zeros(14)}, r"proprio.q shape: got \(14,\); allowed: \(29,\)"),
        ({"dq": np.full(29, np.nan)}, r"proprio.dq\[0\]: got nan"),
        ({"gravity": (0, 0)}, r"proprio.gravity shape"),
        ({"gravity": (0, 0, -9.81)}, r"proprio.gravity length: got 9.81; allowed: 1 \+- 0.05"),
        ({"gyroscope": (0, 0, np.inf)}, r"proprio.gyroscope\[2\]: got inf"),
    ],
)
def test_bad_states_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        proprio_input(**{**GOOD, **change})
