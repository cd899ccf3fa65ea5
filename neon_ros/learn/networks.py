"""From a preset to a network: its shapes, what the data say of its units, and what another checkpoint lends it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neon_ros.act.checkpoint import Checkpoint, open_checkpoint
from neon_ros.act.networks.config import ACTIONS, PREFIX, HeadConfig, head_config
from neon_ros.act.networks.model import NeonModel
from neon_ros.errors import CheckpointError, ConfigError, refuse
from neon_ros.graph import shipped_checkpoint
from neon_ros.learn.dataset import Demonstrations, Sentences
from neon_ros.learn.presets import Preset
from neon_ros.robot.joints import NUM_JOINTS, joint_indices
from neon_ros.robot.modes import control_mode
from neon_ros.robot.variants import variant

SCALE_FLOOR = 0.003
"""Least scale of an offset [rad]: what the expert never moves must not be learned to the tenth of a milliradian."""
BOUND_MARGIN = 1.25
"""Longest step that a state-relative head may take, per longest step of the expert."""
MACHINE = 5
"""Variant that the demonstrations were made on."""
_LENT = ("proprio.", "lidar.", "eef.", "head.fusion.")
_OWN = ("head.fusion.tokens.", "head.fusion.moved")


def config_of(preset: Preset, data: Demonstrations, sentences: Sentences) -> HeadConfig:
    """Return the shapes of the preset's head for these data.

    :raises ConfigError: when the preset does not fit them.
    """
    columns = tuple(int(i) for i in joint_indices(control_mode(preset.mode).joint_names))
    tokens, channels = data.arrays["vision"].shape[1:]
    if preset.grid[0] * preset.grid[1] != tokens:
        raise ConfigError(refuse("preset.grid", preset.grid, f"rows x columns of the {tokens} tokens in the data"))
    if len(columns) != data.arrays["chunks"].shape[4]:
        raise ConfigError(refuse("preset.mode", preset.mode, f"one of {data.arrays['chunks'].shape[4]} joints"))
    words, text_size = sentences.text.shape[1:]
    config = head_config(
        preset.head,
        columns,
        horizon=data.arrays["chunks"].shape[3],
        rows=preset.grid[0],
        columns=preset.grid[1],
        channels=channels,
        words=words,
        text_size=text_size,
    )
    asked = {name: getattr(preset, name) for name in ("width", "blocks", "hidden", "denoising", "solver")}
    switched_off: dict[str, Any] = {name: 0.0 if name == "cap" else False for name in preset.without}
    style = replace(config.style, **switched_off)
    if preset.head == "mlp":  # its layers are fusion's
        config = replace(config, fusion_style=style, prefix=PREFIX if preset.committed else 0)
    return replace(config, style=style, **{name: value for name, value in asked.items() if value})


@torch.no_grad()
def measure(model: NeonModel, data: Demonstrations, sentences: Sentences, learn: NDArray[np.intp]) -> None:
    """Set the means, scales and bounds that travel with the network.

    :param learn: frames to take them from.
    """
    some = learn[:: max(1, len(learn) // 2000)]
    head = model.head
    vision = data.arrays["vision"][some].astype(np.float32)
    grounding = head.fusion.grounding
    grounding.vision_mean.copy_(torch.from_numpy(vision.mean((0, 1))))
    grounding.vision_std.copy_(torch.from_numpy(vision.std((0, 1)) + 1e-3))
    words = sentences.text[sentences.mask > 0].astype(np.float32)
    grounding.words.text_mean.copy_(torch.from_numpy(words.mean(0)))
    grounding.words.text_std.copy_(torch.from_numpy(words.std(0) + 1e-3))
    indices = list(head.config.joint_indices)
    q = data.arrays["q"][some][:, None, None, None, indices]
    offsets = (data.arrays["chunks"][some] - q).reshape(-1, head.config.horizon, len(indices))
    head.scale[:, indices] = torch.from_numpy(np.maximum(offsets.std(0), SCALE_FLOOR).astype(np.float32))
    if not data.arrays["base"].any():
        head.acts[NUM_JOINTS:ACTIONS] = 0.0  # who was never shown a step shall stand, and not nearly
    if hasattr(head, "bound"):
        steps = np.abs(np.diff(offsets, axis=1, prepend=np.zeros_like(offsets[:, :1]))).max(0)
        longest = np.concatenate([steps[:1], np.broadcast_to(steps[1:].max(0), steps[1:].shape)])
        fastest = variant(MACHINE).limits().velocity[indices] * 0.02
        bound = np.minimum(np.maximum(BOUND_MARGIN * longest, SCALE_FLOOR), fastest)
        head.bound[:, indices] = torch.from_numpy(bound.astype(np.float32))


@torch.no_grad()
def lend(model: NeonModel, source: str) -> Checkpoint:
    """Give ``model`` the encoders and the fusion of another checkpoint, their means and scales with them.

    :param source: a head that ships with a checkpoint, or the folder of one.
    :returns: the checkpoint that lent.
    :raises CheckpointError: when it has none, or of other shapes.
    """
    lender = open_checkpoint(Path(shipped_checkpoint(source) or source))
    for name, value in model.state_dict().items():
        if not name.startswith(_LENT) or name.startswith(_OWN):
            continue
        lent = lender.weights.get(name)
        if lent is None or lent.shape != tuple(value.shape):
            got = "missing" if lent is None else f"shape {lent.shape}"
            raise CheckpointError(refuse(f"weight {name} of {lender.folder}", got, f"shape {tuple(value.shape)}"))
        value.copy_(torch.from_numpy(lent))
    return lender
