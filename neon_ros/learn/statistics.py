"""What an exam came to: success with its interval, kinds of failure, times, and what the guard had to hold back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import sqrt
from statistics import median

from neon_ros.errors import ContractError, refuse


@dataclass(frozen=True)
class EpisodeResult:
    """One episode of the exam.

    :param seed: of its scene.
    :param sentence: what was said.
    :param verdict: ``success`` or a kind of failure.
    :param seconds: simulated time to the verdict [s].
    :param limited: joint-periods that the guard held back.
    :param jerk: root mean square of the third derivative of the palms' positions in the pelvis frame [m/s^3]; not a
        number where it was not measured.
    :param reaction: from the instruction to the first commanded motion [s]; not a number when there was none.
    :param dropped: chunks that the guard refused.
    """

    seed: int
    sentence: str
    verdict: str
    seconds: float
    limited: int = 0
    jerk: float = float("nan")
    reaction: float = float("nan")
    dropped: int = 0


@dataclass(frozen=True)
class EvalResult:
    """All episodes of one agent.

    :param name: of the agent and the exam, e.g. ``policy`` or ``held-out pairs``.
    """

    name: str
    episodes: tuple[EpisodeResult, ...]

    def __post_init__(self) -> None:
        if not self.episodes:
            raise ContractError(refuse(f"episodes of {self.name}", 0, "at least one"))

    @property
    def successes(self) -> int:
        """Number of episodes that succeeded."""
        return sum(episode.verdict == "success" for episode in self.episodes)

    @property
    def rate(self) -> float:
        """Share of episodes that succeeded."""
        return self.successes / len(self.episodes)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the success, see :func:`wilson`."""
        return wilson(self.successes, len(self.episodes))

    @property
    def failures(self) -> dict[str, int]:
        """How often each kind of failure came, the most frequent first."""
        counts = Counter(episode.verdict for episode in self.episodes if episode.verdict != "success")
        return dict(counts.most_common())

    @property
    def median_seconds(self) -> float:
        """Median time of the successes [s]; not a number without any."""
        return _median([episode.seconds for episode in self.episodes if episode.verdict == "success"])

    @property
    def median_jerk(self) -> float:
        """Median of the palms' jerk over all episodes [m/s^3]; not a number where it was not measured."""
        return _median([episode.jerk for episode in self.episodes])

    @property
    def median_reaction(self) -> float:
        """Median reaction time of the episodes in which something moved [s]."""
        return _median([episode.reaction for episode in self.episodes])

    @property
    def limited(self) -> int:
        """Joint-periods that the guard held back."""
        return sum(episode.limited for episode in self.episodes)


def _median(values: list[float]) -> float:
    """Return the median of the values that are numbers."""
    known = [value for value in values if value == value]
    return median(known) if known else float("nan")


def wilson(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the score interval of a proportion (Wilson, JASA 22, 1927).

    :param z: quantile of the normal distribution; the default gives 95 %.
    :raises ContractError: when ``successes`` is not within 0 to ``trials``, or there are no trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ContractError(refuse("successes of trials", (successes, trials), "0 to trials, at least one trial"))
    rate, square = successes / trials, z * z
    centre = (rate + square / (2 * trials)) / (1 + square / trials)
    half = z / (1 + square / trials) * sqrt(rate * (1 - rate) / trials + square / (4 * trials * trials))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


def table(results: list[EvalResult]) -> str:
    """Return the results as lines of text, one exam each."""
    rows = [("exam", "success", "95 % interval", "median", "limited", "failures")]
    for result in results:
        low, high = result.interval
        count = len(result.episodes)
        time = "-" if result.median_seconds != result.median_seconds else f"{result.median_seconds:.2f} s"
        failures = ", ".join(f"{kind} {number}" for kind, number in result.failures.items()) or "-"
        share = f"{result.successes}/{count} ({100 * result.rate:.0f} %)"
        rows.append((result.name, share, f"{100 * low:.1f}-{100 * high:.1f} %", time, str(result.limited), failures))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
