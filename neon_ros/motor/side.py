"""Everything slow the motor must do, on a thread of its own: foreign writers, the motors' owner, battery, walking.

The 500 Hz loop only reads and sets plain attributes here; nothing in it waits for this thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from neon_ros.errors import ContractError, NeonError, Refused, RobotError, refuse
from neon_ros.motor.realtime import SIDE_PRIORITY, prefer_fifo
from neon_ros.robot.battery import BATTERY_TOPIC, decode_battery
from neon_ros.robot.modes import ControlMode
from neon_ros.robot.selftest import crc_trouble

LOG = logging.getLogger("motor.side")

_PERIOD = 0.05  # [s]: velocity at 20 Hz; a foreign writer is seen within 100 ms
_OWNER_PERIOD = 0.5  # [s] between looks at who owns the motors
_OWNER_RETRY = 5.0  # [s] after a look that was not answered: waiting for it holds up the rest of this thread
_PATIENT = 1.0  # [s] for an answer before arming
_QUICK = 0.1  # [s] for an answer while the robot is armed
_WATCH = 0.2  # [s] without a foreign writer before arming
_VELOCITY_TIME = 0.5  # [s] after which the robot stops when we fall silent
_BATTERY_PERIOD = 1.0  # [s] between looks at the battery
_BATTERY_PATIENCE = 10.0  # [s] without a word about the battery that are worth a warning

NOT_STANDING: dict[int, str] = {0: "zero torque", 1: "damping", 2: "squat", 3: "sit"}
"""States of the walking controller in which ``rt/arm_sdk`` must not be used: the robot is not standing
(``unitree_sdk2_python:g1/loco/g1_loco_client.py``, SetFsmId)."""

BaseVelocity = tuple[float, float, float]
_STILL: BaseVelocity = (0.0, 0.0, 0.0)


class Watch(Protocol):
    """Knows the other writers on our topic, see :class:`neon_ros.motor.link.WriterWatch`."""

    topic: str

    def foreign(self) -> tuple[str, ...]:
        """Return the ids of other writers."""


class Switcher(Protocol):
    """Knows who owns the motors, see :class:`neon_ros.motor.rpc.MotionSwitcher`."""

    def active(self, timeout: float | None = None) -> str:
        """Return the owner's name, empty when there is none."""

    def release(self) -> None:
        """Release the motors, or refuse."""


class Walker(Protocol):
    """Walks, see :class:`neon_ros.motor.rpc.Locomotion`."""

    def fsm(self, timeout: float | None = None) -> int:
        """Return the state of the walking controller."""

    def set_velocity(self, vx: float, vy: float, yaw_rate: float, duration: float) -> None:
        """Ask for a base velocity."""


class Payloads(Protocol):
    """Gives the newest message of one topic, see :class:`neon_ros.motor.link.PayloadReader`."""

    def take_newest(self) -> bytes | None:
        """Return what arrived since the last call."""


@dataclass(frozen=True)
class Verdict:
    """Whether the robot may be armed, and why not."""

    accepted: bool
    text: str


