"""The MLP head: all 16 steps at once, read linearly from fusion's residual MLP.

The fastest head.  It says the median of what the demonstrations did, which is right where one way is best.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neon_ros.act.networks.config import BASE, HeadConfig
from neon_ros.act.networks.fusion import Context
from neon_ros.act.networks.head import ActionHead, Chance, Loss
from neon_ros.robot.joints import NUM_JOINTS


class MlpHead(ActionHead):
    """Two linear layers on the pooled context."""

    def __init__(self, config: HeadConfig) -> None:
        """Build with fresh weights."""
        super().__init__(config)
        self.out = nn.Linear(config.pooled, config.horizon * NUM_JOINTS)
        self.base = nn.Linear(config.pooled, config.horizon * BASE)
        nn.init.zeros_(self.base.weight)
        nn.init.zeros_(self.base.bias)

    def loss(self, context: Context, actions: Tensor, chance: Chance) -> Loss:
        """Return the mean absolute error; see :meth:`ActionHead.loss`."""
        total = self.error(self._say(context), actions)
        return Loss(total, torch.zeros_like(total))

    def sample(self, context: Context, noise: Tensor, prefix: Tensor, prefix_mask: Tensor) -> tuple[Tensor, ...]:
        """Return the chunk (B, H, 32); this head knows no committed steps."""
        return (self._say(context),)

    def _say(self, context: Context) -> Tensor:
        joints = self.out(context.pooled).view(-1, self.config.horizon, NUM_JOINTS)
        base = self.base(context.pooled).view(-1, self.config.horizon, BASE)
        return self.config.style.capped(torch.cat([joints, base], -1)) * self.acts
