"""What a model is said to need is what it takes; weights in fewer bits, and what is refused before a byte is read."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
import torch

from neon_ros.encode.backbones import MemoryShort, load
from neon_ros.encode.backbones.foundation import loading
from neon_ros.encode.backbones.foundation.memory import Need, activation_bytes, require_memory
from neon_ros.encode.backbones.foundation.precision import PRECISIONS, checked_compiled, quantise, weight_bytes
from neon_ros.errors import ConfigError

CPU = torch.device("cpu")
SMALL = {
    "cosmos_reason": {"layer": 4, "width": 128, "height": 64},
    "qwen_omni": {"layer": 3, "width": 112, "height": 56},
    "tribe_v2": {"ticks": 2, "seconds": 1.0, "pictures": 4},
}


@pytest.fixture
def folders(cosmos_folder: Path, omni_folder: Path, tribe_folder: Path) -> dict[str, Path]:
    return {"cosmos_reason": cosmos_folder, "qwen_omni": omni_folder, "tribe_v2": tribe_folder}


def block() -> Any:
    """Return two linear layers and a norm in bf16, and an ``lm_head`` that nothing keeps."""
    torch.manual_seed(0)
    parts = {"up": torch.nn.Linear(128, 256), "down": torch.nn.Linear(256, 128, bias=False)}
    model = torch.nn.ModuleDict({**parts, "norm": torch.nn.LayerNorm(128), "lm_head": torch.nn.Linear(128, 300)})
    return model.bfloat16().eval()


def taken(model: Any) -> int:
    """Return the bytes of all numbers that a model holds, whatever wraps them."""
    total = 0
    for parameter in model.parameters():
        inner = [value for value in vars(parameter).values() if isinstance(value, torch.Tensor)]
        state = getattr(parameter, "quant_state", None)
        if type(parameter).__name__ == "Int8Tensor":
            total += sum(value.nbytes for value in inner)
        else:
            total += parameter.nbytes + (state.absmax.nbytes if state is not None else 0)
    return total


@pytest.mark.parametrize(("name", "error"), [("int8", 0.02), ("int4", 0.2)])
def test_fewer_bits_take_what_was_said_and_change_little(name: str, error: float) -> None:
    precision = PRECISIONS[name]
    pytest.importorskip(precision.package)
    plain, small = block(), block()
    said = weight_bytes(small, precision)
    small = quantise(small, precision, CPU)
    assert taken(small) == said < weight_bytes(plain, PRECISIONS["bf16"])
    assert type(small["lm_head"]) is torch.nn.Linear and not any(p.requires_grad for p in small.parameters())
    x = torch.randn(32, 128, dtype=torch.bfloat16)
    with torch.no_grad():
        wanted, got = (model["down"](model["up"](x)).float() for model in (plain, small))
    assert 0 < float((got - wanted).norm() / wanted.norm()) < error


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize("name", SMALL)
def test_each_backbone_loads_in_fewer_bits(name: str, precision: str, folders: dict[str, Path], picture: Any) -> None:
    pytest.importorskip(PRECISIONS[precision].package)
    whole = load(name, path=str(folders[name]), precision="bf16", **SMALL[name])
    small = load(name, path=str(folders[name]), precision=precision, **SMALL[name])
    assert precision in small.model_id and small.model_id != whole.model_id
    wanted, got = (backbone.encode(picture(0), "go")["vision"] for backbone in (whole, small))
    difference = np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
    assert 0 < difference < {"int8": 0.1, "int4": 1.0}[precision]  # of 32 random channels; what is unrelated has 1.4


@pytest.mark.parametrize(("precision", "package"), [("int8", "torchao"), ("int4", "bitsandbytes")])
def test_without_its_package_a_precision_is_refused_by_name(
    precision: str, package: str, cosmos_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named '{package}'")
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    message = (
        rf"precision: got {precision}, and {package} cannot be imported .*; allowed: pip install {package} \(the ext"
    )
    with pytest.raises(ConfigError, match=message):
        load("cosmos_reason", path=str(cosmos_folder), precision=precision)


def test_ways_to_compile_that_do_not_work_here_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="compiled: got fast; allowed: off, default, cudagraphs"):
        checked_compiled("fast", CPU)
    with pytest.raises(ConfigError, match="compiled: got cudagraphs on cpu; allowed: off or default, or device cuda"):
        checked_compiled("cudagraphs", CPU)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match=r"compiled: got default without a C\+\+ compiler; allowed: off, or g\+\+"):
        checked_compiled("default", CPU)
    assert checked_compiled("off", CPU) == "off"


@pytest.mark.long
def test_a_compiled_tower_gives_the_same_features(cosmos_folder: Path, picture: Any) -> None:
    options = {"path": str(cosmos_folder), "precision": "fp32", **SMALL["cosmos_reason"]}
    plain, quick = load("cosmos_reason", **options), load("cosmos_reason", compiled="default", **options)
    wanted, got = (backbone.encode(picture(0), "go")["vision"] for backbone in (plain, quick))
    assert plain.model_id == quick.model_id and np.abs(got - wanted).max() < 1e-4


@pytest.mark.parametrize("name", ["cosmos_reason", "qwen_omni"])
def test_the_windows_take_no_more_than_was_said(
    name: str, folders: dict[str, Path], picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs: list[Need] = []
    monkeypatch.setattr(loading, "require_memory", lambda folder, need, free, where: needs.append(need))
    monkeypatch.setattr(
        "neon_ros.encode.backbones.foundation.qwen_omni.QwenOmni._sound_tokens", 0
    )  # none is heard here
    backbone: Any = load(name, path=str(folders[name]), precision="fp32", **SMALL[name])
    for number in range(8):
        backbone.watch(number * 10**8, picture(number), "touch the red cube")
    caches = [reader._cache for reader in (*backbone._readers.values(), backbone._alone) if reader._cache is not None]
    held = sum(layer.keys.nbytes + layer.values.nbytes for cache in caches for layer in cache.layers)
    states = sum(state.nbytes for reader in backbone._readers.values() for state in reader._states)
    seen = sum(tokens.nbytes + sum(deep.nbytes for deep in more) for tokens, more in backbone._seen.values())
    said = needs[-1]
    kept = sum(parameter.nbytes for parameter in backbone.model.parameters())
    assert kept <= said.weights < 1.5 * kept  # the layer of words is counted too, and dropped after loading
    # Close enough to mean something: the template is counted as 64 tokens, and tokens of bytes are many.
    assert 0.1 * said.cache < held + states + seen <= said.cache


def test_a_shortfall_is_named_with_its_parts() -> None:
    require_memory("model", Need(2**30), 2 * 2**30, "memory")
    said = (
        r"model in GPU 0: got 4.95 GiB needed \(weights 3.00, cache 1.00, activations 0.50\), 4.00 GiB free, 0.95 GiB "
        r"short; allowed: a smaller picture, window or model, fewer layers, or precision int8 or int4"
    )
    with pytest.raises(MemoryShort, match=said):
        require_memory("model", Need(3 * 2**30, 2**30, 2**29), 4 * 2**30, "GPU 0")


def test_activations_grow_as_attention_does() -> None:
    # 1000 tokens of 100 channels in float32: six rows and three of 400, and a matrix for each of 4 heads.
    assert activation_bytes(1000, 100, 400, 4, 4) == 1000 * 4 * (600 + 1200) + 4 * 10**6 * 4
