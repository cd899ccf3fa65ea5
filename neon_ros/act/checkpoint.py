"""Open a checkpoint: weights from ``weights.safetensors``, graphs without weights, joined in memory.

The graphs on disk declare their initialisers (name, type, shape) and carry no values; the values come from the one
weights file.  An initialiser that points to an external file is refused, so no path inside a graph is ever followed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neon_ros.act.manifest import JUDGE, WEIGHTS_FILE, WHOLE_FORMAT, Manifest, carried, load_manifest, read_checked
from neon_ros.errors import CheckpointError, refuse

Weights = dict[str, NDArray[np.float32]]
METADATA = "neon_ros.manifest"
"""Key under which an exported graph carries its manifest."""
MAX_HEADER = 1 << 20
"""Longest safetensors header read [bytes]; a head has some hundred tensors."""


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint.

    :param folder: where it was read from.
    :param manifest: what it is.
    :param weights: every weight as float32, by ``<part>.<name>``; none when the graphs hold them.
    """

    folder: Path
    manifest: Manifest
    weights: Weights

    def graph(self, part: str) -> bytes:
        """Return the ONNX model of ``part`` with its weights in it.

        :raises CheckpointError: when there is no such part, or graph and weights do not fit.
        """
        if part not in self.manifest.graphs:
            raise CheckpointError(refuse(f"part of checkpoint {self.folder}", part, ", ".join(self.manifest.graphs)))
        path = self.folder / f"{part}.onnx"
        model = read_checked(path, self.manifest.files[path.name])
        if self.manifest.format == WHOLE_FORMAT:
            return whole_graph(model, self.manifest, str(path))
        return join_graph(model, part_weights(self.weights, "head" if part == JUDGE else part), str(path))


def open_checkpoint(folder: Path | str, *, backbone: str | None = None, mode: str | None = None) -> Checkpoint:
    """Open the checkpoint in ``folder`` after comparing every fingerprint.

    :param backbone: model id of the features at hand, when known.
    :param mode: control mode at hand, when known.
    :raises CheckpointError: when it is missing, truncated, altered or made for something else.
    """
    folder = Path(folder)
    manifest = load_manifest(folder, backbone=backbone, mode=mode)
    if manifest.format == WHOLE_FORMAT:
        return Checkpoint(folder, manifest, {})
    return Checkpoint(folder, manifest, read_weights(folder / WEIGHTS_FILE, manifest.files[WEIGHTS_FILE]))


def part_weights(weights: Mapping[str, NDArray[np.float32]], part: str) -> Weights:
    """Return the weights of one part, without the part's name in front."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def read_weights(path: Path, fingerprint: str | None = None) -> Weights:
    """Read a safetensors file of float16 or float32 tensors as float32.

    :param fingerprint: sha256 (hex) that the bytes must have, compared before anything looks into them.
    :raises CheckpointError: when it is missing, altered or truncated, or holds other types or values not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = read_checked(path, fingerprint)
    _check_header(data, path)
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise CheckpointError(refuse(f"checkpoint file {path}", str(error), "a whole safetensors file")) from error
    weights: Weights = {}
    for name, value in tensors.items():
        weights[name] = np.ascontiguousarray(value, dtype=np.float32)
        if not np.isfinite(weights[name]).all():
            raise CheckpointError(refuse(f"tensor {name} in {path}", "values that are not finite", "finite values"))
    return weights


