"""Two quaternion orders, one gravity, and a sensor that speaks in g."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neon_ros.errors import ContractError
from neon_ros.sense import imu
from neon_ros.sense.poses import matrix_from_pose

UNITS = hnp.arrays(np.float64, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1)


def test_the_wire_puts_w_first_and_ros_puts_it_last() -> None:
    assert np.array_equal(imu.xyzw_from_wxyz([1, 0, 0, 0]), [0, 0, 0, 1])
    assert np.allclose(imu.xyzw_from_wxyz([0.5, 0.1, 0.7, np.sqrt(0.25)]), [0.1, 0.7, 0.5, 0.5])
    assert np.array_equal(imu.wxyz_from_xyzw([0, 0, 0, 1]), [1, 0, 0, 0])


@given(UNITS)
def test_there_and_back_is_the_same(q: np.ndarray) -> None:
    unit = q / np.linalg.norm(q)
    assert np.allclose(imu.wxyz_from_xyzw(imu.xyzw_from_wxyz(unit)), unit)


@given(UNITS)
def test_projected_gravity_is_the_worlds_down_in_the_body(q: np.ndarray) -> None:
    unit = q / np.linalg.norm(q)
    world_from_body = matrix_from_pose([0, 0, 0, *imu.xyzw_from_wxyz(unit)])[:3, :3]
    assert np.allclose(imu.projected_gravity(unit), world_from_body.T @ [0, 0, -1])


def test_gravity_of_known_attitudes() -> None:
    half = np.sqrt(0.5)
    assert np.allclose(imu.projected_gravity([1, 0, 0, 0]), [0, 0, -1])
    assert np.allclose(imu.projected_gravity([half, 0, half, 0]), [1, 0, 0])  # pitched 90 degrees forward, face down
    assert np.allclose(imu.projected_gravity([half, half, 0, 0]), [0, -1, 0])  # rolled onto its right side


@pytest.mark.parametrize(
    ("quaternion", "message"),
    [
        ([0, 0, 0, 0], "quaternion length: got 0; allowed: 1 ± 0.01"),
        ([2, 0, 0, 0], "quaternion length: got 2"),
        ([1, 0, 0], r"quaternion shape: got \(3,\)"),
        ([np.nan, 0, 0, 1], r"quaternion\[0\]: got nan; allowed: finite values"),
    ],
)
def test_what_is_no_unit_quaternion_is_refused(quaternion: list[float], message: str) -> None:
    for convert in (imu.xyzw_from_wxyz, imu.wxyz_from_xyzw, imu.projected_gravity):
        with pytest.raises(ContractError, match=message):
            convert(quaternion)


def test_the_mid360_speaks_in_g() -> None:
    assert np.allclose(imu.acceleration_from_g([0, 0, -1]), [0, 0, -9.80665])
    with pytest.raises(ContractError, match="acceleration"):
        imu.acceleration_from_g([0, 0, np.inf])
