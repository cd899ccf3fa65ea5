"""``neon_ros_msgs/GuardReport``: what the guard did since it started and what it is doing now."""

from __future__ import annotations

from typing import Any

from neon_ros.bridge.plain import time_of
from neon_ros.guard.admission import AdmissionCounters
from neon_ros.guard.door import Alarms
from neon_ros_msgs.msg import GuardReport


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
