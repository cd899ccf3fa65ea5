"""Pictures at the door, and the resize that every picture goes through."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.errors import ContractError
from neon_ros.sense import image as sense

RANDOM = np.random.default_rng(0)


def picture(height: int, width: int) -> sense.Image:
    return RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)


def mean_of_areas(image: sense.Image, width: int, height: int) -> np.ndarray:
    """Resize by the definition: cut every pixel into width x height parts and average blocks of them."""
    parts = np.repeat(np.repeat(image.astype(np.float64), height, axis=0), width, axis=1)
    return parts.reshape(height, image.shape[0], width, image.shape[1], 3).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("source", "target"),
    [((24, 42), (13, 22)), ((20, 30), (40, 60)), ((17, 31), (16, 16)), ((48, 40), (10, 7)), ((32, 32), (8, 8))],
)
def test_resize_gives_the_mean_of_the_area_each_pixel_covers(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = picture(*source)
    resized = sense.resize(image, target[1], target[0])
    assert resized.dtype == np.uint8 and resized.shape == (*target, 3) and resized.flags.c_contiguous
    assert np.abs(resized - mean_of_areas(image, target[1], target[0])).max() <= 0.5 + 1e-3


def test_resize_keeps_a_plain_colour_and_an_equal_size() -> None:
    white = np.full((240, 424, 3), 255, dtype=np.uint8)
    assert (sense.resize(white, 224, 128) == 255).all()
    image = picture(128, 224)
    assert np.array_equal(sense.resize(image, 224, 128), image)


def test_resize_takes_4k_and_a_view() -> None:
    assert sense.resize(np.zeros((2160, 3840, 3), dtype=np.uint8), 224, 128).shape == (128, 224, 3)
    image = picture(64, 64)
    flipped = image[:, ::-1]
    assert np.array_equal(sense.resize(flipped, 16, 16), sense.resize(np.ascontiguousarray(flipped), 16, 16))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((1, 1, 3), dtype=np.uint8), "image size: got 1 x 1; allowed: 16 to 8192 pixels"),
        (np.zeros((16, 9000, 3), dtype=np.uint8), "image size: got 9000 x 16"),
        (np.zeros((32, 32), dtype=np.uint8), r"image shape: got \(32, 32\); allowed: \(H, W, 3\)"),
        (np.zeros((32, 32, 4), dtype=np.uint8), r"image shape: got \(32, 32, 4\)"),
        (np.zeros((32, 32, 3), dtype=np.float32), "image: got float32 array; allowed: a uint8 array"),
        ([[1, 2, 3]], "image: got list"),
    ],
)
def test_what_is_no_picture_is_refused(image: object, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        sense.resize(image, 224, 128)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(0, 10), (10, -1)])
def test_a_resize_to_nothing_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ContractError, match=r"resize: got .* allowed: a positive width and height"):
        sense.resize(picture(32, 32), *size)


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("8UC3", [2, 1, 0]), ("rgba8", [0, 1, 2]), ("bgra8", [2, 1, 0])],
)
@pytest.mark.parametrize("padding", [0, 5])
def test_channels_come_out_red_first_and_row_padding_is_skipped(encoding: str, order: list[int], padding: int) -> None:
    channels = 4 if "a8" in encoding else 3
    raw = RANDOM.integers(0, 256, (18, 20, channels), dtype=np.uint8)
    rows = np.pad(raw.reshape(18, -1), ((0, 0), (0, padding)), constant_values=99)
    decoded = sense.decode(rows.tobytes(), 20, 18, encoding, rows.shape[1])
    assert np.array_equal(decoded, raw[:, :, order]) and decoded.flags.c_contiguous


def test_grey_becomes_three_equal_channels() -> None:
    raw = RANDOM.integers(0, 256, (16, 17), dtype=np.uint8)
    decoded = sense.decode(raw, 17, 16, "mono8")
    assert np.array_equal(decoded, np.stack([raw] * 3, axis=-1))


@pytest.mark.parametrize("encoding", ["yuyv", "yuv422_yuy2", "uyvy", "yuv422"])
def test_video_colours_follow_bt601(encoding: str) -> None:
    # ITU-R BT.601, limited range: Y, U, V of the colour bars
    bars = {
        (255, 255, 255): (235, 128, 128),
        (0, 0, 0): (16, 128, 128),
        (255, 0, 0): (81, 90, 240),
        (0, 255, 0): (145, 54, 34),
        (0, 0, 255): (41, 240, 110),
    }
    for rgb, (y, u, v) in bars.items():
        group = [y, u, y, v] if encoding in ("yuyv", "yuv422_yuy2") else [u, y, v, y]
        raw = np.tile(np.array(group, dtype=np.uint8), 16 * 8)
        decoded = sense.decode(raw.tobytes(), 16, 16, encoding)
        assert np.abs(decoded.astype(int) - np.array(rgb)).max() <= 2, rgb


def test_two_pixels_of_a_video_group_keep_their_own_brightness() -> None:
    raw = np.tile(np.array([16, 128, 235, 128], dtype=np.uint8), 16 * 8)
    decoded = sense.decode(raw, 16, 16, "yuyv")
    assert (decoded[:, 0::2] == 0).all() and (decoded[:, 1::2] == 255).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((b"", 16, 16, "jpeg"), "image encoding: got jpeg; allowed: rgb8, bgr8"),
        ((b"", 0, 16, "rgb8"), "image size: got 0 x 16"),
        ((bytes(768), 16, 16, "rgb8", 40), "image step: got 40; allowed: at least 48 bytes for 16 pixels of rgb8"),
        ((bytes(767), 16, 16, "rgb8"), "image data: got 767 bytes; allowed: 768"),
        ((bytes(17 * 16 * 2), 17, 16, "yuyv"), "image width: got 17; allowed: an even number for yuyv"),
    ],
)
def test_a_malformed_message_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        sense.decode(*arguments)


def test_the_result_does_not_alias_the_message() -> None:
    raw = np.zeros((16, 16, 3), dtype=np.uint8)
    decoded = sense.decode(raw, 16, 16, "rgb8")
    raw[:] = 7
    assert (decoded == 0).all()


@pytest.mark.parametrize("encoding", ["rgb8", "bgra8", "mono8", "yuyv"])
def test_a_4k_picture_is_thinned_before_its_colours_are_read(encoding: str) -> None:
    block = np.zeros((2160, 3840, {"rgb8": 3, "bgra8": 4, "mono8": 1, "yuyv": 2}[encoding]), dtype=np.uint8)
    block[:1080] = 200
    decoded = sense.decode(block, 3840, 2160, encoding)
    assert decoded.shape == (1080, 1920, 3)
    assert (decoded[:540] == decoded[0, 0]).all() and (decoded[540:] == decoded[-1, -1]).all()
    assert sense.decode(block[:1080, :1920].copy(), 1920, 1080, encoding).shape == (1080, 1920, 3)
