"""The exam of the suite: any task, any held-out part, any disturbance, the same for every agent of one seed.

Everything is as in :mod:`neon_ros.learn.evaluate`: rendered pictures, cast clouds, the real guard, 500 Hz physics and
simulated time.  `touch` without held-out parts and disturbances is the very exam of that module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neon_ros.act.policy import HeadOutput
from neon_ros.contracts import FloatArray
from neon_ros.errors import ConfigError, Refused, refuse
from neon_ros.learn.agents import PolicyAgent, Senses
from neon_ros.learn.drive import Drive
from neon_ros.learn.evaluate import CHUNK_PERIOD, Examiner, sit
from neon_ros.learn.joins import Handed, Join, join_of
from neon_ros.learn.language import HANDS, Instruction, sample_sentence
from neon_ros.learn.statistics import EpisodeResult, EvalResult
from neon_ros.learn.tasks import task_of
from neon_ros.learn.tasks.scene import TabletopScene
from neon_ros.learn.tasks.split import checked_held
from neon_ros.learn.tasks.task import TaskExpert, instruction_of
from neon_ros.learn.tasks.variants import Disturbance, variant_of
from neon_ros.learn.tasks.world import TabletopWorld
from neon_ros.robot.gains import gains
from neon_ros.sim.camera import Exposure
from neon_ros.sim.lidar import Mid360

SUITES: tuple[str, ...] = ("tabletop",)
SAMPLE = 5  # periods between two looks of the judge and of the metrics: 10 ms
MOVING, WALKING = 0.2, 0.05  # [rad/s] of a joint, [m/s] of the base: from here on a command counts as motion

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SuiteConfig:
    """Which exam.

    :param task: name of the task.
    :param episodes: how many.
    :param seed: of the exam; the same seed gives the same scenes, sentences and disturbances to every agent.
    :param held: which parts are held-out ones, see :data:`neon_ros.learn.tasks.split.HELD`.
    :param variant: name of the disturbance.
    :param join: name of the way in which chunks are joined, see :mod:`neon_ros.learn.joins`.
    """

    task: str
    episodes: int = 50
    seed: int = 0
    held: tuple[str, ...] = ()
    variant: str = "plain"
    join: str = "aligned"

    def __post_init__(self) -> None:
        task_of(self.task)
        variant_of(self.variant)
        join_of(self.join)
        checked_held(self.held, "eval")
        for name, value, low, high in (("episodes", self.episodes, 1, 100_000), ("seed", self.seed, 0, 2**63 - 1)):
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(refuse(f"suite.{name}", value, f"a whole number from {low} to {high}"))


def scene_of(config: SuiteConfig, index: int) -> tuple[TabletopScene, Instruction, str]:
    """Return scene, instruction and sentence of episode ``index`` of an exam."""
    seed = int(np.random.SeedSequence(config.seed, spawn_key=(index,)).generate_state(1, np.uint64)[0] >> np.uint64(1))
    scene = task_of(config.task).sample(seed, "eval", config.held)
    instruction = instruction_of(scene)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(11,)))
    split = "heldout" if "phrases" in config.held else "train"
    return scene, instruction, sample_sentence(instruction, rng, split, config.task)


class SuiteAgent(Protocol):
    """Answers what is sensed with a chunk."""

    def begin(self, instruction: Instruction) -> None:
        """Start an episode; only the expert may use ``instruction``."""

    def decide(self, sense: Callable[[], Senses], prefix: FloatArray | None = None) -> HeadOutput:
        """Return a chunk.

        :param sense: costs a picture and a scan, and is not called by who needs neither.
        :param prefix: steps that are decided already (K, J) [rad].
        """


class Seeing:
    """A policy as an agent of the suite."""

    def __init__(self, agent: PolicyAgent) -> None:
        self._agent = agent

    def begin(self, instruction: Instruction) -> None:
        """Start an episode."""
        self._agent.begin(instruction)

    def decide(self, sense: Callable[[], Senses], prefix: FloatArray | None = None) -> HeadOutput:
        """Return the policy's chunk."""
        return self._agent.decide(sense(), prefix)


class Privileged:
    """A task's expert as an agent: it is told where everything is.

    :param expert: answers situations.
    :param world: of which it is told.
    """

    def __init__(self, expert: TaskExpert, world: TabletopWorld) -> None:
        self._expert, self._world = expert, world
        self._hand = self._thing = np.zeros(1, dtype=np.intp)

    def begin(self, instruction: Instruction) -> None:
        """Start an episode."""
        self._hand = np.array([HANDS.index(instruction.hand)])
        self._thing = np.array([self._world.index_of(instruction)])

    def decide(self, sense: Callable[[], Senses], prefix: FloatArray | None = None) -> HeadOutput:
        """Return the expert's chunk."""
        q, base = self._expert.chunks(self._world.situation(), self._hand, self._thing)
        return HeadOutput(q[0], base[0])


class Still:
    """An agent that never moves: what success is worth when nothing is done."""

    def begin(self, instruction: Instruction) -> None:
        """Start an episode."""

    def decide(self, sense: Callable[[], Senses], prefix: FloatArray | None = None) -> HeadOutput:
        """Return where the joints are."""
        q = np.tile(sense().q[12:], (16, 1))
        return HeadOutput(q, np.zeros((16, 3)))  # type: ignore[arg-type]


