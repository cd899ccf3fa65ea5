"""Qwen2.5-Omni (3B, 7B) as eyes, ears and understanding: the thinker's states at a layer (arXiv:2503.20215).

Pictures and sound share one clock: positions count 25 a second, pictures stand where they were taken, sound one token
every 40 ms, and the two are interleaved in pieces of 2 s as the model was trained.  Each picture is one step of time
(the tower's patch of two pictures holds it twice, as for still pictures), so that it can be looked at alone.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.foundation.language import VideoLanguage, _numpy
from neon_ros.encode.backbones.foundation.stream import Segment
from neon_ros.encode.backbones.observation import MAX_SECONDS, SAMPLE_RATE, Observation, Sound
from neon_ros.errors import CheckpointError, refuse

SYSTEM = (
    "You are Qwen, a virtual human developed by the Qwen Team, Alibaba Group, capable of perceiving auditory and "
    "visual inputs, as well as generating text and speech."
)
"""The system prompt the model was trained with for sound and pictures (its model card)."""
_GRAIN = 640
"""Samples of one token of sound (40 ms); the last token is filled up with silence."""
_PIECES = 64
"""Pieces of sound whose features are kept."""


class QwenOmni(VideoLanguage):
    """The thinker of Qwen2.5-Omni; options and errors of :class:`VideoLanguage`.

    Beside the common tensors it gives ``audio`` (50, D) and ``audio_mask`` (50,), the newest 2 s of sound.
    """

    name: ClassVar[str] = "qwen_omni"
    published: ClassVar[str] = "Qwen/Qwen2.5-Omni-3B"
    hears: ClassVar[bool] = True
    model_types: ClassVar[tuple[str, ...]] = ("qwen2_5_omni", "qwen2_5_omni_thinker")
    structure: ClassVar[tuple[str, ...]] = (
        *("<|im_start|>", "<|im_end|>", "<|vision_bos|>", "<|vision_eos|>", "<|audio_bos|>", "<|audio_eos|>"),
    )
    system: ClassVar[str] = SYSTEM
    _sound_tokens: ClassVar[int] = round(MAX_SECONDS * SAMPLE_RATE / _GRAIN)

    def _config(self, folder: Path) -> Any:
        from transformers import Qwen2_5OmniThinkerConfig, WhisperFeatureExtractor

        try:
            config = Qwen2_5OmniThinkerConfig.from_pretrained(str(folder), local_files_only=True)
            self._mel = WhisperFeatureExtractor.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:  # a configuration can be wrong in many ways, each with its own type
            raise CheckpointError(refuse(f"{folder}: configuration", error, "that of Qwen2.5-Omni")) from error
        mels, rate = config.audio_config.num_mel_bins, self._mel.sampling_rate
        if (self._mel.feature_size, rate) != (mels, SAMPLE_RATE):
            got = f"{self._mel.feature_size} bands at {rate} Hz"
            raise CheckpointError(refuse(f"{folder}/preprocessor_config.json", got, f"{mels} at {SAMPLE_RATE} Hz"))
        self._per_second = int(config.position_id_per_seconds)
        self._chunk = int(config.position_id_per_seconds * config.seconds_per_chunk)
        self._sounds: OrderedDict[bytes, Tensor] = OrderedDict()
        return config

    def _model_class(self) -> Any:
        from transformers import Qwen2_5OmniThinkerForConditionalGeneration

        return Qwen2_5OmniThinkerForConditionalGeneration

    def _more_tensors(self) -> Mapping[str, tuple[int, ...]]:
        return {"audio": (self._chunk, self.size), "audio_mask": (self._chunk,)}

    def _refuse_sound(self, sound: Sound | None) -> None:
        """Hear everything that :class:`Sound` allows."""

    def _shown(self, observation: Observation, start: int) -> list[Segment]:
        opened = ["<|vision_bos|>"] + (["<|audio_bos|>"] if observation.sound else [])
        # Beginning of pictures and beginning of sound stand at the same position.
        segments = [self._tokens("template", [self.words.special(token)], start) for token in opened]
        begin, pieces = start + 1, []
        for frame in observation.frames:
            step = (frame.stamp_ns - observation.start_ns) * self._per_second // 1_000_000_000
            pieces.append((step // self._chunk, 0, self._picture(frame, self._places(begin, step))))
        if observation.sound:
            first = (observation.sound.start_ns - observation.start_ns) * self._per_second // 1_000_000_000
            pieces += [(chunk, 1, segment) for chunk, segment in self._sound(observation.sound, begin, first)]
        # In each piece of 2 s the pictures come first, then the sound; sorting keeps the order inside.
        return segments + [segment for _, _, segment in sorted(pieces, key=lambda piece: piece[:2])]

    def _closed(self, observation: Observation) -> Sequence[Sequence[str]]:
        return (("<|audio_eos|>", "<|vision_eos|>"),) if observation.sound else (("<|vision_eos|>",),)

    def _places(self, begin: int, step: int) -> Tensor:
        """Return the positions (3, N) of a picture taken ``step`` positions after the beginning."""
        rows, columns = self.layout.tokens
        row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        return torch.stack([torch.full_like(row, step), row, column]).reshape(3, -1) + begin

    def _sound(self, sound: Sound, begin: int, first: int) -> list[tuple[int, Segment]]:
        """Return segments of sound with the piece of time each belongs to."""
        found = []
        samples = self._chunk * _GRAIN
        for number, offset in enumerate(range(0, len(sound.samples), samples)):
            piece = sound.samples[offset : offset + samples]
            piece = np.pad(piece, (0, -len(piece) % _GRAIN))
            key = hashlib.blake2b(piece.tobytes(), digest_size=16).digest()
            place, last = first + number * self._chunk, first + number * self._chunk + len(piece) // _GRAIN
            while place < last:  # sound that began late lies across two pieces of time
                until = min(last, (place // self._chunk + 1) * self._chunk)
                a, b = place - first - number * self._chunk, until - first - number * self._chunk
                positions = (torch.arange(place, until) + begin).expand(3, -1)
                found.append((place // self._chunk, self._sound_segment(key, piece, a, b, positions)))
                place = until
        return found

    def _sound_segment(self, key: bytes, piece: FloatArray, a: int, b: int, positions: Tensor) -> Segment:
        return Segment("audio", (key, a, b), positions, lambda: (self._listen(key, piece)[a:b], ()))

    @torch.no_grad()
    def _listen(self, key: bytes, piece: FloatArray) -> Tensor:
        """Return the tokens (T, D) of at most 2 s of sound; its tower attends within 2 s, so pieces stand alone."""
        if key not in self._sounds:
            mel = self._mel(piece, sampling_rate=SAMPLE_RATE, padding="longest", truncation=False, return_tensors="pt")
            bands = mel["input_features"].to(self.device, self.dtype)  # (1, bands, frames)
            mask = torch.ones(1, bands.shape[-1], dtype=torch.long, device=self.device)
            output = self.model.get_audio_features(bands, feature_attention_mask=mask)
            self._sounds[key] = output.last_hidden_state
            while len(self._sounds) > _PIECES:
                self._sounds.popitem(last=False)
        self._sounds.move_to_end(key)
        return self._sounds[key]

    def _heard(self, segments: Sequence[Segment], states: Sequence[Tensor]) -> dict[str, FloatArray]:
        audio = np.zeros((self._chunk, self.size), dtype=np.float32)
        mask = np.zeros(self._chunk, dtype=np.float32)
        found = [state for segment, state in zip(segments, states, strict=True) if segment.role == "audio"]
        if found:
            newest = _numpy(torch.cat(found)[-self._chunk :])
            audio[: len(newest)], mask[: len(newest)] = newest, 1.0
        return {"audio": audio, "audio_mask": mask}
