"""I14 and I17: only the steady clock counts, a late tick makes no larger step, one log gives one stream of bytes."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import pytest

from neon_ros.errors import Refused
from neon_ros.guard.admission import Admission
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS
from neon_ros.robot.wire import LowCmdFrame
from oracles import robot
from oracles.makers import action_chunk, measured
from oracles.motion import Bounds, Worst
from oracles.parallel import PROCESSES, spread
from oracles.scale import scaled

LATE_TICKS = scaled(100_000)
CLOCK_STEPS = scaled(100_000)
LOGS = scaled(1_000)
HOUR_NS = 3600 * 10**9
MS = 1_000_000  # [ns]
ARMS = slice(15, 29)
BOUNDS = Bounds(*(part[ARMS] for part in (robot.LOWER + robot.MARGIN, robot.UPPER - robot.MARGIN, *robot.DYNAMICS.T)))


def tick_late(seed: int, ticks: int) -> tuple[int, Worst, int]:
    """Run a guard whose ticks come early, late, very late, twice and backwards; judge each command by its period.

    :returns: ticks, what the path of commands broke, and how often a NaN or infinite time was survived.
    """
    rng = np.random.default_rng(seed)
    period = 0.002
    guard = Guard(MODES["arms_only"], GuardConfig(period=period, simulated=True, arm_seconds=0.2))
    guard.configure(VARIANTS[5])
    door = Admission(MODES["arms_only"], VARIANTS[5])
    worst, path, strange = Worst(), [], 0
    now, q, number, early = 10.0, np.zeros(29), 0, 0
    lateness = rng.choice([1.0, 1.0, 1.0, 1.0, 1.0, 0.1, 0.0, 2.0, 3.3, 8.0], ticks) * rng.uniform(0.9, 1.1, ticks)
    for k in range(ticks):
        now += float(lateness[k]) * period
        given = now
        if rng.random() < 0.01:
            given = float(rng.choice([math.nan, math.inf, -math.inf, now - 3600.0, 0.0]))
            strange += 1
        state = guard.machine.state.value
        if state == "INACTIVE":
            guard.step(measured(2 * k, now, q), now)
            guard.request("arm", now)
            path = []
        elif state == "DAMPING":
            guard.request("disarm", now)
        if k % 40 == 0:
            number += 1
            wanted = rng.uniform(-1.4, 1.4, (8, 14)).astype(np.float32)
            age = int(rng.integers(0, 50)) * MS
            chunk = action_chunk(
                q=wanted, base_velocity=np.zeros((8, 3), np.float32), sequence=number, stamp_ns=10**15 - age
            )
            with suppress(Refused):  # stamps that go back are another rule
                guard.submit(door.admit(chunk, 10**15, now))
        command = guard.step(measured(2 * k + 1, now, q), given)
        if not command.writes:
            path = []
            continue
        q = np.where(command.kp > 0, command.q, q)
        early, last_early = guard.report().early_steps, early
        if early != last_early:  # no new period: the last command is said again, at nearly the same time
            assert not path or np.array_equal(command.q[ARMS], path[-1])
            continue
        path.append(command.q[ARMS])
        if len(path) == 200:
            worst.judge(np.array(path), BOUNDS, period)
            path = path[-3:]
    return ticks, worst, strange


def test_i14_a_late_tick_never_makes_a_larger_step_than_one_period_allows() -> None:
    found = spread(tick_late, [(140 + i, -(-LATE_TICKS // PROCESSES)) for i in range(PROCESSES)])
    worst = Worst()
    for _, one, _ in found:
        worst.add(one)
    assert sum(one[0] for one in found) >= LATE_TICKS and sum(one[2] for one in found) > 0
    assert worst.ticks > 0.5 * LATE_TICKS * 14
    assert worst.not_finite == 0 and worst.outside <= 1e-9
    assert worst.excess[0] <= 1e-9 and worst.excess[1] <= 1e-6 and worst.excess[2] <= 1e-6


def step_clocks(seed: int, count: int) -> int:
    """Let the ROS clock jump between chunks; the twin's does not.  What comes in is the same to the bit."""
    rng = np.random.default_rng(seed)
    plain, stepped = (Admission(MODES["arms_only"], VARIANTS[5]) for _ in range(2))
    offset, done, number, steady_ns = 0, 0, 0, 10**12
    while done < count:
        number += 1
        steady_ns += 60 * MS
        age = int(rng.integers(0, 50 * MS))
        q = rng.uniform(-0.3, 0.3, (4, 14)).astype(np.float32)
        # The clock steps while the policy thinks: the stamp is of before, the reading of after.
        step = int(rng.choice([0, HOUR_NS, -HOUR_NS, int(rng.integers(-10 * HOUR_NS, 10 * HOUR_NS))]))
        before, offset = offset, offset + step
        chunk = action_chunk(q=q, sequence=number, stamp_ns=10**18 + steady_ns + before - age)
        if abs(step) > 1000 * MS:
            with pytest.raises(Refused, match=r"chunk (age|stamp): got"):
                stepped.admit(chunk, 10**18 + steady_ns + offset, steady_ns * 1e-9)
        number += 1
        steady = steady_ns * 1e-9
        one = plain.admit(
            action_chunk(q=q, sequence=number, stamp_ns=10**18 + steady_ns - age), 10**18 + steady_ns, steady
        )
        two = stepped.admit(
            action_chunk(q=q, sequence=number, stamp_ns=10**18 + steady_ns + offset - age),
            10**18 + steady_ns + offset,
            steady,
        )
        assert one.t0 == two.t0 and one.q.tobytes() == two.q.tobytes()
        done += 1
        if done % 100 == 0:  # keep within int64
            plain, stepped = (Admission(MODES["arms_only"], VARIANTS[5]) for _ in range(2))
            offset = 0
    return done


