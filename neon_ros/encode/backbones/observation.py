"""What a backbone may be shown: a window of pictures with stamps, the sound beside them, and an instruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from neon_ros.contracts import FloatArray
from neon_ros.errors import ContractError, refuse
from neon_ros.sense.image import Image, checked_image
from neon_ros.sense.instruction import checked_instruction

SAMPLE_RATE = 16_000
"""Samples per second of every :class:`Sound` [Hz]; the robot's microphones and all three models agree on it."""
MAX_SECONDS = 60.0
"""Longest sound or window of pictures that is accepted [s]."""


class Frame(NamedTuple):
    """One picture.

    :param stamp_ns: capture time [ns, ROS clock].
    :param rgb: uint8 (H, W, 3).
    """

    stamp_ns: int
    rgb: Image


@dataclass(frozen=True)
class Sound:
    """What was heard, without gaps.

    :param start_ns: capture time of the first sample [ns, ROS clock].
    :param samples: float32 (S,), mono, full scale ±1.
    :param rate: samples per second [Hz]; only :data:`SAMPLE_RATE` is accepted, nothing is resampled here.
    :raises ContractError: on no samples, more than one channel, another rate, values beyond ±1 or not finite.
    """

    start_ns: int
    samples: FloatArray
    rate: int = SAMPLE_RATE

    def __post_init__(self) -> None:
        if self.rate != SAMPLE_RATE:
            raise ContractError(refuse("sound.rate", f"{self.rate} Hz", f"{SAMPLE_RATE} Hz"))
        if not isinstance(self.samples, np.ndarray) or self.samples.dtype != np.float32 or self.samples.ndim != 1:
            got = f"{getattr(self.samples, 'dtype', type(self.samples).__name__)} {np.shape(self.samples)}"
            raise ContractError(refuse("sound.samples", got, "a float32 array (S,) of one channel"))
        if not 1 <= len(self.samples) <= MAX_SECONDS * SAMPLE_RATE:
            allowed = f"1 sample to {MAX_SECONDS:g} s at {SAMPLE_RATE} Hz"
            raise ContractError(refuse("sound.samples", f"{len(self.samples)} samples", allowed))
        if not np.isfinite(self.samples).all() or np.abs(self.samples).max() > 1.0:
            worst = self.samples[int(np.argmax(~(np.abs(self.samples) <= 1.0)))]
            raise ContractError(refuse("sound.samples", f"a value of {worst}", "finite values from -1 to 1"))

    @property
    def end_ns(self) -> int:
        """Return the time after the last sample [ns, ROS clock]."""
        return self.start_ns + round(len(self.samples) * 1e9 / SAMPLE_RATE)

    def since(self, stamp_ns: int) -> Sound | None:
        """Return the part from ``stamp_ns`` on; ``None`` if nothing is that young."""
        skip = max(0, -((self.start_ns - stamp_ns) * SAMPLE_RATE // 1_000_000_000))
        if skip >= len(self.samples):
            return None
        return Sound(self.start_ns + skip * 1_000_000_000 // SAMPLE_RATE, self.samples[skip:])

    def joined(self, later: Sound) -> Sound:
        """Return this sound followed by ``later``.

        :raises ContractError: when more than 20 ms lie between the two, or they overlap by as much.
        """
        gap = later.start_ns - self.end_ns
        if abs(gap) > 20_000_000:
            raise ContractError(
                refuse(
                    "sound",
                    f"{gap / 1e6:.0f} ms between two pieces",
                    "pieces that follow each other; clear() starts anew",
                )
            )
        # The two clocks drift apart by a few ms in a minute; small steps keep what was heard in its place.
        start = self.start_ns + (gap if abs(gap) > 5_000_000 else 0)
        return Sound(start, np.concatenate([self.samples, later.samples]))


@dataclass(frozen=True)
class Observation:
    """A window of what the robot saw, heard and was told.

    :param frames: at least one picture, oldest first.
    :param instruction: the words in force; empty for none.
    :param sound: what was heard meanwhile; ``None`` when there is no microphone.
    :raises ContractError: on no frames, stamps that do not increase, a picture, sound or instruction that cannot be
        read, or a window longer than :data:`MAX_SECONDS`.
    """

    frames: tuple[Frame, ...]
    instruction: str = ""
    sound: Sound | None = None

    def __post_init__(self) -> None:
        if not self.frames:
            raise ContractError(refuse("observation.frames", "none", "at least one picture"))
        for place, frame in enumerate(self.frames):
            checked_image(frame.rgb, f"observation.frames[{place}]")
            if place and frame.stamp_ns <= self.frames[place - 1].stamp_ns:
                got = f"{frame.stamp_ns} after {self.frames[place - 1].stamp_ns}"
                raise ContractError(refuse(f"observation.frames[{place}].stamp_ns", got, "stamps that increase"))
        if self.instruction:
            checked_instruction(self.instruction)
        ends = [self.frames[-1].stamp_ns, *([self.sound.end_ns] if self.sound else [])]
        seconds = (max(ends) - self.start_ns) / 1e9
        if seconds > MAX_SECONDS:
            raise ContractError(refuse("observation", f"{seconds:.1f} s long", f"at most {MAX_SECONDS:g} s"))

    @property
    def start_ns(self) -> int:
        """Return the time of the oldest picture or sample [ns, ROS clock]."""
        first = self.frames[0].stamp_ns
        return min(first, self.sound.start_ns) if self.sound else first
