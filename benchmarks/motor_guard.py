"""What ``benchmarks/motor.py`` measures of the guard alone, in one process: ticks, seams, slow inference."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from neon_ros.contracts import RobotState
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.limits import motion_limits
from neon_ros.guard.machine import State
from neon_ros.motor.realtime import MOTOR_PRIORITY, lock_memory, warm_linear_algebra
from neon_ros.robot.joints import JOINT_INDEX, NUM_JOINTS
from neon_ros.robot.modes import control_mode
from neon_ros.robot.variants import variant
from neon_ros.robot.wire import LowCmdFrame

DT, CHUNK_TICKS = 0.002, 25  # a chunk every 50 ms
STEPS, STEP = 16, 0.02
_VARIANT = variant(5)

Policy = Callable[[float], np.ndarray]
"""Returns the chunk (16, 29) [rad] of a policy that looked at the world at a time [s]."""


class Rig:
    """A guard that is ACTIVE, with a robot that does as it is told."""

    def __init__(self, mode: str) -> None:
        self.mode = control_mode(mode)
        self.guard = Guard(self.mode, GuardConfig(simulated=True, arm_seconds=0.2))
        self.guard.configure(_VARIANT)
        self.moved = np.zeros(NUM_JOINTS, dtype=bool)
        self.moved[[JOINT_INDEX[name] for name in self.mode.joint_names]] = True
        self.q, self.dq = home(), np.zeros(NUM_JOINTS)
        self.now, self.tick, self._number = 100.0, 0, 0
        self._upright, self._still = np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(3)
        self._zeros = np.zeros(NUM_JOINTS)
        self.step()
        self.guard.request("arm", self.now)
        while self.guard.machine.state is not State.ACTIVE:
            self.step()

    def state(self) -> RobotState:
        """Return the LowState of the coming tick."""
        self.tick += 1
        self.now += DT
        stamp = round(self.now * 1e9)
        return RobotState(
            stamp,
            self.tick,
            self.q,
            self.dq,
            self._zeros,
            self._upright,
            self._still,
            self._still,
            _VARIANT.mode_machine,
        )

    def chunk(self, q: np.ndarray, captured: float) -> AdmittedChunk:
        """Return a chunk (16, 29) whose step 0 lies at ``captured`` [s]."""
        self._number += 1
        return AdmittedChunk(
            captured, STEP, np.where(self.moved, q, 0.0), self.moved, np.zeros((len(q), 3)), 1, self._number
        )

    def step(self, chunk: AdmittedChunk | None = None, frame: LowCmdFrame | None = None) -> tuple[int, int, int]:
        """Do one tick; return how long it took, the processor time of that, and the time of what answers LowState [ns].

        What is done ahead of LowState counts as well.
        """
        state = self.state()
        began, worked = time.perf_counter_ns(), time.thread_time_ns()
        if chunk is not None:
            self.guard.submit(chunk)
        self.guard.foresee()
        heard = time.perf_counter_ns()
        command = self.guard.step(state, self.now)
        if frame is not None:
            frame.fill(command.q, command.dq, command.tau, command.kp, command.kd)
            frame.set_weight(command.weight)
            frame.seal()
        done = time.perf_counter_ns()
        spent = done - began, time.thread_time_ns() - worked, done - heard
        if command.writes:
            self.q, self.dq = command.q, command.dq
        return spent


def home() -> np.ndarray:
    """Return a pose well inside every range, arms and legs clear of the body and each other (29,) [rad]."""
    limits = motion_limits(_VARIANT)
    pose = np.clip(0.0, limits.lower + 0.3, limits.upper - 0.3)
    for side, out in (("left", 1.0), ("right", -1.0)):
        pose[JOINT_INDEX[f"{side}_elbow_joint"]] = 0.6
        pose[JOINT_INDEX[f"{side}_shoulder_roll_joint"]] = 0.4 * out
        pose[JOINT_INDEX[f"{side}_hip_roll_joint"]] = 0.1 * out
    return pose


def gentle(rng: np.random.Generator) -> Policy:
    """Return a policy that moves slowly and changes its mind a little with every chunk."""
    phase, rate = rng.uniform(0, 2 * np.pi, NUM_JOINTS), rng.uniform(0.5, 2.0, NUM_JOINTS)
    middle = home()

    def policy(captured: float) -> np.ndarray:
        t = captured + STEP * np.arange(STEPS)[:, None]
        return middle + 0.08 * np.sin(rate * t + phase) + rng.normal(0, 0.002, NUM_JOINTS)

    return policy


def hostile(rng: np.random.Generator) -> Policy:
    """Return a policy that throws every joint to and fro over its whole range: every tick must be limited."""
    limits = _VARIANT.limits()
    middle, half = (limits.lower + limits.upper) / 2.0, (limits.upper - limits.lower) / 2.0

    def policy(captured: float) -> np.ndarray:
        rows = STEPS if rng.random() < 0.5 else 1
        return np.broadcast_to(middle + half * rng.uniform(-1.0, 1.0, (rows, NUM_JOINTS)), (STEPS, NUM_JOINTS)).copy()

    return policy


@contextmanager
def quiet() -> Iterator[str]:
    """Run as the motor does: warm, locked, without collector, SCHED_FIFO where allowed; yield how."""
    import os

    warm_linear_algebra()
    gc.collect()
    gc.freeze()
    gc.disable()
    how = lock_memory()
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(MOTOR_PRIORITY))
        how += ", SCHED_FIFO"
    except OSError:
        how += ", no SCHED_FIFO"
    try:
        yield how
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        gc.enable()
        gc.unfreeze()


class Ticks(NamedTuple):
    """How long ticks took [us]; what another process preempted is in the time, not in the processor time."""

    p50: float
    p99: float
    worst: float
    worked: float  # p99 of the processor time
    answer: float  # p99 of the part from LowState on
    limited: float  # part of the ticks in which a limit held a joint back


def ticks(mode: str, make: Callable[[np.random.Generator], Policy], count: int, seed: int) -> Ticks:
    """Time ``count`` ticks of timeline, limits, torque, collision, CRC and fill, with a chunk every 50 ms."""
    rig, policy, frame = Rig(mode), make(np.random.default_rng(seed)), LowCmdFrame()
    spent = np.zeros((count, 3))
    before = rig.guard.report()
    limited = 0
    for index in range(-500, count):
        chunk = rig.chunk(policy(rig.now - 0.04), rig.now - 0.04) if index % CHUNK_TICKS == 0 else None
        taken = rig.step(chunk, frame)
        time.sleep(2e-4)  # the kernel stops a SCHED_FIFO process that never sleeps for 50 ms in every second
        if index >= 0:
            spent[index] = taken
            limited += bool(np.count_nonzero(rig.guard.limiter.reasons))
    if rig.guard.report().transitions != before.transitions:
        raise SystemExit(f"the guard left ACTIVE while timed: {rig.guard.report().reason}")
    p50, p99, worst = np.percentile(spent[:, 0], [50, 99, 100]) * 1e-3
    worked, answer = np.percentile(spent[:, 1:], 99, axis=0) * 1e-3
    return Ticks(float(p50), float(p99), float(worst), float(worked), float(answer), limited / count)


class Seam(NamedTuple):
    """Peak rates around one change of chunks: of a naive switch over those of the guard, and ours over the limit."""

    acceleration: float
    jerk: float
    of_acceleration_limit: float
    of_jerk_limit: float


def seam(size: float, seed: int) -> Seam:
    """Switch once between two chunks that lie ``size`` [rad] apart (standard deviation), naively and by the guard."""
    rng = np.random.default_rng(seed)
    rig = Rig("upper_body")
    phase, rate = rng.uniform(0, 2 * np.pi, NUM_JOINTS), rng.uniform(0.5, 2.0, NUM_JOINTS)
    offsets = np.stack([np.zeros(NUM_JOINTS), rng.normal(0, size, NUM_JOINTS)])

    def at(t: np.ndarray, which: int) -> np.ndarray:
        return home() + 0.08 * np.sin(rate * t + phase) + offsets[which]

    ours, naive = [], []
    start = rig.now
    for index in range(400):
        which = int(index >= 300)
        chunk = None
        if index % CHUNK_TICKS == 0:
            captured = rig.now - 0.04
            chunk = rig.chunk(at(captured - start + STEP * np.arange(STEPS)[:, None], which), captured)
        rig.step(chunk)
        if index >= 250:
            ours.append(rig.guard.limiter.state[0].copy())
            naive.append(at(np.array(rig.now - start), which)[rig.moved])
    limits = motion_limits(_VARIANT).take(np.flatnonzero(rig.moved))
    peaks = []
    for path in (np.array(naive), np.array(ours)):
        peaks.append([np.abs(np.diff(path, n=order, axis=0)).max(axis=0) / DT**order for order in (2, 3)])
    (naive_a, naive_j), (ours_a, ours_j) = peaks
    return Seam(
        float(naive_a.max() / ours_a.max()),
        float(naive_j.max() / ours_j.max()),
        float((ours_a / limits.acceleration).max()),
        float((ours_j / limits.jerk).max()),
    )


def starved(delay: float, overlapping: bool, seconds: float = 6.0, seed: int = 0) -> int:
    """Return the ticks on which no chunk had anything left to say.

    :param delay: from looking at the world to the chunk [s].
    :param overlapping: whether a look is taken every 50 ms all the same, or only once the last chunk is there.
    """
    rig, policy = Rig("upper_body"), gentle(np.random.default_rng(seed))
    queue: list[tuple[float, np.ndarray, float]] = []  # (due, q, captured)
    look, count, began = rig.now, 0, False
    for _ in range(round(seconds / DT)):
        if rig.now >= look - 1e-9:
            queue.append((look + delay, policy(look), look))
            look += max(0.05, 0.0 if overlapping else delay)
        chunk = None
        if queue and queue[0][0] <= rig.now + 1e-9:
            _, q, captured = queue.pop(0)
            chunk = rig.chunk(q, captured)
        rig.step(chunk)
        report = rig.guard.report()
        began = began or report.chunks_joined > 0
        count += began and report.remaining < 0.0
    return count
