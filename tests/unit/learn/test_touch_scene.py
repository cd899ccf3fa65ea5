"""The scenes of the task `touch`: a pure function of the seed, training and evaluation apart."""

from __future__ import annotations

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")

from neon_ros.errors import ConfigError, ContractError  # noqa: E402
from neon_ros.learn.language import Instruction  # noqa: E402
from neon_ros.learn.touch import TouchWorld, every_instruction, instruction_of  # noqa: E402
from neon_ros.sim.model import build_spec  # noqa: E402
from neon_ros.sim.table import TABLE_TOP, TouchScene  # noqa: E402
from neon_ros.sim.things import AREA_X, AREA_Y, COLOURS, GAP, HELD_OUT_PAIRS, SHAPES, surface_distance  # noqa: E402


@pytest.fixture(scope="module")
def world() -> TouchWorld:
    return TouchWorld()


def test_a_scene_repeats_by_seed() -> None:
    for purpose in ("train", "eval"):
        assert TouchScene.sample(12, purpose) == TouchScene.sample(12, purpose)
        assert TouchScene.sample(12, purpose) != TouchScene.sample(13, purpose)


def test_no_seed_of_training_gives_a_scene_of_evaluation() -> None:
    train = {TouchScene.sample(seed, "train").objects for seed in range(300)}
    evaluation = {TouchScene.sample(seed, "eval").objects for seed in range(300)}
    assert len(train) == len(evaluation) == 300
    assert not train & evaluation


def test_held_out_pairs_never_stand_in_a_training_scene() -> None:
    for seed in range(400):
        for purpose in ("train", "eval"):
            pairs = {(thing.colour, thing.shape) for thing in TouchScene.sample(seed, purpose).objects}
            assert not pairs & HELD_OUT_PAIRS
            assert len(pairs) == 3


def test_held_out_targets_are_held_out_and_all_occur() -> None:
    seen = set()
    for seed in range(200):
        scene = TouchScene.sample(seed, "eval", "heldout")
        pairs = [(thing.colour, thing.shape) for thing in scene.objects]
        assert pairs[scene.target] in HELD_OUT_PAIRS
        assert sum(pair in HELD_OUT_PAIRS for pair in pairs) == 1
        seen.add(pairs[scene.target])
    assert seen == HELD_OUT_PAIRS


def test_things_stand_apart_inside_the_area_and_every_word_occurs() -> None:
    colours, shapes, hands, targets = set(), set(), set(), set()
    for seed in range(300):
        scene = TouchScene.sample(seed)
        for i, thing in enumerate(scene.objects):
            assert AREA_X[0] <= thing.x <= AREA_X[1]
            assert AREA_Y[0] <= thing.y <= AREA_Y[1]
            assert 0.1 <= thing.mass <= 0.2
            colours.add(thing.colour)
            shapes.add(thing.shape)
            for other in scene.objects[:i]:
                widths = min(thing.half[:2]) + min(other.half[:2])
                assert np.hypot(thing.x - other.x, thing.y - other.y) >= widths + GAP
        hands.add(scene.hand)
        targets.add(scene.target)
    assert colours == set(COLOURS)
    assert shapes == set(SHAPES)
    assert hands == {"left", "right"}
    assert targets == {0, 1, 2}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, "test"), "scene purpose: got test; allowed: train, eval"),
        ((0, "eval", "all"), "scene pairs: got all; allowed: trained, heldout"),
        ((0, "train", "heldout"), "scene pairs for train: got heldout; allowed: trained"),
        ((-1,), "scene seed: got -1"),
        ((2**63,), "scene seed: got 9223372036854775808"),
    ],
)
def test_what_is_no_scene_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TouchScene.sample(*arguments)  # type: ignore[arg-type]


def test_a_model_without_a_table_is_refused() -> None:
    model = build_spec("stand").compile()
    with pytest.raises(ContractError, match="model of a touch scene: got no body object_0"):
        TouchScene.sample(0).apply(model, mujoco.MjData(model))


@pytest.mark.parametrize("seed", range(6))
def test_things_rest_where_they_were_put(world: TouchWorld, seed: int) -> None:
    scene = TouchScene.sample(seed)
    world.reset(scene)
    start = world.centres()
    hold, gain = world.q, np.full(29, 100.0)
    for _ in range(250):
        world.step(hold, np.zeros(29), np.zeros(29), gain, 0.05 * gain)
    assert np.abs(world.centres() - start).max() < 1e-3
    assert np.allclose(start[:, 2], [TABLE_TOP + thing.half[2] for thing in scene.objects])
    assert np.allclose(start[:, :2], [(thing.x, thing.y) for thing in scene.objects])
    assert [float(world.model.body(f"object_{i}").mass[0]) for i in range(3)] == [o.mass for o in scene.objects]


def test_hands_start_far_from_all_things(world: TouchWorld) -> None:
    for seed in range(30):
        world.reset(TouchScene.sample(seed, "eval"))
        assert world.distances().min() > 0.06
        assert not world.contacts().any()


def test_a_scene_leaves_nothing_behind(world: TouchWorld) -> None:
    scene = TouchScene.sample(5)
    world.reset(scene)
    before = (world.data.qpos.copy(), world.model.geom_rgba.copy(), world.model.body_inertia.copy())
    world.reset(TouchScene.sample(6))
    world.reset(scene)
    after = (world.data.qpos, world.model.geom_rgba, world.model.body_inertia)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_things_are_seen_by_the_head_camera(world: TouchWorld) -> None:
    for seed in range(20):
        world.reset(TouchScene.sample(seed))
        _, seen = world.in_picture(world.centres(), 424 / 240)
        assert seen.all()


def test_surface_distance_is_zero_inside_and_right_outside() -> None:
    shapes = {thing.shape: thing for seed in range(40) for thing in TouchScene.sample(seed).objects}
    for thing in shapes.values():
        centre, turn = np.array([0.3, 0.1, 0.8]), np.eye(3)
        assert surface_distance(thing, centre, turn, centre) == 0.0
        above = centre + np.array([0.0, 0.0, thing.half[2] + 0.02])
        assert surface_distance(thing, centre, turn, above) == pytest.approx(0.02)
        beside = centre + np.array([thing.half[0] + 0.03, 0.0, 0.0])
        assert surface_distance(thing, centre, turn, beside) == pytest.approx(0.03)
    assert set(shapes) == set(SHAPES)


def test_instructions_name_the_things_of_the_scene(world: TouchWorld) -> None:
    scene = TouchScene.sample(3)
    world.reset(scene)
    every = every_instruction(scene)
    assert len(set(every)) == 6
    assert instruction_of(scene) in every
    absent = next(c for c in COLOURS if c not in [thing.colour for thing in scene.objects])
    with pytest.raises(ContractError, match=f"thing of the instruction: got {absent} cube; allowed: "):
        world.index_of(Instruction("left", absent, "cube"))
    assert [world.index_of(instruction) for instruction in every] == [0, 1, 2, 0, 1, 2]
    assert np.allclose(world.tops()[:, 2] - world.in_pelvis(world.centres())[:, 2], [o.half[2] for o in scene.objects])
