"""The log-mel spectrogram that Whisper was trained on.

Radford et al. 2022, section 2.2: 80 channels, 25 ms windows, 10 ms apart, of sound at 16 kHz.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from neon_ros.contracts import DoubleArray, FloatArray
from neon_ros.sense.audio import RATE

CHANNELS = 80
HOP, WINDOW = RATE // 100, RATE // 40
"""Samples between two columns, and in one of them."""
_LINEAR_HZ = 200.0 / 3
"""Width of one mel below 1000 Hz; above, 27 mels are a factor of 6.4 (Slaney, Auditory Toolbox, 1998) [Hz]."""


def _hertz(mel: DoubleArray) -> DoubleArray:
    """Return the frequencies of ``mel`` on Slaney's scale [Hz]."""
    knee = 1000.0 / _LINEAR_HZ
    return np.where(mel < knee, mel * _LINEAR_HZ, 1000.0 * np.exp(np.log(6.4) / 27.0 * (mel - knee)))


@lru_cache(maxsize=1)
def filters() -> FloatArray:
    """Return the weights of the triangular filters, each of area 1, float32 (80, 201)."""
    top = 1000.0 / _LINEAR_HZ + 27.0 * np.log(RATE / 2 / 1000.0) / np.log(6.4)
    edges = _hertz(np.linspace(0.0, top, CHANNELS + 2))
    bins = np.fft.rfftfreq(WINDOW, 1.0 / RATE)
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    weights = np.maximum(0.0, np.minimum(rise, fall)) * (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return weights.astype(np.float32)


def log_mel(samples: FloatArray, columns: int) -> FloatArray:
    """Return the spectrogram float32 (80, columns) of mono sound at 16 kHz.

    :param samples: float32 (S,); followed by silence up to ``columns``, cut beyond.
    :param columns: length of the spectrogram, 100 a second.
    """
    length = columns * HOP
    sound = np.zeros(length, dtype=np.float32)
    sound[: min(length, len(samples))] = samples[:length]
    half = WINDOW // 2
    padded = np.pad(sound, half, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:columns]
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2  # (columns, 201)
    levels = np.log10(np.maximum(power @ filters().T, 1e-10))
    levels = np.maximum(levels, levels.max() - 8.0)  # 80 dB below the loudest is silence
    return np.ascontiguousarray(((levels + 4.0) / 4.0).T, dtype=np.float32)
