"""What all heads have in common: fusion in front, the units of their actions, and the form they are exported in.

A head is two verbs: ``loss`` learns from chunks, ``sample`` makes one.  Inside a head a step is 32 values in units of
their own spread: offsets of all 29 joints from where they were at the capture, then the base velocity.  A control mode
is a mask on these values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neon_ros.act.networks.config import ACTIONS, BASE, BASE_SCALE, HeadConfig
from neon_ros.act.networks.fusion import Context, Fusion
from neon_ros.robot.joints import NUM_JOINTS


class Chance(NamedTuple):
    """What chance decides for one training step, drawn by the trainer so that a run can be taken up.

    :param noise: standard normal (B, H, 32).
    :param time: even from 0 to 1 (B,).
    :param committed: number of first steps that are given, not made (B,).
    """

    noise: Tensor
    time: Tensor
    committed: Tensor


class Loss(NamedTuple):
    """What a head minimises, and its part that keeps experts busy (0 for heads without)."""

    total: Tensor
    balance: Tensor


class ActionHead(nn.Module, ABC):
    """Base of the heads."""

    EXTRA_INPUTS: tuple[str, ...] = ()
    """Inputs of the exported graph beside those of fusion, in order."""
    EXTRA_OUTPUTS: tuple[str, ...] = ()

    def __init__(self, config: HeadConfig) -> None:
        """Build what is common with fresh weights."""
        super().__init__()
        self.config = config
        self.fusion = Fusion(config)
        indices = list(config.joint_indices)
        self.register_buffer("pick", torch.eye(NUM_JOINTS)[:, indices].clone())  # (29, J)
        self.register_buffer("scale", torch.full((config.horizon, NUM_JOINTS), 0.1))  # [rad]
        self.register_buffer("base_scale", torch.tensor(BASE_SCALE))  # [m/s, m/s, rad/s]
        acts = torch.ones(ACTIONS)
        acts[:NUM_JOINTS] = self.pick.sum(1)
        self.register_buffer("acts", acts)  # (32,), 0 for what the mode, or the data, never move

    @abstractmethod
    def loss(self, context: Context, actions: Tensor, chance: Chance) -> Loss:
        """Return what is minimised.

        :param actions: the chunk to be learned (B, H, 32), see :meth:`to_actions`.
        """

    @abstractmethod
    def sample(self, context: Context, noise: Tensor, prefix: Tensor, prefix_mask: Tensor) -> tuple[Tensor, ...]:
        """Return a chunk (B, H, 32) and what :attr:`EXTRA_OUTPUTS` names.

        :param noise: standard normal (B, H, 32); heads without noise ignore it.
        :param prefix: steps that are already committed (B, H, 32).
        :param prefix_mask: 1 for a committed step (B, H).
        """

    def to_actions(self, chunk: Tensor, base: Tensor, here: Tensor) -> Tensor:
        """Return a chunk in the head's units (B, H, 32).

        :param chunk: the J joints (B, H, J) [rad].
        :param base: base velocity (B, H, 3) [m/s, m/s, rad/s].
        :param here: joints at the capture (B, 29) [rad].
        """
        full = torch.matmul(chunk, self.pick.t())  # (B, H, 29)
        offsets = (full - here.unsqueeze(1)) / self.scale
        return torch.cat([offsets, base / self.base_scale], -1) * self.acts

    def from_actions(self, actions: Tensor, here: Tensor) -> tuple[Tensor, Tensor]:
        """Return joints (B, H, J) [rad] and base velocity (B, H, 3), the inverse of :meth:`to_actions`."""
        offsets, base = (actions * self.acts).split((NUM_JOINTS, BASE), -1)
        q_chunk = torch.matmul(here.unsqueeze(1) + offsets * self.scale, self.pick)
        return q_chunk, base * self.base_scale

    def error(self, actions: Tensor, truth: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the mean absolute error over what the mode moves, in units of the labels' spread.

        :param counts: 1 for a step that is judged (B, H), all by default.
        """
        judged = self.acts.expand_as(truth) if counts is None else self.acts * counts.unsqueeze(-1)
        return ((actions - truth).abs() * judged).sum() / judged.sum().clamp(min=1.0)

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
        *extra: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return ``q_chunk`` (B, H, J) [rad], ``base_velocity`` (B, H, 3) and what :attr:`EXTRA_OUTPUTS` names.

        The first arguments are those of :class:`~neon_ros.act.networks.fusion.Fusion`; the others are those that
        :attr:`EXTRA_INPUTS` names: ``noise`` (B, H, J + 3), ``prefix`` (B, H, J) [rad], ``prefix_mask`` (B, H).
        """
        context = self.fusion(vision, text, text_mask, proprio, lidar, eef, present, age, q)
        given = dict(zip(self.EXTRA_INPUTS, extra, strict=True))
        still = torch.zeros(1, self.config.horizon, ACTIONS)
        noise = self.spread(given["noise"]) if "noise" in given else still
        prefix, mask = still, still[..., 0]
        if "prefix" in given:
            mask = given["prefix_mask"]
            standing = torch.zeros_like(given["prefix"][..., :1]).expand(-1, -1, BASE)
            prefix = self.to_actions(given["prefix"], standing, context.here) * mask.unsqueeze(-1)
        actions, *more = self.sample(context, noise, prefix, mask)
        return (*self.from_actions(actions, context.here), *more)

    def spread(self, values: Tensor) -> Tensor:
        """Return values of the J joints and the base (B, H, J + 3) as (B, H, 32), 0 where nothing moves."""
        joints, base = values.split((len(self.config.joint_indices), BASE), -1)
        return torch.cat([torch.matmul(joints, self.pick.t()), base], -1) * self.acts


def steps_before(count: Tensor, horizon: int) -> Tensor:
    """Return 1 for the first ``count`` (B,) of H steps (B, H)."""
    return (torch.arange(horizon, device=count.device) < count.unsqueeze(-1)).to(torch.float32)


def committed_joints(actions: Tensor, mask: Tensor) -> Tensor:
    """Return the committed steps, as a head is given them: their joints without their base velocity, 0 elsewhere.

    :param actions: (B, H, 32); :param mask: 1 for a committed step (B, H).
    """
    joints, base = actions.split((NUM_JOINTS, BASE), -1)
    return torch.cat([joints, torch.zeros_like(base)], -1) * mask.unsqueeze(-1)
