"""What every backbone promises, so that the eyes can be swapped and the hands kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from neon_ros.contracts import FloatArray


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
