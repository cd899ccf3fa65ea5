"""The command line of the motor process."""

from __future__ import annotations

import pytest

pytest.importorskip("cyclonedds")

from neon_ros.errors import ConfigError
from neon_ros.guard.limits import motion_limits
from neon_ros.motor.link import dds_config
from neon_ros.motor.process import EXIT_REFUSED, guard_config, main, parser
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.robot.variants import VARIANTS


def test_settings_reach_the_guard() -> None:
    config = guard_config(["arm_seconds=3", "hold_seconds=1.5"], 250.0, simulated=False)
    assert (config.arm_seconds, config.hold_seconds, config.period, config.simulated) == (3.0, 1.5, 0.004, False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("arm_seconds", "--set: got arm_seconds; allowed: NAME=VALUE"),
        ("speed=3", "guard.speed: got an unknown setting; allowed: arm_max_dq, arm_seconds"),
        ("period=0.001", "guard.period: got an unknown setting"),
        ("limits.tail.velocity=1", "guard.limits.tail.velocity: got an unknown setting"),
        ("limits.arm.speed=1", "guard.limits.arm.speed: got an unknown setting"),
        (
            "limits.arm.velocity=38",
            "left_shoulder_pitch_joint velocity limit: got 38.0; allowed: 0.001 to 37 (may only",
        ),
        ("limits.left_knee_joint.velocity=21", "left_knee_joint velocity limit: got 21.0; allowed: 0.001 to 20 (may"),
        ("limits.waist.jerk=30000", "waist_yaw_joint jerk limit: got 30000.0; allowed: 0.001 to 20000 (may only"),
        ("limits.position_margin=-0.1", "limits.position_margin: got -0.1; allowed: 0 to"),
        ("arm_seconds=slow", "--set arm_seconds: got slow; allowed: a number"),
        ("arm_seconds=nan", "guard.arm_seconds: got nan; allowed: 0.2 to 10 s"),
        ("arm_seconds=0.5", "guard.arm_seconds: got 0.5; allowed: at least 2 s unless simulated"),
    ],
)
def test_wrong_settings_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        guard_config([text], 500.0, simulated=False)
    assert str(caught.value).startswith(sentence)


def test_limits_of_groups_and_joints_reach_the_guard() -> None:
    words = ["limits.arm.velocity=2", "limits.left_elbow_joint.jerk=900", "limits.position_margin=0.05"]
    limits = guard_config(words, 500.0, simulated=False).limits
    ours = motion_limits(VARIANTS[5], limits)
    elbow, wrist, knee = (JOINT_INDEX[f"left_{name}_joint"] for name in ("elbow", "wrist_roll", "knee"))
    assert (ours.velocity[elbow], ours.acceleration[elbow], ours.jerk[elbow]) == (2.0, 40.0, 900.0)
    assert (ours.velocity[wrist], ours.jerk[wrist], ours.velocity[knee]) == (2.0, 2000.0, 10.0)
    assert ours.upper[elbow] == VARIANTS[5].limits().upper[elbow] - 0.05


def test_a_limit_that_only_some_variants_allow_waits_for_the_variant() -> None:
    limits = guard_config(["limits.left_hip_pitch_joint.velocity=30"], 500.0, simulated=False).limits
    with pytest.raises(ConfigError, match="left_hip_pitch_joint velocity limit: got 30.0; allowed: 0.001 to 20"):
        motion_limits(VARIANTS[11], limits)


@pytest.mark.parametrize("rate", [0.0, 49.0, 1001.0, float("nan")])
def test_a_wrong_rate_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="rate: got .*; allowed: 50 to 1000 Hz"):
        guard_config([], rate, simulated=True)


def test_an_unknown_mode_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--session", "s", "--mode", "legs"])
    assert "'legs' (choose from" in capsys.readouterr().err


def test_a_real_robot_needs_a_guardian(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--session", "s", "--mode", "upper_body", "--robot", "real", "--no-guardian"]
    assert main(arguments) == EXIT_REFUSED
    assert "--no-guardian: got --robot real; allowed: --robot sim only" in capfd.readouterr().err


def test_dds_configuration_of_an_interface() -> None:
    assert 'name="eth0"' in dds_config("eth0") and "127.0.0.1" not in dds_config("eth0")
    loopback = dds_config("lo")
    assert "127.0.0.1" in loopback and "<AllowMulticast>false</AllowMulticast>" in loopback
    assert 'name="a&quot;b"' in dds_config('a"b') or "name='a\"b'" in dds_config('a"b')
    with pytest.raises(ConfigError, match="interface: got an empty name; allowed: 'lo' or a network interface"):
        dds_config("")
