"""The runtimes say the same: ONNX Runtime, torch, and what is exported; and the graphs are made quicker, not other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
import onnx

from neon_ros.act.checkpoint import METADATA, Checkpoint, open_checkpoint
from neon_ros.act.exporting import compare, export_whole, random_feed
from neon_ros.act.heads import load_head
from neon_ros.act.manifest import MANIFEST_FILE, WHOLE_FORMAT, sha256_of
from neon_ros.act.policy import Graph, load_policy
from neon_ros.act.runtime import Runtime, open_part
from neon_ros.act.tuning import cut_words, fuse_norms
from neon_ros.errors import CheckpointError, ConfigError
from neon_ros.graph import shipped_checkpoint

TOLERANCE = 1e-4
"""Largest difference between ONNX Runtime and torch, in the outputs' own units (rad, m/s, features)."""
TORCH = Runtime("torch")


@pytest.fixture(scope="module")
def shipped() -> Checkpoint:
    return open_checkpoint(shipped_checkpoint("mlp"))


def worst(checkpoint: Checkpoint, draws: int) -> float:
    """Return the largest difference between the two runtimes over all parts."""
    generator, found = np.random.default_rng(7), 0.0
    for part, spec in checkpoint.manifest.graphs.items():
        ort, torch = Graph(checkpoint, part), Graph(checkpoint, part, TORCH)
        for draw in range(draws):
            feed = random_feed(spec, generator, points=1 + draw % 70)
            one, other = ort(feed), torch(feed)
            found = max(found, *(float(np.abs(one[name] - other[name]).max()) for name in spec.outputs))
    return found


def test_torch_and_onnx_runtime_say_the_same(shipped: Checkpoint) -> None:
    assert worst(shipped, 50) < TOLERANCE


@pytest.mark.long
def test_torch_and_onnx_runtime_say_the_same_on_ten_thousand_inputs(shipped: Checkpoint) -> None:
    assert worst(shipped, 10_000) < TOLERANCE


def test_a_policy_runs_in_torch_too(shipped_shape: Path) -> None:
    q = np.linspace(-0.2, 0.2, 29)
    one, other = load_policy(shipped_shape), load_policy(shipped_shape, TORCH)
    np.testing.assert_allclose(other.act(q).q, one.act(q).q, atol=TOLERANCE)


def test_words_are_read_again_when_they_change(shipped: Checkpoint) -> None:
    feed = random_feed(shipped.manifest.graphs["head"], np.random.default_rng(1))
    feed["present"][:] = feed["text_mask"][:] = 1.0
    part, fresh = open_part(shipped, "head"), open_part(shipped, "head", TORCH)
    for change in (None, "text", "text", "text_mask"):
        if change is not None:
            before = part.run(feed)[0]
            feed[change][0, 3:] *= 0.0 if change == "text_mask" else -1.0  # in place, as a buffer that is used again
            assert np.abs(part.run(feed)[0] - before).max() > 1e-3
        np.testing.assert_allclose(part.run(feed)[0], fresh.run(feed)[0], atol=TOLERANCE)


def test_norms_are_fused_and_words_cut_off(shipped: Checkpoint) -> None:
    proto = onnx.load_model_from_string(shipped.graph("head"))
    count = sum(node.op_type == "Sqrt" for node in proto.graph.node)
    assert fuse_norms(proto) == count > 4
    assert not any(node.op_type == "Sqrt" for node in proto.graph.node)
    assert fuse_norms(proto) == 0
    halves = cut_words(proto)
    assert halves is not None
    assert [item.name for item in onnx.load_model_from_string(halves.words).graph.input] == ["text", "text_mask"]
    left = {item.name for item in onnx.load_model_from_string(halves.rest).graph.input}
    assert not left & {"text", "text_mask"} and set(halves.between) <= left
    assert cut_words(onnx.load_model_from_string(shipped.graph("eef"))) is None


def test_a_mean_of_squares_that_is_no_norm_stays(shipped: Checkpoint) -> None:
    proto = onnx.load_model_from_string(shipped.graph("proprio"))
    for node in proto.graph.node:
        if node.op_type == "ReduceMean":
            next(item for item in node.attribute if item.name == "axes").ints[0] = 0
    assert fuse_norms(proto) == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "tflite"}, "runtime: got tflite; allowed: ort, torch"),
        ({"provider": "tpu"}, "provider of runtime ort: got tpu; allowed: cpu, cuda, tensorrt"),
        ({"name": "torch", "provider": "tensorrt"}, "provider of runtime torch: got tensorrt; allowed: cpu, cuda"),
        ({"threads": 0}, "threads of runtime: got 0; allowed: 1 to 64"),
    ],
)
def test_an_unknown_runtime_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Runtime(**values)


