"""The MLP head: fuse what is present, predict 16 steps of joint offsets from where the joints are now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neon_ros.act.manifest import MODALITIES
from neon_ros.act.networks.grounding import SCENE_HEADS, VALUE, WORD, Grounded, Grounding
from neon_ros.encode.networks import (
    EEF_FEATURES,
    LIDAR_FEATURES,
    PROPRIO_FEATURES,
    EefNet,
    LidarNet,
    ProprioNet,
    ResidualBlock,
    RmsNorm,
    relu2,
)

GROUNDED = (1 + SCENE_HEADS) * (2 + VALUE) + WORD
PLACE = 3
PLACE_UNIT = 0.1
"""Places enter the trunk in units of 0.1 m, so that they are of size one."""
JOINTS = 29


@dataclass(frozen=True)
class MlpConfig:
    """Shapes of the head.

    :param joint_indices: motor index of each of the J columns.
    :param horizon: steps of a chunk.
    :param rows: of the picture's token grid.
    :param columns: of the picture's token grid.
    :param channels: values of a picture token.
    :param words: longest sentence [tokens].
    :param text_size: values of a word token.
    :param width: of the trunk.
    :param blocks: residual blocks of the trunk.
    """

    joint_indices: tuple[int, ...]
    horizon: int = 16
    rows: int = 8
    columns: int = 14
    channels: int = 112
    words: int = 32
    text_size: int = 384
    width: int = 576
    blocks: int = 2


class Prediction(NamedTuple):
    """What the head says, and what training looks at.

    :param offsets: joint offsets from q in units of ``scale`` (B, H, J).
    :param base_velocity: (B, H, 3) [m/s, m/s, rad/s].
    :param place: centre of the target in the pelvis frame (B, 3) [m].
    :param grounded: where it looked.
    """

    offsets: Tensor
    base_velocity: Tensor
    place: Tensor
    grounded: Grounded


class MlpHead(nn.Module):
    """Fusion with learned tokens for what is absent, then a residual MLP."""

    def __init__(self, config: MlpConfig) -> None:
        """Build with fresh weights."""
        super().__init__()
        self.config = config
        joints = len(config.joint_indices)
        self.grounding = Grounding(config.rows, config.columns, config.channels, config.text_size)
        self.look = nn.Linear(2 + VALUE + joints, 128)  # the waist turns the camera
        self.look_block = ResidualBlock(128)
        self.place = nn.Linear(128, PLACE)
        self.absent = nn.ParameterDict(
            {
                "backbone": nn.Parameter(torch.randn(GROUNDED) * 0.1),
                "lidar": nn.Parameter(torch.randn(LIDAR_FEATURES) * 0.1),
                "proprio": nn.Parameter(torch.randn(PROPRIO_FEATURES) * 0.1),
                "eef": nn.Parameter(torch.randn(EEF_FEATURES) * 0.1),
            }
        )
        fused = GROUNDED + PLACE + LIDAR_FEATURES + PROPRIO_FEATURES + EEF_FEATURES + joints + 2 * len(MODALITIES)
        self.enter = nn.Linear(fused, config.width)
        self.blocks = nn.ModuleList(ResidualBlock(config.width) for _ in range(config.blocks))
        self.norm = RmsNorm(config.width)
        self.out = nn.Linear(config.width, config.horizon * joints)
        self.base = nn.Linear(config.width, config.horizon * 3)
        nn.init.zeros_(self.base.weight)
        nn.init.zeros_(self.base.bias)
        self.register_buffer("pick", torch.eye(JOINTS)[:, list(config.joint_indices)].clone())  # (29, J)
        self.register_buffer("scale", torch.full((config.horizon, joints), 0.1))  # [rad]

    def predict(
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
    ) -> Prediction:
        """Return the prediction with what training looks at.

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
        here = torch.matmul(q, self.pick)  # (B, J)
        place = self.place(self.look_block(self.look(torch.cat([target, here], -1))))  # (B, 3) [PLACE_UNIT]
        fused = torch.cat(
            [
                given("backbone", looked),
                there["backbone"] * place,
                given("lidar", lidar),
                given("proprio", proprio),
                given("eef", eef),
                here,
                present,
                age,
            ],
            -1,
        )
        h = relu2(self.enter(fused))
        for block in self.blocks:
            h = block(h)
        h = self.norm(h)
        size = len(self.config.joint_indices)
        offsets = self.out(h).view(-1, self.config.horizon, size)
        base = self.base(h).view(-1, self.config.horizon, 3)
        return Prediction(offsets, base, place * PLACE_UNIT, grounded)

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
    ) -> tuple[Tensor, Tensor]:
        """Return ``q_chunk`` (B, H, J) [rad] and ``base_velocity`` (B, H, 3) [m/s, m/s, rad/s].

        The arguments are those of :meth:`predict`.
        """
        said = self.predict(vision, text, text_mask, proprio, lidar, eef, present, age, q)
        here = torch.matmul(q, self.pick).unsqueeze(1)  # (B, 1, J)
        return here + said.offsets * self.scale, said.base_velocity


class NeonModel(nn.Module):
    """The parts of a checkpoint, under their own names."""

    def __init__(self, config: MlpConfig) -> None:
        """Build all parts with fresh weights."""
        super().__init__()
        self.proprio = ProprioNet()
        self.lidar = LidarNet()
        self.eef = EefNet()
        self.head = MlpHead(config)

    def predict(self, batch: Mapping[str, Tensor], sentences: int = 1) -> Prediction:
        """Return the prediction for raw inputs, the tensors of all parts by name.

        :param batch: B captures; ``text``, ``text_mask``, ``present`` and ``age`` have B R rows, R per capture.
        :param sentences: R.
        """

        def shared(x: Tensor) -> Tensor:
            return x.repeat_interleave(sentences, 0)

        head: MlpHead = self.head
        return head.predict(
            batch["vision"],
            batch["text"],
            batch["text_mask"],
            shared(self.proprio(batch["proprio"])),
            shared(self.lidar(batch["points"], batch["mask"])),
            shared(self.eef(batch["eef"])),
            batch["present"],
            batch["age"],
            shared(batch["q"]),
            sentences,
        )


def count_parameters(model: NeonModel, parts: Sequence[str]) -> dict[str, int]:
    """Return the number of trainable values per part."""
    return {part: sum(p.numel() for p in getattr(model, part).parameters()) for part in parts}
