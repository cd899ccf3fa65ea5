"""What ``g1_command`` does with chunks before the motor sees them: key, door, who publishes, and the audit log."""

from __future__ import annotations

import time
from typing import Any

from neon_ros.bridge import topics
from neon_ros.bridge.chunk import TYPE, chunk_from_msg
from neon_ros.bridge.publishers import definition_of, publishers_of
from neon_ros.errors import ContractError, Refused, refuse
from neon_ros.guard.admission import AdmittedChunk, NotAdmitted
from neon_ros.guard.alarms import Alarms
from neon_ros.guard.door import Door
from neon_ros.guard.machine import MOVING
from neon_ros.guard.publishers import PublisherWatch
from neon_ros.motor.audit import AuditLog, audit_folder
from neon_ros.motor.key import KeyFile
from neon_ros.parameters import G1CommandParameters
from neon_ros.robot.modes import ControlMode

_MOVING = frozenset(state.value for state in MOVING)


class Intake:
    """The way of a chunk from its topic to the motor.

    :param node: asks the ROS graph.
    :param config: its parameters.
    :param mode: control mode of the chunks.
    :raises ConfigError: when the key file is not one, or others could have read it.
    """

    def __init__(self, node: Any, config: G1CommandParameters, mode: ControlMode) -> None:
        self._node = node
        self._insecure_robot = config.insecure and config.robot != "sim"
        self._mode = mode
        self._keys = None if config.insecure else KeyFile(config.session, config.key_file)
        if self._keys is not None:
            self._keys.prepare()
        self.alarms = Alarms()
        self.log = AuditLog(audit_folder(config.session, config.audit_folder), "g1_command")
        self.door = self._new_door()
        self._topic = node.resolve_topic_name(topics.ACTION_CHUNK)
        self._watch: PublisherWatch | None = None
        self._moving = False
        self._log_troubles = 0

    @property
    def signed(self) -> bool:
        """Whether chunks must be signed."""
        return self._keys is not None

    def open(self) -> None:
        """Begin a session: a new key, and nothing of before is admitted."""
        if not self.log.started:
            self.log.start()
        if self._keys is not None and self._keys.renewable:
            self._keys.renew()
        self.door = self._new_door()
        key = "none: insecure" if self._keys is None else self._keys.key().fingerprint
        self.log.note("session", mode=self._mode.name, key=key)

    def change_mode(self, mode: ControlMode) -> None:
        """Take chunks of another mode from now on; nothing of before is admitted."""
        self._mode = mode
        self.door = self._new_door()
        self.log.note("mode", mode=mode.name)

    def close(self) -> None:
        """End the session; its key is forgotten."""
        if self._keys is not None:
            self._keys.remove()

    def _new_door(self) -> Door:
        return Door(self._mode, time.monotonic(), None if self._keys is None else self._keys.key, self.alarms)

    def admit(self, msg: Any, now_ros_ns: int) -> AdmittedChunk:
        """Return the chunk of a message as the motor takes it.

        :raises Refused: saying why; then nothing but counters, alarms and log has changed.
        """
        now = time.monotonic()
        try:
            return self.door.admit(chunk_from_msg(msg, finite=False), now_ros_ns, now)
        except ContractError as error:
            refusal = self.door.malformed(error, now)
        except NotAdmitted as error:
            refusal = error
        self.log.count("refusal", refusal.reason, said=str(refusal))
        raise refusal

    # who publishes ----------------------------------------------------------------------------------------------

    def check_arming(self) -> None:
        """Hold on to whoever publishes now.

        :raises Refused: when it is unclear whose chunks would move the robot, or a real one's are not signed.
        """
        if self._insecure_robot:
            raise Refused(refuse("arm", "a real robot with insecure:=true", "signed chunks (insecure:=false)"))
        seen = publishers_of(self._node, self._topic)
        if objection := self._watching().objection(seen):
            raise Refused(objection)
        self._watching().arm(seen)

    def not_armed(self) -> None:
        """Let go of the publisher: the motor did not arm."""
        self._watching().disarm()

    def look(self, state: str) -> str:
        """Look at who publishes, and at the log; return a new alarm, empty when there is none.

        :param state: of the guard.
        """
        watch, now, moving = self._watching(), time.monotonic(), state in _MOVING
        seen = publishers_of(self._node, self._topic)
        if self._moving and not moving:
            watch.disarm()
        elif moving and not watch.armed:
            watch.arm(seen)
        self._moving = moving
        raised = watch.look(seen, now)
        if self.log.troubles != self._log_troubles:
            self._log_troubles = self.log.troubles
            raised = self.log.trouble or raised
            self.alarms.sound(raised, now)
        if raised:
            self.log.note("alarm", said=raised)
        return raised

    def _watching(self) -> PublisherWatch:
        """Return the watch; made once our own subscription, whose type it compares with, is on the graph."""
        if self._watch is None:
            digest = definition_of(self._node, self._topic)
            self._watch = PublisherWatch(topics.ACTION_CHUNK, TYPE, digest, self.alarms)
        return self._watch
