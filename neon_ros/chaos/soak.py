"""F40: random faults at random times for a long while, every command judged as it comes, in bounded memory."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from neon_ros.chaos import reactions
from neon_ros.chaos.bench import FAULTS, Bench, NotRun
from neon_ros.chaos.referee import judge
from neon_ros.chaos.rig import Rig
from neon_ros.chaos.table import Measure, Outcome
from neon_ros.chaos.tape import commands_of
from neon_ros.errors import NeonError

_KEPT = 20  # breaches kept in words; all are counted
QUIET = ("F7", "F24", "F25", "F26", "F27", "F12", "F22", "F23", "F30", "F32", "F33", "F36")
"""Faults that a soak leaves out: they take long, or need a graph of their own."""


@dataclass
class Tally:
    """What a soak has counted so far."""

    cycles: int = 0
    breaches: int = 0
    words: list[str] = field(default_factory=list)
    injected: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)
    memory: dict[str, list[int]] = field(default_factory=dict)
    lateness: list[float] = field(default_factory=list)


class _Watch:
    """Judges the tape piece by piece, each beginning a little before the last one's end."""

    _OVERLAP = 64

    def __init__(self, rig: Rig, tally: Tally) -> None:
        self._rig, self._tally, self.during = rig, tally, ""
        self._seen = rig.mark()

    def renew(self) -> None:
        """Begin anew on another tape."""
        self._seen = self._rig.mark()

    def look(self) -> None:
        """Judge what has come since the last look."""
        rig, tally = self._rig, self._tally
        count = rig.mark()
        if count < self._seen:
            self.renew()
            return
        start = max(0, self._seen - self._OVERLAP)
        records = rig.records(start)
        fresh = records[self._seen - start :]
        border = int(fresh["time"][0]) if len(fresh) else 0
        found = [breach for breach in judge(records, rig.law) if breach.time >= border]
        tally.cycles += len(commands_of(fresh))
        tally.breaches += len(found)
        if found and len(tally.words) < _KEPT:
            np.save(rig.setting.folder / f"breach{tally.breaches}.npy", records)
        tally.words += [f"{self.during}: {breach}" for breach in found[: _KEPT - len(tally.words)]]
        errors = reactions.period_errors(fresh, rig.law)
        errors = errors[errors < 0.01]  # a longer gap is a motor that was killed, not one that was late
        if len(errors) > 100:
            tally.lateness.append(float(np.quantile(errors, 0.99)))
        self._seen = start + len(records)


class _Bench(Bench):
    """Measurements of one fault in a soak; what is judged before another law holds is judged by the soak."""

    def __init__(self, chance: random.Random, watch: _Watch) -> None:
        super().__init__(chance)
        self._watch = watch

    def judge(self, rig: Rig) -> None:
        """Judge what has come, by the law that held."""
        self._watch.look()


def run(rig: Rig, seconds: float, seed: int, say: Callable[[str], None]) -> Outcome:
    """Hurt the graph at random until the time is over."""
    chance, tally = random.Random(seed), Tally()
    names = [name for name in FAULTS if name not in QUIET]
    began = minute = time.monotonic()
    rig.active()
    watch = _Watch(rig, tally)
    while (now := time.monotonic()) - began < seconds:
        name = chance.choice(names)
        bench = _Bench(random.Random(chance.random()), watch)
        try:
            rig.active()
            bench.begin(rig)
            watch.look()
            watch.during = name
            _remember(rig, tally)
            _pause(watch, chance.uniform(0.5, 6.0))
            FAULTS[name].inject(rig, bench)
            tally.injected += 1
        except NotRun:
            continue
        except NeonError as error:
            tally.trouble.append(f"{name}: {error}")
            rig.renew()
        watch.look()
        missed = [measure for measure in bench.measures.values() if not measure.passes()]
        if missed:
            tally.failed[name] = tally.failed.get(name, 0) + 1
            words = "; ".join(f"{m.what}: {m.show(m.worst)}, {m.allowed()}" for m in missed)
            say(f"{now - began:7.1f} s  {name} missed: {words}")
        if now - minute >= 60.0:
            minute = now
            say(_line(now - began, tally))
    return _outcome(seconds, tally)


def _pause(watch: _Watch, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.5)
        watch.look()


def _remember(rig: Rig, tally: Tally) -> None:
    """Note the memory of those processes that have lived on since the last look."""
    for name in ("motor", "guardian"):
        child = rig.children[name]
        tally.memory.setdefault(f"{name} {child.pid}", []).append(child.memory())


def _growth(tally: Tally) -> float:
    """Return the largest growth of any one motor or guardian after its first ten seconds or so [bytes]."""
    grown = [max(sizes[1:]) - sizes[1] for sizes in tally.memory.values() if len(sizes) > 2]
    return float(max(grown, default=0))


def _drift(tally: Tally) -> float:
    """Return by how much the p99 period error of the last third is above that of the first third."""
    third = max(1, len(tally.lateness) // 3)
    first, last = np.median(tally.lateness[:third]), np.median(tally.lateness[-third:])
    return float(last / max(first, 1e-9))


def _line(elapsed: float, tally: Tally) -> str:
    late = np.median(tally.lateness[-20:]) * 1e6 if tally.lateness else float("nan")
    return (
        f"{elapsed / 60:5.1f} min  {tally.cycles} cycles  {tally.injected} faults  {tally.breaches} breaches  "
        f"p99 period error {late:.0f} us  memory +{_growth(tally) / 2**20:.2f} MiB  missed {sum(tally.failed.values())}"
    )


def _outcome(seconds: float, tally: Tally) -> Outcome:
    """Return the soak as a row of the table."""
    outcome = Outcome("F40", f"soak of {seconds / 60:g} min, random faults", "no breach of any invariant")
    outcome.trials = tally.injected
    outcome.breaches = tally.words
    missed = ", ".join(f"{name} x{count}" for name, count in sorted(tally.failed.items()))
    for what, value, bound in (
        ("breaches", tally.breaches, 0.0),
        ("cycles judged", tally.cycles, float("inf")),
        ("faults injected", tally.injected, float("inf")),
        (f"reactions out of their bounds ({missed or 'none'})", sum(tally.failed.values()), 0.0),
        ("faults that could not be injected", len(tally.trouble), 0.0),
        ("memory growth of motor and guardian [MiB]", _growth(tally) / 2**20, 1.0),
        ("p99 period error, last third over first", _drift(tally), 2.0),
    ):
        outcome.measures.append(Measure(what, bound, "", timed=False, values=[float(value)]))
    outcome.failure = "; ".join(tally.trouble[:3])
    return outcome
