"""The manifest of a checkpoint: what the head was made for, and the fingerprint of each of its files.

A folder ``checkpoints/<head_id>/`` holds ``manifest.json``, ``weights.safetensors`` and one graph ``<part>.onnx`` per
part.  Nothing but the manifest is parsed before the sha256 of every file in it has been compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from neon_ros.errors import CheckpointError, ConfigError, ContractError, refuse
from neon_ros.robot.joints import joint_indices
from neon_ros.robot.modes import control_mode

FORMAT = "neon-head-1"
WHOLE_FORMAT = "neon-onnx-1"
"""Layout of an exported checkpoint: its graphs hold their weights, and this manifest in their metadata."""
MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.safetensors"
PARTS: tuple[str, ...] = ("proprio", "lidar", "eef", "head")
JUDGE = "judge"
"""Graph that some checkpoints have beside their parts: one look of the head, with the head's weights, at a draft."""
GRAPHS: tuple[str, ...] = (*PARTS, JUDGE)
MORE_OUTPUTS: tuple[str, ...] = ("gate",)
"""Outputs that a head may have beside the chunk."""
MODALITIES: tuple[str, ...] = ("backbone", "lidar", "proprio", "eef")
"""Order of the columns of ``present`` and ``age``."""

Shapes = dict[str, tuple[int | str, ...]]


@dataclass(frozen=True)
class BackboneSpec:
    """The backbone whose features the head was trained on.

    :param model_id: as in :class:`neon_ros.contracts.Features`.
    :param tensors: shape of each tensor, e.g. ``{"vision": (112, 112)}``.
    """

    model_id: str
    tensors: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class GraphSpec:
    """Inputs and outputs of one part; a string in a shape is a free dimension."""

    inputs: Shapes
    outputs: Shapes


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint is and what it is for.

    :param format: version of this layout, :data:`FORMAT` or :data:`WHOLE_FORMAT`.
    :param head_id: name of the checkpoint and of its folder.
    :param head: kind of head, e.g. ``mlp``.
    :param task: what it was trained to do.
    :param mode: control mode, see :mod:`neon_ros.robot.modes`.
    :param joint_names: the J columns of ``q_chunk``, in order.
    :param dt: time between steps [s].
    :param horizon: steps of a chunk.
    :param backbone: the features it needs.
    :param modalities: those it was trained with, among :data:`MODALITIES`; the others are always treated as absent.
    :param graphs: inputs and outputs of each part.
    :param files: sha256 (hex) of each file beside the manifest.
    :param parameters: number of trainable values per part.
    :param training: how it was trained and what it scored; free form.
    """

    format: str
    head_id: str
    head: str
    task: str
    mode: str
    joint_names: tuple[str, ...]
    dt: float
    horizon: int
    backbone: BackboneSpec
    modalities: tuple[str, ...]
    graphs: dict[str, GraphSpec]
    files: dict[str, str]
    parameters: dict[str, int]
    training: dict[str, Any]

    @property
    def checksum(self) -> str:
        """The sha256 of the weights, as it goes into each :class:`~neon_ros.contracts.ActionChunk`."""
        return self.files[self.weights_file]

    @property
    def weights_file(self) -> str:
        """The file that holds the head's weights."""
        return "head.onnx" if self.format == WHOLE_FORMAT else WEIGHTS_FILE


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file as hex.

    :raises CheckpointError: when the file is missing or cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(refuse(f"checkpoint file {path}", error.strerror, "a readable file")) from error


def save_manifest(manifest: Manifest, folder: Path) -> None:
    """Write ``manifest.json`` into ``folder``."""
    check_manifest(manifest, str(folder / MANIFEST_FILE))
    (folder / MANIFEST_FILE).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")


def carried(manifest: Manifest) -> str:
    """Return the manifest as an exported graph carries it: all but the fingerprints of the files, itself among them."""
    return json.dumps({**asdict(manifest), "files": {}}, sort_keys=True)


def load_manifest(folder: Path, *, backbone: str | None = None, mode: str | None = None) -> Manifest:
    """Read ``manifest.json``, check what it says, and compare the fingerprint of every file it names.

    :param folder: the checkpoint.
    :param backbone: model id of the features at hand; a checkpoint made for another one is refused.
    :param mode: control mode at hand; a checkpoint made for another one is refused.
    :raises CheckpointError: when a file is missing, truncated or altered, or the checkpoint is for something else.
    """
    path = folder / MANIFEST_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(refuse(f"checkpoint {path}", error.strerror, "a folder with a manifest.json")) from error
    except ValueError as error:
        raise CheckpointError(
            refuse(f"checkpoint {path}", f"broken JSON ({error})", "a whole manifest.json")
        ) from error
    manifest = _parse(raw, str(path))
    check_manifest(manifest, str(path))
    if backbone is not None and backbone != manifest.backbone.model_id:
        raise CheckpointError(
            refuse(
                f"backbone for checkpoint {path}", backbone, f"{manifest.backbone.model_id}, which it was trained on"
            )
        )
    if mode is not None and mode != manifest.mode:
        raise CheckpointError(refuse(f"mode for checkpoint {path}", mode, f"{manifest.mode}, which it was trained for"))
    for name, expected in manifest.files.items():
        got = sha256_of(folder / name)
        if got != expected:
            raise CheckpointError(
                refuse(f"checkpoint file {folder / name}", f"sha256 {got[:16]}… (truncated or altered)", expected)
            )
    return manifest


