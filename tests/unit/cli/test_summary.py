"""The summary of a run, from numbers alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("neon_ros_msgs.msg")
from neon_ros.cli.summary import Tally, rate


def report(**changes: object) -> SimpleNamespace:
    values = {
        "state": "ACTIVE",
        "reason": "following chunks",
        "commands_sent": 500,
        "limit_count": 7,
        "chunks_refused": 1,
        "last_refusal": "chunk age: got 0.4 s",
        "period_p99": 0.0022,
        "limited_joints": ["waist_yaw_joint"],
        "limited_reasons": ["jerk"],
    }
    return SimpleNamespace(**{**values, **changes})


def test_a_run_without_chunks_or_commands_did_not_work() -> None:
    tally = Tally()
    assert not tally.worked
    tally.add_chunk()
    assert not tally.worked
    tally.add_report(report(commands_sent=0))
    assert not tally.worked
    tally.add_report(report())
    assert tally.worked


def test_a_fault_is_no_success_and_a_wanted_stop_is_no_fault() -> None:
    tally = Tally()
    tally.add_chunk()
    tally.add_report(report())
    tally.add_report(report(state="DAMPING", reason="disarmed by the operator"))
    assert tally.worked
    tally.add_report(report())
    tally.add_report(report(state="DAMPING", reason="no LowState for 50 ms"))
    assert not tally.worked
    assert tally.fault == "DAMPING: no LowState for 50 ms"


def test_the_lines_say_rates_latencies_states_and_limits() -> None:
    tally = Tally()
    for step in range(11):
        tally.chunk_times.append(tally.started + 2.0 + 0.1 * step)
        tally.latencies["head"].append((0.002, 0.05))
        tally.stage_times["head"].append(tally.started + 0.1 * step)
    tally.add_latency("camera", 0.01, 0.02)
    for state in ("INACTIVE", "ARMING", "ARMING", "ACTIVE"):
        tally.add_report(report(state=state))
    text = "\n".join(tally.lines())
    assert "chunks    11 made at 10.0 Hz, the first after 2.0 s; 1 refused at the door" in text
    assert "head        10.0 Hz      2.0 /   2.0 ms           50.0 /  50.0 ms" in text
    assert "backbone    silent" in text and "camera" in text
    assert "INACTIVE -> ARMING -> ACTIVE" in text
    assert "waist_yaw (jerk)" in text and "500 sent" in text


def test_rates() -> None:
    assert rate([]) == rate([1.0]) == rate([1.0, 1.0]) == 0.0
    assert rate([0.0, 0.5, 1.0]) == pytest.approx(2.0)
