"""The demonstrations in memory: shards are checked frame by frame, sentences encoded once, batches drawn from a seed.

A shard is an ``.npz`` of arrays over N frames, see :mod:`neon_ros.data.episode`.  Each frame carries the expert's chunk
for all six instructions of its scene (two hands, three things), so one picture teaches up to six sentences.  Shards of
several tasks may be mixed: each frame knows its task, and the words are those of that task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neon_ros.data.episode import OPTIONAL, SHARD, load_shard
from neon_ros.encode.eef import eef_rows
from neon_ros.encode.lidar import MAX_POINTS
from neon_ros.encode.proprio import proprio_rows
from neon_ros.errors import ContractError, refuse
from neon_ros.learn.language import COLOURS, HANDS, SHAPES, TASK_NAMES, Instruction, every_sentence, templates

THINGS = 3


@dataclass(frozen=True)
class Demonstrations:
    """All frames of all shards, arrays by the names of :mod:`neon_ros.data.episode`."""

    arrays: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.arrays["q"])

    def split(self, share: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the frames to train on and those kept apart, cut between episodes.

        :param share: of the episodes to keep apart.
        """
        episodes = np.unique(self.arrays["episode"])
        order = np.random.default_rng(seed).permutation(episodes)
        kept = order[: round(share * len(episodes))]
        apart = np.isin(self.arrays["episode"], kept)
        return np.flatnonzero(~apart), np.flatnonzero(apart)


def load_demonstrations(folder: Path) -> Demonstrations:
    """Read all shards of ``folder``; without any, all shards of its subfolders, a mixture of data sets.

    :raises ContractError: when there are none, or one is broken, or a frame holds what it must not; the error names it.
    """
    paths = sorted(folder.glob("*.npz")) or sorted(folder.glob("*/*.npz"))
    if not paths:
        raise ContractError(refuse(f"demonstrations in {folder}", "no *.npz", "at least one shard"))
    shards = [_load_shard(path) for path in paths]
    offset = 0
    for shard in shards:
        _, shard["episode"] = np.unique(shard["episode"], return_inverse=True)
        shard["episode"] = shard["episode"] + offset
        offset = int(shard["episode"].max()) + 1
    return Demonstrations({name: np.concatenate([shard[name] for shard in shards]) for name in (*SHARD, *OPTIONAL)})


def _load_shard(path: Path) -> dict[str, NDArray[Any]]:
    arrays = load_shard(path)
    strange = np.flatnonzero((arrays["task"] < 0) | (arrays["task"] >= len(TASK_NAMES)))
    if len(strange):
        frame = int(strange[0])
        raise ContractError(refuse(f"task of frame {frame} of {path}", arrays["task"][frame], ", ".join(TASK_NAMES)))
    idle = np.flatnonzero(~arrays["asked"].astype(bool).any((1, 2)))
    if len(idle):
        raise ContractError(refuse(f"asked of frame {int(idle[0])} of {path}", "nothing", "a hand and a thing"))
    for name, words in (("colour", COLOURS), ("shape", SHAPES)):
        bad = (arrays[name] < 0) | (arrays[name] >= len(words))
        if bad.any():
            frame, thing = (int(i) for i in np.argwhere(bad)[0])
            got = arrays[name][frame, thing]
            raise ContractError(refuse(f"{name}[{thing}] of frame {frame} of {path}", got, f"0 to {len(words) - 1}"))
    return arrays


class Sentences:
    """The words of every instruction that the data can ask for, encoded once.

    :param instructions: task, hand, colour and shape as indices, (I, 4).
    :param encode: turns sentences into ``text`` (B, L, E) and ``text_mask`` (B, L).
    :param phrasings: sentences per instruction at most, drawn from all of the training split.
    :param cache: folder that keeps what was encoded, for the next run with the same sentences.
    """

    def __init__(
        self,
        instructions: NDArray[np.integer],
        encode: Callable[[Sequence[str]], Mapping[str, NDArray[np.float32]]],
        phrasings: int,
        seed: int,
        cache: Path | None = None,
    ) -> None:
        """Encode; takes about 10 ms a sentence."""
        generator = np.random.default_rng(seed)
        sentences: list[str] = []
        shape = (len(TASK_NAMES), len(HANDS), len(COLOURS), len(SHAPES))
        self._first = np.full(shape, -1, dtype=np.intp)
        self._count = np.zeros(shape, dtype=np.intp)
        for task, hand, colour, form in np.unique(instructions, axis=0):
            named = "{hand}" in templates("train", TASK_NAMES[task])[0]
            if hand and not named and self._count[task, 0, colour, form]:
                self._first[task, hand, colour, form] = self._first[task, 0, colour, form]
                self._count[task, hand, colour, form] = self._count[task, 0, colour, form]
                continue
            said = every_sentence(Instruction(HANDS[hand], COLOURS[colour], SHAPES[form]), "train", TASK_NAMES[task])
            order = generator.permutation(len(said))[:phrasings]
            self._first[task, hand, colour, form] = len(sentences)
            self._count[task, hand, colour, form] = len(order)
            sentences += [said[i] for i in order]
        self.text, self.mask = _encoded(sentences, encode, cache)  # (S, L, E) float16, (S, L) float32

    def draw(self, instructions: NDArray[np.integer], generator: np.random.Generator) -> NDArray[np.intp]:
        """Return one row of :attr:`text` per instruction (B, 4)."""
        key = tuple(instructions.T)
        return self._first[key] + generator.integers(0, self._count[key])


