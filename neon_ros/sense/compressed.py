"""Compressed pictures, JPEG and PNG, to checked RGB: sizes are judged from the header, before anything is unpacked."""

from __future__ import annotations

import io

import numpy as np

from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.sense.image import LARGEST, MAX_SIDE, MIN_SIDE, Image, thinning

MAX_BYTES = 32_000_000
"""Largest compressed picture [byte]; a 4K PNG of noise has 25 MB."""
MAX_PIXELS = 4096 * 4096
"""Most pixels that are unpacked; a small file may claim to hold billions."""
FORMATS = ("JPEG", "PNG")
_MODES = ("L", "LA", "P", "RGB", "RGBA", "1", "CMYK")
"""Pillow's modes of 8 bits; depth pictures of 16 bits are none."""


def decode_compressed(data: bytes | bytearray | memoryview) -> Image:
    """Return the RGB picture (H, W, 3) of a compressed one; a very large one at a fraction of its size.

    :param data: a whole JPEG or PNG file.
    :raises ContractError: on another format, a size out of range, 16 bits a channel, or a broken file.
    :raises ConfigError: when Pillow is not installed.
    """
    try:
        from PIL import Image as Pillow
    except ModuleNotFoundError:
        raise ConfigError(refuse("compressed pictures", "no Pillow", "pip install pillow")) from None
    if not 0 < len(data) <= MAX_BYTES:
        raise ContractError(refuse("compressed image", f"{len(data)} bytes", f"1 to {MAX_BYTES} bytes"))
    try:
        with Pillow.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
            fits = min(width, height) >= MIN_SIDE and max(width, height) <= MAX_SIDE and width * height <= MAX_PIXELS
            if not fits:
                allowed = f"{MIN_SIDE} to {MAX_SIDE} pixels in width and height, {MAX_PIXELS} in all"
                raise ContractError(refuse("compressed image size", f"{width} x {height}", allowed))
            if picture.mode not in _MODES:
                raise ContractError(refuse("compressed image", f"{picture.format} of mode {picture.mode}", "8 bits"))
            skip = thinning(width, height)
            if skip > 1:
                picture.draft("RGB", LARGEST)  # JPEG can be unpacked at a half, quarter or eighth
            rgb = np.asarray(picture.convert("RGB"))
    except ContractError:
        raise
    except Exception as error:  # a broken file can be wrong in as many ways as there are decoders
        said = str(error) if str(error) and "BytesIO" not in str(error) else type(error).__name__
        raise ContractError(refuse("compressed image", said, "a whole JPEG or PNG")) from error
    skip = thinning(rgb.shape[1], rgb.shape[0])
    return np.ascontiguousarray(rgb[::skip, ::skip])
