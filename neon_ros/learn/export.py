"""Turn a trained network into a checkpoint folder, and prove that ONNX Runtime says what torch says."""

from __future__ import annotations

import io
import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neon_ros.act.checkpoint import Checkpoint, Weights, open_checkpoint, split_graph
from neon_ros.act.manifest import (
    FORMAT,
    JUDGE,
    MODALITIES,
    PARTS,
    WEIGHTS_FILE,
    BackboneSpec,
    GraphSpec,
    Manifest,
    Shapes,
    save_manifest,
    sha256_of,
)
from neon_ros.act.networks.config import BASE, HeadConfig
from neon_ros.act.networks.flow import FlowHead
from neon_ros.act.networks.model import NeonModel, count_parameters, graph_module
from neon_ros.act.policy import Graph
from neon_ros.encode.eef import EEF_SIZE
from neon_ros.encode.networks import EEF_FEATURES, LIDAR_FEATURES, PROPRIO_FEATURES
from neon_ros.encode.proprio import PROPRIO_SIZE
from neon_ros.errors import CheckpointError, refuse
from neon_ros.robot.joints import JOINT_NAMES, NUM_JOINTS

OPSET = 17
TOLERANCE = 1e-4
"""Largest difference between ONNX Runtime and torch that is let through, in the outputs' own units."""


@dataclass(frozen=True)
class ExportSpec:
    """What the manifest says besides the network.

    :param head_id: name of the checkpoint.
    :param task: what it was trained to do.
    :param mode: control mode.
    :param dt: time between steps [s].
    :param model_id: backbone whose features it was trained on.
    :param modalities: those it was trained with.
    :param training: how it was trained.
    :param half: whether weights are stored as float16.
    """

    head_id: str
    task: str
    mode: str
    dt: float
    model_id: str
    modalities: tuple[str, ...] = MODALITIES
    training: dict[str, Any] = field(default_factory=dict)
    half: bool = True


def graph_specs(model: NeonModel) -> dict[str, GraphSpec]:
    """Return the inputs and outputs of each graph."""
    config, head = model.head.config, model.head
    joints = len(config.joint_indices)
    extra = {
        "noise": (1, config.horizon, joints + BASE),
        "prefix": (1, config.horizon, joints),
        "prefix_mask": (1, config.horizon),
        "gate": (1, config.experts),
        "draft": (1, config.horizon, joints),
    }
    fused: Shapes = {
        "vision": (1, config.rows * config.columns, config.channels),
        "text": (1, config.words, config.text_size),
        "text_mask": (1, config.words),
        "proprio": (1, PROPRIO_FEATURES),
        "lidar": (1, LIDAR_FEATURES),
        "eef": (1, EEF_FEATURES),
        "present": (1, len(MODALITIES)),
        "age": (1, len(MODALITIES)),
        "q": (1, NUM_JOINTS),
    }
    chunk: Shapes = {"q_chunk": (1, config.horizon, joints), "base_velocity": (1, config.horizon, BASE)}
    specs = {
        "proprio": GraphSpec({"proprio": (1, PROPRIO_SIZE)}, {"features": (1, PROPRIO_FEATURES)}),
        "lidar": GraphSpec({"points": (1, "N", 3), "mask": (1, "N")}, {"features": (1, LIDAR_FEATURES)}),
        "eef": GraphSpec({"eef": (1, EEF_SIZE)}, {"features": (1, EEF_FEATURES)}),
        "head": GraphSpec(
            {**fused, **{name: extra[name] for name in head.EXTRA_INPUTS}},
            {**chunk, **{name: extra[name] for name in head.EXTRA_OUTPUTS}},
        ),
    }
    if isinstance(head, FlowHead):
        judged = {name: extra[name] for name in ("noise", "draft")}
        specs[JUDGE] = GraphSpec({**fused, **judged}, dict(chunk))
    return specs


def export_checkpoint(model: NeonModel, spec: ExportSpec, folder: Path) -> Manifest:
    """Write the checkpoint of ``model`` into ``folder`` and verify it; the folder appears only when it is right.

    :param folder: ``…/<head_id>``; one that exists is replaced.
    :raises CheckpointError: when ONNX Runtime and torch differ by more than 1e-4, or a weight is not finite.
    """
    from safetensors.numpy import save

    config = model.head.config
    weights, stored = _weights(model, spec.half)
    rounded = NeonModel(config)
    rounded.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    rounded.eval()
    scratch = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    graphs = graph_specs(model)
    shape = _scrambled(config)
    for part, graph in graphs.items():
        module = graph_module(shape, part)
        bare, values = split_graph(_export(module, graph))
        _same_weights(part, values, module)
        (scratch / f"{part}.onnx").write_bytes(bare)
    (scratch / WEIGHTS_FILE).write_bytes(save(stored))
    channels = {
        "vision": (config.rows * config.columns, config.channels),
        "text": (config.words, config.text_size),
        "text_mask": (config.words,),
    }
    manifest = Manifest(
        format=FORMAT,
        head_id=spec.head_id,
        head=config.head,
        task=spec.task,
        mode=spec.mode,
        joint_names=tuple(JOINT_NAMES[i] for i in config.joint_indices),
        dt=spec.dt,
        horizon=config.horizon,
        backbone=BackboneSpec(spec.model_id, channels),
        modalities=spec.modalities,
        graphs=graphs,
        files={name: sha256_of(scratch / name) for name in (*(f"{part}.onnx" for part in graphs), WEIGHTS_FILE)},
        parameters=count_parameters(model, PARTS),
        training={**spec.training, "network": json.loads(json.dumps(asdict(config)))},
    )
    save_manifest(manifest, scratch)
    verify_export(rounded, open_checkpoint(scratch))
    if folder.exists():
        shutil.rmtree(folder)
    scratch.rename(folder)
    return manifest


