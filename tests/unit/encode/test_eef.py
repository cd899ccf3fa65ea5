"""Hand poses: the 6-D rotation is the rotation matrix's first two columns, the same for q and -q."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neon_ros.encode.eef import EEF_SIZE, eef_input
from neon_ros.errors import ContractError

HALF = np.sqrt(0.5)


def pose(*quaternion: float) -> list[float]:
    return [0.1, 0.2, 0.3, *quaternion]


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    row = eef_input([pose(0, 0, 0, 1), pose(0, 0, HALF, HALF)])
    assert row.shape == (1, EEF_SIZE)
    np.testing.assert_allclose(row[0, :9], [0.1, 0.2, 0.3, 1, 0, 0, 0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(row[0, 9:], [0.1, 0.2, 0.3, 0, 1, 0, -1, 0, 0], atol=1e-6)


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda v: np.linalg.norm(v) > 0.1))
def test_both_signs_of_a_quaternion_are_one_rotation(values: list[float]) -> None:
    unit = np.array(values) / np.linalg.norm(values)
    first = eef_input([pose(*unit), pose(*-unit)])[0].reshape(2, 9)
    np.testing.assert_allclose(first[0], first[1], atol=1e-6)
    columns = first[0, 3:].reshape(2, 3)
    np.testing.assert_allclose(columns @ columns.T, np.eye(2), atol=1e-5)


def test_bad_poses_are_refused() -> None:
    with pytest.raises(ContractError, match=r"eef.right quaternion length: got 2.0; allowed: 1 \+- 0.02"):
        eef_input([pose(0, 0, 0, 1), pose(0, 0, 0, 2)])
    with pytest.raises(ContractError, match=r"eef.left quaternion length: got 0.0"):
        eef_input([pose(0, 0, 0, 0), pose(0, 0, 0, 1)])
    with pytest.raises(ContractError, match=r"eef.poses shape: got \(1, 7\); allowed: \(2, 7\)"):
        eef_input([pose(0, 0, 0, 1)])
    with pytest.raises(ContractError, match=r"eef.poses\[0, 3\]: got nan"):
        eef_input([pose(np.nan, 0, 0, 1), pose(0, 0, 0, 1)])
