"""Load a published model frozen: safetensors only, every weight accounted for, no code from the folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from neon_ros.encode.backbones.foundation.folder import weight_files
from neon_ros.encode.backbones.foundation.memory import CUDA_CONTEXT, NOTHING, Need, free_bytes, require_memory
from neon_ros.encode.backbones.foundation.precision import Precision, quantise, weight_bytes
from neon_ros.encode.backbones.memory import shortage
from neon_ros.errors import CheckpointError, ConfigError, refuse

Progress = Callable[[str], None]


def silent(doing: str) -> None:
    """Say nothing."""


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


def set_threads(threads: int) -> None:
    """Set the threads that torch uses in this process.

    :raises ConfigError: on a number that is not positive.
    """
    if threads < 1:
        raise ConfigError(refuse("threads", threads, "1 or more"))
    torch.set_num_threads(threads)


def sketch(model_class: Any, config: Any) -> nn.Module:
    """Return a model without numbers, to be measured.

    :raises CheckpointError: when no model can be built from ``config``.
    """
    try:
        with _quiet(), torch.device("meta"):
            model: nn.Module = model_class(config)
    except Exception as error:  # a configuration can be wrong in as many ways as there are layers
        raise CheckpointError(refuse("config.json", error, f"a configuration of {model_class.__name__}")) from error
    return model


def _require_room(folder: Path, outline: nn.Module, window: Need, precision: Precision, device: torch.device) -> None:
    """Refuse what does not fit: on the way the weights pass through the machine's memory, unquantised."""
    whole = Need(weight_bytes(outline, precision._replace(name="whole", bits=8 * precision.dtype.itemsize)))
    need = window._replace(weights=weight_bytes(outline, precision))
    if device.type == "cuda":
        require_memory(str(folder), whole, free_bytes(), "memory, on the way to the accelerator")
        free = torch.cuda.mem_get_info(device)[0] - CUDA_CONTEXT
        require_memory(str(folder), need, max(0, free), torch.cuda.get_device_name(device))
    else:
        require_memory(str(folder), max(need, whole, key=lambda one: one.total), free_bytes(), "memory")


def load_frozen(
    model_class: Any,
    folder: Path,
    config: Any,
    precision: Precision,
    device: torch.device,
    window: Need = NOTHING,
    progress: Progress = silent,
) -> Any:
    """Return a model with the folder's weights, in evaluation mode, that no gradient reaches.

    :param model_class: of ``transformers``.
    :param config: its configuration; may have fewer layers than the folder, which are then left out.
    :param window: what it needs beside its weights.
    :param progress: told what is being done.
    :raises MemoryShort: when it does not fit.
    :raises CheckpointError: when a weight is missing or of another shape, or a file is broken.
    """
    files = weight_files(folder)
    outline = sketch(model_class, config)
    _require_room(folder, outline, window, precision, device)
    gib = weight_bytes(outline, precision) / 2**30
    progress(f"reading {len(files)} files of {folder}: {gib:.2f} GiB as {precision.name} on {device}")
    try:
        with _quiet():
            model, report = model_class.from_pretrained(
                str(folder),
                config=config,
                dtype=precision.dtype,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
    except Exception as error:  # safetensors, json and transformers raise types that share no base
        if shortage(error):
            raise
        raise CheckpointError(refuse(f"{folder}: {len(files)} files of weights", error, "as published")) from error
    absent = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if absent:
        got = f"{len(absent)} weights missing or of another shape, first {absent[0]}"
        raise CheckpointError(refuse(str(folder), got, f"all weights of {model_class.__name__}"))
    frozen = freeze(model)
    if precision.quantised:
        progress(f"quantising to {precision.name}")
    return quantise(frozen, precision, device)


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
def _quiet() -> Iterator[None]:
    """Keep transformers from listing the layers we leave out on purpose; what is missing we report ourselves."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
