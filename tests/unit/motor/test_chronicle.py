"""What of the motor's doing reaches the audit log, and that noting it costs the loop nothing that it could feel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neon_ros.motor.audit import AuditLog
from neon_ros.motor.audit_check import last_entries
from neon_ros.motor.chronicle import Chronicle
from neon_ros.motor.records import MotorReport

CALM = MotorReport(steady_ns=10**9, state="INACTIVE", reason="configured", mode="arms_only", mode_machine=5)


def noted(log: AuditLog, now: float = 0.0) -> list[dict[str, Any]]:
    """Write what was noted and return it."""
    log._turn(now)
    return [{"kind": entry["kind"], **entry["facts"]} for entry in last_entries(log.path, 99)]


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """A log without its thread."""
    return AuditLog(tmp_path / "s", "motor")


def test_states_answers_and_interventions_are_noted(log: AuditLog) -> None:
    chronicle = Chronicle(log)
    for index in range(50):
        chronicle.report(replace(CALM, steady_ns=10**9 + index * 20_000_000))
    chronicle.answer("arm", False, "arm: got tilted")
    active = replace(CALM, steady_ns=3 * 10**9, state="ACTIVE", reason="following chunks")
    chronicle.report(active)
    limited = replace(active, limit_count=3, counts=(("left_elbow_joint", "jerk", 3),), steady_ns=4 * 10**9)
    chronicle.report(limited)
    chronicle.report(replace(limited, reason="a new chunk came", alarms=1, last_alarm="a second writer"))
    assert noted(log) == [
        {"kind": "state", "before": "", "state": "INACTIVE", "reason": "configured", "mode": "arms_only"},
        {"kind": "robot", "mode_machine": 5},
        {"kind": "request", "request": "arm", "accepted": False, "said": "arm: got tilted"},
        {"kind": "state", "before": "INACTIVE", "state": "ACTIVE", "reason": "following chunks", "mode": "arms_only"},
        {"kind": "state", "before": "ACTIVE", "state": "ACTIVE", "reason": "a new chunk came", "mode": "arms_only"},
        {"kind": "alarm", "what": "motor", "more": 1, "total": 1, "said": "a second writer"},
        {"kind": "intervention", "what": "left_elbow_joint jerk", "more": 3, "total": 3},
    ]


def test_interventions_in_every_period_are_one_line_in_ten_seconds(log: AuditLog) -> None:
    chronicle = Chronicle(log)
    for index in range(1_000):  # 20 s of reports
        counts = (("left_elbow_joint", "jerk", 10 * index), ("waist_yaw_joint", "torque", index))
        chronicle.report(
            replace(
                CALM, steady_ns=10**9 + index * 20_000_000, limit_count=11 * index, counts=counts[: 1 + index // 500]
            )
        )
        log._turn(index * 0.02)
    lines = [entry for entry in noted(log, 19.99) if entry["kind"] == "intervention"]
    assert len(lines) <= 5
    assert sum(line["more"] for line in lines if "elbow" in line["what"]) > 4_000


def test_refused_chunks_are_counted(log: AuditLog) -> None:
    chronicle = Chronicle(log)
    for _ in range(7):
        chronicle.chunk_refused("chunk joints: got legs")
    (entry,) = noted(log)
    assert entry == {
        "kind": "refusal",
        "what": "chunk at the guard",
        "more": 7,
        "total": 7,
        "said": "chunk joints: got legs",
    }
