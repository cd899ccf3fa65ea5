"""Vision towers as ONNX: what ONNX Runtime computes is what the model computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxruntime")
from neon_ros.encode.backbones import load
from neon_ros.encode.backbones.foundation import export
from neon_ros.errors import CheckpointError, ConfigError

SMALL = {
    "cosmos_reason": ("cosmos_folder", {"width": 128, "height": 64}),
    "qwen_omni": ("omni_folder", {"width": 112, "height": 56}),
    "tribe_v2": ("tribe_folder", {"ticks": 2, "seconds": 1.0, "pictures": 4}),
}


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("cosmos_reason", "tribe_v2")]


@pytest.mark.parametrize("name", ["qwen_omni", *LONG])
def test_the_graph_is_the_tower(name: str, tmp_path: Path, picture: Any, request: pytest.FixtureRequest) -> None:
    import onnxruntime

    fixture, options = SMALL[name]
    backbone: Any = load(name, path=str(request.getfixturevalue(fixture)), precision="fp32", **options)
    file = tmp_path / "tower.onnx"
    assert export.export_vision(backbone, file) < 1e-4
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    if name == "tribe_v2":
        assert [node.name for node in session.get_outputs()] == ["tokens", "means"]
        return
    small = backbone.layout.fit(picture(3))
    tokens, *deep = session.run(None, {"patches": backbone.layout.patches(small)})
    wanted, more = backbone._look(b"another", small)
    assert np.abs(tokens - wanted.numpy()).max() < 1e-4 and len(deep) == len(more)


def test_what_cannot_be_exported_or_comes_out_wrong_is_refused(
    cosmos_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="backbone to export: got object; allowed: qwen_omni, cosmos_reason or tribe"):
        export.export_vision(object(), tmp_path / "tower.onnx")
    backbone = load("cosmos_reason", path=str(cosmos_folder), precision="fp32", width=128, height=64)
    monkeypatch.setattr(export, "TOLERANCE", 1e-12)
    with pytest.raises(CheckpointError, match=r"tower.onnx: largest difference to the model: got .*; allowed: at most"):
        export.export_vision(backbone, tmp_path / "tower.onnx")
