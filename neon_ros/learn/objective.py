"""What one batch costs: the chance that disturbs its inputs, and the losses it is judged by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neon_ros.act.manifest import MODALITIES
from neon_ros.act.networks.mlp import NeonModel
from neon_ros.learn import losses
from neon_ros.learn.dataset import Batch, Demonstrations, Sentences, draw_batch
from neon_ros.learn.presets import Preset


class Losses(NamedTuple):
    """The parts of the loss of one batch; ``total`` is what is minimised."""

    total: Tensor
    chunk: Tensor
    match: Tensor
    attention: Tensor
    place: Tensor


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
    _ablate(inputs, preset)


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
    config = model.head.config
    inputs = {name: torch.from_numpy(value) for name, value in batch.inputs.items()}
    rows = {name: torch.from_numpy(value) for name, value in batch.rows.items()}
    said = model.predict(inputs, len(inputs["text"]) // len(inputs["q"]))
    here = rows["q"][:, None, list(config.joint_indices)]
    truth = losses.Truth(
        offsets=(rows["chunks"] - here) / model.head.scale,
        place=rows["place"],
        target=rows["target"],
        seen=rows["seen"],
        uv=rows["uv"],
        same=rows["same"],
    )
    chunk = losses.chunk_loss(said, truth)
    zero = torch.zeros(())
    match = attention = place = zero
    if preset.ablation == "none":
        shares = losses.corners(truth.uv, config.rows, config.columns)
        told = inputs["text_mask"].amax(1) * inputs["present"][:, 0]  # nothing to find without words and picture
        looked = inputs["vision"].abs().amax((1, 2)).repeat_interleave(len(told) // len(inputs["q"])) > 0
        truth = replace(truth, seen=truth.seen * (told * looked).unsqueeze(1))
        background = losses.far_from_all(truth.uv, truth.seen, config.rows, config.columns)
        background = background & (told * looked > 0).unsqueeze(1)
        match = losses.match_loss(said.grounded, truth, shares, background)
        attention = losses.attention_loss(said.grounded, truth, shares)
        place = losses.place_loss(said, truth)
    total = (
        chunk
        + 0.1 * losses.base_loss(said)
        + preset.match_weight * match
        + preset.attention_weight * attention
        + preset.place_weight * place
    )
    return Losses(total, chunk, match, attention, place)


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
        said = model.predict({name: torch.from_numpy(value) for name, value in batch.inputs.items()}, 2)
        config = model.head.config
        offsets = (
            batch.rows["chunks"] - batch.rows["q"][:, None, list(config.joint_indices)]
        ) / model.head.scale.numpy()
        chunk.append(np.abs(said.offsets.numpy() - offsets).mean((1, 2)))
        place.append(np.linalg.norm(said.place.numpy() - batch.rows["place"], axis=1))
        shares = losses.corners(torch.from_numpy(batch.rows["uv"]), config.rows, config.columns)
        looked_at = torch.matmul(shares, said.grounded.attention.unsqueeze(-1)).squeeze(-1).argmax(1)
        target.append(looked_at.numpy() == batch.rows["target"])
    return {
        "val_chunk": float(np.concatenate(chunk).mean()),
        "val_place_mm": float(1e3 * np.median(np.concatenate(place))),
        "val_target": float(np.concatenate(target).mean()),
    }
