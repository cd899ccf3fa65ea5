"""The door for chunks: each way to be wrong, what it says, and that it changes nothing (I10 to I12)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neon_ros.contracts import ActionChunk
from neon_ros.errors import ConfigError, Refused
from neon_ros.guard.admission import Admission, AdmissionConfig, AdmittedChunk
from neon_ros.robot.joints import JOINT_INDEX, JOINT_NAMES
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS

NOW_NS, NOW = 50_000_000, 1000.0  # 50 ms after the stamp of the maker's chunk
ARMS = MODES["arms_only"].joint_names
Maker = Callable[..., ActionChunk]


def _door(mode: str = "arms_only", variant: int = 5, **config: object) -> Admission:
    return Admission(MODES[mode], VARIANTS[variant], AdmissionConfig(**config))  # type: ignore[arg-type]


def _same(a: AdmittedChunk, b: AdmittedChunk) -> bool:
    """Return whether two admitted chunks are equal to the bit."""
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in AdmittedChunk.__dataclass_fields__)


def test_puts_a_chunk_in_motor_order_on_the_steady_clock(action_chunk: Maker) -> None:
    q = np.arange(16 * 14, dtype=np.float32).reshape(16, 14) * 1e-3
    got = _door().admit(action_chunk(q=q), NOW_NS, NOW)
    assert got.t0 == pytest.approx(999.95) and got.dt == 0.02 and (got.epoch, got.sequence) == (1, 1)
    assert got.q.dtype == np.float64 and got.q.shape == (16, 29)
    assert got.moved.tolist() == [False] * 15 + [True] * 14
    for column, name in enumerate(ARMS):
        np.testing.assert_array_equal(got.q[:, JOINT_INDEX[name]], q[:, column].astype(np.float64))
    assert not got.q[:, :15].any()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(14)), seed=st.integers(0, 2**31))
def test_any_order_of_names_gives_the_same_bits(order: list[int], seed: int, action_chunk: Maker) -> None:
    q = np.random.default_rng(seed).uniform(-0.5, 0.5, (16, 14)).astype(np.float32)
    straight = _door().admit(action_chunk(q=q), NOW_NS, NOW)
    shuffled = _door().admit(action_chunk(q=q[:, order], joint_names=tuple(ARMS[i] for i in order)), NOW_NS, NOW)
    assert _same(straight, shuffled)


def _bad_cell(value: float) -> np.ndarray:
    q = np.full((16, 14), 0.1)
    q[3, 2] = value
    return q


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "mode": ({"mode": "upper_body"}, r"chunk\.mode: got upper_body; allowed: arms_only"),
    "unknown": ({"joint_names": (*ARMS[:-1], "tail_joint")}, r"chunk\.joint_names: got unknown \['tail_joint'\]"),
    "leg": ({"joint_names": (*ARMS[:-1], "left_knee_joint")}, r"got outside the mode \['left_knee_joint'\]"),
    "repeated": ({"joint_names": (*ARMS[:-1], ARMS[0])}, r"got repeated \['left_shoulder_pitch_joint'\]"),
    "missing": ({"joint_names": ARMS[:-1], "q": np.zeros((16, 13))}, r"got missing \['right_wrist_yaw_joint'\]"),
    "no names": ({"joint_names": None}, r"chunk\.joint_names: got NoneType; allowed: a tuple of names"),
    "numbers": ({"joint_names": tuple(range(14))}, r"chunk\.joint_names: got tuple; allowed: a tuple of names"),
    "nan": ({"q": _bad_cell(np.nan)}, r"chunk\.q\[3, 2\]: got nan; allowed: finite values"),
    "inf": ({"q": _bad_cell(np.inf)}, r"chunk\.q\[3, 2\]: got inf; allowed: finite values"),
    "huge": (
        {"q": _bad_cell(1e308)},
        r"chunk\.q step 3 left_shoulder_yaw_joint: got .*; allowed: -3\.118 to 3\.118 rad",
    ),
    "outside": ({"q": _bad_cell(3.2)}, r"chunk\.q step 3 left_shoulder_yaw_joint: got 3\.200 rad"),
    "width": ({"q": np.zeros((16, 13))}, r"chunk\.q shape: got \(16, 13\); allowed: \(horizon, 14\)"),
    "rank": ({"q": np.zeros(16 * 14)}, r"chunk\.q shape: got \(224,\)"),
    "list": ({"q": [[0.0] * 14] * 16}, r"chunk\.q: got list; allowed: an array of real numbers"),
    "complex": ({"q": np.zeros((16, 14), complex)}, r"chunk\.q: got ndarray; allowed: an array of real numbers"),
    "empty": ({"q": np.zeros((0, 14)), "base_velocity": np.zeros((0, 3))}, r"chunk\.horizon: got 0; allowed: 2 to 64"),
    "long": ({"q": np.zeros((65, 14)), "base_velocity": np.zeros((65, 3))}, r"chunk\.horizon: got 65"),
    "base rows": (
        {"base_velocity": np.zeros((15, 3))},
        r"chunk\.base_velocity shape: got \(15, 3\); allowed: \(16, 3\)",
    ),
    "base nan": ({"base_velocity": np.full((16, 3), np.nan)}, r"chunk\.base_velocity\[0, 0\]: got nan"),
    "base fast": (
        {"base_velocity": np.full((16, 3), 0.6)},
        r"chunk\.base_velocity step 0 vy: got 0\.600; allowed: -0\.5 to 0\.5",
    ),
    "dt zero": ({"dt": 0.0}, r"chunk\.dt: got 0\.0; allowed: 0\.005 to 0\.5 s"),
    "dt nan": ({"dt": float("nan")}, r"chunk\.dt: got nan"),
    "dt text": ({"dt": "0.02"}, r"chunk\.dt: got 0\.02; allowed: 0\.005"),
    "dt bool": ({"dt": True}, r"chunk\.dt: got True"),
    "sequence": ({"sequence": -1}, r"chunk\.sequence: got -1; allowed: a whole number within uint64"),
    "epoch": ({"epoch": 2**64}, r"chunk\.epoch: got 18446744073709551616"),
    "fraction": ({"sequence": 1.5}, r"chunk\.sequence: got 1\.5"),
    "stamp": ({"stamp_ns": 0.5}, r"chunk\.stamp_ns: got 0\.5; allowed: whole nanoseconds"),
    "stale": ({"stamp_ns": -250_000_000}, r"chunk age: got 0\.300 s; allowed: less than 0\.300 s"),
    "1970": ({"stamp_ns": -1_700_000_000 * 10**9}, r"chunk age: got 1700000000\.050 s"),
    "future": ({"stamp_ns": 551_000_000}, r"chunk stamp: got 0\.501 s ahead of now; allowed: at most 0\.5 s ahead"),
}


@pytest.mark.parametrize("case", WRONG)
def test_refuses_and_changes_nothing(case: str, action_chunk: Maker) -> None:
    changes, message = WRONG[case]
    touched, untouched = _door(), _door()
    with pytest.raises(Refused, match=message):
        touched.admit(action_chunk(**changes), NOW_NS, NOW)
    assert touched.counters.refused == touched.counters.refused_in_a_row == 1
    assert sum(touched.counters.reasons.values()) == 1 and touched.counters.last_refusal
    good = action_chunk(epoch=1, sequence=1)
    assert _same(touched.admit(good, NOW_NS, NOW), untouched.admit(good, NOW_NS, NOW))
    assert touched.counters.refused_in_a_row == 0 and touched.counters.admitted == 1


@pytest.mark.parametrize("numbers", [(1, 5), (1, 4), (0, 9)])
def test_only_newer_chunks_pass(numbers: tuple[int, int], action_chunk: Maker) -> None:
    door = _door()
    door.admit(action_chunk(epoch=1, sequence=5), NOW_NS, NOW)
    with pytest.raises(Refused, match=r"chunk \(epoch, sequence\): got .*; allowed: newer than \(1, 5\)"):
        door.admit(action_chunk(epoch=numbers[0], sequence=numbers[1]), NOW_NS, NOW)
    door.admit(action_chunk(epoch=2, sequence=0), NOW_NS, NOW)


def test_newer_number_with_an_older_stamp_is_refused(action_chunk: Maker) -> None:
    door = _door()
    door.admit(action_chunk(stamp_ns=40_000_000), NOW_NS, NOW)
    with pytest.raises(Refused, match=r"chunk stamp: got 0\.040 s before the last admitted; allowed: not before it"):
        door.admit(action_chunk(sequence=2), NOW_NS, NOW)


def test_clock_of_the_stamps_may_step(action_chunk: Maker) -> None:
    door = _door()
    hour = 3600 * 10**9
    first = door.admit(action_chunk(), NOW_NS, NOW)
    second = door.admit(action_chunk(stamp_ns=-hour, sequence=2), NOW_NS - hour, NOW)
    assert second.t0 == pytest.approx(first.t0)


@pytest.mark.parametrize(("variant", "absent"), [(6, 2), (14, 2), (4, 2), (10, 2)])
def test_joints_that_the_variant_lacks_are_refused(variant: int, absent: int, action_chunk: Maker) -> None:
    door = _door("upper_body", variant)
    chunk = action_chunk(mode="upper_body")
    with pytest.raises(Refused, match=r"got absent on this variant \['waist_roll_joint', 'waist_pitch_joint'"):
        door.admit(chunk, NOW_NS, NOW)
    keep = [i for i, name in enumerate(chunk.joint_names) if name in door.joint_names]
    assert len(keep) <= 17 - absent
    names = tuple(chunk.joint_names[i] for i in keep)
    assert door.admit(action_chunk(mode="upper_body", joint_names=names, q=chunk.q[:, keep]), NOW_NS, NOW)


def test_whole_body_moves_every_joint(action_chunk: Maker) -> None:
    got = _door("whole_body").admit(action_chunk(mode="whole_body", q=np.zeros((16, 29))), NOW_NS, NOW)
    assert got.moved.all() and len(JOINT_NAMES) == 29


def test_shorter_age_may_be_asked_for(action_chunk: Maker) -> None:
    with pytest.raises(Refused, match=r"chunk age: got 0\.050 s; allowed: less than 0\.040 s"):
        _door(max_age=0.04).admit(action_chunk(), NOW_NS, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_future": 0.6},
        {"max_future": float("nan")},
        {"max_age": 0.0},
        {"dt_range": (0.001, 0.5)},
        {"dt_range": (0.02, 0.01)},
        {"horizon_range": (1, 64)},
        {"horizon_range": (2, 65)},
        {"position_tolerance": 0.6},
        {"base_velocity": (2.0, 0.5, 1.0)},
    ],
)
def test_settings_may_only_tighten(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=rf"admission\.{next(iter(changes))}.*: got .*; allowed: "):
        AdmissionConfig(**changes)  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.floats(width=64),
    row=st.integers(0, 15),
    column=st.integers(0, 13),
    stamp=st.integers(-(2**62), 2**62),
    dt=st.floats(),
    epoch=st.integers(-5, 2**65),
)
def test_whatever_comes_is_admitted_or_refused(
    value: float, row: int, column: int, stamp: int, dt: float, epoch: int, action_chunk: Maker
) -> None:
    q = np.zeros((16, 14))
    q[row, column] = value
    door = _door()
    try:
        got = door.admit(action_chunk(q=q, stamp_ns=stamp, dt=dt, epoch=epoch), NOW_NS, NOW)
    except Refused:
        return
    assert np.isfinite(got.q).all() and abs(value) < 4 and 0.005 <= got.dt <= 0.5
    assert NOW - 64 * 0.5 <= got.t0 <= NOW + 0.5
