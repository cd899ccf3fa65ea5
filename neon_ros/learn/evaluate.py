"""The exam of `touch` in one process: rendered pictures, cast clouds, the real guard, 500 Hz physics, simulated time.

Scenes come from the evaluation stream, which no training seed can reach.  A chunk arrives ``latency`` after the
capture it answers, as measured on the node graph, and the robot keeps moving on the chunk before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from neon_ros.errors import ConfigError, refuse
from neon_ros.learn.agents import Agent, Array, ExpertAgent, Senses
from neon_ros.learn.drive import Drive
from neon_ros.learn.expert import Expert
from neon_ros.learn.language import SPLITS, Instruction, sample_sentence
from neon_ros.learn.statistics import EpisodeResult, EvalResult
from neon_ros.learn.touch import TouchRules, TouchWorld, instruction_of
from neon_ros.robot.gains import gains
from neon_ros.robot.kinematics import Kinematics
from neon_ros.sense.points import transformed, valid_returns
from neon_ros.sense.poses import pose_from_matrix
from neon_ros.sim.camera import HeadCamera
from neon_ros.sim.lidar import Mid360
from neon_ros.sim.model import LIDAR
from neon_ros.sim.table import TouchScene
from neon_ros.sim.things import PAIR_SETS

TASKS: tuple[str, ...] = ("touch",)
WIDTH, HEIGHT = 424, 240  # [px] as the simulator's camera node delivers
CHUNK_PERIOD = 0.1  # [s]
MEASURED_LATENCY = 0.05  # [s] capture to admitted chunk


@dataclass(frozen=True)
class EvalConfig:
    """Which exam.

    :param episodes: how many.
    :param seed: of the exam; the same seed gives the same scenes and sentences to every agent.
    :param pairs: ``trained`` or ``heldout`` colour-shape pairs as targets.
    :param phrasing: ``train`` or ``heldout`` sentences.
    :param latency: from capture to chunk [s].
    :param rules: of the judge.
    """

    episodes: int = 100
    seed: int = 0
    pairs: str = "trained"
    phrasing: str = "train"
    latency: float = MEASURED_LATENCY
    rules: TouchRules = field(default_factory=TouchRules)

    def __post_init__(self) -> None:
        for name, value, low, high in (("episodes", self.episodes, 1, 100_000), ("seed", self.seed, 0, 2**63 - 1)):
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(refuse(f"eval.{name}", value, f"a whole number from {low} to {high}"))
        if self.pairs not in PAIR_SETS:
            raise ConfigError(refuse("eval.pairs", self.pairs, ", ".join(PAIR_SETS)))
        if self.phrasing not in SPLITS:
            raise ConfigError(refuse("eval.phrasing", self.phrasing, ", ".join(SPLITS)))
        if not 0.0 < self.latency < CHUNK_PERIOD:
            raise ConfigError(refuse("eval.latency", self.latency, f"above 0 and below {CHUNK_PERIOD} s"))


def scene_of(config: EvalConfig, index: int) -> tuple[TouchScene, Instruction, str]:
    """Return scene, instruction and sentence of episode ``index`` of an exam."""
    seed = int(np.random.SeedSequence(config.seed, spawn_key=(index,)).generate_state(1, np.uint64)[0] >> np.uint64(1))
    scene = TouchScene.sample(seed, "eval", config.pairs)
    instruction = instruction_of(scene)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(11,)))
    return scene, instruction, sample_sentence(instruction, rng, config.phrasing)


def sit(
    episode: Callable[[int], EpisodeResult],
    episodes: int,
    name: str,
    progress: Callable[[int, EpisodeResult], None] | None = None,
) -> EvalResult:
    """Return what became of all episodes of an exam.

    :param episode: runs the one of a number.
    :param name: of the row.
    :param progress: called after each episode with the number done.
    """
    results = []
    for index in range(episodes):
        results.append(episode(index))
        if progress is not None:
            progress(index + 1, results[-1])
    return EvalResult(name, tuple(results))


class Examiner:
    """The simulated robot with all its sensors, made once for many exams.

    :param world: where it stands; the table of `touch` when ``None``.
    """

    def __init__(self, world: TouchWorld | None = None) -> None:
        self.world = TouchWorld() if world is None else world
        self.drive = Drive(self.world)
        self.camera = HeadCamera(self.world.model, WIDTH, HEIGHT)
        self.kinematics = Kinematics()
        _, self._torso_from_lidar = self.kinematics.mount(LIDAR)

    def expert(self) -> ExpertAgent:
        """Return the privileged expert of this world."""
        world = self.world
        return ExpertAgent(
            Expert(world.model, gains("arm_sdk").kp), lambda instruction: world.tops()[world.index_of(instruction)]
        )

    def run(
        self,
        agent: Agent,
        config: EvalConfig,
        name: str = "policy",
        progress: Callable[[int, EpisodeResult], None] | None = None,
    ) -> EvalResult:
        """Let ``agent`` sit the exam.

        :param progress: called after each episode with the number done.
        """
        return sit(lambda index: self.episode(agent, config, index), config.episodes, name, progress)

    def episode(self, agent: Agent, config: EvalConfig, index: int) -> EpisodeResult:
        """Return what became of one episode."""
        scene, instruction, sentence = scene_of(config, index)
        self.drive.reset(scene)
        agent.begin(instruction)
        lidar = Mid360(self.world.model, seed=scene.seed)
        rng = np.random.default_rng(scene.seed)
        judge = self.world.judge(instruction, config.rules)
        every = 5

        def undecided() -> bool:
            return self.world.observe(judge, every * self.world.dt) is None

        scans = 0
        while judge.verdict is None:
            captured = self.drive.now
            senses = self.sense(scene, lidar, scans, rng, sentence)
            scans += 1
            chunk = agent.act(senses)
            if not self.drive.run(config.latency, undecided, every):
                break
            self.drive.submit(chunk, captured)
            self.drive.run(CHUNK_PERIOD - config.latency, undecided, every)
        limited = self.drive.guard.report().limit_count
        return EpisodeResult(scene.seed, sentence, judge.verdict or "timeout", judge.elapsed, limited)

    def sense(self, scene: TouchScene, lidar: Mid360, scan: int, rng: np.random.Generator, sentence: str) -> Senses:
        """Return what the robot senses now."""
        cloud = valid_returns(lidar.scan(self.world.data, scan)[:, :3]).points
        picture = scene.exposure.expose(self.camera.render(self.world.data), rng)
        return Senses(picture, transformed(cloud, self._torso_from_lidar), *self._body(), sentence)

    def feel(self, seen: Senses) -> Senses:
        """Return what was seen, and the robot's own state as it is now."""
        return Senses(seen.picture, seen.cloud, *self._body(), seen.sentence, seen.missing)

    def _body(self) -> tuple[Array, Array, Array, Array, Array]:
        """Return joints, their velocities, gravity, turn rate and palms."""
        world, q = self.world, self.world.q
        palms = np.stack([pose_from_matrix(pose) for pose in self.kinematics.palms(q)])
        return q, world.dq, world.gravity(), world.gyroscope(), palms


def evaluate(
    agent: Agent, config: EvalConfig, name: str = "policy", progress: Callable[[int, EpisodeResult], None] | None = None
) -> EvalResult:
    """Let one agent sit one exam; make an :class:`Examiner` once to run several."""
    return Examiner().run(agent, config, name, progress)
