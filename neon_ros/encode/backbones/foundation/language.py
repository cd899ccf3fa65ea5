"""What the video-language backbones share: loading, cutting at a layer, caching pictures, windows, and the features."""

from __future__ import annotations

import copy
import hashlib
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.foundation.answers import aside, continued, embedded, first_layers, following
from neon_ros.encode.backbones.foundation.folder import find_folder, fingerprint, require_model, weight_files
from neon_ros.encode.backbones.foundation.loading import (
    Progress,
    checked_device,
    load_frozen,
    set_threads,
    silent,
)
from neon_ros.encode.backbones.foundation.memory import TEXT_TOKENS, window_need
from neon_ros.encode.backbones.foundation.pictures import read_layout
from neon_ros.encode.backbones.foundation.precision import checked_compiled, checked_precision, compile_tower
from neon_ros.encode.backbones.foundation.stream import PrefixReader, Segment
from neon_ros.encode.backbones.foundation.views import SingleViews, checked_sentences
from neon_ros.encode.backbones.foundation.words import ChatWords
from neon_ros.encode.backbones.memory import within_memory
from neon_ros.encode.backbones.observation import Frame, Observation, Sound
from neon_ros.encode.backbones.window import RollingWindows
from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.sense.image import Image


class VideoLanguage(SingleViews):
    """A causal video-language model as a frozen backbone, its features taken after one of its layers.

    The instruction stands before the pictures, so that every picture is seen in the light of the words and the words
    are read once.  Nothing follows the pictures: a causal model's features do not depend on what comes after.

    :param path: folder in the hub's layout, or a name in the hub's cache; empty for the published name.
    :param layer: the features are the states after this many layers, later ones are not even loaded; 0 takes half.
    :param precision: ``fp32``, ``bf16``, ``fp16``, or weights alone in ``int8`` or ``int4``.
    :param device: ``cpu`` or ``cuda``.
    :param compiled: ``default`` compiles the vision tower, ``cudagraphs`` records it as one graph; ``off`` neither.
    :param frames: most pictures in a window.
    :param stride: pictures between the beginnings of two windows, see :class:`RollingWindows`.
    :param width: of the picture the model sees [pixel]; 0 for 14 columns of tokens.
    :param height: of the picture the model sees [pixel]; 0 for 8 rows of tokens.
    :param answers: keep all layers, so that :meth:`answer` can say in words what is seen; needs their memory.
    :param threads: of torch on the CPU.
    :param progress: told what is being done while loading.
    :raises ConfigError: on an option out of range, or a precision whose package is not installed.
    :raises CheckpointError: when weights, configuration or tokenizer are missing, broken or for something else, or do
        not fit into memory.
    """

    name: ClassVar[str]
    published: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]
    structure: ClassVar[tuple[str, ...]]
    system: ClassVar[str]
    _sound_tokens: ClassVar[int] = 0

    def __init__(
        self,
        path: str = "",
        layer: int = 0,
        precision: str = "bf16",
        device: str = "cpu",
        compiled: str = "off",
        frames: int = 8,
        stride: int = 4,
        width: int = 0,
        height: int = 0,
        answers: bool = False,
        threads: int = 1,
        progress: Progress = silent,
    ) -> None:
        set_threads(threads)
        kind, place = checked_precision(precision), checked_device(device)
        self._compiled = checked_compiled(compiled, place)
        self._windows = RollingWindows(frames, stride)
        self.folder = find_folder(path, self.published)
        require_model(self.folder, self.model_types)
        files = weight_files(self.folder)
        config = self._config(self.folder)
        text, total = config.text_config, int(config.text_config.num_hidden_layers)
        first = 1 + len(getattr(config.vision_config, "deepstack_visual_indexes", ()))
        self.layer = layer or max(first, (total + 1) // 2)
        if not first <= self.layer <= total:
            raise ConfigError(refuse("layer", layer, f"{first} to {total}, or 0 for half"))
        vision = config.vision_config
        step = int(vision.patch_size) * int(vision.spatial_merge_size)
        self.layout = read_layout(self.folder, vision.to_dict(), width or 14 * step, height or 8 * step)
        self.words = ChatWords(self.folder, self.structure)
        cut = copy.deepcopy(config)
        if not answers:
            cut.text_config.num_hidden_layers = self.layer
            if getattr(text, "layer_types", None):
                cut.text_config.layer_types = list(text.layer_types[: self.layer])
        layout, size = self.layout, kind.dtype.itemsize
        window = window_need(cut, layout.grid, layout.tokens, self._sound_tokens, frames, stride, size)
        whole = load_frozen(self._model_class(), self.folder, cut, kind, place, window, progress)
        self._whole = whole if answers else None
        self.model: Any = whole.model  # without the layer that turns states into words
        self._language = self.model.language_model
        if answers:
            self._language = first_layers(self._language, self.layer)
        if self.layer < total:
            self._language.norm = nn.Identity()  # the norm belongs after the last layer only
        compile_tower(self.model.visual, self._compiled)
        self.size, self.device, self.dtype = int(text.hidden_size), place, kind.dtype
        columns_rows = f"{self.layout.width}x{self.layout.height}"
        self.model_id = f"{self.name}/{fingerprint(files)}-l{self.layer}-{precision}-{columns_rows}-w{frames}.{stride}"
        rows, columns = self.grid = self.layout.tokens
        self.tensors: Mapping[str, tuple[int, ...]] = {
            "vision": (rows * columns, self.size),
            "text": (TEXT_TOKENS, self.size),
            "text_mask": (TEXT_TOKENS,),
            "pooled": (self.size,),
            **self._more_tensors(),
        }
        self._seen: OrderedDict[bytes, tuple[Tensor, tuple[Tensor, ...]]] = OrderedDict()
        self._readers: dict[int, PrefixReader] = {}
        self._alone = PrefixReader(self._language)
        self._newest: Observation | None = None

    @abstractmethod
    def _config(self, folder: Path) -> Any:
        """Return the configuration of the part that is used."""

    @abstractmethod
    def _model_class(self) -> Any:
        """Return the class of ``transformers``."""

    @abstractmethod
    def _more_tensors(self) -> Mapping[str, tuple[int, ...]]:
        """Return the tensors that only this model has."""

    @abstractmethod
    def _refuse_sound(self, sound: Sound | None) -> None:
        """Raise :class:`ContractError` on sound that the model cannot hear."""

    @abstractmethod
    def _shown(self, observation: Observation, start: int) -> list[Segment]:
        """Return the segments of pictures and sound, from position ``start`` on."""

    @abstractmethod
    def _heard(self, segments: Sequence[Segment], states: Sequence[Tensor]) -> dict[str, FloatArray]:
        """Return the tensors that only this model has."""

    def encode_texts(self, instructions: Sequence[str]) -> dict[str, FloatArray]:
        """Return ``text`` (B, 32, D) and ``text_mask`` (B, 32) of B instructions.

        :raises ContractError: on an empty list or an instruction that cannot be read.
        """
        checked_sentences(instructions)
        rows = []
        for instruction in instructions:
            segments = self._said(instruction)
            rows.append(self._text(segments, self._alone.read(segments)))
        return {name: np.stack([row[name] for row in rows]) for name in ("text", "text_mask")}

    def encode_window(self, observation: Observation) -> dict[str, FloatArray]:
        """Return all tensors of a window; ``vision`` are those of its newest picture.

        :raises ContractError: on more pictures than a window holds, or sound that the model cannot hear.
        :raises CheckpointError: when memory runs out.
        """
        if len(observation.frames) > self._windows.frames:
            got = f"{len(observation.frames)} pictures"
            raise ContractError(refuse("observation.frames", got, f"at most {self._windows.frames}"))
        self._refuse_sound(observation.sound)
        segments = self._segments(observation)
        with within_memory(self.name):
            return self._tensors(segments, self._alone.read(segments))

    def watch(
        self, stamp_ns: int, image: NDArray[np.uint8], instruction: str = "", sound: Sound | None = None
    ) -> dict[str, FloatArray]:
        """Return all tensors of the stream so far, for the price of its newest picture.

        :param stamp_ns: capture time [ns, ROS clock], increasing.
        :param instruction: the words in force; the windows are read anew when they change.
        :param sound: heard since the last call.
        :raises ContractError: on a picture, sound or instruction that cannot be read; the stream is as before.
        :raises CheckpointError: when memory runs out; the picture is read with the next one.
        """
        self._refuse_sound(sound)
        frame = Frame(stamp_ns, self.layout.fit(image))
        if instruction:
            self.words.instruction(instruction, TEXT_TOKENS)
        windows = self._windows.add(frame, instruction, sound)
        self._newest = next(iter(windows.values()))
        readers, self._readers, results = self._readers, {}, []
        newest = next(reversed(readers.values()), self._alone)
        for first, observation in windows.items():
            segments = self._segments(observation)
            # A window that begins now has the words in common with the one before.
            with within_memory(self.name):
                self._readers[first] = readers.get(first) or newest.branch(segments)
                results.append(self._tensors(segments, self._readers[first].read(segments)))
        return results[0]

    def clear(self) -> None:
        """Forget the stream: all pictures, sounds and what was read of them."""
        self._windows.clear()
        self._readers, self._newest = {}, None
        self._alone.clear()
        self._seen.clear()

    def answer(self, question: str = "", most: int = 48) -> str:
        """Return what the model says of the stream so far: a reply to speak, or reasoning to act on; see :meth:`asked`.

        :param question: after the pictures; empty leaves it with the instruction.
        :param most: word pieces of the answer.
        """
        return self.asked(question, most)(lambda: True)

    def asked(self, question: str = "", most: int = 48) -> Callable[[Callable[[], bool]], str]:
        """Return what makes the answer about the stream so far, see :class:`AnsweringBackbone`.

        :raises ConfigError: when it was loaded without ``answers``.
        :raises ContractError: on a question that cannot be read, or before the first picture.
        """
        whole = self._whole
        if whole is None:
            raise ConfigError(refuse("answer", f"{self.name} without its last layers", "the option answers"))
        if self._newest is None:
            raise ContractError(refuse("answer", "no picture", "at least one picture watched"))
        words = self.words
        asked = words.instruction(question, TEXT_TOKENS) if question else []
        window = self._segments(self._newest)
        for tokens in self._closed(self._newest):
            at = following(window)
            window += [self._tokens("template", [words.special(token)], at) for token in tokens]
        start, end = words.special("<|im_start|>"), words.special("<|im_end|>")
        turn = [*asked, end, *words.plain("\n"), start, *words.plain("assistant\n")]
        window.append(self._tokens("template", turn, following(window)))
        with within_memory(self.name):
            window = embedded(window)  # the pictures' tokens are at hand now, and forgotten soon

        def token(number: int, at: int) -> Segment:
            return self._tokens("answer", [number], at)

        def say(wanted: Callable[[], bool]) -> str:
            with within_memory(self.name), aside(self.device):
                return words.text(continued(whole, window, token, frozenset({end}), most, wanted))

        return say

    def _closed(self, observation: Observation) -> Sequence[Sequence[str]]:
        """Return the special tokens that end pictures and sound; those of one group stand at one position."""
        return ()

    def _segments(self, observation: Observation) -> list[Segment]:
        said = self._said(observation.instruction)
        return [*said, *self._shown(observation, sum(segment.positions.shape[1] for segment in said))]

    def _tensors(self, segments: Sequence[Segment], states: Sequence[Tensor]) -> dict[str, FloatArray]:
        seen = [state for segment, state in zip(segments, states, strict=True) if segment.role == "vision"]
        tensors = {"vision": _numpy(seen[-1]), **self._text(segments, states), **self._heard(segments, states)}
        content = [tensors["vision"]]
        content += [tensors[name][tensors[f"{name}_mask"] > 0] for name in ("text", "audio") if name in tensors]
        tensors["pooled"] = np.concatenate(content).mean(axis=0, dtype=np.float32)
        if not all(np.isfinite(value).all() for value in tensors.values()):
            raise ContractError(refuse(f"features of {self.name}", "values that are not finite", "finite; try bf16"))
        return tensors

    def _said(self, instruction: str) -> list[Segment]:
        """Return the segments up to the end of the instruction (ChatML, the format of the Qwen family)."""
        start, end, plain = self.words.special("<|im_start|>"), self.words.special("<|im_end|>"), self.words.plain
        head = [start, *plain(f"system\n{self.system}"), end, *plain("\n"), start, *plain("user\n")]
        said = [self._tokens("template", head, 0)]
        if instruction:
            said.append(self._tokens("text", self.words.instruction(instruction, TEXT_TOKENS), len(head)))
        return said

    def _text(self, segments: Sequence[Segment], states: Sequence[Tensor]) -> dict[str, FloatArray]:
        text = np.zeros((TEXT_TOKENS, self.size), dtype=np.float32)
        mask = np.zeros(TEXT_TOKENS, dtype=np.float32)
        for segment, state in zip(segments, states, strict=True):
            if segment.role == "text":
                text[: len(state)], mask[: len(state)] = _numpy(state), 1.0
        return {"text": text, "text_mask": mask}

    def _tokens(self, role: str, ids: Sequence[int], start: int) -> Segment:
        """Return a segment of words that begins at a position."""
        positions = torch.arange(start, start + len(ids)).expand(3, -1)

        def embed() -> tuple[Tensor, tuple[Tensor, ...]]:
            table = self.model.language_model.embed_tokens
            return table(torch.tensor(list(ids), device=self.device)), ()

        return Segment(role, tuple(ids), positions, embed)

    def _picture(self, frame: Frame, positions: Tensor) -> Segment:
        """Return the segment of one picture; its tower runs only when it was not seen before."""
        small = self.layout.fit(frame.rgb)
        key = hashlib.blake2b(small.tobytes(), digest_size=16).digest()
        return Segment("vision", key, positions, lambda: self._look(key, small))

    @torch.no_grad()
    def _look(self, key: bytes, small: Image) -> tuple[Tensor, tuple[Tensor, ...]]:
        if key not in self._seen:
            patches = torch.from_numpy(self.layout.patches(small)).to(self.device, self.dtype)
            grid = torch.tensor([[1, *self.layout.grid]], device=self.device)
            output = self.model.visual(patches, grid_thw=grid)
            seen = output.pooler_output, tuple(getattr(output, "deepstack_features", None) or ())
            if self._compiled == "cudagraphs":  # the next picture is written over this one
                seen = seen[0].clone(), tuple(deep.clone() for deep in seen[1])
            self._seen[key] = seen
            while len(self._seen) > 2 * self._windows.frames:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return self._seen[key]


def _numpy(states: Tensor) -> FloatArray:
    return states.float().cpu().numpy()
