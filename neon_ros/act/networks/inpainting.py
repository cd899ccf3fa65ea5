"""Real-time chunking at inference (Black et al., arXiv 2506.07339), for heads that go from noise to a chunk.

While the head thinks, the robot goes on with the chunk before.  Each denoising step is therefore guided towards what of
that chunk overlaps the new one: fully where it will have been executed, less and less behind, not at all at the end.
The guidance is the gradient of the distance of the predicted chunk from the old one, through the network.
"""

from __future__ import annotations

import torch
from torch import Tensor

from neon_ros.act.networks.flow import FlowHead
from neon_ros.act.networks.fusion import Context
from neon_ros.errors import ContractError, refuse

MOST_GUIDANCE = 5.0
"""Largest weight of the guidance, beta of the paper, which is unbounded at the first step without it."""


def overlap_weights(horizon: int, delay: int, executed: int) -> Tensor:
    """Return how much each step of the new chunk is bound to the old one (H,), equation 5 of the paper.

    :param delay: steps that will have been executed when the new chunk arrives.
    :param executed: steps between two chunks: as many at the end of the new one have no old counterpart.
    :raises ContractError: when they leave no chunk.
    """
    if not 0 <= delay <= horizon - executed or executed < 1:
        raise ContractError(refuse("delay and executed steps", (delay, executed), f"0 to {horizon} steps in all"))
    step = torch.arange(horizon, dtype=torch.float32)
    c = (horizon - executed - step) / (horizon - executed - delay + 1)
    decaying = c * torch.expm1(c) / (torch.e - 1.0)
    return torch.where(step < delay, 1.0, torch.where(step < horizon - executed, decaying, 0.0))


def inpaint(head: FlowHead, context: Context, noise: Tensor, previous: Tensor, weights: Tensor) -> Tensor:
    """Return a chunk (B, H, 32) that goes on from an earlier one.

    :param noise: standard normal (B, H, 32).
    :param previous: the earlier chunk in the time of the new one, in the head's units (B, H, 32).
    :param weights: of each step (H,), see :func:`overlap_weights`.
    """
    steps, x = head.config.denoising, noise * head.acts
    nothing = torch.zeros_like(weights).unsqueeze(0)
    bound = weights.view(1, -1, 1) * head.acts
    for step in range(steps):
        time = step / steps
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            velocity = head.velocity(context, at, torch.full((len(at),), time), nothing)
            end = at + (1.0 - time) * velocity  # the chunk this line would end in
            (guidance,) = torch.autograd.grad(end, at, ((previous - end) * bound).detach())
        spread = (1.0 - time) ** 2 / (time**2 + (1.0 - time) ** 2)  # r squared of the paper
        gain = min(MOST_GUIDANCE, (1.0 - time) / (time * spread)) if time else MOST_GUIDANCE
        x = x + (velocity.detach() + gain * guidance) / steps
    return x