def test_a_processor_that_is_not_there_is_refused_and_not_replaced(
    shipped: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="provider of runtime torch: got cuda; allowed: cpu: torch sees no GPU here"):
        open_part(shipped, "eef", Runtime("torch", "cuda"))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ConfigError, match="provider of runtime ort: got cuda; allowed: cpu .with this build"):
        open_part(shipped, "eef", Runtime("ort", "cuda"))

    class Fallen:
        def __init__(self, *_: object, **__: object) -> None: ...

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Fallen)
    with pytest.raises(ConfigError, match="got cuda, which did not start; allowed: one whose libraries and device"):
        open_part(shipped, "eef", Runtime("ort", "cuda"))


@pytest.fixture(scope="module")
def int8(shipped: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "int8"
    done = export_whole(shipped, folder, int8=True, trials=40)
    assert 0.0 < done.mean < 0.002 and done.largest < 0.03, done  # [rad]
    return folder


def test_an_export_stands_alone_and_says_the_same(shipped: Checkpoint, tmp_path: Path) -> None:
    done = export_whole(shipped, tmp_path / "whole", trials=20)
    assert done.largest < 1e-5
    exported = open_checkpoint(tmp_path / "whole", mode="upper_body")
    assert exported.manifest.format == WHOLE_FORMAT and not exported.weights
    assert exported.manifest.training["exported"] == {"from": shipped.manifest.checksum, "weights": "float32"}
    carried = {item.key: item.value for item in onnx.load(tmp_path / "whole" / "head.onnx").metadata_props}[METADATA]
    assert json.loads(carried)["joint_names"] == list(shipped.manifest.joint_names)
    assert compare(shipped, exported, 5)[0] < 1e-5


def test_int8_is_a_head_like_any_other(shipped: Checkpoint, int8: Path) -> None:
    size = (int8 / "head.onnx").stat().st_size
    assert size < 0.6 * 4 * shipped.manifest.parameters["head"]
    head = load_head("mlp", int8)
    assert head.manifest.checksum == sha256_of(int8 / "head.onnx") != shipped.manifest.checksum
    assert np.isfinite(head.act(np.zeros(29)).q).all()
    graph = onnx.load(int8 / "head.onnx").graph
    assert {"MatMulNBits"} <= {node.op_type for node in graph.node}


def test_a_wrong_export_is_refused(int8: Path, shipped: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="runtime of .*: got torch; allowed: ort: an exported checkpoint has"):
        load_policy(int8, TORCH)
    with pytest.raises(CheckpointError, match="checkpoint .*: got an export; allowed: a checkpoint with its weights"):
        export_whole(open_checkpoint(int8), tmp_path / "again")
    with pytest.raises(CheckpointError, match="out: got .*, which exists; allowed: a new folder"):
        export_whole(shipped, int8)
    copy = Path(shutil.copytree(int8, tmp_path / "copy"))
    (copy / "head.onnx").write_bytes((copy / "head.onnx").read_bytes() + b"\0")
    with pytest.raises(CheckpointError, match=r"head.onnx: got sha256 .* \(truncated or altered\)"):
        load_policy(copy)


@pytest.mark.parametrize(("said", "got"), [(None, "none"), ('{"mode": "arms_only"}', "that of another checkpoint")])
def test_a_graph_that_carries_another_manifest_is_refused(
    int8: Path, tmp_path: Path, said: str | None, got: str
) -> None:
    copy = Path(shutil.copytree(int8, tmp_path / "copy"))
    proto = onnx.load(copy / "head.onnx")
    del proto.metadata_props[:]
    if said is not None:
        onnx.helper.set_model_props(proto, {METADATA: said})
    (copy / "head.onnx").write_bytes(proto.SerializeToString())
    raw = json.loads((copy / MANIFEST_FILE).read_text())
    raw["files"]["head.onnx"] = sha256_of(copy / "head.onnx")
    (copy / MANIFEST_FILE).write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match=f"metadata {METADATA}: got {got}; allowed: the manifest beside it"):
        load_policy(copy)


def test_weights_of_another_network_are_refused_in_torch(copied: Callable[[], Path]) -> None:
    checkpoint = open_checkpoint(copied())
    weights = {name: value for name, value in checkpoint.weights.items() if name != "head.out.bias"}
    with pytest.raises(CheckpointError, match="weights of .*: got Error.* in loading state_dict"):
        open_part(replace(checkpoint, weights=weights), "head", TORCH)


def test_the_verb_writes_and_tells_the_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from neon_ros.cli import main

    assert main(["export", "mlp", "--int8", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "head.onnx has 2." in said and "mrad in the mean and at most" in said
    assert main(["export", "mlp"]) == 2
    assert "--out: got nothing; allowed: a value" in capsys.readouterr().err
    assert main(["export", "--out", "x"]) == 2
    assert "checkpoint: got nothing; allowed: one folder, or the name of a head" in capsys.readouterr().err
