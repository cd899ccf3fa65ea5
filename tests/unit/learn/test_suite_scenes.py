"""Scenes, sentences and split of the suite: what training may see, and the door that keeps the rest out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("ruckig")

from neon_ros.errors import ConfigError, ContractError
from neon_ros.learn.language import SPLITS, TASK_NAMES, every_sentence, sample_sentence, templates
from neon_ros.learn.suite import SuiteConfig, scene_of
from neon_ros.learn.tasks import TASKS, task_of
from neon_ros.learn.tasks.scene import apart
from neon_ros.learn.tasks.split import HELD, held_out_in, training_only, training_sentence
from neon_ros.learn.tasks.task import instruction_of
from neon_ros.sim.table import TouchScene
from neon_ros.sim.things import HELD_OUT_PAIRS

every_task = pytest.mark.parametrize("name", TASK_NAMES)


def test_all_tasks_are_there() -> None:
    assert tuple(TASKS) == TASK_NAMES
    with pytest.raises(ConfigError, match="task: got juggle; allowed: touch, point_at, push, lift, follow, walk_touch"):
        task_of("juggle")


@every_task
def test_a_scene_is_a_function_of_its_seed(name: str) -> None:
    task = task_of(name)
    assert task.sample(3) == task.sample(3)
    assert task.sample(3) != task.sample(4)
    assert task.sample(3) != task.sample(3, "eval")
    assert task.sample(2**62, "eval").seed == 2**62


def test_touch_keeps_its_scenes() -> None:
    scene, old = task_of("touch").sample(7, "eval"), TouchScene.sample(7, "eval")
    assert all(getattr(scene, name) == getattr(old, name) for name in old.__dataclass_fields__)


@every_task
def test_training_scenes_hold_nothing_that_is_held_out(name: str) -> None:
    task = task_of(name)
    for seed in range(40):
        scene = task.sample(seed)
        training_only(scene, task.area)
        assert apart(scene.objects, 0.03)
        asked = task.asked(scene)
        assert asked.any() and asked[("left", "right").index(scene.hand), scene.target]


@every_task
@pytest.mark.parametrize("part", ["pairs", "lighting", "places"])
def test_held_out_scenes_hold_just_what_was_asked(name: str, part: str) -> None:
    task = task_of(name)
    for seed in range(10):
        scene = task.sample(seed, "eval", (part,))
        assert held_out_in(scene, task.area) == (part,)
        thing = scene.objects[scene.target]
        assert ((thing.colour, thing.shape) in HELD_OUT_PAIRS) == (part == "pairs")
        with pytest.raises(ContractError, match=f"training scene {seed} of {name}: got purpose eval, {part}"):
            training_only(scene, task.area)


@every_task
def test_a_held_out_scene_cannot_pass_for_training(name: str) -> None:
    task = task_of(name)
    for part in ("pairs", "lighting", "places"):
        disguised = replace(task.sample(1, "eval", (part,)), purpose="train", held=())
        with pytest.raises(ContractError, match=f"got {part}; allowed: nothing held out"):
            training_only(disguised, task.area)
    with pytest.raises(ConfigError, match="held out for train: got pairs; allowed: nothing"):
        task.sample(1, "train", ("pairs",))
    with pytest.raises(ConfigError, match="held-out part: got music; allowed: pairs, phrases, lighting, places"):
        task.sample(1, "eval", ("music",))


@every_task
def test_phrasings_of_the_splits_are_apart(name: str) -> None:
    assert not set(templates("train", name)) & set(templates("heldout", name))
    assert all("{object}" in order for split in SPLITS for order in templates(split, name))
    instruction = instruction_of(task_of(name).sample(0))
    said = {split: set(every_sentence(instruction, split, name)) for split in SPLITS}
    assert not said["train"] & said["heldout"]
    sentence = sample_sentence(instruction, np.random.default_rng(0), "heldout", name)
    training_sentence(sample_sentence(instruction, np.random.default_rng(0), "train", name), instruction, name)
    with pytest.raises(ContractError, match=f"training sentence of {name}: got"):
        training_sentence(sentence, instruction, name)


def test_no_task_is_said_like_another() -> None:
    orders = [order for name in TASK_NAMES for split in SPLITS for order in templates(split, name)]
    assert len(orders) == len(set(orders))


@every_task
def test_an_exam_is_the_same_for_everyone(name: str) -> None:
    config = SuiteConfig(name, seed=3, held=HELD)
    exam = [scene_of(config, index) for index in range(4)]
    assert exam == [scene_of(config, index) for index in range(4)]
    assert all(set(held_out_in(scene, task_of(name).area)) == set(HELD) - {"phrases"} for scene, _, _ in exam)
    assert all(sentence in every_sentence(said, "heldout", name) for _, said, sentence in exam)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "juggle"}, "task: got juggle"),
        ({"task": "push", "variant": "rain"}, "variant: got rain; allowed: plain, latency_100"),
        ({"task": "push", "held": ("music",)}, "held-out part: got music"),
        ({"task": "push", "episodes": 0}, "suite.episodes: got 0"),
        ({"task": "push", "seed": -1}, "suite.seed: got -1"),
    ],
)
def test_what_is_no_exam_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SuiteConfig(**arguments)
