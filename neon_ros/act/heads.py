"""The heads by name: which one answers is a launch argument, ``head:=``.

Those of :data:`TRAINED` run a checkpoint, ``hold`` keeps the joints of the capture (to try the command path on a robot
without a policy); :func:`random_head` is a checkpoint with its weights drawn anew, the baseline of an evaluation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from neon_ros.act.checkpoint import Checkpoint, Weights, open_checkpoint
from neon_ros.act.manifest import FORMAT, MODALITIES, WEIGHTS_FILE, BackboneSpec, Manifest
from neon_ros.act.policy import HeadOutput, Policy
from neon_ros.act.runtime import DEFAULT, Runtime
from neon_ros.contracts import FloatArray, checked_array
from neon_ros.errors import CheckpointError, ConfigError, refuse
from neon_ros.robot.joints import NUM_JOINTS, joint_indices
from neon_ros.robot.modes import control_mode


class Head(Protocol):
    """What every head offers."""

    manifest: Manifest

    def encode_proprio(self, q: ArrayLike, dq: ArrayLike, gravity: ArrayLike, gyroscope: ArrayLike) -> FloatArray:
        """Return proprio features (128,)."""
        ...

    def encode_lidar(self, points: ArrayLike) -> FloatArray:
        """Return LiDAR features (128,)."""
        ...

    def encode_eef(self, poses: ArrayLike) -> FloatArray:
        """Return hand features (64,)."""
        ...

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
        """Return the chunk for one capture."""
        ...

    def reset(self) -> None:
        """Forget what came before."""
        ...


class HoldHead:
    """Keep the joints where they were found.

    The pose is taken once: asking for the measured joints at every capture would let gravity walk the robot away, a
    little with each chunk.  It is taken anew when the robot is found far from it, as after somebody moved its arms.
    """

    FAR = 0.15
    """A joint this far from the held pose was moved by somebody; gravity's sag stays well below [rad]."""

    def __init__(self, manifest: Manifest) -> None:
        """Take mode, joints, dt and horizon from ``manifest``; no weights are used."""
        self.manifest = manifest
        self._columns = joint_indices(manifest.joint_names)
        self._held: FloatArray | None = None

    def encode_proprio(self, q: ArrayLike, dq: ArrayLike, gravity: ArrayLike, gyroscope: ArrayLike) -> FloatArray:
        """Return zeros (128,): this head reads nothing but q."""
        return np.zeros(128, dtype=np.float32)

    def encode_lidar(self, points: ArrayLike) -> FloatArray:
        """Return zeros (128,)."""
        return np.zeros(128, dtype=np.float32)

    def encode_eef(self, poses: ArrayLike) -> FloatArray:
        """Return zeros (64,)."""
        return np.zeros(64, dtype=np.float32)

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
        """Return the held joints at every step, and no base velocity.

        :raises ContractError: when ``q`` is not 29 finite numbers.
        """
        here = np.asarray(checked_array("q", q, (NUM_JOINTS,)), dtype=np.float32)[self._columns]
        if self._held is None or np.abs(here - self._held).max() > self.FAR:
            self._held = here
        horizon = self.manifest.horizon
        return HeadOutput(np.tile(self._held, (horizon, 1)), np.zeros((horizon, 3), dtype=np.float32))

    def reset(self) -> None:
        """Take the pose anew at the next capture."""
        self._held = None


_MEASURED = ("grid", "pick", "scale", "bound", "owner")
"""Matrices that are facts about the robot and the data, not skill."""


def redraw(weights: Weights, seed: int) -> Weights:
    """Return weights as an untrained network has them: matrices drawn anew, biases 0, the rest kept.

    What is kept are facts about the data (means, scales) and one-dimensional gains, so that the outputs have the
    right size and only the skill is gone.

    :param seed: of the draw.
    """
    generator = np.random.default_rng(seed)
    drawn: Weights = {}
    for name, value in sorted(weights.items()):
        last = name.rpartition(".")[2]
        if last == "bias":
            drawn[name] = np.zeros_like(value)
        elif ".absent" in name or (value.ndim >= 2 and last not in _MEASURED):
            spread = 1.0 / np.sqrt(value.shape[-1])
            drawn[name] = generator.normal(0.0, spread, value.shape).astype(np.float32)
        else:
            drawn[name] = value
    return drawn


def random_head(folder: Path | str, seed: int, runtime: Runtime = DEFAULT) -> Policy:
    """Open the checkpoint in ``folder`` with weights drawn from ``seed``: the baseline that has learned nothing."""
    checkpoint = open_checkpoint(folder)
    return Policy(Checkpoint(checkpoint.folder, checkpoint.manifest, redraw(checkpoint.weights, seed)), runtime)


def hold_manifest(mode: str, horizon: int = 16, dt: float = 0.02) -> Manifest:
    """Return the manifest of a head that needs no checkpoint.

    :param mode: control mode.
    :param horizon: steps of a chunk.
    :param dt: time between steps [s].
    :raises ConfigError: when there is no such mode.
    """
    return Manifest(
        format=FORMAT,
        head_id="hold",
        head="hold",
        task="hold still",
        mode=mode,
        joint_names=control_mode(mode).joint_names,
        dt=dt,
        horizon=horizon,
        backbone=BackboneSpec("none", {}),
        modalities=MODALITIES,
        graphs={},
        files={WEIGHTS_FILE: hashlib.sha256(b"").hexdigest()},
        parameters={},
        training={},
    )


TRAINED: tuple[str, ...] = ("mlp", "flow_matching", "dit", "state_relative", "ensemble")
"""Heads that need a checkpoint; docs/heads.md says which one when."""


def _trained(name: str) -> Callable[[Path | None, str, Runtime], Head]:
    """Return what opens a checkpoint of the head called ``name`` and of no other."""

    def opened(folder: Path | None, mode: str, runtime: Runtime) -> Head:
        if folder is None:
            raise ConfigError(refuse("checkpoint", "none", f"the folder of a checkpoint for head {name}"))
        checkpoint = open_checkpoint(folder, mode=mode)
        if checkpoint.manifest.head != name:
            raise CheckpointError(refuse(f"head of checkpoint {folder}", checkpoint.manifest.head, name))
        return Policy(checkpoint, runtime)

    return opened


def _hold(folder: Path | None, mode: str, runtime: Runtime) -> Head:
    return HoldHead(hold_manifest(mode))


HEADS: dict[str, Callable[[Path | None, str, Runtime], Head]] = {
    **{name: _trained(name) for name in TRAINED},
    "hold": _hold,
}
"""What ``head:=`` accepts."""


def load_head(name: str, folder: Path | str | None, *, mode: str = "upper_body", runtime: Runtime = DEFAULT) -> Head:
    """Open the head called ``name``.

    :param folder: the checkpoint; ``hold`` needs none.
    :param mode: control mode; a checkpoint for another one is refused.
    :param runtime: what runs it; a head without weights needs none.
    :raises ConfigError: when there is no such head; the error lists the known ones.
    :raises CheckpointError: when the checkpoint cannot be used.
    """
    if name not in HEADS:
        raise ConfigError(refuse("head", name, ", ".join(sorted(HEADS))))
    return HEADS[name](None if folder is None else Path(folder), mode, runtime)
