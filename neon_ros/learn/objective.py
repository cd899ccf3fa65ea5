"""What one batch costs: the chance that disturbs its inputs, and the losses it is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neon_ros.act.manifest import MODALITIES
from neon_ros.act.networks.config import ACTIONS
from neon_ros.act.networks.fusion import Context
from neon_ros.act.networks.head import Chance
from neon_ros.act.networks.model import NeonModel
from neon_ros.errors import ConfigError, refuse
from neon_ros.learn import losses
from neon_ros.learn.dataset import Batch, Demonstrations, Sentences, draw_batch
from neon_ros.learn.presets import Preset

RETURN = 4.0
"""Steps in which a chunk leads from committed steps that were not the expert's back to what the expert does."""


class Losses(NamedTuple):
    """The parts of the loss of one batch; ``total`` is what is minimised."""

    total: Tensor
    chunk: Tensor
    match: Tensor
    attention: Tensor
    place: Tensor
    balance: Tensor


def add_chance(batch: Batch, preset: Preset, generator: np.random.Generator) -> None:
    """Blank, drop and disturb inputs as the preset says, and draw what is present and how old it is."""
    inputs = batch.inputs
    captures, samples = len(inputs["q"]), len(inputs["text"])
    spread = inputs["vision"].std((0, 1))
    inputs["vision"] += _noise(generator, inputs["vision"].shape) * (preset.vision_noise * spread)
    spread = inputs["text"][:, 1].std(0)
    inputs["text"] += _noise(generator, inputs["text"].shape) * (preset.text_noise * spread)
    inputs["vision"][generator.random(captures) < preset.vision_dropout] = 0.0
    inputs["text_mask"][generator.random(samples) < preset.text_dropout] = 0.0
    chance = np.array([preset.vision_dropout, *[preset.modality_dropout] * 3])
    inputs["present"] = (generator.random((samples, len(MODALITIES))) >= chance).astype(np.float32)
    ages = generator.random((samples, len(MODALITIES)), dtype=np.float32) * np.float32(preset.max_age)
    inputs["age"] = ages * inputs["present"]
    horizon = batch.rows["chunks"].shape[1]
    batch.rows["noise"] = generator.standard_normal((samples, horizon, ACTIONS), dtype=np.float32)
    batch.rows["time"] = generator.random(samples, dtype=np.float32)
    committed = generator.integers(0, preset.committed + 1, samples)
    batch.rows["committed"] = np.minimum(committed, horizon - 1)
    if preset.committed_noise:
        joints = batch.rows["chunks"].shape[2]
        away = generator.standard_normal((samples, 2, joints), dtype=np.float32) * np.float32(preset.committed_noise)
        away[generator.random(samples) < 0.5] = 0.0  # half of what is committed was well decided
        batch.rows["chunks"] = batch.rows["chunks"] + displacement(away, batch.rows["committed"], horizon)
    _ablate(inputs, preset)


def displacement(away: NDArray[np.float32], committed: NDArray[np.integer], horizon: int) -> NDArray[np.float32]:
    """Return how far each step of a chunk is from the expert's (B, H, J) [rad].

    Committed steps drift on a line; behind them the distance fades to nothing along a smooth step.

    :param away: at the first committed step, and gained until the last one (B, 2, J) [rad].
    :param committed: number of committed steps (B,); without any nothing is displaced.
    """
    steps = np.arange(horizon, dtype=np.float32)
    count = committed[:, None].astype(np.float32)  # (B, 1)
    gained = np.clip(steps / np.maximum(count - 1.0, 1.0), 0.0, 1.0)  # (B, H)
    gone = np.clip((steps - count + 1.0) / RETURN, 0.0, 1.0)
    left = (1.0 - gone * gone * (3.0 - 2.0 * gone)) * (count > 0)
    drift: NDArray[np.float32] = (away[:, None, 0] + gained[..., None] * away[:, None, 1]) * left[..., None]
    return drift


