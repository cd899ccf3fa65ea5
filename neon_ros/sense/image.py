"""Raw pictures to checked uint8 RGB, and the one resize that training, simulation and the robot share.

A policy sees pictures only through :func:`decode` and :func:`resize`, so that a picture of the simulator and one of the
camera are treated alike.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ContractError, refuse

Image = NDArray[np.uint8]

_STRIP = 32
"""Rows whose colours are computed at once."""

MIN_SIDE = 16
"""Smallest height or width of a picture that can show anything [pixel]."""
MAX_SIDE = 8192
"""Largest height or width of a picture [pixel]; 4K (3840 x 2160) is inside."""
LARGEST = (1920, 1080)
"""Width and height [pixel] beyond which a picture is thinned before its colours are read, so that 4K costs no more."""

_BYTES_PER_PIXEL = {
    "rgb8": 3,
    "bgr8": 3,
    "rgba8": 4,
    "bgra8": 4,
    "mono8": 1,
    "8UC1": 1,
    "8UC3": 3,
    "yuyv": 2,
    "yuv422_yuy2": 2,
    "uyvy": 2,
    "yuv422": 2,
}
ENCODINGS: tuple[str, ...] = tuple(_BYTES_PER_PIXEL)
"""Encodings of ``sensor_msgs/image_encodings.hpp`` that are understood (8UC3 is read as bgr8, as OpenCV writes it)."""


def checked_image(image: object, name: str = "image") -> Image:
    """Return ``image`` as a C-contiguous uint8 (H, W, 3) array; refuse anything else.

    :param image: RGB picture, uint8 (H, W, 3).
    :param name: what it is called in the error.
    :raises ContractError: on another type, rank, channel count or a size outside ``MIN_SIDE`` to ``MAX_SIDE``.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        got = f"{image.dtype} array" if isinstance(image, np.ndarray) else type(image).__name__
        raise ContractError(refuse(name, got, "a uint8 array (H, W, 3)"))
    if image.ndim != 3 or image.shape[2] != 3:
        raise ContractError(refuse(f"{name} shape", image.shape, "(H, W, 3), red first"))
    _check_size(image.shape[1], image.shape[0], name)
    return np.ascontiguousarray(image)


