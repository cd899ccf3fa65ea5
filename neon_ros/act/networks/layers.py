"""The layers that all heads are built of, each refinement behind a switch so that its worth can be measured.

"Parameter Golf": ReLU squared, RMSNorm, a learnable residual scale, U-Net skips and a soft cap.  Shapes stand beside
the lines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from neon_ros.encode.networks import RmsNorm, relu2
from neon_ros.errors import ConfigError, refuse

MOST_CAP = 1000.0


@dataclass(frozen=True)
class Style:
    """Which refinements a network has.

    :param relu2: ReLU squared instead of GELU.
    :param rms_norm: RMSNorm instead of LayerNorm.
    :param residual_scale: a learned factor on what each block adds, instead of 1.
    :param skips: early blocks are joined into their mirrored late ones.
    :param cap: c of the soft cap c tanh(x / c) on what a head says, in units of the labels' spread; 0 for none.
    """

    relu2: bool = True
    rms_norm: bool = True
    residual_scale: bool = True
    skips: bool = True
    cap: float = 10.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.cap <= MOST_CAP:
            raise ConfigError(refuse("style.cap", self.cap, f"0 to {MOST_CAP:g}"))

    def active(self, x: Tensor) -> Tensor:
        """Return the activation of ``x``."""
        return relu2(x) if self.relu2 else functional.gelu(x)

    def norm(self, size: int) -> nn.Module:
        """Return a norm over the last dimension of length ``size``."""
        return RmsNorm(size) if self.rms_norm else nn.LayerNorm(size)

    def capped(self, x: Tensor) -> Tensor:
        """Return ``x`` softly capped; training and sampling both go through here."""
        return self.cap * torch.tanh(x / self.cap) if self.cap else x


class FeedForward(nn.Module):
    """Linear, activation, linear."""

    def __init__(self, size: int, hidden: int, style: Style) -> None:
        """Build over the last dimension of length ``size``."""
        super().__init__()
        self.style = style
        self.up = nn.Linear(size, hidden)
        self.down = nn.Linear(hidden, size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape."""
        out: Tensor = self.down(self.style.active(self.up(x)))
        return out


class Attention(nn.Module):
    """Multi-head attention of one sequence to another, or to itself; queries and keys are normed (arXiv 2302.05442)."""

    def __init__(self, size: int, heads: int, style: Style, source: int | None = None) -> None:
        """Build for queries of ``size`` and sources of ``source`` values, by default the same.

        :raises ConfigError: when the heads do not divide the size.
        """
        super().__init__()
        if heads < 1 or size % heads:
            raise ConfigError(refuse("attention heads", heads, f"a divisor of the width {size}"))
        self.heads = heads
        self.query = nn.Linear(size, size, bias=False)
        self.key = nn.Linear(source or size, size, bias=False)
        self.value = nn.Linear(source or size, size, bias=False)
        self.query_norm = style.norm(size // heads)
        self.key_norm = style.norm(size // heads)
        self.out = nn.Linear(size, size)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """Return (B, N, size) of queries from ``x`` (B, N, size) to ``source`` (B, M, source)."""
        batch, length, size = x.shape
        each = size // self.heads
        q = self.query_norm(self.query(x).view(batch, length, self.heads, each)).transpose(1, 2)  # (B, h, N, e)
        k = self.key_norm(self.key(source).view(batch, -1, self.heads, each)).transpose(1, 2)  # (B, h, M, e)
        v = self.value(source).view(batch, -1, self.heads, each).transpose(1, 2)
        weight = torch.softmax(torch.matmul(q, k.transpose(-1, -2)) * each**-0.5, -1)  # (B, h, N, M)
        mixed = torch.matmul(weight, v).transpose(1, 2).reshape(batch, length, size)
        out: Tensor = self.out(mixed)
        return out


class Residual(nn.Module):
    """x + alpha * f(norm(x)); alpha starts at 0.3 and is learned, or is 1."""

    def __init__(self, size: int, inner: nn.Module, style: Style) -> None:
        """Wrap ``inner``, which keeps the shape."""
        super().__init__()
        self.norm = style.norm(size)
        self.inner = inner
        self.alpha = nn.Parameter(torch.full((1,), 0.3)) if style.residual_scale else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the refined ``x``; attention looks at ``x`` itself."""
        normed = self.norm(x)
        step = self.inner(normed, normed) if isinstance(self.inner, Attention) else self.inner(normed)
        return x + (step if self.alpha is None else self.alpha * step)


class Skips(nn.Module):
    """U-Net skips of a stack: what block i gave is joined before block n - 1 - i (Ronneberger, arXiv 1505.04597)."""

    def __init__(self, size: int, blocks: int, style: Style) -> None:
        """Build the joints of ``blocks`` blocks."""
        super().__init__()
        count = blocks // 2 if style.skips else 0
        self.first = blocks - count
        self.joints = nn.ModuleList(nn.Linear(2 * size, size) for _ in range(count))
        self.kept: int = count

    def join(self, index: int, h: Tensor, early: list[Tensor]) -> Tensor:
        """Return what block ``index`` reads; ``early`` are the outputs of the first blocks and is used up."""
        if self.kept and index >= self.first:
            joined: Tensor = h + self.joints[index - self.first](torch.cat([h, early.pop()], -1))
            return joined
        return h

    def keep(self, index: int, h: Tensor, early: list[Tensor]) -> None:
        """Remember the output of an early block."""
        if index < self.kept:
            early.append(h)


class TimeEmbedding(nn.Module):
    """A time from 0 to 1 as sines and cosines of 64 frequencies, then a small network."""

    FREQUENCIES = 64

    def __init__(self, size: int, style: Style) -> None:
        """Build for ``size`` outputs."""
        super().__init__()
        steps = torch.arange(self.FREQUENCIES) / (self.FREQUENCIES - 1)
        # Periods from 4 to 0.004, as pi0 has them (arXiv 2410.24164, appendix B).
        self.register_buffer("frequency", 2 * math.pi / (4.0 * 1e-3**steps))
        self.mix = nn.Linear(2 * self.FREQUENCIES, size)
        self.style = style

    def forward(self, time: Tensor) -> Tensor:
        """Return (..., size) of times (...)."""
        angle = time.unsqueeze(-1) * self.frequency
        mixed: Tensor = self.mix(torch.cat([torch.sin(angle), torch.cos(angle)], -1))
        return mixed
