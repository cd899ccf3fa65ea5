"""I8: arming is bumpless from any pose: the first command is the measured pose, at rest, and authority rises slowly."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.machine import State
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS
from oracles import robot
from oracles.makers import measured
from oracles.parallel import PROCESSES, spread
from oracles.scale import scaled

STARTS = scaled(100_000)
PERIOD = 0.02
FALLEN = np.array([0.5, 0.75**0.5, 0.0, 0.0])


def start_often(seed: int, starts: int) -> tuple[int, float, float]:
    """Arm a robot on ``rt/lowcmd`` from ``starts`` poses; return starts, farthest first command, largest rise."""
    rng = np.random.default_rng(seed)
    guard = Guard(MODES["whole_body"], GuardConfig(period=PERIOD))
    guard.configure(VARIANTS[5])
    stiffness = np.array([100, 100, 100, 150, 40, 40] * 2 + [200] * 3 + [40] * 14)
    done, farthest, rise = 0, 0.0, 0.0
    now, tick = 1.0, 0
    poses = rng.uniform(robot.LOWER - 0.25, robot.UPPER + 0.25, (starts, 29))
    speeds = rng.uniform(-0.9, 0.9, (starts, 29))
    for q, dq in zip(poses, speeds, strict=True):
        now += 1.0  # long enough that no jump is implausible
        tick += 2
        guard.health.state = None  # type: ignore[union-attr]  # each start meets the robot anew
        guard.step(measured(tick, now, q, dq), now)
        guard.request("arm", now)
        last = 0.0
        for k in range(2):
            then = now + (k + 1) * PERIOD
            command = guard.step(measured(tick + 1 + k, then, q, dq), then)
            farthest = max(farthest, float(np.abs(command.q - q).max()), float(np.abs(command.dq).max()))
            assert command.state is State.ARMING and command.writes and not command.tau.any()
            # Gains rise from nothing, joint by joint: at most one two-second step per period.
            authority = float((command.kp / stiffness).max())
            rise, last = max(rise, authority - last), authority
        then = now + 3 * PERIOD  # a fall lets go at once, so that the next start begins from nothing
        assert not guard.step(measured(tick + 3, then, q, dq, quaternion_wxyz=FALLEN), then).kp.any()
        tick += 3
        done += 1
    return done, farthest, rise


def test_i08_first_command_is_the_measured_pose_from_a_hundred_thousand_starts() -> None:
    shares = 2 * PROCESSES
    found = spread(start_often, [(80 + i, -(-STARTS // shares)) for i in range(shares)])
    assert sum(one[0] for one in found) >= STARTS
    assert max(one[1] for one in found) <= 1e-3
    assert max(one[2] for one in found) <= PERIOD / 2.0 + 1e-9


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mode_machine", robot.KNOWN)
def test_i08_authority_takes_two_seconds_in_every_mode_on_every_variant(mode: str, mode_machine: int) -> None:
    guard = Guard(MODES[mode], GuardConfig(period=0.005))
    guard.configure(VARIANTS[mode_machine])
    rng = np.random.default_rng(mode_machine)
    q = rng.uniform(robot.LOWER, robot.UPPER)
    q[list(robot.absent(mode_machine))] = 0.0
    guard.step(measured(1, 0.0, q, mode_machine=mode_machine), 0.0)
    guard.request("arm", 0.0)
    full_at = None
    for k in range(1, 500):
        command = guard.step(measured(1 + k, k * 0.005, q, mode_machine=mode_machine), k * 0.005)
        held = command.kd > 0
        np.testing.assert_array_equal(command.q[held], q[held])
        assert not command.dq.any()
        full = command.weight == 1.0 if mode != "whole_body" else bool((command.kp[held] >= 40.0).all())
        if full and full_at is None:
            full_at = k * 0.005
    assert full_at is not None and full_at >= 2.0 - 0.005 - 1e-9
