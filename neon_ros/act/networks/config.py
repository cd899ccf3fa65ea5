"""The shapes of a head, one dataclass for all: kind, joints, the features it reads, its sizes and its style."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neon_ros.act.networks.layers import Style
from neon_ros.errors import ConfigError, refuse
from neon_ros.robot.joints import NUM_JOINTS

BASE = 3
"""Forward, sideways and turning velocity of the base."""
ACTIONS = NUM_JOINTS + BASE
"""Values of one step: all joints in motor order, then the base.  A control mode is a mask on these."""
BASE_SCALE = (0.75, 0.25, 0.5)
"""Unit of the base velocity inside the network [m/s, m/s, rad/s]: half of what the modes allow (neon.md)."""
EMBODIMENTS: tuple[str, ...] = ("g1_29dof", "g1_23dof", "g1_29dof_lock_waist")
MOST_DENOISING = 10
"""The network is trained on no less than a tenth of the way, see :mod:`~neon_ros.act.networks.flow`."""
SOLVERS: tuple[str, ...] = ("euler", "midpoint")


@dataclass(frozen=True)
class HeadConfig:
    """Shapes of a head.

    :param joint_indices: motor index of each of the J columns that leave the head.
    :param head: kind of head, a key of :data:`SIZES`.
    :param horizon: steps of a chunk.
    :param rows: of the picture's token grid.
    :param columns: of the picture's token grid.
    :param channels: values of a picture token.
    :param words: longest sentence [tokens].
    :param text_size: values of a word token.
    :param width: of the head proper; ``mlp`` reads the pooled context as it is.
    :param blocks: of the head proper.
    :param hidden: width inside a block.
    :param attention: attention heads of a block, where there is attention.
    :param context: width of the context tokens; 0 where the head reads the pooled context only.
    :param prefix: width of the layer with which ``mlp`` reads committed steps; 0 for one that reads none, while the
        other heads always do.
    :param experts: of the ensemble.
    :param top_k: experts that answer one capture.
    :param denoising: steps from noise to a chunk, where there are such.
    :param solver: how these steps are taken.
    :param pooled: width of the pooled context, which fusion ends in.
    :param pool_blocks: residual blocks of fusion.
    :param fusion_style: refinements of fusion's layers, which have to be those of whoever lends them.
    :param embodiment: which of :data:`EMBODIMENTS` the per-embodiment layers serve.
    :param style: refinements of the layers.
    """

    joint_indices: tuple[int, ...]
    head: str = "mlp"
    horizon: int = 16
    rows: int = 8
    columns: int = 14
    channels: int = 112
    words: int = 32
    text_size: int = 384
    width: int = 1
    blocks: int = 1
    hidden: int = 1
    attention: int = 0
    context: int = 0
    prefix: int = 0
    experts: int = 0
    top_k: int = 0
    denoising: int = 0
    solver: str = "euler"
    pooled: int = 576
    pool_blocks: int = 2
    fusion_style: Style = field(default_factory=lambda: Style(skips=False, cap=0.0))
    embodiment: str = EMBODIMENTS[0]
    style: Style = field(default_factory=Style)

    def __post_init__(self) -> None:
        known: tuple[tuple[str, object, tuple[str, ...]], ...] = (
            ("head", self.head, tuple(SIZES)),
            ("solver", self.solver, SOLVERS),
            ("embodiment", self.embodiment, EMBODIMENTS),
        )
        for name, value, allowed in known:
            if value not in allowed:
                raise ConfigError(refuse(name, value, ", ".join(allowed)))
        bad = [index for index in self.joint_indices if not 0 <= index < NUM_JOINTS]
        if bad or not self.joint_indices or len(set(self.joint_indices)) != len(self.joint_indices):
            raise ConfigError(refuse("joint_indices", self.joint_indices, f"different numbers 0 to {NUM_JOINTS - 1}"))
        for name, least in (("horizon", 1), ("width", 1), ("blocks", 1), ("hidden", 1), ("pooled", 1)):
            if getattr(self, name) < least:
                raise ConfigError(refuse(name, getattr(self, name), f"{least} or more"))
        if self.head in ("flow_matching", "dit") and not 1 <= self.denoising <= MOST_DENOISING:
            raise ConfigError(refuse("denoising", self.denoising, f"1 to {MOST_DENOISING} steps"))
        if self.head == "ensemble" and not 1 <= self.top_k <= self.experts:
            raise ConfigError(refuse("top_k", self.top_k, f"1 to the number of experts, {self.experts}"))


PREFIX = 64
"""Width with which an ``mlp`` that is trained with committed steps reads them."""
SIZES: dict[str, dict[str, Any]] = {
    "mlp": {"style": Style(skips=False, cap=0.0)},
    "flow_matching": {"width": 192, "blocks": 4, "hidden": 384, "attention": 6, "denoising": 4},
    "dit": {"width": 192, "blocks": 4, "hidden": 576, "attention": 6, "context": 128, "denoising": 4},
    "state_relative": {"width": 384, "blocks": 2, "hidden": 320},
    "ensemble": {"width": 512, "hidden": 512, "experts": 8, "top_k": 2},
}
"""The shipped sizes of each head; neon.md's figures are about 2, 4, 6, 3 and 8 million values."""


def head_config(head: str, joint_indices: tuple[int, ...], **changes: Any) -> HeadConfig:
    """Return the configuration of ``head`` in its shipped size, with ``changes``.

    :raises ConfigError: when there is no such head, or a change does not fit.
    """
    if head not in SIZES:
        raise ConfigError(refuse("head", head, ", ".join(SIZES)))
    return HeadConfig(joint_indices, head=head, **{**SIZES[head], **changes})


def saved_config(head: str, joint_indices: tuple[int, ...], saved: Mapping[str, Any]) -> HeadConfig:
    """Return the configuration that a manifest holds.

    :param saved: ``training["network"]`` of the manifest; empty for a head in its shipped size.
    :raises ConfigError: when there is no such head, or a value does not fit.
    :raises TypeError: on a key that no head has.
    """
    changes = {name: value for name, value in saved.items() if name not in ("head", "joint_indices")}
    changes |= {name: Style(**value) for name, value in changes.items() if isinstance(value, Mapping)}
    return head_config(head, joint_indices, **changes)
