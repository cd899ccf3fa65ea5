"""What of the motor's doing is noted in the audit log: states, answers, interventions and refused chunks."""

from __future__ import annotations

from neon_ros.motor.audit import AuditLog
from neon_ros.motor.records import MotorReport


class Chronicle:
    """Note what is new in the reports of a motor.

    :param log: where it is noted; takes everything without waiting.
    """

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._state = ("", "")
        self._variant = self._alarms = 0

    def report(self, report: MotorReport) -> None:
        """Note a change of state, of the variant or of the alarms, and count interventions."""
        if (report.state, report.reason) != self._state:
            before, self._state = self._state[0], (report.state, report.reason)
            self._log.note("state", before=before, state=report.state, reason=report.reason, mode=report.mode)
        if report.mode_machine != self._variant:
            self._variant = report.mode_machine
            self._log.note("robot", mode_machine=report.mode_machine)
        if report.alarms != self._alarms:
            self._alarms = report.alarms
            self._log.total("alarm", "motor", report.alarms, report.last_alarm)
        if report.limit_count:
            self._log.table("intervention", report.counts)

    def answer(self, kind: str, accepted: bool, text: str) -> None:
        """Note what became of a request."""
        self._log.note("request", request=kind, accepted=accepted, said=text)

    def chunk_refused(self, sentence: str) -> None:
        """Count a chunk that the guard itself refused."""
        self._log.count("refusal", "chunk at the guard", said=sentence)
