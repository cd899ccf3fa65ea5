"""The exam: the same for all agents, apart from training, passed by the expert through camera, guard and physics."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("ruckig")
pytest.importorskip("onnxruntime")

from neon_ros.errors import ConfigError
from neon_ros.learn import language
from neon_ros.learn.agents import PolicyAgent
from neon_ros.learn.evaluate import EvalConfig, Examiner, scene_of
from neon_ros.learn.expert import JOINTS
from neon_ros.learn.touch import TouchRules
from neon_ros.sim.camera import gl_backend
from neon_ros.sim.things import HELD_OUT_PAIRS


def can_render() -> bool:
    try:
        gl_backend()
    except ConfigError:
        return False
    return True


needs_gl = pytest.mark.skipif(not can_render(), reason="no offscreen OpenGL here")


@pytest.fixture(scope="module")
def examiner() -> Examiner:
    return Examiner()


class Watcher:
    """Holds still and keeps what it sensed."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def begin(self, instruction: language.Instruction) -> None:
        self.seen.clear()

    def act(self, senses: Any) -> np.ndarray:
        self.seen.append(senses)
        return np.tile(senses.q[12:], (16, 1))


def test_an_exam_is_the_same_for_everyone_and_another_by_seed() -> None:
    exam = [scene_of(EvalConfig(seed=3), index) for index in range(20)]
    assert exam == [scene_of(EvalConfig(seed=3), index) for index in range(20)]
    seeds = {scene_of(EvalConfig(seed=seed), index)[0].seed for seed in range(5) for index in range(20)}
    assert len(seeds) == 100
    assert all(scene.purpose == "eval" for scene, _, _ in exam)
    assert all(language.parse(sentence) == instruction for _, instruction, sentence in exam)


def test_held_out_exams_use_what_training_never_showed() -> None:
    for index in range(20):
        _, instruction, sentence = scene_of(EvalConfig(pairs="heldout"), index)
        assert (instruction.colour, instruction.shape) in HELD_OUT_PAIRS
        assert sentence in language.every_sentence(instruction, "train")
        _, instruction, sentence = scene_of(EvalConfig(phrasing="heldout"), index)
        assert (instruction.colour, instruction.shape) not in HELD_OUT_PAIRS
        assert sentence in language.every_sentence(instruction, "heldout")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"episodes": 0}, "eval.episodes: got 0"),
        ({"episodes": True}, "eval.episodes: got True"),
        ({"seed": -1}, "eval.seed: got -1"),
        ({"pairs": "all"}, "eval.pairs: got all; allowed: trained, heldout"),
        ({"phrasing": "new"}, "eval.phrasing: got new; allowed: train, heldout"),
        ({"latency": 0.0}, "eval.latency: got 0.0"),
        ({"latency": 0.1}, "eval.latency: got 0.1; allowed: above 0 and below 0.1 s"),
    ],
)
def test_what_is_no_exam_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EvalConfig(**arguments)


def test_a_policy_of_other_joints_or_another_step_is_refused() -> None:
    other: Any = SimpleNamespace(manifest=SimpleNamespace(joint_names=JOINTS[3:], dt=0.02))
    with pytest.raises(ConfigError, match="joints of the policy: got .*; allowed: the 17 of upper_body"):
        PolicyAgent(other, None)  # type: ignore[arg-type]
    slow: Any = SimpleNamespace(manifest=SimpleNamespace(joint_names=JOINTS, dt=0.1))
    with pytest.raises(ConfigError, match="dt of the policy: got 0.1; allowed: 0.02 s"):
        PolicyAgent(slow, None)  # type: ignore[arg-type]


@needs_gl
def test_the_expert_passes(examiner: Examiner) -> None:
    done: list[int] = []
    result = examiner.run(
        examiner.expert(), EvalConfig(episodes=2, seed=1), "expert", lambda count, _: done.append(count)
    )
    assert (result.name, result.successes, done) == ("expert", 2, [1, 2])
    assert all(0.3 <= episode.seconds < 4.0 for episode in result.episodes)


@needs_gl
def test_who_holds_still_runs_out_of_time_and_senses_what_a_robot_would(examiner: Examiner) -> None:
    watcher = Watcher()
    result = examiner.run(watcher, EvalConfig(episodes=1, rules=TouchRules(limit=0.5)))
    assert result.failures == {"timeout": 1}
    assert result.episodes[0].limited == 0
    assert len(watcher.seen) == 5
    senses = watcher.seen[-1]
    assert senses.picture.shape == (240, 424, 3)
    assert senses.picture.std() > 5
    assert senses.cloud.shape[0] > 500
    assert np.allclose(senses.gravity, [0, 0, -1])
    assert senses.palms.shape == (2, 7)
    assert senses.palms[0, 1] > 0.1 > -0.1 > senses.palms[1, 1]
    assert senses.sentence == result.episodes[0].sentence


@needs_gl
def test_an_episode_repeats_bit_for_bit(examiner: Examiner) -> None:
    config, watchers = EvalConfig(episodes=1, seed=5, rules=TouchRules(limit=0.3)), (Watcher(), Watcher())
    for watcher in watchers:
        examiner.episode(watcher, config, 0)
    first, second = (watcher.seen[-1] for watcher in watchers)
    assert np.array_equal(first.picture, second.picture)
    assert np.array_equal(first.cloud, second.cloud)
    assert np.array_equal(first.q, second.q)
