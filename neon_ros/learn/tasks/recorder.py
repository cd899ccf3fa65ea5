"""Record demonstrations of any task of the suite but `touch`, which has its own recorder.

As there, a shard is an episode of a few seconds at 10 Hz: the expert acts, disturbed and late, the instruction may
change midway, and every frame is labelled, undisturbed, for all instructions that make sense in its scene.  A shard
starts at the beginning of an episode, or after the expert has worked for a while, so that all of a task is seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neon_ros.act.policy import HeadOutput
from neon_ros.errors import Refused
from neon_ros.learn.agents import Senses
from neon_ros.learn.drive import STEP_DT
from neon_ros.learn.expert import HORIZON
from neon_ros.learn.language import HANDS, TASK_NAMES, sample_sentence
from neon_ros.learn.recorder import FIRST_CORRECTION_SCENE, FRAME_DT, GenerateConfig, Recorder, random_walk
from neon_ros.learn.tasks import task_of
from neon_ros.learn.tasks.hands import Situation
from neon_ros.learn.tasks.scene import TabletopScene
from neon_ros.learn.tasks.split import training_only, training_sentence
from neon_ros.learn.tasks.task import instruction
from neon_ros.learn.tasks.world import TabletopWorld
from neon_ros.robot.gains import gains
from neon_ros.sim.lidar import Mid360
from neon_ros.sim.things import COLOURS, NUM_OBJECTS, SHAPES

_STEPS = round(FRAME_DT / STEP_DT)
_LONGEST_RUN_UP = 5.0  # [s] of the expert's work before a shard begins

Array = NDArray[np.float64]


class TaskRecorder(Recorder):
    """Everything one worker needs to record episodes of a task, made once."""

    def __init__(self, config: GenerateConfig) -> None:
        self.task = task_of(config.task)
        self.table = TabletopWorld(self.task)
        super().__init__(config, self.table)
        self.labels = self.task.expert(self.table.model, gains("arm_sdk").kp)

    def episode(self, number: int) -> dict[str, NDArray[Any]]:
        """Return the shard of episode ``number``, in which the expert acts, or the policy while the expert corrects."""
        config = self.config
        rng = np.random.default_rng(np.random.SeedSequence(number, spawn_key=(9, TASK_NAMES.index(config.task))))
        scene = self.task.sample(number + (0 if self.agent is None else FIRST_CORRECTION_SCENE))
        training_only(scene, self.task.area)
        asked = np.argwhere(self.task.asked(scene))
        hand, thing = (int(i) for i in asked[rng.integers(len(asked))])
        self.drive.reset(scene)
        if rng.random() >= config.ready_share:
            self._run_up(hand, thing, float(rng.uniform(0.0, _LONGEST_RUN_UP)))
        lidar = Mid360(self.table.model, seed=number)
        latency = float(rng.uniform(*config.latency))
        disturbance = random_walk(rng, config.frames * _STEPS + HORIZON, float(rng.choice(config.noise)))
        switch = int(rng.integers(config.frames // 4, config.frames))
        switch = switch if rng.random() < config.switch_share else config.frames
        frames: list[dict[str, Any]] = []
        situations, pictures = [], []
        for index in range(config.frames):
            if index == switch:
                hand, thing = (int(i) for i in asked[rng.integers(len(asked))])
            captured = self.drive.now
            pictures.append(scene.exposure.expose(self.camera.render(self.table.data), rng))
            frames.append(self._sense(lidar, index))
            situations.append(self.table.situation())
            chunk = self._chunk(scene, hand, thing, pictures[-1], frames[-1], situations[-1], rng)
            self.drive.run(latency)
            self._offer(chunk, disturbance[index * _STEPS : index * _STEPS + HORIZON], captured)
            self.drive.run(FRAME_DT - latency)
        return self._labelled(number, scene, frames, Situation.stack(situations), np.stack(pictures))

    def _run_up(self, hand: int, thing: int, seconds: float) -> None:
        """Let the expert work for a while."""
        for _ in range(int(seconds / FRAME_DT)):
            q, base = self.labels.chunks(self.table.situation(), np.array([hand]), np.array([thing]))
            captured = self.drive.now
            self.drive.run(FRAME_DT / 2)
            self.drive.submit(q[0], captured, base[0])
            self.drive.run(FRAME_DT / 2)

    def _chunk(
        self,
        scene: TabletopScene,
        hand: int,
        thing: int,
        picture: NDArray[np.uint8],
        frame: dict[str, Any],
        situation: Situation,
        rng: np.random.Generator,
    ) -> HeadOutput:
        """Return the chunk of who acts."""
        if self.agent is None:
            q, base = self.labels.chunks(situation, np.array([hand]), np.array([thing]))
            return HeadOutput(q[0], base[0])
        said = instruction(scene, hand, thing)
        sentence = sample_sentence(said, rng, "train", self.config.task)
        training_sentence(sentence, said, self.config.task)
        cloud = frame["points"].astype(np.float32)
        return self.agent.decide(
            Senses(
                picture=picture,
                cloud=cloud[np.isfinite(cloud[:, 0])],
                q=frame["q"],
                dq=frame["dq"],
                gravity=frame["gravity"],
                gyroscope=frame["gyroscope"],
                palms=frame["eef"],
                sentence=sentence,
            )
        )

    def _offer(self, chunk: HeadOutput, disturbance: Array, captured: float) -> None:
        """Hand a disturbed chunk to the guard; one that it refuses is lost, as on the robot."""
        try:
            self.drive.submit(chunk.q + disturbance, captured, chunk.base_velocity)
        except Refused:
            return

    def _labelled(
        self,
        number: int,
        scene: TabletopScene,
        frames: list[dict[str, Any]],
        situations: Situation,
        pictures: NDArray[np.uint8],
    ) -> dict[str, NDArray[Any]]:
        count, pairs = len(frames), len(HANDS) * NUM_OBJECTS
        arrays = {name: np.stack([frame[name] for frame in frames]) for name in frames[0] if name != "tops"}
        single = {name: value.astype(np.float32) for name, value in arrays.items() if value.dtype == np.float64}
        every = np.tile(np.arange(pairs), count)
        q, base = self.labels.chunks(situations.repeat(pairs), every // NUM_OBJECTS, every % NUM_OBJECTS)
        shape = (count, len(HANDS), NUM_OBJECTS, HORIZON, -1)
        return {
            **arrays,
            **single,
            "vision": self.backbone.encode_images(pictures)["vision"].astype(np.float16),
            "chunks": q.reshape(shape).astype(np.float32),
            "base": base.reshape(shape).astype(np.float32),
            "asked": np.tile(self.task.asked(scene), (count, 1, 1)),
            "task": np.full(count, TASK_NAMES.index(self.config.task), dtype=np.int8),
            "colour": np.tile(np.array([COLOURS.index(o.colour) for o in scene.objects], dtype=np.int8), (count, 1)),
            "shape": np.tile(np.array([SHAPES.index(o.shape) for o in scene.objects], dtype=np.int8), (count, 1)),
            "episode": np.full(count, number, dtype=np.int64),
        }


def recorder_of(config: GenerateConfig) -> Recorder:
    """Return the recorder of the task that is wanted."""
    return Recorder(config) if config.task == "touch" else TaskRecorder(config)
