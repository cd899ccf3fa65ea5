"""The vision tower of a backbone as an ONNX file, for TensorRT on a Jetson or ONNX Runtime anywhere.

The tower is where the size of the input is fixed and most of the time of a new picture goes; the language model, whose
memory grows, stays with PyTorch.  The graph is checked against the model on pictures that it was not traced with.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.foundation.language import VideoLanguage
from neon_ros.encode.backbones.foundation.tribe_v2 import TribeV2
from neon_ros.errors import CheckpointError, ConfigError, refuse

OPSET = 18
TOLERANCE = 1e-3
"""Largest difference to the model, in parts of its largest value; the graph always computes in fp32."""


class _Patches(nn.Module):
    """The tower of a video-language model for one picture: patches (N, P) to tokens (T, D) and what DeepStack adds."""

    def __init__(self, tower: nn.Module, grid: tuple[int, int]) -> None:
        super().__init__()
        self.tower = tower
        self._grid = [[1, *grid]]

    def forward(self, patches: Tensor) -> tuple[Tensor, ...]:
        output: Any = self.tower(patches, grid_thw=torch.tensor(self._grid))
        return (output.pooler_output, *(getattr(output, "deepstack_features", None) or ()))


class _Clip(nn.Module):
    """V-JEPA 2 for one clip (1, T, 3, H, W): the states of every layer, meaned over its tokens, and its last tokens."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip: Tensor) -> tuple[Tensor, ...]:
        output: Any = self.model(pixel_values_videos=clip, skip_predictor=True, output_hidden_states=True)
        return output.last_hidden_state[0], torch.stack([state[0].mean(0) for state in output.hidden_states])


def export_vision(backbone: Any, file: Path) -> float:
    """Write the vision tower of a backbone to an ONNX file and return its largest difference to the model.

    Inputs are ``patches`` (N, P) as :class:`~neon_ros.encode.backbones.foundation.pictures.PatchLayout` cuts them, or
    ``clip`` (1, T, 3, H, W); outputs are ``tokens`` and, after it, what is added in the first layers, or ``means``.

    :raises ConfigError: on a backbone without a tower of its own, or quantised or compiled weights.
    :raises CheckpointError: when the graph computes something else than the model.
    """
    tower, example, name, outputs = _tower(backbone)
    linear = [part for part in tower.modules() if isinstance(part, nn.Linear) and type(part) is not nn.Linear]
    if linear or any(type(weight) is not nn.Parameter for weight in tower.parameters()):
        raise ConfigError(refuse("backbone to export", "quantised weights", "precision fp32, bf16 or fp16"))
    tower = tower.float().cpu().eval()
    file.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            tower,
            (torch.from_numpy(example),),
            str(file),
            input_names=[name],
            output_names=outputs,
            opset_version=OPSET,
            dynamo=False,
        )
    return _difference(tower, file, name, example.shape)


def _tower(backbone: Any) -> tuple[nn.Module, FloatArray, str, list[str]]:
    random = np.random.default_rng(0)
    if isinstance(backbone, VideoLanguage):
        layout, tower = backbone.layout, backbone.model.visual
        grey = random.integers(0, 256, (layout.height, layout.width, 3), dtype=np.uint8)
        deep = len(getattr(tower, "deepstack_visual_indexes", ()))
        return (
            _Patches(tower, layout.grid),
            layout.patches(grey),
            "patches",
            ["tokens", *map("deep_{}".format, range(deep))],
        )
    if isinstance(backbone, TribeV2):
        side, pictures = backbone.video.side, backbone.pictures
        clip = random.standard_normal((1, pictures, 3, side, side)).astype(np.float32)
        return _Clip(backbone.video.model), clip, "clip", ["tokens", "means"]
    allowed = "qwen_omni, cosmos_reason or tribe_v2; compact is ONNX already"
    raise ConfigError(refuse("backbone to export", getattr(backbone, "model_id", type(backbone).__name__), allowed))


def _difference(tower: nn.Module, file: Path, name: str, shape: tuple[int, ...]) -> float:
    import onnxruntime

    other = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    got = session.run(None, {name: other})
    with torch.no_grad():
        wanted = [value.numpy() for value in tower(torch.from_numpy(other))]
    worst = 0.0
    for there, here in zip(got, wanted, strict=True):
        worst = max(worst, float(np.abs(there - here).max() / max(1.0, float(np.abs(here).max()))))
    if not worst <= TOLERANCE:
        raise CheckpointError(
            refuse(f"{file}: largest difference to the model", f"{worst:.1e}", f"at most {TOLERANCE:g}")
        )
    return worst
