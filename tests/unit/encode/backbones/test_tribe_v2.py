"""TRIBE v2's senses against the plain forward of transformers, its clock, its published trunk, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neon_ros.encode.backbones import Backbone, WindowBackbone, load
from neon_ros.encode.backbones.observation import Frame, Observation, Sound
from neon_ros.errors import CheckpointError, ConfigError, ContractError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

WORDS = "touch the red cube"
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
Picture = Callable[..., np.ndarray]
OPTIONS: dict[str, Any] = {"precision": "fp32", "rate": 4.0, "ticks": 6, "seconds": 1.0, "pictures": 4}


def noise(seconds: float, start_ns: int = START) -> Sound:
    samples = np.random.default_rng(5).normal(0, 0.1, round(16000 * seconds)).clip(-1, 1)
    return Sound(start_ns, samples.astype(np.float32))


@pytest.fixture(scope="module")
def tribe(tribe_folder: Path) -> Any:
    return load("tribe_v2", path=str(tribe_folder), **OPTIONS)


def frames(picture: Picture, count: int, rate: int = 8) -> tuple[Frame, ...]:
    return tuple(Frame(START + n * SECOND // rate, picture(n)) for n in range(count))


def groups(states: Any) -> np.ndarray:
    """Return the means of layers 2 and 3 to 4, of five states, by hand."""
    return np.concatenate([states[2], (states[3] + states[4]) / 2])


def test_it_is_a_backbone_that_says_what_it_gives(tribe: Any, picture: Picture) -> None:
    assert isinstance(tribe, Backbone) and isinstance(tribe, WindowBackbone)
    features = tribe.encode(picture(0), WORDS)
    assert {name: value.shape for name, value in features.items()} == dict(tribe.tensors)
    assert all(value.dtype == np.float32 and np.isfinite(value).all() for value in features.values())
    assert "+random-projection-4hz-6x1s-4p-s0-fp32" in tribe.model_id
    assert tribe.encode_images(np.stack([picture(0)] * 2))["vision"].shape == (2, 4, 32)
    text = tribe.encode_texts([WORDS])
    assert np.array_equal(text["text"][0], features["text"]) and text["text_mask"].sum() == len(WORDS)


def test_each_sense_is_the_plain_forward(tribe: Any, tribe_folder: Path, picture: Picture) -> None:
    from neon_ros.sense.image import resize

    clip = [resize(picture(n), 32, 32) for n in range(4)]
    model = transformers.VJEPA2Model.from_pretrained(str(tribe_folder / "video")).eval()
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = ((np.stack(clip) / 255.0 - mean) / deviation).transpose(0, 3, 1, 2)[None].astype(np.float32)
    with torch.no_grad():
        output = model(torch.from_numpy(pixels), skip_predictor=True, output_hidden_states=True)
    wanted = groups([state[0].mean(0).numpy() for state in output.hidden_states])
    means, tokens = tribe.video.watch(clip)
    assert np.abs(means - wanted).max() < 1e-4
    assert np.abs(tokens - output.last_hidden_state[0, -4:].numpy()).max() < 1e-4

    sound = noise(1.0).samples
    ear = transformers.Wav2Vec2BertModel.from_pretrained(str(tribe_folder / "audio")).eval()
    bands = transformers.SeamlessM4TFeatureExtractor.from_pretrained(str(tribe_folder / "audio"))
    inputs = bands(sound, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        states = ear(**inputs, output_hidden_states=True).hidden_states
    newest = [state[0, : int(inputs["attention_mask"].sum())][-12:].mean(0).numpy() for state in states]
    assert np.abs(tribe.audio.listen(sound, 0.25) - groups(newest)).max() < 1e-4  # a quarter of a second: 12 of 50

    reader = transformers.LlamaModel.from_pretrained(str(tribe_folder / "text")).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tribe_folder / "text"))
    begin = tokenizer.convert_tokens_to_ids("<|begin_of_text|>")
    ids = torch.tensor([[begin, *tokenizer(WORDS, add_special_tokens=False)["input_ids"]]])
    with torch.no_grad():
        output = reader(ids, output_hidden_states=True)
    means, states = tribe.text.read(WORDS, 32)
    assert np.abs(means - groups([state[0, 1:].mean(0).numpy() for state in output.hidden_states])).max() < 1e-4
    assert np.abs(states - output.last_hidden_state[0, 1:].numpy()).max() < 1e-4


def test_the_senses_stand_side_by_side_on_the_clock(tribe: Any, picture: Picture) -> None:
    tribe.clear()
    seen = frames(picture, 9)  # 8 Hz for 1 s: four ticks of two pictures and the first picture of a fifth
    tensors = tribe.encode_window(Observation(seen, WORDS, noise(0.4)))
    assert tensors["tokens_mask"].tolist() == [0, 1, 1, 1, 1, 1]
    assert not tensors["tokens"][0].any()
    text, audio, video = np.split(tensors["tokens"], 3, axis=1)
    assert np.array_equal(text[1], text[5]) and text[1].any()
    assert audio[1].any() and audio[2].any() and not audio[3:].any()  # nothing was heard after 0.4 s
    assert video[1:].any(axis=1).all() and np.array_equal(tensors["pooled"], tensors["tokens"][-1])
    alone = tribe.encode_window(Observation(seen))
    assert not alone["tokens"][:, :768].any() and np.array_equal(alone["tokens"][:, 768:], video)
    wanted = tribe.join.project("text", torch.from_numpy(tribe.text.read(WORDS, 32)[0])).numpy()
    assert np.abs(text[-1] - wanted).max() < 1e-6


def test_a_stream_gives_the_whole_window_for_one_clip_a_picture(
    tribe: Any, tribe_folder: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tribe.clear()
    calls = []
    watch = tribe.video.watch
    monkeypatch.setattr(tribe.video, "watch", lambda clip: (calls.append(len(clip)), watch(clip))[1])
    seen, got = frames(picture, 24), {}
    sound = noise(3.0)
    for number, frame in enumerate(seen):
        piece = Sound(frame.stamp_ns, sound.samples[2000 * number : 2000 * (number + 1)])
        got = tribe.watch(frame.stamp_ns, frame.rgb, WORDS, piece)
    assert calls == [4] * len(seen)
    tribe.clear()
    whole = tribe.encode_window(Observation(seen, WORDS, sound))
    assert len(calls) == len(seen) + 6  # six ticks at once
    assert all(np.abs(got[name] - whole[name]).max() < 1e-4 for name in whole)


def test_smoothing_keeps_what_stands_still(tribe_folder: Path, tribe: Any, picture: Picture) -> None:
    smooth = load("tribe_v2", path=str(tribe_folder), **OPTIONS, smoothing=1.5)
    tribe.clear()
    still = tuple(Frame(START + n * SECOND // 4, picture(0)) for n in range(6))
    a, b = smooth.encode_window(Observation(still, WORDS)), tribe.encode_window(Observation(still, WORDS))
    assert np.abs(a["tokens"] - b["tokens"]).max() < 1e-5
    moving = Observation(frames(picture, 12), WORDS)
    steps = [np.abs(np.diff(x.encode_window(moving)["tokens"], axis=0)).mean() for x in (smooth, tribe)]
    assert steps[0] < 0.6 * steps[1]


def trunk_tensors(depth: int = 2, inner: int = 48) -> dict[str, Any]:
    """Return random tensors under the published names (public listing of the checkpoint's state dict)."""
    generator = torch.Generator().manual_seed(3)

    def random(*shape: int) -> Any:
        return torch.randn(*shape, generator=generator) / shape[-1] ** 0.5

    tensors = {f"projectors.{sense}.weight": random(384, 64) for sense in ("text", "audio", "video")}
    tensors |= {f"projectors.{sense}.bias": random(384) for sense in ("text", "audio", "video")}
    tensors |= {"time_pos_embed": random(1, 16, 1152), "encoder.final_norm.g": torch.ones(1) * 1.5}
    tensors["encoder.rotary_pos_emb.inv_freq"] = torch.zeros(36)
    for layer in range(2 * depth):
        tensors[f"encoder.layers.{layer}.0.0.g"] = torch.ones(1) * 1.1
        tensors[f"encoder.layers.{layer}.2.residual_scale"] = random(1152) + 1
        if layer % 2 == 0:
            for name in ("to_q", "to_k", "to_v", "to_out"):
                tensors[f"encoder.layers.{layer}.1.{name}.weight"] = random(1152, 1152)
        else:
            tensors[f"encoder.layers.{layer}.1.ff.0.0.weight"] = random(inner, 1152)
            tensors[f"encoder.layers.{layer}.1.ff.0.0.bias"] = random(inner)
            tensors[f"encoder.layers.{layer}.1.ff.2.weight"] = random(1152, inner)
            tensors[f"encoder.layers.{layer}.1.ff.2.bias"] = random(1152)
    tensors |= {"low_rank_head.weight": random(8, 1152), "predictor.weights": random(1, 8, 20)}
    return {f"model.{name}": value.contiguous() for name, value in tensors.items()}


def plain_trunk(tensors: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Return the states (T, 1152) of ticks after the trunk, in float64 numpy, one head and one angle at a time."""
    w = {name.removeprefix("model."): value.double().numpy() for name, value in tensors.items()}

    def norm(x: np.ndarray, g: float) -> np.ndarray:
        return x / np.linalg.norm(x, axis=-1, keepdims=True) * 1152**0.5 * g

    def turn(x: np.ndarray) -> np.ndarray:
        out = x.copy()
        for place in range(len(x)):
            for i in range(36):
                angle = place * 10000.0 ** (-2 * i / 72)
                a, b = x[place, i], x[place, i + 36]
                out[place, i] = a * np.cos(angle) - b * np.sin(angle)
                out[place, i + 36] = b * np.cos(angle) + a * np.sin(angle)
        return out

    def gelu(x: np.ndarray) -> np.ndarray:
        from math import erf

        return x * 0.5 * (1 + np.vectorize(erf)(x / 2**0.5))

    x = x.astype(np.float64) + w["time_pos_embed"][0, : len(x)]
    for layer in range(4):
        name = f"encoder.layers.{layer}"
        y = norm(x, w[f"{name}.0.0.g"][0])
        if layer % 2 == 0:
            q, k, v = (y @ w[f"{name}.1.to_{c}.weight"].T for c in "qkv")
            heads = []
            for h in range(8):
                s = slice(144 * h, 144 * (h + 1))
                scores = turn(q[:, s]) @ turn(k[:, s]).T / 12.0
                scores = np.exp(scores - scores.max(-1, keepdims=True))
                heads.append(scores / scores.sum(-1, keepdims=True) @ v[:, s])
            y = np.concatenate(heads, 1) @ w[f"{name}.1.to_out.weight"].T
        else:
            y = gelu(y @ w[f"{name}.1.ff.0.0.weight"].T + w[f"{name}.1.ff.0.0.bias"])
            y = y @ w[f"{name}.1.ff.2.weight"].T + w[f"{name}.1.ff.2.bias"]
        x = y + x * w[f"{name}.2.residual_scale"]
    return norm(x, w["encoder.final_norm.g"][0])


def test_the_published_trunk_loads_by_name(tribe_folder: Path, tmp_path: Path, picture: Picture) -> None:
    from safetensors.torch import save_file

    folder = tmp_path / "tribe"
    shutil.copytree(tribe_folder, folder)
    (folder / "trunk").mkdir()
    tensors = trunk_tensors()
    save_file(tensors, str(folder / "trunk" / "model.safetensors"))
    tribe = load("tribe_v2", path=str(folder), **OPTIONS)
    assert isinstance(tribe, Backbone) and "+trunk-" in tribe.model_id
    ticks = np.random.default_rng(0).normal(0, 1, (5, 1152)).astype(np.float32)
    with torch.no_grad():
        got = tribe.join(torch.from_numpy(ticks)).numpy()  # type: ignore[attr-defined]
    assert np.abs(got - plain_trunk(tensors, ticks)).max() < 1e-4
    assert np.isfinite(tribe.encode(picture(0), WORDS)["pooled"]).all()
    del tensors["model.encoder.final_norm.g"]
    save_file(tensors, str(folder / "trunk" / "model.safetensors"))
    with pytest.raises(CheckpointError, match=r"(?s)trunk: got .*final_norm.*allowed: the tensors of TRIBE v2"):
        load("tribe_v2", path=str(folder), **OPTIONS)


def test_the_weights_stay_as_they_are(tribe: Any, picture: Picture) -> None:
    parts = [tribe.video.model, tribe.audio.model, tribe.text.model, tribe.join]
    before = [{name: value.clone() for name, value in part.state_dict().items()} for part in parts]
    tribe.watch(START, picture(0), WORDS, noise(0.2))
    for part, weights in zip(parts, before, strict=True):
        assert not part.training and not any(weight.requires_grad for weight in part.parameters())
        assert all(torch.equal(value, weights[name]) for name, value in part.state_dict().items())


def test_what_cannot_be_read_is_refused_and_the_stream_is_as_before(tribe: Any, picture: Picture) -> None:
    tribe.clear()
    tribe.watch(START, picture(0), WORDS, noise(0.25))
    with pytest.raises(ContractError, match="frame.stamp_ns: got 1700000000000000000 after"):
        tribe.watch(START, picture(1), WORDS)
    with pytest.raises(ContractError, match=r"sound: got 250 ms between two pieces; allowed: pieces that follow"):
        tribe.watch(START + SECOND // 2, picture(1), WORDS, noise(0.25, START + SECOND // 2))
    with pytest.raises(ContractError, match="image: got float64 array"):
        tribe.watch(START + SECOND, np.full((64, 64, 3), np.nan), WORDS)
    with pytest.raises(ContractError, match="instruction: got 33 tokens"):
        tribe.watch(START + SECOND, picture(1), "a" * 33)
    with pytest.raises(ContractError, match="a list of at least one sentence"):
        tribe.encode_texts([])
    assert len(tribe._frames) == 1 and len(tribe._sound.samples) == 4000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0.0}, "rate: got 0.0; allowed: 0.1 to 50"),
        ({"ticks": 0}, "ticks: got 0; allowed: 1 to 256"),
        ({"pictures": 3}, "pictures: got 3; allowed: a multiple of 2"),
        ({"seconds": 30.0, "ticks": 200}, "seconds and ticks: got 30 s and 200 at 4 Hz; allowed: 60 s in all"),
        ({"smoothing": -1.0}, "smoothing: got -1.0; allowed: 0 to 32"),
    ],
)
def test_options_out_of_range_are_refused(tribe_folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load("tribe_v2", path=str(tribe_folder), **{**OPTIONS, **options})


def test_a_folder_that_is_not_right_is_refused_by_name(tribe_folder: Path, tmp_path: Path) -> None:
    def edit(file: Path, **values: object) -> None:
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    cases: list[tuple[Callable[[Path], object], str]] = [
        (lambda f: shutil.rmtree(f / "audio"), "audio, not on this machine; allowed: a folder with config.json"),
        (lambda f: edit(f / "video" / "config.json", model_type="clip"), "got model_type 'clip'; allowed: vjepa2"),
        (lambda f: (f / "text" / "tokenizer.json").write_text("{"), "text: tokenizer: got"),
        (
            lambda f: edit(f / "audio" / "preprocessor_config.json", num_mel_bins=64),
            "got 128 at 16000 Hz; allowed",
        ),
        (
            lambda f: edit(f / "video" / "video_preprocessor_config.json", image_std=0),
            "image_std: got 0; allowed",
        ),
    ]
    for number, (change, message) in enumerate(cases):
        folder = tmp_path / str(number)
        shutil.copytree(tribe_folder, folder)
        change(folder)
        with pytest.raises(CheckpointError, match=message):
            load("tribe_v2", path=str(folder), **OPTIONS)
