"""Clouds at the door: bytes to points, invalid returns, frames."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.errors import ContractError
from neon_ros.robot.kinematics import Kinematics
from neon_ros.sense.points import PointLayout, cropped, decode_points, transformed, valid_returns

RANDOM = np.random.default_rng(0)
LIVOX = {"x": (0, 7), "y": (4, 7), "z": (8, 7), "intensity": (12, 7), "tag": (16, 2)}


def message(points: np.ndarray, order: str = "<", padding: int = 0) -> tuple[bytes, PointLayout]:
    """Lay out (H, W, 3) points as the Livox driver does: 18 bytes a point, rows padded."""
    height, width, _ = points.shape
    fields = {"names": ["x", "y", "z"], "formats": [f"{order}f4"] * 3, "offsets": [0, 4, 8], "itemsize": 18}
    table = np.zeros((height, width), dtype=np.dtype(fields))
    for column, name in enumerate("xyz"):
        table[name] = points[:, :, column]
    rows = np.pad(table.view(np.uint8).reshape(height, width * 18), ((0, 0), (0, padding)), constant_values=255)
    return rows.tobytes(), PointLayout(width, height, 18, rows.shape[1], LIVOX, order == ">")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("padding", [0, 7])
def test_points_come_out_as_they_went_in(order: str, padding: int) -> None:
    points = RANDOM.normal(size=(3, 5, 3)).astype(np.float32)
    decoded = decode_points(*message(points, order, padding))
    assert decoded.dtype == np.float32 and np.array_equal(decoded, points.reshape(-1, 3))


def test_float64_coordinates_in_another_order_are_read() -> None:
    points = RANDOM.normal(size=(4, 3))
    layout = PointLayout(4, 1, 24, 96, {"z": (0, 8), "y": (8, 8), "x": (16, 8)})
    assert np.allclose(decode_points(points[:, ::-1].tobytes(), layout), points)


def test_an_empty_cloud_is_a_cloud() -> None:
    assert decode_points(b"", PointLayout(0, 1, 18, 0, LIVOX)).shape == (0, 3)
    assert valid_returns(np.zeros((0, 3))).dropped == 0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"fields": {"x": (0, 7), "y": (4, 7)}}, "cloud fields: got no z; allowed: x, y and z"),
        ({"fields": {"x": (0, 5), "y": (4, 5), "z": (8, 5)}}, r"cloud datatypes of x, y, z: got \[5, 5, 5\]"),
        ({"fields": {"x": (0, 7), "y": (4, 7), "z": (8, 8)}}, r"cloud datatypes of x, y, z: got \[7, 7, 8\]"),
        (
            {"fields": {"x": (0, 7), "y": (4, 7), "z": (16, 7)}},
            r"cloud offsets of x, y, z: got \[0, 4, 16\]; allowed: inside",
        ),
        ({"point_step": 2**31, "row_step": 2**32}, "cloud point_step: got 2147483648; allowed: at most 4096 bytes"),
        ({"row_step": 17}, "cloud row_step: got 17; allowed: at least 36 bytes for 2 points"),
        ({"height": 2}, "cloud data: got 36 bytes; allowed: 72"),
    ],
)
def test_a_malformed_cloud_is_refused(changes: dict, text: str) -> None:
    data, layout = message(np.zeros((1, 2, 3)))
    with pytest.raises(ContractError, match=text):
        decode_points(data, layout._replace(**changes))


def test_invalid_returns_are_dropped_and_counted() -> None:
    cloud = [[1, 0, 0], [np.nan, 0, 1], [0, np.inf, 0], [0, 0, 0], [0.05, 0.05, 0], [0, 0.2, 0], [3e38, 0, 0]]
    returns = valid_returns(np.array(cloud, dtype=np.float32))
    assert returns.dropped == 4
    assert np.allclose(returns.points, [[1, 0, 0], [0, 0.2, 0], [3e38, 0, 0]])


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(ContractError, match=r"points shape: got \(3,\); allowed: \(N, 3\)"):
        valid_returns([1.0, 2.0, 3.0])


def test_the_upside_down_lidar_comes_out_upright_in_the_torso() -> None:
    link, torso_from_livox = Kinematics().mount("livox_frame")
    assert link == "torso_link"
    ahead, below = transformed([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], torso_from_livox)
    # rpy pi 0.05112069 0: x of the sensor looks forward and 2.9 degrees down, its z axis points down
    assert np.allclose(ahead, [0.0002835 + np.cos(0.05112069), 0.00003, 0.428434 - np.sin(0.05112069)], atol=1e-6)
    assert below[2] == pytest.approx(0.428434 - np.cos(0.05112069), abs=1e-6)
    left = transformed([[0.0, 1.0, 0.0]], torso_from_livox)[0]
    assert left[1] == pytest.approx(-1.0 + 0.00003, abs=1e-6)


def test_a_transform_and_its_inverse_cancel() -> None:
    _, pose = Kinematics().mount("mid360_link")
    points = RANDOM.normal(size=(50, 3))
    assert np.allclose(transformed(transformed(points, pose), np.linalg.inv(pose)), points, atol=1e-5)


@pytest.mark.parametrize("pose", [2 * np.eye(4), np.diag([1.0, 1.0, -1.0, 1.0]), np.ones((4, 4)), np.zeros((4, 4))])
def test_a_matrix_that_is_no_rigid_motion_is_refused(pose: np.ndarray) -> None:
    with pytest.raises(ContractError, match=r"target_from_source: got .* allowed: a rotation and a translation"):
        transformed([[0.0, 0.0, 0.0]], pose)


def test_points_outside_the_box_go() -> None:
    kept = cropped([[0, 0, 0], [1, 0, 0], [0.5, 0.5, -2]], [0, -1, -1], [1, 1, 1])
    assert np.array_equal(kept, [[0, 0, 0]])
    with pytest.raises(ContractError, match=r"crop box: got .* allowed: lower below upper"):
        cropped([[0, 0, 0]], [0, 0, 0], [1, 0, 1])