def _encoded(
    sentences: Sequence[str], encode: Callable[[Sequence[str]], Mapping[str, NDArray[np.float32]]], cache: Path | None
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Return the words of ``sentences``, from the cache if they are all there."""
    from safetensors.numpy import load_file, save_file

    digest = hashlib.sha256("\n".join(sentences).encode()).hexdigest()[:16]
    path = None if cache is None else cache / f"sentences_{digest}.safetensors"
    if path is not None and path.exists():
        kept = load_file(path)
    else:
        parts = [encode(sentences[i : i + 32]) for i in range(0, len(sentences), 32)]
        kept = {
            "text": np.concatenate([part["text"].astype(np.float16) for part in parts]),
            "mask": np.concatenate([part["text_mask"].astype(np.float32) for part in parts]),
        }
        if path is not None:
            scratch = path.with_suffix(".part")
            save_file(kept, scratch)
            scratch.replace(path)
    return kept["text"], kept["mask"]


@dataclass(frozen=True)
class Batch:
    """B captures with R sentences each, as numpy.

    :param inputs: inputs of all parts by name; those of the words have B R rows.
    :param rows: what losses need, B R rows each: ``chunks``, ``base``, ``q``, ``place``, ``target``, ``seen``, ``uv``,
        ``same``.
    """

    inputs: dict[str, NDArray[Any]]
    rows: dict[str, NDArray[Any]]


def instructions_of(data: Demonstrations) -> NDArray[np.intp]:
    """Return all instructions of all frames as indices: task, hand, colour, shape (I, 4)."""
    arrays = data.arrays
    task = np.repeat(arrays["task"].astype(np.intp)[:, None], THINGS, axis=1)
    things = np.unique(np.stack([task, arrays["colour"], arrays["shape"]], -1).reshape(-1, 3), axis=0)
    hands = np.repeat(np.arange(len(HANDS)), len(things))
    rows = np.tile(things, (len(HANDS), 1))
    return np.stack([rows[:, 0], hands, rows[:, 1], rows[:, 2]], 1).astype(np.intp)


def draw_batch(
    data: Demonstrations,
    sentences: Sentences,
    frames: NDArray[np.intp],
    repeats: int,
    generator: np.random.Generator,
    points: int = 192,
) -> Batch:
    """Return a batch of the given frames, each with ``repeats`` instructions, different ones as far as there are.

    :param points: LiDAR points per frame, drawn from those it has.
    """
    arrays = data.arrays
    count = len(frames)
    asked = arrays["asked"][frames].reshape(count, -1).astype(bool)
    order = np.argsort(generator.random((count, len(HANDS) * THINGS)) + ~asked, axis=1)  # those that make sense first
    choice = np.take_along_axis(order, np.arange(repeats) % asked.sum(1, keepdims=True), axis=1)
    hand, target = (part.reshape(-1) for part in np.divmod(choice, THINGS))
    row = np.repeat(frames, repeats)
    colour, shape = arrays["colour"][row], arrays["shape"][row]  # (B R, 3)
    own = np.arange(len(row))
    task = arrays["task"][row].astype(np.intp)
    said = sentences.draw(np.stack([task, hand, colour[own, target], shape[own, target]], 1), generator)
    words = int(sentences.mask[said].sum(1).max())  # longer than that is padding for all
    cloud, mask = _draw_points(arrays["points"][frames], points, generator)
    take = {name: arrays[name][frames].astype(np.float32) for name in ("q", "dq", "gravity", "gyroscope", "eef")}
    return Batch(
        inputs={
            "vision": arrays["vision"][frames].astype(np.float32),
            "text": sentences.text[said, :words].astype(np.float32),
            "text_mask": sentences.mask[said, :words],
            "proprio": proprio_rows(take["q"], take["dq"], take["gravity"], take["gyroscope"]),
            "points": cloud,
            "mask": mask,
            "eef": eef_rows(take["eef"]),
            "q": take["q"],
        },
        rows={
            "chunks": arrays["chunks"][row, hand, target].astype(np.float32),
            "base": arrays["base"][row, hand, target].astype(np.float32),
            "q": arrays["q"][row].astype(np.float32),
            "place": arrays["place"][row, target].astype(np.float32),
            "target": target,
            "seen": arrays["seen"][row].astype(np.float32),
            "uv": arrays["uv"][row].astype(np.float32),
            "same": np.stack([colour == colour[own, target][:, None], shape == shape[own, target][:, None]], 1).astype(
                np.float32
            ),
        },
    )


def _draw_points(
    clouds: NDArray[Any], points: int, generator: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return ``points`` of each cloud (B, P, 3) and their mask (B, P); P is at most :data:`MAX_POINTS`."""
    size = clouds.shape[1]
    if size > min(points, MAX_POINTS):
        order = np.argsort(generator.random(clouds.shape[:2]), axis=1)[:, :points]
        clouds = np.take_along_axis(clouds, order[..., None], axis=1)
    there = np.isfinite(clouds).all(-1)
    return np.where(there[..., None], clouds, 0).astype(np.float32), there.astype(np.float32)
