"""Judge what is measured: is the robot fresh, plausible, upright, cool, the one we know, where it was told to be?"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.contracts import RobotState
from neon_ros.errors import refuse
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.machine import Event
from neon_ros.guard.stopping import Vector
from neon_ros.robot.joints import JOINT_NAMES, NUM_JOINTS
from neon_ros.robot.variants import Variant

_FLOAT = np.dtype(np.float64)  # compared with the type itself a check takes three times as long


class Finding(NamedTuple):
    """A fault that was found.

    :param event: what it means for the state machine.
    :param reason: in words.
    :param limp: whether stiffness must go at once (the measurement is not to be trusted, or the robot falls).
    :param yields: whether the robot's own controller is to have the joints at once, faster than after a stop.
    """

    event: Event
    reason: str
    limp: bool = False
    yields: bool = False


class Health:
    """Follow the LowStates of one robot; ``state`` is the last plausible one.

    :param config: bounds.
    :param variant: what the robot said it is.
    """

    def __init__(self, config: GuardConfig, variant: Variant) -> None:
        self.config = config
        self.variant = variant
        self.state: RobotState | None = None
        self.outliers_in_a_row = 0
        self.outliers = 0
        self.tilt = 0.0
        self.hottest = 0.0
        self.part: Vector | float = 1.0
        """Part of torque and velocity that the temperatures leave (29,), or 1 while all motors are cool."""
        self.trouble = ""
        """Set by the caller: a cause of HOLD that only it sees (motor fault, battery, guardian); empty for none."""
        self.outlier = ""
        present = variant.present()
        self._present = np.flatnonzero(present)
        limits = variant.limits()
        self._lower = limits.lower[present] - config.max_jump
        self._upper = limits.upper[present] + config.max_jump
        self._seen: tuple[int, int] = (-1, -1)
        self._fresh_at = -math.inf
        self._tick = -1
        self._bent_since: float | None = None
        self._bent = 0
        self.bent = False
        self._foreign = ""
        self._everyone = len(self._present) == NUM_JOINTS
        self._hottest_at, self._at_casing = 0, True
        self._limit = config.max_casing
        self._top = np.array([[config.max_casing], [config.max_winding]])
        self._felt = b""

    def silence(self, now: float) -> float:
        """Return the time since a LowState with a new tick arrived [s]."""
        return now - self._fresh_at

    def observe(self, measured: RobotState | None, now: float) -> bool:
        """Take in a LowState; return whether it is new and plausible.

        One whose tick has not moved is no sign of life; an implausible one is counted and otherwise ignored.

        :param now: [s, steady clock]; a stamp after it counts as now.
        """
        if measured is None:
            return False
        seen = (measured.steady_ns, measured.tick)
        if seen == self._seen or measured.tick == self._tick:
            return False  # the same again, or a robot whose counter is stuck
        self._seen, self._tick = seen, measured.tick
        self._fresh_at = min(measured.steady_ns * 1e-9, now)
        if measured.mode_machine != self.variant.mode_machine:
            self._foreign = f"mode_machine changed from {self.variant.mode_machine} to {measured.mode_machine}"
            return False
        if measured.mode_pr != 0:
            self._foreign = f"mode_pr is {measured.mode_pr}; only 0 (pitch/roll) is allowed"
            return False
        self._foreign = ""
        self.outlier = self._implausible(measured)
        if self.outlier:
            self.outliers += 1
            self.outliers_in_a_row += 1
            return False
        self.outliers_in_a_row = 0
        self.state = measured
        _, x, y, _ = measured.quaternion_wxyz.tolist()
        self.tilt = math.acos(min(1.0, max(-1.0, 1.0 - 2.0 * (x * x + y * y))))
        self._feel(measured)
        return True

    def _feel(self, measured: RobotState) -> None:
        """Take in the temperatures of the motors that this variant has; most often they have not changed."""
        felt = measured.temperature.tobytes() + measured.winding.tobytes()  # compared as bytes: a tenth of the time
        if felt == self._felt:
            return
        self._felt = felt
        config = self.config
        heat = np.stack([measured.temperature, measured.winding])
        share = heat[:, self._present] / self._top
        where, joint = divmod(int(share.argmax()), len(self._present))
        self._hottest_at, self._limit = int(self._present[joint]), float(self._top[where, 0])
        self.hottest = float(heat[where, self._hottest_at])
        self._at_casing = where == 0
        excess = (share.max(axis=0) - config.derate_from) / (1.0 - config.derate_from)
        if not (excess > 0.0).any():
            self.part = 1.0
            return
        part = np.ones(NUM_JOINTS)
        part[self._present] = 1.0 - (1.0 - config.derate_to) * np.clip(excess, 0.0, 1.0)
        self.part = part

    def _implausible(self, measured: RobotState) -> str:
        """Return what is wrong with the numbers of a LowState; empty when nothing is."""
        squares: list[float] = []
        for name, value, size in (
            ("q", measured.q, NUM_JOINTS),
            ("dq", measured.dq, NUM_JOINTS),
            ("temperature", measured.temperature, NUM_JOINTS),
            ("winding", measured.winding, NUM_JOINTS),
            ("quaternion", measured.quaternion_wxyz, 4),
            ("gyroscope", measured.gyroscope, 3),
        ):
            if not isinstance(value, np.ndarray) or value.shape != (size,) or value.dtype != _FLOAT:
                return f"{name} has shape {np.shape(value)} instead of ({size},) float64"
            square = float(value.dot(value))
            if not math.isfinite(square):
                return f"{name} is not finite"
            squares.append(square)
        _, _, _, _, length, turning = squares
        q, dq = self._of_present(measured)
        # A sum of squares within the bound needs no look at each joint.
        if dq.dot(dq) > self.config.max_dq**2 and float(np.abs(dq).max()) > self.config.max_dq:
            return f"a joint speed of {float(np.abs(dq).max()):.1f} rad/s"
        if turning > self.config.max_gyroscope**2:
            return f"a turn rate of {math.sqrt(turning):.1f} rad/s"
        if abs(length - 1.0) > 0.1:
            return f"a quaternion of length {math.sqrt(length):.2f}"
        if np.count_nonzero((q < self._lower) | (q > self._upper)):
            return "a joint far outside its range"
        if self.state is not None:
            elapsed = max((measured.steady_ns - self.state.steady_ns) * 1e-9, 0.0)
            allowed = self.config.max_jump + self.config.max_dq * min(elapsed, 0.1)
            moved = q - self._of_present(self.state)[0]
            if moved.dot(moved) > allowed**2 and float(np.abs(moved).max()) > allowed:
                return f"a joint that jumped {float(np.abs(moved).max()):.2f} rad"
        return ""

    def _of_present(self, state: RobotState) -> tuple[Vector, Vector]:
        """Return positions and velocities of the joints that this variant has."""
        if self._everyone:
            return state.q, state.dq
        return state.q[self._present], state.dq[self._present]

    def findings(self, now: float) -> Finding | None:
        """Return the gravest fault at ``now``; None when the robot is well."""
        config = self.config
        if self._foreign:
            return Finding(Event.LOST, self._foreign)
        silence = self.silence(now)
        if silence > config.silent_damp:
            return Finding(Event.FAULT, f"LowState silent or stuck for {config.silent_damp * 1e3:.0f} ms", limp=True)
        if self.outliers_in_a_row >= config.outliers:
            return Finding(Event.FAULT, f"{self.outliers_in_a_row} implausible LowStates: {self.outlier}", limp=True)
        if self.tilt > config.max_tilt:
            return Finding(Event.FAULT, f"tilt {self.tilt:.2f} rad exceeds {config.max_tilt:g} rad", limp=True)
        if self.hottest >= self._limit:
            what = f"{JOINT_NAMES[self._hottest_at]} {'casing' if self._at_casing else 'winding'}"
            return Finding(Event.FAULT, f"{what} at {self.hottest:.0f} deg C; it must stay below {self._limit:g} deg C")
        if silence > config.silent_hold:
            return Finding(Event.PAUSE, f"LowState silent or stuck for {config.silent_hold * 1e3:.0f} ms")
        if self.trouble:
            return Finding(Event.PAUSE, self.trouble)
        if self.bent:
            name = JOINT_NAMES[self._bent]
            return Finding(Event.PAUSE, f"{name} is more than {config.following_error:g} rad from its command")
        return None

    def compare(self, error: Vector, held: NDArray[np.bool_], now: float) -> None:
        """Note how far the ``held`` joints are from their command: ``error`` (29,) [rad]."""
        error = error * held
        if error.dot(error) <= self.config.following_error**2:  # then no joint needs a look of its own
            self._bent_since, self.bent = None, False
            return
        error = np.abs(error)
        worst = int(error.argmax())
        if error[worst] <= self.config.following_error:
            self._bent_since, self.bent = None, False
            return
        if self._bent_since is None:
            self._bent_since = now
        self._bent = worst
        self.bent = now - self._bent_since >= self.config.following_seconds

    def objection(self, now: float) -> str:
        """Return why the robot must not be armed now; empty when it may."""
        config = self.config
        if self.state is None or self.silence(now) > config.silent_hold:
            return refuse_line("LowState", f"silent for {self.silence(now):.3f} s", f"at most {config.silent_hold:g} s")
        finding = self.findings(now)
        if finding is not None and not (self.bent and finding.event is Event.PAUSE and not self.trouble):
            return refuse_line("the robot", finding.reason, "a healthy robot")
        dq = np.abs(self.state.dq[self._present])
        if float(dq.max()) > config.arm_max_dq:
            name = JOINT_NAMES[int(self._present[int(dq.argmax())])]
            return refuse_line(f"{name} speed", f"{float(dq.max()):.2f} rad/s", f"at most {config.arm_max_dq:g} rad/s")
        return ""

    def forget_following(self) -> None:
        """Begin anew with the following error, when arming."""
        self._bent_since, self.bent = None, False


def refuse_line(name: str, got: str, allowed: str) -> str:
    """Return the house sentence for something that forbids arming."""
    return refuse(f"cannot arm: {name}", got, allowed)
