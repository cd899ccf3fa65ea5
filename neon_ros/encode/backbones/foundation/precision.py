"""Numbers of a model: full, half, or weights alone in 8 or 4 bits while everything is still computed in bf16.

``int8`` is torchao's weight-only scheme, one scale a row; ``int4`` is bitsandbytes' NF4 (arXiv:2305.14314), one scale
per 64 weights.  Both run on the CPU (docs/backbones.md has what they cost there); torchao's own packed 4 bits do not.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from neon_ros.errors import ConfigError, refuse

_BLOCK = 64
"""Weights that share one scale in NF4."""
_LEFT = ("lm_head",)
"""Parts that are thrown away after loading."""
COMPILED = ("off", "default", "cudagraphs")


class Precision(NamedTuple):
    """How the numbers of a model are kept.

    :param name: as in the option ``precision``.
    :param dtype: of what is computed, and of weights that are not quantised.
    :param bits: of a weight of a linear layer.
    :param package: that must be installed; empty for none.
    """

    name: str
    dtype: torch.dtype
    bits: int
    package: str = ""

    @property
    def quantised(self) -> bool:
        """Return whether the weights of linear layers are kept in fewer bits than they are computed in."""
        return self.bits < 16

    def linear_bytes(self, rows: int, columns: int) -> int:
        """Return what the weights of a linear layer take, with their scales [byte]."""
        count = rows * columns
        if self.name == "int8":
            return count + 5 * rows  # a float32 scale and an int8 zero point a row
        if self.name == "int4":
            return -(-count // 2) + 4 * -(-count // _BLOCK)
        return count * self.bits // 8


PRECISIONS = {
    precision.name: precision
    for precision in (
        Precision("fp32", torch.float32, 32),
        Precision("bf16", torch.bfloat16, 16),
        Precision("fp16", torch.float16, 16),
        Precision("int8", torch.bfloat16, 8, "torchao"),
        Precision("int4", torch.bfloat16, 4, "bitsandbytes"),
    )
}


def checked_precision(name: str) -> Precision:
    """Return a precision that this machine can load.

    :raises ConfigError: on an unknown name, or when the package it needs is not installed.
    """
    if name not in PRECISIONS:
        raise ConfigError(refuse("precision", name, ", ".join(PRECISIONS)))
    precision = PRECISIONS[name]
    if precision.package:
        try:
            __import__(precision.package)
        except Exception as error:  # a package of kernels can fail in many ways, each with its own type
            got = f"{name}, and {precision.package} cannot be imported ({error})"
            allowed = f"pip install {precision.package} (the extra quantised), or bf16"
            raise ConfigError(refuse("precision", got, allowed)) from error
    return precision


def _linears(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """Yield each plain linear layer that is kept, with its parent and its name there."""
    for path, parent in model.named_modules():
        for name, child in parent.named_children():
            if type(child) is nn.Linear and not f"{path}.{name}".strip(".").startswith(_LEFT):
                yield parent, name, child


def weight_bytes(model: nn.Module, precision: Precision) -> int:
    """Return what the numbers of a model will take [byte]; it may be on the device ``meta``."""
    linears = {id(layer.weight): layer.weight for _, _, layer in _linears(model)} if precision.quantised else {}
    size = precision.dtype.itemsize
    plain = sum(p.numel() * size for p in model.parameters() if id(p) not in linears)
    return plain + sum(precision.linear_bytes(*weight.shape) for weight in linears.values())


def quantise(model: nn.Module, precision: Precision, device: torch.device) -> nn.Module:
    """Return ``model`` on ``device``, its linear layers quantised one after the other as they go there.

    :param model: in ``precision.dtype``.
    """
    if precision.name == "int8":
        from torchao.quantization import Int8WeightOnlyConfig, quantize_

        def kept(module: nn.Module, path: str) -> bool:
            return type(module) is nn.Linear and not path.startswith(_LEFT)

        quantize_(model, Int8WeightOnlyConfig(), filter_fn=kept, device=device)
    elif precision.name == "int4":
        for parent, name, layer in list(_linears(model)):
            setattr(parent, name, _four_bits(layer, precision.dtype, device))
    return model.to(device).requires_grad_(False)


def _four_bits(layer: nn.Linear, dtype: torch.dtype, device: torch.device) -> Any:
    from bitsandbytes.nn import Linear4bit, Params4bit

    with torch.device("meta"):
        made = Linear4bit(layer.in_features, layer.out_features, bias=False, compute_dtype=dtype, quant_type="nf4")
    made.weight = Params4bit(layer.weight.data, False, compress_statistics=False, quant_type="nf4", module=made)
    made.bias = layer.bias
    return made.to(device=device)


def checked_compiled(compiled: str, device: torch.device) -> str:
    """Return a way to compile that works here.

    :raises ConfigError: on an unknown one, CUDA graphs without CUDA, or no C++ compiler where one is needed.
    """
    if compiled not in COMPILED:
        raise ConfigError(refuse("compiled", compiled, ", ".join(COMPILED)))
    if compiled == "cudagraphs" and device.type != "cuda":
        raise ConfigError(refuse("compiled", f"cudagraphs on {device.type}", "off or default, or device cuda"))
    if compiled != "off" and device.type == "cpu" and not any(map(shutil.which, ("g++", "c++", "clang++"))):
        raise ConfigError(refuse("compiled", f"{compiled} without a C++ compiler", "off, or g++ installed"))
    return compiled


def compile_tower(tower: nn.Module, compiled: str) -> None:
    """Compile a tower whose input has always one shape; the work is done at its first picture.

    :param compiled: ``cudagraphs`` replays one recorded graph: its outputs must be copied before the next picture.
    """
    if compiled != "off":
        tower.compile(mode="reduce-overhead" if compiled == "cudagraphs" else None, dynamic=False)
