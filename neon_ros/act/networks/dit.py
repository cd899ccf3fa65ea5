"""The diffusion-transformer head: 16 action tokens, adaLN-zero, cross-attention to the context tokens.

Blocks as in DiT (Peebles and Xie, arXiv 2212.09748): time and pooled context give shift, scale and gate of each part of
a block, and the gates begin at zero.  The objective is the flow's velocity, not the noise.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neon_ros.act.networks.config import ACTIONS, HeadConfig
from neon_ros.act.networks.flow import FlowHead
from neon_ros.act.networks.fusion import Context
from neon_ros.act.networks.layers import Attention, FeedForward, Skips, Style, TimeEmbedding

PARTS = 3
"""Parts of a block: attention among the steps, attention to the context, feed-forward."""


class DitBlock(nn.Module):
    """One block whose parts are shifted, scaled and gated by what is asked."""

    def __init__(self, config: HeadConfig, style: Style) -> None:
        """Build with gates at zero."""
        super().__init__()
        width = config.width
        self.among = Attention(width, config.attention, style)
        self.context = Attention(width, config.attention, style, config.context)
        self.mix = FeedForward(width, config.hidden, style)
        self.norms = nn.ModuleList(style.norm(width) for _ in range(PARTS))
        self.alpha = nn.Parameter(torch.ones(PARTS)) if style.residual_scale else None
        self.modulate = nn.Linear(width, 3 * PARTS * width)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, h: Tensor, tokens: Tensor, asked: Tensor, given: Tensor, committed: Tensor) -> Tensor:
        """Return the refined steps (B, H, W).

        :param tokens: context (B, N, C).
        :param asked: what modulates the steps that are made (B, 1, W); ``given`` those that are committed.
        :param committed: 1 for a step that is given (B, H, 1).
        """
        made, kept = self.modulate(asked), self.modulate(given)  # (B, 1, 9 W)
        parts = (made + committed * (kept - made)).chunk(3 * PARTS, -1)  # each (B, H, W)
        for index, norm in enumerate(self.norms):
            shift, scale, gate = parts[3 * index : 3 * index + 3]
            x = norm(h) * (1.0 + scale) + shift
            step = (self.among(x, x), self.context(x, tokens))[index] if index < 2 else self.mix(x)
            h = h + gate * (step if self.alpha is None else self.alpha[index] * step)
        return h


class DitHead(FlowHead):
    """A diffusion transformer over the steps of a chunk."""

    def __init__(self, config: HeadConfig) -> None:
        """Build with fresh weights."""
        super().__init__(config)
        style, width = config.style, config.width
        self.enter = nn.Linear(ACTIONS, width)
        self.position = nn.Parameter(torch.randn(config.horizon, width) * 0.1)
        self.time = TimeEmbedding(width, style)
        self.told = nn.Linear(config.pooled, width)
        self.asked = FeedForward(width, width, style)
        self.blocks = nn.ModuleList(DitBlock(config, style) for _ in range(config.blocks))
        self.skips = Skips(width, config.blocks, style)
        self.norm = style.norm(width)
        self.last = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, ACTIONS)
        for layer in (self.last, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def end(self, context: Context, x: Tensor, time: Tensor, committed: Tensor) -> Tensor:
        """Return the chunk at the end of the line (B, H, 32); see :meth:`FlowHead.end`."""
        style, told = self.config.style, self.told(context.pooled)  # (B, W)
        asked = style.active(self.asked(told + self.time(time))).unsqueeze(1)  # (B, 1, W)
        given = style.active(self.asked(told + self.time(torch.ones_like(time)))).unsqueeze(1)
        mask = committed.unsqueeze(-1)
        h = self.enter(x) + self.position  # (B, H, W)
        early: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            h = block(self.skips.join(index, h, early), context.tokens, asked, given, mask)
            self.skips.keep(index, h, early)
        made, kept = self.last(asked), self.last(given)
        shift, scale = (made + mask * (kept - made)).chunk(2, -1)
        return style.capped(self.out(self.norm(h) * (1.0 + scale) + shift)) * self.acts
