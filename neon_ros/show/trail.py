"""The last seconds of command and measurement, in bounded memory; for plots and for the paths behind the palms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.robot.joints import NUM_JOINTS


class Window(NamedTuple):
    """What was kept of the last seconds.

    :param ages: seconds before now, not positive, the newest last (N,).
    :param measured: joint positions (N, 29) [rad].
    :param commanded: likewise; nan where a joint was not commanded.
    """

    ages: NDArray[np.float64]
    measured: NDArray[np.float64]
    commanded: NDArray[np.float64]


class Trail:
    """A ring of joint positions.

    :param length: samples that are kept.
    """

    def __init__(self, length: int) -> None:
        self._times = np.full(length, -np.inf)
        self._rows = np.full((length, 2, NUM_JOINTS), np.nan)
        self._next = 0

    def add(self, now: float, measured: NDArray[np.float64], commanded: NDArray[np.float64]) -> None:
        """Keep one sample.

        :param now: [s, steady clock].
        :param measured: (29,) [rad]; ``commanded`` likewise, nan where a joint is not commanded.
        """
        row = self._next % len(self._times)
        self._times[row] = now
        self._rows[row] = measured, commanded
        self._next += 1

    def window(self, now: float, seconds: float) -> Window:
        """Return the samples of the last ``seconds``, oldest first."""
        order = (self._next + np.arange(len(self._times))) % len(self._times)
        order = order[(self._times[order] >= now - seconds) & (self._times[order] <= now)]
        return Window(self._times[order] - now, self._rows[order, 0], self._rows[order, 1])
