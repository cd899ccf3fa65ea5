"""JPEG and PNG pictures: read as they look, bounded, and refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest

from neon_ros.errors import ContractError
from neon_ros.sense.compressed import MAX_BYTES, decode_compressed

Pillow = pytest.importorskip("PIL.Image")
ROW, COLUMN = np.mgrid[:48, :64]
RGB = np.stack([4 * COLUMN, 5 * ROW, 255 - 4 * COLUMN], axis=-1).astype(np.uint8)


def packed(rgb: Any, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Pillow.fromarray(rgb).save(out, kind, **options)
    return out.getvalue()


def test_pictures_look_as_they_did() -> None:
    assert np.array_equal(decode_compressed(packed(RGB, "PNG")), RGB)
    assert np.abs(decode_compressed(memoryview(packed(RGB, "JPEG", quality=95))).astype(int) - RGB).max() < 12
    grey = decode_compressed(packed(RGB[:, :, 0], "JPEG", quality=95))
    assert grey.shape == RGB.shape and (grey[..., 0] == grey[..., 2]).all()
    alpha = np.concatenate([RGB, RGB[:, :, :1]], axis=-1)
    assert np.array_equal(decode_compressed(packed(alpha, "PNG")), RGB)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_4k_picture_comes_smaller(kind: str) -> None:
    large = np.zeros((2160, 3840, 3), dtype=np.uint8)
    large[:, 1920:] = 255
    small = decode_compressed(packed(large, kind))
    assert small.shape == (1080, 1920, 3) and small.flags.c_contiguous
    assert small[500, 100].max() < 5 and small[500, 1800].min() > 250


def claims(width: int, height: int) -> bytes:
    """Return a PNG that says it is of a size and holds nothing."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    body = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "compressed image: got 0 bytes; allowed: 1 to"),
        (bytes(MAX_BYTES + 1), r"compressed image: got 32000001 bytes"),
        (b"GIF89a not here", "compressed image: got UnidentifiedImageError; allowed: a whole JPEG or PNG"),
        (packed(RGB, "BMP"), "got UnidentifiedImageError"),
        (packed(RGB, "JPEG")[:-20], "compressed image: got image file is truncated"),
        (packed(RGB, "PNG")[:-60], "compressed image: got"),
        (claims(8192, 8192), "compressed image size: got 8192 x 8192; allowed: 16 to 8192 pixels .* 16777216 in all"),
        (claims(30000, 30000), "compressed image: got .*decompression bomb|size: got 30000 x 30000"),
        (packed(RGB[:8, :8], "PNG"), "compressed image size: got 8 x 8"),
        (packed(RGB[:, :, 0].astype(np.uint16), "PNG"), "compressed image: got PNG of mode I;16; allowed: 8 bits"),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        decode_compressed(data)
