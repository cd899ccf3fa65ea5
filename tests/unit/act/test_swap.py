"""Taking another head's place: what it must be, what it must hear, and what it must prove."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neon_ros.act.checkpoint import Checkpoint, open_checkpoint
from neon_ros.act.heads import HoldHead, hold_manifest, load_head
from neon_ros.act.policy import HeadOutput, Policy
from neon_ros.act.swap import HeadChoice, Seat, check_backbone, check_fit, open_choice, warm_up
from neon_ros.contracts import Features, FloatArray
from neon_ros.errors import CheckpointError, ContractError

HOLD = HeadChoice("hold", "", "upper_body")
DT, HORIZON = (0.005, 0.5), (2, 64)


def felt(model_id: str, stamp_ns: int = 10**9, **more: FloatArray) -> Features:
    tensors = {"features": np.zeros(128, np.float32), "q": np.zeros(29, np.float32)}
    return Features(stamp_ns, "proprio", model_id, {**tensors, **more})


def seat(choice: HeadChoice = HOLD) -> Seat:
    return Seat(choice, open_choice(choice), 0.5)


@pytest.fixture
def mlp(shipped_shape: Path) -> Seat:
    return seat(HeadChoice("mlp", str(shipped_shape), "upper_body"))


def test_an_encoder_may_work_for_two_heads_in_one_message(mlp: Seat) -> None:
    hold = seat()
    both = felt(hold.model_id, **{mlp.model_id: np.ones(128, np.float32)})
    hold.add(both)
    mlp.offer(both)
    ours, theirs = (one.collector.at(10**9).features["proprio"].tensors["features"] for one in (mlp, hold))
    assert ours.min() == 1.0 and theirs.max() == 0.0


def test_the_next_head_waits_for_all_that_the_one_in_use_has(mlp: Seat) -> None:
    assert mlp.lacks(("proprio", "lidar"), needs_backbone=True) == ["backbone", "lidar", "proprio"]
    mlp.offer(felt("rival@1"))  # not for it, and no fault
    assert mlp.lacks(("proprio",), needs_backbone=False) == ["proprio"]
    mlp.offer(felt(mlp.model_id))
    assert mlp.lacks(("proprio",), needs_backbone=False) == []
    assert mlp.lacks(("proprio",), needs_backbone=True) == ["backbone", "proprio"]
    seen = {name: np.zeros(shape, np.float32) for name, shape in mlp.manifest.backbone.tensors.items()}
    mlp.offer(Features(10**9, "backbone", mlp.manifest.backbone.model_id, seen))
    assert mlp.lacks(("proprio",), needs_backbone=True) == []
    hold = seat()
    hold.offer(felt(hold.model_id))
    assert hold.lacks(("proprio", "backbone"), needs_backbone=True) == [], "it reads none"


def test_features_of_another_head_or_backbone_are_refused(mlp: Seat) -> None:
    with pytest.raises(ContractError, match=f"features/proprio model_id: got rival@1; allowed: {mlp.model_id}"):
        mlp.add(felt("rival@1"))
    other = Features(1, "backbone", "retina/v1", {"vision": np.zeros((2, 2), np.float32)})
    with pytest.raises(ContractError, match="features/backbone model_id: got retina/v1"):
        mlp.offer(other)
    seat().add(other)  # a head that reads none does not mind


def test_what_is_asked_for_is_what_is_loaded(shipped_shape: Path) -> None:
    choice = HeadChoice("mlp", str(shipped_shape), "upper_body", "0" * 64)
    with pytest.raises(CheckpointError, match=r"checksum of mlp \(.*\): got .*; allowed: 0000000000000000…, the head"):
        open_choice(choice)
    assert len(seat(replace(choice, checksum="")).choice.checksum) == 64


def test_a_head_that_cannot_take_the_place_is_refused() -> None:
    arms, upper = hold_manifest("arms_only"), hold_manifest("upper_body")
    check_fit(upper, upper, DT, HORIZON)
    with pytest.raises(
        CheckpointError, match=r"joints of head hold: got none beyond and \['waist_pitch_joint'.* short"
    ):
        check_fit(arms, upper, DT, HORIZON)
    with pytest.raises(CheckpointError, match="dt of head hold: got 0.6; allowed: 0.005 to 0.5"):
        check_fit(replace(upper, dt=0.6), upper, DT, HORIZON)
    with pytest.raises(CheckpointError, match="horizon of head hold: got 65; allowed: 2 to 64"):
        check_fit(replace(upper, horizon=65), upper, DT, HORIZON)


def test_a_head_for_another_backbone_is_refused(mlp: Seat) -> None:
    check_backbone(mlp.manifest, "")
    check_backbone(hold_manifest("upper_body"), "retina/v1")
    with pytest.raises(CheckpointError, match="head tiny_mlp: got retina/v1; allowed: compact/.*trained on"):
        check_backbone(mlp.manifest, "retina/v1")


def test_a_trial_leaves_no_trace() -> None:
    head = load_head("hold", None)
    warm_up(head)
    q = np.full(29, 0.05)  # near the pose of the trial
    np.testing.assert_allclose(head.act(q).q, 0.05, atol=1e-6)


def test_a_head_that_says_nonsense_fails_its_trial(copied: Callable[[], Path]) -> None:
    checkpoint = open_checkpoint(copied())
    weights = {**checkpoint.weights, "head.out.bias": np.full_like(checkpoint.weights["head.out.bias"], np.inf)}
    with pytest.raises(CheckpointError, match="trial of head tiny_mlp: head.q_chunk: got values that are not finite"):
        warm_up(Policy(Checkpoint(checkpoint.folder, checkpoint.manifest, weights)))

    class Short(HoldHead):
        def act(self, q: object, **inputs: object) -> HeadOutput:  # type: ignore[override]
            return HeadOutput(np.zeros((15, 17), np.float32), np.zeros((16, 3), np.float32))

    with pytest.raises(
        CheckpointError, match=r"trial of head hold: q: got shape \(15, 17\); allowed: finite .*\(16, 17\)"
    ):
        warm_up(Short(hold_manifest("upper_body")))
