"""Export: ONNX Runtime says what torch says, or there is no checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from neon_ros.act.checkpoint import Checkpoint, open_checkpoint  # noqa: E402
from neon_ros.act.manifest import PARTS  # noqa: E402
from neon_ros.act.networks.config import head_config  # noqa: E402
from neon_ros.act.networks.model import NeonModel  # noqa: E402
from neon_ros.errors import CheckpointError  # noqa: E402
from neon_ros.learn.export import ExportSpec, export_checkpoint, load_model, verify_export  # noqa: E402

CONFIG = head_config("mlp", tuple(range(12, 29)), rows=4, columns=7, channels=16, text_size=24, pooled=32)
SPEC = ExportSpec("tiny", "touch", "upper_body", 0.02, "eyes/1")


@pytest.fixture
def model() -> NeonModel:
    torch.manual_seed(0)
    return NeonModel(CONFIG)


def test_the_runtime_agrees_with_torch(model: NeonModel, tmp_path: Path) -> None:
    export_checkpoint(model, SPEC, tmp_path / "tiny")
    checkpoint = open_checkpoint(tmp_path / "tiny")
    assert verify_export(load_model(checkpoint, CONFIG).eval(), checkpoint, draws=6, seed=5) < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_another_network_is_refused(model: NeonModel, tmp_path: Path) -> None:
    export_checkpoint(model, SPEC, tmp_path / "tiny")
    checkpoint = open_checkpoint(tmp_path / "tiny")
    exported = load_model(checkpoint, CONFIG).eval()
    exported.head.out.bias.data += 0.01
    with pytest.raises(CheckpointError, match=r"head.q_chunk: ONNX Runtime against torch: got 0.00.*; allowed: at mo"):
        verify_export(exported, checkpoint)


def test_half_floats_change_a_chunk_by_less_than_a_milliradian(model: NeonModel, tmp_path: Path) -> None:
    manifests = [
        export_checkpoint(model, replace(SPEC, half=half), tmp_path / f"half_{half}") for half in (True, False)
    ]
    sizes = [(tmp_path / f"half_{half}" / "weights.safetensors").stat().st_size for half in (True, False)]
    assert sizes[0] < 0.7 * sizes[1]
    assert manifests[0].checksum != manifests[1].checksum
    exact = open_checkpoint(tmp_path / "half_False").weights
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(exact[name], value.numpy())


def test_a_weight_that_is_not_finite_or_too_large_is_refused(model: NeonModel, tmp_path: Path) -> None:
    model.head.out.bias.data[3] = 1e6
    with pytest.raises(CheckpointError, match=r"weight head.out.bias: got values beyond float16; allowed: finite"):
        export_checkpoint(model, SPEC, tmp_path / "tiny")
    assert not (tmp_path / "tiny").exists()


def test_weights_of_another_shape_are_refused(model: NeonModel, tmp_path: Path) -> None:
    export_checkpoint(model, SPEC, tmp_path / "tiny")
    checkpoint = open_checkpoint(tmp_path / "tiny")
    other = replace(CONFIG, pooled=16)
    with pytest.raises(CheckpointError, match=r"(?s)weights of .*tiny: got .*; allowed: those of the network"):
        load_model(checkpoint, other)


def test_an_export_replaces_the_one_before(model: NeonModel, tmp_path: Path) -> None:
    export_checkpoint(model, SPEC, tmp_path / "tiny")
    (tmp_path / "tiny" / "stray").write_text("left over")
    manifest = export_checkpoint(model, SPEC, tmp_path / "tiny")
    assert not (tmp_path / "tiny" / "stray").exists()
    assert sum(manifest.parameters.values()) == sum(p.numel() for p in model.parameters())
    assert set(manifest.graphs) == set(PARTS)


def test_the_checkpoint_in_memory_is_the_one_on_disk(model: NeonModel, tmp_path: Path) -> None:
    manifest = export_checkpoint(model, SPEC, tmp_path / "tiny")
    checkpoint = open_checkpoint(tmp_path / "tiny")
    assert isinstance(checkpoint, Checkpoint)
    assert checkpoint.manifest == manifest
