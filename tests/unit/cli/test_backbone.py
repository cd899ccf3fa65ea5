"""``neon backbone``: what it says of a backbone, and what it refuses before loading anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neon_ros.cli import backbone, main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "neon backbone: got nothing; allowed: an action and a backbone's name"),
        (["paint", "compact"], "action: got 'paint'; allowed: look, features, export"),
        (["export", "compact"], "--out: got nothing; allowed: a value"),
        (["features", "compact", "--out", "there"], "--data: got nothing; allowed: a value"),
        (["look", "gpt"], "backbone: got gpt; allowed: compact"),
        (["look", "compact", "colour:=red"], "options of backbone compact: got ['colour']; allowed: threads"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], message: str, capsys: Any) -> None:
    pytest.importorskip("onnxruntime")
    assert main(["backbone", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_options_are_read_as_what_they_spell() -> None:
    assert [backbone.typed(word) for word in ("18", "0.5", "bf16", "true")] == [18, 0.5, "bf16", True]
    assert isinstance(backbone.typed("18"), int)


def test_looking_a_backbone_over_says_what_it_gives(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")

    class Dot:
        model_id, tensors = "dot/1", {"vision": (1, 2)}

        def encode(self, *_: Any) -> Any: ...

        def encode_images(self, images: Any) -> Any:
            return {"vision": np.zeros((len(images), 1, 2), np.float32)}

        def encode_texts(self, instructions: Any) -> Any:
            return {}

    import neon_ros.encode.backbones as room

    monkeypatch.setattr(room, "load", lambda name, progress, **options: Dot())
    assert main(["backbone", "look", "dot"]) == 0
    said = capsys.readouterr().out
    assert "dot/1, ready after" in said and "vision       (1, 2)" in said and "picture 9 of 9" in said