def _check_header(data: bytes, path: Path) -> None:
    """Refuse a header that is too long, not JSON, of other types, or that does not cover the file exactly."""

    def wrong(got: object, allowed: object) -> CheckpointError:
        return CheckpointError(refuse(f"checkpoint file {path}", got, allowed))

    size = int.from_bytes(data[:8], "little") if len(data) >= 8 else -1
    if not 2 <= size <= min(MAX_HEADER, len(data) - 8):
        raise wrong(f"{len(data)} bytes with a header of {size}", "a whole safetensors file")
    try:
        header = json.loads(data[8 : 8 + size])
        entries = {name: item for name, item in header.items() if name != "__metadata__"}
        end = max(int(item["data_offsets"][1]) for item in entries.values())
        types = {str(item["dtype"]) for item in entries.values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise wrong(f"a header that cannot be read ({error})", "a whole safetensors file") from error
    if types - {"F16", "F32"}:
        raise wrong(f"tensors of {sorted(types)}", "F16 and F32")
    if end != len(data) - 8 - size:
        raise wrong(f"{len(data) - 8 - size} bytes of values", f"{end} bytes of values")


def join_graph(model: bytes, weights: Mapping[str, NDArray[np.float32]], where: str) -> bytes:
    """Return ``model`` with the value of each initialiser taken from ``weights``.

    :param model: a serialised ONNX model whose initialisers carry no values.
    :param where: path for the error.
    :raises CheckpointError: on a broken graph, an external path, or a weight missing, left over or of another shape.
    """
    proto = _parsed(model, where, WEIGHTS_FILE)
    names = set()
    for item in proto.graph.initializer:
        value = weights.get(item.name)
        shape = tuple(item.dims)
        if value is None or value.shape != shape:
            got = "missing" if value is None else f"shape {value.shape}"
            raise CheckpointError(refuse(f"{where}: weight {item.name}", got, f"float32 of shape {shape}"))
        item.raw_data = np.ascontiguousarray(value, dtype="<f4").tobytes()
        names.add(item.name)
    left_over = sorted(set(weights) - names)
    if left_over:
        raise CheckpointError(refuse(f"{where}: weights", f"{left_over} which the graph does not use", sorted(names)))
    joined: bytes = proto.SerializeToString()
    return joined


def whole_graph(model: bytes, manifest: Manifest, where: str) -> bytes:
    """Return an exported model once its metadata have proved to be those of the manifest.

    :raises CheckpointError: on a broken graph, an external path, or metadata of another checkpoint.
    """
    proto = _parsed(model, where, "the file itself")
    said = {item.key: item.value for item in proto.metadata_props}.get(METADATA)
    if said != carried(manifest):
        got = "none" if said is None else "that of another checkpoint"
        raise CheckpointError(refuse(f"{where}: metadata {METADATA}", got, "the manifest beside it"))
    return model


def _parsed(model: bytes, where: str, values: str) -> Any:
    """Return the model; refuse one that is broken or points outside.

    :param values: where its tensors must be.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load_model_from_string(model)
    except DecodeError as error:
        raise CheckpointError(refuse(where, str(error), "an ONNX model")) from error
    for item in _tensors(proto):
        if item.data_location == onnx.TensorProto.EXTERNAL or item.external_data:
            raise CheckpointError(refuse(f"{where}: tensor {item.name!r}", "kept in an external file", values))
    return proto


def _tensors(proto: Any) -> Iterator[Any]:
    """Yield each tensor of a model: initialisers, constants and attributes, in subgraphs and functions too."""
    graphs, nodes = [proto.graph], [node for function in proto.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.extend(graph.node)
            continue
        for attribute in nodes.pop().attribute:
            yield from (attribute.t, *attribute.tensors)
            graphs.extend(([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs))


def split_graph(model: bytes) -> tuple[bytes, Weights]:
    """Return ``model`` without the values of its initialisers, and the values: the inverse of :func:`join_graph`.

    :raises CheckpointError: when an initialiser is not float32 (constants belong into the graph).
    """
    import onnx

    proto = onnx.load_model_from_string(model)
    weights: Weights = {}
    for item in proto.graph.initializer:
        if item.data_type != onnx.TensorProto.FLOAT:
            kind = onnx.TensorProto.DataType.Name(item.data_type)
            raise CheckpointError(refuse(f"initialiser {item.name}", kind, "FLOAT"))
        weights[item.name] = np.array(onnx.numpy_helper.to_array(item), dtype=np.float32)
        item.ClearField("float_data")
        item.ClearField("raw_data")
    bare: bytes = proto.SerializeToString()
    return bare, weights
