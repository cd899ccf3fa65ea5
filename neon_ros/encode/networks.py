"""The trainable encoders: proprio MLP, LiDAR PointNet, hand-pose MLP, and the layers they share.  Torch; training only.

House style ("Parameter Golf"): ReLU squared, RMSNorm and a learnable residual scale.  Shapes stand beside the lines.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neon_ros.encode.eef import EEF_SIZE
from neon_ros.encode.proprio import PROPRIO_SIZE

PROPRIO_FEATURES = 128
LIDAR_FEATURES = 128
EEF_FEATURES = 64


def relu2(x: Tensor) -> Tensor:
    """Return max(0, x) squared (So et al., "Primer", arXiv 2109.08668)."""
    positive = torch.relu(x)
    return positive * positive


class RmsNorm(nn.Module):
    """Scale to a root mean square of 1, then by a learned gain (Zhang and Sennrich, arXiv 1910.07467)."""

    def __init__(self, size: int) -> None:
        """Norm over the last dimension of length ``size``."""
        super().__init__()
        self.gain = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled ``x``, shape kept."""
        normed: Tensor = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5) * self.gain
        return normed


class ResidualBlock(nn.Module):
    """x + alpha * f(x) with f = norm, linear, ReLU squared, linear; alpha starts small and is learned."""

    def __init__(self, size: int, hidden: int | None = None) -> None:
        """Block over the last dimension of length ``size``; ``hidden`` defaults to the same."""
        super().__init__()
        self.norm = RmsNorm(size)
        self.up = nn.Linear(size, hidden or size)
        self.down = nn.Linear(hidden or size, size)
        self.alpha = nn.Parameter(torch.full((1,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        """Return the refined ``x``, shape kept."""
        refined: Tensor = x + self.alpha * self.down(relu2(self.up(self.norm(x))))
        return refined


class ProprioNet(nn.Module):
    """What the robot feels of itself to 128 features."""

    def __init__(self) -> None:
        """Build with fresh weights."""
        super().__init__()
        self.enter = nn.Linear(PROPRIO_SIZE, PROPRIO_FEATURES)
        self.block = ResidualBlock(PROPRIO_FEATURES)
        self.norm = RmsNorm(PROPRIO_FEATURES)

    def forward(self, proprio: Tensor) -> Tensor:
        """Return features (B, 128) of inputs (B, 64), see :func:`neon_ros.encode.proprio.proprio_input`."""
        features: Tensor = self.norm(self.block(self.enter(proprio)))
        return features


class LidarNet(nn.Module):
    """A PointNet (Qi et al., arXiv 1612.00593): any number of points, any order, none at all."""

    def __init__(self) -> None:
        """Build with fresh weights."""
        super().__init__()
        self.lift = nn.Linear(3, 64)
        self.point = nn.Linear(64, 64)
        self.score = nn.Linear(64, 1)
        self.out = nn.Linear(128, LIDAR_FEATURES)
        self.norm = RmsNorm(LIDAR_FEATURES)

    def forward(self, points: Tensor, mask: Tensor) -> Tensor:
        """Return features (B, 128): the maximum over the points beside an attention-weighted mean.

        :param points: (B, N, 3) [m], N at least 1.
        :param mask: (B, N), 1 for a point and 0 for padding; all 0 for an empty cloud.
        """
        inside = mask.unsqueeze(-1)  # (B, N, 1)
        h = relu2(self.lift(points))  # (B, N, 64)
        h = relu2(self.point(h)) * inside  # (B, N, 64), >= 0, so that 0 is the neutral element of max
        weight = torch.exp(torch.tanh(self.score(h)) * 3.0) * inside  # (B, N, 1)
        mean = (h * weight).sum(1) / (weight.sum(1) + 1e-6)  # (B, 64)
        features: Tensor = self.norm(self.out(torch.cat([h.amax(1), mean], -1)))
        return features


class EefNet(nn.Module):
    """The poses of both hands to 64 features."""

    def __init__(self) -> None:
        """Build with fresh weights."""
        super().__init__()
        self.enter = nn.Linear(EEF_SIZE, EEF_FEATURES)
        self.block = ResidualBlock(EEF_FEATURES)
        self.norm = RmsNorm(EEF_FEATURES)

    def forward(self, eef: Tensor) -> Tensor:
        """Return features (B, 64) of inputs (B, 18), see :func:`neon_ros.encode.eef.eef_input`."""
        features: Tensor = self.norm(self.block(self.enter(eef)))
        return features
