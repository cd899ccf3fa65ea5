"""docs/add_a_backbone.md, step by step, as a package of its own."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from neon_ros.encode.backbones import Backbone, WindowBackbone, known, load
from neon_ros.errors import ConfigError, ContractError

PAGE = Path(__file__).parents[4] / "docs" / "add_a_backbone.md"
_ENTRY = re.compile(r'^\[project.entry-points."([\w.]+)"\]\n(\w+) = "([\w.]+:\w+)"$', re.MULTILINE)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay the page's package out as pip would."""
    blocks = dict(re.findall(r"```(python|toml)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    first, _, code = blocks["python"].partition("\n")
    module = tmp_path / first.removeprefix("# ")
    module.parent.mkdir()
    module.write_text(code)
    group, name, value = _ENTRY.findall(blocks["toml"])[0]
    facts = tmp_path / "bright_eyes-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: bright-eyes\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, "bright_eyes", raising=False)


def test_a_package_of_its_own_adds_a_backbone(installed: None) -> None:
    assert "bright" in known()
    backbone = load("bright", cells=2)
    assert isinstance(backbone, Backbone) and not isinstance(backbone, WindowBackbone)
    assert backbone.grid == (2, 2)  # type: ignore[attr-defined]
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[:32] = 255
    features = backbone.encode(image, "go")
    assert {name: value.shape for name, value in features.items()} == dict(backbone.tensors)
    assert features["vision"].ravel().tolist() == [1, 1, 0, 0] and features["text_mask"].sum() == 2
    with pytest.raises(ContractError, match="instruction: got 9 letters; allowed: at most 8"):
        backbone.encode_texts(["far away!"])
    with pytest.raises(ConfigError, match=r"options of backbone bright: got \['size'\]; allowed: cells"):
        load("bright", size=2)


def test_without_the_package_the_name_is_unknown() -> None:
    with pytest.raises(ConfigError, match="backbone: got bright; allowed: compact, cosmos_reason, qwen_omni, tribe_v2"):
        load("bright")
