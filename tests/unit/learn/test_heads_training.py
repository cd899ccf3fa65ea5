"""Each head is trained from a preset: on lent eyes that stay as they are, stopped, taken up, by several processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from neon_ros.act.checkpoint import open_checkpoint  # noqa: E402
from neon_ros.act.committed import trained_steps  # noqa: E402
from neon_ros.act.heads import TRAINED, load_head  # noqa: E402
from neon_ros.errors import CheckpointError, ConfigError  # noqa: E402
from neon_ros.learn.board import Board  # noqa: E402
from neon_ros.learn.dataset import Batch  # noqa: E402
from neon_ros.learn.objective import RETURN, displacement  # noqa: E402
from neon_ros.learn.presets import load_preset  # noqa: E402
from neon_ros.learn.team import Team  # noqa: E402
from neon_ros.learn.trainer import train  # noqa: E402

SMALL = {"grid": (4, 7), "frames": 8, "phrasings": 3, "validate_every": 4, "validation": 0.1, "steps": 4}
SIZES = {"width": 48, "hidden": 48, "blocks": 2}


def quiet(_: str) -> None:
    pass


@pytest.fixture
def lender(write_shards: Callable[..., Path], words: Any, tmp_path: Path) -> Path:
    """Return the checkpoint of a short mlp run."""
    preset = replace(load_preset("touch_mlp"), **{**SMALL, "steps": 1})
    made = train(preset, write_shards(), tmp_path / "lender", encode_texts=words, say=quiet)
    assert made is not None
    return made


def preset_of(head: str, lender: Path, **changes: Any) -> Any:
    return replace(load_preset(f"touch_{head}"), **{**SMALL, **SIZES, "start_from": str(lender), **changes})


@pytest.mark.parametrize("head", TRAINED[1:])
def test_a_head_is_trained_on_lent_eyes(
    write_shards: Callable[..., Path], words: Any, lender: Path, tmp_path: Path, head: str
) -> None:
    data = write_shards()
    preset = preset_of(head, lender)
    stops = (2, None) if head == "dit" else (None,)
    for stop in stops:
        made = train(preset, data, tmp_path / "run", encode_texts=words, say=quiet, stop_at=stop)
    assert made is not None
    checkpoint, lent = open_checkpoint(made), open_checkpoint(lender)
    for name, value in lent.weights.items():
        if name.startswith(("proprio.", "lidar.", "eef.", "head.fusion.")):
            np.testing.assert_array_equal(checkpoint.weights[name], value, err_msg=name)
    assert checkpoint.manifest.training["lent_by"] == lent.manifest.checksum
    said = load_head(head, made).act(np.zeros(29))
    assert np.isfinite(said.q).all()
    assert not said.base_velocity.any(), "the demonstrations hold no base velocity"
    if head == "dit":  # a run that was not stopped
        whole = train(preset, data, tmp_path / "whole", encode_texts=words, say=quiet)
        assert whole is not None
        for name, value in open_checkpoint(whole).weights.items():
            np.testing.assert_array_equal(checkpoint.weights[name], value, err_msg=name)


def test_what_does_not_fit_is_not_lent(
    write_shards: Callable[..., Path], words: Any, lender: Path, tmp_path: Path
) -> None:
    data = write_shards()
    with pytest.raises(CheckpointError, match=r"checkpoint nowhere/manifest.json: got No such file"):
        train(preset_of("dit", Path("nowhere")), data, tmp_path / "a", encode_texts=words, say=quiet)
    with pytest.raises(CheckpointError, match=r"weight head.fusion.* of .*mlp_touch: got shape \(112, 64\)"):
        train(preset_of("dit", Path("mlp")), data, tmp_path / "b", encode_texts=words, say=quiet)
    with pytest.raises(ConfigError, match="preset.mode: got whole_body; allowed: one of 17 joints"):
        train(preset_of("dit", lender, mode="whole_body"), data, tmp_path / "c", encode_texts=words, say=quiet)


def test_a_share_is_whole_captures_with_all_their_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    captures, samples = np.arange(4), np.arange(12)
    batch = Batch({"q": captures, "text": samples, "present": samples}, {"chunks": samples})
    shares = []
    for rank in range(2):
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", str(rank))
        shares.append(Team().share(batch))
    for name in ("q", "text", "present"):
        assert np.array_equal(np.concatenate([share.inputs[name] for share in shares]), batch.inputs[name])
    assert shares[1].rows["chunks"].tolist() == [6, 7, 8, 9, 10, 11]
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="preset.frames: got 4; allowed: a multiple of the 3 processes"):
        Team().share(batch)


def test_the_board_takes_rows_where_there_is_one(tmp_path: Path) -> None:
    with Board(tmp_path) as board:
        board.add({"step": 25.0, "loss": 1.0})
    written = (tmp_path / "tensorboard").exists()
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ModuleNotFoundError:
        assert not written
    else:
        assert written


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from neon_ros.learn.presets import load_preset
from neon_ros.learn.trainer import train
sys.path.insert(0, {here!r})
from conftest import toy_words
preset = replace(load_preset("touch_state_relative"), **{changes!r})
train(preset, Path({data!r}), Path(sys.argv[1]), encode_texts=toy_words, say=lambda _: None)
"""


