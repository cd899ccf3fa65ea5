"""Run faults one after another against one graph, and judge every command on the way."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from neon_ros.chaos import faults, table
from neon_ros.chaos.bench import FAULTS, Bench, Fault, NotRun
from neon_ros.chaos.rig import Rig
from neon_ros.chaos.table import Outcome
from neon_ros.errors import ConfigError, NeonError, refuse

STOOD = 0.003
"""A trial in which even the robot, at the highest priority, was so late [s] says nothing about bounds of time."""
_REPEATS = 2  # of each trial, at most

assert faults  # imported for what it registers


def chosen(words: Sequence[str]) -> list[Fault]:
    """Return the faults that are named, all where none is.

    :raises ConfigError: on a number that is none.
    """
    unknown = [word for word in words if word.upper() not in FAULTS]
    if unknown:
        raise ConfigError(refuse("fault", unknown[0], f"among {', '.join(in_order(FAULTS))}"))
    names = {word.upper() for word in words} or set(FAULTS)
    return [FAULTS[name] for name in in_order(names)]


def in_order(names: Any) -> list[str]:
    """Return numbers of faults from F1 on."""
    return sorted(names, key=lambda name: int(name[1:]))


def baseline(seconds: float = 2.0) -> dict[str, Any]:
    """Return how late a bare 500 Hz loop wakes on this machine now, and under which conditions."""
    words = [sys.executable, "-m", "neon_ros.chaos.bare", "--seconds", str(seconds)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 60.0, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def machine_line(bare: dict[str, Any]) -> str:
    """Return the conditions of a run in words."""
    how = "SCHED_FIFO" if bare["fifo"] else f"no SCHED_FIFO ({bare['how']})"
    late = f"bare loop late p50 {bare['p50'] * 1e6:.0f} us, p99.9 {bare['p999'] * 1e6:.0f} us"
    return f"Linux {bare['kernel']}, {bare['cores']} cores, {how}, load {bare['load']}, {late}"


def run_fault(rig: Rig, fault: Fault, trials: int, seed: int, bare: float = 0.0) -> Outcome:
    """Inject one fault ``trials`` times and return what was measured.

    :param bare: p99.9 of a bare loop's lateness [s].
    """
    outcome = Outcome(fault.id, fault.title, fault.required)
    bench = Bench(random.Random(f"{seed} {fault.id}"), bare)
    began = time.monotonic()
    try:
        while outcome.trials < min(trials, fault.most):
            bench.trial = outcome.trials
            if fault.armed:
                rig.active()
            bench.begin(rig)
            fault.inject(rig, bench)
            bench.judge(rig)
            if bench.stood > STOOD and outcome.repeated < _REPEATS * trials and not bench.fits(bare):
                outcome.repeated += 1  # the robot's own cycle was as late as that: the machine measured, not the graph
                bench.withdraw()
                continue
            outcome.trials += 1
    except NotRun as error:
        outcome.not_run = str(error)
    except Exception as error:  # one fault that cannot be measured must not hide what the others have shown
        outcome.failure = str(error) if isinstance(error, NeonError) else f"{type(error).__name__}: {error}"
        with suppress(NeonError):
            rig.renew()
    outcome.breaches = bench.breaches
    outcome.measures = list(bench.measures.values())
    outcome.seconds = time.monotonic() - began
    return outcome


def run(
    rig: Rig, wanted: Sequence[Fault], trials: int, seed: int, bare: float, progress: Callable[[str], None]
) -> list[Outcome]:
    """Inject all faults in turn; each is reported by a line."""
    outcomes = []
    for fault in wanted:
        outcome = run_fault(rig, fault, trials, seed, bare)
        outcomes.append(outcome)
        verdict = outcome.verdict(bare)
        progress(f"{fault.id:<4}{fault.title}: {verdict} ({outcome.trials} x, {outcome.seconds:.0f} s)")
        for line in table.lines([outcome], bare)[2:] if verdict == "FAIL" else ():
            progress(line)
    return outcomes
