"""A guard's settings from names and numbers, as files and command lines give them."""

from __future__ import annotations

import pytest

from neon_ros.errors import ConfigError
from neon_ros.guard.config import GROUPS, GuardConfig, from_settings, numbers
from neon_ros.guard.limits import Dynamic, LimitConfig
from neon_ros.robot.joints import JOINT_NAMES

ELBOW, WAIST = "left_elbow_joint", "waist_yaw_joint"


def refused(values: dict[str, object], **where: str) -> str:
    """Return the sentence with which settings are refused."""
    with pytest.raises(ConfigError) as refusal:
        from_settings(values, **where)  # type: ignore[arg-type]
    return str(refusal.value)


def test_nothing_given_is_the_default_of_a_real_robot() -> None:
    assert from_settings({}) == GuardConfig()
    assert from_settings({}).period == 0.002 and from_settings({}).simulated is False


def test_what_is_given_by_keyword_is_taken() -> None:
    made = from_settings({"arm_seconds": 0.3}, period=0.004, simulated=True)
    assert (made.period, made.simulated, made.arm_seconds) == (0.004, True, 0.3)


@pytest.mark.parametrize("name", sorted({item.name for item in numbers()} - {"period"}))
def test_every_number_has_its_name(name: str) -> None:
    bounds = next(item.metadata for item in numbers() if item.name == name)
    value = 0.04 if name == "silent_damp" else bounds["low"]  # which may not lie below silent_hold
    made = from_settings({name: value}, simulated=True)
    assert getattr(made, name) == value
    assert made == GuardConfig(simulated=True, **{name: value})


def test_limits_of_a_group_change_that_group_alone() -> None:
    made = from_settings(
        {"limits.arm.velocity": 3.0, "limits.waist.jerk": 500.0, "limits.position_margin": 0.05}
    ).limits
    assert made == LimitConfig(
        position_margin=0.05, arm=Dynamic(3.0, 40.0, 2000.0), waist=Dynamic(2.0, 15.0, 500.0), joints={}
    )


def test_limits_of_a_joint_are_those_of_its_group_but_for_what_is_given() -> None:
    made = from_settings(
        {"limits.arm.velocity": 3.0, f"limits.{ELBOW}.acceleration": 20.0, f"limits.{WAIST}.velocity": 1.0}
    ).limits
    assert made.joints == {ELBOW: Dynamic(3.0, 20.0, 2000.0), WAIST: Dynamic(1.0, 15.0, 800.0)}
    assert (
        made.arm == Dynamic(3.0, 40.0, 2000.0) and made.leg == LimitConfig().leg and made.waist == LimitConfig().waist
    )


def test_two_limits_of_one_joint_go_together() -> None:
    made = from_settings({f"limits.{ELBOW}.velocity": 1.0, f"limits.{ELBOW}.jerk": 900.0}).limits
    assert made.joints == {ELBOW: Dynamic(1.0, 40.0, 900.0)}


@pytest.mark.parametrize("value", [True, "2.0", None, [1.0]])
def test_what_is_no_number_is_refused(value: object) -> None:
    assert refused({"stale_after": value}) == f"motor.stale_after: got {value!r}; allowed: a number"
    assert refused({"stale_after": value}, where="guard").startswith("guard.stale_after: got ")


UNKNOWN = """period wrong limits limits.arm limits.arm.size limits.tail.velocity bounds.arm.velocity
limits.arm.velocity.x self_collision limits_arm_velocity"""


@pytest.mark.parametrize("name", UNKNOWN.split())
def test_unknown_names_are_refused_and_the_known_ones_told(name: str) -> None:
    known = sorted({item.name for item in numbers()} - {"period"})
    allowed = ", ".join([*known, "limits.position_margin", "limits.<leg|waist|arm|joint>.<quantity>"])
    assert refused({name: 1.0}) == f"motor.{name}: got an unknown setting; allowed: {allowed}"


def test_limits_wider_than_every_variants_are_refused() -> None:
    sentence = refused({f"limits.{ELBOW}.velocity": 1000.0})
    assert sentence.startswith(f"{ELBOW} velocity limit: got 1000.0; allowed: 0.001 to ")
    for group in GROUPS:
        with pytest.raises(ConfigError, match="acceleration limit: got 201.0; allowed: 0.001 to 200 "):
            from_settings({f"limits.{group}.acceleration": 201.0})
    assert set(GROUPS) == {"leg", "waist", "arm"} and ELBOW in JOINT_NAMES


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"outliers": 1.5}, "guard.outliers: got 1.5; allowed: a whole number of samples"),
        ({"arm_seconds": 1.9}, "guard.arm_seconds: got 1.9; allowed: at least 2 s unless simulated"),
        ({"self_collision": False}, "guard.self_collision: got False; allowed: True unless simulated"),
        ({"self_collision": 1}, "guard.self_collision: got 1; allowed: bool"),
        ({"limits": None}, "guard.limits: got None; allowed: LimitConfig"),
        (
            {"collision_stop": 0.03},
            "guard.collision_slow: got 0.04; allowed: at least 0.02 m above collision_stop, 0.03 m",
        ),
        (
            {"silent_hold": 0.02, "silent_damp": 0.015},
            "guard.silent_damp: got 0.015; allowed: at least silent_hold, 0.02 s",
        ),
        ({"hold_seconds": 2.5}, "guard.hold_seconds: got 2.5; allowed: 0.1 to 2 s"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_whole_sentences(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        GuardConfig(**values)  # type: ignore[arg-type]
    assert str(refusal.value) == sentence


def test_settings_at_their_bounds_fit() -> None:
    assert GuardConfig(collision_stop=0.02, collision_slow=0.04).collision_slow == 0.04
    assert GuardConfig(silent_hold=0.02, silent_damp=0.02).silent_damp == 0.02
    assert GuardConfig(arm_seconds=2.0).arm_seconds == 2.0
