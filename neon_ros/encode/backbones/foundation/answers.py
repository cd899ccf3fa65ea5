"""What a video-language model says of the stream: the window read through all layers, then one word piece at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from neon_ros.encode.backbones.foundation.stream import PrefixReader, Segment


def first_layers(language: nn.Module, count: int) -> Any:
    """Return a language model of the first ``count`` layers of another, which shares its weights and keeps its own."""
    short: Any = copy.copy(language)
    short._modules = dict(language._modules)
    short.config = copy.deepcopy(language.config)
    short.config.num_hidden_layers = count
    if getattr(short.config, "layer_types", None):
        short.config.layer_types = list(short.config.layer_types[:count])
    short.layers = nn.ModuleList(list(short.layers)[:count])
    return short


@torch.no_grad()
def continued(
    whole: Any,
    segments: Sequence[Segment],
    token: Callable[[int, int], Segment],
    stop: frozenset[int],
    most: int,
    wanted: Callable[[], bool] = lambda: True,
) -> list[int]:
    """Return the likeliest tokens after a window, one after the other.

    :param whole: the model with all layers and ``lm_head``.
    :param segments: the window, up to where the answer begins.
    :param token: makes a segment of a token and its position.
    :param stop: tokens that end the answer.
    :param most: tokens.
    :param wanted: tells whether to go on; asked before each token.
    """
    reader, said, window = PrefixReader(whole.model.language_model), [], list(segments)
    for _ in range(most):
        if not wanted():
            break
        state = reader.read(window)[-1][-1]
        likeliest = int(whole.lm_head(state).argmax())
        if likeliest in stop:
            break
        said.append(likeliest)
        window.append(token(likeliest, following(window)))
    return said


def embedded(segments: Sequence[Segment]) -> list[Segment]:
    """Return the same segments with their tokens made now, so that reading them asks for nothing that may change."""
    return [replace(segment, embed=partial(_same, segment.embed())) for segment in segments]


def _same(made: Any) -> Any:
    return made


@contextmanager
def aside(device: torch.device) -> Iterator[None]:
    """Let what runs inside wait for what was computed so far, and then not stand in the way of the features."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.default_stream(device))
    with torch.cuda.stream(stream):
        yield


def following(segments: Sequence[Segment]) -> int:
    """Return the position after the last of all segments."""
    return int(max(segment.positions.max() for segment in segments)) + 1
