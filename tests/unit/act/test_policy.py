"""The runtime: any modality may be missing, bad input is refused, a value that is not finite never leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neon_ros.act.checkpoint import Checkpoint, open_checkpoint
from neon_ros.act.heads import HEADS, TRAINED, HoldHead, hold_manifest, load_head, random_head, redraw
from neon_ros.act.manifest import MANIFEST_FILE
from neon_ros.act.policy import EefEncoder, LidarEncoder, Policy, ProprioEncoder, load_policy
from neon_ros.errors import CheckpointError, ConfigError, ContractError
from neon_ros.robot.joints import joint_indices

pytest.importorskip("onnxruntime")
Q = np.linspace(-0.3, 0.3, 29)
UPRIGHT = (0.0, 0.0, -1.0)
HANDS = [[0.2, 0.2, 0.1, 0.0, 0.0, 0.0, 1.0], [0.2, -0.2, 0.1, 0.0, 0.0, 0.0, 1.0]]


@pytest.fixture(scope="module")
def policy(shipped_shape: Path) -> Policy:
    return load_policy(shipped_shape, backbone="compact/lite0-s16+minilm-l6", mode="upper_body")


def everything(policy: Policy, seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    return {
        "vision": generator.normal(0, 1, (112, 112)),
        "text": generator.normal(0, 1, (32, 384)),
        "text_mask": (np.arange(32) < 9).astype(np.float32),
        "proprio": policy.encode_proprio(Q, np.zeros(29), UPRIGHT, np.zeros(3)),
        "lidar": policy.encode_lidar(generator.normal(0, 0.4, (500, 3))),
        "eef": policy.encode_eef(HANDS),
        "age": (0.05, 0.1, 0.0, 0.0),
    }


def test_a_chunk_has_the_shapes_of_the_manifest(policy: Policy) -> None:
    said = policy.act(Q, **everything(policy))
    assert said.q.shape == (16, 17)
    assert said.base_velocity.shape == (16, 3)
    assert said.q.dtype == said.base_velocity.dtype == np.float32


@pytest.mark.parametrize("present", range(16))
def test_any_modality_may_be_missing(policy: Policy, present: int) -> None:
    given = everything(policy)
    names = [("vision", "text", "text_mask"), ("lidar",), ("proprio",), ("eef",)]
    for bit, group in enumerate(names):
        if not present >> bit & 1:
            given |= dict.fromkeys(group)
    said = policy.act(Q, **given)
    assert np.isfinite(said.q).all()
    assert np.isfinite(said.base_velocity).all()


def test_what_is_absent_is_not_what_is_zero(policy: Policy) -> None:
    given = everything(policy)
    zero = policy.act(Q, **{**given, "eef": np.zeros(64)}).q
    absent = policy.act(Q, **{**given, "eef": None}).q
    assert np.abs(zero - absent).max() > 1e-5


def test_the_age_of_what_is_absent_does_not_matter(policy: Policy) -> None:
    given = {**everything(policy), "lidar": None}
    first = policy.act(Q, **given).q
    given["age"] = (0.05, 0.9, 0.0, 0.0)
    np.testing.assert_array_equal(policy.act(Q, **given).q, first)


def test_a_modality_it_was_not_trained_with_counts_as_absent(copied: Callable[[], Path], policy: Policy) -> None:
    folder = copied()
    raw = json.loads((folder / MANIFEST_FILE).read_text())
    raw["modalities"] = ["backbone", "proprio", "eef"]
    (folder / MANIFEST_FILE).write_text(json.dumps(raw))
    deaf, given = load_policy(folder), everything(policy)
    np.testing.assert_array_equal(deaf.act(Q, **given).q, policy.act(Q, **{**given, "lidar": None}).q)


def test_no_words_are_not_padding(policy: Policy) -> None:
    given = everything(policy)
    silent = policy.act(Q, **{**given, "text_mask": np.zeros(32)}).q
    other = policy.act(Q, **{**given, "text_mask": np.zeros(32), "text": given["text"] * 2}).q
    np.testing.assert_allclose(silent, other, atol=1e-6)


def test_padding_words_do_not_matter(policy: Policy) -> None:
    given = everything(policy)
    text = given["text"].copy()
    text[9:] = 5.0
    np.testing.assert_allclose(policy.act(Q, **{**given, "text": text}).q, policy.act(Q, **given).q, atol=1e-5)


def test_the_chunk_is_relative_to_the_joints_of_the_capture(policy: Policy) -> None:
    """Without proprio and hands the network sees q only through ``q`` itself; the legs are not even in it."""
    given = everything(policy)
    moved = Q.copy()
    moved[:12] += 0.2
    np.testing.assert_array_equal(policy.act(moved, **given).q, policy.act(Q, **given).q)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vision": np.zeros((112, 111))}, r"vision shape: got \(112, 111\); allowed: \(112, 112\)"),
        ({"text": np.full((32, 384), np.nan)}, r"text\[0, 0\]: got nan; allowed: finite"),
        ({"proprio": np.zeros(127)}, r"proprio shape: got \(127,\)"),
        ({"lidar": np.zeros(1)}, r"lidar shape"),
        ({"eef": "hands"}, r"eef: got str"),
        ({"text": None}, r"backbone tensors: got \['vision', 'text_mask'\]; allowed: all of"),
        ({"age": (0.0, -0.1, 0.0, 0.0)}, r"age: got \[0.0, -0.1"),
        ({"age": (0.0, 0.0)}, r"age shape: got \(2,\)"),
        ({"q": np.zeros(17)}, r"q shape: got \(17,\); allowed: \(29,\)"),
        ({"q": np.full(29, np.inf)}, r"q\[0\]: got inf"),
    ],
)
def test_bad_input_is_refused(policy: Policy, change: dict[str, Any], message: str) -> None:
    given = {"q": Q, **everything(policy), **change}
    with pytest.raises(ContractError, match=message):
        policy.act(**given)


def test_a_chunk_that_is_not_finite_never_leaves(shipped_shape: Path) -> None:
    checkpoint = open_checkpoint(shipped_shape)
    weights = {**checkpoint.weights, "head.out.bias": np.full_like(checkpoint.weights["head.out.bias"], np.inf)}
    broken = Policy(Checkpoint(checkpoint.folder, checkpoint.manifest, weights))
    with pytest.raises(ContractError, match=r"head.q_chunk: got values that are not finite; allowed: finite values"):
        broken.act(Q)


def test_the_order_of_points_does_not_matter(policy: Policy) -> None:
    cloud = np.random.default_rng(0).normal(0, 0.4, (3000, 3))
    np.testing.assert_array_equal(policy.encode_lidar(cloud), policy.encode_lidar(cloud[::-1]))


def test_an_empty_cloud_has_features(policy: Policy) -> None:
    assert np.isfinite(policy.encode_lidar(np.zeros((0, 3)))).all()


def test_encoders_alone_say_what_the_policy_says(policy: Policy, shipped_shape: Path) -> None:
    checkpoint = open_checkpoint(shipped_shape)
    given = everything(policy)
    proprio = ProprioEncoder(checkpoint).encode(Q, np.zeros(29), UPRIGHT, np.zeros(3))
    np.testing.assert_array_equal(proprio, given["proprio"])
    np.testing.assert_array_equal(EefEncoder(checkpoint).encode(HANDS), given["eef"])
    cloud = np.random.default_rng(3).normal(0, 0.4, (50, 3))
    np.testing.assert_array_equal(LidarEncoder(checkpoint).encode(cloud), policy.encode_lidar(cloud))


def test_a_graph_that_cannot_run_is_named(shipped_shape: Path) -> None:
    import onnx

    class Damaged(Checkpoint):
        def graph(self, part: str) -> bytes:
            proto = onnx.load_model_from_string(super().graph(part))
            proto.graph.node[0].op_type = "NoSuchOperator"
            data: bytes = proto.SerializeToString()
            return data

    checkpoint = open_checkpoint(shipped_shape)
    with pytest.raises(CheckpointError, match=r"head.onnx: got .*NoSuchOperator.*; allowed: a graph ONNX Runtime can"):
        Policy(Damaged(checkpoint.folder, checkpoint.manifest, checkpoint.weights))


def test_a_graph_with_other_inputs_than_the_manifest_says_is_refused(copied: Callable[[], Path]) -> None:
    folder = copied()
    raw = json.loads((folder / MANIFEST_FILE).read_text())
    raw["graphs"]["eef"]["inputs"] = {"hands": [1, 18]}
    (folder / MANIFEST_FILE).write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match=r"eef.onnx: inputs: got \['eef'\]; allowed: \['hands'\]"):
        load_policy(folder).encode_eef(HANDS)


def test_an_unknown_head_lists_the_known(shipped_shape: Path) -> None:
    with pytest.raises(ConfigError, match="head: got diffusion; allowed: dit, ensemble, flow_matching, hold, mlp"):
        load_head("diffusion", shipped_shape)
    assert set(HEADS) == {"hold", *TRAINED}


def test_the_mlp_head_wants_its_checkpoint(copied: Callable[[], Path]) -> None:
    with pytest.raises(ConfigError, match="checkpoint: got none; allowed: the folder of a checkpoint for head mlp"):
        load_head("mlp", None)
    folder = copied()
    with pytest.raises(CheckpointError, match=r"mode for .*got arms_only"):
        load_head("mlp", folder, mode="arms_only")
    raw = json.loads((folder / MANIFEST_FILE).read_text())
    raw["head"] = "dit"
    (folder / MANIFEST_FILE).write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match=r"head of checkpoint .*: got dit; allowed: mlp"):
        load_head("mlp", folder)


@pytest.mark.parametrize("mode", ["arms_only", "upper_body", "whole_body"])
def test_hold_keeps_the_joints_of_the_capture(mode: str) -> None:
    head = load_head("hold", None, mode=mode)
    said = head.act(Q)
    columns = joint_indices(head.manifest.joint_names)
    np.testing.assert_array_equal(said.q, np.tile(Q[columns].astype(np.float32), (16, 1)))
    assert not said.base_velocity.any()
    assert len(head.manifest.checksum) == 64


def test_hold_does_not_follow_sagging_joints_but_takes_a_moved_robot_as_it_is() -> None:
    head = HoldHead(hold_manifest("upper_body"))
    start = np.linspace(-0.2, 0.2, 29)
    first = head.act(start).q
    for sag in np.linspace(0.0, 0.1, 11):
        np.testing.assert_array_equal(head.act(start + sag).q, first)
    moved = start.copy()
    moved[20] += 0.5
    np.testing.assert_allclose(head.act(moved).q[-1], moved[12:], atol=1e-6)


def test_hold_refuses_bad_joints_and_modes() -> None:
    with pytest.raises(ContractError, match=r"q\[3\]: got nan"):
        HoldHead(hold_manifest("arms_only")).act(np.where(np.arange(29) == 3, np.nan, 0.0))
    with pytest.raises(ConfigError, match="mode: got legs"):
        load_head("hold", None, mode="legs")


def test_hold_has_the_same_verbs(policy: Policy) -> None:
    head = load_head("hold", None)
    assert head.encode_proprio(Q, Q, UPRIGHT, np.zeros(3)).shape == (128,)
    assert head.encode_lidar(np.zeros((0, 3))).shape == (128,)
    assert head.encode_eef(HANDS).shape == (64,)


def test_the_random_head_is_seeded_and_keeps_what_the_data_say(policy: Policy, shipped_shape: Path) -> None:
    given = everything(policy)
    first, again, other = (random_head(shipped_shape, seed).act(Q, **given).q for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    weights = open_checkpoint(shipped_shape).weights
    drawn = redraw(weights, 1)
    np.testing.assert_array_equal(drawn["head.scale"], weights["head.scale"])
    assert not drawn["head.out.bias"].any()
    assert not np.array_equal(drawn["head.out.weight"], weights["head.out.weight"])
