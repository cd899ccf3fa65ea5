"""The door for chunks: what is not exactly right is refused, with a sentence, and changes nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.contracts import ActionChunk
from neon_ros.errors import ConfigError, Refused, refuse
from neon_ros.robot.joints import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS
from neon_ros.robot.modes import ControlMode
from neon_ros.robot.variants import Variant

BEFORE = "before the start"
"""Reason of a chunk that answers a capture from before this session; it may still be on its way at a start."""
_COUNTER_MAX = 2**64 - 1  # epoch and sequence are uint64 on the wire
_STAMP_SLACK = 1e-3  # [s] that two readings of the two clocks may disagree by


@dataclass(frozen=True)
class AdmittedChunk:
    """A chunk that passed the door, in motor order and on the steady clock.

    :param t0: time of step 0 [s, steady clock].
    :param dt: time between steps [s].
    :param q: joint positions, float64 (H, 29) [rad]; zero in columns that are not moved.
    :param moved: which joints the chunk moves (29,).
    :param base_velocity: vx, vy, yaw rate, float64 (H, 3) [m/s, m/s, rad/s].
    :param epoch: see :class:`neon_ros.contracts.ActionChunk`; ``sequence`` likewise.
    """

    t0: float
    dt: float
    q: NDArray[np.float64]
    moved: NDArray[np.bool_]
    base_velocity: NDArray[np.float64]
    epoch: int
    sequence: int

    @property
    def end(self) -> float:
        """Time of the last step [s, steady clock]."""
        return self.t0 + (len(self.q) - 1) * self.dt


@dataclass(frozen=True)
class AdmissionConfig:
    """What a chunk may be.

    :param max_future: latest stamp ahead of now [s].
    :param max_age: oldest stamp [s]; None for the chunk's own length, up to its last step.
    :param dt_range: shortest and longest time between steps [s].
    :param horizon_range: fewest and most steps.
    :param position_tolerance: how far outside the joint's range a step may ask [rad]; the limiter cuts what is within.
    :param base_velocity: largest magnitude of vx, vy, yaw rate [m/s, m/s, rad/s].
    """

    max_future: float = 0.5
    max_age: float | None = None
    dt_range: tuple[float, float] = (0.005, 0.5)
    horizon_range: tuple[int, int] = (2, 64)
    position_tolerance: float = 0.5
    base_velocity: tuple[float, float, float] = (1.5, 0.5, 1.0)

    def __post_init__(self) -> None:
        _within("admission.max_future", self.max_future, 0.0, 0.5)
        if self.max_age is not None:
            _within("admission.max_age", self.max_age, 0.01, 32.0)
        for name, pair, low, high in (
            ("dt_range", self.dt_range, 0.005, 0.5),
            ("horizon_range", self.horizon_range, 2, 64),
        ):
            _within(f"admission.{name}[0]", pair[0], low, high)
            _within(f"admission.{name}[1]", pair[1], pair[0], high)
        _within("admission.position_tolerance", self.position_tolerance, 0.0, 0.5)
        for axis, value, bound in zip(("vx", "vy", "yaw"), self.base_velocity, (1.5, 0.5, 1.0), strict=True):
            _within(f"admission.base_velocity.{axis}", value, 0.0, bound)


@dataclass
class AdmissionCounters:
    """How many chunks came through and how many did not, by reason."""

    admitted: int = 0
    refused: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    last_refusal: str = ""
    refused_in_a_row: int = 0

    def count(self, refusal: NotAdmitted) -> None:
        """Count one refused chunk."""
        self.refused += 1
        self.refused_in_a_row += 1
        self.reasons[refusal.reason] = self.reasons.get(refusal.reason, 0) + 1
        self.last_refusal = str(refusal)


class Freshness(NamedTuple):
    """What a chunk must be newer than.

    :param number: (epoch, sequence) of the newest admitted chunk.
    :param t0: time of its step 0, or of the beginning of the session [s, steady clock].
    :param head: its ``head_id`` and ``checksum``, which must not change within an epoch.
    """

    number: tuple[int, int] = (-1, -1)
    t0: float = -math.inf
    head: tuple[str, ...] = ()


class NotAdmitted(Refused):
    """A refusal that carries the short reason it is counted under."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Admission:
    """Check chunks for one mode on one variant.

    :param mode: the mode that chunks must be made for.
    :param variant: the robot at hand; joints it lacks are refused.
    :param config: bounds.
    :param counters: to go on counting in, when an earlier door has counted.
    :param newest: what the first chunk must be newer than.
    """

    def __init__(
        self,
        mode: ControlMode,
        variant: Variant,
        config: AdmissionConfig | None = None,
        counters: AdmissionCounters | None = None,
        newest: Freshness | None = None,
    ) -> None:
        self.mode = mode
        self.config = AdmissionConfig() if config is None else config
        self.counters = AdmissionCounters() if counters is None else counters
        self.newest = Freshness() if newest is None else newest
        present = variant.present()
        self._absent = frozenset(variant.absent)
        self._names = tuple(name for name in mode.joint_names if present[JOINT_INDEX[name]])
        self._moved = np.zeros(NUM_JOINTS, dtype=bool)
        self._moved[[JOINT_INDEX[name] for name in self._names]] = True
        limits = variant.limits()
        self._lower = limits.lower - self.config.position_tolerance
        self._upper = limits.upper + self.config.position_tolerance
        self._base = np.array(self.config.base_velocity)
        self._checked_names: tuple[str, ...] = ()
        self._columns: NDArray[np.intp] = np.empty(0, dtype=np.intp)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names a chunk must carry, each once, in any order."""
        return self._names

    def admit(self, chunk: ActionChunk, now_ros_ns: int, now_steady: float) -> AdmittedChunk:
        """Return the chunk in motor order on the steady clock.

        :param now_ros_ns: now on the clock of the stamps [ns].
        :param now_steady: now on the steady clock [s].
        :raises Refused: saying what was got and what is allowed; then nothing but the counters has changed.
        """
        try:
            admitted = self._check(chunk, now_ros_ns, now_steady)
        except NotAdmitted as refusal:
            self.counters.count(refusal)
            raise
        self.counters.admitted += 1
        self.counters.refused_in_a_row = 0
        self.newest = Freshness((admitted.epoch, admitted.sequence), admitted.t0, (chunk.head_id, chunk.checksum))
        return admitted

    def _check(self, chunk: ActionChunk, now_ros_ns: int, now_steady: float) -> AdmittedChunk:
        """Return the admitted form of ``chunk`` or raise; touches nothing."""
        config = self.config
        if not isinstance(chunk.mode, str) or chunk.mode != self.mode.name:
            raise NotAdmitted("mode", refuse("chunk.mode", chunk.mode, self.mode.name))
        columns = self._columns_of(chunk.joint_names)
        epoch, sequence = (_counter(name, getattr(chunk, name)) for name in ("epoch", "sequence"))
        dt = chunk.dt
        if not _number(dt) or not config.dt_range[0] <= dt <= config.dt_range[1]:
            raise NotAdmitted("dt", refuse("chunk.dt", dt, f"{config.dt_range[0]:g} to {config.dt_range[1]:g} s"))
        q = _matrix("chunk.q", chunk.q, len(self._names))
        low, high = config.horizon_range
        if not low <= len(q) <= high:
            raise NotAdmitted("horizon", refuse("chunk.horizon", len(q), f"{low} to {high} steps"))
        base_velocity = _matrix("chunk.base_velocity", chunk.base_velocity, 3)
        if len(base_velocity) != len(q):
            raise NotAdmitted(
                "shape", refuse("chunk.base_velocity shape", base_velocity.shape, f"({len(q)}, 3), a row for each step")
            )
        if (epoch, sequence) <= self.newest.number:
            raise NotAdmitted(
                "not newer",
                refuse("chunk (epoch, sequence)", (epoch, sequence), f"newer than {self.newest.number}"),
            )
        head = tuple(_word(name, getattr(chunk, name)) for name in ("head_id", "checksum"))
        if epoch == self.newest.number[0] and head != self.newest.head:
            allowed = f"{self.newest.head}; another head begins a new epoch"
            raise NotAdmitted("head", refuse(f"chunk head in epoch {epoch}", head, allowed))
        t0 = self._steady_stamp(chunk.stamp_ns, now_ros_ns, now_steady, (len(q) - 1) * float(dt))
        full = np.zeros((len(q), NUM_JOINTS))
        full[:, columns] = q
        self._check_ranges(full, base_velocity)
        return AdmittedChunk(t0, float(dt), full, self._moved.copy(), base_velocity, epoch, sequence)

    def _columns_of(self, names: object) -> NDArray[np.intp]:
        """Return the motor index of each column; remembers the last good names."""
        if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
            raise NotAdmitted("joint names", refuse("chunk.joint_names", type(names).__name__, "a tuple of names"))
        given = tuple(names)
        if given == self._checked_names:
            return self._columns
        allowed = f"each of {', '.join(self._names)} once"
        for what, wrong in (
            ("unknown", [name for name in given if name not in JOINT_INDEX]),
            ("absent on this variant", [name for name in given if name in self._absent]),
            ("outside the mode", [name for name in given if name in JOINT_INDEX and name not in self.mode.joint_names]),
            ("repeated", sorted({name for name in given if given.count(name) > 1})),
            ("missing", [name for name in self._names if name not in given]),
        ):
            if wrong:
                raise NotAdmitted("joint names", refuse("chunk.joint_names", f"{what} {wrong}", allowed))
        self._checked_names = given
        self._columns = np.array([JOINT_INDEX[name] for name in given], dtype=np.intp)
        return self._columns

    def _steady_stamp(self, stamp_ns: object, now_ros_ns: int, now_steady: float, length: float) -> float:
        """Return the stamp on the steady clock; refuse one that is stale, future or older than the last admitted."""
        config = self.config
        if not isinstance(stamp_ns, int | np.integer) or isinstance(stamp_ns, bool):
            raise NotAdmitted("stamp", refuse("chunk.stamp_ns", stamp_ns, "whole nanoseconds"))
        age = (now_ros_ns - int(stamp_ns)) * 1e-9
        max_age = length if config.max_age is None else min(config.max_age, length)
        if age >= max_age:
            raise NotAdmitted("stale", refuse("chunk age", f"{age:.3f} s", f"less than {max_age:.3f} s"))
        if age < -config.max_future:
            raise NotAdmitted(
                "future", refuse("chunk stamp", f"{-age:.3f} s ahead of now", f"at most {config.max_future:g} s ahead")
            )
        t0 = now_steady - age
        if t0 < self.newest.t0 - _STAMP_SLACK:
            first = self.newest.number == Freshness().number
            reason, what = (BEFORE, "start") if first else ("out of order", "last admitted")
            got = f"{self.newest.t0 - t0:.3f} s before the {what}"
            raise NotAdmitted(reason, refuse("chunk stamp", got, "not before it"))
        return t0

    def _check_ranges(self, q: NDArray[np.float64], base_velocity: NDArray[np.float64]) -> None:
        """Refuse positions or base velocities out of bounds."""
        outside = ((q < self._lower) | (q > self._upper)) & self._moved
        if outside.any():
            step, joint = (int(i) for i in np.argwhere(outside)[0])
            raise NotAdmitted(
                "position",
                refuse(
                    f"chunk.q step {step} {JOINT_NAMES[joint]}",
                    f"{q[step, joint]:.3f} rad",
                    f"{self._lower[joint]:.3f} to {self._upper[joint]:.3f} rad",
                ),
            )
        fast = np.abs(base_velocity) > self._base
        if fast.any():
            step, axis = (int(i) for i in np.argwhere(fast)[0])
            raise NotAdmitted(
                "base velocity",
                refuse(
                    f"chunk.base_velocity step {step} {('vx', 'vy', 'yaw rate')[axis]}",
                    f"{base_velocity[step, axis]:.3f}",
                    f"-{self._base[axis]:g} to {self._base[axis]:g}",
                ),
            )


def _number(value: object) -> bool:
    """Return whether ``value`` is a finite real number (a bool is not)."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return real and math.isfinite(value)  # type: ignore[arg-type]


