"""Which steps of a new chunk are decided already: those that the robot will have executed when the chunk arrives.

They are the chunk before, read at the times of the new one, and go into a head as its ``prefix``.
"""

from __future__ import annotations

from collections import deque
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neon_ros.act.manifest import GraphSpec, Manifest
from neon_ros.contracts import FloatArray, checked_array
from neon_ros.errors import ContractError, refuse

_NOTHING = GraphSpec({}, {})


def committed_steps(previous: ArrayLike, dt: float, elapsed: float, delay: float) -> FloatArray:
    """Return the first K steps of a new chunk (K, J) [rad].

    :param previous: the chunk in execution (H, J) [rad]; both chunks have steps of ``dt``.
    :param dt: time between steps [s].
    :param elapsed: from the capture of the chunk before to that of the new one [s].
    :param delay: from the new capture until the new chunk is executed [s]; K covers it, as far as ``previous`` reaches.
    :raises ContractError: on a chunk that is no finite (H, J), a ``dt`` not above 0, or a negative time.
    """
    steps = checked_array("previous chunk", previous, (None, None))
    for name, value, fits in (("dt", dt, dt > 0.0), ("elapsed", elapsed, elapsed >= 0.0), ("delay", delay, delay >= 0)):
        if not fits or not np.isfinite(value):
            raise ContractError(refuse(f"committed {name}", value, "above 0 [s]" if name == "dt" else "0 or more [s]"))
    rounding = 1e-6  # of a step: times are sums of floats
    reach = int(np.floor(len(steps) - 1 - elapsed / dt + rounding)) + 1  # new steps that the old chunk still covers
    count = min(max(reach, 0), ceil(delay / dt - rounding), len(steps))
    at = np.clip(elapsed / dt + np.arange(max(count, 0)), 0, max(len(steps) - 1, 0))  # in steps of the old chunk
    return read_steps(steps, at).astype(np.float32)


def read_steps(chunk: NDArray[np.floating], at: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return ``chunk`` (H, J) at steps ``at`` (K,), each from 0 to H - 1, on the line between two steps (K, J)."""
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(chunk) - 1)
    share = (at - low)[:, None]
    return np.asarray((1.0 - share) * chunk[low] + share * chunk[high])


FAR = 0.5
"""A joint this far from where the chunk before has it shows that the chunk is not executed [rad]."""
_REMEMBERED = 10  # chunks whose delays are looked at


class Commitment:
    """The chunk in execution and how long answers take: what the next one is told.

    :param dt: time between steps [s].
    :param most: steps that the head was trained to be given.
    :param margin: from sending a chunk until the motors follow it [s].
    """

    def __init__(self, dt: float, most: int, margin: float = 0.01) -> None:
        self._dt, self._most, self._margin = dt, most, margin
        self._delays: deque[float] = deque(maxlen=_REMEMBERED)
        self._before: tuple[FloatArray, float] | None = None

    def sent(self, q: FloatArray, captured: float, delay: float) -> None:
        """Remember a chunk that is on its way to the robot.

        :param q: its joints (H, J) [rad]; ``captured`` the time of its first step [s].
        :param delay: from its capture until it was sent [s].
        """
        self._before = (q, captured)
        self._delays.append(delay)

    def steps(self, captured: float, q: ArrayLike) -> FloatArray | None:
        """Return the steps of the next chunk that are decided already (K, J) [rad]; ``None`` for none.

        :param captured: time of its first step [s].
        :param q: the J joints at that time [rad]; far from the chunk before, nothing counts as decided.
        """
        if self._before is None or captured < self._before[1]:
            return None
        chunk, since = self._before
        steps = committed_steps(chunk, self._dt, captured - since, max(self._delays) + self._margin)[: self._most]
        if not len(steps) or np.abs(steps[0] - np.asarray(q)).max() > FAR:
            return None
        return steps


def trained_steps(manifest: Manifest) -> int:
    """Return how many committed steps a head was trained to be given; 0 for one that reads none."""
    if "prefix" not in manifest.graphs.get("head", _NOTHING).inputs:
        return 0
    most = manifest.training.get("preset", {}).get("committed", 0)
    return most if isinstance(most, int) and most > 0 else 0
