"""``neon_ros_msgs/GuardReport``: what the guard did since it started and what it is doing now."""

from __future__ import annotations

from typing import Any

from neon_ros.bridge.plain import time_of
from neon_ros.guard.admission import AdmissionCounters
from neon_ros.guard.alarms import Alarms
from neon_ros_msgs.msg import GuardReport

ALARM_SHOWN = 10.0
"""How long an alarm is an error in the diagnostics [s]; its count and sentence stay in the report."""
_TOP = 5
_BY_HAND = ("stopped by", "disarmed by")  # how the guard's reasons begin when an operator or a signal wanted it


def report_to_msg(stamp_ns: int, report: Any, admission: AdmissionCounters, alarms: Alarms) -> GuardReport:
    """Return the message of the motor's report, and of the counters and alarms at the door for chunks.

    :param stamp_ns: when the report was written [ns, ROS clock].
    :param report: a :class:`neon_ros.motor.records.MotorReport`; this room knows no motor.
    """
    msg = GuardReport(
        state=report.state,
        reason=report.reason,
        mode=report.mode,
        commands_sent=report.commands_sent,
        chunks_admitted=admission.admitted,
        chunks_refused=admission.refused,
        last_refusal=admission.last_refusal,
        chunk_age=report.chunk_age,
        limited_joints=list(report.limited_joints),
        limited_reasons=list(report.limited_reasons),
        limit_count=report.limit_count,
        counted_joints=[joint for joint, _, _ in report.counts],
        counted_reasons=[reason for _, reason, _ in report.counts],
        counts=[count for _, _, count in report.counts],
        clearance=report.clearance,
        alarms=report.alarms + alarms.count,
        last_alarm=alarms.last or report.last_alarm,
        period_p99=report.period_p99,
        mode_machine=report.mode_machine,
    )
    msg.header.stamp = time_of(stamp_ns)
    return msg


def error_of(report: Any, alarms: Alarms, now: float) -> str:
    """Return what an operator must see at once: a fresh alarm, or DAMPING that nobody asked for; else nothing.

    :param report: see :func:`report_to_msg`.
    :param now: [s, steady clock].
    """
    if report.state == "DAMPING" and not report.reason.startswith(_BY_HAND):
        return f"DAMPING: {report.reason}"
    return f"alarm {alarms.count}: {alarms.last}" if now - alarms.at < ALARM_SHOWN else ""


def report_facts(report: Any, alarms: Alarms, signed: bool) -> dict[str, str]:
    """Return the report as key and value for the diagnostics."""
    age = report.chunk_age
    most = sorted(report.counts, key=lambda count: -count[2])[:_TOP]
    return {
        "state": report.state,
        "reason": report.reason,
        "variant": str(report.mode_machine),
        "mode": report.mode,
        "alarms": str(report.alarms + alarms.count),
        "last alarm": alarms.last or report.last_alarm,
        "interventions": str(report.limit_count),
        "most limited": ", ".join(f"{joint} {reason} {count}" for joint, reason, count in most),
        "period p99 [ms]": f"{report.period_p99 * 1e3:.3f}",
        "tick p99 [ms]": f"{report.tick_p99 * 1e3:.3f}",
        "late ticks": str(report.late_ticks),
        "clearance [m]": f"{report.clearance:.3f}" if report.clearance >= 0 else "not checked",
        "chunk age [s]": f"{age:.3f}" if age >= 0 else "no chunk",
        "chunks authenticated": "yes" if signed else "no: insecure",
    }
