"""What a backbone that hears is given beside each picture: the sound since the last one, without gaps."""

from __future__ import annotations

import numpy as np

from neon_ros.contracts import FloatArray
from neon_ros.encode.backbones.observation import SAMPLE_RATE, Sound
from neon_ros.sense import audio

LONGEST = 2.0
"""Most sound that waits for a picture [s]; when the camera is away that long, the stream starts anew."""
_STEP_NS = 4_000_000
"""Largest correction of the clock of the samples by their stamps at a picture [ns]; backbones take 5 ms as steady."""


class SoundSince:
    """One microphone, cut at the pictures.

    ``broken`` tells that something is missing since the last picture: the backbone has to begin a new stream.
    """

    def __init__(self) -> None:
        self._stream = audio.Stream()
        self.broken = False
        self._clock_ns: int | None = None
        self.lose()
        self.broken = False

    def lose(self) -> None:
        """Forget what waits, as when the backbone could not read it."""
        self._pieces: list[FloatArray] = []
        self._count = 0
        self._begin_ns = 0
        self._clock_ns = None
        self.broken = True

    def push(self, sound: audio.Sound) -> None:
        """Take the next piece.

        :raises ContractError: on a piece that overlaps what was heard.
        """
        samples, hole = self._stream.push(sound)
        if hole or self._count + len(samples) > LONGEST * SAMPLE_RATE:
            self.lose()
        if not self._count:
            self._begin_ns = sound.stamp_ns
        self._pieces.append(samples)
        self._count += len(samples)

    def take(self) -> Sound | None:
        """Return the sound since the last call; ``None`` when there was none."""
        self.broken = False
        if not self._count:
            return None
        samples = np.clip(np.concatenate(self._pieces), -1.0, 1.0)  # a resampling filter overshoots
        begin_ns = self._begin_ns
        if self._clock_ns is not None:  # the samples follow each other, whatever the jitter of their stamps
            begin_ns = self._clock_ns + min(max(begin_ns - self._clock_ns, -_STEP_NS), _STEP_NS)
        taken = Sound(begin_ns, samples)
        self._pieces, self._count, self._clock_ns = [], 0, taken.end_ns
        return taken
