"""The compact backbone: the published networks to the last digit that matters, frozen, and picky at the door."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.encode.backbones import Backbone, load
from neon_ros.encode.backbones.weights import PackagedFile
from neon_ros.encode.torch_file import parse_state_dict
from neon_ros.errors import CheckpointError, ConfigError, ContractError

compact_module = pytest.importorskip("neon_ros.encode.backbones.compact")  # needs onnxruntime, tokenizers, ...
lite0 = pytest.importorskip("neon_ros.encode.backbones.lite0")
minilm = pytest.importorskip("neon_ros.encode.backbones.minilm")

RANDOM = np.random.default_rng(0)
SENTENCES = ["touch the red cube with your left hand", "stop", "lay your right palm on the tall blue can, please"]


def require(file: PackagedFile) -> bytes:
    """Return the bytes of a packaged file; skip the test where its package is not installed."""
    try:
        return file.read()
    except CheckpointError as error:
        if "not installed" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="module")
def compact() -> compact_module.Compact:
    for file in (compact_module.LITE0, compact_module.MINILM, compact_module.TOKENIZER):
        require(file)
    backbone = load("compact")
    assert isinstance(backbone, compact_module.Compact)
    return backbone


def picture(height: int = 128, width: int = 224) -> np.ndarray:
    """Return a smooth random picture with noise, as a camera gives."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(x / RANDOM.uniform(5, 30) + y / RANDOM.uniform(5, 30)) for _ in range(3)]
    return np.clip(np.stack(waves, axis=-1) + RANDOM.normal(0, 8, (height, width, 3)), 0, 255).astype(np.uint8)


def test_it_is_a_backbone_and_keeps_its_word(compact: compact_module.Compact) -> None:
    assert isinstance(compact, Backbone) and compact.model_id == "compact/lite0-s16+minilm-l6"
    features = compact.encode(picture(240, 424), SENTENCES[0])
    assert {name: value.shape for name, value in features.items()} == dict(compact.tensors)
    assert all(value.dtype == np.float32 and np.isfinite(value).all() for value in features.values())
    assert compact.tensors == {"vision": (112, 112), "text": (32, 384), "text_mask": (32,)}


def test_vision_is_the_published_network(compact: compact_module.Compact) -> None:
    torch = pytest.importorskip("torch")
    published = pytest.importorskip("efficientnet_lite_pytorch")
    weights = parse_state_dict(require(compact_module.LITE0), "lite0")
    network = published.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    network.eval()
    images = np.stack([picture() for _ in range(3)])
    with torch.no_grad():
        x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128
        x = network._swish(network._bn0(network._conv_stem(x)))
        for block in network._blocks[:11]:
            x = block(x)
    wanted = x.permute(0, 2, 3, 1).reshape(3, lite0.TOKENS, lite0.CHANNELS).numpy()
    assert np.abs(compact.encode_images(images)["vision"] - wanted).max() < 1e-4  # 4e-5 seen, of values up to 21


def test_text_is_the_published_network(compact: compact_module.Compact) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import load as load_safetensors

    config = transformers.BertConfig(hidden_size=384, intermediate_size=1536, num_hidden_layers=6)
    network = transformers.BertModel(config)
    weights = load_safetensors(require(compact_module.MINILM))
    weights.pop("embeddings.position_ids", None)
    network.load_state_dict(weights)
    network.eval()
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(require(compact_module.TOKENIZER).decode())
    encoded = compact.encode_texts(SENTENCES)
    for row, sentence in enumerate(SENTENCES):
        pieces = tokenizer.encode(sentence)
        ids = [i for i, keep in zip(pieces.ids, pieces.attention_mask, strict=True) if keep]
        with torch.no_grad():
            wanted = network(torch.tensor([ids])).last_hidden_state[0].numpy()
        count = len(ids)
        assert np.abs(encoded["text"][row, :count] - wanted).max() < 1e-4  # 3e-6 seen, of values up to 6
        assert not encoded["text"][row, count:].any()
        assert encoded["text_mask"][row].tolist() == [1.0] * count + [0.0] * (minilm.TOKENS - count)


