"""The guardian: ``python -m neon_ros.motor.guardian``.  Tiny, no ROS; it has the last word on the motors.

It watches the motor's heartbeat in shared memory.  When the motor was commanding and its heart stops for 18 ms it takes
over for good: damping frames on ``rt/lowcmd``, or on ``rt/arm_sdk`` the last pose with a weight that falls to zero,
for five seconds.  A motor that comes back (SIGCONT) sees that it was replaced and leaves; one that goes on in a loop
loses its priority.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from neon_ros.errors import NeonError, RobotError
from neon_ros.motor.fallback import Fallback
from neon_ros.motor.link import Link, PayloadWriter
from neon_ros.motor.process import log_without_waiting
from neon_ros.motor.realtime import (
    GUARDIAN_PRIORITY,
    birth_of,
    demote,
    lock_memory,
    prefer_fifo,
    quiet_interpreter,
    receive_under_fifo,
    sleep_until,
)
from neon_ros.motor.shared import MotorMemory
from neon_ros.robot.modes import MODES, control_mode
from neon_ros.robot.wire import LowCmd, decode_low_cmd

LOG = logging.getLogger("guardian")

POLL_NS = 4_000_000
_FRAME_NS = 2_000_000
_STREAM = 5.0  # [s]
_TIMEOUT_FIFO, _TIMEOUT_SHARED = 0.018, 0.100  # [s] with SCHED_FIFO, so that the first frame comes within 20 ms of a
# death; and where any process may delay the motor
_JUST_AFTER_NS = 50_000
_LOOK_AGAIN = 0.05  # [s] between looks for a session
_LEAVE = 8.0  # [s] after a signal, at which the guardian leaves whatever the motor does


class Vigil:
    """Judge a heartbeat: stopped, or only unseen because the judge itself was asleep?

    :param timeout: age of a beat that means death [s].
    """

    _SIGHTINGS = 3  # looks at the same stale beat, none of them late

    def __init__(self, timeout: float) -> None:
        self._timeout_ns = round(timeout * 1e9)
        self._looked_ns = 0
        self._beat_ns = 0
        self._sightings = 0

    def dead(self, beat_ns: int, now_ns: int) -> bool:
        """Return whether the heart has stopped.

        :param beat_ns: time of the last beat [ns, steady clock].
        :param now_ns: now [ns, steady clock].
        """
        punctual = now_ns - self._looked_ns <= 3 * POLL_NS
        self._sightings = self._sightings + 1 if punctual and beat_ns == self._beat_ns else 1
        self._looked_ns, self._beat_ns = now_ns, beat_ns
        return now_ns - beat_ns > self._timeout_ns and self._sightings >= self._SIGHTINGS


class Guardian:
    """One run of the process.

    :param session: whose motor to watch.
    :param link: the DDS link of this process.
    :param timeout: age of a beat that means death [s].
    """

    def __init__(self, session: str, link: Link, timeout: float) -> None:
        self._session = session
        self._writers: dict[str, PayloadWriter] = {
            mode.topic: link.low_cmd_writer(f"rt/{mode.topic}") for mode in MODES.values()
        }
        self._timeout = timeout
        self._memory: MotorMemory | None = None
        self._vigil = Vigil(timeout)
        self._last: LowCmd | None = None
        self._motor_birth = ""
        self._leave_at = 0.0

    def run(self) -> int:
        """Watch until a signal comes and the motor needs no guardian any more; return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note_signal)
        deadline = time.monotonic_ns()
        while not self._may_leave():
            deadline = max(self._next_look(deadline), time.monotonic_ns())
            sleep_until(deadline)
            self._look()
        if self._memory is not None:
            self._memory.close()
        return 0

    def _next_look(self, last_ns: int) -> int:
        """Return when to look next: after a poll, or sooner, just after the present beat would be too old."""
        poll, memory = last_ns + POLL_NS, self._memory
        if memory is None or not memory.commanding:
            return poll
        too_old = memory.motor_beat_ns + round(self._timeout * 1e9) + _JUST_AFTER_NS
        return min(poll, too_old) if too_old > last_ns else poll

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._leave_at = self._leave_at or time.monotonic() + _LEAVE

    def _may_leave(self) -> bool:
        """Return whether a signal came and the motor is not commanding; it stops after us, on the same Ctrl-C."""
        if not self._leave_at:
            return False
        memory = self._memory
        return memory is None or not memory.commanding or memory.taken_over or time.monotonic() > self._leave_at

    def _look(self) -> None:
        """Look at the motor once."""
        memory = self._memory
        alone = memory is None or not memory.commanding or memory.taken_over
        if memory is None or (alone and memory.removed):
            self._open()
            return
        memory.beat()
        if alone:
            return
        payload = memory.last_command()  # kept: a motor killed while writing leaves a block nobody can read
        if payload is not None:
            self._last = decode_low_cmd(payload)
        if self._vigil.dead(memory.motor_beat_ns, time.monotonic_ns()):
            self._take_over(memory)

    def _open(self) -> None:
        """Find the session's memory, or wait a little."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        try:
            self._memory = MotorMemory.open(self._session, "guardian")
        except RobotError:
            time.sleep(_LOOK_AGAIN)
            return
        self._vigil = Vigil(self._timeout)
        self._last = None
        self._motor_birth = birth_of(self._memory.motor_pid)
        LOG.info("watching the motor of session %s (process %d)", self._session, self._memory.motor_pid)

    def _take_over(self, memory: MotorMemory) -> None:
        """Bring the robot to rest in the motor's place."""
        age = memory.beat_age("motor")
        memory.take_over()
        if self._last is None:
            LOG.error("the motor's heart stopped %.3f s ago before it sent a command; nothing to do", age)
            return
        topic = control_mode(memory.mode).topic
        writer = self._writers[topic]
        fallback = Fallback(self._last, writer.topic)
        began = deadline = time.monotonic_ns()
        writer.write(fallback.frame(0.0))
        hung = demote(memory.motor_pid, self._motor_birth)
        LOG.error("the motor's heart stopped %.3f s ago; taking over on %s for %.0f s", age, writer.topic, _STREAM)
        LOG.error("%s", hung)
        while (since := (time.monotonic_ns() - began) * 1e-9) < _STREAM:
            deadline += _FRAME_NS
            sleep_until(deadline)
            memory.beat()
            writer.write(fallback.frame(since))
        LOG.error("took over from the motor for %.0f s; it must be started and armed anew", _STREAM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the guardian process; return its exit status."""
    options = argparse.ArgumentParser(prog="neon_ros.motor.guardian", description=__doc__.splitlines()[0])
    options.add_argument("--session", required=True, help="session of the motor to watch")
    options.add_argument("--robot", default="sim", choices=("sim", "real"), help="simulated or real robot")
    options.add_argument("--domain", type=int, help="DDS domain of the robot; 0 for real, 1 for sim")
    options.add_argument("--interface", default="lo", help="network interface of the robot")
    options.add_argument("--fifo", action=argparse.BooleanOptionalAction, default=True, help="ask for SCHED_FIFO")
    options.add_argument("--timeout", type=float, help="age of the motor's beat that means death [s]")
    chosen = options.parse_args(arguments)
    listener = log_without_waiting("guardian")
    try:
        domain = chosen.domain if chosen.domain is not None else (0 if chosen.robot == "real" else 1)
        fifo, how = receive_under_fifo() if chosen.fifo else (False, "SCHED_FIFO not asked for")
        timeout = chosen.timeout or (_TIMEOUT_FIFO if fifo else _TIMEOUT_SHARED)
        LOG.info("%s; a beat older than %.0f ms means death", how, timeout * 1e3)
        link = Link(domain, chosen.interface, mark=f"neon_ros/{chosen.session}")
        LOG.info("%s", lock_memory())
        if fifo:
            LOG.info("%s", prefer_fifo(GUARDIAN_PRIORITY)[1])
        guardian = Guardian(chosen.session, link, timeout)
        quiet_interpreter()
        return guardian.run()
    except NeonError as error:
        LOG.error("%s", error)
        return 2
    finally:
        listener.stop()


if __name__ == "__main__":
    sys.exit(main())
