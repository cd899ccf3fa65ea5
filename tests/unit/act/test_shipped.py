"""The checkpoint that ships: whole, for the default backbone, and calm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import neon_ros
from neon_ros.act.heads import load_head
from neon_ros.act.manifest import MODALITIES, load_manifest
from neon_ros.robot.joints import JOINTS, joint_indices
from neon_ros.robot.modes import MODES

FOLDER = Path(neon_ros.__file__).parent / "checkpoints" / "mlp_touch"


def test_it_is_what_the_default_graph_runs() -> None:
    manifest = load_manifest(FOLDER, backbone="compact/lite0-s16+minilm-l6", mode="upper_body")
    assert manifest.head_id == FOLDER.name
    assert manifest.joint_names == MODES["upper_body"].joint_names
    assert (manifest.horizon, manifest.dt) == (16, 0.02)
    assert manifest.modalities == MODALITIES
    assert 1.8e6 < manifest.parameters["head"] < 2.2e6
    assert manifest.training["preset"]["ablation"] == "none"


def test_it_is_small_and_holds_nothing_else() -> None:
    names = {path.name for path in FOLDER.iterdir()}
    assert names == {"manifest.json", *load_manifest(FOLDER).files}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 6_000_000


def test_its_chunks_start_where_the_robot_is_and_stay_near() -> None:
    pytest.importorskip("onnxruntime")
    head = load_head("mlp", FOLDER)
    columns = joint_indices(head.manifest.joint_names)
    lower, upper = (np.array([getattr(joint, side) for joint in JOINTS]) for side in ("lower", "upper"))
    generator = np.random.default_rng(0)
    for _ in range(20):
        q = np.clip(generator.normal(0.0, 0.3, 29), lower, upper)
        said = head.act(
            q,
            vision=generator.normal(0.0, 1.0, (112, 112)),
            text=generator.normal(0.0, 0.3, (32, 384)),
            text_mask=np.arange(32) < 12,
            proprio=head.encode_proprio(q, np.zeros(29), (0, 0, -1), np.zeros(3)),
            lidar=head.encode_lidar(generator.uniform(-1, 1, (4000, 3))),
        )
        assert np.abs(said.q - q[columns]).max() < 1.5
        assert not said.base_velocity.any()
