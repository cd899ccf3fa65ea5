"""The ensemble head: a gate sends each capture to the few experts that know it, and only those compute.

Top-k routing with a load-balance loss as in Switch (Fedus et al., arXiv 2101.03961).  Experts are joined before the
last layer, in hidden space: a mean of their chunks would lie between two ways of doing a thing and be neither.
The gate's choice leaves the head as ``gate``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neon_ros.act.networks.config import ACTIONS, HeadConfig
from neon_ros.act.networks.fusion import Context
from neon_ros.act.networks.head import ActionHead, Chance, Loss, committed_joints, steps_before
from neon_ros.act.networks.layers import FeedForward, Residual
from neon_ros.robot.joints import NUM_JOINTS

BALANCE = 0.01
"""Weight of the load-balance loss, as in Switch."""


class Experts(nn.Module):
    """Feed-forward networks, stacked, of which each sample uses a few."""

    def __init__(self, config: HeadConfig) -> None:
        """Build with fresh weights."""
        super().__init__()
        self.style = config.style
        count, width, hidden = config.experts, config.width, config.hidden
        self.up = nn.Parameter(torch.randn(count, width, hidden) * width**-0.5)
        self.up_bias = nn.Parameter(torch.zeros(count, hidden))
        self.down = nn.Parameter(torch.randn(count, hidden, width) * hidden**-0.5)
        self.down_bias = nn.Parameter(torch.zeros(count, width))

    def forward(self, h: Tensor, weight: Tensor, chosen: Tensor) -> Tensor:
        """Return the weighted sum of the chosen experts (B, W).

        :param h: (B, W).
        :param weight: of each chosen expert (B, k), sums to 1.
        :param chosen: their numbers (B, k).
        """
        if h.shape[0] == 1:
            return self._one(h, weight, chosen)
        out = torch.zeros_like(h)
        for expert in range(len(self.up)):  # each expert computes its own samples only
            row, place = torch.nonzero(chosen == expert, as_tuple=True)
            up = self.style.active(h[row] @ self.up[expert] + self.up_bias[expert])
            said = up @ self.down[expert] + self.down_bias[expert]
            out = out.index_add(0, row, weight[row, place].unsqueeze(-1) * said)
        return out

    def _one(self, h: Tensor, weight: Tensor, chosen: Tensor) -> Tensor:
        """Return the same for one sample, taking the weights of its k experts alone."""
        k = chosen[0]  # (k,)
        up = torch.matmul(h.unsqueeze(0), self.up[k]) + self.up_bias[k].unsqueeze(1)  # (k, 1, hidden)
        said = torch.matmul(self.style.active(up), self.down[k]) + self.down_bias[k].unsqueeze(1)  # (k, 1, W)
        return (weight[0].view(-1, 1, 1) * said).sum(0)


class EnsembleHead(ActionHead):
    """Experts behind a gate, between two shared layers."""

    EXTRA_INPUTS = ("prefix", "prefix_mask")
    EXTRA_OUTPUTS = ("gate",)

    def __init__(self, config: HeadConfig) -> None:
        """Build with fresh weights."""
        super().__init__(config)
        style, width = config.style, config.width
        self.enter = nn.Linear(config.pooled, width)
        self.enter_prefix = nn.Linear(config.horizon * (NUM_JOINTS + 1), width)
        self.first = Residual(width, FeedForward(width, width // 2, style), style)
        self.gate_norm = style.norm(width)
        self.gate = nn.Linear(width, config.experts)
        self.norm = style.norm(width)
        self.experts = Experts(config)
        self.alpha = nn.Parameter(torch.full((1,), 0.3)) if style.residual_scale else None
        self.join = nn.Linear(2 * width, width) if style.skips else None
        self.last_norm = style.norm(width)
        self.out = nn.Linear(width, config.horizon * ACTIONS)

    def loss(self, context: Context, actions: Tensor, chance: Chance) -> Loss:
        """Return the mean absolute error over the steps that are made, and the load balance."""
        committed = steps_before(chance.committed, self.config.horizon)
        said, share, chosen = self._say(context, committed_joints(actions, committed), committed)
        used = torch.zeros_like(share).scatter(1, chosen, 1.0 / self.config.top_k)  # (B, E)
        balance = self.config.experts * (used.mean(0) * share.mean(0)).sum()  # 1 when all experts are used alike
        return Loss(self.error(said, actions, 1.0 - committed) + BALANCE * balance, balance)

    def sample(self, context: Context, noise: Tensor, prefix: Tensor, prefix_mask: Tensor) -> tuple[Tensor, ...]:
        """Return the chunk (B, H, 32) and the gate (B, E): the weight of each expert, 0 for those that slept."""
        said, share, chosen = self._say(context, prefix, prefix_mask)
        weight = share.gather(1, chosen)
        gate = torch.zeros_like(share).scatter(1, chosen, weight / weight.sum(1, keepdim=True))
        mask = prefix_mask.unsqueeze(-1)
        return (1.0 - mask) * said + mask * prefix, gate

    def _say(self, context: Context, prefix: Tensor, committed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the chunk, the gate's share of each expert (B, E), and the chosen experts (B, k)."""
        style = self.config.style
        told = torch.cat([prefix[..., :NUM_JOINTS].flatten(1), committed], -1)
        begun = style.active(self.enter(context.pooled) + self.enter_prefix(told))
        h = self.first(begun)
        share = torch.softmax(self.gate(self.gate_norm(h)), -1)  # (B, E)
        weight, chosen = torch.topk(share, self.config.top_k, dim=-1)
        said = self.experts(self.norm(h), weight / weight.sum(-1, keepdim=True), chosen)
        h = h + (said if self.alpha is None else self.alpha * said)
        if self.join is not None:
            h = h + self.join(torch.cat([h, begun], -1))
        out = self.out(self.last_norm(h)).view(-1, self.config.horizon, ACTIONS)
        return style.capped(out) * self.acts, share, chosen
