"""Export a checkpoint as ONNX files that stand alone: weights inside, the manifest in their metadata, int8 on demand.

Int8 is for the large matrices of the head, in blocks of 64 values with a scale each (ONNX Runtime's MatMulNBits).
Dynamic quantisation, one scale per output, is as small and as quick, but its chunks are off by several times as much:
ReLU squared makes activations of very different sizes.  The encoders stay in float32: they are small and
quick.  docs/runtimes.md has the figures.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.act.checkpoint import METADATA, Checkpoint, open_checkpoint
from neon_ros.act.manifest import WHOLE_FORMAT, GraphSpec, Manifest, carried, save_manifest, sha256_of
from neon_ros.act.policy import Graph
from neon_ros.act.runtime import DEFAULT, Runtime
from neon_ros.act.tuning import fuse_norms
from neon_ros.errors import CheckpointError, ConfigError, refuse

INT8_PARTS = ("head", "judge")
BLOCK = 64
"""Values of a matrix that share a scale."""
LARGE = 1 << 14
"""Smallest matrix that is stored as int8 [values]; below, nothing is gained."""
TRIALS = 200
"""Random inputs on which the export is compared with its checkpoint."""


class Exported(NamedTuple):
    """What an export came to.

    :param manifest: of the exported folder.
    :param largest: largest difference of any joint of any step to the checkpoint's own chunk [rad].
    :param mean: mean difference [rad].
    :param bytes: size of the head's graph.
    """

    manifest: Manifest
    largest: float
    mean: float
    bytes: int


def export_whole(source: Checkpoint, folder: Path, *, int8: bool = False, trials: int = TRIALS) -> Exported:
    """Write ``source`` into ``folder`` as graphs that stand alone; the folder appears only when they run.

    :param folder: must not exist.
    :param int8: store the head's matrices as int8.
    :param trials: random inputs on which the new head is compared with the old.
    :raises CheckpointError: when the folder exists, the source is an export itself, or the export does not run.
    """
    if source.manifest.format == WHOLE_FORMAT:
        allowed = "a checkpoint with its weights in weights.safetensors"
        raise CheckpointError(refuse(f"checkpoint {source.folder}", "an export", allowed))
    if folder.exists():
        raise CheckpointError(refuse("out", f"{folder}, which exists", "a new folder"))
    exported = {"from": source.manifest.checksum, "weights": "int8" if int8 else "float32"}
    manifest = replace(
        source.manifest, format=WHOLE_FORMAT, files={}, training={**source.manifest.training, "exported": exported}
    )
    scratch = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        files = {}
        for part in manifest.graphs:
            path = scratch / f"{part}.onnx"
            _write(source.graph(part), path, manifest, int8 and part in INT8_PARTS)
            files[path.name] = sha256_of(path)
        manifest = replace(manifest, files=files)
        save_manifest(manifest, scratch)
        largest, mean = compare(source, open_checkpoint(scratch), trials)
        size = (scratch / "head.onnx").stat().st_size
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Exported(manifest, largest, mean, size)


def compare(
    one: Checkpoint, other: Checkpoint, trials: int, seed: int = 0, other_runtime: Runtime = DEFAULT
) -> tuple[float, float]:
    """Return the largest and the mean difference of two heads' chunks over random inputs [rad].

    :param trials: number of inputs; the modalities present change with each.
    :param other_runtime: what runs the second.
    """
    generator = np.random.default_rng(seed)
    graphs, spec = (Graph(one, "head"), Graph(other, "head", other_runtime)), one.manifest.graphs["head"]
    differences = []
    for _ in range(trials):
        feed = random_feed(spec, generator)
        first, second = (graph(feed)["q_chunk"] for graph in graphs)
        differences.append(np.abs(first - second))
    return float(np.max(differences)), float(np.mean(differences))


def random_feed(spec: GraphSpec, generator: np.random.Generator, points: int = 64) -> dict[str, NDArray[np.float32]]:
    """Return inputs of the right shapes and signs, and of about the sizes that occur.

    :param points: length of a free dimension.
    """
    feed = {}
    for name, shape in spec.inputs.items():
        sizes = [size if isinstance(size, int) else points for size in shape]
        value = generator.normal(0.0, 0.5, sizes).astype(np.float32)
        if name in ("present", "mask", "text_mask"):
            value = (value > -0.3).astype(np.float32)
        elif name == "prefix_mask":  # the first steps, as many as a delay of up to 200 ms commits
            value = (np.arange(value.size) < generator.integers(0, 11)).astype(np.float32).reshape(value.shape)
        elif name == "age":
            value = np.minimum(np.abs(value), 1.0)
        feed[name] = value
    return feed


def _write(model: bytes, path: Path, manifest: Manifest, int8: bool) -> None:
    import onnx

    proto = onnx.load_model_from_string(model)
    if int8:
        proto = _quantized(proto)
    fuse_norms(proto)
    onnx.helper.set_model_props(proto, {METADATA: carried(manifest)})
    path.write_bytes(proto.SerializeToString())


def _quantized(proto: Any) -> Any:
    """Return the model with its large matrices as int8."""
    import onnx
    import onnxruntime as ort

    try:
        from onnxruntime.quantization import matmul_nbits_quantizer as nbits
    except ModuleNotFoundError as error:
        raise ConfigError(refuse("int8", f"no package {error.name}", "one that is installed")) from error
    nbits.logger.setLevel("WARNING")  # it tells of every operator
    fuse_norms(proto)
    with tempfile.TemporaryDirectory() as scratch:
        folded = Path(scratch) / "folded.onnx"
        options = ort.SessionOptions()  # matrices that are transposed in the graph must be folded first
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
        options.log_severity_level = 3
        ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        proto = onnx.load_model(folded)
    small = _plain_products(proto)
    config = nbits.DefaultWeightOnlyQuantConfig(block_size=BLOCK, is_symmetric=True, accuracy_level=4, bits=8)
    quantizer = nbits.MatMulNBitsQuantizer(proto, algo_config=config, nodes_to_exclude=small)
    quantizer.process()
    return quantizer.model.model


def _plain_products(proto: Any) -> list[str]:
    """Write each product with a large constant matrix as MatMul, and return the names of the other products."""
    import onnx
    from onnx import helper

    graph = proto.graph
    matrices = {item.name: item for item in graph.initializer}
    nodes, small = [], []
    for number, node in enumerate(graph.node):
        name = f"{node.op_type}_{number}"
        matrix = matrices.get(node.input[1]) if node.op_type in ("MatMul", "Gemm") else None
        if matrix is None or np.prod(matrix.dims) < LARGE:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = name
            small.append(name)
            nodes.append(copy)
            continue
        turned = any(item.name == "transB" and item.i for item in node.attribute)
        if turned and f"{matrix.name}.T" not in matrices:
            value = np.ascontiguousarray(onnx.numpy_helper.to_array(matrix).T)
            matrices[f"{matrix.name}.T"] = onnx.numpy_helper.from_array(value, f"{matrix.name}.T")
        product = [node.input[0], f"{matrix.name}.T" if turned else matrix.name]
        if node.op_type == "MatMul":
            nodes.append(helper.make_node("MatMul", product, node.output, name=name))
        else:  # alpha and beta are 1 in what torch exports, and a Gemm always has its bias there
            nodes.append(helper.make_node("MatMul", product, [f"{node.output[0]}.product"], name=name))
            nodes.append(helper.make_node("Add", [f"{node.output[0]}.product", node.input[2]], node.output))
    used = {name for node in nodes for name in node.input}
    kept = [onnx.TensorProto.FromString(item.SerializeToString()) for item in matrices.values() if item.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    return small
