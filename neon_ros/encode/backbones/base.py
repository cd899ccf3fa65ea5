"""What every backbone promises, so that the eyes can be swapped and the hands kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.observation import Observation, Sound


@runtime_checkable
class Backbone(Protocol):
    """A frozen model that turns a picture and an instruction into named float32 tensors.

    Its weights never change: the same picture and words give the same tensors for ever, so features may be stored.
    A tensor named ``x_mask`` marks the rows of ``x`` that mean something (1) and those that only fill up (0).
    """

    @property
    def model_id(self) -> str:
        """Names weights and cut, e.g. ``compact/lite0-s16+minilm-l6``; a head is trained for exactly one."""

    @property
    def tensors(self) -> Mapping[str, tuple[int, ...]]:
        """Name and shape of every tensor that :meth:`encode` returns."""

    def encode(self, image: NDArray[np.uint8], instruction: str) -> dict[str, FloatArray]:
        """Return all tensors for one picture, uint8 (H, W, 3) RGB of any size, and one instruction.

        :raises ContractError: on a picture or an instruction that the backbone cannot read.
        """

    def encode_images(self, images: NDArray[np.uint8]) -> dict[str, FloatArray]:
        """Return the tensors that depend on the picture only, batched: uint8 (B, H, W, 3) to (B, …)."""

    def encode_texts(self, instructions: Sequence[str]) -> dict[str, FloatArray]:
        """Return the tensors that depend on the instruction only, batched: B sentences to (B, …)."""


@runtime_checkable
class WindowBackbone(Backbone, Protocol):
    """A backbone that sees, hears and remembers: its features speak of a window of time, not of one picture.

    One with an attribute ``hears`` that is true is given the sound of the topic ``audio``.
    """

    def encode_window(self, observation: Observation) -> dict[str, FloatArray]:
        """Return all tensors of a window; nothing is remembered that would change a result.

        :raises ContractError: on a window too long, or sound that the model cannot hear.
        """

    def watch(
        self, stamp_ns: int, image: NDArray[np.uint8], instruction: str = "", sound: Sound | None = None
    ) -> dict[str, FloatArray]:
        """Return all tensors of the stream so far, for the price of its newest picture.

        :param stamp_ns: capture time [ns, ROS clock], increasing.
        :param instruction: the words in force; empty for none.
        :param sound: heard since the last call.
        :raises ContractError: on what cannot be read; the stream is then as before.
        """

    def clear(self) -> None:
        """Forget the stream."""


@runtime_checkable
class AnsweringBackbone(WindowBackbone, Protocol):
    """A backbone that can also say in words what it sees; one that has to be loaded for it takes ``answers=True``."""

    def asked(self, question: str, most: int) -> Callable[[Callable[[], bool]], str]:
        """Return what makes the answer about the stream so far; it may run beside :meth:`watch`, on another thread.

        What is returned takes a function that tells whether the answer is still wanted, asked at each word piece.

        :param question: after the pictures; empty leaves it with the instruction.
        :param most: word pieces of the answer.
        :raises ContractError: on a question that cannot be read, or before the first picture.
        """
