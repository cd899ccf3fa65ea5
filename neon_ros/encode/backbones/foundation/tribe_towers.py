"""The three senses of TRIBE v2: V-JEPA 2 (video), Wav2Vec2-BERT (audio), LLaMA 3.2 (text), each frozen and by itself.

Each gives two numbers of layers at once: the mean over the third and over the last quarter of its depth (``group_mean``
of 0.5, 0.75, 1.0 in the published configuration).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.foundation.folder import fingerprint, read_json, require_model, weight_files
from neon_ros.encode.backbones.foundation.loading import Progress, load_frozen, silent
from neon_ros.encode.backbones.foundation.memory import Need, activation_bytes
from neon_ros.encode.backbones.foundation.precision import Precision
from neon_ros.encode.backbones.foundation.words import ChatWords
from neon_ros.encode.backbones.observation import SAMPLE_RATE
from neon_ros.errors import CheckpointError, refuse
from neon_ros.sense.image import Image

GROUPS = (0.5, 0.75, 1.0)
"""Bounds of the groups of layers, as parts of the depth."""
_SHORTEST = 720
"""Samples that give two frames of the filter bank (25 ms, 10 ms apart), the least it can take."""


def group_means(states: Sequence[Tensor]) -> Tensor:
    """Return (2, …), the means of the states of each group; the last group includes the last layer.

    :param states: of every layer, the input first, as ``transformers`` returns them.
    """
    bounds = [int(part * (len(states) - 1)) for part in GROUPS]
    bounds[-1] += 1
    return torch.stack([torch.stack(list(states[a:b])).float().mean(0) for a, b in pairwise(bounds)])


def clip_tokens(folder: Path, pictures: int) -> int:
    """Return how many tokens a clip of ``pictures`` has for the video model in ``folder``, by its configuration."""
    config = read_json(folder / "config.json")
    sides = [
        config.get(name, default) for name, default in (("crop_size", 256), ("patch_size", 16), ("tubelet_size", 2))
    ]
    if not all(isinstance(side, int) and side > 0 for side in sides):
        raise CheckpointError(
            refuse(f"{folder}/config.json", f"crop, patch and tubelet {sides}", "whole numbers above 0")
        )
    crop, patch, tubelet = sides
    return max(1, pictures // tubelet) * (crop // patch) ** 2


class Tower:
    """One frozen sense.

    :param folder: in the hub's layout.
    :param precision: of its numbers.
    :param device: where.
    :param tokens: that it reads at once.
    :param progress: told what is being done.
    :raises CheckpointError: when weights are missing, broken, for something else, or do not fit.
    """

    model_type: str
    classes: tuple[str, str]

    def __init__(
        self, folder: Path, precision: Precision, device: torch.device, tokens: int, progress: Progress = silent
    ) -> None:
        import transformers

        require_model(folder, (self.model_type,))
        config_class, model_class = (getattr(transformers, name) for name in self.classes)
        try:
            self.config = config_class.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:  # a configuration can be wrong in many ways, each with its own type
            raise CheckpointError(refuse(f"{folder}: configuration", error, f"that of {self.classes[1]}")) from error
        self.folder, self.kind, self.device = folder, precision.dtype, device
        width, heads, layers = (
            int(getattr(self.config, name)) for name in ("hidden_size", "num_attention_heads", "num_hidden_layers")
        )
        inner = int(getattr(self.config, "intermediate_size", 0) or width * getattr(self.config, "mlp_ratio", 4))
        size = precision.dtype.itemsize
        states = (layers + 1) * tokens * width * size  # of every layer, for the means over groups of them
        need = Need(0, 0, activation_bytes(tokens, width, inner, heads, size) + states)
        self.model: Any = load_frozen(model_class, folder, self.config, precision, device, need, progress)
        self.fingerprint = fingerprint(weight_files(folder))
        self.size = int(self.config.hidden_size)


class VideoTower(Tower):
    """V-JEPA 2 (arXiv:2506.09985): a clip to means over its tokens, and the tokens of its end.

    The whole picture is brought to the tower's square: cropping, as published, would hide the robot's hands.
    """

    model_type = "vjepa2"
    classes = ("VJEPA2Config", "VJEPA2Model")

    def __init__(
        self, folder: Path, precision: Precision, device: torch.device, tokens: int, progress: Progress = silent
    ) -> None:
        super().__init__(folder, precision, device, tokens, progress)
        names = ("video_preprocessor_config.json", "preprocessor_config.json")
        file = next((folder / name for name in names if (folder / name).is_file()), folder / names[0])
        raw = read_json(file)
        for name in ("image_mean", "image_std"):
            if not isinstance(raw.get(name), list) or len(raw[name]) != 3:
                raise CheckpointError(refuse(f"{file}: {name}", raw.get(name), "three numbers"))
        self._mean = np.array(raw["image_mean"], dtype=np.float32)
        self._deviation = np.array(raw["image_std"], dtype=np.float32)
        self.side = int(self.config.crop_size)
        self.grid = self.side // int(self.config.patch_size)

    @torch.no_grad()
    def watch(self, clip: Sequence[Image]) -> tuple[FloatArray, FloatArray]:
        """Return the group means (2 * D,) of a clip and the tokens (grid², D) of its last moment.

        :param clip: pictures of ``side`` x ``side``, oldest first.
        """
        pixels = (np.stack(clip).astype(np.float32) / np.float32(255.0) - self._mean) / self._deviation
        video = torch.from_numpy(pixels.transpose(0, 3, 1, 2)[None]).to(self.device, self.kind)  # (1, T, 3, H, W)
        output = self.model(pixel_values_videos=video, skip_predictor=True, output_hidden_states=True)
        means = group_means([state[0].float().mean(0) for state in output.hidden_states])  # (2, D)
        end = output.last_hidden_state[0, -self.grid * self.grid :]
        return means.flatten().cpu().numpy(), end.float().cpu().numpy()


class AudioTower(Tower):
    """Wav2Vec2-BERT 2.0 (arXiv:2312.05187): sound to the means over its newest part."""

    model_type = "wav2vec2-bert"
    classes = ("Wav2Vec2BertConfig", "Wav2Vec2BertModel")

    def __init__(
        self, folder: Path, precision: Precision, device: torch.device, tokens: int, progress: Progress = silent
    ) -> None:
        from transformers import SeamlessM4TFeatureExtractor

        super().__init__(folder, precision, device, tokens, progress)
        read_json(folder / "preprocessor_config.json")
        self._bands = SeamlessM4TFeatureExtractor.from_pretrained(str(folder), local_files_only=True)
        size, rate = self._bands.num_mel_bins * self._bands.stride, self._bands.sampling_rate
        if (size, rate) != (self.config.feature_projection_input_dim, SAMPLE_RATE):
            allowed = f"{self.config.feature_projection_input_dim} at {SAMPLE_RATE} Hz"
            raise CheckpointError(refuse(f"{folder}/preprocessor_config.json", f"{size} at {rate} Hz", allowed))

    @torch.no_grad()
    def listen(self, samples: FloatArray, seconds: float) -> FloatArray:
        """Return the group means (2 * D,) over the last ``seconds`` of some sound.

        :param samples: float32 (S,); what is too short for one frame follows silence.
        """
        samples = np.pad(samples, (max(0, _SHORTEST - len(samples)), 0))
        bands = self._bands(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        output = self.model(
            input_features=bands["input_features"].to(self.device, self.kind),
            attention_mask=bands["attention_mask"].to(self.device),
            output_hidden_states=True,
        )
        valid = int(bands["attention_mask"].sum())
        newest = min(valid, max(1, round(seconds * SAMPLE_RATE / (160 * self._bands.stride))))
        means = [state[0, valid - newest : valid].float().mean(0) for state in output.hidden_states]
        return group_means(means).flatten().cpu().numpy()


class TextTower(Tower):
    """LLaMA 3.2 (arXiv:2407.21783): an instruction to its tokens, and the means over them."""

    model_type = "llama"
    classes = ("LlamaConfig", "LlamaModel")
    _BEGIN = "<|begin_of_text|>"

    def __init__(
        self, folder: Path, precision: Precision, device: torch.device, tokens: int, progress: Progress = silent
    ) -> None:
        super().__init__(folder, precision, device, tokens, progress)
        self._words = ChatWords(folder, (self._BEGIN,))

    @torch.no_grad()
    def read(self, instruction: str, most: int) -> tuple[FloatArray, FloatArray]:
        """Return the group means (2 * D,) over an instruction's tokens and the last states (T, D) of them.

        :raises ContractError: on an instruction that cannot be read or has more than ``most`` tokens.
        """
        ids = [self._words.special(self._BEGIN), *self._words.instruction(instruction, most)]
        output = self.model(torch.tensor([ids], device=self.device), output_hidden_states=True, use_cache=False)
        means = group_means([state[0, 1:].float().mean(0) for state in output.hidden_states])
        return means.flatten().cpu().numpy(), output.last_hidden_state[0, 1:].float().cpu().numpy()
