"""A checkpoint that is not exactly what it says it is never gets as far as a parser."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neon_ros.act.manifest import (
    FORMAT,
    MANIFEST_FILE,
    MODALITIES,
    WEIGHTS_FILE,
    BackboneSpec,
    GraphSpec,
    Manifest,
    check_manifest,
    load_manifest,
    save_manifest,
    sha256_of,
)
from neon_ros.errors import CheckpointError
from neon_ros.robot.modes import control_mode


def small(**changes: Any) -> Manifest:
    joints = control_mode("upper_body").joint_names
    head = GraphSpec({"vision": (1, 6, 4)}, {"q_chunk": (1, 16, 17), "base_velocity": (1, 16, 3)})
    manifest = Manifest(
        format=FORMAT,
        head_id="small",
        head="mlp",
        task="touch",
        mode="upper_body",
        joint_names=joints,
        dt=0.02,
        horizon=16,
        backbone=BackboneSpec("eyes/1", {"vision": (6, 4)}),
        modalities=MODALITIES,
        graphs={"head": head},
        files={WEIGHTS_FILE: "0" * 64, "head.onnx": "1" * 64},
        parameters={"head": 7},
        training={"seed": 1},
    )
    return replace(manifest, **changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / WEIGHTS_FILE).write_bytes(b"weights")
    (tmp_path / "head.onnx").write_bytes(b"graph")
    files = {name: sha256_of(tmp_path / name) for name in (WEIGHTS_FILE, "head.onnx")}
    save_manifest(small(files=files), tmp_path)
    return tmp_path


def test_what_is_saved_is_loaded(folder: Path) -> None:
    manifest = load_manifest(folder)
    assert replace(manifest, files=small().files) == small()
    assert manifest.checksum == sha256_of(folder / WEIGHTS_FILE)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere/manifest.json: got No such file.*a folder with a manifest"):
        load_manifest(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [WEIGHTS_FILE, "head.onnx"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name}: got No such file"):
        load_manifest(folder)


def test_a_truncated_file_is_named(folder: Path) -> None:
    (folder / WEIGHTS_FILE).write_bytes(b"weigh")
    with pytest.raises(CheckpointError, match=r"weights.safetensors: got sha256 .* \(truncated or altered\)"):
        load_manifest(folder)


def test_every_flipped_bit_is_seen(folder: Path) -> None:
    good = (folder / "head.onnx").read_bytes()
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        (folder / "head.onnx").write_bytes(bad)
        with pytest.raises(CheckpointError, match=r"head.onnx: got sha256"):
            load_manifest(folder)


def test_another_backbone_is_refused(folder: Path) -> None:
    assert load_manifest(folder, backbone="eyes/1")
    with pytest.raises(CheckpointError, match=r"backbone for .*: got eyes/2; allowed: eyes/1, which it was trained on"):
        load_manifest(folder, backbone="eyes/2")


def test_another_mode_is_refused(folder: Path) -> None:
    assert load_manifest(folder, mode="upper_body")
    with pytest.raises(CheckpointError, match=r"mode for .*: got whole_body; allowed: upper_body, which it was"):
        load_manifest(folder, mode="whole_body")


def test_broken_json_is_refused(folder: Path) -> None:
    (folder / MANIFEST_FILE).write_text('{"format": ')
    with pytest.raises(CheckpointError, match="broken JSON"):
        load_manifest(folder)


@pytest.mark.parametrize("raw", [[], {"format": FORMAT}, "text"])
def test_other_json_is_refused(folder: Path, raw: Any) -> None:
    (folder / MANIFEST_FILE).write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match="entries: got"):
        load_manifest(folder)


@pytest.mark.parametrize(
    ("entry", "value"), [("dt", "soon"), ("horizon", None), ("graphs", []), ("backbone", {"model_id": "x"})]
)
def test_an_entry_of_another_type_is_refused(folder: Path, entry: str, value: Any) -> None:
    raw = json.loads((folder / MANIFEST_FILE).read_text())
    raw[entry] = value
    (folder / MANIFEST_FILE).write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match=r"an entry: got .*; allowed: the types of the manifest"):
        load_manifest(folder)


JOINTS = control_mode("upper_body").joint_names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "neon-head-0"}, f"format: got neon-head-0; allowed: {FORMAT}, neon-onnx-1"),
        ({"mode": "legs_only"}, "mode: got legs_only; allowed: arms_only, upper_body, whole_body"),
        ({"joint_names": (*JOINTS[:16], "left_thumb_joint")}, r"joint names: got \['left_thumb_joint'\]"),
        ({"joint_names": (*JOINTS[:16], JOINTS[0])}, "joint names: got repeated"),
        ({"joint_names": (*JOINTS[:16], "left_knee_joint")}, r"joint_names: got \['left_knee_joint'\]; .* upper_body"),
        ({"joint_names": ()}, "joint_names: got none"),
        ({"dt": 0.0}, "dt: got 0.0; allowed: above 0, at most 1"),
        ({"dt": float("nan")}, "dt: got nan"),
        ({"horizon": 0}, "horizon: got 0; allowed: 1 to 256"),
        ({"modalities": ("smell",)}, r"modalities: got \['smell'\]; allowed: backbone, lidar, proprio, eef"),
        ({"files": {"head.onnx": "1" * 64}}, "files: .*at least weights.safetensors"),
        ({"files": {WEIGHTS_FILE: "0" * 64, "../head.onnx": "1" * 64}}, "files: got ../head.onnx; .*plain names"),
        ({"files": {WEIGHTS_FILE: "0" * 63}}, "allowed: a sha256 in lower-case hex"),
        ({"files": {WEIGHTS_FILE: "0" * 64}}, "head.onnx for the graph head"),
        ({"graphs": {"tail": GraphSpec({}, {})}}, "graphs: got tail; allowed: proprio, lidar, eef, head"),
        ({"horizon": 8}, r"graphs.head.outputs: got"),
        ({"backbone": BackboneSpec("eyes/1", {"vision": (6, 5)})}, r"graphs.head.inputs\[vision\]: got \(1, 6, 4\)"),
    ],
)
def test_a_manifest_that_contradicts_itself_or_the_robot_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        check_manifest(small(**changes), "here")


def test_a_wrong_manifest_is_not_even_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        save_manifest(small(horizon=0), tmp_path)
    assert not (tmp_path / MANIFEST_FILE).exists()


def test_an_exported_checkpoint_reads_back(copied: Callable[[], Path]) -> None:
    manifest = load_manifest(copied())
    assert manifest.joint_names == JOINTS
    assert set(manifest.graphs) == {"proprio", "lidar", "eef", "head"}
