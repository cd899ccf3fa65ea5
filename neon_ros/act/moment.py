"""Bring the newest features of every source together for one capture, and know how old each is.

A head is relative to the joints at the capture of the picture; by the time the backbone has finished, newer joints have
arrived.  So a short past is kept, and of each source the sample nearest to the capture is taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from neon_ros.act.manifest import Manifest
from neon_ros.contracts import FEATURE_SOURCES, Features, FloatArray
from neon_ros.errors import ContractError, refuse

BACKBONE_TENSORS = ("vision", "text", "text_mask")
ENCODERS = ("proprio", "lidar", "eef")
KEPT = 64
"""Samples kept per source: 1.3 s at 50 Hz."""


class Moment(NamedTuple):
    """What is known of one capture.

    :param stamp_ns: the capture [ns, ROS clock].
    :param features: by source; a missing source is absent.
    :param age: between the capture and each sample, in the order of ``FEATURE_SOURCES`` (4,) [s].
    """

    stamp_ns: int
    features: dict[str, Features]
    age: FloatArray

    def head_inputs(self) -> dict[str, Any]:
        """Return the arguments of :meth:`neon_ros.act.policy.Policy.act`, what is absent left out.

        :raises ContractError: without the joints at the capture, which come with the proprio features.
        """
        tensors = {source: features.tensors for source, features in self.features.items()}
        if "q" not in tensors.get("proprio", {}):
            raise ContractError(refuse("features/proprio", "none with tensor q near the capture", "one with q (29,)"))
        inputs: dict[str, Any] = {"q": tensors["proprio"]["q"], "age": self.age}
        inputs |= {name: value for name, value in tensors.get("backbone", {}).items() if name in BACKBONE_TENSORS}
        inputs |= {name: tensors[name]["features"] for name in ENCODERS if "features" in tensors.get(name, {})}
        return inputs


def part_id(manifest: Manifest) -> str:
    """Return the ``model_id`` of features made by the encoders of a checkpoint: a head accepts its own only."""
    return f"{manifest.head_id}@{manifest.checksum[:12]}"


def addressed(features: Features, model_id: str) -> Features:
    """Return the features as they are meant for the head ``model_id``.

    While one head takes another's place an encoder works for both: the features of the second are a tensor that has
    the second's ``model_id`` as its name.
    """
    own = features.tensors.get(model_id)
    if own is None or features.model_id == model_id:
        return features
    return replace(features, model_id=model_id, tensors={**features.tensors, "features": own})


class Collector:
    """Keep the recent features of each source.

    :param max_age: features further from the capture than this are absent [s].
    :param model_ids: what each source must say it is; a source not named may be anything.
    """

    def __init__(self, max_age: float, model_ids: dict[str, str]) -> None:
        self._max_age_ns = round(max_age * 1e9)
        self._model_ids = dict(model_ids)
        self._past: dict[str, deque[Features]] = {source: deque(maxlen=KEPT) for source in FEATURE_SOURCES}

    def add(self, features: Features) -> None:
        """Remember features.

        :raises ContractError: when they were made by another model than the head was trained for.
        """
        wanted = self._model_ids.get(features.source, features.model_id)
        if features.model_id != wanted:
            raise ContractError(refuse(f"features/{features.source} model_id", features.model_id, wanted))
        past = self._past[features.source]
        if past and features.stamp_ns < past[-1].stamp_ns:
            past.clear()  # the sender's clock was set back; what came before cannot be ordered against it
        past.append(features)

    def newest_ns(self, source: str) -> int | None:
        """Return the stamp of the newest features of ``source`` [ns], ``None`` when there are none."""
        past = self._past[source]
        return past[-1].stamp_ns if past else None

    def at(self, stamp_ns: int, absent: Sequence[str] = ()) -> Moment:
        """Return what is known of the capture at ``stamp_ns``.

        :param absent: sources to leave out.
        """
        features: dict[str, Features] = {}
        age = np.zeros(len(FEATURE_SOURCES), dtype=np.float32)
        for index, source in enumerate(FEATURE_SOURCES):
            past = self._past[source]
            if source in absent or not past:
                continue
            nearest = min(past, key=lambda sample: abs(sample.stamp_ns - stamp_ns))
            distance = abs(nearest.stamp_ns - stamp_ns)
            if distance <= self._max_age_ns:
                features[source], age[index] = nearest, distance * 1e-9
        return Moment(stamp_ns, features, age)
