"""Weights and graphs meet only when they fit, and no graph can reach for a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neon_ros.act.checkpoint import join_graph, open_checkpoint, part_weights, read_weights, split_graph
from neon_ros.errors import CheckpointError

pytest.importorskip("safetensors")
onnx = pytest.importorskip("onnx")


def linear_graph(external: bool = False, constant: bool = False) -> bytes:
    """Return y = x @ w as an ONNX model with the initialiser w (2, 3)."""
    helper, kinds = onnx.helper, onnx.TensorProto
    w = onnx.numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    if external:
        w.ClearField("raw_data")
        w.data_location = kinds.EXTERNAL
        entry = w.external_data.add()
        entry.key, entry.value = "location", "/etc/hostname"
    if constant:
        hidden = onnx.numpy_helper.from_array(np.zeros(1, np.float32), "hidden")
        hidden.ClearField("raw_data")
        hidden.data_location = kinds.EXTERNAL
        body = helper.make_graph([helper.make_node("Constant", [], ["c"], value=hidden)], "body", [], [])
        nodes.append(helper.make_node("If", ["x"], ["z"], then_branch=body, else_branch=body))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kinds.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", kinds.FLOAT, [1, 3])],
        [w],
    )
    data: bytes = helper.make_model(graph).SerializeToString()
    return data


def test_split_and_join_are_inverse() -> None:
    bare, weights = split_graph(linear_graph())
    assert len(bare) < len(linear_graph())
    assert list(weights) == ["w"]
    again = split_graph(join_graph(bare, weights, "g"))[1]
    np.testing.assert_array_equal(again["w"], np.arange(6).reshape(2, 3))


def test_values_come_from_the_weights_not_from_the_graph() -> None:
    joined = join_graph(linear_graph(), {"w": np.full((2, 3), 7, np.float32)}, "g")
    np.testing.assert_array_equal(split_graph(joined)[1]["w"], np.full((2, 3), 7))


@pytest.mark.parametrize("kind", [{"external": True}, {"constant": True}])
def test_no_external_path_is_followed(kind: dict[str, bool]) -> None:
    with pytest.raises(CheckpointError, match=r"g: tensor '.*': got kept in an external file; allowed: weights"):
        join_graph(linear_graph(**kind), {"w": np.zeros((2, 3), np.float32)}, "g")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, r"g: weight w: got missing; allowed: float32 of shape \(2, 3\)"),
        ({"w": np.zeros((3, 2), np.float32)}, r"g: weight w: got shape \(3, 2\)"),
        ({"w": np.zeros((2, 3), np.float32), "v": np.zeros(1, np.float32)}, r"g: weights: got \['v'\] which the graph"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        join_graph(linear_graph(), weights, "g")


def test_a_broken_graph_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"g: got .*; allowed: an ONNX model"):
        join_graph(b"not a graph at all", {}, "g")


def test_other_initialisers_than_float_are_refused() -> None:
    proto = onnx.load_model_from_string(linear_graph())
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.arange(3), "n"))
    with pytest.raises(CheckpointError, match="initialiser n: got INT64; allowed: FLOAT"):
        split_graph(proto.SerializeToString())


def weights_file(path: Path, **tensors: Any) -> Path:
    from safetensors.numpy import save_file

    save_file(tensors or {"head.w": np.ones((2, 3), np.float16), "eef.w": np.zeros(2, np.float32)}, path)
    return path


def test_half_floats_are_read_as_float32(tmp_path: Path) -> None:
    weights = read_weights(weights_file(tmp_path / "w.safetensors"))
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float32)}
    assert list(part_weights(weights, "head")) == ["w"]


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "w.safetensors", a=np.array([1, np.nan], np.float32))
    with pytest.raises(CheckpointError, match=r"tensor a in .*: got values that are not finite"):
        read_weights(path)


def test_other_types_are_refused(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "w.safetensors", a=np.arange(3))
    with pytest.raises(CheckpointError, match=r"got tensors of \['I64'\]; allowed: F16 and F32"):
        read_weights(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "w.safetensors")
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"w.safetensors: got"):
            read_weights(path)


@pytest.mark.parametrize("header", [b"{]", b"[]", b'{"a": 1}', b'{"a": {"dtype": "F32", "shape": [1]}}', b"{}"])
def test_a_header_that_cannot_be_read_is_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CheckpointError, match="a header that cannot be read"):
        read_weights(path)


def test_a_huge_header_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match=f"with a header of {1 << 40}"):
        read_weights(path)


def test_left_over_bytes_are_refused(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "w.safetensors")
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(CheckpointError, match="bytes of values; allowed: "):
        read_weights(path)


def test_overlapping_offsets_are_refused(tmp_path: Path) -> None:
    item = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = json.dumps({"a": item, "b": item}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError, match="a whole safetensors file"):
        read_weights(path)


def test_a_missing_weights_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere: got No such file or directory; allowed: a readable file"):
        read_weights(tmp_path / "nowhere")


def test_an_unknown_part_is_refused(shipped_shape: Path) -> None:
    with pytest.raises(CheckpointError, match=r"got tail; allowed: proprio, lidar, eef, head"):
        open_checkpoint(shipped_shape).graph("tail")


def test_graphs_on_disk_hold_no_weights(shipped_shape: Path) -> None:
    checkpoint = open_checkpoint(shipped_shape)
    for part in checkpoint.manifest.graphs:
        proto = onnx.load_model_from_string((shipped_shape / f"{part}.onnx").read_bytes())
        assert not any(item.raw_data or item.float_data for item in proto.graph.initializer)
        assert {item.name for item in proto.graph.initializer} == set(part_weights(checkpoint.weights, part))