def test_the_numbers_stay_those_that_were_compared_with_torch(compact: compact_module.Compact) -> None:
    y, x = np.mgrid[:128, :224]
    image = np.stack([x, 2 * y, (x + y) // 2], axis=-1).astype(np.uint8)
    features = compact.encode(image, SENTENCES[0])
    vision = [[0.8312, 1.2587, 6.8781], [3.0302, 8.1109, 2.4135], [-1.3102, -1.2985, -1.9363]]
    text = [[0.0721, -0.0263, 0.4072], [-0.4535, 0.2060, -0.3564], [0.1713, 0.5713, 0.2559]]
    assert np.abs(features["vision"][np.ix_([0, 55, 111], [0, 50, 111])] - vision).max() < 1e-3
    assert np.abs(features["text"][np.ix_([0, 4, 9], [0, 200, 383])] - text).max() < 1e-3
    assert features["text_mask"].tolist() == [1.0] * 10 + [0.0] * 22


def test_batches_and_single_calls_agree(compact: compact_module.Compact) -> None:
    images = np.stack([picture(240, 424) for _ in range(3)])
    vision, text = compact.encode_images(images)["vision"], compact.encode_texts(SENTENCES)
    for row in range(3):
        one = compact.encode(images[row], SENTENCES[row])
        assert np.abs(one["vision"] - vision[row]).max() < 1e-4
        assert np.abs(one["text"] - text["text"][row]).max() < 1e-4
        assert np.array_equal(one["text_mask"], text["text_mask"][row])


def test_it_is_frozen(compact: compact_module.Compact) -> None:
    image = picture()
    first = compact.encode(image, SENTENCES[0])
    for _ in range(5):
        compact.encode(picture(), "something else entirely")
    compact._remembered.clear()
    again = compact.encode(image, SENTENCES[0])
    fresh = load("compact").encode(image, SENTENCES[0])
    for name in compact.tensors:
        assert np.array_equal(first[name], again[name]) and np.array_equal(first[name], fresh[name])


def test_words_are_encoded_once_and_cannot_be_changed_by_the_caller(
    compact: compact_module.Compact, monkeypatch: pytest.MonkeyPatch
) -> None:
    compact._remembered.clear()
    calls: list[list[str]] = []
    encode_texts = compact.encode_texts
    monkeypatch.setattr(compact, "encode_texts", lambda texts: calls.append(list(texts)) or encode_texts(texts))
    for sentence in ("stop", "stop", " stop ", "go", "stop"):
        features = compact.encode(picture(), sentence)
    assert calls == [["stop"], ["go"]]
    with pytest.raises(ValueError, match="read-only"):
        features["text"][0, 0] = 1.0
    for number in range(100):
        compact.encode(picture(), f"take {number}")
    assert len(compact._remembered) == 64


def test_what_it_sees_and_reads_changes_what_it_says(compact: compact_module.Compact) -> None:
    dark, bright = np.zeros((128, 224, 3), dtype=np.uint8), np.full((128, 224, 3), 200, dtype=np.uint8)
    assert np.abs(compact.encode(dark, "stop")["vision"] - compact.encode(bright, "stop")["vision"]).max() > 0.1
    left, right = compact.encode_texts(["use your left hand", "use your right hand"])["text"]
    assert np.abs(left - right).max() > 0.1


def test_tokens_are_row_major(compact: compact_module.Compact) -> None:
    image = np.full((128, 224, 3), 127, dtype=np.uint8)
    spot = image.copy()
    spot[96:112, 32:48] = [255, 0, 0]  # row 6, column 2 of the 8 x 14 tokens
    change = np.abs(compact.encode_images(np.stack([image, spot]))["vision"][[0, 1]].astype(np.float64))
    where = np.abs(change[0] - change[1]).sum(axis=1).reshape(8, 14)
    row, column = np.unravel_index(where.argmax(), where.shape)
    assert abs(int(row) - 6) <= 1 and abs(int(column) - 2) <= 1


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ("x" * 10_000, "instruction length: got 10000 characters; allowed: 1 to 512"),
        ("прикоснись к красному кубу", "mostly cyrillic letters; allowed: words in Latin letters"),
        ("and " * 31, r"instruction: got 31 word pieces \(123 characters\); allowed: at most 30 word pieces"),
        ("", "instruction length: got 0 characters"),
        (7, "instruction: got int; allowed: text"),
        (["stop"], "instruction: got list; allowed: text"),
        ("ꝏ ꟾ ꟿ Ꞁ", "mostly words unknown to all-MiniLM-L6-v2; allowed: English words"),
    ],
)
def test_an_instruction_it_cannot_read_is_refused(
    compact: compact_module.Compact, instruction: str, message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        compact.encode(picture(), instruction)


def test_thirty_word_pieces_are_read(compact: compact_module.Compact) -> None:
    assert compact.encode_texts(["and " * 30])["text_mask"].all()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 128, 224, 3), dtype=np.uint8), r"images shape: got \(0, 128, 224, 3\)"),
        (np.zeros((128, 224, 3), dtype=np.uint8), r"images shape: got \(128, 224, 3\); allowed: \(B, H, W, 3\)"),
        (np.zeros((1, 128, 224, 3)), "image: got float64 array"),
        (np.zeros((1, 1, 1, 3), dtype=np.uint8), "image size: got 1 x 1"),
    ],
)
def test_pictures_it_cannot_read_are_refused(compact: compact_module.Compact, images: np.ndarray, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        compact.encode_images(images)


@pytest.mark.parametrize("texts", [[], "stop"])
def test_a_batch_of_words_is_a_list(compact: compact_module.Compact, texts: list[str]) -> None:
    with pytest.raises(ContractError, match=r"instructions: got .*; allowed: a list of at least one sentence"):
        compact.encode_texts(texts)


def test_no_threads_is_refused() -> None:
    with pytest.raises(ConfigError, match="threads of backbone compact: got 0; allowed: 1 or more"):
        load("compact", threads=0)


@pytest.mark.parametrize("graph", [lite0.vision_graph, minilm.text_graph])
def test_a_missing_tensor_is_refused_by_name(graph: object) -> None:
    with pytest.raises(CheckpointError, match=r"weights: got no tensor \w+[\w.]+; allowed: the published tensors"):
        graph({})  # type: ignore[operator]
