"""The page of results: what was measured, by which command, on which machine, with which versions."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from neon_ros.learn.statistics import EvalResult
from neon_ros.learn.suite import SuiteConfig

_PACKAGES = ("mujoco", "onnxruntime", "numpy", "torch")
_COLUMNS = (
    *("task", "variant", "held out", "agent", "success", "95 % interval", "median time"),
    *("reaction", "jerk", "limited", "failures"),
)


@dataclass(frozen=True)
class Row:
    """One exam of one agent.

    :param exam: which exam.
    :param agent: name of the agent.
    :param result: what came of it.
    """

    exam: SuiteConfig
    agent: str
    result: EvalResult

    @property
    def variant(self) -> str:
        """Name of the disturbance, and of the way of joining chunks unless it is ours."""
        exam = self.exam
        return exam.variant if exam.join == "aligned" else f"{exam.variant}, {exam.join}"

    def cells(self) -> tuple[str, ...]:
        """Return the cells of a table's line."""
        result, exam = self.result, self.exam
        low, high = result.interval
        failures = ", ".join(f"{kind} {number}" for kind, number in result.failures.items()) or "-"
        return (
            exam.task,
            self.variant,
            ", ".join(exam.held) or "-",
            self.agent,
            f"{result.successes}/{len(result.episodes)} ({100 * result.rate:.0f} %)",
            f"{100 * low:.1f}-{100 * high:.1f} %",
            _number(result.median_seconds, 2, "s"),
            _number(result.median_reaction, 2, "s"),
            _number(result.median_jerk, 0, "m/s³"),
            f"{result.limited / len(result.episodes):.0f}",
            failures,
        )


def table(rows: Sequence[Row]) -> str:
    """Return the rows as lines of text, and the mean over tasks of each agent."""
    lines = [_COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    text = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*text, *means(rows)])


def means(rows: Sequence[Row]) -> list[str]:
    """Return a line for each agent and variant with more than one task: its mean success over the tasks."""
    rates: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        rates.setdefault((row.variant, row.agent), []).append(row.result.rate)
    return [
        f"mean of {len(each)} tasks, {variant}, {agent}: {100 * sum(each) / len(each):.1f} %"
        for (variant, agent), each in rates.items()
        if len(each) > 1
    ]


def page(rows: Sequence[Row], command: str, checkpoints: Sequence[str]) -> str:
    """Return the rows as a page in Markdown that says how it was made.

    :param command: that made it.
    :param checkpoints: names of those that sat it.
    """
    first = rows[0].exam
    sat = ", ".join(f"`{name}`" for name in checkpoints) or "none"
    lines = [
        "# Results of the task suite",
        "",
        "Made by a command, not by hand. Tasks, rules and split: [tasks.md](tasks.md).",
        "",
        f"- command: `{command}`",
        f"- date: {date.today().isoformat()}; commit: {_commit()}",
        f"- machine: {_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}",
        f"- versions: {', '.join(f'{name} {_version(name)}' for name in _PACKAGES)}",
        f"- checkpoint: {sat}; exam seed {first.seed}, {first.episodes} episodes a row",
        "",
        "Time: median of the successes. Reaction: from the instruction to the first command that moves a joint "
        "faster than 0.2 rad/s or the base faster than 5 cm/s. Jerk: RMS of "
        "both palms in the pelvis frame, median of the episodes. Limited: joint-periods of 2 ms that the guard held "
        "back, per episode.",
        "",
        "| " + " | ".join(_COLUMNS) + " |",
        "|" + "---|" * len(_COLUMNS),
        *("| " + " | ".join(row.cells()) + " |" for row in rows),
        "",
        *(f"- {line}" for line in means(rows)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def write(path: Path, text: str) -> None:
    """Write a page, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _number(value: float, digits: int, unit: str) -> str:
    return "-" if value != value else f"{value:.{digits}f} {unit}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    """Return the commit of this code, if it is a work tree."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
