"""What one fault is given to work with: chance, time, and a place for what it measures."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from neon_ros.chaos.referee import judge
from neon_ros.chaos.rig import Rig
from neon_ros.chaos.table import Measure
from neon_ros.chaos.tape import standstill
from neon_ros.errors import NeonError

CYCLE = 0.002
"""[s]"""
WALL = 0.005
"""What the table of faults adds to a timer for a real clock [s]."""


class NotRun(NeonError):
    """This fault cannot be injected on this machine; the text says why."""


@dataclass
class Bench:
    """One fault's measurements.

    :param chance: seeded; everything random comes from it.
    :param trial: number of the present trial.
    :param bare: p99.9 of a bare loop's lateness in this run [s].
    :param breaches: of the invariants, in words.
    :param stood: how long the machine stood still in the present trial [s].
    """

    chance: random.Random
    bare: float = 0.0
    trial: int = 0
    measures: dict[str, Measure] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)
    stood: float = 0.0
    _mark: int = 0
    _before: dict[str, int] = field(default_factory=dict)

    def took(
        self,
        what: str,
        start: int,
        end: int | None,
        bound: float,
        unit: str = "ms",
        least: float = float("-inf"),
        typical: float = float("inf"),
    ) -> None:
        """Note a time from ``start`` to ``end`` [ns]; ``None`` for a reaction that did not come.

        :param bound: largest allowed [s]; ``least`` smallest, ``typical`` largest median.
        """
        value = None if end is None else (int(end) - int(start)) * 1e-9
        self._measure(what, bound, unit, least, typical, True).add(value)

    def lasted(self, what: str, seconds: float, bound: float, unit: str = "us") -> None:
        """Note a length of time [s] on the real clock."""
        self._measure(what, bound, unit, float("-inf"), float("inf"), True).add(seconds)

    def counted(self, what: str, value: float, bound: float, least: float = float("-inf"), unit: str = "") -> None:
        """Note a count or a ratio."""
        self._measure(what, bound, unit, least, float("inf"), False).add(value)

    def exactly(self, what: str, value: float, wanted: float) -> None:
        """Note a count that must be one number."""
        self.counted(what, value, wanted, wanted)

    def _measure(self, what: str, bound: float, unit: str, least: float, typical: float, timed: bool) -> Measure:
        if what not in self.measures:
            self.measures[what] = Measure(what, bound, unit, least, typical, timed)
        return self.measures[what]

    def begin(self, rig: Rig) -> None:
        """Begin a trial."""
        self._before = {what: len(measure.values) for what, measure in self.measures.items()}
        self._mark, self.stood = rig.mark(), 0.0

    def judge(self, rig: Rig) -> None:
        """Let the referee judge what the robot heard since the last time; before another law holds, and at the end."""
        records = rig.records(min(self._mark, rig.mark()))
        self._mark = rig.mark()
        self.stood = max(self.stood, standstill(records))
        found = judge(records, rig.law)
        if found and not self.breaches:
            np.save(rig.setting.folder / "breach.npy", records)
        self.breaches += [str(breach) for breach in found]

    def withdraw(self) -> None:
        """Put aside what the present trial has measured."""
        for what, measure in self.measures.items():
            begun = self._before.get(what, 0)
            measure.withdrawn += measure.values[begun:]
            del measure.values[begun:]

    def fits(self, allowance: float) -> bool:
        """Return whether everything measured so far passes."""
        return all(measure.passes(allowance) for measure in self.measures.values())

    def moment(self) -> None:
        """Wait for a random part of a chunk: a fault may come at any time."""
        time.sleep(self.chance.uniform(0.0, 0.05))

    def turn(self, *ways: str) -> str:
        """Return another of ``ways`` in each trial."""
        return ways[self.trial % len(ways)]


@dataclass(frozen=True)
class Fault:
    """One row of the table of faults.

    :param id: e.g. ``F4``.
    :param title: the fault in words.
    :param required: the reaction that is required, in words.
    :param inject: one trial; the graph is ACTIVE before it, unless ``armed`` is false.
    :param most: trials that are worth their time, however many are asked for.
    :param armed: whether the graph must be ACTIVE before each trial.
    """

    id: str
    title: str
    required: str
    inject: Callable[[Rig, Bench], None]
    most: int = 10_000
    armed: bool = True


FAULTS: dict[str, Fault] = {}
"""Every fault that can be injected, by its number."""


def fault(
    number: str, title: str, required: str, most: int = 10_000, armed: bool = True
) -> Callable[[Callable[[Rig, Bench], None]], Callable[[Rig, Bench], None]]:
    """Register a function as the injection of a fault."""

    def register(inject: Callable[[Rig, Bench], None]) -> Callable[[Rig, Bench], None]:
        FAULTS[number] = Fault(number, title, required, inject, most, armed)
        return inject

    return register
