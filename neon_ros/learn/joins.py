"""How chunks that come late are joined: ours, and the ways it is measured against.

A way decides when the next picture is taken and which chunk the guard is handed when an answer arrives.  All run on the
same policy, the same scenes, the same guard; only the seam differs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.act.committed import Commitment, read_steps
from neon_ros.act.policy import HeadOutput
from neon_ros.contracts import FloatArray
from neon_ros.errors import ConfigError, refuse
from neon_ros.guard.timeline import TimelineConfig
from neon_ros.learn.drive import STEP_DT
from neon_ros.learn.expert import HORIZON

Array = NDArray[np.float64]

EXECUTED = 8
"""Steps of a chunk that synchronous execution takes before it looks again: half, as is usual with chunks of 16."""
NEWER = 0.01
"""Temporal ensembling weighs the i-th oldest of the chunks by exp(-0.01 i) (Zhao et al., arXiv 2304.13705)."""
TAPER = 5
"""Last steps of a chunk over which its weight falls to nothing: the mean would jump where a chunk ends."""
_STILL = TimelineConfig(fade=0.02, longest_fade=0.02)


class Handed(NamedTuple):
    """What the guard is handed.

    :param start: time of the first step [s].
    """

    q: NDArray[np.floating]
    base: NDArray[np.floating]
    start: float


class Join(ABC):
    """One way to join chunks; one is made for each episode."""

    timeline = TimelineConfig()
    """How the guard fades what is left between two chunks."""

    fresh = False
    """Whether the head answers when the features of the picture are there, with the joints of that moment."""

    def looks(self, now: float, waiting: bool) -> bool:
        """Return whether a picture is taken now.

        :param waiting: whether an answer is on its way.
        """
        return True

    def committed(self, captured: float, q: Array) -> FloatArray | None:
        """Return the steps that the policy is told are decided (K, J) [rad], or nothing.

        :param q: the J joints at the capture [rad].
        """
        return None

    @abstractmethod
    def arrived(self, output: HeadOutput, captured: float, now: float) -> Handed:
        """Return what the guard is handed when an answer arrives."""


class Aligned(Join):
    """Ours: a chunk begins at its capture, what has passed is skipped, the residual fades along a quintic."""

    def arrived(self, output: HeadOutput, captured: float, now: float) -> Handed:
        """Return the chunk at its capture."""
        return Handed(output.q, output.base_velocity, captured)


class Fresh(Aligned):
    """Ours for a slow backbone: what the picture showed, late as it is, with the joints as they are by then.

    A head takes a millisecond; what is late is the backbone.  A chunk that begins where the robot is needs no guess of
    what the robot did meanwhile (cf. future-state awareness, arXiv 2512.01031).
    """

    fresh = True


class Committed(Aligned):
    """Ours, and the policy is told which steps will have been executed when it answers (arXiv 2512.05964)."""

    def __init__(self) -> None:
        """Start without a chunk before."""
        self._commitment = Commitment(STEP_DT, HORIZON, 0.0)

    def committed(self, captured: float, q: Array) -> FloatArray | None:
        """Return the chunk before, read at the steps of the new one that lie within the latency."""
        return self._commitment.steps(captured, q)

    def arrived(self, output: HeadOutput, captured: float, now: float) -> Handed:
        """Keep the chunk for the next one."""
        self._commitment.sent(output.q, captured, now - captured)
        return super().arrived(output, captured, now)


class Naive(Aligned):
    """Switch to the newest chunk as it comes, at the step whose time it is, without fading."""

    timeline = _STILL


class Synchronous(Join):
    """Look, stand still until the answer comes, execute half of the chunk, look again."""

    def __init__(self) -> None:
        """Start with nothing to execute."""
        self._until = 0.0

    def looks(self, now: float, waiting: bool) -> bool:
        """Return whether all is executed."""
        return not waiting and now >= self._until - 1e-9

    def arrived(self, output: HeadOutput, captured: float, now: float) -> Handed:
        """Return the first half of the chunk, from now on; the robot has stood still since the capture."""
        self._until = now + EXECUTED * STEP_DT
        return Handed(output.q[: EXECUTED + 1], output.base_velocity[: EXECUTED + 1], now)


class Averaged(Join):
    """Temporal ensembling: each step is the weighted mean of all chunks that say something of its time."""

    timeline = _STILL

    def __init__(self) -> None:
        """Start without chunks."""
        self._chunks: list[tuple[float, Array]] = []

    def arrived(self, output: HeadOutput, captured: float, now: float) -> Handed:
        """Return the mean of the chunks from now to the end of this one."""
        values = np.concatenate([output.q, output.base_velocity], axis=1).astype(np.float64)
        length = (len(values) - 1) * STEP_DT
        self._chunks = [(since, chunk) for since, chunk in self._chunks if since + length >= now - 1e-9]
        self._chunks.append((captured, values))
        steps = np.arange(int(np.floor((captured + length - now) / STEP_DT + 1e-6)) + 1)
        if len(steps) < 2:
            return Handed(output.q, output.base_velocity, captured)
        total, weights = np.zeros((len(steps), values.shape[1])), np.zeros((len(steps), 1))
        for index, (since, chunk) in enumerate(self._chunks):
            at = (now + steps * STEP_DT - since) / STEP_DT
            left = len(chunk) - at  # steps until it ends
            read = read_steps(chunk, np.clip(at, 0, len(chunk) - 1))
            weight = np.exp(-NEWER * index) * (np.clip(left / TAPER, 0.0, 1.0) * (left > 1.0 - 1e-6))[:, None]
            total, weights = total + weight * read, weights + weight
        mean = total / weights
        joints = output.q.shape[1]
        return Handed(mean[:, :joints], mean[:, joints:], now)


JOINS: dict[str, type[Join]] = {
    "aligned": Aligned,
    "fresh": Fresh,
    "committed": Committed,
    "synchronous": Synchronous,
    "naive": Naive,
    "averaged": Averaged,
}
"""All ways by name."""


def join_of(name: str) -> Join:
    """Return the way called ``name``.

    :raises ConfigError: when there is none; the error lists all.
    """
    if name not in JOINS:
        raise ConfigError(refuse("join", name, ", ".join(JOINS)))
    return JOINS[name]()
