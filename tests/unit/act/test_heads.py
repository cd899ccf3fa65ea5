"""Every head behind the same verb: what is missing, what is seeded, what is committed, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neon_ros.act.checkpoint import Checkpoint, open_checkpoint
from neon_ros.act.heads import TRAINED, load_head
from neon_ros.act.manifest import JUDGE
from neon_ros.act.policy import Policy
from neon_ros.act.speculative import SpeculativePolicy, load_speculative
from neon_ros.errors import CheckpointError, ConfigError, ContractError

pytest.importorskip("onnxruntime")
Q = np.linspace(-0.3, 0.3, 29)
NEW = TRAINED[1:]
NOISY = ("flow_matching", "dit")
Export = Callable[[str], Path]


def everything(seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    return {
        "vision": generator.normal(0, 1, (112, 112)),
        "text": generator.normal(0, 1, (32, 384)),
        "text_mask": (np.arange(32) < 9).astype(np.float32),
        "proprio": generator.normal(0, 1, 128),
        "lidar": generator.normal(0, 1, 128),
        "eef": generator.normal(0, 1, 64),
        "age": (0.05, 0.1, 0.0, 0.0),
    }


def policy(tiny_heads: Export, head: str) -> Policy:
    opened = load_head(head, tiny_heads(head))
    assert isinstance(opened, Policy)
    return opened


@pytest.mark.parametrize("head", NEW)
def test_any_modality_may_be_missing(tiny_heads: Export, head: str) -> None:
    made, said = policy(tiny_heads, head), []
    for present in range(16):
        given = everything()
        for bit, group in enumerate((("vision", "text", "text_mask"), ("lidar",), ("proprio",), ("eef",))):
            if not present >> bit & 1:
                given |= dict.fromkeys(group)
        said.append(made.act(Q, **given).q)
        assert np.isfinite(said[-1]).all()
        assert said[-1].shape == (16, 17)
    assert len({chunk.tobytes() for chunk in said}) == 16, "each absence is another input"


@pytest.mark.parametrize("head", TRAINED)
def test_a_seed_is_a_chunk(tiny_heads: Export, head: str) -> None:
    first, again, other = (policy(tiny_heads, head).act(Q, **everything(), seed=seed).q for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) == (head not in NOISY)


@pytest.mark.parametrize("head", NEW)
def test_committed_steps_come_back_as_they_were(tiny_heads: Export, head: str) -> None:
    made = policy(tiny_heads, head)
    committed = Q[12:] + np.linspace(0.0, 0.05, 5)[:, None]
    said, free = (made.act(Q, **everything(), prefix=prefix).q for prefix in (committed, None))
    np.testing.assert_allclose(said[:5], committed, atol=1e-5)
    assert np.abs(said[5:] - free[5:]).max() > 1e-5
    np.testing.assert_array_equal(made.act(Q, **everything(), prefix=np.zeros((0, 17))).q, free)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        (np.zeros((3, 16)), r"prefix shape: got \(3, 16\); allowed: \(None, 17\)"),
        (np.zeros((17, 17)), "prefix steps: got 17; allowed: at most 16"),
        (np.full((2, 17), np.nan), r"prefix\[0, 0\]: got nan; allowed: finite values"),
    ],
)
def test_a_wrong_prefix_is_refused(tiny_heads: Export, prefix: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        policy(tiny_heads, "dit").act(Q, **everything(), prefix=prefix)


@pytest.mark.parametrize("head", NEW)
def test_features_that_are_not_finite_are_refused(tiny_heads: Export, head: str) -> None:
    given = {**everything(), "proprio": np.full(128, np.inf)}
    with pytest.raises(ContractError, match=r"proprio\[0\]: got inf; allowed: finite values"):
        policy(tiny_heads, head).act(Q, **given)


def test_the_gate_leaves_the_head(tiny_heads: Export) -> None:
    gate = policy(tiny_heads, "ensemble").act(Q, **everything()).gate
    assert gate is not None
    assert gate.shape == (4,)
    assert (gate > 0).sum() == 2
    assert gate.sum() == pytest.approx(1.0)
    assert policy(tiny_heads, "dit").act(Q, **everything()).gate is None


@pytest.mark.parametrize("head", NEW)
def test_a_checkpoint_of_another_head_mode_or_backbone_is_refused(tiny_heads: Export, head: str) -> None:
    with pytest.raises(CheckpointError, match=rf"head of checkpoint .*: got {head}; allowed: mlp"):
        load_head("mlp", tiny_heads(head))
    with pytest.raises(CheckpointError, match="got whole_body; allowed: upper_body"):
        load_head(head, tiny_heads(head), mode="whole_body")
    with pytest.raises(CheckpointError, match="got qwen_omni; allowed: compact/"):
        open_checkpoint(tiny_heads(head), backbone="qwen_omni")
    with pytest.raises(ConfigError, match=f"checkpoint: got none; allowed: the folder of a checkpoint for head {head}"):
        load_head(head, None)


@pytest.mark.parametrize("head", NOISY)
def test_a_draft_is_taken_or_the_accurate_head_answers(tiny_heads: Export, head: str) -> None:
    draft, accurate = tiny_heads("mlp"), tiny_heads(head)
    lenient, strict = (load_speculative(draft, accurate, tolerance) for tolerance in (1e3, 1e-6))
    given = everything()
    np.testing.assert_array_equal(lenient.act(Q, **given).q, load_head("mlp", draft).act(Q, **given).q)
    wanted = load_head(head, accurate)
    np.testing.assert_array_equal(strict.act(Q, **given, seed=7).q, wanted.act(Q, **given, seed=7).q)
    assert (lenient.counts.asked, lenient.counts.accepted, lenient.counts.rate) == (1, 1, 1.0)
    assert (strict.counts.asked, strict.counts.accepted) == (1, 0)
    committed = np.tile(Q[12:], (2, 1))
    np.testing.assert_array_equal(
        lenient.act(Q, **given, prefix=committed).q, wanted.act(Q, **given, prefix=committed).q
    )
    assert lenient.counts == (2, 1)


def test_what_cannot_speculate_is_refused(tiny_heads: Export) -> None:
    mlp, dit = open_checkpoint(tiny_heads("mlp")), open_checkpoint(tiny_heads("dit"))
    with pytest.raises(ConfigError, match=r"speculation tolerance: got 0; allowed: above 0 \[rad\]"):
        SpeculativePolicy(mlp, dit, 0)
    with pytest.raises(CheckpointError, match="head mlp as judge: got no graph judge; allowed: flow_matching or dit"):
        SpeculativePolicy(dit, mlp, 0.1)
    other = {**mlp.weights, "eef.enter.bias": mlp.weights["eef.enter.bias"] + 1}
    with pytest.raises(CheckpointError, match=r"weight eef.enter.bias of the draft: got another"):
        SpeculativePolicy(Checkpoint(mlp.folder, mlp.manifest, other), dit, 0.1)
    assert JUDGE in dit.manifest.graphs
