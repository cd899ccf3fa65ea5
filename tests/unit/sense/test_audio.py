"""The door of sound: what is refused by name, and a resampler that does not care where pieces are cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from neon_ros.errors import ContractError
from neon_ros.sense.audio import RATE, RATES, Resampler, Sound, Stream, checked_sound

SECOND = 1_000_000_000


def tone(rate: int, hertz: float = 440.0, seconds: float = 0.5) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "rate", "channels", "said"),
    [
        (np.zeros(0), RATE, 1, r"audio\.samples: got 0 values; allowed: 1 to 32000 \(2 s\)"),
        (np.zeros(32_001), RATE, 1, "got 32001 values"),
        (np.zeros(12), RATE, 9, "audio.channels: got 9; allowed: 1 to 8"),
        (np.zeros(12), RATE, 0, "audio.channels: got 0"),
        (np.zeros(13), 44_100, 8, "got 13 values; allowed: a multiple of 8 channels"),
        (np.zeros(12), 44_000, 1, "audio.sample_rate: got 44000 Hz; allowed: 8000, "),
        (np.zeros(12), 0, 1, "audio.sample_rate: got 0 Hz"),
        (np.array([0.0, np.nan, 9.0]), RATE, 1, r"audio\.samples\[1\]: got nan; allowed: finite values from -1 to 1"),
        (np.array([0.0, 0.0, -np.inf]), RATE, 1, r"audio\.samples\[2\]: got -inf"),
        (np.array([32767.0]), RATE, 1, r"audio\.samples\[0\]: got 32767"),
    ],
)
def test_refuses_what_no_microphone_sends(samples: np.ndarray, rate: int, channels: int, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        checked_sound(1, samples.astype(np.float32), rate, channels)


def test_eight_channels_at_44100_become_the_one_that_was_played() -> None:
    played = tone(44_100)
    sound = checked_sound(SECOND, np.repeat(played, 8), 44_100, 8)
    heard, hole = Stream().push(sound)
    assert hole == 0.0 and len(heard) == pytest.approx(RATE // 2, abs=20)
    assert np.abs(heard[100:] - tone(RATE)[100 : len(heard)]).max() < 2e-3


@pytest.mark.parametrize("rate", RATES)
def test_resampling_does_not_care_where_the_pieces_are_cut(rate: int) -> None:
    played = tone(rate) + tone(rate, 1000.0)
    whole = Resampler(rate).push(played)
    rng, pieces, resampler = np.random.default_rng(0), [], Resampler(rate)
    cuts = [0, *sorted(rng.integers(0, len(played), 12)), len(played)]
    for start, end in pairwise(cuts):
        pieces.append(resampler.push(played[start:end]))
    assert np.array_equal(np.concatenate(pieces), whole)
    assert abs(len(whole) - RATE // 2) <= 40


def test_what_16_khz_cannot_hold_is_gone_instead_of_folded_down() -> None:
    assert np.abs(Resampler(48_000).push(tone(48_000, 11_000.0))[200:]).max() < 0.01


def test_holes_are_told_and_a_second_microphone_is_refused() -> None:
    stream, piece = Stream(), tone(RATE, seconds=0.1)
    assert stream.push(Sound(SECOND, RATE, piece))[1] == 0.0
    assert stream.push(Sound(SECOND + 130_000_000, RATE, piece))[1] == 0.0  # 30 ms late: jitter
    assert stream.push(Sound(SECOND + 500_000_000, RATE, piece))[1] == pytest.approx(0.27)
    with pytest.raises(ContractError, match=r"audio stamp: got 0\.100 s before the end of the last piece"):
        stream.push(Sound(SECOND + 500_000_000, RATE, piece))
    assert stream.push(Sound(SECOND + 600_000_000, 48_000, piece))[1] == float("inf")
    assert Stream().push(Sound(1, 48_000, piece))[1] == 0.0
