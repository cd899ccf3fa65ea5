"""Cosmos-Reason2 (2B, 8B), the Qwen3-VL architecture, as eyes and physical understanding.

Papers: Cosmos-Reason arXiv:2503.15558, Qwen3-VL arXiv:2511.21631.

Each picture stands with its time in words before it, as the model was trained; its positions count on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.foundation.language import VideoLanguage
from neon_ros.encode.backbones.foundation.stream import Segment
from neon_ros.encode.backbones.observation import Observation, Sound
from neon_ros.errors import CheckpointError, ContractError, refuse

SYSTEM = "You are a helpful assistant."
"""The system prompt of the model card."""


class CosmosReason(VideoLanguage):
    """Cosmos-Reason2, or any model of the Qwen3-VL architecture; options and errors of :class:`VideoLanguage`."""

    name: ClassVar[str] = "cosmos_reason"
    published: ClassVar[str] = "nvidia/Cosmos-Reason2-2B"
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_vl",)
    structure: ClassVar[tuple[str, ...]] = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")
    system: ClassVar[str] = SYSTEM

    def _config(self, folder: Path) -> Any:
        from transformers import Qwen3VLConfig

        try:
            return Qwen3VLConfig.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:  # a configuration can be wrong in many ways, each with its own type
            raise CheckpointError(refuse(f"{folder}: configuration", error, "that of Qwen3-VL")) from error

    def _model_class(self) -> Any:
        from transformers import Qwen3VLForConditionalGeneration

        return Qwen3VLForConditionalGeneration

    def _more_tensors(self) -> Mapping[str, tuple[int, ...]]:
        return {}

    def _refuse_sound(self, sound: Sound | None) -> None:
        if sound is not None:
            raise ContractError(refuse("sound", f"{len(sound.samples)} samples", "none: cosmos_reason cannot hear"))

    def _shown(self, observation: Observation, start: int) -> list[Segment]:
        segments = []
        rows, columns = self.layout.tokens
        opened, closed = self.words.special("<|vision_start|>"), self.words.special("<|vision_end|>")
        row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        for frame in observation.frames:
            seconds = (frame.stamp_ns - observation.start_ns) / 1e9
            words = [*self.words.plain(f"<{seconds:.1f} seconds>"), opened]
            segments.append(self._tokens("template", words, start))
            start += len(words)
            places = torch.stack([torch.zeros_like(row), row, column]).reshape(3, -1) + start
            segments.append(self._picture(frame, places))
            start += max(rows, columns)
            segments.append(self._tokens("template", [closed], start))
            start += 1
        return segments

    def _heard(self, segments: Sequence[Segment], states: Sequence[Tensor]) -> dict[str, FloatArray]:
        return {}
