"""When a stream reacts: on synthetic tapes whose reaction is known."""

from __future__ import annotations

import numpy as np

from neon_ros.chaos import reactions
from neon_ros.chaos.setting import law_of
from neon_ros.chaos.tape import ARM_SDK, LOWCMD, RECORD, REPORT, STATES

LAW, SDK = law_of("whole_body"), law_of("upper_body")
STEP = 2_000_000


def commands(kind: int = LOWCMD, length: int = 300) -> np.ndarray:
    law = LAW if kind == LOWCMD else SDK
    made = np.zeros(length, RECORD)
    made["time"], made["kind"] = 10**9 + STEP * np.arange(length), kind
    made["dq"][:, 18] = 0.5
    made["q"][:, 18] = 0.001 * np.arange(length)
    made["kp"], made["kd"], made["weight"] = law.kp, law.kd, float(kind == ARM_SDK)
    return made


def report(time: int, state: str, age: float = -1.0) -> np.ndarray:
    made = np.zeros(1, RECORD)
    made["time"], made["kind"], made["state"], made["age"] = time, REPORT, STATES.index(state), age
    return made


def test_damping_is_its_first_frame() -> None:
    tape = commands()
    assert reactions.damping_from(tape, LAW, 0) is None and reactions.slack_from(tape, LAW, 0) is None
    tape["kd"][200:] = LAW.damping_kd
    tape["kp"][250:] = 0.0
    assert reactions.damping_from(tape, LAW, 0) == tape["time"][200]
    assert reactions.damping_from(tape, LAW, int(tape["time"][220])) == tape["time"][220]
    assert reactions.slack_from(tape, LAW, 0) == tape["time"][250]


def test_on_arm_sdk_it_is_the_falling_weight() -> None:
    tape = commands(ARM_SDK)
    tape["weight"][100:] = np.maximum(0.0, 1.0 - 0.01 * np.arange(1, 201))
    assert reactions.damping_from(tape, SDK, 0) == tape["time"][100]
    assert reactions.slack_from(tape, SDK, 0) == tape["time"][199]


def test_a_stop_is_sudden_and_a_smooth_path_is_not() -> None:
    tape = commands()
    assert reactions.stop_from(tape, LAW, 0) is None
    tape["dq"][150:, 18] -= np.minimum(0.5, 0.5 * 2000.0 * (0.002 * np.arange(1, 151)) ** 2)
    assert reactions.stop_from(tape, LAW, 0) == tape["time"][150]
    assert reactions.rest_from(tape, LAW, 0) == tape["time"][161]


def test_gaps_last_and_first_commands() -> None:
    tape = commands()
    tape["time"][100:] += 30_000_000
    start = int(tape["time"][0])
    assert abs(reactions.longest_gap(tape, start) - 0.032) < 1e-9
    assert reactions.longest_gap(tape[:0], start) == float("inf")
    assert reactions.last_command(tape) == tape["time"][-1] and reactions.last_command(tape[:0]) is None
    assert reactions.first_command(tape, start + 1) == tape["time"][1]
    assert reactions.first_command(tape, int(tape["time"][-1]) + 1) is None
    errors = reactions.period_errors(tape, LAW)
    assert abs(errors.max() - 0.03) < 1e-9 and np.median(errors) < 1e-9


def test_states_and_the_end_of_a_chunk_come_from_reports() -> None:
    tape = np.concatenate(
        [report(100, "ACTIVE"), report(200, "ACTIVE", 0.1), report(300, "HOLD", 0.4), report(400, "DAMPING")]
    )
    assert reactions.states_after(tape, 0) == ["ACTIVE", "HOLD", "DAMPING"]
    assert reactions.state_from(tape, ("HOLD", "DAMPING"), 0) == 300
    assert reactions.state_from(tape, ("HOLD",), 301) is None
    assert reactions.chunk_end(tape, 250, 0.3) == 200 - 100_000_000 + 300_000_000
    assert reactions.chunk_end(tape, 150, 0.3) is None
