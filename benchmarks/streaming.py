"""Time what a new picture costs a foundation backbone against reading its window anew, interleaved on one core.

    python benchmarks/backbones.py --only streaming [--scale 8] [--part 0.5] [--repeats 4]

Models of random numbers stand in for the published ones: their depths and shapes, with widths divided by ``--scale``
(1 for the true sizes, on a machine that holds them).  They are saved as published and loaded as published, and the
features of both ways are compared number by number.  Reading anew looks at all pictures of the window in one batch and
reads the language model once, without memory, up to the same layer.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neon_ros.encode.backbones import load
from neon_ros.encode.backbones.observation import Frame, Observation

WORDS = "touch the red cube"
FRAMES = 8
TOKENS = {
    "qwen_omni": ("<|vision_bos|>", "<|vision_eos|>", "<|audio_bos|>", "<|audio_eos|>", "<|im_start|>", "<|im_end|>"),
    "cosmos_reason": ("<|vision_start|>", "<|vision_end|>", "<|im_start|>", "<|im_end|>"),
    "text": ("<|begin_of_text|>",),
}


def save_words(folder: Path, special: tuple[str, ...], kind: str) -> None:
    """Save a tokenizer of bytes."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: n for n, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))


def save_model(folder: Path, model_class: Any, config: Any, **preprocessor: object) -> None:
    """Save a model of random numbers with what its pictures and sounds need."""
    import torch

    torch.manual_seed(0)
    model_class(config).to(torch.bfloat16 if config.dtype is None else config.dtype).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))


def pixels(patch: int) -> dict[str, object]:
    """Return what preprocessor_config.json says of pictures."""
    return {
        **{"patch_size": patch, "merge_size": 2, "temporal_patch_size": 2},
        **{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]},
    }


