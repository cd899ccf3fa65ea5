"""The MLP head: all 16 steps at once, read linearly from fusion's residual MLP.

The fastest head.  It says the median of what the demonstrations did, which is right where one way is best.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neon_ros.act.networks.config import BASE, HeadConfig
from neon_ros.act.networks.fusion import Context
from neon_ros.act.networks.head import ActionHead, Chance, Loss, committed_joints, steps_before
from neon_ros.robot.joints import NUM_JOINTS


class MlpHead(ActionHead):
    """Two linear layers on the pooled context, which committed steps may displace."""

    def __init__(self, config: HeadConfig) -> None:
        """Build with fresh weights; what reads committed steps begins without effect."""
        super().__init__(config)
        if config.prefix:
            self.EXTRA_INPUTS = ("prefix", "prefix_mask")
            self.read_prefix = nn.Linear(config.pooled + config.horizon * (NUM_JOINTS + 1), config.prefix)
            self.displace = nn.Linear(config.prefix, config.pooled)
            nn.init.zeros_(self.displace.weight)
            nn.init.zeros_(self.displace.bias)
        self.out = nn.Linear(config.pooled, config.horizon * NUM_JOINTS)
        self.base = nn.Linear(config.pooled, config.horizon * BASE)
        nn.init.zeros_(self.base.weight)
        nn.init.zeros_(self.base.bias)

    def loss(self, context: Context, actions: Tensor, chance: Chance) -> Loss:
        """Return the mean absolute error over the steps that are made."""
        if not self.config.prefix:
            total = self.error(self._say(context.pooled), actions)
        else:
            committed = steps_before(chance.committed, self.config.horizon)
            pooled = self._displaced(context.pooled, committed_joints(actions, committed), committed)
            total = self.error(self._say(pooled), actions, 1.0 - committed)
        return Loss(total, torch.zeros_like(total))

    def sample(self, context: Context, noise: Tensor, prefix: Tensor, prefix_mask: Tensor) -> tuple[Tensor, ...]:
        """Return the chunk (B, H, 32), its committed steps as they were decided where it reads such."""
        if not self.config.prefix:
            return (self._say(context.pooled),)
        mask = prefix_mask.unsqueeze(-1)
        said = self._say(self._displaced(context.pooled, prefix, prefix_mask))
        return ((1.0 - mask) * said + mask * prefix,)

    def _displaced(self, pooled: Tensor, prefix: Tensor, committed: Tensor) -> Tensor:
        """Return the context as the committed steps displace it; exactly as it is where there are none."""
        steps = torch.cat([prefix[..., :NUM_JOINTS].flatten(1), committed], -1)
        told = torch.cat([pooled, steps.expand(pooled.shape[0], -1)], -1)
        displacement: Tensor = self.displace(self.config.style.active(self.read_prefix(told)))
        return pooled + committed.amax(1, keepdim=True) * displacement

    def _say(self, pooled: Tensor) -> Tensor:
        joints = self.out(pooled).view(-1, self.config.horizon, NUM_JOINTS)
        base = self.base(pooled).view(-1, self.config.horizon, BASE)
        return self.config.style.capped(torch.cat([joints, base], -1)) * self.acts
