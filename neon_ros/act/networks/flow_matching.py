"""The flow-matching head: each of the 16 steps is a token; the pooled context is added before every block.

Tokens attend to each other, so that the steps agree; the context enters as one vector per block, which makes this head
a third cheaper than one that attends to context tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neon_ros.act.networks.config import ACTIONS, HeadConfig
from neon_ros.act.networks.flow import FlowHead
from neon_ros.act.networks.fusion import Context
from neon_ros.act.networks.layers import Attention, FeedForward, Residual, Skips, TimeEmbedding


class FlowMatchingHead(FlowHead):
    """A small transformer over the steps of a chunk."""

    def __init__(self, config: HeadConfig) -> None:
        """Build with fresh weights."""
        super().__init__(config)
        style, width = config.style, config.width
        self.shift = nn.Linear(config.pooled, config.blocks * width)
        self.enter = nn.Linear(ACTIONS, width)
        self.position = nn.Parameter(torch.randn(config.horizon, width) * 0.1)
        self.time = TimeEmbedding(width, style)
        self.time_mix = FeedForward(2 * width, width, style)
        self.time_out = nn.Linear(2 * width, width)
        self.attend = nn.ModuleList(
            Residual(width, Attention(width, config.attention, style), style) for _ in range(config.blocks)
        )
        self.mix = nn.ModuleList(
            Residual(width, FeedForward(width, config.hidden, style), style) for _ in range(config.blocks)
        )
        self.skips = Skips(width, config.blocks, style)
        self.norm = style.norm(width)
        self.out = nn.Linear(width, ACTIONS)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def end(self, context: Context, x: Tensor, time: Tensor, committed: Tensor) -> Tensor:
        """Return the chunk at the end of the line (B, H, 32); see :meth:`FlowHead.end`."""
        style, blocks, width = self.config.style, self.config.blocks, self.config.width
        shift = self.shift(context.pooled).view(-1, blocks, 1, width)  # (B, n, 1, W)
        when = time.unsqueeze(-1) * (1.0 - committed) + committed  # (B, H)
        both = torch.cat([self.enter(x), self.time(when)], -1)  # (B, H, 2 W)
        h = self.time_out(both + self.time_mix(both)) + self.position  # (B, H, W)
        early: list[Tensor] = []
        for index in range(blocks):
            h = self.skips.join(index, h, early) + shift[:, index]
            h = self.mix[index](self.attend[index](h))
            self.skips.keep(index, h, early)
        return style.capped(self.out(self.norm(h))) * self.acts
