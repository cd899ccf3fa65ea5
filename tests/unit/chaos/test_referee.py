"""The referee on synthetic streams: a smooth one passes, and each breach put into it is found by its name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neon_ros.chaos.referee import Breach, Law, is_damping, judge
from neon_ros.chaos.setting import law_of
from neon_ros.chaos.tape import ARM_SDK, BAD_CRC, BAD_MODE, BAD_SLOTS, LOWCMD, MEASURED, RECORD

PERIOD_NS = 2_000_000
LENGTH = 400
ELBOW = 18


def stream(law: Law, kind: int = LOWCMD, length: int = LENGTH) -> np.ndarray:
    """Return a smooth motion of all held joints at 500 Hz with what the robot measured beside it."""
    t = np.arange(length) * law.period
    middle = (law.lower + law.upper) / 2
    commands = np.zeros(length, RECORD)
    commands["time"] = 10_000_000_000 + PERIOD_NS * np.arange(length)
    commands["kind"] = kind
    commands["q"] = middle + 0.05 * (1 - np.cos(3.0 * t))[:, None] * law.held
    commands["dq"] = 0.15 * np.sin(3.0 * t)[:, None] * law.held
    commands["kp"], commands["kd"] = law.kp, law.kd
    commands["weight"] = 1.0 if kind == ARM_SDK else 0.0
    measured = commands.copy()
    measured["kind"], measured["time"] = MEASURED, commands["time"] + 1_000_000
    records = np.concatenate([commands, measured])
    return records[np.argsort(records["time"], kind="stable")]


def changed(records: np.ndarray, change: Callable[[np.ndarray], None]) -> np.ndarray:
    """Return the records with the commands changed in place by ``change``."""
    rows = np.flatnonzero(records["kind"] <= ARM_SDK)
    commands = records[rows]
    change(commands)
    out = records.copy()
    out[rows] = commands
    return out


def laws_of(breaches: list[Breach]) -> set[str]:
    return {breach.law for breach in breaches}


LOW = law_of("whole_body")
SDK = law_of("upper_body")


@pytest.mark.parametrize(("law", "kind"), [(LOW, LOWCMD), (SDK, ARM_SDK)])
def test_a_smooth_stream_has_no_breach(law: Law, kind: int) -> None:
    assert judge(stream(law, kind), law) == []


def _nan(commands: np.ndarray) -> None:
    commands["q"][200, ELBOW] = np.nan


def _outside(commands: np.ndarray) -> None:
    commands["q"][:, ELBOW] += LOW.upper[ELBOW] - commands["q"][:, ELBOW].max() + 1e-4


def _step(commands: np.ndarray) -> None:
    commands["q"][200:, ELBOW] += 1e-3


def _fast(commands: np.ndarray) -> None:
    commands["dq"][200, ELBOW] = 4.01


def _jerk(commands: np.ndarray) -> None:
    commands["dq"][200:, ELBOW] += 0.05


def _feed(commands: np.ndarray) -> None:
    commands["tau"][200, ELBOW] = 0.1


def _stiff(commands: np.ndarray) -> None:
    commands["kp"][200, ELBOW] *= 1.01


def _negative(commands: np.ndarray) -> None:
    commands["kd"][200, ELBOW] = -0.1


def _loose(commands: np.ndarray) -> None:
    commands["kd"][200, 0] = 3.05


@pytest.mark.parametrize(
    ("change", "law"),
    [
        (_nan, "I1 q"),
        (_outside, "I2 position"),
        (_step, "I4 acceleration of q"),
        (_step, "I5 jerk of q"),
        (_fast, "I3 velocity"),
        (_jerk, "I5 jerk"),
        (_feed, "I7 feed-forward"),
        (_stiff, "I7 kp"),
        (_negative, "I7 kd"),
        (_loose, "I7 kd"),
    ],
)
def test_each_breach_is_found(change: Callable[[np.ndarray], None], law: str) -> None:
    assert law in laws_of(judge(changed(stream(LOW), change), LOW))


@pytest.mark.parametrize(
    ("bit", "law"), [(BAD_CRC, "I15 CRC"), (BAD_SLOTS, "I15 unused slots"), (BAD_MODE, "I15 mode")]
)
def test_flaws_of_frames_are_found(bit: int, law: str) -> None:
    def flaw(commands: np.ndarray) -> None:
        commands["flaws"][7] = bit

    assert law in laws_of(judge(changed(stream(LOW), flaw), LOW))


def test_a_torque_over_the_limit_is_found_unless_one_recent_measurement_excuses_it() -> None:
    records = stream(LOW)
    measured = np.flatnonzero(records["kind"] == MEASURED)
    far = records.copy()
    far["q"][measured[100:], ELBOW] -= 0.6  # 40 N m/rad x 0.6 rad is over 22.5 N m
    found = [breach for breach in judge(far, LOW) if breach.law == "I7 torque"]
    assert found and {breach.joint for breach in found} == {"left_elbow_joint"}
    assert found[0].time > records["time"][measured[103]], "the measurements just before excuse the first"
    one = records.copy()
    one["q"][measured[100], ELBOW] -= 0.6
    assert judge(one, LOW) == []


def test_a_measurement_that_no_guard_may_use_excuses_nothing() -> None:
    records = stream(LOW)
    measured = np.flatnonzero(records["kind"] == MEASURED)
    records["q"][measured[100:], ELBOW] -= 0.6
    records["q"][measured[110::2], ELBOW] += 0.6
    assert "I7 torque" in laws_of(judge(records, LOW)) and len(judge(records, LOW)) < 12
    records["flaws"][measured[110::2]] = 1
    assert len(judge(records, LOW)) > 100


def test_damping_binds_no_motion_and_a_start_must_be_the_measured_pose() -> None:
    def damped(commands: np.ndarray) -> None:
        commands["kd"][200:300], commands["kp"][200:300] = LOW.damping_kd, 0.0
        commands["q"][200:300] += 0.3
        commands["kp"][300:] *= np.minimum(1.0, np.arange(1, 101) * LOW.rise * LOW.period)[:, None]
        commands["dq"][300] = 0.0
        commands["q"][300] = commands["q"][299] - 0.3

    records = changed(stream(LOW), damped)
    assert is_damping(records[records["kind"] == LOWCMD], LOW).sum() == 100
    laws = laws_of(judge(records, LOW))
    assert "I8 first pose" in laws or "I8 first velocity" not in laws

    def jumping(commands: np.ndarray) -> None:
        damped(commands)
        commands["q"][300:] += 0.01

    assert "I8 first pose" in laws_of(judge(changed(stream(LOW), jumping), LOW))

    def strong(commands: np.ndarray) -> None:
        damped(commands)
        commands["kp"][300:] = LOW.kp

    assert "I8 authority" in laws_of(judge(changed(stream(LOW), strong), LOW))


def test_the_weight_moves_no_faster_than_its_ramps() -> None:
    def ramped(commands: np.ndarray) -> None:
        commands["weight"][200:] = np.maximum(0.0, 1.0 - SDK.fall * SDK.period * np.arange(1, 201))

    assert judge(changed(stream(SDK, ARM_SDK), ramped), SDK) == []

    def dropped(commands: np.ndarray) -> None:
        commands["weight"][200:] = 0.5

    assert laws_of(judge(changed(stream(SDK, ARM_SDK), dropped), SDK)) == {"weight ramp"}

    def beyond(commands: np.ndarray) -> None:
        commands["weight"][:] = 1.01

    assert "weight" in laws_of(judge(changed(stream(SDK, ARM_SDK), beyond), SDK))


def test_a_late_tick_may_not_make_a_larger_step_but_an_early_repeat_is_none() -> None:
    records = stream(LOW)
    rows = np.flatnonzero(records["kind"] == LOWCMD)
    late = records.copy()
    late["time"][rows[200:]] += PERIOD_NS
    assert judge(late[np.argsort(late["time"], kind="stable")], LOW) == []

    def larger(commands: np.ndarray) -> None:
        commands["q"][200:] = [*commands["q"][201:].tolist(), commands["q"][-1].tolist()]
        commands["time"][200:] += PERIOD_NS

    found = changed(records, larger)
    assert "I4 acceleration of q" not in laws_of(judge(records, LOW))
    assert "I5 jerk of q" in laws_of(judge(found[np.argsort(found["time"], kind="stable")], LOW))

    repeated = np.concatenate([records, records[rows[200:201]]])
    repeated["time"][-1] += PERIOD_NS // 8
    assert judge(repeated[np.argsort(repeated["time"], kind="stable")], LOW) == []


def test_a_breach_says_what_was_got_and_allowed() -> None:
    breach = Breach(7, "I4", "left_elbow_joint", 50.0, 40.0)
    assert str(breach) == "I4 left_elbow_joint: got 50; allowed: 40 (at 7 ns)"


def test_an_empty_tape_has_no_breach() -> None:
    assert judge(np.zeros(0, RECORD), LOW) == []


def test_a_few_frames_are_judged_as_many_are() -> None:
    assert judge(stream(LOW, length=5), LOW) == []


def test_a_repeat_counts_by_its_tick() -> None:
    """One frame twice is a joint that stood still, unless a tick nearby did not come in time."""

    def repeat(commands: np.ndarray) -> None:
        commands["q"][201:], commands["dq"][201:] = commands["q"][200:-1].copy(), commands["dq"][200:-1].copy()

    def late(commands: np.ndarray) -> None:
        repeat(commands)
        commands["time"][200] += 1_200_000

    assert {"I4 acceleration of q", "I5 jerk of q"} <= laws_of(judge(changed(stream(LOW), repeat), LOW))
    assert judge(changed(stream(LOW), late), LOW) == []


def test_a_start_that_repeats_the_pose_of_damping_is_a_start() -> None:
    def armed(commands: np.ndarray) -> None:
        commands["kp"] = LOW.kp * np.minimum(1.0, 0.0066 * np.arange(-200, 200))[:, None].clip(0)
        commands["kd"][:201] = LOW.damping_kd
        commands["time"][201] += 1_200_000

    records = stream(LOW)
    records["q"], records["dq"] = records["q"][0].copy(), 0.0
    assert judge(changed(records, armed), LOW) == []


def test_who_starts_outside_may_only_come_inwards() -> None:
    """I2 of a robot whose ankle was measured outside its range: from there to the range, never back."""
    way = np.maximum(0.0, 0.05 - 1e-4 * np.arange(LENGTH))
    way[:40] = 0.05
    records = stream(LOW)
    records["q"], records["dq"] = records["q"][0].copy(), 0.0
    commands, measured = records["kind"] == LOWCMD, records["kind"] == MEASURED
    for rows in (commands, measured):
        records["q"][rows, 5] = LOW.upper[5] + way
    assert "I2 position" not in laws_of(judge(records, LOW))
    records["q"][np.flatnonzero(commands)[20:], 5] += 1e-4
    assert "I2 position" in laws_of(judge(records, LOW))
