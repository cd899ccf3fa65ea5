"""Speculative decoding: a cheap head drafts the chunk, the accurate head looks once instead of making its own.

After Leviathan et al. (arXiv 2211.17192), for continuous actions: the draft is put on the accurate head's line from
noise to chunk, late, and one step of that head says where the line ends.  A draft that the accurate head could have
made comes back as it went in; where it comes back displaced by more than a tolerance, the accurate head makes its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from neon_ros.act.checkpoint import Checkpoint, open_checkpoint
from neon_ros.act.committed import trained_steps
from neon_ros.act.manifest import JUDGE, PARTS, Manifest
from neon_ros.act.policy import Graph, HeadOutput, Policy
from neon_ros.act.runtime import DEFAULT, Runtime
from neon_ros.contracts import FloatArray
from neon_ros.errors import CheckpointError, ConfigError, refuse


class Speculation(NamedTuple):
    """How often the accurate head was asked, and how often its look was enough."""

    asked: int
    accepted: int

    @property
    def rate(self) -> float:
        """Share of drafts that were accepted; not a number before the first."""
        return self.accepted / self.asked if self.asked else float("nan")


_NOTHING = np.zeros(0, dtype=np.float32)


class SpeculativePolicy:
    """Two heads that act as one.

    :param draft: checkpoint of the cheap head.
    :param accurate: checkpoint of a head with a ``judge`` graph.
    :param tolerance: largest displacement of any joint at any step that is accepted [rad].
    :param runtime: what runs both.
    :raises ConfigError: when the tolerance is not above 0.
    :raises CheckpointError: when the heads differ in joints, time base, backbone or encoders, or one cannot judge.
    """

    def __init__(self, draft: Checkpoint, accurate: Checkpoint, tolerance: float, runtime: Runtime = DEFAULT) -> None:
        if not 0.0 < tolerance < np.inf:
            raise ConfigError(refuse("speculation tolerance", tolerance, "above 0 [rad]"))
        _check_pair(draft, accurate)
        self.manifest: Manifest = accurate.manifest
        self.tolerance = tolerance
        self._draft, self._accurate = Policy(draft, runtime), Policy(accurate, runtime)
        self._judge = Graph(accurate, JUDGE, runtime)
        self._draft_goes_on = trained_steps(draft.manifest) > 0
        self._asked = self._accepted = 0

    @property
    def counts(self) -> Speculation:
        """What has been drafted and accepted so far."""
        return Speculation(self._asked, self._accepted)

    def reset(self) -> None:
        """Forget what came before: nothing but the counts is kept, and those stay."""

    def encode_proprio(self, q: ArrayLike, dq: ArrayLike, gravity: ArrayLike, gyroscope: ArrayLike) -> FloatArray:
        """Return proprio features (128,), the same for both heads."""
        return self._accurate.encode_proprio(q, dq, gravity, gyroscope)

    def encode_lidar(self, points: ArrayLike) -> FloatArray:
        """Return LiDAR features (128,), the same for both heads."""
        return self._accurate.encode_lidar(points)

    def encode_eef(self, poses: ArrayLike) -> FloatArray:
        """Return hand features (64,), the same for both heads."""
        return self._accurate.encode_eef(poses)

    def act(
        self,
        q: ArrayLike,
        *,
        vision: ArrayLike | None = None,
        text: ArrayLike | None = None,
        text_mask: ArrayLike | None = None,
        proprio: ArrayLike | None = None,
        lidar: ArrayLike | None = None,
        eef: ArrayLike | None = None,
        age: ArrayLike = (0.0, 0.0, 0.0, 0.0),
        prefix: ArrayLike | None = None,
        seed: int | None = None,
    ) -> HeadOutput:
        """Return the draft when it passes, else the accurate head's chunk; see :meth:`Policy.act`.

        Steps of a ``prefix`` are not judged, for they are decided.  A draft that cannot go on from them is no draft.
        """
        given: dict[str, Any] = {
            "vision": vision,
            "text": text,
            "text_mask": text_mask,
            "proprio": proprio,
            "lidar": lidar,
            "eef": eef,
        }
        self._asked += 1
        if prefix is None or self._draft_goes_on:
            draft = self._draft.act(q, **given, age=age, prefix=prefix)
            feed = self._accurate.feed(q, vision, text, text_mask, proprio, lidar, eef, age)
            looked = self._judge({**feed, "noise": self._accurate.noise(seed), "draft": draft.q[None]})
            decided = 0 if prefix is None else len(np.asarray(prefix))
            displaced = np.abs(looked["q_chunk"][0] - draft.q)[decided:]
            if float(displaced.max(initial=0.0)) <= self.tolerance:
                self._accepted += 1
                return draft
        return self._accurate.act(q, **given, age=age, prefix=prefix, seed=seed)


def load_speculative(
    draft: Path | str, accurate: Path | str, tolerance: float, *, mode: str | None = None, runtime: Runtime = DEFAULT
) -> SpeculativePolicy:
    """Open both checkpoints; see :class:`SpeculativePolicy`."""
    return SpeculativePolicy(
        open_checkpoint(draft, mode=mode), open_checkpoint(accurate, mode=mode), tolerance, runtime
    )


def _check_pair(draft: Checkpoint, accurate: Checkpoint) -> None:
    first, second = draft.manifest, accurate.manifest
    for name in ("mode", "joint_names", "dt", "horizon", "backbone", "modalities"):
        if getattr(first, name) != getattr(second, name):
            raise CheckpointError(refuse(f"{name} of the draft", getattr(first, name), getattr(second, name)))
    if JUDGE not in second.graphs:
        raise CheckpointError(refuse(f"head {second.head} as judge", "no graph judge", "flow_matching or dit"))
    for name, value in accurate.weights.items():
        if name.split(".")[0] in PARTS[:-1] and not np.array_equal(value, draft.weights.get(name, _NOTHING)):
            raise CheckpointError(refuse(f"weight {name} of the draft", "another", "the encoders of the accurate head"))