def test_i14_steps_of_the_ros_clock_change_no_bit() -> None:
    found = spread(step_clocks, [(145 + i, -(-CLOCK_STEPS // PROCESSES)) for i in range(PROCESSES)])
    assert sum(found) >= CLOCK_STEPS


def play(seed: int) -> bytes:
    """Return the LowCmd stream of one input log: chunks, measurements, faults and requests, all from ``seed``."""
    rng = np.random.default_rng(seed)
    mode = ("arms_only", "upper_body", "whole_body")[seed % 3]
    machine = int(rng.choice(robot.KNOWN))
    period = 0.01
    guard = Guard(MODES[mode], GuardConfig(period=period, simulated=True, arm_seconds=0.2, release_seconds=0.2))
    guard.configure(VARIANTS[machine])
    door = Admission(MODES[mode], VARIANTS[machine])
    missing = {robot.NAMES[i] for i in robot.absent(machine)}
    names = tuple(name for name in robot.MODE_JOINTS[mode] if name not in missing)
    places = [robot.NAMES.index(name) for name in names]
    frame = LowCmdFrame()
    frame.set_mode(0, machine)
    frame.set_motor_mode(1)
    q, out = np.zeros(29), []
    for k in range(80):
        now = 1.0 + k * period * float(rng.choice([1.0, 1.0, 1.0, 1.02]))
        changes: dict[str, object] = {"mode_machine": machine}
        if rng.random() < 0.02:
            changes["gyroscope"] = np.full(3, 9.0)
        present = None if rng.random() < 0.02 else measured(k, now, q + rng.normal(size=29) * 1e-3, **changes)
        try:
            if k == 2 or rng.random() < 0.01:
                guard.request(("arm", "arm", "arm", "stop", "disarm")[int(rng.integers(5)) if k > 2 else 0], now)
            if k % 7 == 3:
                wanted = (np.zeros(len(places)) + np.cumsum(rng.normal(size=(8, len(places))), axis=0) * 0.03).astype(
                    "f4"
                )
                base = rng.uniform(-0.4, 0.4, (8, 3)).astype("f4")
                chunk = action_chunk(mode=mode, joint_names=names, q=wanted, base_velocity=base, sequence=k, dt=0.03,
                                     stamp_ns=10**9 * 2 + k * 10 * MS)  # fmt: skip
                guard.submit(door.admit(chunk, 10**9 * 2 + k * 10 * MS + int(rng.integers(0, 40)) * MS, now))
        except Refused as refusal:
            out.append(str(refusal).encode())
        command = guard.step(present, now)
        if command.writes:
            q = np.where(command.kp > 0, command.q, q)
            frame.fill(command.q, command.dq, command.tau, command.kp, command.kd)
            frame.set_weight(command.weight)
            out.append(bytes(frame.seal()))
    out.append(repr(guard.report()).encode())
    return b"".join(out)


def replay_many(first: int, count: int) -> tuple[int, int]:
    """Play ``count`` logs twice; return how many gave the same bytes, and their length."""
    same = length = 0
    for seed in range(first, first + count):
        one = play(seed)
        same += one == play(seed)
        length += len(one)
    return same, length


def test_i17_the_same_log_gives_the_same_stream() -> None:
    each = -(-LOGS // PROCESSES)
    found = spread(replay_many, [(i * each, each) for i in range(PROCESSES)])
    assert sum(one[0] for one in found) == each * PROCESSES >= LOGS
    assert sum(one[1] for one in found) > LOGS * 40 * 1004, "the streams are not empty"
