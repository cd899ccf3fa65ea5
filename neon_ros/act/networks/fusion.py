"""Fusion, the same for all heads: what is present becomes a few context tokens and one pooled vector.

The picture and the words meet in :mod:`~neon_ros.act.networks.grounding`, whose attention heads are the learned
queries: a swap of backbone changes the projections there and nothing behind them.  What is absent is replaced by a
learned token; the age of each modality is an input.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from neon_ros.act.manifest import MODALITIES
from neon_ros.act.networks.config import HeadConfig
from neon_ros.act.networks.grounding import SCENE_HEADS, VALUE, WORD, Grounded, Grounding
from neon_ros.act.networks.layers import Attention, FeedForward, Residual, Skips, Style
from neon_ros.encode.networks import EEF_FEATURES, LIDAR_FEATURES, PROPRIO_FEATURES, ResidualBlock
from neon_ros.robot.joints import NUM_JOINTS

LOOKS = 1 + SCENE_HEADS
GROUNDED = LOOKS * (2 + VALUE) + WORD
PLACE = 3
PLACE_UNIT = 0.1
"""Places enter the trunk in units of 0.1 m, so that they are of size one."""
SIDE_BY_SIDE = GROUNDED + PLACE + LIDAR_FEATURES + PROPRIO_FEATURES + EEF_FEATURES + NUM_JOINTS + 2 * len(MODALITIES)
TOKENS = LOOKS + 6
"""Context tokens: what each attention head saw, the manner, the place, LiDAR, proprio, hands, joints."""


class Context(NamedTuple):
    """What a head is told of the moment.

    :param pooled: everything in one vector of root mean square 1 (B, P).
    :param tokens: the same as tokens that have looked at each other (B, TOKENS, C); C is 0 for heads without.
    :param here: joints at the capture, 0 where the mode moves none (B, 29) [rad].
    :param place: centre of the target in the pelvis frame (B, 3) [m].
    :param grounded: where it looked.
    """

    pooled: Tensor
    tokens: Tensor
    here: Tensor
    place: Tensor
    grounded: Grounded


class ContextTokens(nn.Module):
    """One projection per modality into tokens of one width, then one block of attention among them."""

    OWNER = (*(0,) * (LOOKS + 2), 1, 2, 3, 2)
    """Index of the modality whose presence and age goes with each token; the joints come with proprio."""

    def __init__(self, size: int, style: Style) -> None:
        """Build for tokens of ``size`` values."""
        super().__init__()
        self.look = nn.Linear(2 + VALUE, size)
        self.how = nn.Linear(WORD, size)
        self.place = nn.Linear(PLACE, size)
        self.lidar = nn.Linear(LIDAR_FEATURES, size)
        self.proprio = nn.Linear(PROPRIO_FEATURES, size)
        self.eef = nn.Linear(EEF_FEATURES, size)
        self.joints = nn.Linear(NUM_JOINTS, size)
        self.kind = nn.Parameter(torch.randn(TOKENS, size) * 0.1)
        self.state = nn.Linear(2, size)
        self.attend = Residual(size, Attention(size, 4, style), style)
        self.mix = Residual(size, FeedForward(size, size, style), style)
        self.norm = style.norm(size)
        owner = torch.zeros(TOKENS, len(MODALITIES))
        owner[torch.arange(TOKENS), list(self.OWNER)] = 1.0
        self.register_buffer("owner", owner)

    def forward(self, parts: dict[str, Tensor], present: Tensor, age: Tensor) -> Tensor:
        """Return tokens (B, TOKENS, size)."""
        looked, how = parts["backbone"].split((LOOKS * (2 + VALUE), WORD), -1)
        places, values = looked.split((LOOKS * 2, LOOKS * VALUE), -1)
        looks = torch.cat([places.view(-1, LOOKS, 2), values.view(-1, LOOKS, VALUE)], -1)  # (B, LOOKS, 2 + V)
        alone = [self.how(how)]
        alone += [getattr(self, name)(parts[name]) for name in ("place", "lidar", "proprio", "eef", "joints")]
        tokens = torch.cat([self.look(looks), torch.stack(alone, 1)], 1)  # (B, TOKENS, C)
        state = torch.matmul(self.owner, torch.stack([present, age], -1))  # (B, TOKENS, 2)
        h = tokens + self.kind + self.state(state)
        h = self.mix(self.attend(h))
        normed: Tensor = self.norm(h)
        return normed


class Fusion(nn.Module):
    """Ground the words in the picture, put learned tokens where something is absent, and pool all by a residual MLP."""

    def __init__(self, config: HeadConfig) -> None:
        """Build with fresh weights; context tokens only for heads that read them."""
        super().__init__()
        self.grounding = Grounding(config.rows, config.columns, config.channels, config.text_size)
        self.look = nn.Linear(2 + VALUE + NUM_JOINTS, 128)  # the waist turns the camera
        self.look_block = ResidualBlock(128)
        self.place = nn.Linear(128, PLACE)
        sizes = {"backbone": GROUNDED, "lidar": LIDAR_FEATURES, "proprio": PROPRIO_FEATURES, "eef": EEF_FEATURES}
        self.absent = nn.ParameterDict({name: nn.Parameter(torch.randn(size) * 0.1) for name, size in sizes.items()})
        moved = torch.zeros(NUM_JOINTS)
        moved[list(config.joint_indices)] = 1.0
        self.register_buffer("moved", moved)
        width, style = config.pooled, config.fusion_style
        self.style = style
        self.enter = nn.Linear(SIDE_BY_SIDE, width)
        self.blocks = nn.ModuleList(
            Residual(width, FeedForward(width, width, style), style) for _ in range(config.pool_blocks)
        )
        self.skips = Skips(width, config.pool_blocks, style)
        self.norm = style.norm(width)
        self.tokens = ContextTokens(config.context, config.style) if config.context else None

    def forward(
        self,
        vision: Tensor,
        text: Tensor,
        text_mask: Tensor,
        proprio: Tensor,
        lidar: Tensor,
        eef: Tensor,
        present: Tensor,
        age: Tensor,
        q: Tensor,
        sentences: int = 1,
    ) -> Context:
        """Return the context.

        :param vision: picture tokens (B / R, T, C).
        :param text: word tokens (B, L, E).
        :param text_mask: (B, L).
        :param proprio: (B, 128); :param lidar: (B, 128); :param eef: (B, 64).
        :param present: (B, 4), 1 where the modality is there, in the order of ``MODALITIES``.
        :param age: (B, 4) [s].
        :param q: joint positions at the capture (B, 29) [rad].
        :param sentences: R, sentences about each picture.
        """
        there = dict(zip(MODALITIES, present.split(1, -1), strict=True))  # each (B, 1)

        def given(name: str, features: Tensor) -> Tensor:
            return there[name] * features + (1.0 - there[name]) * self.absent[name]

        grounded = self.grounding(vision, text, text_mask, sentences)
        looked = torch.cat([grounded.places.flatten(1), grounded.values.flatten(1), grounded.how], -1)
        target = torch.cat([grounded.places[:, 0], grounded.values[:, 0]], -1)  # (B, 2 + V)
        here = q * self.moved  # (B, 29)
        place = self.place(self.look_block(self.look(torch.cat([target, here], -1))))  # (B, 3) [PLACE_UNIT]
        parts = {
            "backbone": given("backbone", looked),
            "place": there["backbone"] * place,
            "lidar": given("lidar", lidar),
            "proprio": given("proprio", proprio),
            "eef": given("eef", eef),
            "joints": here,
        }
        h = self.style.active(self.enter(torch.cat([*parts.values(), present, age], -1)))  # (B, P)
        early: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            h = block(self.skips.join(index, h, early))
            self.skips.keep(index, h, early)
        pooled = self.norm(h)
        tokens = self.tokens(parts, present, age) if self.tokens is not None else pooled[:, None, :0]
        return Context(pooled, tokens, here, place * PLACE_UNIT, grounded)
