"""Record demonstrations of `touch`: the expert acts, the robot's sensors are kept, every frame is labelled.

A shard is an episode, a few seconds at 10 Hz.  It starts from the ready pose, or from somewhere on the way to or at
some thing, so that the end of a touch and what comes after are seen too.  The expert's chunks are disturbed by a
smooth random walk before they reach the guard, arrive as late as a policy's would, and in a third of the episodes the
instruction changes midway.  The labels are undisturbed: what the expert would do from each state as it was measured,
for all six instructions of the scene.

A shard may instead hold glimpses: each frame its own scene and its own pose on the way to some thing, without physics
in between.  They cost half as much and show many more scenes, which is what words and eyes learn from.  Or it holds
corrections: an episode in which a trained policy acts and the expert only labels (DAgger: Ross, Gordon and Bagnell, "A
Reduction of Imitation Learning and Structured Prediction to No-Regret Online Learning", AISTATS 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neon_ros.act.policy import load_policy
from neon_ros.encode.backbones import load
from neon_ros.encode.lidar import MAX_POINTS, thin
from neon_ros.errors import ConfigError, refuse
from neon_ros.learn.agents import PolicyAgent, Senses
from neon_ros.learn.drive import STEP_DT, Drive
from neon_ros.learn.expert import FIRST, HORIZON, Expert
from neon_ros.learn.language import HANDS, TASK_NAMES, Instruction, plain_sentence
from neon_ros.learn.touch import TouchWorld
from neon_ros.robot.gains import gains
from neon_ros.robot.kinematics import Kinematics
from neon_ros.sense.points import transformed, valid_returns
from neon_ros.sense.poses import pose_from_matrix
from neon_ros.sim.camera import HeadCamera
from neon_ros.sim.lidar import Mid360
from neon_ros.sim.model import LIDAR, STAND_HEIGHT
from neon_ros.sim.table import TABLE_TOP, TouchScene
from neon_ros.sim.things import COLOURS, NUM_OBJECTS, SHAPES

KINDS: tuple[str, ...] = ("episode", "glimpse", "correction")
FRAME_DT = 0.1  # [s]
WIDTH, HEIGHT = 424, 240  # [px] of the rendered picture
MAX_FRAMES = 1000  # of a shard
FIRST_CORRECTION_SCENE, FIRST_GLIMPSE_SCENE = 500_000_000, 1_000_000_000  # beyond the scenes of episodes
_STEPS = round(FRAME_DT / STEP_DT)
_WAY = 18  # stretches of 160 ms: the whole way to a thing and a while there

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GenerateConfig:
    """What is recorded.

    :param episodes: how many shards.
    :param seed: number of the first; the others follow.
    :param kind: ``episode``, ``glimpse`` or ``correction``.
    :param task: what is demonstrated; glimpses are for `touch` alone.
    :param policy: folder of the checkpoint that acts in corrections; empty otherwise.
    :param frames: per shard; at 10 Hz in an episode.
    :param backbone: the frozen model whose tokens are kept.
    :param pictures: keep the pictures too, so that another backbone may see them.
    :param ready_share: share of episodes that start in the ready pose.
    :param switch_share: share of episodes whose instruction changes midway.
    :param noise: standard deviation of the disturbance of each episode, one of these [rad].
    :param latency: shortest and longest time from capture to chunk [s].
    """

    episodes: int
    seed: int = 0
    kind: str = "episode"
    task: str = "touch"
    policy: str = ""
    frames: int = 24
    backbone: str = "compact"
    pictures: bool = False
    ready_share: float = 0.5
    switch_share: float = 0.35
    noise: tuple[float, ...] = (0.0, 0.03, 0.06)
    latency: tuple[float, float] = (0.03, 0.09)

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("episodes", self.episodes, 1, 100_000),
            ("seed", self.seed, 0, FIRST_CORRECTION_SCENE - 1),
            ("frames", self.frames, 2, MAX_FRAMES),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(refuse(f"record.{name}", value, f"a whole number from {low} to {high}"))
        if self.kind not in KINDS:
            raise ConfigError(refuse("record.kind", self.kind, ", ".join(KINDS)))
        if self.task not in TASK_NAMES:
            raise ConfigError(refuse("record.task", self.task, ", ".join(TASK_NAMES)))
        if self.kind == "glimpse" and self.task != "touch":
            raise ConfigError(refuse(f"record.kind of {self.task}", self.kind, "episode, correction"))
        if (self.kind == "correction") != bool(self.policy):
            raise ConfigError(
                refuse(
                    f"record.policy of kind {self.kind}", self.policy or "none", "a checkpoint, for corrections only"
                )
            )
        if not (0.0 < self.latency[0] <= self.latency[1] < FRAME_DT):
            raise ConfigError(refuse("record.latency", self.latency, f"0 < shortest <= longest < {FRAME_DT} s"))


class Recorder:
    """Everything one worker needs to record episodes, made once.

    :param world: where the robot stands; the table of `touch` when ``None``.
    """

    def __init__(self, config: GenerateConfig, world: TouchWorld | None = None) -> None:
        self.config = config
        self.world = TouchWorld() if world is None else world
        self.drive = Drive(self.world)
        self.expert = Expert(self.world.model, gains("arm_sdk").kp)
        self.camera = HeadCamera(self.world.model, WIDTH, HEIGHT)
        self.backbone = load(config.backbone)
        self.kinematics = Kinematics()
        _, self.torso_from_lidar = self.kinematics.mount(LIDAR)
        self.agent = PolicyAgent(load_policy(config.policy), self.backbone) if config.policy else None

    def shard(self, number: int) -> dict[str, NDArray[Any]]:
        """Return shard ``number`` of the kind that is wanted; the same number gives the same shard.

        With ``config.pictures`` it holds ``pictures`` (T, H, W, 3) besides, which are kept in a file of their own.
        """
        return self.glimpses(number) if self.config.kind == "glimpse" else self.episode(number)

    def glimpses(self, number: int) -> dict[str, NDArray[Any]]:
        """Return a shard whose frames show one scene each."""
        rng = np.random.default_rng(np.random.SeedSequence(number, spawn_key=(8,)))
        first = FIRST_GLIMPSE_SCENE + number * MAX_FRAMES
        scenes = [TouchScene.sample(first + index, "train") for index in range(self.config.frames)]
        tops = np.array([[(o.x, o.y, TABLE_TOP + o.height - STAND_HEIGHT) for o in s.objects] for s in scenes])
        q, dq = on_the_way(self.expert, np.stack([scene.rest_pose() for scene in scenes]), tops, rng)
        frames, pictures = [], []
        for index, scene in enumerate(scenes):
            self.world.reset(scene)
            self.world.place(q[index], dq[index])
            lidar = Mid360(self.world.model, seed=first + index)
            pictures.append(scene.exposure.expose(self.camera.render(self.world.data), rng))
            frames.append(self._sense(lidar, index))
        return self._shard(number, scenes, frames, np.stack(pictures))

    def episode(self, number: int) -> dict[str, NDArray[Any]]:
        """Return the shard of episode ``number``, in which the expert acts, or the policy while the expert corrects."""
        config = self.config
        rng = np.random.default_rng(np.random.SeedSequence(number, spawn_key=(7,)))
        scene = TouchScene.sample(number + (0 if self.agent is None else FIRST_CORRECTION_SCENE), "train")
        hand, target = int(rng.integers(2)), int(rng.integers(NUM_OBJECTS))
        self._start(scene, rng)
        lidar = Mid360(self.world.model, seed=number)
        latency = float(rng.uniform(*config.latency))
        disturbance = random_walk(rng, config.frames * _STEPS + HORIZON, float(rng.choice(config.noise)))
        switch = config.frames
        if rng.random() < config.switch_share:
            switch = int(rng.integers(config.frames // 4, config.frames))
        frames: list[dict[str, Any]] = []
        pictures = []
        for index in range(config.frames):
            if index == switch:
                hand, target = int(rng.integers(2)), int(rng.integers(NUM_OBJECTS))
            captured = self.drive.now
            pictures.append(scene.exposure.expose(self.camera.render(self.world.data), rng))
            frames.append(self._sense(lidar, index))
            chunk = self._answer(scene, hand, target, pictures[-1], frames[-1])
            self.drive.run(latency)
            self.drive.submit(chunk + disturbance[index * _STEPS : index * _STEPS + HORIZON], captured)
            self.drive.run(FRAME_DT - latency)
        return self._shard(number, [scene] * config.frames, frames, np.stack(pictures))

    def _answer(
        self, scene: TouchScene, hand: int, target: int, picture: NDArray[np.uint8], frame: dict[str, Any]
    ) -> NDArray[np.floating]:
        """Return the chunk of who acts."""
        if self.agent is None:
            return self.expert.chunks(frame["q"][None], frame["dq"][None], np.array([hand]), frame["tops"][[target]])[0]
        thing = scene.objects[target]
        cloud = frame["points"].astype(np.float32)
        senses = Senses(
            picture=picture,
            cloud=cloud[np.isfinite(cloud[:, 0])],
            q=frame["q"],
            dq=frame["dq"],
            gravity=frame["gravity"],
            gyroscope=frame["gyroscope"],
            palms=frame["eef"],
            sentence=plain_sentence(Instruction(HANDS[hand], thing.colour, thing.shape)),
        )
        return self.agent.act(senses)

    def _start(self, scene: TouchScene, rng: np.random.Generator) -> None:
        """Put the robot into the ready pose, or somewhere on the way to some thing."""
        self.drive.reset(scene)
        if rng.random() < self.config.ready_share:
            self.drive.run(float(rng.uniform(0.0, 0.8)))  # a robot that waits sags into its gains
            return
        top = self.world.tops()[[int(rng.integers(NUM_OBJECTS))]]
        hand = np.array([int(rng.integers(2))])
        q, dq = self.world.q, np.zeros(29)
        for _ in range(int(rng.integers(2, 16))):
            chunk = self.expert.chunks(q[None], dq[None], hand, top)[0]
            q[FIRST:], dq[FIRST:] = chunk[8], (chunk[8] - chunk[7]) / STEP_DT
        q[FIRST:] -= self.expert.sag(q[FIRST:])
        q[FIRST + 3 :] += rng.normal(0.0, 0.05, 14)
        self.drive.reset(scene, q)

    def _sense(self, lidar: Mid360, index: int) -> dict[str, Any]:
        world = self.world
        q = world.q
        cloud = valid_returns(lidar.scan(world.data, index)[:, :3]).points
        points = np.full((MAX_POINTS, 3), np.nan, dtype=np.float16)
        kept = thin(transformed(cloud, self.torso_from_lidar))
        points[: len(kept)] = kept
        centres = world.centres()
        uv, seen = world.in_picture(centres, WIDTH / HEIGHT)
        return {
            "q": q,
            "dq": world.dq,
            "gravity": world.gravity(),
            "gyroscope": world.gyroscope(),
            "eef": np.stack([pose_from_matrix(pose) for pose in self.kinematics.palms(q)]),
            "points": points,
            "place": world.in_pelvis(centres),
            "uv": np.clip(uv, -1.0, 2.0),
            "seen": seen,
            "tops": world.tops(),
        }

    def _shard(
        self, number: int, scenes: list[TouchScene], frames: list[dict[str, Any]], pictures: NDArray[np.uint8]
    ) -> dict[str, NDArray[Any]]:
        count = len(frames)
        arrays = {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}
        tops = arrays.pop("tops")  # (T, 3, 3)
        every = np.arange(2 * NUM_OBJECTS)
        labels = self.expert.chunks(
            np.repeat(arrays["q"], len(every), axis=0),
            np.repeat(arrays["dq"], len(every), axis=0),
            np.tile(every // NUM_OBJECTS, count),
            tops[:, every % NUM_OBJECTS].reshape(-1, 3),
        )
        single = {name: value.astype(np.float32) for name, value in arrays.items() if value.dtype == np.float64}
        return {
            **arrays,
            **single,
            "vision": self.backbone.encode_images(pictures)["vision"].astype(np.float16),
            "chunks": labels.reshape(count, 2, NUM_OBJECTS, HORIZON, -1).astype(np.float32),
            "colour": np.array([[COLOURS.index(o.colour) for o in scene.objects] for scene in scenes], dtype=np.int8),
            "shape": np.array([[SHAPES.index(o.shape) for o in scene.objects] for scene in scenes], dtype=np.int8),
            "episode": np.full(count, number, dtype=np.int64),
            **({"pictures": pictures} if self.config.pictures else {}),
        }


def on_the_way(expert: Expert, rest: Array, tops: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return one state on the way to some thing for each scene, disturbed: positions and velocities (B, 29) each.

    :param rest: where each robot starts (B, 29) [rad].
    :param tops: tops of the things of each scene in the pelvis frame (B, 3, 3) [m].
    """
    count, rows = len(rest), np.arange(len(rest))
    q, dq = rest.copy(), np.zeros_like(rest)
    hand, thing = rng.integers(0, 2, count), rng.integers(0, NUM_OBJECTS, count)
    stop = np.where(rng.random(count) < 0.2, 0, rng.integers(1, _WAY, count))
    switch = np.where(rng.random(count) < 0.3, rng.integers(1, _WAY, count), _WAY)
    kinematic = Expert(expert.model, rules=expert.rules)
    for step in range(_WAY):
        turned = switch == step
        hand = np.where(turned, rng.integers(0, 2, count), hand)
        thing = np.where(turned, rng.integers(0, NUM_OBJECTS, count), thing)
        chunk = kinematic.chunks(q, dq, hand, tops[rows, thing])
        on = (stop > step)[:, None]
        q[:, FIRST:] = np.where(on, chunk[:, 8], q[:, FIRST:])
        dq[:, FIRST:] = np.where(on, (chunk[:, 8] - chunk[:, 7]) / STEP_DT, dq[:, FIRST:])
    spread = rng.choice((0.0, 0.03, 0.08), count)[:, None]
    q[:, FIRST + 3 :] += spread * rng.standard_normal((count, 14))
    q[:, FIRST : FIRST + 3] += rng.standard_normal((count, 3)) * (0.05, 0.01, 0.04)
    q[:, FIRST + 2] += np.where(
        rng.random(count) < 0.4, rng.uniform(0.0, 0.22, count), 0.0
    )  # lean of a waist that sags
    dq[:, FIRST:] = dq[:, FIRST:] * rng.uniform(0.0, 1.2, (count, 1)) + 0.1 * rng.standard_normal((count, 17))
    q[:, FIRST:] = np.clip(q[:, FIRST:], expert.lower, expert.upper)
    return q, dq


def random_walk(rng: np.random.Generator, steps: int, sigma: float) -> Array:
    """Return an Ornstein-Uhlenbeck walk smoothed once more, standard deviation ``sigma`` (steps, 17) [rad]."""
    memory = np.exp(-STEP_DT / 0.4)
    kick = np.sqrt(1.0 - memory**2)
    walk, smooth = rng.standard_normal((2, 17))
    out = np.empty((steps, 17))
    for step in range(steps):
        walk = memory * walk + kick * rng.standard_normal(17)
        smooth = smooth + 0.25 * (walk - smooth)
        out[step] = smooth
    out[:, :3] *= 0.3  # the waist carries everything else
    return sigma * out
