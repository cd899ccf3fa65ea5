"""From noise to a chunk along a straight line: what the flow and the diffusion-transformer head share.

x_t = (1 - t) eps + t a is a line from noise (t = 0) to the chunk (t = 1); the network learns its velocity a - eps
(Lipman et al., arXiv 2210.02747), with t drawn from Beta(1.5, 1) leaning to noise as in pi0 (arXiv 2410.24164).
The network says where the line ends, and the velocity towards it is what is judged (Li and He, arXiv 2511.13720):
chunks lie on a thin sheet among all that 512 numbers can be, velocities anywhere.
Steps that the robot is already committed to are given in training as in use: their t is 1, their value is what was
decided, and only the steps behind them are made and judged (training-time real-time chunking, arXiv 2512.05964).
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from neon_ros.act.networks.config import ACTIONS, BASE
from neon_ros.act.networks.fusion import Context
from neon_ros.act.networks.head import ActionHead, Chance, Loss, committed_joints, steps_before

LATEST = 0.999
"""Latest time that is trained, as in pi0: at 1 nothing is left to learn."""
LEAST_LEFT = 0.1
"""The way that is left counts as no shorter than this, or its end would decide all (0.05 in arXiv 2511.13720)."""
BETA = 1.5
JUDGED_AT = 0.75
"""Time at which a draft is looked at: that of the last of the four default steps."""


def drawn_time(even: Tensor) -> Tensor:
    """Return times of which 1 - t / 0.999 is of Beta(1.5, 1), from numbers that are even from 0 to 1.

    The distribution function of Beta(a, 1) is x^a, so its inverse is a power.
    """
    return LATEST * (1.0 - even.pow(1.0 / BETA))


class FlowHead(ActionHead):
    """A head that integrates a learned velocity from noise to a chunk."""

    EXTRA_INPUTS = ("noise", "prefix", "prefix_mask")

    @abstractmethod
    def end(self, context: Context, x: Tensor, time: Tensor, committed: Tensor) -> Tensor:
        """Return the chunk in which the line through ``x`` (B, H, 32) ends.

        :param time: of the steps that are made (B,).
        :param committed: 1 for a step that is given, whose time is 1 (B, H).
        """

    def velocity(self, context: Context, x: Tensor, time: Tensor, committed: Tensor) -> Tensor:
        """Return the velocity of the line at ``x`` (B, H, 32); the arguments are those of :meth:`end`."""
        left = (1.0 - time).clamp(min=LEAST_LEFT).view(-1, 1, 1)
        return (self.end(context, x, time, committed) - x) / left

    def loss(self, context: Context, actions: Tensor, chance: Chance) -> Loss:
        """Return the mean squared error of the velocity over the steps that are made."""
        time = drawn_time(chance.time)  # (B,)
        committed = steps_before(chance.committed, self.config.horizon)  # (B, H)
        line = (1.0 - time).view(-1, 1, 1) * chance.noise + time.view(-1, 1, 1) * actions
        x = self._given(line, committed_joints(actions, committed), committed)
        wrong = (self.velocity(context, x, time, committed) - (actions - chance.noise)).square()
        judged = self.acts * (1.0 - committed).unsqueeze(-1)  # (B, H, 32)
        total = (wrong * judged).sum() / judged.sum().clamp(min=1.0)
        return Loss(total, torch.zeros_like(total))

    def sample(self, context: Context, noise: Tensor, prefix: Tensor, prefix_mask: Tensor) -> tuple[Tensor, ...]:
        """Return the chunk at the end of the line that starts at ``noise``."""
        steps = self.config.denoising
        x = noise
        for step in range(steps):
            x = self.advance(context, x, step / steps, 1.0 / steps, prefix, prefix_mask)
        return (self._given(x, prefix, prefix_mask),)

    def advance(
        self, context: Context, x: Tensor, time: float, length: float, prefix: Tensor, prefix_mask: Tensor
    ) -> Tensor:
        """Return ``x`` after one step of ``length`` from ``time``, by Euler or by the midpoint rule."""

        def velocity(at: Tensor, when: float) -> Tensor:
            now = torch.full((context.pooled.shape[0],), when)
            return self.velocity(context, self._given(at, prefix, prefix_mask), now, prefix_mask)

        first = velocity(x, time)
        if self.config.solver == "midpoint":
            first = velocity(x + 0.5 * length * first, time + 0.5 * length)
        return x + length * first

    def judge(self, context: Context, draft: Tensor, noise: Tensor, time: float) -> Tensor:
        """Return what one look at a draft makes of it (B, H, 32): the end of the line through the noised draft.

        A draft that the head could have made itself comes back as it was; another one is drawn towards the head's own.

        :param draft: (B, H, 32); :param noise: standard normal (B, H, 32).
        :param time: where on the line the look is taken; late looks trust the draft more.
        """
        x = (1.0 - time) * noise + time * draft
        nothing = torch.zeros(1, self.config.horizon, ACTIONS)
        return self.advance(context, x, time, 1.0 - time, nothing, nothing[..., 0])

    def look_at(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return what :meth:`judge` makes of a draft: ``q_chunk`` (B, H, J) [rad] and ``base_velocity`` (B, H, 3).

        :param inputs: those of fusion, then ``noise`` (B, H, J + 3) and ``draft`` (B, H, J) [rad].
        """
        *fused, noise, draft = inputs
        context = self.fusion(*fused)
        standing = torch.zeros_like(draft[..., :1]).expand(-1, -1, BASE)
        actions = self.to_actions(draft, standing, context.here)
        return self.from_actions(self.judge(context, actions, self.spread(noise), JUDGED_AT), context.here)

    def _given(self, x: Tensor, prefix: Tensor, mask: Tensor) -> Tensor:
        """Return ``x`` with its committed steps as they were decided."""
        return ((1.0 - mask).unsqueeze(-1) * x + mask.unsqueeze(-1) * prefix) * self.acts
