"""The video-language backbones against the plain forward of transformers, and what they refuse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
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
SIZES = {"cosmos_reason": (128, 64), "qwen_omni": (112, 56)}
Picture = Callable[..., np.ndarray]


def sound(seconds: float, start_ns: int = 0) -> Sound:
    """Return a tone with noise."""
    time = np.arange(round(16000 * seconds)) / 16000
    noise = np.random.default_rng(3).normal(0, 0.05, time.shape)
    return Sound(start_ns, (0.5 * np.sin(2 * np.pi * 440 * time) + noise).clip(-1, 1).astype(np.float32))


@pytest.fixture(scope="module")
def cosmos(cosmos_folder: Path) -> Any:
    return load("cosmos_reason", path=str(cosmos_folder), precision="fp32", layer=4, width=128, height=64)


@pytest.fixture(scope="module")
def omni(omni_folder: Path) -> Any:
    return load("qwen_omni", path=str(omni_folder), precision="fp32", layer=3, width=112, height=56)


@pytest.fixture(params=["cosmos", "omni"])
def backbone(request: pytest.FixtureRequest) -> Any:
    found = request.getfixturevalue(request.param)
    found.clear()
    return found


@lru_cache
def published(name: str, folder: Path) -> Any:
    """Return the whole model as transformers loads it."""
    return getattr(transformers, name).from_pretrained(str(folder)).eval()


@lru_cache
def tokenizer_of(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(str(folder))


def chat(folder: Path, words: str, media: Sequence[str], system: str) -> Any:
    """Return the ids (1, T) of the chat, tokenised as transformers does, the words as they are."""
    tokenizer = tokenizer_of(folder)
    text = f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{words}" + "".join(media)
    return torch.tensor([tokenizer(text)["input_ids"]])


def generated(model: Any, inputs: dict[str, Any], count: int) -> list[int]:
    """Return the next tokens, as ``generate`` of transformers says them."""
    with torch.no_grad():
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=count, min_new_tokens=count)
    return list(ids[0, inputs["input_ids"].shape[1] :].tolist())


def plain_cosmos(
    folder: Path,
    window: Observation,
    backbone: Any,
    after: str = "",
    said: Sequence[int] = (),
    layer: int = 0,
    generate: int = 0,
) -> Any:
    """Return ids and states after a layer, of the whole window at once, or the next tokens, as transformers does."""
    from neon_ros.encode.backbones.foundation.cosmos_reason import SYSTEM

    model = published("Qwen3VLForConditionalGeneration", folder)
    rows, columns = backbone.layout.tokens
    media = [
        f"<{(frame.stamp_ns - window.start_ns) / 1e9:.1f} seconds><|vision_start|>"
        + "<|video_pad|>" * (rows * columns)
        + "<|vision_end|>"
        for frame in window.frames
    ]
    ids = torch.cat([chat(folder, window.instruction, [*media, after], SYSTEM), torch.tensor([said]).long()], dim=1)
    pixels = np.concatenate([backbone.layout.patches(backbone.layout.fit(f.rgb)) for f in window.frames])
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values_videos": torch.from_numpy(pixels),
        "video_grid_thw": torch.tensor([[len(window.frames), *backbone.layout.grid]]),
        "mm_token_type_ids": 2 * (ids == model.config.video_token_id).int(),
    }
    if generate:
        return generated(model, inputs, generate)
    with torch.no_grad():
        output = model(**inputs, output_hidden_states=True)
    return ids[0], output.hidden_states[layer or backbone.layer][0]


def plain_omni(
    folder: Path,
    window: Observation,
    backbone: Any,
    after: str = "",
    said: Sequence[int] = (),
    layer: int = 0,
    generate: int = 0,
) -> Any:
    """Return ids and states after a layer, of the whole window at once, or the next tokens, as transformers does."""
    from neon_ros.encode.backbones.foundation.qwen_omni import SYSTEM

    model = published("Qwen2_5OmniThinkerForConditionalGeneration", folder)
    rows, columns = backbone.layout.tokens
    period = (window.frames[-1].stamp_ns - window.frames[0].stamp_ns) / 1e9 / max(1, len(window.frames) - 1)
    inputs: dict[str, Any] = {}
    pieces: list[str] = [""] * 10
    for number in range(len(window.frames)):
        pieces[int(number * period * 25) // 50] += "<|VIDEO|>" * (rows * columns)
    if window.sound:
        samples = window.sound.samples
        samples = np.pad(samples, (0, -len(samples) % 640))  # whole tokens of 40 ms
        parts = [samples[at : at + 32000] for at in range(0, len(samples), 32000)]
        mels = [backbone._mel(part, sampling_rate=16000, padding="longest", return_tensors="pt") for part in parts]
        mel = torch.cat([value["input_features"] for value in mels], dim=-1)
        inputs = {"input_features": mel, "feature_attention_mask": torch.ones(1, mel.shape[-1], dtype=torch.long)}
        for number, part in enumerate(parts):
            pieces[number] += "<|AUDIO|>" * (len(part) // 640)
    around = ("<|vision_bos|><|audio_bos|>", "<|audio_eos|><|vision_eos|>") if window.sound else ("<|vision_bos|>", "")
    media = [around[0], *pieces, around[1] or "<|vision_eos|>", after]
    ids = torch.cat([chat(folder, window.instruction, media, SYSTEM), torch.tensor([said]).long()], dim=1)
    pixels = np.concatenate([backbone.layout.patches(backbone.layout.fit(f.rgb)) for f in window.frames])
    inputs |= {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values_videos": torch.from_numpy(pixels),
        "video_grid_thw": torch.tensor([[len(window.frames), *backbone.layout.grid]]),
        "video_second_per_grid": torch.tensor([period]),
        "use_audio_in_video": window.sound is not None,
    }
    if generate:
        return generated(model, inputs, generate)
    with torch.no_grad():
        output = model(**inputs, output_hidden_states=True)
    return ids[0], output.hidden_states[layer or backbone.layer][0]


def difference(folder: Path, window: Observation, backbone: Any, got: dict[str, np.ndarray]) -> float:
    """Return the largest difference of features to the plain forward of the window."""
    plain = plain_cosmos if backbone.name == "cosmos_reason" else plain_omni
    ids, states = plain(folder, window, backbone)
    tokenizer = tokenizer_of(folder)
    token = "<|video_pad|>" if backbone.name == "cosmos_reason" else "<|VIDEO|>"
    vision = states[ids == tokenizer.convert_tokens_to_ids(token)][-len(got["vision"]) :].numpy()
    said = len(tokenizer(window.instruction)["input_ids"]) if window.instruction else 0
    prompt = chat(folder, "", [], backbone.system).shape[1]
    text = states[prompt : prompt + said].numpy()
    worst = [np.abs(got["vision"] - vision).max(), np.abs(got["text"][:said] - text).max() if said else 0.0]
    content = [vision, text]
    if "audio" in got:
        audio = states[ids == tokenizer.convert_tokens_to_ids("<|AUDIO|>")][-50:].numpy()
        worst.append(np.abs(got["audio"][: len(audio)] - audio).max() if len(audio) else 0.0)
        assert got["audio_mask"].sum() == len(audio)
        content.append(audio)
    assert got["text_mask"].sum() == said
    worst.append(np.abs(got["pooled"] - np.concatenate(content).mean(0)).max())
    return float(max(worst))


def test_it_is_a_backbone_that_says_what_it_gives(backbone: Any, picture: Picture) -> None:
    assert isinstance(backbone, Backbone) and isinstance(backbone, WindowBackbone)
    features = backbone.encode(picture(0), WORDS)
    assert {name: value.shape for name, value in features.items()} == dict(backbone.tensors)
    assert all(value.dtype == np.float32 and np.isfinite(value).all() for value in features.values())
    assert backbone.model_id.startswith(f"{backbone.name}/") and backbone.model_id.endswith("-w8.4")
    assert np.array_equal(
        backbone.encode_images(picture(0)[None])["vision"][0], backbone.encode(picture(0), "")["vision"]
    )
    text = backbone.encode_texts([WORDS, "stop"])
    assert np.abs(text["text"][0] - features["text"]).max() < 1e-5 and text["text_mask"].sum() == len(WORDS) + 4


@pytest.mark.parametrize("words", ["", WORDS])
def test_the_features_are_those_of_the_plain_forward(
    backbone: Any, words: str, picture: Picture, cosmos_folder: Path, omni_folder: Path
) -> None:
    folder = backbone.folder
    window = Observation(tuple(Frame(n * SECOND // 2, picture(n)) for n in range(5)), words)
    assert difference(folder, window, backbone, backbone.encode_window(window)) < 1e-4


@pytest.mark.parametrize("seconds", [1.0, 2.0, 3.2])
def test_sound_is_heard_in_its_time(omni: Any, seconds: float, picture: Picture, omni_folder: Path) -> None:
    omni.clear()
    frames = tuple(Frame(7 * SECOND + n * SECOND // 2, picture(n)) for n in range(6))
    window = Observation(frames, WORDS, sound(seconds, 7 * SECOND))
    got = omni.encode_window(window)
    assert difference(omni_folder, window, omni, got) < 1e-4
    deaf = omni.encode_window(Observation(frames, WORDS))
    assert np.abs(got["pooled"] - deaf["pooled"]).max() > 1e-2
    assert not deaf["audio_mask"].any()


def test_a_stream_gives_the_plain_forward_of_each_window_and_looks_once_at_each_picture(
    backbone: Any, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    tower = backbone.model.visual.forward
    monkeypatch.setattr(
        backbone.model.visual, "forward", lambda *a, **k: (looked.append(k["grid_thw"].tolist()), tower(*a, **k))[1]
    )
    frames = [Frame(n * SECOND // 2, picture(n)) for n in range(11)]
    lengths = []
    for number, frame in enumerate(frames):
        heard = sound(0.48, number * SECOND // 2) if backbone.name == "qwen_omni" else None
        heard = heard and Sound(heard.start_ns, np.resize(heard.samples, 8000))
        got = backbone.watch(frame.stamp_ns, frame.rgb, WORDS, heard)
        reader = next(iter(backbone._readers.values()))
        length = sum(segment.role == "vision" for segment in reader._segments)
        lengths.append(length)
        if number in (0, 6, 8):
            first = number + 1 - length
            piece = np.resize(sound(0.48).samples, 8000)
            whole = Sound(first * SECOND // 2, np.concatenate([piece] * length)) if heard else None
            window = Observation(tuple(frames[first : number + 1]), WORDS, whole)
            assert difference(backbone.folder, window, backbone, got) < 1e-4
    assert lengths == [1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7]  # a window of 8 is followed by one that began 4 later
    assert looked == [[[1, *backbone.layout.grid]]] * len(frames)


def test_a_new_picture_costs_its_own_tokens(backbone: Any, picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    language = backbone.model.language_model.forward
    monkeypatch.setattr(
        backbone.model.language_model,
        "forward",
        lambda *a, **k: (read.append(k["inputs_embeds"].shape[1]), language(*a, **k))[1],
    )
    costs = []
    for number in range(13):
        read.clear()
        backbone.watch(number * SECOND, picture(number), WORDS)
        costs.append(list(read))
    picture_alone = costs[1][0]
    assert costs[0][0] > picture_alone + len(WORDS)  # the words, once
    assert costs[5] == [picture_alone] * 2  # two windows are open
    assert costs[4] == costs[8] and costs[4][0] == picture_alone >= costs[4][1]  # one begins: the words are copied


def test_the_words_are_read_once_and_anew_when_they_change(backbone: Any, picture: Picture) -> None:
    for number in range(3):
        backbone.watch(number, picture(number), WORDS)
    changed = backbone.watch(3, picture(3), "stop")
    backbone.clear()
    for number in range(3):
        backbone.watch(number, picture(number), "stop")
    assert np.abs(changed["vision"] - backbone.watch(3, picture(3), "stop")["vision"]).max() < 1e-5


def test_a_refused_picture_leaves_the_stream_as_it_was(backbone: Any, picture: Picture) -> None:
    backbone.watch(0, picture(0), WORDS)
    with pytest.raises(ContractError, match="image: got float64 array; allowed: a uint8 array"):
        backbone.watch(1, np.full((64, 64, 3), np.nan), WORDS)
    with pytest.raises(ContractError, match="instruction: got 600 tokens|instruction length: got 600 characters"):
        backbone.watch(1, picture(1), "a" * 600)
    with pytest.raises(ContractError, match=r"instruction: got 33 tokens \(33 characters\); allowed: at most 32"):
        backbone.watch(1, picture(1), "a" * 33)
    with pytest.raises(ContractError, match=r"frame.stamp_ns: got 0 after 0; allowed: stamps that increase"):
        backbone.watch(0, picture(1), WORDS)
    first = backbone.watch(1, picture(1), WORDS)
    backbone.clear()
    backbone.watch(0, picture(0), WORDS)
    assert np.abs(first["vision"] - backbone.watch(1, picture(1), WORDS)["vision"]).max() < 1e-5


def test_pictures_of_4k_and_of_other_sizes_are_read(backbone: Any, picture: Picture) -> None:
    large = np.kron(picture(0), np.ones((18, 18, 1), dtype=np.uint8))  # 2160 x 3816
    assert np.isfinite(backbone.encode(large, WORDS)["vision"]).all()


def test_a_window_too_long_is_refused(backbone: Any, picture: Picture) -> None:
    frames = tuple(Frame(n, picture(0)) for n in range(9))
    with pytest.raises(ContractError, match=r"observation.frames: got 9 pictures; allowed: at most 8"):
        backbone.encode_window(Observation(frames))


def test_batches_must_be_batches(backbone: Any, picture: Picture) -> None:
    with pytest.raises(ContractError, match="images shape: got"):
        backbone.encode_images(picture(0))
    with pytest.raises(ContractError, match="instructions: got 'stop'; allowed: a list"):
        backbone.encode_texts("stop")


def test_what_cannot_be_heard_is_refused_not_dropped(cosmos: Any, picture: Picture) -> None:
    with pytest.raises(ContractError, match="sound: got 16000 samples; allowed: none: cosmos_reason cannot hear"):
        cosmos.watch(0, picture(0), WORDS, sound(1.0))
    with pytest.raises(ContractError, match="cosmos_reason cannot hear"):
        cosmos.encode_window(Observation((Frame(0, picture(0)),), WORDS, sound(1.0)))


def test_a_want_of_memory_is_said_and_the_stream_goes_on(
    backbone: Any, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore lines.")

    backbone.watch(0, picture(0), WORDS)
    with monkeypatch.context() as patch:
        patch.setattr(backbone.model.language_model, "forward", full)
        with pytest.raises(CheckpointError, match=r"memory of \w+: got CUDA out of memory. Tried to allocate 2 GiB.;"):
            backbone.watch(1, picture(1), WORDS)
        with pytest.raises(CheckpointError, match="allowed: a smaller picture, window or model"):
            backbone.encode(picture(1), WORDS)
    got = backbone.watch(2, picture(2), WORDS)
    backbone.clear()
    for number in range(3):
        wanted = backbone.watch(number, picture(number), WORDS)
    assert np.abs(got["vision"] - wanted["vision"]).max() < 1e-5


@pytest.mark.parametrize("name", ["cosmos_reason", "qwen_omni"])
def test_an_answer_is_the_likeliest_of_the_whole_model(
    name: str, picture: Picture, cosmos_folder: Path, omni_folder: Path
) -> None:
    folder, plain, kind, layer = {
        "cosmos_reason": (cosmos_folder, plain_cosmos, "Qwen3VLForConditionalGeneration", 4),
        "qwen_omni": (omni_folder, plain_omni, "Qwen2_5OmniThinkerForConditionalGeneration", 2),
    }[name]
    width, height = SIZES[name]
    options = {"path": str(folder), "precision": "fp32", "layer": layer, "width": width, "height": height}
    backbone: Any = load(name, answers=True, **options)
    frames = tuple(Frame(n * SECOND // 2, picture(n)) for n in range(3))
    window = Observation(frames, WORDS, sound(1.4) if name == "qwen_omni" else None)
    with pytest.raises(ContractError, match="answer: got no picture; allowed: at least one picture watched"):
        backbone.answer()
    short = load(name, **options)
    for number, frame in enumerate(frames):
        heard = window.sound if number == 0 else None
        got = backbone.watch(frame.stamp_ns, frame.rgb, WORDS, heard)
        wanted = short.watch(frame.stamp_ns, frame.rgb, WORDS, heard)
    assert np.abs(got["vision"] - wanted["vision"]).max() < 1e-5 and backbone.model_id == short.model_id

    model, said = published(kind, folder), []
    after = "why?<|im_end|>\n<|im_start|>assistant\n"
    end = backbone.words.special("<|im_end|>")
    for _ in range(6):
        with torch.no_grad():
            said.append(int(model.lm_head(plain(folder, window, backbone, after, said, -1)[1][-1]).argmax()))
    assert plain(folder, window, backbone, after, generate=6)[: len(said)] == said  # as generate() of transformers
    said = said[: said.index(end)] if end in said else said
    assert backbone.answer("why?", 6) == backbone.words.text(said)

    # An answer that was begun is about its window, whatever is watched, forgotten or asked meanwhile.
    say, wanted = backbone.asked("why?", 6), backbone.words.text(said)
    pieces = iter([True, True, False])
    assert backbone.asked("why?", 6)(lambda: next(pieces)) == backbone.words.text(said[:2])
    with ThreadPoolExecutor(1) as beside:
        talk = beside.submit(lambda: [say(lambda: True) for _ in range(4)])
        for number in range(3, 9):
            fast = backbone.watch(number * SECOND // 2, picture(number), WORDS)
            alone = short.watch(number * SECOND // 2, picture(number), WORDS)
            assert np.abs(fast["vision"] - alone["vision"]).max() < 1e-5
        backbone.clear()
    assert talk.result() == [wanted] * 4
    backbone.watch(0, picture(0), WORDS)
    with pytest.raises(ContractError, match=r"instruction: got 33 tokens"):
        backbone.answer("w" * 33)
    with pytest.raises(ConfigError, match=f"answer: got {name} without its last layers; allowed: the option answers"):
        short.answer()


def test_special_tokens_in_an_instruction_are_mere_text(backbone: Any, picture: Picture) -> None:
    said = "<|im_end|><<|im_end|>|im_end|><tool_call>"
    ids = backbone.words.plain(said)
    special = set(backbone.words._added)
    assert not special & set(ids)
    assert backbone.words._tokenizer.decode(ids) == said
    backbone.encode(picture(0), "a<|im_end|>b<|im_start|>")
    turns = [segment for segment in backbone._alone._segments if segment.role == "text"]
    assert len(turns) == 1 and not special & set(turns[0].key)


def test_the_weights_stay_as_they_are(backbone: Any, picture: Picture) -> None:
    before = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    backbone.watch(0, picture(0), WORDS)
    assert not backbone.model.training
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in backbone.model.state_dict().items())


def test_layers_that_are_not_needed_are_not_loaded(omni: Any, omni_folder: Path, picture: Picture) -> None:
    assert len(omni.model.language_model.layers) == 3
    full = load("qwen_omni", path=str(omni_folder), precision="fp32", layer=4, width=112, height=56)
    window = Observation((Frame(0, picture(0)),), WORDS)
    assert difference(omni_folder, window, full, full.encode_window(window)) < 1e-4  # after the last layer: normed
    assert load("qwen_omni", path=str(omni_folder), width=112, height=56).layer == 2  # half by default


def test_the_whole_models_folder_is_read(omni_folder: Path, omni: Any, tmp_path: Path, picture: Picture) -> None:
    """Lay the weights out as the published checkpoint: thinker.*, beside a talker that is not needed."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "whole"
    shutil.copytree(omni_folder, folder, ignore=shutil.ignore_patterns("*.safetensors*", "config.json"))
    thinker = json.loads((omni_folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2_5_omni", "thinker_config": thinker}))
    tensors = {}
    for file in omni_folder.glob("*.safetensors"):
        tensors |= {f"thinker.{name}": value for name, value in load_file(str(file)).items()}
    tensors["talker.model.norm.weight"] = torch.zeros(8)
    save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})
    whole = load("qwen_omni", path=str(folder), precision="fp32", layer=3, width=112, height=56)
    omni.clear()
    assert np.array_equal(whole.encode(picture(0), WORDS)["vision"], omni.encode(picture(0), WORDS)["vision"])
    assert whole.model_id != omni.model_id  # other files


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_is_near(backbone: Any, dtype: str, picture: Picture) -> None:
    width, height = SIZES[backbone.name]
    half = load(
        backbone.name, path=str(backbone.folder), precision=dtype, layer=backbone.layer, width=width, height=height
    )
    assert half.model.dtype == {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    a, b = half.encode(picture(0), WORDS)["pooled"], backbone.encode(picture(0), WORDS)["pooled"]
    assert np.linalg.norm(a - b) / np.linalg.norm(b) < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 9}, "layer: got 9; allowed: [13] to [45], or 0 for half"),
        ({"precision": "int3"}, "precision: got int3; allowed: fp32, bf16, fp16, int8, int4"),
        ({"device": "abacus"}, "device: got abacus; allowed: cpu"),
        ({"threads": 0}, "threads: got 0; allowed: 1 or more"),
        ({"frames": 0}, "frames: got 0; allowed: 1 to 64"),
        ({"stride": 3}, "stride: got 3; allowed: a divisor of 8 frames"),
        ({"width": 100}, "width: got 100 pixels; allowed: a multiple of"),
        ({"colour": 1}, "options of backbone"),
    ],
)
def test_options_out_of_range_are_refused(backbone: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(backbone.name, path=str(backbone.folder), **options)


def test_the_pictures_are_cut_as_published(backbone: Any, picture: Picture) -> None:
    processor = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")
    width, height = SIZES[backbone.name]
    cut = processor.Qwen2VLImageProcessorPil(
        patch_size=backbone.layout.patch,
        image_mean=list(backbone.layout.mean),
        image_std=list(backbone.layout.deviation),
        size={"shortest_edge": 56 * 56, "longest_edge": 1280 * 28 * 28},
    )
    image = picture(0, height, width)
    wanted = cut(images=[image], return_tensors="np")
    assert wanted["image_grid_thw"].tolist() == [[1, *backbone.layout.grid]]
    assert np.abs(backbone.layout.patches(image) - wanted["pixel_values"]).max() < 1e-5


def test_a_folder_that_is_not_right_is_refused_by_name(
    cosmos_folder: Path, omni_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str, change: Callable[[Path], object]) -> str:
        folder = tmp_path / name
        shutil.copytree(cosmos_folder, folder)
        change(folder)
        return str(folder)

    def edit(file: Path, **values: object) -> None:
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    def cut_short(folder: Path) -> None:
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1000])

    def without(folder: Path, name: str) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(str(folder / "model.safetensors"))
        del tensors[name]
        save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})

    def spoil(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(str(folder / "model.safetensors"))
        tensors["model.language_model.layers.0.mlp.up_proj.weight"][0, 0] = float("nan")
        save_file(tensors, str(folder / "model.safetensors"), {"format": "pt"})

    gone = "model.language_model.layers.1.mlp.up_proj.weight"
    cases: list[tuple[str, Callable[[Path], object], str]] = [
        (
            "weights",
            lambda f: (f / "model.safetensors").unlink(),
            r"model.safetensors: got no such file; allowed: weigh",
        ),
        (
            "pickled",
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            r"got \['pytorch_model.bin'\]",
        ),
        ("shard", cut_short, r"bytes; allowed: \d+ bytes as its header says"),
        ("config", lambda f: (f / "config.json").unlink(), "config.json: got no such file"),
        ("other", lambda f: edit(f / "config.json", model_type="llama"), "got model_type 'llama'; allowed: qwen3_vl"),
        ("absent", lambda f: without(f, gone), r"got 1 weights missing or of another shape, first model"),
        ("nan", spoil, "got values that are not finite"),
        (
            "words",
            lambda f: [(f / n).unlink() for n in ("tokenizer.json", "vocab.json")],
            "tokenizer: got no tokenizer",
        ),
        ("pictures", lambda f: edit(f / "preprocessor_config.json", patch_size=14), "patch_size: got 14; allowed: 16"),
        ("mean", lambda f: edit(f / "preprocessor_config.json", image_mean=[1]), "image_mean: got .1.; allowed: three"),
        ("json", lambda f: (f / "config.json").write_text("{"), "config.json: got Expecting"),
        ("list", lambda f: (f / "config.json").write_text("[]"), "config.json: got list; allowed: a JSON object"),
        ("index", lambda f: (f / "model.safetensors.index.json").write_text("{}"), "got no weight_map"),
        (
            "escape",
            lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../b.safetensors"}}'),
            r"got \.\./b\.safetensors; allowed: names of",
        ),
    ]
    for name, change, message in cases:
        with pytest.raises(CheckpointError, match=message):
            load("cosmos_reason", path=broken(name, change), width=128, height=64)
    from neon_ros.encode.backbones.foundation.folder import weight_files

    parts = tmp_path / "parts"
    shutil.copytree(omni_folder, parts)
    shards = weight_files(parts)
    assert len(shards) > 2
    shards[1].unlink()
    with pytest.raises(CheckpointError, match=rf"{shards[1].name}: got no such file; allowed: weights as safetensors"):
        load("qwen_omni", path=str(parts), width=112, height=56)
    with pytest.raises(CheckpointError, match=r"no_such/model, not on this machine; allowed: a folder with config"):
        load("cosmos_reason", path="no_such/model")
    from neon_ros.encode.backbones.foundation import loading

    monkeypatch.setattr(loading, "free_bytes", lambda: 1024)
    with pytest.raises(CheckpointError, match=r"GiB needed \(weights .*, cache .*\), 0.00 GiB free, \d+.\d\d GiB s"):
        load("cosmos_reason", path=str(cosmos_folder), width=128, height=64)
