"""Run a checkpoint: three small encoders and the head, each a verb.

A policy keeps no memory between calls.  What is missing is passed as ``None`` and stands as absent in the head's
input, which the head was trained for; what is there must have the agreed shape and be finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neon_ros.act.checkpoint import Checkpoint, open_checkpoint
from neon_ros.act.manifest import MODALITIES, Manifest
from neon_ros.act.runtime import DEFAULT, Runtime, open_part
from neon_ros.contracts import FloatArray, checked_array
from neon_ros.encode.eef import eef_input
from neon_ros.encode.lidar import lidar_input
from neon_ros.encode.proprio import proprio_input
from neon_ros.errors import CheckpointError, ContractError, refuse
from neon_ros.robot.joints import NUM_JOINTS

MAX_AGE = 1.0
"""Ages are capped here [s]: beyond it the guard has stopped the robot anyway."""


class HeadOutput(NamedTuple):
    """What a head wants: ``q[k]`` and ``base_velocity[k]`` at the capture + k dt.

    :param q: float32 (H, J) [rad], columns as in the manifest's ``joint_names``.
    :param base_velocity: float32 (H, 3) [m/s, m/s, rad/s].
    :param gate: weight of each expert (E,), 0 for those that slept; ``None`` from a head without experts.
    """

    q: FloatArray
    base_velocity: FloatArray
    gate: FloatArray | None = None


class Graph:
    """One part of a checkpoint, run by a runtime."""

    def __init__(self, checkpoint: Checkpoint, part: str, runtime: Runtime = DEFAULT) -> None:
        """Open ``part``.

        :raises CheckpointError: when the graph is missing, broken or has other inputs than the manifest says.
        :raises ConfigError: when this machine has not what the runtime asks for.
        """
        self._part = open_part(checkpoint, part, runtime)
        spec = checkpoint.manifest.graphs[part]
        where = checkpoint.folder / f"{part}.onnx"
        self.part, self.inputs, self.outputs = part, self._part.inputs, self._part.outputs
        for kind, got, said in (("inputs", self.inputs, spec.inputs), ("outputs", self.outputs, spec.outputs)):
            if set(got) != set(said):
                raise CheckpointError(refuse(f"{where}: {kind}", sorted(got), sorted(said)))

    def __call__(self, feed: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Run the graph; refuse an output that is not finite.

        :raises ContractError: when an output is not finite.
        """
        values = self._part.run(feed)
        for name, value in zip(self.outputs, values, strict=True):
            if not np.isfinite(value).all():
                raise ContractError(refuse(f"{self.part}.{name}", "values that are not finite", "finite values"))
        return dict(zip(self.outputs, values, strict=True))


class ProprioEncoder:
    """The proprio part alone, for a process that does nothing else."""

    def __init__(self, checkpoint: Checkpoint, runtime: Runtime = DEFAULT) -> None:
        """Open the part; see :class:`Graph`."""
        self.manifest = checkpoint.manifest
        self._graph = Graph(checkpoint, "proprio", runtime)

    def encode(self, q: ArrayLike, dq: ArrayLike, gravity: ArrayLike, gyroscope: ArrayLike) -> FloatArray:
        """Return features (128,); the arguments are those of :func:`~neon_ros.encode.proprio.proprio_input`."""
        return self._graph({"proprio": proprio_input(q, dq, gravity, gyroscope)})["features"][0]


class LidarEncoder:
    """The LiDAR part alone."""

    def __init__(self, checkpoint: Checkpoint, runtime: Runtime = DEFAULT) -> None:
        """Open the part; see :class:`Graph`."""
        self.manifest = checkpoint.manifest
        self._graph = Graph(checkpoint, "lidar", runtime)

    def encode(self, points: ArrayLike) -> FloatArray:
        """Return features (128,) of a cloud in the torso frame (N, 3) [m]; N may be 0."""
        cloud, mask = lidar_input(points)
        return self._graph({"points": cloud, "mask": mask})["features"][0]


class EefEncoder:
    """The hands' part alone."""

    def __init__(self, checkpoint: Checkpoint, runtime: Runtime = DEFAULT) -> None:
        """Open the part; see :class:`Graph`."""
        self.manifest = checkpoint.manifest
        self._graph = Graph(checkpoint, "eef", runtime)

    def encode(self, poses: ArrayLike) -> FloatArray:
        """Return features (64,) of both hands in the pelvis frame (2, 7): position [m], quaternion x y z w."""
        return self._graph({"eef": eef_input(poses)})["features"][0]


