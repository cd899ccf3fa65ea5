"""A picture to the rows of patches that the vision towers of the Qwen family take.

Layout: ``transformers`` ``Qwen2VLImageProcessor`` (patches grouped by the squares that the tower merges, a still
picture repeated over the time of one patch).  The size is fixed, so that every picture costs the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.foundation.folder import read_json
from neon_ros.errors import CheckpointError, ConfigError, refuse
from neon_ros.sense.image import Image, resize


@dataclass(frozen=True)
class PatchLayout:
    """How pictures are cut.

    :param width: of the picture [pixel], a multiple of ``patch * merge``.
    :param height: of the picture [pixel], a multiple of ``patch * merge``.
    :param patch: side of a patch [pixel].
    :param merge: patches per side that become one token.
    :param repeat: pictures in the time of one patch.
    :param mean: of red, green and blue, from 0 to 1.
    :param deviation: of red, green and blue.
    :raises ConfigError: on a width or height that does not divide.
    """

    width: int
    height: int
    patch: int
    merge: int
    repeat: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __post_init__(self) -> None:
        step = self.patch * self.merge
        for name, side in (("width", self.width), ("height", self.height)):
            if side < step or side % step or side > 64 * step:
                raise ConfigError(refuse(name, f"{side} pixels", f"a multiple of {step}, at most {64 * step}"))

    @property
    def grid(self) -> tuple[int, int]:
        """Return rows and columns of patches."""
        return self.height // self.patch, self.width // self.patch

    @property
    def tokens(self) -> tuple[int, int]:
        """Return rows and columns of tokens."""
        return self.grid[0] // self.merge, self.grid[1] // self.merge

    def patches(self, small: Image) -> FloatArray:
        """Return float32 (rows * columns of patches, 3 * repeat * patch²) of a picture of this layout's size."""
        mean, deviation = np.array(self.mean, np.float32), np.array(self.deviation, np.float32)
        pixels = (small.astype(np.float32) / np.float32(255.0) - mean) / deviation
        (rows, columns), m, p = self.tokens, self.merge, self.patch
        cut = pixels.reshape(rows, m, p, columns, m, p, 3)
        cut = cut.transpose(0, 3, 1, 4, 6, 2, 5)  # (rows, columns, m, m, 3, p, p)
        timed = np.repeat(cut[:, :, :, :, :, None], self.repeat, axis=5)  # (rows, columns, m, m, 3, repeat, p, p)
        return np.ascontiguousarray(timed.reshape(rows * columns * m * m, -1), dtype=np.float32)

    def fit(self, image: Image) -> Image:
        """Return the picture at this layout's size."""
        return resize(image, self.width, self.height)


def read_layout(folder: Path, vision: Mapping[str, Any], width: int, height: int) -> PatchLayout:
    """Return the layout that the folder's ``preprocessor_config.json`` and the vision tower agree on.

    :param vision: the tower's own configuration.
    :raises CheckpointError: when the file is missing, incomplete or disagrees with the tower.
    :raises ConfigError: on a width or height that does not divide.
    """
    file = folder / "preprocessor_config.json"
    raw = read_json(file)
    raw = raw.get("image_processor", raw)
    names = {
        "patch_size": int(vision["patch_size"]),
        "merge_size": int(vision["spatial_merge_size"]),
        "temporal_patch_size": int(vision["temporal_patch_size"]),
    }
    for name, said in names.items():
        if raw.get(name) != said:
            raise CheckpointError(refuse(f"{file}: {name}", raw.get(name), f"{said} as in config.json"))
    mean, deviation = raw.get("image_mean"), raw.get("image_std")
    for name, value in (("image_mean", mean), ("image_std", deviation)):
        if not isinstance(value, list) or len(value) != 3 or not all(isinstance(x, float | int) for x in value):
            raise CheckpointError(refuse(f"{file}: {name}", value, "three numbers"))
    patch, merge, repeat = names.values()
    return PatchLayout(width, height, patch, merge, repeat, tuple(mean or ()), tuple(deviation or ()))