def verify_export(model: NeonModel, checkpoint: Checkpoint, draws: int = 4, seed: int = 0) -> float:
    """Return the largest difference between ONNX Runtime and torch over random inputs.

    :param draws: random inputs per part; the modalities present, and the number of points, change with each.
    :raises CheckpointError: when it exceeds :data:`TOLERANCE`; the error names part and output.
    """
    generator = np.random.default_rng(seed)
    worst = 0.0
    for part, spec in checkpoint.manifest.graphs.items():
        graph, module = Graph(checkpoint, part), graph_module(model, part)
        for draw in range(draws):
            feed = _random_feed(spec, generator, points=1 + 37 * draw)
            with torch.no_grad():
                said = module(*(torch.from_numpy(feed[name]) for name in spec.inputs))
            outputs = said if isinstance(said, tuple) else (said,)
            got = graph(feed)
            for name, value in zip(spec.outputs, outputs, strict=True):
                difference = float(np.abs(got[name] - value.numpy()).max())
                worst = max(worst, difference)
                if not difference <= TOLERANCE:
                    raise CheckpointError(
                        refuse(f"{part}.{name}: ONNX Runtime against torch", difference, f"at most {TOLERANCE}")
                    )
    return worst


def load_model(checkpoint: Checkpoint, config: HeadConfig) -> NeonModel:
    """Return the torch network with the weights of a checkpoint, to train on or to compare.

    :raises CheckpointError: when the weights are for a network of another shape.
    """
    model = NeonModel(config)
    try:
        model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in checkpoint.weights.items()})
    except RuntimeError as error:
        raise CheckpointError(refuse(f"weights of {checkpoint.folder}", str(error), "those of the network")) from error
    return model


def _weights(model: NeonModel, half: bool) -> tuple[Weights, dict[str, NDArray[Any]]]:
    """Return the weights as they will be read back, and as they are stored (buffers always as float32)."""
    parameters = {name for name, _ in model.named_parameters()}
    stored: dict[str, NDArray[Any]] = {}
    for name, value in model.state_dict().items():
        kind = np.float16 if half and name in parameters else np.float32
        with np.errstate(over="ignore"):
            stored[name] = np.ascontiguousarray(value.detach().numpy().astype(kind))
        if not np.isfinite(stored[name]).all():
            raise CheckpointError(refuse(f"weight {name}", f"values beyond {np.dtype(kind).name}", "finite values"))
    return {name: value.astype(np.float32) for name, value in stored.items()}, stored


def _export(module: nn.Module, spec: GraphSpec) -> bytes:
    """Return the ONNX model of one part, its initialisers named as torch names the weights."""
    feed = _random_feed(spec, np.random.default_rng(0), points=5)
    free = {
        name: {axis: size for axis, size in enumerate(shape) if isinstance(size, str)}
        for name, shape in spec.inputs.items()
    }
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter announces its successor; that one renames and merges weights, which one weights file cannot have.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            module,
            tuple(torch.from_numpy(feed[name]) for name in spec.inputs),
            buffer,
            input_names=list(spec.inputs),
            output_names=list(spec.outputs),
            dynamic_axes={name: axes for name, axes in free.items() if axes},
            opset_version=OPSET,
            do_constant_folding=False,
            dynamo=False,
        )
    return buffer.getvalue()


def _scrambled(config: HeadConfig) -> NeonModel:
    """Return a network of which no two weights are alike: the exporter merges initialisers of equal value."""
    model = NeonModel(config)
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            value.copy_(torch.rand_like(value) + 0.5)
    return model.eval()


def _same_weights(part: str, values: Mapping[str, NDArray[np.float32]], module: nn.Module) -> None:
    """Refuse a graph whose initialisers are not exactly the weights of the part."""
    wanted = {name: value.numpy() for name, value in module.state_dict().items()}
    wrong = sorted(set(values) ^ set(wanted)) or [n for n in wanted if not np.array_equal(values[n], wanted[n])]
    if wrong:
        raise CheckpointError(refuse(f"initialisers of {part}.onnx", wrong, "exactly the weights of the part"))


def _random_feed(spec: GraphSpec, generator: np.random.Generator, points: int) -> dict[str, NDArray[np.float32]]:
    feed = {}
    for name, shape in spec.inputs.items():
        sizes = [size if isinstance(size, int) else points for size in shape]
        feed[name] = generator.normal(0.0, 0.5, sizes).astype(np.float32)
        if name in ("present", "text_mask", "mask", "prefix_mask"):
            feed[name] = (feed[name] > 0).astype(np.float32)
        elif name == "age":
            feed[name] = np.abs(feed[name])
    return feed