class Policy:
    """A trained head with its encoders."""

    def __init__(self, checkpoint: Checkpoint, runtime: Runtime = DEFAULT) -> None:
        """Open the head; the encoders are opened when first asked.

        :raises CheckpointError: see :class:`Graph`.
        """
        self.manifest: Manifest = checkpoint.manifest
        self._checkpoint = checkpoint
        self._runtime = runtime
        self._head = Graph(checkpoint, "head", runtime)
        self._encoders: dict[type, Any] = {}

    def _encoder(self, kind: type) -> Any:
        if kind not in self._encoders:
            self._encoders[kind] = kind(self._checkpoint, self._runtime)
        return self._encoders[kind]

    def encode_proprio(self, q: ArrayLike, dq: ArrayLike, gravity: ArrayLike, gyroscope: ArrayLike) -> FloatArray:
        """Return proprio features (128,); see :class:`ProprioEncoder`."""
        features: FloatArray = self._encoder(ProprioEncoder).encode(q, dq, gravity, gyroscope)
        return features

    def encode_lidar(self, points: ArrayLike) -> FloatArray:
        """Return LiDAR features (128,); see :class:`LidarEncoder`."""
        features: FloatArray = self._encoder(LidarEncoder).encode(points)
        return features

    def encode_eef(self, poses: ArrayLike) -> FloatArray:
        """Return hand features (64,); see :class:`EefEncoder`."""
        features: FloatArray = self._encoder(EefEncoder).encode(poses)
        return features

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
        """Return the chunk for one capture.

        :param q: joint positions at the capture (29,) in motor order [rad].
        :param vision: picture tokens of the backbone; all three of its tensors are ``None`` when it is absent.
        :param text: word tokens of the backbone.
        :param text_mask: 1 for a word token, 0 for padding; all 0 for no instruction.
        :param proprio: features (128,) or ``None``.
        :param lidar: features (128,) or ``None``.
        :param eef: features (64,) or ``None``.
        :param age: seconds since the capture of backbone, lidar, proprio, eef (4,); capped at :data:`MAX_AGE`.
        :param prefix: the first K steps as they are already being executed (K, J) [rad], at most H; the chunk goes on
            from them.  A head that was not trained for it ignores it.
        :param seed: of the noise that a chunk begins from; the same seed gives the same chunk.  ``None`` begins from no
            noise, in the middle of what is likely: smoother and nearer to the demonstrations (docs/heads.md).
        :raises ContractError: on a wrong shape, a value that is not finite, a negative age, or an output not finite.
        """
        feed = self.feed(q, vision, text, text_mask, proprio, lidar, eef, age)
        spec = self.manifest.graphs["head"].inputs
        if "noise" in spec:
            feed["noise"] = self.noise(seed)
        if "prefix" in spec:
            feed |= self._committed(prefix)
        output = self._head(feed)
        gate = output["gate"][0] if "gate" in output else None
        return HeadOutput(output["q_chunk"][0], output["base_velocity"][0], gate)

    def noise(self, seed: int | None) -> NDArray[np.float32]:
        """Return the noise (1, H, J + 3) that ``seed`` stands for; zeros for ``None``."""
        shape = (1, self.manifest.horizon, len(self.manifest.joint_names) + 3)
        if seed is None:
            return np.zeros(shape, dtype=np.float32)
        return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)

    def feed(
        self,
        q: ArrayLike,
        vision: ArrayLike | None,
        text: ArrayLike | None,
        text_mask: ArrayLike | None,
        proprio: ArrayLike | None,
        lidar: ArrayLike | None,
        eef: ArrayLike | None,
        age: ArrayLike,
    ) -> dict[str, NDArray[np.float32]]:
        """Return the checked inputs of fusion; see :meth:`act`."""
        backbone = {"vision": vision, "text": text, "text_mask": text_mask}
        given = [name for name, value in backbone.items() if value is not None]
        if given and len(given) != len(backbone):
            raise ContractError(refuse("backbone tensors", given, f"all of {sorted(backbone)}, or none"))
        ages = checked_array("age", age, (len(MODALITIES),))
        if (ages < 0).any():
            raise ContractError(refuse("age", ages.tolist(), "0 or more [s]"))
        encoded = {"proprio": proprio, "lidar": lidar, "eef": eef}
        values = {**backbone, **encoded}
        there = {"backbone"} if given else set()
        there |= {name for name, value in encoded.items() if value is not None}
        present = np.array([name in there & set(self.manifest.modalities) for name in MODALITIES], dtype=np.float32)
        feed = {name: self._input(name, value) for name, value in values.items()}
        feed["present"] = present[None]
        feed["age"] = (np.minimum(ages, MAX_AGE) * present)[None].astype(np.float32)
        feed["q"] = checked_array("q", q, (NUM_JOINTS,))[None]
        return feed

    def _committed(self, prefix: ArrayLike | None) -> dict[str, NDArray[np.float32]]:
        horizon, joints = self.manifest.horizon, len(self.manifest.joint_names)
        steps, mask = np.zeros((1, horizon, joints), np.float32), np.zeros((1, horizon), np.float32)
        if prefix is not None:
            given = checked_array("prefix", prefix, (None, joints))
            if len(given) > horizon:
                raise ContractError(refuse("prefix steps", len(given), f"at most {horizon}"))
            steps[0, : len(given)], mask[0, : len(given)] = given, 1.0
        return {"prefix": steps, "prefix_mask": mask}

    def reset(self) -> None:
        """Forget what came before: nothing, as a policy keeps no memory between calls."""

    def _input(self, name: str, value: ArrayLike | None) -> NDArray[np.float32]:
        shape = self.manifest.graphs["head"].inputs[name][1:]
        sizes = [size for size in shape if isinstance(size, int)]
        if value is None:
            return np.zeros((1, *sizes), dtype=np.float32)
        return checked_array(name, value, sizes)[None]


def load_policy(
    folder: Path | str, runtime: Runtime = DEFAULT, *, backbone: str | None = None, mode: str | None = None
) -> Policy:
    """Open the policy in ``folder``.

    :param runtime: what runs it.
    :param backbone: model id of the features at hand, when known; another one than trained on is refused.
    :param mode: control mode at hand, when known.
    :raises CheckpointError: when the checkpoint is missing, altered, or made for something else.
    """
    return Policy(open_checkpoint(folder, backbone=backbone, mode=mode), runtime)
