"""The state-relative head: bounded steps from where the joints are, with small layers of each embodiment's own.

The chunk is a sum of steps from the joints at the capture, and no step is longer than its joint may take, so a chunk
can start nowhere else and jump nowhere; whoever replans is anchored anew.  The base velocity is not relative.  Between
embodiments only the first layer (reading joints) and the last one (naming steps) differ; what lies between is shared.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neon_ros.act.networks.config import ACTIONS, BASE, EMBODIMENTS, HeadConfig
from neon_ros.act.networks.fusion import Context
from neon_ros.act.networks.head import ActionHead, Chance, Loss, committed_joints, steps_before
from neon_ros.act.networks.layers import FeedForward, Residual, Skips
from neon_ros.robot.joints import NUM_JOINTS


class StateRelativeHead(ActionHead):
    """A residual MLP between per-embodiment layers that says bounded steps."""

    EXTRA_INPUTS = ("prefix", "prefix_mask")

    def __init__(self, config: HeadConfig) -> None:
        """Build with fresh weights for all embodiments; :attr:`embodiment` picks one."""
        super().__init__(config)
        style, width, kinds = config.style, config.width, len(EMBODIMENTS)
        chosen = torch.zeros(kinds)
        chosen[EMBODIMENTS.index(config.embodiment)] = 1.0
        self.register_buffer("embodiment", chosen)
        self.register_buffer("bound", torch.full((config.horizon, NUM_JOINTS), 0.05))  # [rad] longest step
        self.enter = nn.Linear(config.pooled, width)
        self.state_in = nn.Parameter(torch.randn(kinds, NUM_JOINTS, width) * NUM_JOINTS**-0.5)
        self.enter_prefix = nn.Linear(config.horizon * (NUM_JOINTS + 1), width)
        self.blocks = nn.ModuleList(
            Residual(width, FeedForward(width, config.hidden, style), style) for _ in range(config.blocks)
        )
        self.skips = Skips(width, config.blocks, style)
        self.norm = style.norm(width)
        self.steps = nn.Linear(width, config.horizon * ACTIONS)
        self.step_out = nn.Parameter(
            torch.eye(ACTIONS).repeat(kinds, 1, 1) + 0.05 * torch.randn(kinds, ACTIONS, ACTIONS)
        )
        self.step_bias = nn.Parameter(torch.zeros(kinds, ACTIONS))

    def own_layers(self) -> list[nn.Parameter]:
        """Return what belongs to embodiments: the weights to train when moving to another one."""
        return [self.state_in, self.step_out, self.step_bias]

    def loss(self, context: Context, actions: Tensor, chance: Chance) -> Loss:
        """Return the mean absolute error over the steps that are made."""
        committed = steps_before(chance.committed, self.config.horizon)
        said = self._say(context, committed_joints(actions, committed), committed)
        total = self.error(said, actions, 1.0 - committed)
        return Loss(total, torch.zeros_like(total))

    def sample(self, context: Context, noise: Tensor, prefix: Tensor, prefix_mask: Tensor) -> tuple[Tensor, ...]:
        """Return the chunk (B, H, 32), its committed steps as they were decided."""
        mask = prefix_mask.unsqueeze(-1)
        return ((1.0 - mask) * self._say(context, prefix, prefix_mask) + mask * prefix,)

    def _say(self, context: Context, prefix: Tensor, committed: Tensor) -> Tensor:
        config, style = self.config, self.config.style
        joints = prefix[..., :NUM_JOINTS]
        told = torch.cat([joints.flatten(1), committed], -1)  # (B or 1, H 30)
        state_in = torch.matmul(self.embodiment, self.state_in.flatten(1)).view(NUM_JOINTS, -1)
        h = self.enter(context.pooled) + torch.matmul(context.here, state_in) + self.enter_prefix(told)
        h = style.active(h)
        early: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            h = block(self.skips.join(index, h, early))
            self.skips.keep(index, h, early)
        raw = self.steps(self.norm(h)).view(-1, config.horizon, ACTIONS)
        step_out = torch.matmul(self.embodiment, self.step_out.flatten(1)).view(ACTIONS, ACTIONS)
        raw = torch.matmul(raw, step_out) + torch.matmul(self.embodiment, self.step_bias)  # (B, H, 32)
        step, velocity = raw.split((NUM_JOINTS, BASE), -1)
        step = self.bound * torch.tanh(step)  # (B, H, 29) [rad]
        # A made step goes on from the last committed one: committed steps count with their own length.
        given = joints * self.scale
        before = torch.cat([torch.zeros_like(given[:, :1]), given[:, :-1]], 1)
        mask = committed.unsqueeze(-1)
        path = torch.cumsum((1.0 - mask) * step + mask * (given - before), 1)  # (B, H, 29) [rad]
        return torch.cat([path / self.scale, style.capped(velocity)], -1) * self.acts
