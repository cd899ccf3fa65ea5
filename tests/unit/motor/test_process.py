"""The command line of the motor process."""

from __future__ import annotations

import pytest

pytest.importorskip("cyclonedds")

from neon_ros.errors import ConfigError
from neon_ros.motor.link import dds_config
from neon_ros.motor.process import EXIT_REFUSED, guard_config, main, parser


def test_settings_reach_the_guard() -> None:
    config = guard_config(["arm_seconds=3", "hold_seconds=1.5"], 250.0, simulated=False)
    assert (config.arm_seconds, config.hold_seconds, config.period, config.simulated) == (3.0, 1.5, 0.004, False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("arm_seconds", "--set: got arm_seconds; allowed: NAME=VALUE with a name among arm_max_dq"),
        ("speed=3", "--set: got speed=3; allowed: NAME=VALUE"),
        ("period=0.001", "--set: got period=0.001"),
        ("arm_seconds=slow", "--set arm_seconds: got slow; allowed: a number"),
        ("arm_seconds=nan", "guard.arm_seconds: got nan; allowed: 0.2 to 10 s"),
        ("arm_seconds=0.5", "guard.arm_seconds: got 0.5; allowed: at least 2 s unless simulated"),
    ],
)
def test_wrong_settings_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        guard_config([text], 500.0, simulated=False)
    assert str(caught.value).startswith(sentence)


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