class Side:
    """The motor's slow thread.

    :param mode: control mode; tells whether the motors must be released and whether the base walks by request.
    :param watch: for other writers on our topic.
    :param switcher: knows and releases the motors' owner.
    :param walker: called only in modes whose balance is the robot's own.
    :param refuse_writers: whether another writer on our topic forbids arming and stops an armed robot.
    :param ready: called on the thread before it begins; may set its priority.
    :param battery: messages of ``rt/lf/bmsstate``; ``None`` for a robot without.
    :param min_charge: charge below which the robot is not armed and an armed one is held [%].
    """

    def __init__(
        self,
        mode: ControlMode,
        watch: Watch,
        switcher: Switcher,
        walker: Walker,
        refuse_writers: bool = True,
        ready: Callable[[], object] | None = None,
        battery: Payloads | None = None,
        min_charge: float = 20.0,
    ) -> None:
        self._door = (mode, watch)
        self._switcher = switcher
        self._walker = walker
        self._refuse_writers = refuse_writers
        self._ready = ready
        self._battery = battery
        self._min_charge = min_charge
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._ticket = 0
        self._verdict: tuple[int, Verdict | None] = (0, None)
        self._sent = _STILL
        self._owner_due = 0.0
        self._owner = ""
        self._fsm: int | None = None
        self._walk_trouble = ""
        self._battery_due = 0.0
        self._battery_heard = 0.0
        self.commanding = False
        """Set by the loop: whether commands are being written."""
        self.base_velocity: BaseVelocity = _STILL
        """Set by the loop: what the base shall do."""
        self.alarm = ""
        """Read by the loop: why an armed robot must be damped now; empty when there is no reason."""
        self.lost = ""
        """Read by the loop: who has taken the robot from us, so that nothing may be written; empty for nobody."""
        self.weak = ""
        """Read by the loop: what is wrong with the battery; empty when nothing is, or nothing is known."""
        self.charge = -1.0
        """Read by the loop: charge of the battery [%]; -1 when the robot has not said it."""
        self._thread = threading.Thread(target=self._run, name="motor side", daemon=True)

    def start(self) -> None:
        """Begin watching."""
        self._battery_heard = time.monotonic()
        self._thread.start()

    def close(self) -> None:
        """Stop the base and end the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def switch(self, mode: ControlMode, watch: Watch) -> None:
        """Go through another door of the robot; only while nothing is commanded."""
        self._door = (mode, watch)

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
        mode, watch = self._door
        others = self._others(watch)
        if self._asked.is_set():
            self._asked.clear()
            ticket = self._ticket
            self._verdict = (ticket, self._prepare(mode, watch))
        commanding = self.commanding
        self.alarm = others if commanding else ""
        self.lost = self._taken(mode) if commanding else ""
        self._look_at_battery()
        wanted = self.base_velocity if commanding and not mode.needs_release else _STILL
        if wanted != _STILL or self._sent != _STILL:
            self._walk(wanted)

    def _others(self, watch: Watch) -> str:
        """Return a sentence about other writers on our topic, empty when there are none or they are allowed."""
        foreign = watch.foreign()
        if not foreign or not self._refuse_writers:
            return ""
        return refuse(f"writers on {watch.topic}", f"{len(foreign)} besides this one ({', '.join(foreign)})", "none")

    def _prepare(self, mode: ControlMode, watch: Watch) -> Verdict:
        """Find out whether the robot may be armed; takes the motors over where the mode needs them."""
        try:
            if trouble := crc_trouble():
                raise Refused(trouble)
            deadline = time.monotonic() + _WATCH
            while time.monotonic() < deadline:
                if others := self._others(watch):
                    raise Refused(others)
                time.sleep(_PERIOD)
            self._owner, self._fsm = "", None
            if mode.needs_release:
                self._switcher.release()
            else:
                owner, fsm = self._switcher.active(), self._state_of_walker()
                if taken := self._judge(mode, owner, fsm):
                    raise Refused(taken)
                self._owner, self._fsm = owner, fsm
            self._owner_due = time.monotonic() + _OWNER_PERIOD
        except NeonError as error:
            return Verdict(False, str(error))
        return Verdict(True, "")

    def _taken(self, mode: ControlMode) -> str:
        """Return a sentence once somebody else has the robot: another owner, or a walker that does not stand (F21)."""
        now = time.monotonic()
        if now < self._owner_due:
            return self.lost
        self._owner_due = now + _OWNER_PERIOD
        try:
            owner = self._switcher.active(_QUICK)
            fsm = None if self._fsm is None else self._walker.fsm(_QUICK)
        except RobotError as error:
            self._owner_due = now + _OWNER_RETRY
            LOG.warning("cannot tell who owns the motors: %s", error)
            return ""
        if fsm != self._fsm:
            LOG.warning("the walking controller went from state %s to %s", self._fsm, fsm)
            self._fsm = fsm
        return self._judge(mode, owner, fsm)

    def _judge(self, mode: ControlMode, owner: str, fsm: int | None) -> str:
        """Return what is wrong with the owner of the motors and the walker's state, for this mode."""
        if mode.needs_release:
            return refuse("owner of the motors", repr(owner), "none while we write rt/lowcmd") if owner else ""
        if not owner or owner != (self._owner or owner):
            balancing = repr(self._owner or "ai")
            return refuse("owner of the motors", repr(owner), f"{balancing}, which balances behind rt/arm_sdk")
        if fsm in NOT_STANDING:
            return refuse("state of the walking controller", f"{fsm} ({NOT_STANDING[fsm]})", "a robot that stands")
        return ""

    def _state_of_walker(self) -> int | None:
        """Return the state of the walking controller, ``None`` where it is not said; then it is not watched."""
        try:
            return self._walker.fsm(_PATIENT)
        except RobotError as error:
            LOG.warning("the walking controller's state is not watched: %s", error)
            return None

    def _look_at_battery(self) -> None:
        now = time.monotonic()
        if self._battery is None or now < self._battery_due:
            return
        self._battery_due = now + _BATTERY_PERIOD
        payload = self._battery.take_newest()
        if payload is None:
            if now - self._battery_heard > _BATTERY_PATIENCE:
                self._battery_heard = float("inf")  # once is enough
                LOG.warning("nothing on %s: the battery is not watched", BATTERY_TOPIC)
            return
        self._battery_heard = now
        try:
            self.charge = decode_battery(payload).charge
        except ContractError as error:
            LOG.warning("battery: %s", error)
            return
        low = self.charge < self._min_charge
        self.weak = refuse("battery", f"{self.charge:.0f} %", f"at least {self._min_charge:g} %") if low else ""

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
