"""What training minimises beside a head's own loss: three helps that tell fusion where to look."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from neon_ros.act.networks.fusion import PLACE_UNIT
from neon_ros.act.networks.grounding import Grounded


@dataclass(frozen=True)
class Truth:
    """What the simulator knows of B samples and K things on the table.

    :param place: centre of the target in the pelvis frame (B, 3) [m].
    :param target: which thing is the target (B,).
    :param seen: whether the thing is in the picture (B, K).
    :param uv: centre of each thing in the picture, 0 to 1 from the upper left (B, K, 2).
    :param same: whether a thing agrees with the words in colour, in shape (B, 2, K).
    """

    place: Tensor
    target: Tensor
    seen: Tensor
    uv: Tensor
    same: Tensor


def corners(uv: Tensor, rows: int, columns: int) -> Tensor:
    """Return how each place in the picture is shared among the grid's tokens, bilinearly.

    :param uv: (..., 2), 0 to 1.
    :returns: weights (..., rows * columns) that sum to 1 for a place inside the picture.
    """
    x = (uv[..., 0:1] * columns - 0.5).clamp(0, columns - 1)
    y = (uv[..., 1:2] * rows - 0.5).clamp(0, rows - 1)
    across = (1 - (x - torch.arange(columns, device=uv.device)).abs()).clamp(min=0)  # (..., columns)
    down = (1 - (y - torch.arange(rows, device=uv.device)).abs()).clamp(min=0)  # (..., rows)
    return (down.unsqueeze(-1) * across.unsqueeze(-2)).flatten(-2)


def far_from_all(uv: Tensor, seen: Tensor, rows: int, columns: int, distance: float = 1.6) -> Tensor:
    """Return which tokens (B, T) are further than ``distance`` tokens from every thing that is seen."""
    x = torch.arange(columns, device=uv.device) + 0.5
    y = torch.arange(rows, device=uv.device) + 0.5
    dx = x.view(1, 1, 1, -1) - (uv[..., 0] * columns)[..., None, None]
    dy = y.view(1, 1, -1, 1) - (uv[..., 1] * rows)[..., None, None]
    near = ((dx * dx + dy * dy) < distance**2) & seen.bool()[..., None, None]  # (B, K, rows, columns)
    return ~near.any(1).flatten(1)


def match_loss(grounded: Grounded, truth: Truth, shares: Tensor, background: Tensor) -> Tensor:
    """Return how wrongly each *what* slot says of each thing, and of the empty table, whether it matches the words.

    The first slot is asked for the colour alone, the second for the shape alone.  That is what lets a pair of words
    that was never heard together find its thing.

    :param shares: tokens of each thing (B, K, T), see :func:`corners`.
    :param background: tokens that show no thing (B, T).
    """
    seen = truth.seen.unsqueeze(1)  # (B, 1, K)
    logit = torch.matmul(grounded.match, shares.transpose(1, 2))  # (B, 2, K)
    wrong = functional.binary_cross_entropy_with_logits(logit, truth.same, reduction="none")
    things = (wrong * seen).sum() / (seen.sum() * wrong.shape[1] + 1e-6)
    empty = background.unsqueeze(1).to(wrong.dtype)  # (B, 1, T)
    table = (functional.softplus(grounded.match) * empty).sum() / (empty.sum() * wrong.shape[1] + 1e-6)
    return things + 0.5 * table


def attention_loss(grounded: Grounded, truth: Truth, shares: Tensor) -> Tensor:
    """Return the cross-entropy of the attention against where the target is, for targets in the picture."""
    row = torch.arange(len(truth.target), device=shares.device)
    wanted = shares[row, truth.target]  # (B, T)
    counts = truth.seen[row, truth.target]  # (B,)
    wrong = -(wanted * (grounded.attention + 1e-6).log()).sum(-1)
    return (wrong * counts).sum() / (counts.sum() + 1e-6)


def place_loss(place: Tensor, truth: Truth) -> Tensor:
    """Return the mean absolute error of the target's position in units of 0.1 m, for targets in the picture.

    :param place: what fusion says (B, 3) [m].
    """
    row = torch.arange(len(truth.target), device=place.device)
    counts = truth.seen[row, truth.target]  # (B,)
    wrong = (place - truth.place).abs().mean(-1) / PLACE_UNIT
    return (wrong * counts).sum() / (counts.sum() + 1e-6)