def omni(scale: int, words: int = 2048) -> Any:
    """Return the thinker of a Qwen2.5-Omni-3B: 36 layers of 2048, vision and hearing of 32 of 1280."""
    import transformers as t

    heads = max(1, 16 // scale)
    return t.Qwen2_5OmniThinkerConfig(
        text_config={
            **{"hidden_size": 128 * heads, "num_hidden_layers": 36, "num_attention_heads": heads},
            **{"num_key_value_heads": max(1, 2 // scale), "intermediate_size": 11008 // scale, "vocab_size": words},
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        },
        vision_config={
            **{"depth": 32, "hidden_size": 80 * heads, "num_heads": heads, "intermediate_size": 3420 // scale},
            **{"out_hidden_size": 128 * heads, "fullatt_block_indexes": [7, 15, 23, 31]},
        },
        audio_config={
            **{"d_model": 64 * max(1, 20 // scale), "encoder_attention_heads": max(1, 20 // scale)},
            **{"encoder_layers": 32, "encoder_ffn_dim": 5120 // scale, "output_dim": 128 * heads},
        },
    )


def save_omni(folder: Path, scale: int) -> None:
    """Save it, its numbers random."""
    import transformers as t

    save_words(folder, TOKENS["qwen_omni"], "Qwen2Tokenizer")
    sounds = {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 128, "sampling_rate": 16000}
    save_model(folder, t.Qwen2_5OmniThinkerForConditionalGeneration, omni(scale), **pixels(14), **sounds)


def cosmos(scale: int, words: int = 2048) -> Any:
    """Return a Cosmos-Reason2-2B: 28 layers of 2048, a vision tower of 24 of 1024."""
    import transformers as t

    heads = max(1, 16 // scale)
    return t.Qwen3VLConfig(
        text_config={
            **{"hidden_size": 128 * heads, "num_hidden_layers": 28, "num_attention_heads": heads, "head_dim": 128},
            **{"num_key_value_heads": max(1, 8 // scale), "intermediate_size": 6144 // scale, "vocab_size": words},
            "rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20]},
        },
        vision_config={
            **{"depth": 24, "hidden_size": 64 * heads, "num_heads": heads, "intermediate_size": 4096 // scale},
            **{"out_hidden_size": 128 * heads, "patch_size": 16, "deepstack_visual_indexes": [5, 11, 17]},
        },
    )


def save_cosmos(folder: Path, scale: int) -> None:
    """Save it, its numbers random."""
    import transformers as t

    save_words(folder, TOKENS["cosmos_reason"], "Qwen2Tokenizer")
    save_model(folder, t.Qwen3VLForConditionalGeneration, cosmos(scale), **pixels(16))


def tribe(scale: int, words: int = 2048) -> dict[str, Any]:
    """Return V-JEPA 2 giant (40 of 1408), Wav2Vec2-BERT 2.0 (24 of 1024) and LLaMA 3.2 3B (28 of 3072)."""
    import transformers as t

    video = t.VJEPA2Config(
        **{"hidden_size": 64 * max(1, 22 // scale), "num_attention_heads": max(1, 22 // scale)},
        **{"num_hidden_layers": 40, "mlp_ratio": 48 / 11, "pred_num_hidden_layers": 1, "num_pooler_layers": 1},
    )
    audio = t.Wav2Vec2BertConfig(
        **{"hidden_size": 64 * max(1, 16 // scale), "num_attention_heads": max(1, 16 // scale)},
        **{"num_hidden_layers": 24, "intermediate_size": 4096 // scale},
    )
    text = t.LlamaConfig(
        **{"hidden_size": 128 * max(1, 24 // scale), "num_attention_heads": max(1, 24 // scale), "vocab_size": words},
        **{"num_key_value_heads": max(1, 8 // scale), "num_hidden_layers": 28, "intermediate_size": 8192 // scale},
    )
    return {"video": video, "audio": audio, "text": text}


def save_tribe(folder: Path, scale: int) -> None:
    """Save them, their numbers random."""
    import transformers as t

    configs = tribe(scale)
    save_model(folder / "video", t.VJEPA2Model, configs["video"], **pixels(16))
    sounds = {"num_mel_bins": 80, "stride": 2, "sampling_rate": 16000, "feature_size": 80}
    save_model(folder / "audio", t.Wav2Vec2BertModel, configs["audio"], **sounds)
    save_model(folder / "text", t.LlamaModel, configs["text"])
    save_words(folder / "text", TOKENS["text"], "PreTrainedTokenizerFast")


SAVE: dict[str, Callable[[Path, int], None]] = {
    "qwen_omni": save_omni,
    "cosmos_reason": save_cosmos,
    "tribe_v2": save_tribe,
}


def compare(backbone: Any, repeats: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return times of a new picture and of its window read anew [ms], and the largest difference of the features."""
    random = np.random.default_rng(0)
    frames = [Frame(n * 250_000_000, random.integers(0, 256, (240, 424, 3), dtype=np.uint8)) for n in range(9 * FRAMES)]
    fresh, anew, worst = [], [], 0.0
    for number, frame in enumerate(frames):
        start = time.perf_counter()
        got = backbone.watch(frame.stamp_ns, frame.rgb, WORDS)
        spent = 1e3 * (time.perf_counter() - start)
        if number < FRAMES:
            continue
        fresh.append(spent)
        reader = next(iter(getattr(backbone, "_readers", {}).values()), None)
        held = sum(s.role == "vision" for s in reader._segments) if reader else number + 1
        if reader is None or held == FRAMES:
            window = frames[max(0, number + 1 - held) : number + 1]
            kept = _forget(backbone)
            start = time.perf_counter()
            _look_at_all(backbone, window)
            wanted = backbone.encode_window(Observation(tuple(window), WORDS))
            anew.append(1e3 * (time.perf_counter() - start))
            _restore(backbone, kept)
            worst = max(worst, *(float(np.abs(got[name] - wanted[name]).max()) for name in wanted))
        if len(anew) >= repeats:
            break
    return np.array(fresh), np.array(anew), worst


def _look_at_all(backbone: Any, window: list[Frame]) -> None:
    """Run the vision tower of a video-language model once over all pictures of a window, as a naive forward does."""
    import hashlib

    import torch

    if not hasattr(backbone, "layout"):
        return
    small = [backbone.layout.fit(frame.rgb) for frame in window]
    patches = torch.from_numpy(np.concatenate([backbone.layout.patches(picture) for picture in small]))
    grid = torch.tensor([[1, *backbone.layout.grid]] * len(window), device=backbone.device)
    with torch.no_grad():
        output = backbone.model.visual(patches.to(backbone.device, backbone.dtype), grid_thw=grid)
    deep = getattr(output, "deepstack_features", None) or ()
    pooled = torch.chunk(output.pooler_output, len(window))
    layers = list(zip(*(torch.chunk(layer, len(window)) for layer in deep), strict=True)) or [()] * len(window)
    for picture, tokens, more in zip(small, pooled, layers, strict=True):
        key = hashlib.blake2b(picture.tobytes(), digest_size=16).digest()
        backbone._seen[key] = (tokens, tuple(more))


def _forget(backbone: Any) -> dict[str, Any]:
    """Take away all that a backbone remembers, and return it."""
    names = ("_seen", "_kept")
    kept = {name: getattr(backbone, name).copy() for name in names if hasattr(backbone, name)}
    for name in kept:
        getattr(backbone, name).clear()
    if hasattr(backbone, "_alone"):
        backbone._alone.clear()
    return kept


def _restore(backbone: Any, kept: dict[str, Any]) -> None:
    for name, value in kept.items():
        getattr(backbone, name).clear()
        getattr(backbone, name).update(value)


def table(machine: str, scale: int, part: float, repeats: int, device: str, precision: str) -> None:
    """Measure and print one row for each backbone.

    :param part: of its depth at which a language model's features are taken, 0 to 1.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    print(f"{machine}; {device}, {precision}, widths 1/{scale}; window of {FRAMES} pictures, interleaved")
    print("| backbone      | layers | new picture p50 ms | p90 ms | window anew p50 ms | ratio | largest difference |")
    print("|---------------|-------:|-------------------:|-------:|-------------------:|------:|-------------------:|")
    layers = {"qwen_omni": round(36 * part), "cosmos_reason": round(28 * part)}
    for name, save in SAVE.items():
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder), scale)
            options = {"layer": layers[name]} if name in layers else {"ticks": FRAMES, "pictures": 8, "seconds": 2.0}
            backbone = load(name, path=folder, precision=precision, device=device, **options)
            fresh, anew, worst = compare(backbone, repeats)
        p50, p90, whole = np.median(fresh), np.percentile(fresh, 90), np.median(anew)
        depth = f"{layers[name]}" if name in layers else "40"
        print(
            f"| {name:<13} | {depth:>6} | {p50:18.1f} | {p90:6.1f} | {whole:18.1f} | {whole / fresh.mean():5.1f} | "
            f"{worst:18.1e} |",
            flush=True,
        )


def memory(part: float) -> None:
    """Print what the published sizes are said to need: weights by precision, windows of 8 pictures, activations.

    :param part: of its depth at which a language model's features are taken, 0 to 1.
    """
    import transformers as t

    from neon_ros.encode.backbones.foundation.loading import sketch
    from neon_ros.encode.backbones.foundation.memory import NOTHING, window_need
    from neon_ros.encode.backbones.foundation.precision import PRECISIONS, weight_bytes

    print("| backbone                   | weights bf16 GiB | int8 | int4 | cache | activations |")
    print("|----------------------------|-----------------:|-----:|-----:|------:|------------:|")
    rows: list[tuple[str, Any, Any, Any]] = []
    for name, model, config, sound in (
        ("qwen_omni 3B", t.Qwen2_5OmniThinkerForConditionalGeneration, omni(1, 151936), 1500),
        ("cosmos_reason 2B", t.Qwen3VLForConditionalGeneration, cosmos(1, 151936), 0),
    ):
        config.text_config.num_hidden_layers = round(config.text_config.num_hidden_layers * part)
        config.tie_word_embeddings = True
        need = window_need(config, (16, 28), (8, 14), sound, FRAMES, FRAMES // 2, 2)
        rows.append((f"{name}, {config.text_config.num_hidden_layers} layers", model, config, need))
    models = {"video": t.VJEPA2Model, "audio": t.Wav2Vec2BertModel, "text": t.LlamaModel}
    rows += [(f"tribe_v2 {name}", models[name], config, NOTHING) for name, config in tribe(1, 128256).items()]
    for name, model, config, need in rows:
        outline = sketch(model, config)
        bf16, int8, int4 = (weight_bytes(outline, PRECISIONS[bits]) / 2**30 for bits in ("bf16", "int8", "int4"))
        rest = [f"{value / 2**30:.2f}" if need.cache else "" for value in (need.cache, need.activations)]
        print(f"| {name:<26} | {bf16:16.2f} | {int8:4.2f} | {int4:4.2f} | {rest[0]:>5} | {rest[1]:>11} |", flush=True)


def precision() -> None:
    """Print what fewer bits cost a feed-forward of 1024 and 4096 channels that reads 112 tokens, against bf16."""
    import copy

    import torch

    from neon_ros.encode.backbones.foundation.precision import PRECISIONS, checked_precision, quantise, weight_bytes

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = {"up": torch.nn.Linear(1024, 4096), "act": torch.nn.GELU(), "down": torch.nn.Linear(4096, 1024)}
    plain: Any = torch.nn.Sequential(*layers.values()).bfloat16().eval()
    x = torch.randn(112, 1024, dtype=torch.bfloat16)
    models = {"bf16": plain}
    for name in ("int8", "int4"):
        models[name] = quantise(copy.deepcopy(plain), checked_precision(name), torch.device("cpu"))
    times: dict[str, list[float]] = {name: [] for name in models}
    said: dict[str, Any] = {}
    with torch.inference_mode():
        for _ in range(20):
            for name, model in models.items():
                start = time.perf_counter()
                said[name] = model(x).float()
                times[name].append(time.perf_counter() - start)
    print("| precision | error of the output | time over bf16 | bytes over bf16 |")
    print("|-----------|--------------------:|---------------:|----------------:|")
    for name in models:
        error = float((said[name] - said["bf16"]).norm() / said["bf16"].norm())
        ratio = np.median(times[name]) / np.median(times["bf16"])
        size = weight_bytes(plain, PRECISIONS[name]) / weight_bytes(plain, PRECISIONS["bf16"])
        print(f"| {name:<9} | {100 * error:17.1f} % | {ratio:14.2f} | {size:15.2f} |")
