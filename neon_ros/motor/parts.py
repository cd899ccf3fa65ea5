"""What a motor loop is made of, as the loop sees it; the real parts are elsewhere and tests have their own."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from neon_ros.contracts import RobotState
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.guard import Command, GuardStatus
from neon_ros.guard.health import Finding
from neon_ros.motor.side import BaseVelocity, Verdict, Watch
from neon_ros.robot.modes import ControlMode
from neon_ros.robot.variants import Variant


class Reader(Protocol):
    """Gives the newest LowState, see :class:`neon_ros.motor.link.PayloadReader`."""

    def take_newest(self) -> bytes | None:
        """Return what arrived since the last call."""


class Writer(Protocol):
    """Sends LowCmd, see :class:`neon_ros.motor.link.PayloadWriter`."""

    topic: str

    def write(self, payload: bytes | memoryview) -> None:
        """Send one payload."""


class Judge(Protocol):
    """Judges every command, see :class:`neon_ros.guard.guard.Guard`."""

    def configure(self, variant: Variant) -> None:
        """Learn which robot it is."""

    def submit(self, chunk: AdmittedChunk) -> None:
        """Take a chunk."""

    def request(self, kind: str, now: float) -> None:
        """Arm, disarm or stop; refuses."""

    def inhibit(self, name: str, reason: str | None) -> None:
        """Forbid arming, or allow it again."""

    def fault(self, reason: str, now: float, *, pause: bool = False) -> None:
        """Take a fault that only the caller can see."""

    def react(self, finding: Finding, now: float) -> None:
        """Take what is no plain fault: a stop on the remote, a robot that somebody else has."""

    def impair(self, reason: str) -> None:
        """Keep in HOLD for as long as there is a reason."""

    def foresee(self) -> None:
        """Work out in advance what does not depend on the next measurement."""

    def step(self, measured: RobotState | None, now: float) -> Command:
        """Return the next command."""

    def report(self) -> GuardStatus:
        """Say what it did."""


class Helper(Protocol):
    """Does what is slow, see :class:`neon_ros.motor.side.Side`."""

    commanding: bool
    base_velocity: BaseVelocity
    alarm: str
    lost: str
    weak: str
    charge: float

    def switch(self, mode: ControlMode, watch: Watch) -> None:
        """Go through the door of another mode."""

    def prepare(self) -> None:
        """Begin to find out whether the robot may be armed."""

    def verdict(self) -> Verdict | None:
        """Return the answer, once."""


class Door(NamedTuple):
    """What belongs to one control mode: the guard, the topic written to, and the watch on who else writes there."""

    guard: Judge
    commands: Writer
    watch: Watch
