"""The single checks of ``neon check``: what passes, what warns, what fails, and in which words."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ruckig")

from neon_ros.cli import checks
from neon_ros.cli.checks import Check, Heard, Result
from neon_ros.guard.config import GuardConfig
from neon_ros.motor.jitter import Jitter
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.robot.modes import MODES
from neon_ros.robot.remote import remote_with
from neon_ros.robot.variants import VARIANTS
from neon_ros.robot.wire import LowState, LowStateFrame, decode_low_state

CONFIG = GuardConfig()
ARMS, WHOLE = MODES["upper_body"], MODES["whole_body"]
OK, WARN, FAIL, SKIP = Result.OK, Result.WARN, Result.FAIL, Result.SKIP
KNEE = JOINT_INDEX["left_knee_joint"]


def payload(tick: int = 1000, machine: int = 5, tilt: float = 0.0, dq: float = 0.0, **health: object) -> bytes:
    frame = LowStateFrame()
    frame.set_mode(int(health.pop("mode_pr", 0)), machine)  # type: ignore[call-overload]
    frame.set_imu([np.cos(tilt / 2), np.sin(tilt / 2), 0, 0], [0, 0, 0], [0, 0, 9.8], [tilt, 0, 0])
    q = np.asarray(health.pop("q", np.zeros(29)))
    frame.set_health(**health)  # type: ignore[arg-type]
    frame.fill(tick, q, np.full(29, dq), np.zeros(29))
    return bytes(frame.seal())


def state(**changes: object) -> LowState:
    return decode_low_state(payload(**changes), 0)  # type: ignore[arg-type]


def at(joint: int, value: float, rest: float = 30.0) -> np.ndarray:
    values = np.full(29, rest)
    values[joint] = value
    return values


def by_name(rows: list[Check]) -> dict[str, Check]:
    return {row.name: row for row in rows}


@pytest.mark.parametrize(
    ("name", "condition", "result"),
    [("eth0", "up", OK), ("eth0", "down", FAIL), ("lo", "unknown", OK), ("wg0", "unknown", WARN), ("nope", "", FAIL)],
)
def test_interface(name: str, condition: str, result: Result) -> None:
    row = checks.interface(name, ["lo", "eth0", "wg0"], condition)
    assert row.result is result
    assert name != "nope" or row.allowed == "lo, eth0, wg0"


def heard(ticks: list[int], seconds: float) -> Heard:
    made = Heard(seconds=seconds)
    for tick in ticks:
        made.take(payload(tick), 0)
    return made


def test_low_states_are_counted_by_their_ticks() -> None:
    rows = by_name(checks.low_state(heard(list(range(0, 1000, 2)), 1.0), "there"))
    assert {row.result for row in rows.values()} == {OK} and rows["LowState rate"].seen == "500 a second"
    rows = by_name(checks.low_state(heard([t for t in range(0, 1000, 2) if t % 20], 1.0), "there"))
    assert rows["LowState lost"][1:3] == (WARN, "49 of 499") and rows["LowState rate"].result is OK
    rows = by_name(checks.low_state(heard(list(range(0, 100, 2)), 1.0), "there"))
    assert rows["LowState rate"][1:3] == (FAIL, "50 a second")
    rows = by_name(checks.low_state(heard([2, 4, 4, 4, 2, 6], 0.012), "there"))
    assert rows["LowState tick"][1:3] == (FAIL, "3 times not moved on")


def test_no_low_state_is_one_failed_row_that_says_where() -> None:
    (row,) = checks.low_state(Heard(seconds=3.0), "rt/lowstate, domain 0, interface eth0")
    assert row == Check("LowState", FAIL, "none in 3.0 s", "500 a second on rt/lowstate, domain 0, interface eth0")


def test_a_wrong_crc_fails_with_its_sentence() -> None:
    made = heard(list(range(0, 20, 2)), 0.02)
    spoiled = bytearray(payload(30))
    spoiled[500] ^= 1
    made.take(bytes(spoiled), 0)
    row = by_name(checks.low_state(made, "there"))["LowState CRC"]
    assert row.result is FAIL and row.seen.startswith("LowState CRC: got")


def test_clocks() -> None:
    year_2026, year_1970 = 1.77e9, 3600.0
    assert [row.result for row in checks.clock(year_2026, 3.0, 3.001)] == [OK, OK]
    assert [row.result for row in checks.clock(year_1970, 3.0, 3.1)] == [FAIL, WARN]


def test_owner_and_walker_depend_on_the_mode() -> None:
    assert checks.owner(ARMS, "ai", "").result is OK and checks.owner(ARMS, "", "").result is FAIL
    assert checks.owner(WHOLE, "ai", "").result is WARN and checks.owner(WHOLE, "", "").result is OK
    assert checks.owner(ARMS, None, "no such service") == Check(
        "motors' owner", FAIL, "no such service", "an answer of motion_switcher"
    )
    assert checks.walker(ARMS, 500, "").result is OK and checks.walker(ARMS, None, "deaf").result is WARN
    assert checks.walker(ARMS, 1, "")[1:3] == (FAIL, "state 1 (damping)")
    assert checks.walker(WHOLE, 1, "").result is OK and checks.walker(WHOLE, None, "deaf").result is SKIP


@pytest.mark.parametrize("machine", list(VARIANTS))
def test_every_variant_is_known_and_its_absent_joints_are_named(machine: int) -> None:
    rows, found = checks.machine(WHOLE, state(machine=machine), CONFIG)
    assert found is VARIANTS[machine] and by_name(rows)["variant"].result is OK
    absent = VARIANTS[machine].absent
    assert ("joints" in by_name(rows)) is bool(absent)
    assert not absent or all(name in by_name(rows)["joints"].seen for name in absent)
    table = checks.limit_table(VARIANTS[machine], CONFIG)
    assert len(table) == 29 - len(absent)
    for row in table:
        assert row["lower"] < row["our_lower"] < row["our_upper"] < row["upper"]  # type: ignore[operator]
        assert row["our_velocity"] <= row["velocity"] and row["our_effort"] <= row["effort"]  # type: ignore[operator]


@pytest.mark.parametrize("machine", [0, 2, 9, 255])
def test_an_unknown_variant_fails(machine: int) -> None:
    rows, found = checks.machine(ARMS, state(machine=machine), CONFIG)
    assert found is None and rows == [Check("variant", FAIL, f"mode_machine {machine}", f"one of {sorted(VARIANTS)}")]


def test_mode_pr_and_pose() -> None:
    rows = by_name(checks.machine(ARMS, state(mode_pr=1, q=at(KNEE, -0.08, 0.0)), CONFIG)[0])
    assert rows["mode_pr"].result is FAIL
    assert rows["pose"][1:3] == (WARN, "left_knee_joint -0.080")


@pytest.mark.parametrize(
    ("changes", "name", "result", "seen"),
    [
        ({"tilt": 0.9}, "tilt", OK, "0.90 rad"),
        ({"tilt": 1.1}, "tilt", FAIL, "1.10 rad"),
        ({"dq": 0.9}, "joint speed", OK, "left_hip_pitch_joint 0.90 rad/s"),
        ({"dq": -1.1}, "joint speed", FAIL, "left_hip_pitch_joint 1.10 rad/s"),
    ],
)
def test_posture(changes: dict[str, object], name: str, result: Result, seen: str) -> None:
    row = by_name(checks.posture(state(**changes), CONFIG))[name]
    assert (row.result, row.seen) == (result, seen)


@pytest.mark.parametrize(
    ("health", "name", "result", "seen"),
    [
        ({"surface": at(KNEE, 67)}, "casings", OK, "left_knee_joint 67 deg C"),
        ({"surface": at(KNEE, 68)}, "casings", WARN, "left_knee_joint 68 deg C"),
        ({"surface": at(KNEE, 85)}, "casings", FAIL, "left_knee_joint 85 deg C"),
        ({"winding": at(KNEE, 95)}, "windings", OK, "left_knee_joint 95 deg C"),
        ({"winding": at(KNEE, 119)}, "windings", WARN, "left_knee_joint 119 deg C"),
        ({"winding": at(KNEE, 120)}, "windings", FAIL, "left_knee_joint 120 deg C"),
        ({"motorstate": at(KNEE, 0x400, 0).astype(int)}, "motor faults", FAIL, "left_knee_joint: rotor encoder fault"),
        ({}, "motor faults", OK, "none"),
    ],
)
def test_motors(health: dict[str, object], name: str, result: Result, seen: str) -> None:
    row = by_name(checks.motors(state(**health), VARIANTS[5], CONFIG))[name]
    assert (row.result, row.seen) == (result, seen)


def test_motors_that_are_absent_are_not_judged() -> None:
    rows = checks.motors(
        state(machine=6, winding=at(13, 200), motorstate=at(14, 1, 0).astype(int)), VARIANTS[6], CONFIG
    )
    assert {row.result for row in rows} == {OK}


@pytest.mark.parametrize(("charge", "result"), [(None, WARN), (19.0, FAIL), (20.0, WARN), (30.0, OK), (100.0, OK)])
def test_battery(charge: float | None, result: Result) -> None:
    assert checks.battery(charge, CONFIG).result is result


def test_remote() -> None:
    assert checks.remote(bytes(40))[1:3] == (WARN, "none")
    assert checks.remote(b"\x55\x51" + bytes(38))[1:3] == (OK, "there")
    assert checks.remote(remote_with("A"))[1:3] == (WARN, "A")
    assert checks.remote(remote_with("L2", "B"))[1:3] == (FAIL, "L2+B")


def test_writers() -> None:
    assert checks.writers("rt/lowcmd", (), True).result is OK
    assert checks.writers("rt/lowcmd", ("abc",), True)[1:3] == (FAIL, "1: abc")
    assert checks.writers("rt/arm_sdk", ("abc",), False).result is WARN


def test_head_against_the_robot() -> None:
    names = ARMS.joint_names
    row = checks.head("mlp_touch", ARMS, "upper_body", names, "ab" * 32, VARIANTS[5], "")
    assert row[1:3] == (OK, "mlp_touch, upper_body, 17 joints, sha256 abababababab")
    row = checks.head("mlp_touch", ARMS, "upper_body", names, "ab" * 32, VARIANTS[6], "")
    assert row.result is FAIL and "lacks waist_roll_joint, waist_pitch_joint" in row.seen
    row = checks.head("mlp_touch", ARMS, "upper_body", names[1:], "ab" * 32, VARIANTS[5], "")
    assert row.result is FAIL and "waist_yaw_joint" in row.seen
    assert checks.head("x", ARMS, "", (), "", None, "file: got nothing")[1:3] == (FAIL, "file: got nothing")


@pytest.mark.parametrize(
    ("mode", "size", "mine", "result"),
    [
        (None, 0, True, OK),
        (0o600, 32, True, OK),
        (0o644, 32, True, FAIL),
        (0o600, 31, True, FAIL),
        (0o600, 32, False, FAIL),
    ],
)
def test_key_file(mode: int | None, size: int, mine: bool, result: Result) -> None:
    assert checks.key(mode, size, mine).result is result


def test_session() -> None:
    assert checks.session("neon", "")[1:3] == (OK, "neon is free")
    assert checks.session("neon", "motor process 7 runs: ACTIVE").result is WARN


@pytest.mark.parametrize(
    ("p999", "real", "result"),
    [(0.0002, True, OK), (0.0005, True, WARN), (0.002, True, FAIL), (0.002, False, WARN)],
)
def test_punctuality(p999: float, real: bool, result: Result) -> None:
    rows = by_name(checks.punctuality(Jitter(True, "memory locked", 8 << 20, 1000, 1e-5, p999, p999, 0), real))
    assert rows["500 Hz loop"].result is result and rows["SCHED_FIFO"].result is OK
    assert rows["locked memory"].seen == "memory locked; limit 8 MiB"
    rows = by_name(checks.punctuality(Jitter(False, "mlockall refused", -1, 1000, 1e-5, p999, p999, 0), real))
    assert rows["SCHED_FIFO"].result is WARN and rows["locked memory"].seen == "mlockall refused; limit unlimited"
