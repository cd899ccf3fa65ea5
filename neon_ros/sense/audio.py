"""Sound from any microphone to one stream: mono, 16 kHz, float32, without holes that nobody was told of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neon_ros.contracts import FloatArray
from neon_ros.errors import ContractError, refuse

RATE = 16_000
"""Samples per second of everything behind this door [Hz]."""
RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
"""Rates that are resampled [Hz]; another one is a wrong header rather than a microphone."""
MAX_CHANNELS = 8
"""Most channels; larger arrays of microphones are mixed by their drivers."""
MAX_SECONDS = 2.0
"""Longest piece [s]; a stop in a longer one would come too late."""
FULL_SCALE = 1.001
"""Largest magnitude; drivers that divide by 32767 give 1.00003."""
JITTER = 0.06
"""Distance between where a piece should begin and where its stamp says it does that is no gap [s]."""
_TAPS = 16
"""Zero crossings of the resampling filter on each side."""


class Sound(NamedTuple):
    """A checked piece of sound, as the microphone gave it.

    :param stamp_ns: capture of the first sample [ns, ROS clock].
    :param rate: [Hz], one of :data:`RATES`.
    :param mono: float32 (S,), the mean of the channels.
    """

    stamp_ns: int
    rate: int
    mono: FloatArray

    @property
    def end_ns(self) -> int:
        """Return the time after the last sample [ns, ROS clock]."""
        return self.stamp_ns + len(self.mono) * 1_000_000_000 // self.rate


def checked_sound(stamp_ns: int, samples: FloatArray, rate: int, channels: int) -> Sound:
    """Return a piece of sound, its channels mixed.

    :param samples: float32 (S * channels,), interleaved, -1 to 1.
    :param rate: samples per second and channel [Hz].
    :raises ContractError: on another rate, too many channels, no sound or too much of it, half a sample, values that
        are not finite or beyond full scale.
    """
    if rate not in RATES:
        raise ContractError(refuse("audio.sample_rate", f"{rate} Hz", ", ".join(map(str, RATES))))
    if not 1 <= channels <= MAX_CHANNELS:
        raise ContractError(refuse("audio.channels", channels, f"1 to {MAX_CHANNELS}"))
    longest = int(MAX_SECONDS * rate) * channels
    if not 1 <= len(samples) <= longest:
        raise ContractError(refuse("audio.samples", f"{len(samples)} values", f"1 to {longest} ({MAX_SECONDS:g} s)"))
    if len(samples) % channels:
        raise ContractError(refuse("audio.samples", f"{len(samples)} values", f"a multiple of {channels} channels"))
    loud = np.abs(samples) <= FULL_SCALE  # false for NaN as well
    if not loud.all():
        first = int(np.argmin(loud))
        raise ContractError(refuse(f"audio.samples[{first}]", samples[first], "finite values from -1 to 1"))
    frames = samples.reshape(-1, channels)
    mono = frames[:, 0] if channels == 1 else frames.mean(axis=1, dtype=np.float32)
    return Sound(stamp_ns, rate, np.ascontiguousarray(mono, dtype=np.float32))


class Resampler:
    """Bring a stream to 16 kHz by a windowed sinc that keeps the end of one piece for the next.

    :param rate: of the stream [Hz], one of :data:`RATES`.
    """

    def __init__(self, rate: int) -> None:
        divisor = int(np.gcd(rate, RATE))
        self.rate = rate
        self._up, self._down = RATE // divisor, rate // divisor
        cutoff = min(1.0, RATE / rate)  # of the stream's own Nyquist frequency
        self._reach = int(np.ceil(_TAPS / cutoff))
        grid = np.arange(-self._reach + 1, self._reach + 1)
        phases = np.arange(self._up)[:, None] / self._up
        distance = grid - phases  # (up, 2 * reach), in samples of the stream
        window = np.cos(0.5 * np.pi * np.clip(distance / self._reach, -1.0, 1.0)) ** 2
        kernel = cutoff * np.sinc(cutoff * distance) * window
        self._kernel = (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget the past, as after a gap."""
        self._held = np.zeros(self._reach - 1, dtype=np.float32)
        self._next = 0  # position of the next output, in 1/up samples after the first held centre

    def push(self, mono: FloatArray) -> FloatArray:
        """Return what can be said at 16 kHz so far, float32 (S',); the last millisecond waits for the next piece.

        :param mono: float32 (S,) at the stream's rate.
        """
        if self.rate == RATE:
            return mono
        sound = np.concatenate([self._held, mono])
        centres = len(sound) - (2 * self._reach - 1)  # positions with both sides known
        count = max(0, -((self._next - centres * self._up) // self._down))
        places = self._next + self._down * np.arange(count)
        start, phase = places // self._up, places % self._up
        windows = np.lib.stride_tricks.sliding_window_view(sound, 2 * self._reach) if count else sound[:0, None]
        out = np.einsum("ij,ij->i", windows[start], self._kernel[phase]) if count else np.zeros(0)
        spent = min(max(0, centres), (self._next + self._down * count) // self._up)
        self._held = sound[spent:]
        self._next += self._down * count - spent * self._up
        return out.astype(np.float32)


class Stream:
    """One microphone over time: pieces in, continuous 16 kHz out; holes are told.

    :param what: the name used in errors.
    """

    def __init__(self, what: str = "audio") -> None:
        self._what = what
        self._resampler = Resampler(RATE)
        self._due_ns: int | None = None
        self._channels = 0

    def push(self, sound: Sound) -> tuple[FloatArray, float]:
        """Return the piece at 16 kHz, float32 (S,), and the length of the hole before it [s]; 0.0 for none.

        A clock that was set back, or another rate, is a hole of unknown length: infinity.

        :raises ContractError: on a piece that overlaps what was heard, as of a second microphone on the topic.
        """
        hole = 0.0
        if self._due_ns is not None:
            late = (sound.stamp_ns - self._due_ns) * 1e-9
            if -MAX_SECONDS <= late < -JITTER:
                raise ContractError(
                    refuse(f"{self._what} stamp", f"{-late:.3f} s before the end of the last piece", "one stream")
                )
            if sound.rate != self._resampler.rate or late < -MAX_SECONDS:
                hole = float("inf")
            elif late > JITTER:
                hole = late
        if hole or sound.rate != self._resampler.rate:
            self._resampler = Resampler(sound.rate)
        self._due_ns = sound.end_ns
        return self._resampler.push(sound.mono), hole
