"""I19: every intervention is counted by joint and reason, and on what a good policy sends there are next to none."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS
from oracles import robot
from oracles.makers import measured
from oracles.scale import scaled

NOMINAL = 1e-3  # largest share of joint-periods held back on the nominal policy
EPISODES = 6


@pytest.mark.parametrize("seed", range(4))
def test_i19_counts_grow_by_exactly_what_each_report_names(seed: int) -> None:
    """Wild chunks and a robot that lags: the sum of what single reports name is what the counters say."""
    rng = np.random.default_rng(seed)
    guard = Guard(MODES["whole_body"], GuardConfig(period=0.01, simulated=True, arm_seconds=0.2, following_error=0.3))
    guard.configure(VARIANTS[5])
    q, named = np.zeros(29), {}
    low, high = robot.LOWER, robot.UPPER
    for k in range(scaled(1_500)):
        now = 1.0 + k * 0.01
        if guard.machine.state.value == "INACTIVE" and k > 1:
            guard.request("arm", now)
        elif guard.machine.state.value == "DAMPING" and k % 50 == 0:
            guard.request("disarm", now)
        if k % 9 == 5:
            wanted = np.cumsum(rng.normal(size=(8, 29)) * 0.2, axis=0) + q
            chunk = AdmittedChunk(now - 0.02, 0.03, np.clip(wanted, low - 0.4, high + 0.4), np.ones(29, dtype=bool),
                                  np.zeros((8, 3)), 1, k)  # fmt: skip
            guard.submit(chunk)
        command = guard.step(measured(k, now, q), now)
        if command.writes:
            q = np.where(command.kp > 0, command.q - rng.uniform(-0.2, 0.2, 29), q)
        report = guard.report()
        for joint, reason in zip(report.limited_joints, report.limited_reasons, strict=True):
            named[joint, reason] = named.get((joint, reason), 0) + 1
        assert report.limit_count == sum(named.values())
    assert {(joint, reason): count for joint, reason, count in report.counts} == named
    assert sum(report.limits_by_reason.values()) == report.limit_count
    assert {reason for _, reason in named} >= {"position", "jerk", "torque"}


def test_i19_on_the_experts_chunks_the_guard_has_next_to_nothing_to_do() -> None:
    """The expert that the shipped policy learnt from, closed loop through guard and physics."""
    pytest.importorskip("mujoco")
    from neon_ros.learn.drive import Drive
    from neon_ros.learn.expert import Expert
    from neon_ros.learn.language import HANDS
    from neon_ros.learn.touch import TouchWorld
    from neon_ros.robot.gains import gains
    from neon_ros.sim.table import TouchScene

    world = TouchWorld()
    expert, drive = Expert(world.model, gains("arm_sdk").kp), Drive(world)
    held = periods = 0
    for seed in range(400, 400 + EPISODES):
        scene = TouchScene.sample(seed, "eval")
        drive.reset(scene)
        hand = np.array([HANDS.index(scene.hand)])
        for _ in range(25):
            captured = drive.now
            chunk = expert.chunks(world.q[None], world.dq[None], hand, world.tops()[[scene.target]])[0]
            drive.run(0.05)
            drive.submit(chunk, captured)
            drive.run(0.05)
        report = drive.guard.report()
        assert report.chunks_joined == 25 and report.state.value == "ACTIVE"
        held += report.limit_count
        periods += report.commands_sent * 17
    assert held / periods < NOMINAL


def test_i19_on_the_shipped_policys_chunks_the_guard_has_next_to_nothing_to_do() -> None:
    """The nominal policy itself: rendered pictures, cast clouds, the compact backbone, guard and physics."""
    pytest.importorskip("mujoco")
    pytest.importorskip("onnxruntime")
    from pathlib import Path

    from neon_ros.act.policy import load_policy
    from neon_ros.encode.backbones import load
    from neon_ros.errors import NeonError
    from neon_ros.graph import shipped_checkpoint
    from neon_ros.learn.agents import PolicyAgent
    from neon_ros.learn.evaluate import EvalConfig, Examiner
    from neon_ros.sim.camera import gl_backend

    try:
        gl_backend()
        backbone = load("compact")
    except NeonError as error:
        pytest.skip(f"no rendering or no backbone here: {error}")
    examiner = Examiner()
    agent = PolicyAgent(load_policy(Path(shipped_checkpoint("mlp"))), backbone)
    held = periods = 0
    for index in range(3):
        held += examiner.episode(agent, EvalConfig(seed=19), index).limited
        periods += examiner.drive.guard.report().commands_sent * 17
    assert periods > 3 * 17 * 500 and held / periods < NOMINAL
