"""Single pictures and sentences by way of a window of one: what every windowed backbone offers for stored features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.observation import Frame, Observation
from neon_ros.errors import ContractError, refuse


class SingleViews(ABC):
    """A backbone whose single pictures are windows of one."""

    @abstractmethod
    def encode_window(self, observation: Observation) -> dict[str, FloatArray]:
        """Return all tensors of a window."""

    def encode(self, image: NDArray[np.uint8], instruction: str) -> dict[str, FloatArray]:
        """Return all tensors of one picture and one instruction, as a window of one picture.

        :raises ContractError: on a picture or an instruction that cannot be read.
        """
        return self.encode_window(Observation((Frame(0, image),), instruction))

    def encode_images(self, images: NDArray[np.uint8]) -> dict[str, FloatArray]:
        """Return ``vision`` (B, N, D) of B pictures, each by itself and without words.

        :raises ContractError: on an empty batch or pictures that cannot be read.
        """
        if np.ndim(images) != 4 or len(images) == 0:
            raise ContractError(refuse("images shape", np.shape(images), "(B, H, W, 3) with B at least 1"))
        return {"vision": np.stack([self.encode(image, "")["vision"] for image in images])}


def checked_sentences(instructions: Sequence[str]) -> None:
    """Refuse what is not a list of sentences.

    :raises ContractError: on a single text or an empty list.
    """
    if isinstance(instructions, str) or len(instructions) == 0:
        raise ContractError(refuse("instructions", repr(instructions), "a list of at least one sentence"))
