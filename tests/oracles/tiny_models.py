"""Small foundation models of random numbers, saved as the published ones are, so that no weights are needed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

OMNI_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"),
    *("<|vision_bos|>", "<|vision_eos|>", "<|IMAGE|>", "<|VIDEO|>"),
)
VL_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|image_pad|>", "<|video_pad|>"),
)
MEAN, DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def save_tokenizer(
    folder: Path, special: tuple[str, ...], kind: str = "Qwen2Tokenizer", words: Iterable[str] = ()
) -> dict[str, int]:
    """Save a byte-level BPE tokenizer of bytes, some words and the special tokens; return the numbers of the latter."""
    tokenizers = pytest.importorskip("tokenizers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(alphabet)}
    merges = []
    for word in sorted({"\u0120" + word for word in words}):  # a byte-level space, then the word
        for end in range(2, len(word) + 1):
            if word[:end] not in vocabulary:
                vocabulary[word[:end]] = len(vocabulary)
                merges.append((word[: end - 1], word[end - 1]))
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens([tokenizers.AddedToken(token, special=True) for token in special])
    tokenizer.add_tokens([tokenizers.AddedToken("<tool_call>", special=False)])  # an added token that is not special
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    config = {"tokenizer_class": kind, "eos_token": special[-1], "pad_token": special[0]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return {token: tokenizer.token_to_id(token) for token in special}


def save_preprocessor(folder: Path, patch: int, **more: object) -> None:
    """Save preprocessor_config.json as published."""
    values = {
        "patch_size": patch,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "image_mean": MEAN,
        "image_std": DEVIATION,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps({**values, **more}))


def make_cosmos(folder: Path) -> Path:
    """Save a Qwen3-VL of 5 layers and 64 channels."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    ids = save_tokenizer(folder, VL_TOKENS)
    config = transformers.Qwen3VLConfig(
        text_config={
            **{"hidden_size": 64, "num_hidden_layers": 5, "num_attention_heads": 4, "num_key_value_heads": 2},
            **{"intermediate_size": 128, "head_dim": 16, "vocab_size": 300},
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]},
        },
        vision_config={
            **{"depth": 3, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": 64},
            **{"patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]},
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,  # as the 2B, whose file holds no lm_head
    )
    model = transformers.Qwen3VLForConditionalGeneration(config)
    _shake(model)
    model.save_pretrained(folder)
    save_preprocessor(folder, 16)
    return folder


def make_omni(folder: Path, words: Iterable[str] = ()) -> Path:
    """Save the thinker of a Qwen2.5-Omni of 4 layers and 64 channels in the layout of the whole model, in shards."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    ids = save_tokenizer(folder, OMNI_TOKENS, words=words)
    config = transformers.Qwen2_5OmniThinkerConfig(
        text_config={
            **{"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2},
            **{"intermediate_size": 128, "vocab_size": 300 if not words else 2000},
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]},
        },
        vision_config={
            **{"depth": 3, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": 64},
            **{"fullatt_block_indexes": [1], "window_size": 56},
        },
        audio_config={
            **{"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64},
            **{"output_dim": 64, "num_mel_bins": 128},
        },
        audio_token_index=ids["<|AUDIO|>"],
        image_token_index=ids["<|IMAGE|>"],
        video_token_index=ids["<|VIDEO|>"],
        vision_start_token_id=ids["<|vision_bos|>"],
        vision_end_token_id=ids["<|vision_eos|>"],
        audio_start_token_id=ids["<|audio_bos|>"],
        audio_end_token_id=ids["<|audio_eos|>"],
    )
    model = transformers.Qwen2_5OmniThinkerForConditionalGeneration(config)
    _shake(model)
    model.save_pretrained(folder, max_shard_size="400KB")
    save_preprocessor(
        folder,
        14,
        **{"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 128, "sampling_rate": 16000},
        **{"hop_length": 160, "n_fft": 400, "chunk_length": 300},
    )
    return folder


def make_tribe(folder: Path) -> Path:
    """Save a V-JEPA 2, a Wav2Vec2-BERT and a LLaMA of 4 layers and 32 channels, side by side."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    torch.manual_seed(2)
    size = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
    predictor = {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
    video = transformers.VJEPA2Config(
        **size, **predictor, crop_size=32, frames_per_clip=4, mlp_ratio=2.0, num_pooler_layers=1
    )
    audio = transformers.Wav2Vec2BertConfig(**size, intermediate_size=64, feature_projection_input_dim=160)
    text = transformers.LlamaConfig(**size, intermediate_size=64, num_key_value_heads=1, vocab_size=300)
    for name, model in (
        ("video", transformers.VJEPA2Model(video)),
        ("audio", transformers.Wav2Vec2BertModel(audio)),
        ("text", transformers.LlamaForCausalLM(text)),
    ):
        _shake(model)
        model.save_pretrained(folder / name)
    values = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    (folder / "video" / "video_preprocessor_config.json").write_text(json.dumps(values))
    transformers.SeamlessM4TFeatureExtractor().save_pretrained(folder / "audio")
    save_tokenizer(folder / "text", ("<|begin_of_text|>", "<|end_of_text|>"), "PreTrainedTokenizerFast")
    return folder


def _shake(model: object) -> None:
    """Give every weight a size at which an error shows in the features."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():  # type: ignore[attr-defined]
            if weight.ndim > 1:
                weight.normal_(0, 1.0 / weight[0].numel() ** 0.5)
            elif "bias" in name:
                weight.normal_(0, 0.1)