def _word(name: str, value: object) -> str:
    """Return ``value``, which must be text."""
    if not isinstance(value, str):
        raise NotAdmitted(name, refuse(f"chunk.{name}", value, "text"))
    return value


def _counter(name: str, value: object) -> int:
    """Return ``value`` as an int within uint64."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 0 <= int(value) <= _COUNTER_MAX:
        raise NotAdmitted(name, refuse(f"chunk.{name}", value, "a whole number within uint64"))
    return int(value)


def _matrix(name: str, value: object, width: int) -> NDArray[np.float64]:
    """Return ``value`` as a finite float64 matrix of ``width`` columns, a copy."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise NotAdmitted("shape", refuse(name, type(value).__name__, "an array of real numbers"))
    if value.ndim != 2 or value.shape[1] != width:
        raise NotAdmitted("shape", refuse(f"{name} shape", value.shape, f"(horizon, {width})"))
    matrix = np.array(value, dtype=np.float64)
    finite = np.isfinite(matrix)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        raise NotAdmitted("not finite", refuse(f"{name}[{row}, {column}]", matrix[row, column], "finite values"))
    return matrix


def _within(name: str, value: float, low: float, high: float) -> None:
    """Refuse a configuration value that is no number or out of range."""
    if not _number(value) or not low <= value <= high:
        raise ConfigError(refuse(name, value, f"{low:g} to {high:g}"))


_BASE_BOUND = np.array(AdmissionConfig().base_velocity)


def check_reach(chunk: AdmittedChunk, lowest: NDArray[np.float64], highest: NDArray[np.float64]) -> None:
    """Refuse an admitted chunk that asks for what no joint or base of this robot may be asked for.

    :param lowest: of the positions that may be asked for (29,) [rad]; ``highest`` likewise.
    :raises Refused: naming the first step and joint, or the fastest base velocity.
    """
    outside = (chunk.q < lowest) | (chunk.q > highest)
    if np.count_nonzero(outside):
        step, joint = (int(i) for i in np.argwhere(outside)[0])
        allowed = f"{lowest[joint]:.3f} to {highest[joint]:.3f} rad"
        raise Refused(refuse(f"chunk step {step} {JOINT_NAMES[joint]}", f"{chunk.q[step, joint]:.3f}", allowed))
    speed = np.abs(chunk.base_velocity)
    if np.count_nonzero(speed > _BASE_BOUND):
        raise Refused(refuse("chunk base velocity", speed.max(axis=0).round(3), f"at most {_BASE_BOUND}"))
