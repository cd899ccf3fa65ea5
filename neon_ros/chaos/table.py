"""What was measured, what was allowed, and whether that passes; and the table of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

_UNITS = {"ms": 1e3, "s": 1.0, "": 1.0, "us": 1e6}


@dataclass
class Measure:
    """One reaction of one fault, measured in every trial.

    :param what: the reaction, in words.
    :param bound: largest value allowed [SI]; values above it fail.
    :param unit: ``s``, ``ms``, ``us`` to print times in; empty for counts and ratios.
    :param least: smallest value allowed [SI].
    :param typical: largest median allowed [SI], where it is stricter than ``bound``.
    :param timed: whether a machine without SCHED_FIFO is allowed its own lateness on top.
    :param values: one per trial [SI]; NaN where the reaction did not come.
    :param withdrawn: of trials that were made again [SI]; judged by nobody, shown to all.
    """

    what: str
    bound: float
    unit: str = "ms"
    least: float = -math.inf
    typical: float = math.inf
    timed: bool = True
    values: list[float] = field(default_factory=list)
    withdrawn: list[float] = field(default_factory=list)

    def add(self, value: float | None) -> None:
        """Take the value of a trial; ``None`` for a reaction that did not come."""
        self.values.append(math.nan if value is None else float(value))

    @property
    def median(self) -> float:
        """Return the median of what came."""
        return float(np.median(self.values)) if self.values else math.nan

    @property
    def worst(self) -> float:
        """Return the largest value; NaN when one did not come."""
        return float(np.max(self.values)) if self.values else math.nan

    def passes(self, allowance: float = 0.0) -> bool:
        """Return whether every trial is within the bounds.

        :param allowance: added to bounds of time on a machine without SCHED_FIFO [s].
        """
        if not self.values or not np.isfinite(self.values).all():
            return False
        more = allowance if self.timed and self.unit in ("ms", "s", "us") else 0.0
        late = self.worst > self.bound + more or self.median > self.typical + more
        return not late and float(np.min(self.values)) >= self.least - more

    def show(self, value: float) -> str:
        """Return a value in the unit of the table."""
        if not math.isfinite(value):
            return "never" if math.isnan(value) else "any"
        scaled = value * _UNITS[self.unit]
        if self.unit == "":
            return f"{scaled:g}" if scaled == int(scaled) else f"{scaled:.2f}"
        return f"{scaled:.2f} {self.unit}"

    def allowed(self) -> str:
        """Return the bounds in words."""
        if self.bound == self.least:
            return f"= {self.show(self.bound)}"
        words = [f"<= {self.show(self.bound)}"] if math.isfinite(self.bound) else []
        if math.isfinite(self.typical):
            words.insert(0, f"{self.show(self.typical)} / max {self.show(self.bound)}")
            words.pop()
        if math.isfinite(self.least):
            words.insert(0, f">= {self.show(self.least)}")
        return ", ".join(words)


@dataclass
class Outcome:
    """What became of one fault.

    :param id: e.g. ``F4``.
    :param title: the fault, in words.
    :param required: the reaction that is required, in words.
    :param trials: how often it was injected.
    :param repeated: trials that were made again because the machine itself stood still in them.
    :param not_run: why it could not be injected here; empty when it was.
    :param failure: what went wrong with the injection itself; such a fault has not passed.
    """

    id: str
    title: str
    required: str
    measures: list[Measure] = field(default_factory=list)
    trials: int = 0
    repeated: int = 0
    not_run: str = ""
    failure: str = ""
    seconds: float = 0.0
    breaches: list[str] = field(default_factory=list)

    def passes(self, allowance: float = 0.0) -> bool:
        """Return whether it was injected and every reaction passed, without a breach."""
        if self.not_run or self.failure or self.breaches or not self.measures:
            return False
        return all(measure.passes(allowance) for measure in self.measures)

    def verdict(self, allowance: float = 0.0) -> str:
        """Return ``pass``, ``FAIL`` or ``not run``."""
        return "not run" if self.not_run else "pass" if self.passes(allowance) else "FAIL"


_HEAD = ("fault", "reaction", "median", "worst", "bound", "")


def lines(outcomes: Sequence[Outcome], allowance: float = 0.0) -> list[str]:
    """Return the table: one block per fault, one line per reaction."""
    rows: list[tuple[str, ...]] = [_HEAD]
    for outcome in outcomes:
        rows.append((outcome.id, outcome.title, "", "", "", outcome.verdict(allowance)))
        for measure in outcome.measures:
            verdict = "pass" if measure.passes(allowance) else "FAIL"
            shown = (measure.show(measure.median), measure.show(measure.worst), measure.allowed(), verdict)
            rows.append(("", f"  {measure.what}", *shown))
            if measure.withdrawn:
                first = ", ".join(measure.show(value) for value in measure.withdrawn)
                rows.append(("", f"    first tries, made again: {first}", "", "", "", ""))
        if outcome.repeated:
            text = f"  {outcome.repeated} trials made again: the machine stood still in them"
            rows.append(("", text, "", "", "", ""))
        for label, text in (("not run", outcome.not_run), ("failure", outcome.failure)):
            if text:
                rows.append(("", f"  {label}: {text}", "", "", "", ""))
        rows += [("", f"  breach: {text}", "", "", "", "") for text in outcome.breaches[:3]]
        if len(outcome.breaches) > 3:
            rows.append(("", f"  and {len(outcome.breaches) - 3} more breaches", "", "", "", ""))
    short = [row for row in rows if any(row[2:5])]
    widths = [max((len(row[i]) for row in short), default=0) for i in range(6)]
    widths[0], widths[1] = max(len(row[0]) for row in rows), max(len(row[1]) for row in short)
    table = []
    for row in rows:
        if any(row[2:5]):
            cells = [row[i].ljust(widths[i]) if i < 2 else row[i].rjust(widths[i]) for i in range(6)]
            table.append("  ".join(cells).rstrip())
        elif row[5]:
            line = f"{row[0].ljust(widths[0])}  {row[1]}"
            table.append(f"{line.ljust(sum(widths) + 10 - len(row[5]))}{row[5]}")
        else:
            table.append(f"{row[0].ljust(widths[0])}  {row[1]}")
    return table


def summary(outcomes: Sequence[Outcome], allowance: float = 0.0) -> str:
    """Return one line about all faults."""
    verdicts = [outcome.verdict(allowance) for outcome in outcomes]
    failed = ", ".join(outcome.id for outcome in outcomes if outcome.verdict(allowance) == "FAIL")
    words = [f"{verdicts.count('pass')} of {len(outcomes)} faults pass"]
    if verdicts.count("not run"):
        words.append(f"{verdicts.count('not run')} not run")
    if failed:
        words.append(f"FAIL: {failed}")
    return "; ".join(words)


def as_json(outcomes: Sequence[Outcome], allowance: float = 0.0) -> list[dict[str, Any]]:
    """Return everything measured, for a file; what is not finite becomes ``None``."""
    found = []
    for outcome in outcomes:
        entry = asdict(outcome) | {"verdict": outcome.verdict(allowance)}
        for measure, made in zip(entry["measures"], outcome.measures, strict=True):
            measure["passes"] = made.passes(allowance)
        found.append(_plain(entry))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