def decode(
    data: bytes | bytearray | memoryview | Image, width: int, height: int, encoding: str, step: int | None = None
) -> Image:
    """Return the RGB picture (H, W, 3) held by the bytes of an image message; every k-th pixel of a very large one.

    :param data: ``height * step`` contiguous bytes.
    :param width: [pixel].
    :param height: [pixel].
    :param encoding: one of :data:`ENCODINGS`.
    :param step: bytes per row including padding; ``None`` means no padding.
    :raises ContractError: on an unknown encoding, a size out of range, a short row or missing bytes.
    """
    if encoding not in _BYTES_PER_PIXEL:
        raise ContractError(refuse("image encoding", encoding, ", ".join(ENCODINGS)))
    _check_size(width, height, "image")
    row = width * _BYTES_PER_PIXEL[encoding]
    step = row if step is None else step
    if step < row:
        raise ContractError(refuse("image step", step, f"at least {row} bytes for {width} pixels of {encoding}"))
    raw = np.frombuffer(data, dtype=np.uint8)
    if raw.size != step * height:
        raise ContractError(refuse("image data", f"{raw.size} bytes", f"{step * height} ({height} rows of {step})"))
    pixels, skip = raw.reshape(height, step)[:, :row], thinning(width, height)
    if encoding in ("yuyv", "yuv422_yuy2", "uyvy", "yuv422"):
        if width % 2:
            raise ContractError(refuse("image width", width, f"an even number for {encoding}"))
        groups = pixels.reshape(height, width // 2, 4)[::skip, ::skip]
        return _yuv422_to_rgb(groups, luma_first=encoding in ("yuyv", "yuv422_yuy2"))
    channels = pixels.reshape(height, width, _BYTES_PER_PIXEL[encoding])[::skip, ::skip]
    if encoding in ("mono8", "8UC1"):
        return np.repeat(channels, 3, axis=2)
    if encoding in ("bgr8", "bgra8", "8UC3"):
        rgb = np.empty((*channels.shape[:2], 3), dtype=np.uint8)
        for place in range(3):  # plane by plane: four times as fast as reversing the last axis
            rgb[..., place] = channels[..., 2 - place]
        return rgb
    return np.array(channels[:, :, :3], order="C")


def thinning(width: int, height: int) -> int:
    """Return k, when every k-th row and column of a picture is enough for :data:`LARGEST`."""
    return max(1, -(-width // LARGEST[0]), -(-height // LARGEST[1]))


def resize(image: Image, width: int, height: int) -> Image:
    """Return the picture at another size, each new pixel the mean of the area it covers (OpenCV's ``INTER_AREA``).

    :param image: uint8 (H, W, 3).
    :param width: of the result [pixel].
    :param height: of the result [pixel].
    :raises ContractError: on a picture that :func:`checked_image` refuses or a size that is not positive.
    """
    image = checked_image(image)
    if width < 1 or height < 1:
        raise ContractError(refuse("resize", f"{width} x {height}", "a positive width and height"))
    if image.shape[:2] == (height, width):
        return image
    rows, row_weights = _taps(image.shape[0], height, 1)
    columns, column_weights = _taps(image.shape[1], width, 3)
    lines = image.reshape(image.shape[0], -1)
    area = np.zeros((height, lines.shape[1]), dtype=np.float32)
    for index, weight in zip(rows, row_weights, strict=True):
        area += np.multiply(lines[index], weight[:, None], dtype=np.float32)
    result = np.full((height, width * 3), 0.5, dtype=np.float32)
    for index, weight in zip(columns, column_weights, strict=True):
        result += area.take(index, axis=1) * weight
    return result.astype(np.uint8).reshape(height, width, 3)


def _check_size(width: int, height: int, name: str) -> None:
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        allowed = f"{MIN_SIDE} to {MAX_SIDE} pixels in width and height"
        raise ContractError(refuse(f"{name} size", f"{width} x {height}", allowed))


@lru_cache(maxsize=64)
def _taps(source: int, target: int, channels: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return which of ``source`` cells each of ``target`` equal intervals covers, and by how much.

    :returns: indices and weights, each (taps, target * channels), for cells of ``channels`` interleaved values.
    """
    scale = source / target
    start = np.arange(target) * scale
    first = np.floor(start + 1e-9).astype(np.intp)
    count = int((np.ceil(start + scale - 1e-9).astype(np.intp) - first).max())
    cells = first[None, :] + np.arange(count, dtype=np.intp)[:, None]
    overlap = np.minimum(cells + 1.0, start + scale) - np.maximum(cells, start)
    weights = np.clip(overlap, 0.0, None)
    weights /= weights.sum(axis=0)
    values = np.minimum(cells, source - 1)[:, :, None] * channels + np.arange(channels)
    return values.reshape(count, -1), np.repeat(weights, channels, axis=1).astype(np.float32)


def _yuv422_to_rgb(groups: NDArray[np.uint8], luma_first: bool) -> Image:
    """Return RGB of two-pixel groups (H, W / 2, 4) of limited-range ITU-R BT.601 video."""
    luma, chroma = ((0, 2), (1, 3)) if luma_first else ((1, 3), (0, 2))
    height, pairs, _ = groups.shape
    rgb = np.empty((height, pairs, 2, 3), dtype=np.uint8)
    black, low, high = np.float32(0.5 - 16.0 * 1.164383), np.float32(0.0), np.float32(255.0)  # 16 is black, 0.5 rounds
    for top in range(0, height, _STRIP):  # what is between stays in the cache and is not asked of the system anew
        strip = groups[top : top + _STRIP]
        u, v = (strip[:, :, place].astype(np.float32) - np.float32(128.0) for place in chroma)
        # What both pixels of a group share; each is added by itself, as rows of two are slow.
        shared = [
            u * np.float32(of_u) + v * np.float32(of_v) + black
            for of_u, of_v in ((0.0, 1.596027), (-0.391762, -0.812968), (2.017232, 0.0))
        ]
        for side, place in enumerate(luma):
            y = np.multiply(strip[:, :, place], np.float32(1.164383), dtype=np.float32)
            for channel in range(3):
                value = y + shared[channel]
                rgb[top : top + _STRIP, :, side, channel] = value.clip(low, high, out=value)
    return rgb.reshape(height, pairs * 2, 3)
