"""The exams of the suite: every expert passes through guard and physics; disturbances and metrics do what they say."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("ruckig")
pytest.importorskip("onnxruntime")

from neon_ros.act.policy import HeadOutput
from neon_ros.contracts import FloatArray
from neon_ros.errors import ConfigError
from neon_ros.learn.agents import Senses
from neon_ros.learn.evaluate import EvalConfig, Examiner
from neon_ros.learn.language import TASK_NAMES, Instruction
from neon_ros.learn.suite import SuiteConfig, SuiteExaminer, Track, scene_of
from neon_ros.learn.tasks.variants import Disturbance, variant_of
from neon_ros.learn.tasks.world import BASE_LIMITS
from neon_ros.sim.camera import gl_backend


def can_render() -> bool:
    try:
        gl_backend()
    except ConfigError:
        return False
    return True


needs_gl = pytest.mark.skipif(not can_render(), reason="no offscreen OpenGL here")
pytestmark = needs_gl


@cache
def examiner(task: str) -> SuiteExaminer:
    return SuiteExaminer(task)


class Watcher:
    """Holds still and keeps what it sensed."""

    def __init__(self, looks: int = 100) -> None:
        self.seen: list[Senses] = []
        self.looks = looks

    def begin(self, instruction: Instruction) -> None:
        self.seen.clear()

    def decide(self, sense: Callable[[], Senses], prefix: FloatArray | None = None) -> HeadOutput:
        if len(self.seen) < self.looks:
            self.seen.append(sense())
        return HeadOutput(np.tile(self.seen[0].q[12:], (16, 1)), np.zeros((16, 3)))  # type: ignore[arg-type]


@pytest.mark.parametrize("task", TASK_NAMES)
def test_the_expert_of_each_task_passes(task: str) -> None:
    result = examiner(task).episode(examiner(task).expert(), SuiteConfig(task), 1)
    assert result.verdict == "success"
    assert 0.0 < result.reaction < 1.0
    assert 0.0 < result.jerk < 1000.0
    assert result.dropped == 0


def test_hands_do_not_close_before_both_are_at_the_height_of_the_grip() -> None:
    assert examiner("lift").episode(examiner("lift").expert(), SuiteConfig("lift", seed=1), 20).verdict == "success"


def test_touch_is_the_exam_that_it_was() -> None:
    old = Examiner()
    was = old.episode(old.expert(), EvalConfig(seed=5), 1)
    now = examiner("touch").episode(examiner("touch").expert(), SuiteConfig("touch", seed=5), 1)
    assert (now.seed, now.sentence, now.verdict, now.seconds, now.limited) == (
        was.seed,
        was.sentence,
        was.verdict,
        was.seconds,
        was.limited,
    )


def test_variants_reach_the_senses() -> None:
    watcher = Watcher(looks=1)
    pictures = {}
    for variant in ("plain", "camera_noise", "no_lidar"):
        examiner("touch").episode(watcher, SuiteConfig("touch", variant=variant), 0)
        pictures[variant] = watcher.seen[0].picture.astype(float)
        assert watcher.seen[0].missing == variant_of(variant).missing
    assert np.std(pictures["camera_noise"] - pictures["plain"]) > 10.0
    assert np.array_equal(pictures["no_lidar"], pictures["plain"])


@pytest.mark.parametrize("variant", ["latency_100", "latency_200"])
def test_late_chunks_are_still_joined(variant: str) -> None:
    drive = examiner("touch").drive
    late = examiner("touch").episode(examiner("touch").expert(), SuiteConfig("touch", variant=variant), 1)
    joined = drive.guard.report().chunks_joined
    plain = examiner("touch").episode(examiner("touch").expert(), SuiteConfig("touch"), 1)
    assert late.reaction > plain.reaction + variant_of(variant).latency - 0.06
    assert joined > 5


def test_pushes_move_robot_and_thing() -> None:
    reach = {}
    for variant, which in (("pushed_robot", "palm"), ("pushed_thing", "thing"), ("plain", "")):
        world, drive = examiner("touch").world, examiner("touch").drive
        scene, _, _ = scene_of(SuiteConfig("touch"), 0)
        drive.reset(scene)
        world.disturbance = Disturbance(variant_of(variant), scene, float(world.data.time))
        palms, centre = world.palms(), world.centres()
        far = np.zeros(2)
        for _ in range(200):
            drive.run(0.01)
            far = np.maximum(far, np.linalg.norm(world.palms() - palms, axis=1))
        moved = np.linalg.norm((world.centres() - centre)[:, :2], axis=1)
        assert (moved[scene.target] > 0.015) == (which == "thing")
        assert np.delete(moved, scene.target).max() < 0.005
        reach[variant] = far.max()
    assert reach["pushed_robot"] > reach["plain"] + 0.01
    assert reach["pushed_thing"] == pytest.approx(reach["plain"], abs=0.001)


def test_the_base_follows_within_the_limits_of_the_sport_service() -> None:
    world, drive = examiner("walk_touch").world, examiner("walk_touch").drive
    scene, _, _ = scene_of(SuiteConfig("walk_touch"), 0)
    drive.reset(scene)
    before = world.data.qpos[world._base_at].copy()
    assert before == pytest.approx(scene.start, abs=1e-6)
    for _ in range(1000):
        world.walk(np.array([-9.0, 0.0, 0.0]))  # backwards: nothing is there
        world.step(world.q, world.dq, np.zeros(29), np.zeros(29), np.zeros(29))
    yaw, moved = before[2], world.data.qpos[world._base_at] - before
    assert world.velocity == pytest.approx([-BASE_LIMITS[0], 0.0, 0.0])
    assert np.hypot(*moved[:2]) == pytest.approx(1.5 * 2.0 - 1.5**2 / (2 * 2.0), rel=0.01)
    assert np.arctan2(-moved[1], -moved[0]) == pytest.approx(yaw, abs=0.01)


def test_a_robot_that_stands_does_not_walk() -> None:
    world = examiner("touch").world
    world.walk(np.ones(3))
    assert not world.velocity.any()


def test_jerk_and_reaction_follow_their_definitions() -> None:
    track, dt = Track(), 0.01
    for k in range(100):
        time = (k + 1) * dt
        joints = np.full(29, 0.25 if time > 0.395 else 0.15)
        track.add(np.array([[time**3, 0.0, 0.0], [0.0, 0.0, 0.0]]), joints, np.zeros(3))
    assert track.jerk(dt) == pytest.approx(6.0 / np.sqrt(2.0))  # 6 m/s^3 of one palm of two
    assert track.reaction(dt) == pytest.approx(0.4)
    walking = Track()
    walking.add(np.zeros((2, 3)), np.zeros(29), np.array([0.04, 0.0, 0.0]))
    assert walking.reaction(dt) != walking.reaction(dt)
    walking.add(np.zeros((2, 3)), np.zeros(29), np.array([0.04, 0.04, 0.0]))
    assert walking.reaction(dt) == pytest.approx(0.02)


def test_an_exam_of_another_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="task of the exam: got push; allowed: touch"):
        examiner("touch").episode(Watcher(), SuiteConfig("push"), 0)


def test_a_chunk_switched_to_without_fading_is_rougher() -> None:
    expert = examiner("touch").expert()
    rough, ours = (
        examiner("touch").episode(expert, SuiteConfig("touch", variant="latency_200", join=join), 2)
        for join in ("naive", "aligned")
    )
    waiting = examiner("touch").episode(expert, SuiteConfig("touch", variant="latency_200", join="synchronous"), 2)
    assert rough.jerk > ours.jerk
    assert waiting.verdict == ours.verdict == "success"
    assert waiting.seconds > ours.seconds
