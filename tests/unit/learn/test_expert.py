"""The expert: kinematics that agree with the simulator's, labels inside limits, and touches through the real guard."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("ruckig")

from neon_ros.guard.limits import motion_limits
from neon_ros.learn.drive import MACHINE, Drive
from neon_ros.learn.expert import DT, FIRST, HORIZON, ArmChain, Expert, ExpertRules
from neon_ros.learn.language import HANDS
from neon_ros.learn.touch import TouchWorld, instruction_of
from neon_ros.robot.gains import gains
from neon_ros.robot.variants import variant
from neon_ros.sim.table import TouchScene

WAIST_AND_ARM = [list(range(12, 15)) + list(range(15 + 7 * side, 22 + 7 * side)) for side in (0, 1)]


@pytest.fixture(scope="module")
def world() -> TouchWorld:
    return TouchWorld()


@pytest.fixture(scope="module")
def expert(world: TouchWorld) -> Expert:
    return Expert(world.model, gains("arm_sdk").kp)


def some_states(world: TouchWorld, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    world.reset(TouchScene.sample(seed))
    q = np.tile(world.q, (count, 1))
    q[:, 12:] += rng.uniform(-1.0, 1.0, (count, 17)) * ([0.05] * 3 + [0.2] * 14)
    top = np.column_stack([rng.uniform(0.30, 0.42, count), rng.uniform(-0.15, 0.15, count), np.full(count, 0.06)])
    return q, rng.uniform(-0.5, 0.5, (count, 29)), rng.integers(0, 2, count), top


@pytest.mark.parametrize("side", [0, 1])
def test_palms_agree_with_the_simulator_and_jacobians_with_differences(world: TouchWorld, side: int) -> None:
    chain = ArmChain(world.model)
    q = some_states(world, 1)[0][0]
    world.place(q)
    columns, sides, step = WAIST_AND_ARM[side], np.array([side]), 1e-6
    palm, rotation, linear, angular = chain.forward(q[None, columns], sides)
    site = world.model.site(f"{HANDS[side]}_palm").id
    assert np.allclose(palm, world.in_pelvis(world.data.site_xpos[[site]]), atol=1e-9)
    for j in range(10):
        moved = q.copy()
        moved[columns[j]] += step
        other, turned, _, _ = chain.forward(moved[None, columns], sides)
        assert np.allclose((other - palm)[0] / step, linear[0, :, j], atol=1e-5)
        spin = (turned[0] - rotation[0]) / step @ rotation[0].T
        assert np.allclose([spin[2, 1], spin[0, 2], spin[1, 0]], angular[0, :, j], atol=1e-5)


def test_labels_start_at_the_measured_pose_and_stay_inside_the_guards_limits(world: TouchWorld, expert: Expert) -> None:
    q, dq, hand, top = some_states(world, 40)
    chunks = expert.chunks(q, dq, hand, top)
    limits = motion_limits(variant(MACHINE))
    assert chunks.shape == (40, HORIZON, 17)
    assert (chunks >= limits.lower[FIRST:]).all()
    assert (chunks <= limits.upper[FIRST:]).all()
    speed = np.diff(chunks, axis=1) / DT
    assert (np.abs(speed) <= limits.velocity[FIRST:]).all()
    assert (np.abs(np.diff(speed, axis=1)) / DT <= limits.acceleration[FIRST:]).all()
    lead = np.stack([expert.sag(row) for row in q[:, FIRST:]])
    inside = np.clip(q[:, FIRST:] + lead, limits.lower[FIRST:] + 0.01, limits.upper[FIRST:] - 0.01)
    assert np.allclose(chunks[:, 0], inside, atol=1e-9)


def test_a_batch_gives_each_state_the_label_it_gets_alone(world: TouchWorld, expert: Expert) -> None:
    q, dq, hand, top = some_states(world, 8, seed=3)
    together = expert.chunks(q, dq, hand, top)
    for row in range(8):
        alone = expert.chunks(*(part[[row]] for part in (q, dq, hand, top)))
        assert np.allclose(alone[0], together[row], atol=1e-12)


def test_the_other_arm_goes_back_to_the_ready_pose(world: TouchWorld) -> None:
    expert = Expert(world.model)
    q, _, _, top = some_states(world, 1, seed=5)
    dq, hand = np.zeros((1, 29)), np.array([0])
    for _ in range(40):
        chunk = expert.chunks(q, dq, hand, top)[0]
        q[0, FIRST:], dq[0, FIRST:] = chunk[5], (chunk[5] - chunk[4]) / DT
    assert np.abs(q[0, 22:] - expert.ready[22:]).max() < 0.01
    assert np.abs(q[0, 13:15] - expert.ready[13:15]).max() < 0.01
    assert np.abs(q[0, 15:22] - expert.ready[15:22]).max() > 0.1


def test_the_palm_is_never_faster_than_told(world: TouchWorld) -> None:
    slow = Expert(world.model, rules=ExpertRules(speed=0.1))
    q, _, hand, top = some_states(world, 6, seed=2)
    chunk = slow.chunks(q, np.zeros_like(q), hand, top)
    for row in range(6):
        chain = [0, 1, 2, *(range(3, 10) if hand[row] == 0 else range(10, 17))]
        palm = slow.chain.forward(chunk[row][:, chain], np.full(HORIZON, hand[row]))[0]
        assert np.linalg.norm(np.diff(palm, axis=0), axis=1).max() / DT < 0.1 + 0.15  # the waist may add its own


@pytest.mark.parametrize("seed", [0, 7, 21])
def test_the_expert_touches_the_right_thing_and_the_guard_has_nothing_to_do(
    world: TouchWorld, expert: Expert, seed: int
) -> None:
    scene = TouchScene.sample(seed, "eval")
    drive = Drive(world)
    drive.reset(scene)
    judge = world.judge(instruction_of(scene))
    hand = np.array([HANDS.index(scene.hand)])

    def undecided() -> bool:
        return world.observe(judge, 0.01) is None

    while judge.verdict is None:
        captured = drive.now
        chunk = expert.chunks(world.q[None], world.dq[None], hand, world.tops()[[scene.target]])[0]
        if drive.run(0.05, undecided):
            drive.submit(chunk, captured)
            drive.run(0.05, undecided)
    assert judge.verdict == "success"
    assert drive.guard.report().limit_count == 0, drive.guard.report().counts