def _noise(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return even noise of standard deviation 1, which costs a third of a normal one."""
    return (generator.random(shape, dtype=np.float32) - np.float32(0.5)) * np.float32(12**0.5)


def _ablate(inputs: dict[str, NDArray[Any]], preset: Preset) -> None:
    if preset.ablation == "blind":
        inputs["vision"][:] = 0.0
    elif preset.ablation == "wordless":
        inputs["text"][:] = 0.0
        inputs["text_mask"][:] = 0.0


def loss_of(model: NeonModel, batch: Batch, preset: Preset) -> Losses:
    """Return the losses of one batch."""
    inputs = {name: torch.from_numpy(value) for name, value in batch.inputs.items()}
    rows = {name: torch.from_numpy(value) for name, value in batch.rows.items()}
    with torch.autocast("cpu", torch.bfloat16, enabled=half(preset.precision)):
        context = model.context(inputs, len(inputs["text"]) // len(inputs["q"]))
        chance = Chance(rows["noise"], rows["time"], rows["committed"])
        own = model.head.loss(context, labels_of(model, rows, context), chance)
    match = attention = place = torch.zeros(())
    if preset.ablation == "none" and not preset.freeze:
        match, attention, place = _helps(model, inputs, rows, context)
    total = own.total + preset.match_weight * match + preset.attention_weight * attention + preset.place_weight * place
    return Losses(total, own.total, match, attention, place, own.balance)


@cache
def half(precision: str) -> bool:
    """Return whether products of matrices are computed in bf16; weights, sums and losses stay float32.

    :raises ConfigError: when bf16 is asked for and this processor would only imitate it.
    """
    has = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if precision == "bf16" and not has:
        raise ConfigError(refuse("preset.precision", "bf16", "fp32 or auto on this processor"))
    return precision != "fp32" and has


def labels_of(model: NeonModel, rows: Mapping[str, Tensor], context: Context) -> Tensor:
    """Return the expert's chunks, joints and base velocity, in the units of the head (B, H, 32)."""
    return model.head.to_actions(rows["chunks"], rows["base"], context.here)


def _helps(
    model: NeonModel, inputs: dict[str, Tensor], rows: dict[str, Tensor], context: Context
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the words, the attention and the place got wrong."""
    config = model.head.config
    truth = losses.Truth(rows["place"], rows["target"], rows["seen"], rows["uv"], rows["same"])
    shares = losses.corners(truth.uv, config.rows, config.columns)
    told = inputs["text_mask"].amax(1) * inputs["present"][:, 0]  # nothing to find without words and picture
    looked = inputs["vision"].abs().amax((1, 2)).repeat_interleave(len(told) // len(inputs["q"])) > 0
    truth = replace(truth, seen=truth.seen * (told * looked).unsqueeze(1))
    background = losses.far_from_all(truth.uv, truth.seen, config.rows, config.columns)
    background = background & (told * looked > 0).unsqueeze(1)
    return (
        losses.match_loss(context.grounded, truth, shares, background),
        losses.attention_loss(context.grounded, truth, shares),
        losses.place_loss(context.place, truth),
    )


@torch.no_grad()
def validate(
    model: NeonModel, data: Demonstrations, sentences: Sentences, frames: NDArray[np.intp], preset: Preset
) -> dict[str, float]:
    """Return how the network does on frames kept apart, with everything present and nothing disturbed.

    ``val_chunk`` is the mean absolute error in units of the labels' spread, ``val_place_mm`` the median error of the
    target's position, ``val_target`` the share of captures whose attention is on the right thing.
    """
    if not len(frames):
        return {"val_chunk": float("nan"), "val_place_mm": float("nan"), "val_target": float("nan")}
    generator = np.random.default_rng(1)
    chunk, place, target = [], [], []
    some = frames[generator.permutation(len(frames))[:512]]
    for start in range(0, len(some), 64):
        batch = draw_batch(data, sentences, some[start : start + 64], 2, generator)
        samples = len(batch.inputs["text"])
        batch.inputs["present"] = np.ones((samples, len(MODALITIES)), dtype=np.float32)
        batch.inputs["age"] = np.zeros((samples, len(MODALITIES)), dtype=np.float32)
        _ablate(batch.inputs, preset)
        context = model.context({name: torch.from_numpy(value) for name, value in batch.inputs.items()}, 2)
        rows = {name: torch.from_numpy(batch.rows[name]) for name in ("chunks", "base")}
        truth = labels_of(model, rows, context)
        nothing = torch.zeros(1, *truth.shape[1:])
        said = model.head.sample(context, torch.zeros_like(truth), nothing, nothing[..., 0])[0]  # no noise, as in use
        chunk.append(float(model.head.error(said, truth)) * np.ones(samples))
        config = model.head.config
        place.append(np.linalg.norm(context.place.numpy() - batch.rows["place"], axis=1))
        shares = losses.corners(torch.from_numpy(batch.rows["uv"]), config.rows, config.columns)
        looked_at = torch.matmul(shares, context.grounded.attention.unsqueeze(-1)).squeeze(-1).argmax(1)
        target.append(looked_at.numpy() == batch.rows["target"])
    return {
        "val_chunk": float(np.concatenate(chunk).mean()),
        "val_place_mm": float(1e3 * np.median(np.concatenate(place))),
        "val_target": float(np.concatenate(target).mean()),
    }
