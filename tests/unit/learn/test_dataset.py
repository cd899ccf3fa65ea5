"""Demonstrations: what is broken is named by shard and frame, what is drawn belongs together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("safetensors")

from neon_ros.data.episode import OPTIONAL, SHARD
from neon_ros.errors import ContractError
from neon_ros.learn.dataset import Demonstrations, Sentences, draw_batch, instructions_of, load_demonstrations
from neon_ros.learn.language import COLOURS, HANDS, SHAPES, TASK_NAMES, Instruction, every_sentence

Arrays = dict[str, np.ndarray]


def test_shards_are_joined_and_episodes_stay_apart(write_shards: Callable[..., Path]) -> None:
    data = load_demonstrations(write_shards())
    assert len(data) == 120
    assert set(data.arrays) == set(SHARD) | set(OPTIONAL)
    assert len(np.unique(data.arrays["episode"])) == 24


def test_training_and_validation_share_no_episode(write_shards: Callable[..., Path]) -> None:
    data = load_demonstrations(write_shards())
    learn, apart = data.split(0.25, seed=3)
    assert len(learn) + len(apart) == len(data)
    episode = data.arrays["episode"]
    assert len(set(episode[apart])) == 6
    assert not set(episode[learn]) & set(episode[apart])


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"demonstrations in .*: got no \*.npz; allowed: at least one shard"):
        load_demonstrations(tmp_path)


def change(name: str, index: tuple, value: float) -> Callable[[Arrays], None]:
    def damage(arrays: Arrays) -> None:
        arrays[name][index] = value

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda a: a.pop("uv"), r"arrays of .*shard_0.npz: got missing \['uv'\]"),
        (lambda a: a.update(chunks=a["chunks"][:, :1]), r"chunks of .*: got \(60, 1, 3, 16, 17\)"),
        (change("chunks", (7, 1, 2, 15, 16), np.nan), r"chunks\[1, 2, 15, 16\] of frame 7 of .*shard_0.npz: got nan"),
        (change("vision", (3, 0, 5), np.inf), r"vision\[0, 5\] of frame 3 of .*: got inf"),
        (change("colour", (59, 2), 6), r"colour\[2\] of frame 59 of .*: got 6; allowed: 0 to 5"),
        (change("shape", (0, 0), -1), r"shape\[0\] of frame 0 of .*: got -1; allowed: 0 to 3"),
    ],
)
def test_a_broken_shard_is_named(
    write_shards: Callable[..., Path], damage: Callable[[Arrays], None], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        load_demonstrations(write_shards(damage))


def test_a_truncated_shard_is_named(write_shards: Callable[..., Path]) -> None:
    path = write_shards() / "shard_1.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ContractError, match=r"shard_1.npz: got .*; allowed: a whole .npz of plain arrays"):
        load_demonstrations(path.parent)


@pytest.fixture
def data(write_shards: Callable[..., Path]) -> Demonstrations:
    return load_demonstrations(write_shards())


def test_a_batch_holds_what_belongs_together(data: Demonstrations, words: Callable) -> None:
    heard: list[str] = []

    def encode(sentences: list[str]) -> Arrays:
        heard.extend(sentences)
        return words(sentences)

    sentences = Sentences(instructions_of(data), encode, 4, seed=0)
    frames = np.array([0, 50, 119])
    batch = draw_batch(data, sentences, frames, 6, np.random.default_rng(0))
    said = every_row(sentences, batch.inputs["text"])
    for sample in range(18):
        frame, target = frames[sample // 6], batch.rows["target"][sample]
        hands = [
            h for h in range(2) if np.array_equal(batch.rows["chunks"][sample], data.arrays["chunks"][frame, h, target])
        ]
        colour, shape = data.arrays["colour"][frame, target], data.arrays["shape"][frame, target]
        sentence = heard[said[sample]]
        assert sentence in every_sentence(Instruction(HANDS[hands[0]], COLOURS[colour], SHAPES[shape]))
        np.testing.assert_array_equal(batch.rows["place"][sample], data.arrays["place"][frame, target])
        assert batch.rows["same"][sample, :, target].all()
        np.testing.assert_array_equal(batch.rows["same"][sample, 0] > 0, data.arrays["colour"][frame] == colour)
        np.testing.assert_array_equal(batch.rows["same"][sample, 1] > 0, data.arrays["shape"][frame] == shape)
    assert len({(f, t) for f, t in zip(np.repeat(frames, 6), batch.rows["target"], strict=True)}) == 9


def every_row(sentences: Sentences, text: np.ndarray) -> list[int]:
    bank = sentences.text[:, : text.shape[1]].astype(np.float32)
    return [int(np.flatnonzero((bank == row).all((1, 2)))[0]) for row in text]


def test_sentences_are_encoded_once(data: Demonstrations, words: Callable, tmp_path: Path) -> None:
    first = Sentences(instructions_of(data), words, 2, seed=0, cache=tmp_path)

    def never(sentences: list[str]) -> Arrays:
        raise RuntimeError(f"asked again for {sentences}")

    again = Sentences(instructions_of(data), never, 2, seed=0, cache=tmp_path)
    np.testing.assert_array_equal(again.text, first.text)
    with pytest.raises(RuntimeError, match="asked again"):
        Sentences(instructions_of(data), never, 3, seed=0, cache=tmp_path)


def test_batches_depend_on_the_seed_alone(data: Demonstrations, words: Callable) -> None:
    sentences = Sentences(instructions_of(data), words, 4, seed=0)
    first, again = (draw_batch(data, sentences, np.arange(5), 3, np.random.default_rng(7)) for _ in range(2))
    for name in first.inputs:
        np.testing.assert_array_equal(first.inputs[name], again.inputs[name])


def test_absent_points_are_masked(write_shards: Callable[..., Path], words: Callable) -> None:
    data = load_demonstrations(write_shards(lambda a: a["points"].__setitem__((slice(None), slice(4, None)), np.nan)))
    sentences = Sentences(instructions_of(data), words, 1, seed=0)
    inputs = draw_batch(data, sentences, np.arange(3), 1, np.random.default_rng(0)).inputs
    assert inputs["mask"].sum(1).tolist() == [4, 4, 4]
    assert np.isfinite(inputs["points"]).all()
    few = draw_batch(data, sentences, np.arange(3), 1, np.random.default_rng(0), points=6).inputs
    assert few["points"].shape == (3, 6, 3)


@pytest.fixture
def mix(tmp_path: Path, toy: Callable[[int, int], Arrays]) -> Callable[..., Path]:
    """Return a writer of two tasks, one in each subfolder; ``change`` may spoil the second."""

    def write(change: Callable[[Arrays], object] = lambda arrays: None) -> Path:
        for name, number in (("first", 0), ("second", 1)):
            arrays = toy(30, number)
            if number:
                arrays["task"] = np.full(30, TASK_NAMES.index("walk_touch"), np.int8)
                arrays["base"] = np.full((30, 2, 3, 16, 3), 0.25, np.float32)
                arrays["asked"] = np.zeros((30, 2, 3), bool)
                arrays["asked"][:, 1, 2] = True
                change(arrays)
            (tmp_path / "mixed" / name).mkdir(parents=True)
            np.savez(tmp_path / "mixed" / name / "shard.npz", **arrays)  # type: ignore[arg-type]
        return tmp_path / "mixed"

    return write


def test_two_tasks_are_mixed_and_each_frame_keeps_its_own_words(mix: Callable[..., Path], words: Any) -> None:
    data = load_demonstrations(mix())
    assert len(data) == 60 and len(np.unique(data.arrays["episode"])) == 12
    said: list[str] = []

    def encode(sentences: Sequence[str]) -> dict[str, np.ndarray]:
        said.extend(sentences)
        return dict(words(sentences))

    sentences = Sentences(instructions_of(data), encode, 2, seed=0)
    batch = draw_batch(data, sentences, np.arange(60), 3, np.random.default_rng(0))
    second = np.repeat(np.arange(60) >= 30, 3)
    assert np.array_equal(batch.rows["base"].any((1, 2)), second)
    assert (batch.rows["base"][second] == 0.25).all()
    assert (batch.rows["target"][second] == 2).all()  # nothing else makes sense there
    assert set(batch.rows["target"][~second]) == {0, 1, 2}
    for task in ("touch", "walk_touch"):
        frame = 0 if task == "touch" else 59
        colour, shape = (int(data.arrays[name][frame, 0]) for name in ("colour", "shape"))
        row = np.array([[TASK_NAMES.index(task), 1, colour, shape]])
        sentence = said[sentences.draw(row, np.random.default_rng(0))[0]]
        assert sentence in every_sentence(Instruction("right", COLOURS[colour], SHAPES[shape]), "train", task)


def test_a_task_without_hands_is_encoded_once(toy: Callable[[int, int], Arrays], words: Any) -> None:
    said: list[str] = []

    def encode(sentences: Sequence[str]) -> dict[str, np.ndarray]:
        said.extend(sentences)
        return dict(words(sentences))

    lift = TASK_NAMES.index("lift")
    sentences = Sentences(np.array([[lift, 0, 1, 2], [lift, 1, 1, 2]]), encode, 3, seed=0)
    assert len(said) == 3
    assert (sentences.draw(np.array([[lift, 1, 1, 2]] * 20), np.random.default_rng(0)) < 3).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays["task"].__setitem__(4, 6), "task of frame 4 of .*second.shard.npz: got 6; allowed: to"),
        (lambda arrays: arrays["asked"].__setitem__(7, False), "asked of frame 7 of .*second.shard.npz: got nothing"),
    ],
)
def test_a_frame_of_no_task_or_for_nobody_is_refused(mix: Callable[..., Path], change: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        load_demonstrations(mix(change))
