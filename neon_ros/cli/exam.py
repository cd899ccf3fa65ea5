"""The exam of ``touch`` through the real node graph: real topics, the robot's own DDS, the guard, in real time.

Each episode: disarm, lay out the scene, say the sentence, arm, and let the judge follow the simulator's shared memory.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import mujoco
from std_msgs.msg import String
from std_srvs.srv import Trigger

from neon_ros.bridge import topics
from neon_ros.cli.eval import Progress, exam_of
from neon_ros.cli.ros import node, settle, spin_until
from neon_ros.cli.supervisor import Supervisor, quiet_ros
from neon_ros.errors import RobotError, refuse
from neon_ros.graph import build
from neon_ros.learn.evaluate import EvalConfig, scene_of
from neon_ros.learn.statistics import EpisodeResult, EvalResult
from neon_ros.learn.touch import TouchWorld
from neon_ros.sim.memory import SimClient
from neon_ros_msgs.msg import GuardReport

START_TIMEOUT = 60.0
"""Longest time from the start to the first guard report [s]."""
STATE_TIMEOUT = 12.0
"""Longest wait for a state of the guard [s]."""
SETTLE = 0.4
"""From a new scene to arming: pictures of the old one must have left the pipeline [s]."""


class GraphExaminer:
    """Sits beside a running graph and leads it through episodes.

    :param made: a ROS node on the graph's domain.
    :param client: of the simulator.
    :param ended: whether a vital process of the graph has ended.
    """

    def __init__(self, made: Any, client: SimClient, ended: Callable[[], bool]) -> None:
        self._node, self._client, self._ended = made, client, ended
        self._world = TouchWorld()
        self._report: Any = None
        self._instruction = made.create_publisher(String, topics.INSTRUCTION, topics.LATCHED)
        self._services = {kind: made.create_client(Trigger, kind) for kind in (topics.ARM, topics.DISARM)}
        made.create_subscription(GuardReport, topics.GUARD_REPORT, self._on_report, topics.EVERY_IN)

    def _on_report(self, msg: Any) -> None:
        self._report = msg

    def _until(self, what: str, done: Callable[[], bool], timeout: float) -> None:
        if not spin_until(self._node, lambda: done() or self._ended(), timeout) or self._ended():
            state = f"{self._report.state}: {self._report.reason}" if self._report else "no report"
            raise RobotError(refuse(what, f"not within {timeout:g} s ({state})", "a running graph"))

    def wait_ready(self) -> None:
        """Wait until the whole graph works.

        :raises RobotError: when it does not.
        """
        listening = self._instruction.get_subscription_count
        self._until("guard report", lambda: self._report is not None, START_TIMEOUT)
        self._until("INACTIVE", lambda: self._report.state == "INACTIVE" and listening() > 0, START_TIMEOUT)
        self._until("chunks", lambda: self._report.chunks_admitted > 5, START_TIMEOUT)

    def _ask(self, kind: str) -> tuple[bool, str]:
        future = self._services[kind].call_async(Trigger.Request())
        self._until(kind, future.done, STATE_TIMEOUT)
        return bool(future.result().success), str(future.result().message)

    def run(self, config: EvalConfig, name: str, progress: Callable[[int, EpisodeResult], None]) -> EvalResult:
        """Let the graph sit one exam."""
        results = []
        for index in range(config.episodes):
            results.append(self.episode(config, index))
            progress(index + 1, results[-1])
        return EvalResult(name, tuple(results))

    def episode(self, config: EvalConfig, index: int) -> EpisodeResult:
        """Return what became of one episode."""
        scene, instruction, sentence = scene_of(config, index)
        self._ask(topics.DISARM)
        self._until("INACTIVE", lambda: self._report.state == "INACTIVE", STATE_TIMEOUT)
        self._client.reset(scene.seed, "eval", config.pairs)
        self._instruction.publish(String(data=sentence))
        self._world.reset(scene)
        spin_until(self._node, lambda: False, SETTLE)
        deadline = time.monotonic() + STATE_TIMEOUT
        while not (answer := self._ask(topics.ARM))[0]:
            if time.monotonic() > deadline:
                raise RobotError(refuse("arm", answer[1], "a robot that can be armed"))
        # A guard that stops the robot while it is being armed is a failed episode, not the end of the exam.
        self._until("ACTIVE", lambda: self._report.state in ("ACTIVE", "HOLD", "DAMPING"), STATE_TIMEOUT)
        if self._report.state == "DAMPING":
            return EpisodeResult(scene.seed, sentence, "stopped_by_guard", 0.0, 0)
        limited = self._report.limit_count
        judge = self._world.judge(instruction, config.rules)
        last = self._follow(0.0)
        while judge.verdict is None:
            spin_until(self._node, lambda: False, 0.02)
            self._until("the simulator", lambda: self._client.state() is not None, STATE_TIMEOUT)
            now = self._follow(last)
            if now > last:
                self._world.observe(judge, now - last)
                last = now
        touched = self._report.limit_count - limited
        return EpisodeResult(scene.seed, sentence, judge.verdict, judge.elapsed, touched)

    def _follow(self, last: float) -> float:
        """Take over the simulator's newest state and return its time [s]."""
        state = self._client.state()
        if state is None or state.time <= last:
            return last
        data = self._world.data
        data.qpos[:], data.qvel[:] = state.qpos, state.qvel
        mujoco.mj_forward(self._world.model, data)
        return state.time


def examine(
    checkpoint: Path, episodes: int, seed: int, only: Sequence[str], given: Mapping[str, str]
) -> list[EvalResult]:
    """Start the graph, let it sit the exams, end it.

    :param given: more arguments of the graph, e.g. ``composed:=true``.
    :raises RobotError: when the graph does not come up or a vital process ends.
    """
    fixed = {"robot": "sim", "view": "false", "checkpoint": str(checkpoint), "instruction": "", "autostart": "false"}
    graph = build({"session": "neon_eval", **given, **fixed})
    supervisor = Supervisor(replace(graph, environment=quiet_ros(graph.environment)), _log())
    settle({name: graph.arguments[name] for name in ("robot", "ros_domain", "session")})
    try:
        supervisor.start()
        with node("eval") as made:
            client = SimClient(graph.arguments["session"], timeout=START_TIMEOUT)
            examiner = GraphExaminer(made, client, supervisor.vital_ended)
            examiner.wait_ready()
            return [examiner.run(exam_of(name, episodes, seed), name, Progress(name, episodes)) for name in only]
    finally:
        supervisor.end()


def _log() -> Callable[[str], None]:
    """Return what writes the processes' lines into a file, which would else drown the progress."""
    _, path = tempfile.mkstemp(prefix="neon_eval_", suffix=".log")
    file = open(path, "w", encoding="utf-8", buffering=1)  # noqa: SIM115  closed with the process
    print(f"what the processes say goes to {path}", file=sys.stderr)
    return lambda line: print(line, file=file)
