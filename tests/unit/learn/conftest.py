"""Toy demonstrations that a small network can learn in seconds: bright tokens, a linear expert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROWS, COLUMNS, CHANNELS = 4, 7, 16
Arrays = dict[str, np.ndarray]


def toy_shard(frames: int, seed: int) -> Arrays:
    """Return the arrays of one shard: a thing lights the token where it lies, by colour and by shape."""
    generator = np.random.default_rng(seed)
    place = np.stack(
        [
            generator.uniform(0.3, 0.42, (frames, 3)),
            generator.uniform(-0.17, 0.17, (frames, 3)),
            np.full((frames, 3), 0.03),
        ],
        -1,
    )
    colour, shape = generator.integers(0, 6, (frames, 3)), generator.integers(0, 4, (frames, 3))
    uv = np.stack([0.5 - place[..., 1] * 2, 0.9 - (place[..., 0] - 0.3) * 4], -1)
    vision = generator.normal(0, 0.1, (frames, ROWS, COLUMNS, CHANNELS))
    for i in range(frames):
        for k in range(3):
            row, column = int(uv[i, k, 1] * ROWS), int(uv[i, k, 0] * COLUMNS)
            vision[i, row, column, colour[i, k]] += 2
            vision[i, row, column, 8 + shape[i, k]] += 2
    q = generator.normal(0, 0.1, (frames, 29)).astype(np.float32)
    hand = np.array([1.0, -1.0])[None, :, None, None, None]
    ramp = np.linspace(0.05, 1, 16)[None, None, None, :, None]
    offsets = (place @ np.linspace(-0.5, 0.5, 51).reshape(3, 17))[:, None, :, None, :]
    return {
        "vision": vision.reshape(frames, ROWS * COLUMNS, CHANNELS).astype(np.float16),
        "q": q,
        "dq": np.zeros((frames, 29), np.float32),
        "gravity": np.tile(np.float32([0, 0, -1]), (frames, 1)),
        "gyroscope": np.zeros((frames, 3), np.float32),
        "eef": np.tile(np.float32([0.2, 0.1, 0, 0, 0, 0, 1]), (frames, 2, 1)),
        "points": generator.normal(0, 0.3, (frames, 12, 3)).astype(np.float16),
        "chunks": (q[:, None, None, None, 12:] + ramp * hand * offsets).astype(np.float32),
        "colour": colour,
        "shape": shape,
        "place": place.astype(np.float32),
        "uv": uv.astype(np.float32),
        "seen": np.ones((frames, 3), bool),
        "episode": np.arange(frames) // 5,
    }


def toy_words(sentences: Sequence[str]) -> dict[str, np.ndarray]:
    """Return a fixed random vector per word: an encoder without a model."""
    text, mask = np.zeros((len(sentences), 32, 24), np.float32), np.zeros((len(sentences), 32), np.float32)
    for i, sentence in enumerate(sentences):
        for j, word in enumerate(sentence.split()[:32]):
            text[i, j] = np.random.default_rng(list(word.encode())).normal(0, 1, 24)
            mask[i, j] = 1
    return {"text": text, "text_mask": mask}


@pytest.fixture
def words() -> Callable[[Sequence[str]], dict[str, np.ndarray]]:
    """Return the toy text encoder."""
    return toy_words


@pytest.fixture
def toy() -> Callable[[int, int], Arrays]:
    """Return the maker of a toy shard: frames and seed."""
    return toy_shard


@pytest.fixture
def write_shards(tmp_path: Path) -> Callable[..., Path]:
    """Return a writer of two toy shards into a folder; ``damage`` may change the arrays of the first."""

    def write(damage: Callable[[Arrays], None] | None = None, frames: int = 60) -> Path:
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        for number in range(2):
            arrays = toy_shard(frames, number)
            if damage is not None and number == 0:
                damage(arrays)
            np.savez(folder / f"shard_{number}.npz", **arrays)  # type: ignore[arg-type]
        return folder

    return write


@pytest.fixture
def toy_preset() -> Any:
    """Return the shipped preset made small."""
    pytest.importorskip("yaml")
    from neon_ros.learn.presets import load_preset

    preset = load_preset("touch_mlp")
    return replace(preset, grid=(ROWS, COLUMNS), steps=12, frames=8, phrasings=3, validate_every=4, validation=0.1)