@pytest.mark.long
def test_the_number_of_processes_does_not_change_what_is_learned(
    write_shards: Callable[..., Path], lender: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    changes = {**SMALL, **SIZES, "start_from": str(lender), "committed": 0, "steps": 6}
    here = str(Path(__file__).parent)
    script.write_text(SCRIPT.format(here=here, changes=changes, data=str(write_shards())))
    made = []
    for count in (1, 2):
        out = tmp_path / f"run_{count}"
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        subprocess.run([sys.executable, *launcher, str(script), str(out)], check=True, timeout=600)
        made.append(open_checkpoint(out / "state_relative_touch").weights)
    for name, value in made[0].items():
        np.testing.assert_allclose(made[1][name], value, atol=2e-3, err_msg=name)


def test_committed_steps_may_be_displaced_and_the_rest_leads_back() -> None:
    away = np.array([[[0.1], [0.2]], [[0.1], [0.2]], [[0.1], [0.2]]], dtype=np.float32)
    drift = displacement(away, np.array([0, 1, 5]), 16)[..., 0]
    assert not drift[0].any()
    assert drift[1, 0] == pytest.approx(0.1)
    assert drift[2, :5] == pytest.approx([0.1, 0.15, 0.2, 0.25, 0.3], abs=1e-6)
    assert (np.diff(drift[2, 4:13]) <= 0).all() and not drift[2, 12:].any()
    assert np.abs(np.diff(drift[2, 4:])).max() < 0.3 * 1.6 / RETURN  # no jump behind what is committed


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match="preset.precision: got fp8; allowed: fp32, bf16, auto"):
        replace(load_preset("touch_mlp"), precision="fp8")


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_a_run_in_any_precision_ends_finite_with_weights_in_float32(
    write_shards: Callable[..., Path], words: Any, lender: Path, tmp_path: Path, precision: str
) -> None:
    preset = preset_of("flow_matching", lender, precision=precision, committed=6, committed_noise=0.06)
    made = train(preset, write_shards(), tmp_path / "run", encode_texts=words, say=quiet)
    assert made is not None
    assert all(np.isfinite(value).all() for value in open_checkpoint(made).weights.values())


def test_an_mlp_may_learn_to_read_committed_steps_later(
    write_shards: Callable[..., Path], words: Any, lender: Path, tmp_path: Path
) -> None:
    preset = preset_of("mlp", lender, committed=6, committed_noise=0.06, freeze=True, learning_rate=1e-3)
    made = train(preset, write_shards(), tmp_path / "run", start_from=lender, encode_texts=words, say=quiet)
    assert made is not None
    head, before = load_head("mlp", made), load_head("mlp", lender)
    assert trained_steps(head.manifest) == 6 and trained_steps(before.manifest) == 0
    given = np.full((3, 17), 0.1)
    np.testing.assert_allclose(head.act(np.zeros(29), prefix=given).q[:3], 0.1, atol=1e-6)