def read_checked(path: Path, fingerprint: str | None) -> bytes:
    """Return the bytes of a file, the very ones whose fingerprint was compared: it may be swapped at any time.

    :param fingerprint: sha256 (hex) that they must have; None compares nothing.
    :raises CheckpointError: when the file cannot be read, or its bytes are others.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(refuse(f"checkpoint file {path}", error.strerror, "a readable file")) from error
    got = hashlib.sha256(data).hexdigest()
    if fingerprint is not None and got != fingerprint:
        raise CheckpointError(
            refuse(f"checkpoint file {path}", f"sha256 {got[:16]}… (truncated or altered)", fingerprint)
        )
    return data


def check_manifest(manifest: Manifest, where: str) -> None:
    """Refuse a manifest that contradicts itself or the robot.

    :param where: path for the error.
    :raises CheckpointError: naming the entry that is wrong.
    """

    def wrong(entry: str, got: object, allowed: object) -> CheckpointError:
        return CheckpointError(refuse(f"{where}: {entry}", got, allowed))

    if manifest.format not in (FORMAT, WHOLE_FORMAT):
        raise wrong("format", manifest.format, f"{FORMAT}, {WHOLE_FORMAT}")
    try:
        mode = control_mode(manifest.mode)
        joint_indices(manifest.joint_names)
    except (ConfigError, ContractError) as error:
        raise CheckpointError(f"{where}: {error}") from error
    if not manifest.joint_names or not set(manifest.joint_names) <= set(mode.joint_names):
        foreign = sorted(set(manifest.joint_names) - set(mode.joint_names)) or "none"
        raise wrong("joint_names", foreign, f"joints of mode {mode.name}: {', '.join(mode.joint_names)}")
    if not 0.0 < manifest.dt <= 1.0:
        raise wrong("dt", manifest.dt, "above 0, at most 1 [s]")
    if not 1 <= manifest.horizon <= 256:
        raise wrong("horizon", manifest.horizon, "1 to 256 steps")
    unknown = [name for name in manifest.modalities if name not in MODALITIES]
    if unknown:
        raise wrong("modalities", unknown, ", ".join(MODALITIES))
    if manifest.weights_file not in manifest.files:
        raise wrong("files", sorted(manifest.files), f"at least {manifest.weights_file}")
    for name, digest in manifest.files.items():
        if Path(name).name != name or name == MANIFEST_FILE:
            raise wrong("files", name, "plain names of files beside the manifest")
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise wrong(f"files[{name}]", digest, "a sha256 in lower-case hex")
    for part in manifest.graphs:
        if part not in GRAPHS:
            raise wrong("graphs", part, ", ".join(GRAPHS))
        if f"{part}.onnx" not in manifest.files:
            raise wrong("files", sorted(manifest.files), f"{part}.onnx for the graph {part}")
    if "head" in manifest.graphs:
        _check_head(manifest, wrong)


def _check_head(manifest: Manifest, wrong: Any) -> None:
    graph = manifest.graphs["head"]
    outputs = {
        "q_chunk": (1, manifest.horizon, len(manifest.joint_names)),
        "base_velocity": (1, manifest.horizon, 3),
    }
    if {name: shape for name, shape in graph.outputs.items() if name not in MORE_OUTPUTS} != outputs:
        raise wrong("graphs.head.outputs", graph.outputs, outputs)
    for name, shape in manifest.backbone.tensors.items():
        if graph.inputs.get(name) != (1, *shape):
            raise wrong(f"graphs.head.inputs[{name}]", graph.inputs.get(name), (1, *shape))


def _parse(raw: object, where: str) -> Manifest:
    names = [item.name for item in fields(Manifest)]
    if not isinstance(raw, Mapping) or set(raw) != set(names):
        keys = sorted(raw) if isinstance(raw, Mapping) else type(raw).__name__
        raise CheckpointError(refuse(f"{where}: entries", keys, names))
    try:
        return Manifest(
            format=str(raw["format"]),
            head_id=str(raw["head_id"]),
            head=str(raw["head"]),
            task=str(raw["task"]),
            mode=str(raw["mode"]),
            joint_names=tuple(str(name) for name in raw["joint_names"]),
            dt=float(raw["dt"]),
            horizon=int(raw["horizon"]),
            backbone=BackboneSpec(
                str(raw["backbone"]["model_id"]),
                {str(k): tuple(int(n) for n in v) for k, v in raw["backbone"]["tensors"].items()},
            ),
            modalities=tuple(str(name) for name in raw["modalities"]),
            graphs={str(k): GraphSpec(_shapes(v["inputs"]), _shapes(v["outputs"])) for k, v in raw["graphs"].items()},
            files={str(k): str(v) for k, v in raw["files"].items()},
            parameters={str(k): int(v) for k, v in raw["parameters"].items()},
            training=dict(raw["training"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(refuse(f"{where}: an entry", repr(error), "the types of the manifest")) from error


def _shapes(raw: Mapping[str, Any]) -> Shapes:
    return {str(k): tuple(n if isinstance(n, str) else int(n) for n in v) for k, v in raw.items()}
