"""Who owns the motors, which frames the robot takes, and what its services answer."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("onnxruntime")

from neon_ros.robot.joints import NUM_JOINTS
from neon_ros.robot.wire import LowCmdFrame
from neon_ros.sim.firmware import Firmware
from neon_ros.sim.model import stand_pose
from neon_ros.sim.motors import Drive

N = NUM_JOINTS
ZERO = np.zeros(N)
BIG = np.full(N, 1e9)
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])


def frame(
    q: float = 0.5, kp: float = 20.0, machine: int = 5, weight: float | None = None, mode: int = 1, tau: float = 0.0
) -> bytes:
    out = LowCmdFrame()
    out.set_mode(0, machine)
    out.set_motor_mode(mode)
    out.fill(np.full(N, q), ZERO, np.full(N, tau), np.full(N, kp), np.ones(N))
    if weight is not None:
        out.set_weight(weight)
    return bytes(out.seal())


def torque(robot: Firmware, time: float = 0.0) -> np.ndarray:
    """Return the torque at rest at zero."""
    return robot.step(time, ZERO, ZERO, UPRIGHT, np.zeros(3)).torque(ZERO, ZERO, BIG)


@pytest.fixture
def robot() -> Firmware:
    return Firmware(5, stand_pose())


def test_it_starts_standing_under_its_own_controller(robot: Firmware) -> None:
    assert robot.check_mode({}) == (0, {"form": "0", "name": "ai"})
    assert np.sign(torque(robot)[[0, 3, 18]]).tolist() == np.sign(stand_pose()[[0, 3, 18]]).tolist()


def test_lowcmd_is_ignored_until_released(robot: Firmware) -> None:
    before = torque(robot)
    robot.low_cmd(frame())
    np.testing.assert_array_equal(torque(robot), before)
    assert robot.counts.not_owner == 1 and robot.counts.lowcmd_taken == 0
    assert robot.release_mode({}) == (0, {})
    assert robot.check_mode({})[1]["name"] == ""
    robot.low_cmd(frame(q=0.5, kp=20.0, tau=1.0))
    np.testing.assert_allclose(torque(robot), 11.0)
    assert robot.counts.lowcmd_taken == 1


def test_release_leaves_the_motors_at_their_last_command(robot: Firmware) -> None:
    before = torque(robot)
    robot.release_mode({})
    np.testing.assert_array_equal(torque(robot, 1e6), before)


def test_the_last_command_is_kept_for_ever(robot: Firmware) -> None:
    robot.release_mode({})
    robot.low_cmd(frame(q=0.3))
    held = torque(robot)
    np.testing.assert_array_equal(torque(robot, 3600.0), held)


def test_a_wrong_crc_is_dropped(robot: Firmware) -> None:
    robot.release_mode({})
    before = torque(robot)
    spoiled = bytearray(frame())
    spoiled[40] ^= 1
    for payload in (bytes(spoiled), frame()[:-8], b""):
        robot.low_cmd(payload)
    np.testing.assert_array_equal(torque(robot), before)
    assert robot.counts.bad_frames == 3


def test_another_machine_s_command_is_dropped_without_a_word(robot: Firmware) -> None:
    robot.release_mode({})
    before = torque(robot)
    robot.low_cmd(frame(machine=4))
    np.testing.assert_array_equal(torque(robot), before)
    assert robot.counts.wrong_machine == 1
    robot.machine = 4
    robot.low_cmd(frame(machine=4))
    assert robot.counts.lowcmd_taken == 1


def test_a_command_that_is_not_finite_is_dropped(robot: Firmware) -> None:
    from neon_ros.robot.layout import LOW_CMD_LAYOUT

    robot.release_mode({})
    before = torque(robot)
    raw = LowCmdFrame()
    raw.set_mode(0, 5)
    raw._floats[0, 3] = np.nan  # the frame itself refuses it; another sender's would not
    payload = bytes(raw._seal())
    assert len(payload) == LOW_CMD_LAYOUT.size
    robot.low_cmd(payload)
    np.testing.assert_array_equal(torque(robot), before)
    assert robot.counts.not_finite == 1


def test_a_motor_that_is_off_gives_nothing(robot: Firmware) -> None:
    robot.release_mode({})
    robot.low_cmd(frame(mode=0))
    np.testing.assert_array_equal(torque(robot), 0.0)
    np.testing.assert_array_equal(robot.motor_mode, 0)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_arm_sdk_blends_waist_and_arms_by_its_weight(robot: Firmware, weight: float) -> None:
    own = torque(robot)
    robot.arm_sdk(frame(q=1.0, kp=30.0, weight=weight))
    got = torque(robot)
    np.testing.assert_array_equal(got[:12], own[:12])
    np.testing.assert_allclose(got[12:], (1 - weight) * own[12:] + weight * 30.0, atol=1e-5)


def test_arm_sdk_is_dropped_when_released_or_lying(robot: Firmware) -> None:
    assert robot.set_fsm({"data": 1}) == (0, {})
    robot.arm_sdk(frame(weight=1.0))
    robot.set_fsm({"data": 500})
    robot.release_mode({})
    robot.arm_sdk(frame(weight=1.0))
    assert robot.counts.not_owner == 2 and robot.counts.arm_sdk_taken == 0


def test_damping_and_zero_torque(robot: Firmware) -> None:
    moving = np.ones(N)
    robot.set_fsm({"data": 1})
    drive = robot.step(0.0, ZERO, moving, UPRIGHT, np.zeros(3))
    assert (drive.torque(ZERO, moving, BIG) < 0).all() and (drive.kp == 0).all()
    robot.set_fsm({"data": 0})
    drive = robot.step(0.0, ZERO, moving, UPRIGHT, np.zeros(3))
    np.testing.assert_array_equal(drive.torque(ZERO, moving, BIG), 0.0)
    assert robot.get_fsm({}) == (0, {"data": 0})


def test_select_gives_the_motors_back(robot: Firmware) -> None:
    robot.release_mode({})
    robot.low_cmd(frame())
    assert robot.select_mode({"name": "ai"}) == (0, {})
    assert robot.owner == "ai"
    np.testing.assert_allclose(torque(robot), torque(Firmware(5, stand_pose())))
    assert robot.select_mode({"name": "dance"}) == (3204, {})


def test_velocity_ends_by_itself(robot: Firmware) -> None:
    torque(robot, 10.0)
    assert robot.set_velocity({"velocity": [0.3, 0.0, -0.1], "duration": 0.5}) == (0, {})
    torque(robot, 10.4)
    np.testing.assert_allclose(robot.velocity, [0.3, 0.0, -0.1])
    torque(robot, 10.6)
    np.testing.assert_array_equal(robot.velocity, 0.0)


@pytest.mark.parametrize(
    "parameter",
    [
        {},
        {"velocity": [1, 2]},
        {"velocity": "fast"},
        {"velocity": [float("nan"), 0, 0]},
        {"velocity": [0, 0, 0], "duration": -1},
        {"velocity": [0, 0, 0], "duration": "long"},
    ],
)
def test_bad_velocities_are_refused(robot: Firmware, parameter: dict) -> None:
    assert robot.set_velocity(parameter) == (3204, {})


def test_walking_is_not_available_when_it_cannot_be(robot: Firmware) -> None:
    robot.set_fsm({"data": 4})
    assert robot.set_velocity({"velocity": [0, 0, 0]}) == (7301, {})
    robot.release_mode({})
    assert robot.set_velocity({"velocity": [0, 0, 0]}) == (7301, {})
    assert robot.set_fsm({"data": 500}) == (7301, {})


@pytest.mark.parametrize(("value", "code"), [(77, 7302), ("500", 3204), (None, 3204), (True, 3204)])
def test_unknown_states_are_refused(robot: Firmware, value: object, code: int) -> None:
    assert robot.set_fsm({"data": value}) == (code, {})
    assert robot.fsm == 500


def test_the_remote_damps_the_robot_or_gives_its_motors_away(robot: Firmware) -> None:
    robot.press(("L2",))
    robot.press(())
    assert (robot.owner, robot.fsm) == ("ai", 500)
    robot.press(("B", "L2", "up"))
    assert (robot.owner, robot.fsm) == ("ai", 1)
    robot.press(("L2", "R2"))
    assert robot.owner == ""
    robot.press(("L2", "B"))
    assert robot.owner == "", "without its own controller the robot has no damping of its own"


def test_reset_gives_a_fresh_robot_with_its_counts(robot: Firmware) -> None:
    robot.release_mode({})
    robot.low_cmd(frame())
    robot.reset(stand_pose())
    assert robot.owner == "ai" and robot.counts.lowcmd_taken == 1
    np.testing.assert_allclose(torque(robot), torque(Firmware(5, stand_pose())))


@pytest.mark.skipif(importlib.util.find_spec("holosoma_inference") is None, reason="walking policy is not installed")
def test_the_policy_moves_legs_only_and_at_its_own_rate() -> None:
    from neon_ros.sim.balance import WalkingPolicy

    robot = Firmware(5, stand_pose(), WalkingPolicy())
    held = Firmware(5, stand_pose())
    first = robot.step(0.0, stand_pose(), ZERO, UPRIGHT, np.zeros(3))
    np.testing.assert_array_equal(first.bias[12:], held.step(0.0, ZERO, ZERO, UPRIGHT, np.zeros(3)).bias[12:])
    assert not np.array_equal(first.kp[:12], held._own.kp[:12])
    same = robot.step(0.018, stand_pose() + 0.1, ZERO, UPRIGHT, np.zeros(3))
    np.testing.assert_array_equal(same.bias, first.bias)
    other = robot.step(0.02, stand_pose() + 0.1, ZERO, UPRIGHT, np.zeros(3))
    assert not np.array_equal(other.bias[:12], first.bias[:12])
    assert isinstance(other, Drive)
