"""Everything slow the motor must do, on a thread of its own: look for foreign writers, take the motors over, walk.

The 500 Hz loop only reads and sets plain attributes here; nothing in it waits for this thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from neon_ros.errors import NeonError, Refused, RobotError, refuse
from neon_ros.motor.realtime import SIDE_PRIORITY, prefer_fifo
from neon_ros.robot.modes import ControlMode

LOG = logging.getLogger("motor.side")

_PERIOD = 0.05  # [s]: velocity at 20 Hz; a foreign writer is seen within 100 ms
_OWNER_PERIOD = 0.5  # [s] between looks at who owns the motors
_WATCH = 0.2  # [s] without a foreign writer before arming
_VELOCITY_TIME = 0.5  # [s] after which the robot stops when we fall silent

BaseVelocity = tuple[float, float, float]
_STILL: BaseVelocity = (0.0, 0.0, 0.0)


class Watch(Protocol):
    """Knows the other writers on our topic, see :class:`neon_ros.motor.link.WriterWatch`."""

    topic: str

    def foreign(self) -> tuple[str, ...]:
        """Return the ids of other writers."""


class Switcher(Protocol):
    """Knows who owns the motors, see :class:`neon_ros.motor.rpc.MotionSwitcher`."""

    def active(self) -> str:
        """Return the owner's name, empty when there is none."""

    def release(self) -> None:
        """Release the motors, or refuse."""


class Walker(Protocol):
    """Walks, see :class:`neon_ros.motor.rpc.Locomotion`."""

    def set_velocity(self, vx: float, vy: float, yaw_rate: float, duration: float) -> None:
        """Ask for a base velocity."""


@dataclass(frozen=True)
class Verdict:
    """Whether the robot may be armed, and why not."""

    accepted: bool
    text: str


class Side:
    """The motor's slow thread.

    :param mode: control mode; tells whether the motors must be released and whether the base walks by request.
    :param watch: for other writers on our topic.
    :param switcher: called only in modes that need the motors released.
    :param walker: called only in modes whose balance is the robot's own.
    :param refuse_writers: whether another writer on our topic forbids arming and stops an armed robot.
    :param ready: called on the thread before it begins; may set its priority.
    """

    def __init__(
        self,
        mode: ControlMode,
        watch: Watch,
        switcher: Switcher,
        walker: Walker,
        refuse_writers: bool = True,
        ready: Callable[[], object] | None = None,
    ) -> None:
        self._mode = mode
        self._watch = watch
        self._switcher = switcher
        self._walker = walker
        self._refuse_writers = refuse_writers
        self._ready = ready
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._ticket = 0
        self._verdict: tuple[int, Verdict | None] = (0, None)
        self._sent = _STILL
        self._owner_checked = 0.0
        self._walk_trouble = ""
        self.commanding = False
        """Set by the loop: whether commands are being written."""
        self.base_velocity: BaseVelocity = _STILL
        """Set by the loop: what the base shall do."""
        self.alarm = ""
        """Read by the loop: why an armed robot must stop now; empty when there is no reason."""
        self._thread = threading.Thread(target=self._run, name="motor side", daemon=True)

    def start(self) -> None:
        """Begin watching."""
        self._thread.start()

    def close(self) -> None:
        """Stop the base and end the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def prepare(self) -> None:
        """Begin to find out whether the robot may be armed; the answer comes from :meth:`verdict`."""
        self._ticket += 1
        self._asked.set()

    def verdict(self) -> Verdict | None:
        """Return the answer to the last :meth:`prepare`, once there is one."""
        ticket, verdict = self._verdict
        return verdict if ticket == self._ticket else None

    def _run(self) -> None:
        if self._ready is not None:
            self._ready()
        while not self._stopping.is_set():
            try:
                self._turn()
            except Exception as error:  # the thread is a guard itself: its end must stop the robot, not pass unseen
                LOG.exception("side thread failed")
                self.alarm = f"the motor's side thread failed: {error}"
                self._verdict = (self._ticket, Verdict(False, self.alarm))
            self._stopping.wait(_PERIOD)
        if self._sent != _STILL:
            self._walk(_STILL)

    def _turn(self) -> None:
        others = self._others()
        if self._asked.is_set():
            self._asked.clear()
            ticket = self._ticket
            self._verdict = (ticket, self._prepare())
        alarm = others if self.commanding else ""
        if self.commanding and self._mode.needs_release:
            alarm = alarm or self._owner()
        self.alarm = alarm
        wanted = self.base_velocity if self.commanding else _STILL
        if not self._mode.needs_release and (wanted != _STILL or self._sent != _STILL):
            self._walk(wanted)

    def _others(self) -> str:
        """Return a sentence about other writers on our topic, empty when there are none or they are allowed."""
        foreign = self._watch.foreign()
        if not foreign or not self._refuse_writers:
            return ""
        return refuse(
            f"writers on {self._watch.topic}", f"{len(foreign)} besides this one ({', '.join(foreign)})", "none"
        )

    def _prepare(self) -> Verdict:
        try:
            deadline = time.monotonic() + _WATCH
            while time.monotonic() < deadline:
                if others := self._others():
                    raise Refused(others)
                time.sleep(_PERIOD)
            if self._mode.needs_release:
                self._switcher.release()
                self._owner_checked = time.monotonic()
        except NeonError as error:
            return Verdict(False, str(error))
        return Verdict(True, "")

    def _owner(self) -> str:
        """Return a sentence when a controller of the robot has taken the motors back."""
        now = time.monotonic()
        if now - self._owner_checked < _OWNER_PERIOD:
            return self.alarm if self.alarm.startswith("owner of the motors") else ""
        self._owner_checked = now
        try:
            owner = self._switcher.active()
        except RobotError as error:
            LOG.warning("cannot tell who owns the motors: %s", error)
            return ""
        return refuse("owner of the motors", repr(owner), "none while we write rt/lowcmd") if owner else ""

    def _walk(self, wanted: BaseVelocity) -> None:
        try:
            self._walker.set_velocity(*wanted, duration=_VELOCITY_TIME)
        except RobotError as error:
            if not self._walk_trouble:
                LOG.warning("the base does not walk: %s", error)
            self._walk_trouble = str(error)
        else:
            self._walk_trouble = ""
            self._sent = wanted


def fifo_ready() -> None:
    """Give the calling thread the side thread's priority."""
    LOG.info("side thread: %s", prefer_fifo(SIDE_PRIORITY)[1])
