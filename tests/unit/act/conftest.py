"""Tiny untrained checkpoints, exported once per session."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

SIZES = {
    "mlp": {},
    "flow_matching": {"width": 24, "hidden": 24, "blocks": 2, "attention": 2},
    "dit": {"width": 24, "hidden": 24, "blocks": 2, "attention": 2, "context": 16},
    "state_relative": {"width": 24, "hidden": 24, "blocks": 2},
    "ensemble": {"width": 24, "hidden": 24, "experts": 4},
}


@pytest.fixture(scope="session")
def tiny_heads(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what exports a head once: the shipped inputs, random weights, the same encoders for all."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    from neon_ros.act.networks.config import head_config
    from neon_ros.act.networks.model import NeonModel
    from neon_ros.learn.export import ExportSpec, export_checkpoint

    parent, made = tmp_path_factory.mktemp("checkpoints"), {}

    def export(head: str) -> Path:
        if head not in made:
            torch.manual_seed(0)
            model = NeonModel(head_config(head, tuple(range(12, 29)), pooled=32, **SIZES[head]))
            with torch.no_grad():  # what begins at zero would hide what comes before it
                for weight in model.head.parameters():
                    weight.add_(0.03 * torch.randn_like(weight))
            spec = ExportSpec(f"tiny_{head}", "touch", "upper_body", 0.02, "compact/lite0-s16+minilm-l6")
            made[head] = parent / f"tiny_{head}"
            export_checkpoint(model, spec, made[head])
        return made[head]

    return export


@pytest.fixture(scope="session")
def shipped_shape(tiny_heads: Callable[[str], Path]) -> Path:
    """Return an exported mlp checkpoint of the shipped shapes with untrained weights."""
    return tiny_heads("mlp")


@pytest.fixture
def copied(shipped_shape: Path, tmp_path: Path) -> Callable[[], Path]:
    """Return a maker of private copies, to be damaged."""

    def make() -> Path:
        return Path(shutil.copytree(shipped_shape, tmp_path / "copy"))

    return make
