"""One backbone at work: pictures and words in the order they come, whether it remembers or not."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.base import Backbone, WindowBackbone
from neon_ros.encode.backbones.heard import SoundSince
from neon_ros.encode.backbones.memory import MemoryShort, within_memory
from neon_ros.errors import ContractError, refuse

WARM_WORDS = "look at the table"


class Looking:
    """A backbone with the words in force and, where it remembers, its stream.

    :param backbone: the frozen model.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.instruction = ""
        self.reasoning = ""
        self._words: dict[str, FloatArray] = {}
        self._more: dict[str, FloatArray] = {}
        self._watched_ns = 0

    @property
    def hears(self) -> bool:
        """Whether the model takes sound."""
        return bool(getattr(self.backbone, "hears", False))

    def tell(self, instruction: str) -> None:
        """Take the words for all pictures to come.

        :raises ContractError: on an instruction that cannot be read; the words before it stay in force.
        """
        with within_memory(self.backbone.model_id):
            batch = self.backbone.encode_texts([instruction])
        self._words = {name: value[0] for name, value in batch.items()}
        self.instruction, self.reasoning, self._more = instruction, "", {}

    def reason(self, text: str) -> str:
        """Add a sentence to the words that the head reads, until there are other words; return what of it is added.

        The tensors of words are then those of instruction and sentence together.  The pictures are seen in the light
        of the instruction alone, as before, so nothing of a stream is read anew.

        :param text: cut after as many words as there is room for beside the instruction.
        :raises ContractError: when there is no instruction, or no room for a word.
        """
        if not self.instruction:
            raise ContractError(refuse("reasoning", "no instruction", "one to reason about"))
        words = text.split()
        for count in range(len(words), 0, -1):
            shorter = " ".join(words[:count])
            try:
                with within_memory(self.backbone.model_id):
                    batch = self.backbone.encode_texts([f"{self.instruction}. {shorter}"])
            except ContractError:
                continue
            self._more = {name: value[0] for name, value in batch.items()}
            self.reasoning = shorter
            return shorter
        raise ContractError(refuse("reasoning", f"{text!r}", f"room for a word of it after {self.instruction!r}"))

    def look(self, stamp_ns: int, rgb: NDArray[np.uint8], sound: SoundSince | None = None) -> dict[str, FloatArray]:
        """Return all tensors of the newest picture, or of the stream that it ends.

        :param stamp_ns: capture [ns, ROS clock].
        :param rgb: uint8 (H, W, 3).
        :param sound: what was heard since the last picture, for a model that hears.
        :raises ContractError: on a picture that cannot be read.
        :raises MemoryShort: when memory runs out; a stream then starts anew with the next picture.
        """
        backbone = self.backbone
        try:
            with within_memory(backbone.model_id):
                if isinstance(backbone, WindowBackbone):
                    if stamp_ns <= self._watched_ns or (sound is not None and sound.broken):
                        backbone.clear()  # the clock was set back or sound is missing: what was before is not of now
                    self._watched_ns = stamp_ns
                    heard = None if sound is None else sound.take()
                    return {**backbone.watch(stamp_ns, rgb, self.instruction, heard), **self._more}
                seen = {name: value[0] for name, value in backbone.encode_images(rgb[None]).items()}
        except ContractError:
            if sound is not None:
                sound.lose()
            raise
        except MemoryShort:
            self.forget()
            raise
        return {**self._wordless(), **self._words, **self._more, **seen}

    def forget(self) -> None:
        """Give up what is remembered of the stream."""
        self._watched_ns = 0
        if isinstance(self.backbone, WindowBackbone):
            self.backbone.clear()

    def warm_up(self, pictures: int, rate: float, progress: Callable[[str], None]) -> None:
        """Read pictures of noise, so that the first real one costs no more than the others and a whole window fits.

        :param pictures: how many; one more than a window holds fills it.
        :param rate: of the camera [Hz].
        :param progress: told after each of them.
        :raises MemoryShort: when memory runs out.
        """
        if pictures == 0:
            return
        random = np.random.default_rng(0)
        before = self.instruction, self._words
        self.tell(WARM_WORDS)
        for number in range(1, pictures + 1):
            picture = random.integers(0, 256, (240, 424, 3), dtype=np.uint8)
            began = time.perf_counter()
            self.look(round(number * 1e9 / rate), picture)
            progress(f"warming up: picture {number} of {pictures}, {1e3 * (time.perf_counter() - began):.0f} ms")
        self.instruction, self._words = before
        self.forget()

    def _wordless(self) -> dict[str, FloatArray]:
        """Return the tensors of no instruction: every mask 0."""
        return {name: np.zeros(shape, dtype=np.float32) for name, shape in self.backbone.tensors.items()}