class Track:
    """Keep how hands and commands moved, for the metrics."""

    def __init__(self) -> None:
        self._palms: list[Array] = []
        self._moving: list[bool] = []

    def add(self, palms: Array, joints: Array, base: Array) -> None:
        """Take one instant.

        :param palms: both palms in the pelvis frame (2, 3) [m].
        :param joints: commanded joint velocities (29,) [rad/s]; ``base`` commanded velocity of the base (3,).
        """
        self._palms.append(palms)
        self._moving.append(bool(np.abs(joints).max() > MOVING or np.linalg.norm(base[:2]) > WALKING))

    def jerk(self, dt: float) -> float:
        """Return the root mean square of the third derivative of both palms [m/s^3]."""
        if len(self._palms) < 4:
            return float("nan")
        third = np.diff(np.array(self._palms), n=3, axis=0) / dt**3
        return float(np.sqrt((third**2).sum(axis=2).mean()))

    def reaction(self, dt: float) -> float:
        """Return when the command first moved [s]; not a number when it never did."""
        moving = np.flatnonzero(self._moving)
        return float((moving[0] + 1) * dt) if len(moving) else float("nan")


class SuiteExaminer:
    """The simulated robot of one task with all its sensors, made once for many exams.

    :param task: name of the task.
    """

    def __init__(self, task: str) -> None:
        self.task = task_of(task)
        self.world = TabletopWorld(self.task)
        self._examiner = Examiner(self.world)
        self.drive = self._examiner.drive

    def expert(self) -> Privileged:
        """Return the privileged expert of this task."""
        return Privileged(self.task.expert(self.world.model, gains("arm_sdk").kp), self.world)

    def run(
        self,
        agent: SuiteAgent,
        config: SuiteConfig,
        name: str = "policy",
        progress: Callable[[int, EpisodeResult], None] | None = None,
    ) -> EvalResult:
        """Let ``agent`` sit the exam.

        :param progress: called after each episode with the number done.
        """
        return sit(lambda index: self.episode(agent, config, index), config.episodes, name, progress)

    def episode(self, agent: SuiteAgent, config: SuiteConfig, index: int) -> EpisodeResult:
        """Return what became of one episode."""
        if config.task != self.task.name:
            raise ConfigError(refuse("task of the exam", config.task, self.task.name))
        scene, instruction, sentence = scene_of(config, index)
        variant = variant_of(config.variant)
        world, drive, join = self.world, self.drive, join_of(config.join)
        drive.reset(scene, timeline=join.timeline)
        world.disturbance = Disturbance(variant, scene, float(world.data.time))
        agent.begin(instruction)
        lidar, rng = Mid360(world.model, seed=scene.seed), np.random.default_rng(scene.seed)
        judge = self.task.judge(scene, world.facts())
        track, interval = Track(), SAMPLE * world.dt
        seen = replace(scene, exposure=_noisier(scene.exposure, variant.camera_noise))
        scans = dropped = 0

        def sense() -> Senses:
            nonlocal scans
            scans += 1
            senses = self._examiner.sense(seen, lidar, scans - 1, rng, sentence)
            return replace(senses, missing=variant.missing)

        def undecided() -> bool:
            if drive.command is not None:
                track.add(world.palms(), drive.command.dq, drive.command.base_velocity)
            return judge.update(interval, world.facts()) is None

        on_the_way: list[tuple[int, float, Callable[[], HeadOutput]]] = []
        tick, period = 0, round(CHUNK_PERIOD / world.dt)
        while judge.verdict is None:
            captured = drive.now
            if join.looks(captured, bool(on_the_way)):
                answer = self._answering(agent, sense, join, captured)
                on_the_way.append((tick + round(variant.latency / world.dt), captured, answer))
            end = tick + period
            while judge.verdict is None and tick < end:
                arrives = on_the_way[0][0] if on_the_way else end
                if arrives <= tick:
                    _, since, answer = on_the_way.pop(0)
                    since = drive.now if join.fresh else since
                    dropped += _offer(drive, join.arrived(answer(), since, drive.now))
                    continue
                until = min(arrives, end)
                drive.run((until - tick) * world.dt, undecided, SAMPLE)
                tick = until
        limited = drive.guard.report().limit_count
        return EpisodeResult(
            scene.seed,
            sentence,
            judge.verdict,
            judge.elapsed,
            limited,
            track.jerk(interval),
            track.reaction(interval),
            dropped,
        )

    def _answering(
        self, agent: SuiteAgent, sense: Callable[[], Senses], join: Join, captured: float
    ) -> Callable[[], HeadOutput]:
        """Return what gives the answer to this capture when it arrives."""
        if not join.fresh:
            output = agent.decide(sense, join.committed(captured, self.world.q[self.drive.rows]))
            return lambda: output
        seen = sense()
        return lambda: agent.decide(lambda: self._examiner.feel(seen))


def _offer(drive: Drive, chunk: Handed) -> int:
    """Hand a chunk to the guard; return how many it refused, as the node of the commands drops them."""
    try:
        drive.submit(chunk.q, chunk.start, chunk.base)
    except Refused:
        return 1
    return 0


def _noisier(exposure: Exposure, noise: float) -> Exposure:
    """Return the exposure with more noise [of 255]."""
    return replace(exposure, noise=exposure.noise + noise) if noise else exposure
