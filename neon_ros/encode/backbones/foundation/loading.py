"""Load a published model frozen: safetensors only, every weight accounted for, no code from the folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from neon_ros.encode.backbones.foundation.folder import weight_files
from neon_ros.encode.backbones.foundation.memory import free_bytes, require_memory
from neon_ros.errors import CheckpointError, ConfigError, refuse

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def checked_device(device: str) -> torch.device:
    """Return a device that is there.

    :raises ConfigError: on an unknown or absent device.
    """
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(refuse("device", device, "cpu or cuda")) from error
    if found.type not in ("cpu", "cuda") or (found.type == "cuda" and not torch.cuda.is_available()):
        here = "cpu, cuda" if torch.cuda.is_available() else "cpu (no CUDA device here)"
        raise ConfigError(refuse("device", device, here))
    return found


def checked_dtype(dtype: str) -> torch.dtype:
    """Return torch's dtype of a name.

    :raises ConfigError: on an unknown name.
    """
    if dtype not in DTYPES:
        raise ConfigError(refuse("dtype", dtype, ", ".join(DTYPES)))
    return DTYPES[dtype]


def set_threads(threads: int) -> None:
    """Set the threads that torch uses in this process.

    :raises ConfigError: on a number that is not positive.
    """
    if threads < 1:
        raise ConfigError(refuse("threads", threads, "1 or more"))
    torch.set_num_threads(threads)


def weight_bytes(model_class: Any, config: Any, dtype: torch.dtype) -> int:
    """Return what the numbers of a model take [byte], without making them.

    :raises CheckpointError: when no model can be built from ``config``.
    """
    try:
        with _quiet(), torch.device("meta"):
            model = model_class(config)
    except Exception as error:  # a configuration can be wrong in as many ways as there are layers
        raise CheckpointError(refuse("config.json", error, f"a configuration of {model_class.__name__}")) from error
    return sum(p.numel() for p in model.parameters()) * torch.empty((), dtype=dtype).element_size()


def load_frozen(model_class: Any, folder: Path, config: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """Return a model with the folder's weights, in evaluation mode, that no gradient reaches.

    :param model_class: of ``transformers``.
    :param config: its configuration; may have fewer layers than the folder, which are then left out.
    :raises CheckpointError: when it does not fit, a weight is missing or of another shape, or a file is broken.
    """
    files = weight_files(folder)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_bytes()
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "memory"
    require_memory(str(folder), weight_bytes(model_class, config, dtype), free, where)
    try:
        with _quiet():
            model, report = model_class.from_pretrained(
                str(folder),
                config=config,
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
            model = model.to(device)
    except Exception as error:  # safetensors, json and transformers raise types that share no base
        raise CheckpointError(refuse(f"{folder}: {len(files)} files of weights", error, "as published")) from error
    absent = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if absent:
        got = f"{len(absent)} weights missing or of another shape, first {absent[0]}"
        raise CheckpointError(refuse(str(folder), got, f"all weights of {model_class.__name__}"))
    return freeze(model)


def freeze(model: nn.Module) -> nn.Module:
    """Return ``model`` in evaluation mode with gradients off.

    :raises CheckpointError: when a weight is not finite.
    """
    model.eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            raise CheckpointError(refuse(name, "values that are not finite", "finite weights"))
    return model


@contextmanager
def within_memory(name: str) -> Iterator[None]:
    """Turn a want of memory inside into a refusal that names it, so that the process lives on.

    :raises CheckpointError: when memory runs out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or "allocate memory" in first:
            allowed = "a smaller picture, window or model"
            raise CheckpointError(refuse(f"memory of {name}", first, allowed)) from error
        raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from listing the layers we leave out on purpose; what is missing we report ourselves."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
