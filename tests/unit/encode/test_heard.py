"""The sound between two pictures: complete and in its place, or known to be broken."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.encode.backbones.heard import LONGEST, SoundSince
from neon_ros.encode.backbones.observation import Sound
from neon_ros.sense.audio import checked_sound

START, MS = 10**18, 1_000_000


def pieces(heard: SoundSince, count: int, first: int = 0, late: int = 0, jitter: int = 0, level: float = 0.1) -> None:
    """Push pieces of 20 ms: the sound is a ramp of piece numbers, so that a lost one is seen."""
    for number in range(first, first + count):
        samples = np.full(320, level + number * 1e-4, dtype=np.float32)
        wobble = jitter * (-1) ** number
        heard.push(checked_sound(START + number * 20 * MS + late + wobble, samples, 16_000, 1))


def test_pictures_share_the_sound_without_loss_or_overlap() -> None:
    heard, whole = SoundSince(), None
    assert heard.take() is None and not heard.broken
    for first in range(0, 100, 5):
        pieces(heard, 5, first, jitter=15 * MS)  # a window never joins pieces that are more than 20 ms apart
        taken = heard.take()
        assert isinstance(taken, Sound)
        whole = taken if whole is None else whole.joined(taken)
    assert whole is not None and len(whole.samples) == 100 * 320 and not heard.broken
    assert np.allclose(whole.samples.reshape(100, 320)[:, 0], 0.1 + np.arange(100) * 1e-4)


def test_the_clock_follows_stamps_that_drift() -> None:
    heard = SoundSince()
    for first in range(0, 300, 5):
        pieces(heard, 5, first, late=first * MS // 10)  # 0.5 % slow
        taken = heard.take()
    assert taken is not None and abs(taken.start_ns - (START + 295 * 20 * MS + 29 * MS)) < 10 * MS


@pytest.mark.parametrize("why", ["hole", "camera away", "not read"])
def test_a_broken_stream_is_told_once_and_starts_anew(why: str) -> None:
    heard = SoundSince()
    pieces(heard, 5)
    heard.take()
    if why == "hole":
        pieces(heard, 5, 20)
    elif why == "camera away":
        pieces(heard, int(LONGEST / 0.02) + 3, 5)
    else:
        heard.lose()
        pieces(heard, 5, 5)
    assert heard.broken
    taken = heard.take()
    assert taken is not None and len(taken.samples) <= 5 * 320 and not heard.broken


def test_a_filter_that_overshoots_stays_in_range() -> None:
    heard = SoundSince()
    square = np.sign(np.sin(np.arange(4410) / 7.0)).astype(np.float32)
    heard.push(checked_sound(START, square, 44_100, 1))
    taken = heard.take()
    assert taken is not None and np.abs(taken.samples).max() == 1.0
