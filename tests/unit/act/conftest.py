"""A tiny untrained checkpoint, exported once per session."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shipped_shape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an exported checkpoint of the shipped shapes with untrained weights."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    from neon_ros.act.networks.config import head_config
    from neon_ros.act.networks.model import NeonModel
    from neon_ros.learn.export import ExportSpec, export_checkpoint

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    config = head_config("mlp", tuple(range(12, 29)), width=32, blocks=1, hidden=32)
    spec = ExportSpec("tiny", "touch", "upper_body", 0.02, "compact/lite0-s16+minilm-l6")
    export_checkpoint(NeonModel(config), spec, folder)
    return folder


@pytest.fixture
def copied(shipped_shape: Path, tmp_path: Path) -> Callable[[], Path]:
    """Return a maker of private copies, to be damaged."""

    def make() -> Path:
        return Path(shutil.copytree(shipped_shape, tmp_path / "copy"))

    return make
