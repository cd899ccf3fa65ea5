"""The names of the tensors that our code reads are those of the published checkpoints, where a listing is public."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
from neon_ros.encode.backbones.foundation.folder import header_of, weight_files

LISTS = json.loads((Path(__file__).parents[3] / "oracles" / "published_names.json").read_text(encoding="utf-8"))
TIED = {"lm_head.weight"}
"""The 8B has it; the 2B, which the small stand-in copies, shares it with the words, and so does LLaMA 3.2 3B."""


@pytest.mark.parametrize("model", [name for name in LISTS if name != "about"])
def test_the_tensors_have_their_published_names(
    model: str, cosmos_folder: Path, omni_folder: Path, tribe_folder: Path
) -> None:
    """Compare the stand-ins, which transformers saved from its classes and our code loads, with the lists."""
    backbone, _, part = model.partition("/")
    folder = {"cosmos_reason": cosmos_folder, "qwen_omni": omni_folder, "tribe_v2": tribe_folder / part}[backbone]
    here = {re.sub(r"\.\d+\.", ".{}.", name) for file in weight_files(folder) for name in header_of(file)}
    listed = set(LISTS[model]["names"])
    if LISTS[model]["whole"]:
        assert here - TIED == listed - TIED
    else:
        assert listed <= here
