"""One clock for senses that run at different speeds, without torch.

Time is cut into ticks of one period, counted from the epoch of the ROS clock, so that a tick means the same for ever
and what was computed for a past one can be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.observation import SAMPLE_RATE, Sound


class Tick(NamedTuple):
    """One period of the clock, as far as it has been observed.

    :param number: periods since the epoch.
    :param start_ns: its beginning [ns].
    :param end_ns: its end, or the newest observation if that is earlier [ns].
    """

    number: int
    start_ns: int
    end_ns: int


def ticks_until(newest_ns: int, oldest_ns: int, period_ns: int, most: int) -> list[Tick]:
    """Return the ticks that end with the one of ``newest_ns``, at most ``most``, none before that of ``oldest_ns``."""
    last, first = newest_ns // period_ns, oldest_ns // period_ns
    numbers = range(max(first, last - most + 1), last + 1)
    return [Tick(n, n * period_ns, min((n + 1) * period_ns - 1, newest_ns)) for n in numbers]


def clip_indices(stamps_ns: Sequence[int], end_ns: int, seconds: float, count: int) -> list[int]:
    """Return which pictures show ``seconds`` up to ``end_ns`` in ``count`` even steps, the last one at the end.

    Each step takes the newest picture that was there; before the first picture that one stands still.
    """
    steps = end_ns - np.round(np.arange(count - 1, -1, -1) * (seconds * 1e9 / count)).astype(np.int64)
    return [int(i) for i in np.maximum(np.searchsorted(np.asarray(stamps_ns), steps, side="right") - 1, 0)]


def heard_until(sound: Sound, tick: Tick, seconds: float) -> tuple[FloatArray, float] | None:
    """Return the samples of up to ``seconds`` before the end of a tick, and how long of the tick they cover [s].

    :returns: ``None`` if nothing was heard in the tick itself.
    """
    last = min(len(sound.samples), (tick.end_ns + 1 - sound.start_ns) * SAMPLE_RATE // 1_000_000_000)
    begin = (tick.start_ns - sound.start_ns) * SAMPLE_RATE // 1_000_000_000
    inside = last - max(0, begin)
    if inside <= 0:
        return None
    return sound.samples[max(0, last - round(seconds * SAMPLE_RATE)) : last], inside / SAMPLE_RATE


def smooth(values: FloatArray, sigma: float) -> FloatArray:
    """Return (T, D) smoothed over time by a Gaussian of ``sigma`` ticks that keeps its weight at both ends.

    :param sigma: 0 leaves the values as they are.
    """
    if sigma <= 0.0:
        return values
    ticks = np.arange(len(values), dtype=np.float64)
    weights = np.exp(-0.5 * ((ticks[:, None] - ticks) / sigma) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    return (weights @ values).astype(np.float32)
