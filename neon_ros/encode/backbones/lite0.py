"""EfficientNet-lite0 up to its last stage at stride 16, as an ONNX graph made from the published weights.

Architecture: ``tensorflow/tpu:models/official/efficientnet/lite/efficientnet_lite_builder.py`` (no squeeze-excitation,
ReLU6, stem and head not scaled), paper arXiv:1905.11946; the weight names are those of ``efficientnet-lite-pytorch``.
Batch normalisation is folded into the convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from neon_ros.encode.backbones.graph import GraphWriter

WIDTH, HEIGHT = 224, 128
"""Picture size the graph takes [pixel]."""
STRIDE = 16
CHANNELS = 112
TOKENS = (WIDTH // STRIDE) * (HEIGHT // STRIDE)
"""8 rows of 14 columns, row-major."""

_BN_EPSILON = 1e-3
_MEAN, _DEVIATION = 127.0, 128.0
_STEM_CHANNELS = 32


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, CHANNELS),
)


def vision_graph(weights: Mapping[str, NDArray]) -> ModelProto:
    """Return the graph: ``image`` uint8 (B, 128, 224, 3) RGB to ``vision`` float32 (B, 112 tokens, 112 channels).

    :param weights: the tensors of ``efficientnet-lite0-57934424.pth`` by name.
    :raises CheckpointError: when a tensor is missing.
    """
    graph = GraphWriter("EfficientNet-lite0", weights)
    x = graph.node("Cast", graph.node("Transpose", "image", perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    x = graph.node("Div", graph.node("Sub", x, graph.scalar(_MEAN)), graph.scalar(_DEVIATION))  # (B, 3, 128, 224)
    x = _conv(graph, x, "_conv_stem", "_bn0", stride=2)
    block, channels = 0, _STEM_CHANNELS
    for stage in _STAGES:
        for repeat in range(stage.repeats):
            x = _block(graph, x, f"_blocks.{block}", stage, stage.stride if repeat == 0 else 1, channels)
            block, channels = block + 1, stage.channels
    tokens = graph.node("Transpose", x, perm=[0, 2, 3, 1])  # (B, 8, 14, 112)
    graph.reshape(tokens, (0, TOKENS, CHANNELS), output="vision")
    return graph.model(
        "efficientnet_lite0_s16",
        [("image", TensorProto.UINT8, ("batch", HEIGHT, WIDTH, 3))],
        [("vision", TensorProto.FLOAT, ("batch", TOKENS, CHANNELS))],
    )


def _block(graph: GraphWriter, x: str, name: str, stage: _Stage, stride: int, channels: int) -> str:
    """Add one inverted residual (expand, depthwise, project, skip) on ``channels`` inputs and return its output."""
    wide = channels * stage.expand
    y = _conv(graph, x, f"{name}._expand_conv", f"{name}._bn0") if stage.expand > 1 else x
    y = _conv(graph, y, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride, groups=wide)
    y = _conv(graph, y, f"{name}._project_conv", f"{name}._bn2", activate=False)
    return graph.node("Add", y, x) if stride == 1 and channels == stage.channels else y


def _conv(
    graph: GraphWriter, x: str, name: str, norm: str, stride: int = 1, groups: int = 1, activate: bool = True
) -> str:
    """Add a convolution with its batch normalisation folded in, padded as TensorFlow's ``SAME`` on even sizes."""
    kernel = graph.weight(f"{name}.weight").astype(np.float64)
    variance = graph.weight(f"{norm}.running_var").astype(np.float64)
    gain = graph.weight(f"{norm}.weight") / np.sqrt(variance + _BN_EPSILON)
    bias = graph.weight(f"{norm}.bias") - graph.weight(f"{norm}.running_mean") * gain
    padding = kernel.shape[-1] - stride
    before, after = padding // 2, padding - padding // 2
    folded = graph.constant(f"{name}.weight", kernel * gain[:, None, None, None])
    shift = graph.constant(f"{name}.bias", bias)
    pads = [before, before, after, after]
    y = graph.node("Conv", x, folded, shift, strides=[stride, stride], pads=pads, group=groups)
    return graph.node("Clip", y, graph.scalar(0.0), graph.scalar(6.0)) if activate else y
