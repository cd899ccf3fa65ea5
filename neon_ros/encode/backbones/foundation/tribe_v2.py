"""TRIBE v2's three senses on one clock: video, sound and words, each by its own frozen model (Meta FAIR, 2026).

At every tick of the clock the video model sees the seconds before it, the sound model hears them, and the words in
force stand beside; each is compressed to 384, side by side 1152, smoothed over time and, where the published trunk is,
joined by it.  What a past tick said is kept: a new picture costs one clip, however long the window.  Clock and window
are parameters, since a robot's are shorter and faster than a film's.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.foundation.clock import Tick, clip_indices, heard_until, smooth, ticks_until
from neon_ros.encode.backbones.foundation.folder import find_folder
from neon_ros.encode.backbones.foundation.loading import Progress, checked_device, set_threads, silent
from neon_ros.encode.backbones.foundation.memory import TEXT_TOKENS
from neon_ros.encode.backbones.foundation.precision import checked_compiled, checked_precision, compile_tower
from neon_ros.encode.backbones.foundation.tribe_towers import AudioTower, TextTower, VideoTower, clip_tokens
from neon_ros.encode.backbones.foundation.tribe_trunk import PROJECTED, SENSES, PublishedTrunk, RandomJoin
from neon_ros.encode.backbones.foundation.views import SingleViews, checked_sentences
from neon_ros.encode.backbones.memory import within_memory
from neon_ros.encode.backbones.observation import MAX_SECONDS, Frame, Observation, Sound
from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.sense.image import resize

PUBLISHED = {
    "video": "facebook/vjepa2-vitg-fpc64-256",
    "audio": "facebook/w2v-bert-2.0",
    "text": "meta-llama/Llama-3.2-3B",
}


class TribeV2(SingleViews):
    """Three frozen senses on one clock; see :class:`~neon_ros.encode.backbones.base.WindowBackbone`.

    Tensors: ``vision`` (grid², Dv) the video model's tokens of the newest moment, ``text`` (32, Dt) with ``text_mask``,
    ``tokens`` (ticks, 1152) with ``tokens_mask``, the newest tick last, and ``pooled`` (1152,), the newest tick.  A
    sense without input counts as zeros, as in the published model.

    :param path: a folder with ``video``, ``audio`` and ``text``, each in the hub's layout, and ``trunk`` if there is
        one; empty to look for the published three in the hub's cache, without a trunk.
    :param precision: of the three models: ``fp32``, ``bf16``, ``fp16``, or weights alone in ``int8`` or ``int4``.
    :param device: ``cpu`` or ``cuda``.
    :param compiled: ``default`` compiles the video model, ``cudagraphs`` records it as one graph; ``off`` neither.
    :param rate: ticks per second [Hz]; 2 in the paper.
    :param ticks: in a window; the paper's window is 100 s.
    :param seconds: that the video and sound models look back [s]; 4 in the paper.
    :param pictures: in a clip, even steps of ``seconds``; 64 in the paper.
    :param smoothing: deviation of the Gaussian over time [ticks]; 0 for none, as published.
    :param threads: of torch on the CPU.
    :param progress: told what is being done while loading.
    :raises ConfigError: on an option out of range, or a precision whose package is not installed.
    :raises CheckpointError: when a model is missing, broken, for something else, or does not fit into memory.
    """

    name = "tribe_v2"
    hears = True

    def __init__(
        self,
        path: str = "",
        precision: str = "bf16",
        device: str = "cpu",
        compiled: str = "off",
        rate: float = 4.0,
        ticks: int = 8,
        seconds: float = 4.0,
        pictures: int = 16,
        smoothing: float = 0.0,
        threads: int = 1,
        progress: Progress = silent,
    ) -> None:
        for option, value, low, high in (
            ("rate", rate, 0.1, 50.0),
            ("ticks", ticks, 1, 256),
            ("seconds", seconds, 0.1, 30.0),
            ("pictures", pictures, 2, 256),
            ("smoothing", smoothing, 0.0, 32.0),
        ):
            if not low <= value <= high:
                raise ConfigError(refuse(option, value, f"{low:g} to {high:g}"))
        if seconds + (ticks + 1) / rate > MAX_SECONDS:
            got = f"{seconds:g} s and {ticks} at {rate:g} Hz"
            raise ConfigError(refuse("seconds and ticks", got, f"{MAX_SECONDS:g} s in all"))
        set_threads(threads)
        kind, place = checked_precision(precision), checked_device(device)
        compiled = checked_compiled(compiled, place)
        folders = {sense: find_folder(str(Path(path) / sense) if path else "", PUBLISHED[sense]) for sense in SENSES}
        self.video = VideoTower(folders["video"], kind, place, clip_tokens(folders["video"], pictures), progress)
        self.audio = AudioTower(folders["audio"], kind, place, round(50 * seconds), progress)
        self.text = TextTower(folders["text"], kind, place, TEXT_TOKENS + 1, progress)
        compile_tower(self.video.model, compiled)
        if pictures % self.video.config.tubelet_size:
            raise ConfigError(refuse("pictures", pictures, f"a multiple of {self.video.config.tubelet_size}"))
        sizes = {sense: 2 * getattr(self, sense).size for sense in SENSES}
        trunk = Path(path) / "trunk"
        self.join: Any = PublishedTrunk(trunk, sizes) if path and trunk.is_dir() else RandomJoin(sizes)
        self.period_ns, self.ticks, self.seconds = round(1e9 / rate), ticks, seconds
        self.pictures, self.smoothing = pictures, smoothing
        prints = ".".join(getattr(self, sense).fingerprint for sense in SENSES)
        cut = f"{rate:g}hz-{ticks}x{seconds:g}s-{pictures}p-s{smoothing:g}-{precision}"
        self.model_id = f"{self.name}/{prints}+{self.join.name}-{cut}"
        self.grid = (self.video.grid, self.video.grid)
        self.tensors: Mapping[str, tuple[int, ...]] = {
            "vision": (self.video.grid**2, self.video.size),
            "text": (TEXT_TOKENS, self.text.size),
            "text_mask": (TEXT_TOKENS,),
            "tokens": (ticks, PROJECTED * len(SENSES)),
            "tokens_mask": (ticks,),
            "pooled": (PROJECTED * len(SENSES),),
        }
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._frames: list[Frame] = []
        self._sound: Sound | None = None

    def encode_texts(self, instructions: Sequence[str]) -> dict[str, FloatArray]:
        """Return ``text`` (B, 32, D) and ``text_mask`` (B, 32) of B instructions.

        :raises ContractError: on an empty list or an instruction that cannot be read.
        """
        checked_sentences(instructions)
        rows = [self._said(instruction)[1:] for instruction in instructions]
        return {"text": np.stack([text for text, _ in rows]), "text_mask": np.stack([mask for _, mask in rows])}

    def encode_window(self, observation: Observation) -> dict[str, FloatArray]:
        """Return all tensors of a window.

        :raises ContractError: on an instruction that cannot be read, or features that are not finite.
        """
        side = self.video.side
        frames = [Frame(frame.stamp_ns, resize(frame.rgb, side, side)) for frame in observation.frames]
        return self._look(frames, observation.instruction, observation.sound)

    def watch(
        self, stamp_ns: int, image: NDArray[np.uint8], instruction: str = "", sound: Sound | None = None
    ) -> dict[str, FloatArray]:
        """Return all tensors of the stream so far, for the price of one clip.

        :param stamp_ns: capture time [ns, ROS clock], increasing.
        :param instruction: the words in force; empty for none.
        :param sound: heard since the last call.
        :raises ContractError: on what cannot be read; the stream is then as before.
        """
        if self._frames and stamp_ns <= self._frames[-1].stamp_ns:
            got = f"{stamp_ns} after {self._frames[-1].stamp_ns}"
            raise ContractError(refuse("frame.stamp_ns", got, "stamps that increase"))
        oldest = stamp_ns - round(self.seconds * 1e9) - self.ticks * self.period_ns
        frame = Frame(stamp_ns, resize(image, self.video.side, self.video.side))
        first = max((place for place, kept in enumerate(self._frames) if kept.stamp_ns <= oldest), default=0)
        frames = [*self._frames[first:], frame]
        heard = self._sound if sound is None else self._sound.joined(sound) if self._sound else sound
        heard = heard and heard.since(oldest)
        tensors = self._look(frames, instruction, heard)
        self._frames, self._sound = frames, heard
        return tensors

    def clear(self) -> None:
        """Forget the stream."""
        self._frames, self._sound = [], None
        self._kept.clear()

    def _look(self, frames: Sequence[Frame], instruction: str, sound: Sound | None) -> dict[str, FloatArray]:
        with within_memory(self.name):
            return self._tensors(frames, instruction, sound)

    def _tensors(self, frames: Sequence[Frame], instruction: str, sound: Sound | None) -> dict[str, FloatArray]:
        stamps = [frame.stamp_ns for frame in frames]
        keys = [hashlib.blake2b(frame.rgb.tobytes(), digest_size=16).digest() for frame in frames]
        said, text, mask = self._said(instruction)
        rows, vision = [], np.empty(0, np.float32)
        for tick in ticks_until(stamps[-1], stamps[0], self.period_ns, self.ticks):
            clip = clip_indices(stamps, tick.end_ns, self.seconds, self.pictures)
            pictures = [frames[i].rgb for i in clip]
            seen, vision = self._keep(("video", *(keys[i] for i in clip)), partial(self.video.watch, pictures))
            rows.append(self._side_by_side({"text": said, "audio": self._heard(sound, tick), "video": seen}))
        with torch.no_grad():
            joined = self.join(torch.from_numpy(smooth(np.stack(rows), self.smoothing)))
        tokens = np.zeros((self.ticks, PROJECTED * len(SENSES)), dtype=np.float32)
        tokens[-len(rows) :] = joined.numpy()
        present = (np.arange(self.ticks) >= self.ticks - len(rows)).astype(np.float32)
        tensors = {"vision": vision, "text": text, "text_mask": mask, "tokens": tokens, "tokens_mask": present}
        tensors["pooled"] = tokens[-1].copy()
        if not all(np.isfinite(value).all() for value in tensors.values()):
            raise ContractError(refuse("features of tribe_v2", "values that are not finite", "finite; try bf16"))
        return tensors

    def _said(self, instruction: str) -> tuple[FloatArray | None, FloatArray, FloatArray]:
        """Return what the words say, their tokens (32, D) and which of these mean something (32,)."""
        text = np.zeros((TEXT_TOKENS, self.text.size), dtype=np.float32)
        mask = np.zeros(TEXT_TOKENS, dtype=np.float32)
        if not instruction:
            return None, text, mask
        means, states = self._keep(("text", instruction), lambda: self.text.read(instruction, TEXT_TOKENS))
        text[: len(states)], mask[: len(states)] = states, 1.0
        return means, text, mask

    def _heard(self, sound: Sound | None, tick: Tick) -> FloatArray | None:
        part = heard_until(sound, tick, self.seconds) if sound else None
        if part is None:
            return None
        samples, inside = part
        key = ("audio", hashlib.blake2b(samples.tobytes(), digest_size=16).digest(), inside)
        heard: FloatArray = self._keep(key, lambda: self.audio.listen(samples, inside))
        return heard

    @torch.no_grad()
    def _side_by_side(self, said: Mapping[str, FloatArray | None]) -> FloatArray:
        """Return the projections of what each sense says, zeros for one that is absent, one after the other (1152,)."""
        row = np.zeros((len(SENSES), PROJECTED), dtype=np.float32)
        for place, sense in enumerate(SENSES):
            value = said[sense]
            if value is not None:
                row[place] = self.join.project(sense, torch.from_numpy(value)).numpy()
        return row.reshape(-1)

    def _keep(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what was made for ``key``, making it at most once."""
        if key not in self._kept:
            self._kept[key] = make()
            while len(self._kept) > 3 * self.ticks + 8:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]
