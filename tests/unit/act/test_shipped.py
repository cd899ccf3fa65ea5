"""The checkpoint that ships: whole, for the default backbone, and calm."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import neon_ros
from neon_ros.act.checkpoint import open_checkpoint
from neon_ros.act.heads import TRAINED, load_head
from neon_ros.act.manifest import MODALITIES, load_manifest
from neon_ros.errors import CheckpointError
from neon_ros.graph import shipped_checkpoint
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


@pytest.mark.parametrize("head", TRAINED)
def test_what_a_head_is_launched_with_is_a_checkpoint_of_that_head(head: str) -> None:
    folder = Path(shipped_checkpoint(head))
    manifest = load_manifest(folder, backbone="compact/lite0-s16+minilm-l6", mode="upper_body")
    assert (manifest.head, manifest.head_id) == (head, folder.name)
    assert {path.name for path in folder.iterdir()} == {"manifest.json", *manifest.files}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2.2 * sum(manifest.parameters.values()) + 500_000


@pytest.mark.parametrize("head", TRAINED[1:])
def test_heads_on_lent_eyes_see_as_the_one_that_lent_them(head: str) -> None:
    lent = open_checkpoint(FOLDER).weights
    own = open_checkpoint(Path(shipped_checkpoint(head))).weights
    eyes = [name for name in lent if name.startswith(("proprio.", "lidar.", "eef.", "head.fusion."))]
    assert eyes and all(np.array_equal(lent[name], own[name]) for name in eyes)


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


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_not_one_flipped_bit_of_its_files_is_taken(count: int, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "copy"))
    generator = np.random.default_rng(5)
    names = sorted(load_manifest(folder).files)
    sizes = {name: (folder / name).stat().st_size for name in names}
    refused = 0
    for index in range(count):
        name = names[index % len(names)]
        place, bit = int(generator.integers(sizes[name])), 1 << int(generator.integers(8))
        with (folder / name).open("r+b", buffering=0) as file:
            file.seek(place)
            good = file.read(1)
            file.seek(place)
            file.write(bytes([good[0] ^ bit]))
            try:
                with pytest.raises(CheckpointError, match=rf"{name}: got sha256 [0-9a-f]{{16}}… .truncated or altered"):
                    open_checkpoint(folder)
                refused += 1
            finally:
                file.seek(place)
                file.write(good)
    assert refused == count
    open_checkpoint(folder)


def test_a_damaged_manifest_is_refused_or_changes_no_weight(tmp_path: Path) -> None:
    path = shutil.copytree(FOLDER, tmp_path / "copy") / "manifest.json"
    good, files = path.read_bytes(), load_manifest(FOLDER).files
    generator = np.random.default_rng(6)
    for _ in range(300):
        bad = bytearray(good)
        bad[int(generator.integers(len(bad)))] ^= 1 << int(generator.integers(8))
        path.write_bytes(bad)
        try:
            manifest = load_manifest(path.parent)
        except CheckpointError:
            continue
        assert manifest.files == files, "what it says of the files is what was compared"


def test_a_graph_that_is_swapped_after_the_look_at_it_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "copy"))
    checkpoint = open_checkpoint(folder)
    shutil.copy(folder / "eef.onnx", folder / "head.onnx")
    with pytest.raises(CheckpointError, match=r"head\.onnx: got sha256"):
        checkpoint.graph("head")
    assert checkpoint.graph("eef")
