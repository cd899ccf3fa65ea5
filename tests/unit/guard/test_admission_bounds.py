"""The door on its bounds: allowed up to a value is allowed at it; every refusal is a whole sentence, and is counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from neon_ros.contracts import ActionChunk
from neon_ros.errors import ConfigError, Refused
from neon_ros.guard.admission import Admission, AdmissionConfig
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS

Maker = Callable[..., ActionChunk]
MS = 1_000_000  # [ns]
ARMS = MODES["arms_only"].joint_names
UPPER = 2.6704 + 0.5  # [rad] left shoulder pitch and what admission tolerates


def _door(**config: object) -> Admission:
    return Admission(MODES["arms_only"], VARIANTS[5], AdmissionConfig(**config))  # type: ignore[arg-type]


def _shape(steps: int, joints: int = 14) -> dict[str, np.ndarray]:
    return {"q": np.zeros((steps, joints)), "base_velocity": np.zeros((steps, 3))}


@pytest.mark.parametrize(
    "changes",
    [
        {"dt": 0.005},
        {"dt": 0.5},
        {"dt": np.float32(0.25)},
        _shape(2),
        _shape(64),
        {"stamp_ns": 501 * MS},  # 500 ms ahead of 1 ms
        {"epoch": 0, "sequence": 0},
        {"epoch": 2**64 - 1, "sequence": 2**64 - 1},
        {"epoch": np.int64(3)},
        {"stamp_ns": np.int64(0)},
        {"q": np.zeros((16, 14), dtype=np.int32)},
        {"joint_names": list(ARMS)},
        {"base_velocity": np.tile([1.5, -0.5, 1.0], (16, 1))},
        {"q": np.where(np.arange(14) == 0, UPPER, np.zeros((16, 1)))},
    ],
)
def test_on_the_bound_is_inside(changes: dict[str, object], action_chunk: Maker) -> None:
    door = _door()
    door.admit(action_chunk(**changes), 1 * MS, 5.0)
    assert (door.counters.admitted, door.counters.refused, door.counters.last_refusal) == (1, 0, "")


def test_age_is_less_than_the_length_up_to_the_last_step(action_chunk: Maker) -> None:
    """15 steps of 20 ms after the first: 300 ms."""
    assert _door().admit(action_chunk(), 300 * MS - 1, 5.0).t0 == 5.0 - (300 * MS - 1) * 1e-9
    with pytest.raises(Refused):
        _door().admit(action_chunk(), 300 * MS, 5.0)
    assert _door(max_age=0.05).admit(action_chunk(), 50 * MS - 1, 5.0)
    assert _door(max_age=30.0).admit(action_chunk(), 300 * MS - 1, 5.0), "never longer than the chunk itself"
    with pytest.raises(Refused, match=r"less than 0\.300 s"):
        _door(max_age=30.0).admit(action_chunk(), 300 * MS, 5.0)


def test_two_clocks_may_disagree_by_a_millisecond(action_chunk: Maker) -> None:
    door = _door()
    door.admit(action_chunk(stamp_ns=10 * MS), 20 * MS, 5.0)
    assert door.admit(action_chunk(stamp_ns=9 * MS + 1000, sequence=2), 20 * MS, 5.0)
    with pytest.raises(Refused, match=r"chunk stamp: got 0\.00[12] s before the last admitted; allowed: not before it"):
        door.admit(action_chunk(stamp_ns=8 * MS, sequence=3), 20 * MS, 5.0)


BOTH = "each of " + ", ".join(ARMS) + " once"
SENTENCES: dict[str, tuple[dict[str, object], str, str]] = {
    "mode": ({"mode": "whole_body"}, "mode", "chunk.mode: got whole_body; allowed: arms_only"),
    "unknown": (
        {"joint_names": (*ARMS[:-1], "tail")},
        "joint names",
        f"chunk.joint_names: got unknown ['tail']; allowed: {BOTH}",
    ),
    "repeated": (
        {"joint_names": (*ARMS[:-2], ARMS[1], ARMS[0])},
        "joint names",
        f"chunk.joint_names: got repeated ['{ARMS[0]}', '{ARMS[1]}']; allowed: {BOTH}",
    ),
    "missing": (
        {"joint_names": ARMS[1:]},
        "joint names",
        f"chunk.joint_names: got missing ['{ARMS[0]}']; allowed: {BOTH}",
    ),
    "outside the mode": (
        {"joint_names": (*ARMS[:-1], "waist_yaw_joint")},
        "joint names",
        f"chunk.joint_names: got outside the mode ['waist_yaw_joint']; allowed: {BOTH}",
    ),
    "no names": ({"joint_names": "left"}, "joint names", "chunk.joint_names: got str; allowed: a tuple of names"),
    "names of no text": (
        {"joint_names": (*ARMS[:-1], 3)},
        "joint names",
        "chunk.joint_names: got tuple; allowed: a tuple of names",
    ),
    "epoch": ({"epoch": -1}, "epoch", "chunk.epoch: got -1; allowed: a whole number within uint64"),
    "sequence": ({"sequence": True}, "sequence", "chunk.sequence: got True; allowed: a whole number within uint64"),
    "dt below": (
        {"dt": math.nextafter(0.005, 0)},
        "dt",
        f"chunk.dt: got {math.nextafter(0.005, 0)}; allowed: 0.005 to 0.5 s",
    ),
    "dt above": ({"dt": 0.51}, "dt", "chunk.dt: got 0.51; allowed: 0.005 to 0.5 s"),
    "no array": ({"q": 3}, "shape", "chunk.q: got int; allowed: an array of real numbers"),
    "flags": ({"q": np.zeros((16, 14), bool)}, "shape", "chunk.q: got ndarray; allowed: an array of real numbers"),
    "width": ({"q": np.zeros((16, 15))}, "shape", "chunk.q shape: got (16, 15); allowed: (horizon, 14)"),
    "cube": ({"q": np.zeros((16, 14, 1))}, "shape", "chunk.q shape: got (16, 14, 1); allowed: (horizon, 14)"),
    "one step": (_shape(1), "horizon", "chunk.horizon: got 1; allowed: 2 to 64 steps"),
    "many steps": (_shape(65), "horizon", "chunk.horizon: got 65; allowed: 2 to 64 steps"),
    "base width": (
        {"base_velocity": np.zeros((16, 2))},
        "shape",
        "chunk.base_velocity shape: got (16, 2); allowed: (horizon, 3)",
    ),
    "base rows": (
        {"base_velocity": np.zeros((15, 3))},
        "shape",
        "chunk.base_velocity shape: got (15, 3); allowed: (16, 3), a row for each step",
    ),
    "nan": (
        {"q": np.where(np.arange(14) == 2, np.nan, np.zeros((16, 1)))},
        "not finite",
        "chunk.q[0, 2]: got nan; allowed: finite values",
    ),
    "position": (
        {"q": np.where(np.arange(14) == 0, -UPPER - 0.5, np.zeros((16, 1)))},
        "position",
        "chunk.q step 0 left_shoulder_pitch_joint: got -3.670 rad; allowed: -3.589 to 3.170 rad",
    ),
    "yaw": (
        {"base_velocity": np.tile([0.0, 0.0, -1.01], (16, 1))},
        "base velocity",
        "chunk.base_velocity step 0 yaw rate: got -1.010; allowed: -1 to 1",
    ),
    "vx": (
        {"base_velocity": np.tile([1.51, 0.0, 0.0], (16, 1))},
        "base velocity",
        "chunk.base_velocity step 0 vx: got 1.510; allowed: -1.5 to 1.5",
    ),
    "stamp": ({"stamp_ns": True}, "stamp", "chunk.stamp_ns: got True; allowed: whole nanoseconds"),
    "stale": ({"stamp_ns": -300 * MS}, "stale", "chunk age: got 0.301 s; allowed: less than 0.300 s"),
    "future": (
        {"stamp_ns": 601 * MS},
        "future",
        "chunk stamp: got 0.600 s ahead of now; allowed: at most 0.5 s ahead",
    ),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_refusals_say_what_was_got_and_what_is_allowed(case: str, action_chunk: Maker) -> None:
    changes, reason, sentence = SENTENCES[case]
    door = _door()
    for count in (1, 2):
        with pytest.raises(Refused) as refusal:
            door.admit(action_chunk(**changes), 1 * MS, 5.0)
        assert str(refusal.value) == sentence
        assert door.counters.reasons == {reason: count}
        assert door.counters.last_refusal == str(refusal.value)
        assert door.counters.refused == door.counters.refused_in_a_row == count
    door.admit(action_chunk(), 1 * MS, 5.0)
    assert (door.counters.refused, door.counters.refused_in_a_row, door.counters.admitted) == (2, 0, 1)
    with pytest.raises(Refused, match=r"^chunk \(epoch, sequence\): got \(1, 1\); allowed: newer than \(1, 1\)$"):
        door.admit(action_chunk(), 1 * MS, 5.0)
    assert door.counters.reasons == {reason: 2, "not newer": 1} and door.counters.refused_in_a_row == 1


@pytest.mark.parametrize("mode", [None, 3, np.zeros(2), np.array("arms_only")])
def test_a_mode_that_is_no_text_is_refused(mode: object, action_chunk: Maker) -> None:
    door = _door()
    with pytest.raises(Refused, match=r"^chunk\.mode: got .*; allowed: arms_only$"):
        door.admit(replace(action_chunk(), mode=mode), 1 * MS, 5.0)
    assert door.counters.reasons == {"mode": 1}


def test_the_names_of_the_last_good_chunk_are_no_short_cut(action_chunk: Maker) -> None:
    door = _door()
    q = np.linspace(-0.5, 0.5, 14) * np.ones((16, 1))
    first = door.admit(action_chunk(q=q), 1 * MS, 5.0)
    turned = door.admit(action_chunk(q=q[:, ::-1], joint_names=ARMS[::-1], sequence=2), 1 * MS, 5.0)
    again = door.admit(action_chunk(q=q[:, ::-1], joint_names=ARMS[::-1], sequence=3), 1 * MS, 5.0)
    back = door.admit(action_chunk(q=q, sequence=4), 1 * MS, 5.0)
    for other in (turned, again, back):
        np.testing.assert_array_equal(other.q, first.q)
    first.moved[:] = False
    assert back.moved.sum() == 14 and door.admit(action_chunk(sequence=5), 1 * MS, 5.0).moved.sum() == 14


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"max_future": -0.1}, "admission.max_future: got -0.1; allowed: 0 to 0.5"),
        ({"max_age": 33.0}, "admission.max_age: got 33.0; allowed: 0.01 to 32"),
        ({"dt_range": (0.004, 0.5)}, "admission.dt_range[0]: got 0.004; allowed: 0.005 to 0.5"),
        ({"dt_range": (0.1, 0.09)}, "admission.dt_range[1]: got 0.09; allowed: 0.1 to 0.5"),
        ({"horizon_range": (2, 65)}, "admission.horizon_range[1]: got 65; allowed: 2 to 64"),
        ({"position_tolerance": True}, "admission.position_tolerance: got True; allowed: 0 to 0.5"),
        ({"base_velocity": (1.5, 0.51, 1.0)}, "admission.base_velocity.vy: got 0.51; allowed: 0 to 0.5"),
        ({"base_velocity": (1.6, 0.5, 1.0)}, "admission.base_velocity.vx: got 1.6; allowed: 0 to 1.5"),
        ({"base_velocity": (1.5, 0.5, -1.0)}, "admission.base_velocity.yaw: got -1.0; allowed: 0 to 1"),
    ],
)
def test_settings_that_would_widen_are_refused_in_full_sentences(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        AdmissionConfig(**changes)  # type: ignore[arg-type]
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    "changes",
    [
        {"max_future": 0.0, "max_age": 0.01, "position_tolerance": 0.0, "base_velocity": (0.0, 0.0, 0.0)},
        {"max_age": 32.0, "dt_range": (0.5, 0.5), "horizon_range": (64, 64)},
        {"dt_range": (0.005, 0.005), "horizon_range": (2, 2)},
    ],
)
def test_settings_on_their_bounds_are_taken(changes: dict[str, object]) -> None:
    made = AdmissionConfig(**changes)  # type: ignore[arg-type]
    assert all(getattr(made, name) == value for name, value in changes.items())
