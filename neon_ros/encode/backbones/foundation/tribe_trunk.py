"""What joins the senses of TRIBE v2: a projection of each to 384, side by side 1152, and the published transformer.

The published transformer (8 layers, 8 heads, ScaleNorm, rotary positions, scaled residuals) was trained to predict
brain responses; its weights load by their published names from safetensors.  Where they are not, a fixed random
projection keeps the distances between what the senses say (Johnson and Lindenstrauss) and there is no transformer.
Architecture: facebookresearch/tribev2 ``tribev2/model.py`` and x-transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from neon_ros.encode.backbones.foundation.folder import fingerprint, weight_files
from neon_ros.encode.backbones.foundation.loading import freeze
from neon_ros.errors import CheckpointError, refuse

SENSES = ("text", "audio", "video")
"""In the order in which they stand side by side."""
PROJECTED = 384
HEADS = 8
_UNUSED = ("predictor.", "low_rank_head.", "encoder.rotary_pos_emb.")
"""The parts that turn states into brain responses, and a table that is computed anew."""


class RandomJoin(nn.Module):
    """A fixed random projection of each sense.

    :param sizes: of what each sense says.
    """

    name = "random-projection"

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.projectors = nn.ModuleDict()
        for number, sense in enumerate(SENSES):
            generator = torch.Generator().manual_seed(1152 + number)
            linear = nn.Linear(sizes[sense], PROJECTED, bias=False)
            with torch.no_grad():
                linear.weight.copy_(torch.randn(PROJECTED, sizes[sense], generator=generator) / PROJECTED**0.5)
            self.projectors[sense] = linear
        freeze(self)

    def project(self, sense: str, said: Tensor) -> Tensor:
        """Return (…, 384) of what a sense says (…, N), brought to the same scale first: the senses differ by 100."""
        projected: Tensor = self.projectors[sense](functional.layer_norm(said, said.shape[-1:]))
        return projected / said.shape[-1] ** 0.5 * PROJECTED**0.5

    def forward(self, ticks: Tensor) -> Tensor:
        """Return the ticks (T, 1152) as they are."""
        return ticks


class ScaleNorm(nn.Module):
    """Scale to a length of sqrt(D), then by one learned number (arXiv:1910.05895)."""

    def __init__(self) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled ``x``, shape kept."""
        return functional.normalize(x, dim=-1) * x.shape[-1] ** 0.5 * self.g


class _Attention(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(size, size, bias=False) for _ in range(4))

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        count, size = x.shape
        q, k, v = (f(x).view(count, HEADS, size // HEADS).transpose(0, 1) for f in (self.to_q, self.to_k, self.to_v))
        mixed = functional.scaled_dot_product_attention(_rotate(q, angles), _rotate(k, angles), v)  # (heads, T, width)
        out: Tensor = self.to_out(mixed.transpose(0, 1).reshape(count, size))
        return out


class _FeedForward(nn.Module):
    def __init__(self, size: int, inner: int) -> None:
        super().__init__()
        self.ff = nn.Sequential(nn.Sequential(nn.Linear(size, inner), nn.GELU()), nn.Identity(), nn.Linear(inner, size))

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        out: Tensor = self.ff(x)
        return out


class _Residual(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.residual_scale = nn.Parameter(torch.ones(size))


class _Encoder(nn.Module):
    def __init__(self, size: int, inner: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(depth):
            for block in (_Attention(size), _FeedForward(size, inner)):
                self.layers.append(nn.ModuleList([nn.ModuleList([ScaleNorm()]), block, _Residual(size)]))
        self.final_norm = ScaleNorm()


class PublishedTrunk(nn.Module):
    """The published projections and transformer.

    :param folder: with ``model.safetensors``, the published checkpoint's tensors by name, with or without ``model.``.
    :param sizes: of what each sense says.
    :raises CheckpointError: when a tensor is missing, of another shape or not known.
    """

    def __init__(self, folder: Path, sizes: Mapping[str, int]) -> None:
        from safetensors.torch import load_file

        super().__init__()
        files = weight_files(folder)
        tensors = {
            name.removeprefix("model."): value.float() for file in files for name, value in load_file(str(file)).items()
        }
        tensors = {name: value for name, value in tensors.items() if not name.startswith(_UNUSED)}
        names = [name for name in tensors if name.startswith("encoder.layers.")]
        depth = max((int(name.split(".")[2]) for name in names), default=-1) + 1
        inner = tensors.get("encoder.layers.1.1.ff.0.0.bias", torch.empty(0)).shape[0]
        places = tensors.get("time_pos_embed", torch.empty(1, 0, 0))
        size = PROJECTED * len(SENSES)
        self.projectors = nn.ModuleDict({sense: nn.Linear(sizes[sense], PROJECTED) for sense in SENSES})
        self.time_pos_embed = nn.Parameter(torch.zeros(1, places.shape[1], size))
        self.encoder = _Encoder(size, inner, depth // 2)
        try:
            self.load_state_dict(tensors)
        except RuntimeError as error:
            raise CheckpointError(refuse(f"{folder}: trunk", error, "the tensors of TRIBE v2")) from error
        self.name = f"trunk-{fingerprint(files)}"
        freeze(self)

    def project(self, sense: str, said: Tensor) -> Tensor:
        """Return (…, 384) of what a sense says (…, N)."""
        projected: Tensor = self.projectors[sense](said)
        return projected

    def forward(self, ticks: Tensor) -> Tensor:
        """Return the states (T, 1152) of ticks (T, 1152)."""
        x = ticks + self.time_pos_embed[0, : len(ticks)]
        angles = _angles(len(ticks), max(32, x.shape[-1] // HEADS // 2), x.device)
        for norms, block, residual in self.encoder.layers:
            x = block(norms[0](x), angles) + x * residual.residual_scale
        normed: Tensor = self.encoder.final_norm(x)
        return normed


def _angles(count: int, width: int, device: torch.device) -> Tensor:
    """Return the angles (T, width) of rotary positions over the first ``width`` channels (arXiv:2104.09864)."""
    speeds = 10000.0 ** (-torch.arange(0, width, 2, device=device).float() / width)
    angles = torch.arange(count, device=device).float()[:, None] * speeds
    return torch.cat([angles, angles], dim=-1)


def _rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Return ``x`` (heads, T, width) turned by ``angles`` in its first channels."""
    turned, kept = x[..., : angles.shape[-1]], x[..., angles.shape[-1] :]
    a, b = turned.chunk(2, dim=-1)
    return torch.cat([turned * angles.cos() + torch.cat([-b, a], dim=-1) * angles.sin(), kept], dim=-1)
