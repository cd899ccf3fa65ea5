"""``python -m neon_ros.chaos.policy``: a policy with smooth, right chunks that misbehaves on request.

Every joint of the mode follows ``q0 + A (1 - cos(w (t - t0)))``, each with its own ``w``, so that at any time some are
fast.  Questions on stdin: ``{"set": {...}}`` changes :class:`Habits`; ``{"send": [...]}`` sends chunks that are wrong
in one way; ``{"log": true}`` asks for what was sent.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import random
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState

from neon_ros.bridge import topics
from neon_ros.bridge.chunk import chunk_to_msg
from neon_ros.bridge.robot import joints_from_msg
from neon_ros.chaos.pipe import Questions, answer
from neon_ros.chaos.stand import standing
from neon_ros.contracts import ActionChunk
from neon_ros.errors import ConfigError
from neon_ros.motor.key import KeyFile
from neon_ros.robot.joints import JOINT_INDEX, JOINT_NAMES
from neon_ros.robot.modes import MODES
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg

STEPS, DT = 16, 0.02
_KEPT = 4096  # sent chunks remembered
_PAUSE = 0.05  # [s] longest wait between two looks


@dataclass(frozen=True)
class Habits:
    """How the policy behaves; the default is well.

    :param rate: chunks per second [Hz].
    :param delay: from capture to publication [s]; ``jitter``: a random time added to it, up to [s].
    :param loss: part of the chunks that is not sent; ``burst``: chunks lost in a row each time.
    :param duplicate: part that is sent twice.
    :param amplitude: A of the path [rad]; ``swing``: of joint ``joint`` instead, where positive.
    :param mute: send nothing.
    :param wrong: what is wrong with each chunk, see :func:`spoil`; empty for nothing.
    """

    rate: float = 20.0
    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    burst: int = 1
    duplicate: float = 0.0
    amplitude: float = 0.05
    swing: float = 0.0
    joint: int = 15
    mute: bool = False
    wrong: str = ""


class Path:
    """Where the joints are to be at any time of the steady clock; both arms swing away from the body.

    :param start: pose at rest (29,) [rad].
    :param t0: when it begins to move [s].
    """

    def __init__(self, start: np.ndarray, t0: float) -> None:
        self._start = start
        self._t0 = t0
        self._away = np.array([-1.0 if "right" in n and ("roll" in n or "yaw" in n) else 1.0 for n in JOINT_NAMES])
        self._w = 2.5 + 1.5 * np.modf(np.arange(len(start)) * 0.61803398875)[0]  # 2.5 to 4 rad/s, all different

    def at(self, t: np.ndarray, habits: Habits) -> np.ndarray:
        """Return the poses at times ``t`` (n,) [s] as (n, 29) [rad]."""
        amplitude = np.full(len(self._start), habits.amplitude)
        if habits.swing > 0.0:
            amplitude[habits.joint] = habits.swing
        since = np.maximum(t - self._t0, 0.0)[:, None]
        return self._start + amplitude * self._away * (1.0 - np.cos(self._w * since))


def spoil(chunk: ActionChunk, how: str, chance: random.Random) -> ActionChunk:
    """Return the chunk with one thing wrong.

    :param how: ``nan``, ``inf``, ``huge`` (one cell); ``jump`` (a step of 1 rad), ``far`` (of 6 rad); ``permuted``
        (right, but in another order); ``swapped`` (two names exchanged: legal, another motion), ``missing``,
        ``duplicated``, ``unknown``, ``mode``, ``old``, ``future``, ``epoch``.
    """
    q, names = chunk.q.copy(), list(chunk.joint_names)
    step, column = chance.randrange(len(q)), chance.randrange(len(names))
    if how in ("nan", "inf", "huge"):
        q[step, column] = {"nan": np.nan, "inf": np.inf, "huge": np.float32(1e38)}[how]
    elif how == "jump":
        q[step:, names.index(JOINT_NAMES[15])] += 1.0
    elif how == "far":
        q[step:, column] += 6.0
    elif how == "permuted":
        order = chance.sample(range(len(names)), len(names))
        q, names = q[:, order], [names[i] for i in order]
    elif how == "missing":
        q, names = np.delete(q, column, 1), names[:column] + names[column + 1 :]
    elif how == "duplicated":
        names[column] = names[column - 1]
    elif how == "unknown":
        names[column] = "left_tail_joint"
    shift = {"old": -3600.0, "future": 2.0}.get(how, 0.0)
    return replace(
        chunk,
        q=q,
        joint_names=tuple(names),
        stamp_ns=chunk.stamp_ns + round(shift * 1e9),
        mode="arms_only" if how == "mode" else chunk.mode,
        epoch=0 if how == "epoch" else chunk.epoch,
    )


class Policy:
    """The process's one object.

    :param mode: control mode of the chunks.
    :param session: whose key signs them.
    :param absent: joints that the robot lacks.
    """

    def __init__(self, mode: str, session: str, absent: tuple[str, ...], seed: int) -> None:
        self._key = KeyFile(session)
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("action_head")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._mode = mode
        self.names = tuple(name for name in MODES[mode].joint_names if name not in absent)
        self._columns = [JOINT_INDEX[name] for name in self.names]
        self._publisher = self.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
        self._pose: np.ndarray | None = None
        self.node.create_subscription(JointState, topics.JOINT_STATES, self._on_joints, topics.SENSOR_IN)
        self._chance = random.Random(seed)
        self.habits = Habits()
        self.path: Path | None = None
        self.epoch, self._sequence = time.time_ns(), 0
        self._due: list[tuple[float, int, ActionChunkMsg]] = []
        self._log: deque[tuple[int, float, float, int]] = deque(maxlen=_KEPT)
        self._kept: deque[ActionChunkMsg] = deque(maxlen=64)
        self._next = 0.0
        self._lost = 0
        self._hoard: list[np.ndarray] = []

    def _on_joints(self, msg: Any) -> None:
        self._pose = np.asarray(joints_from_msg(msg).q, dtype=np.float64)

    def run(self, questions: Questions) -> None:
        """Send chunks until the runner closes the pipe."""
        while not questions.closed:
            now = time.monotonic()
            wake = min(now + _PAUSE, self._next, self._due[0][0] if self._due else now + _PAUSE)
            for question in questions.wait(wake - now):
                self._apply(question)
            self._executor.spin_once(timeout_sec=0)
            if self.path is None:
                self._begin()
                continue
            now = time.monotonic()
            if now >= self._next:
                self._next = max(self._next + 1.0 / self.habits.rate, now)
                self._make(now)
            while self._due and self._due[0][0] <= time.monotonic():
                self._publish(heapq.heappop(self._due)[2])

    def _begin(self) -> None:
        """Begin once there is a robot; from where it stood at first, so that no restart lets it wander."""
        if self._pose is None:
            self._next = time.monotonic() + _PAUSE
            return
        self.path = Path(standing(), time.monotonic())
        self._next = time.monotonic()

    def _apply(self, question: dict[str, Any]) -> None:
        if "set" in question:
            self.habits = replace(self.habits, **question["set"])
        if question.get("swap"):  # another policy takes over: a newer epoch, a path from its beginning
            self.epoch, self._sequence, self.path = time.time_ns(), 0, None
        if "hog" in question:
            self._hoard.append(np.ones((question["hog"], 2**17)))  # [MiB], each page touched
        if "litter" in question:
            _litter(question["litter"])
        sent = []
        for how in question.get("send", []):
            sent.append([self._sequence + 1, time.monotonic_ns()])
            self._publish(self._message(time.monotonic(), how))
        if question.get("replay"):
            for msg in list(self._kept)[-question["replay"] : -2]:  # the newest may not have been heard yet
                self._publish(msg, log=False)
        log = list(self._log) if question.get("log") else []
        answer(sent=sent, log=log, sequence=self._sequence, epoch=self.epoch, started=self.path is not None)

    def _make(self, now: float) -> None:
        """Make the chunk of this moment and put it in the queue."""
        habits = self.habits
        if habits.mute:
            return
        if self._lost > 0 or self._chance.random() < habits.loss / max(1, habits.burst):
            self._lost = (self._lost or habits.burst) - 1
            self._sequence += 1
            return
        try:
            msg = self._message(now, habits.wrong)
        except ConfigError:  # no key, because no g1_command: nobody to send to either
            return
        for _ in range(2 if self._chance.random() < habits.duplicate else 1):
            due = now + habits.delay + habits.jitter * self._chance.random()
            heapq.heappush(self._due, (due, self._sequence, msg))

    def _message(self, now: float, wrong: str) -> ActionChunkMsg:
        """Return the chunk of a capture at ``now`` [s, steady clock], signed, with ``wrong`` about it."""
        assert self.path is not None
        self._sequence += 1
        stamp_ns = self.node.get_clock().now().nanoseconds - round((time.monotonic() - now) * 1e9)
        q = self.path.at(now + DT * np.arange(STEPS), self.habits)[:, self._columns]
        still = np.zeros((STEPS, 3), np.float32)
        chunk = ActionChunk(
            stamp_ns, self.epoch, self._sequence, self._mode, "chaos", "0" * 64, self.names, DT, _f32(q), still
        )
        return self._seal(spoil(chunk, wrong, self._chance) if wrong else chunk)

    def _seal(self, chunk: ActionChunk) -> ActionChunkMsg:
        """Return the message of a chunk, with its signature."""
        return chunk_to_msg(self._key.key().signed(chunk))

    def _publish(self, msg: ActionChunkMsg, log: bool = True) -> None:
        if log:
            stamp = msg.header.stamp.sec + msg.header.stamp.nanosec * 1e-9
            self._log.append((int(msg.sequence), stamp, time.time(), time.monotonic_ns()))
            self._kept.append(msg)
        self._publisher.publish(msg)


def _litter(seconds: float) -> None:
    """Make and collect reference cycles for so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        rings: list[list[Any]] = [[] for _ in range(100_000)]
        for ring in rings:
            ring.append(ring)
        del rings
        gc.collect()


def _f32(q: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(q, dtype=np.float32)


def main() -> None:
    """Be a policy until stdin ends."""
    parser = argparse.ArgumentParser(prog="neon_ros.chaos.policy", description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=sorted(MODES), required=True)
    parser.add_argument("--session", required=True)
    parser.add_argument("--absent", nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    policy = Policy(options.mode, options.session, tuple(options.absent), options.seed)
    answer(ready=True, epoch=policy.epoch)
    policy.run(Questions())


if __name__ == "__main__":
    main()
