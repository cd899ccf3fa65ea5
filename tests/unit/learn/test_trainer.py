"""Training: taken up after a kill it ends bit for bit the same, a loss that is not finite stops it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from neon_ros.act.checkpoint import open_checkpoint  # noqa: E402
from neon_ros.act.heads import load_head  # noqa: E402
from neon_ros.act.networks.config import head_config  # noqa: E402
from neon_ros.act.networks.model import NeonModel  # noqa: E402
from neon_ros.errors import CheckpointError, ConfigError  # noqa: E402
from neon_ros.learn.dataset import Batch, Sentences, draw_batch, instructions_of, load_demonstrations  # noqa: E402
from neon_ros.learn.objective import add_chance, loss_of  # noqa: E402
from neon_ros.learn.run import LOG_FILE, STATE_FILE  # noqa: E402
from neon_ros.learn.trainer import BAD_BATCH_FILE, LABEL_DT, TrainingError, train  # noqa: E402
from neon_ros.robot.modes import control_mode  # noqa: E402


def quiet(_: str) -> None:
    pass


def test_a_killed_run_ends_as_one_that_was_not(
    write_shards: Callable[..., Path], words: Any, toy_preset: Any, tmp_path: Path
) -> None:
    data = write_shards()
    whole = train(toy_preset, data, tmp_path / "whole", encode_texts=words, say=quiet)
    for stop in (3, 6, 10, None):
        cut = train(toy_preset, data, tmp_path / "cut", encode_texts=words, say=quiet, stop_at=stop)
    assert whole is not None
    assert cut is not None
    first, second = open_checkpoint(whole).weights, open_checkpoint(cut).weights
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    logs = [(tmp_path / run / LOG_FILE).read_text() for run in ("whole", "cut")]
    assert logs[0] == logs[1]


def test_a_run_learns_and_its_checkpoint_acts(
    write_shards: Callable[..., Path], words: Any, toy_preset: Any, tmp_path: Path
) -> None:
    said: list[str] = []
    preset = replace(toy_preset, steps=60, frames=16, validate_every=20, learning_rate=0.01, modality_dropout=0.0)
    folder = train(preset, write_shards(), tmp_path / "run", encode_texts=words, say=said.append)
    assert folder is not None
    with (tmp_path / "run" / LOG_FILE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(float(row["step"])) for row in rows] == [20, 25, 40, 50, 60]
    assert float(rows[-1]["match"]) < 0.9 * float(rows[0]["match"]), rows
    assert (tmp_path / "run" / "loss.png").stat().st_size > 1000
    assert any("s to go" in line for line in said)
    manifest = load_head("mlp", folder).manifest
    assert manifest.training["preset"]["steps"] == 60
    assert manifest.training["frames"] == 120
    assert manifest.modalities == ("backbone", "lidar", "proprio", "eef")
    assert np.isfinite(load_head("mlp", folder).act(np.zeros(29)).q).all()


def test_a_run_may_begin_with_the_weights_of_a_checkpoint(
    write_shards: Callable[..., Path], words: Any, toy_preset: Any, tmp_path: Path
) -> None:
    data = write_shards()
    first = train(toy_preset, data, tmp_path / "first", encode_texts=words, say=quiet)
    assert first is not None
    still = replace(toy_preset, steps=1, learning_rate=1e-7, weight_decay=0.0)
    second = train(still, data, tmp_path / "second", start_from=first, encode_texts=words, say=quiet)
    assert second is not None
    before, after = open_checkpoint(first), open_checkpoint(second)
    for name, value in before.weights.items():
        np.testing.assert_allclose(after.weights[name], value, atol=1e-3, err_msg=name)
    assert after.manifest.training["started_from"] == before.manifest.checksum


def test_without_clouds_lidar_is_not_a_modality(
    write_shards: Callable[..., Path], words: Any, toy_preset: Any, tmp_path: Path
) -> None:
    data = write_shards()
    for path in data.glob("*.npz"):
        with np.load(path) as archive:
            arrays = dict(archive)
        arrays["points"][:] = np.nan
        np.savez(path, **arrays)
    folder = train(replace(toy_preset, steps=1), data, tmp_path / "run", encode_texts=words, say=quiet)
    assert folder is not None
    assert open_checkpoint(folder).manifest.modalities == ("backbone", "proprio", "eef")


def test_a_loss_that_is_not_finite_stops_with_the_batch_saved(
    write_shards: Callable[..., Path], words: Any, toy_preset: Any, tmp_path: Path
) -> None:
    def poisoned(sentences: Sequence[str]) -> dict[str, np.ndarray]:
        said = words(sentences)
        said["text"][:, 1] = np.nan
        return said

    with pytest.raises(TrainingError, match=r"loss at step 0: got nan; allowed: a finite number; batch in .*bad_batch"):
        train(toy_preset, write_shards(), tmp_path / "run", encode_texts=poisoned, say=quiet)
    with np.load(tmp_path / "run" / BAD_BATCH_FILE, allow_pickle=False) as saved:
        assert np.isnan(saved["text"]).any()
        assert saved["truth_chunks"].shape[1:] == (16, 17)
    assert not (tmp_path / "run" / toy_preset.head_id).exists()


def test_a_run_of_another_preset_is_not_taken_up(
    write_shards: Callable[..., Path], words: Any, toy_preset: Any, tmp_path: Path
) -> None:
    data = write_shards()
    train(toy_preset, data, tmp_path / "run", encode_texts=words, say=quiet, stop_at=4)
    with pytest.raises(ConfigError, match=r"preset of the run in .*: got \{'seed': 0\}; allowed: \{'seed': 1\}, or an"):
        train(replace(toy_preset, seed=1), data, tmp_path / "run", encode_texts=words, say=quiet)


def test_a_broken_saved_run_is_named(
    write_shards: Callable[..., Path], words: Any, toy_preset: Any, tmp_path: Path
) -> None:
    data = write_shards()
    train(toy_preset, data, tmp_path / "run", encode_texts=words, say=quiet, stop_at=4)
    path = tmp_path / "run" / STATE_FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"saved run .*state.safetensors: got .*; allowed: a whole run, or none"):
        train(toy_preset, data, tmp_path / "run", encode_texts=words, say=quiet)


def test_the_time_base_is_the_experts(toy_preset: Any) -> None:
    expert = pytest.importorskip("neon_ros.learn.expert", exc_type=ImportError)
    assert LABEL_DT == expert.DT
    assert tuple(control_mode(toy_preset.mode).joint_names) == tuple(expert.JOINTS)


def test_another_grid_than_the_data_has_is_refused(
    write_shards: Callable[..., Path], words: Any, toy_preset: Any, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"preset.grid: got \(8, 14\); allowed: rows x columns of the 28 tokens"):
        train(replace(toy_preset, grid=(8, 14)), write_shards(), tmp_path / "run", encode_texts=words, say=quiet)


def test_a_backbone_without_stored_features_is_refused(
    write_shards: Callable[..., Path], toy_preset: Any, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"preset.backbone: got qwen_omni/7b; allowed: compact/"):
        train(replace(toy_preset, backbone="qwen_omni/7b"), write_shards(), tmp_path / "run", say=quiet)


@pytest.fixture
def batch(write_shards: Callable[..., Path], words: Any) -> Batch:
    data = load_demonstrations(write_shards())
    return draw_batch(data, Sentences(instructions_of(data), words, 2, 0), np.arange(16), 3, np.random.default_rng(0))


def model() -> NeonModel:
    torch.manual_seed(0)
    sizes = {"rows": 4, "columns": 7, "channels": 16, "text_size": 24, "pooled": 32}
    return NeonModel(head_config("mlp", tuple(range(12, 29)), **sizes))


def test_every_weight_has_a_gradient(batch: Batch, toy_preset: Any) -> None:
    preset = replace(toy_preset, modality_dropout=0.4, text_dropout=0.4, vision_dropout=0.4)
    add_chance(batch, preset, np.random.default_rng(0))
    network = model()
    loss_of(network, batch, preset).total.backward()
    dead = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert dead == {"head.base.weight", "head.base.bias"}  # born at zero, which is what this task wants of the base


@pytest.mark.parametrize(("ablation", "gone"), [("blind", ("vision",)), ("wordless", ("text", "text_mask"))])
def test_an_ablation_takes_away_what_it_says(batch: Batch, toy_preset: Any, ablation: str, gone: tuple) -> None:
    preset = replace(toy_preset, ablation=ablation)
    add_chance(batch, preset, np.random.default_rng(0))
    for name in ("vision", "text", "text_mask"):
        assert bool(batch.inputs[name].any()) == (name not in gone)
    parts = loss_of(model(), batch, preset)
    assert parts.match == parts.attention == parts.place == 0
    assert parts.chunk > 0


def test_sentences_about_one_picture_are_as_if_it_had_been_shown_again(batch: Batch, toy_preset: Any) -> None:
    add_chance(batch, toy_preset, np.random.default_rng(0))
    inputs = {name: torch.from_numpy(value) for name, value in batch.inputs.items()}
    network = model()
    with torch.no_grad():
        once = network.context(inputs, 3)
        again = {name: value if len(value) == 48 else value.repeat_interleave(3, 0) for name, value in inputs.items()}
        torch.testing.assert_close(network.context(again).pooled, once.pooled)
