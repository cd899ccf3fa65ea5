"""Matrices and poses say the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neon_ros.errors import ContractError
from neon_ros.robot.urdf import rotation_from_rpy
from neon_ros.sense.poses import matrix_from_pose, pose_from_matrix

UNITS = hnp.arrays(np.float64, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1)


@given(UNITS, hnp.arrays(np.float64, 3, elements=st.floats(-2, 2)))
def test_a_pose_survives_the_matrix(q: np.ndarray, position: np.ndarray) -> None:
    unit = q / np.linalg.norm(q)
    pose = pose_from_matrix(matrix_from_pose([*position, *unit]))
    assert np.allclose(pose[:3], position) and pose[6] >= 0
    assert min(np.abs(pose[3:] - unit).max(), np.abs(pose[3:] + unit).max()) < 1e-7


@pytest.mark.parametrize("rpy", [(0, 0, 0), (np.pi, 0.05, 0), (0, np.pi, 0), (0, 0, np.pi), (1, -1, 2), (-2, 1.5, -3)])
def test_every_branch_of_the_quaternion_gives_the_rotation_back(rpy: tuple[float, float, float]) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_from_rpy(rpy)
    assert np.allclose(matrix_from_pose(pose_from_matrix(matrix)), matrix, atol=1e-12)


def test_a_quarter_turn_about_z_is_known() -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    matrix[:3, 3] = [1, 2, 3]
    assert np.allclose(pose_from_matrix(matrix), [1, 2, 3, 0, 0, np.sqrt(0.5), np.sqrt(0.5)])


@pytest.mark.parametrize("matrix", [np.diag([1.0, 1.0, -1.0, 1.0]), 1.1 * np.eye(4), np.ones((4, 4))])
def test_what_is_no_rotation_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(ContractError, match=r"pose matrix: got .* allowed: a rotation"):
        pose_from_matrix(matrix)


def test_what_is_no_pose_is_refused() -> None:
    with pytest.raises(ContractError, match="pose quaternion length: got 2; allowed: 1"):
        matrix_from_pose([0, 0, 0, 0, 0, 0, 2])
    with pytest.raises(ContractError, match=r"pose shape: got \(3,\); allowed: \(7,\)"):
        matrix_from_pose([0, 0, 0])
