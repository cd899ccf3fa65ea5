"""Rolling windows that begin in steps, so that a model that reads forward never has to read a picture twice.

A causal model's memory of a window is worth keeping only while the window grows at its end; were the oldest picture
dropped at each new one, every number would change.  So a window grows to ``frames`` pictures and is then followed by a
younger one that began ``stride`` pictures later and was read beside it all the time: each new picture is appended to
``frames / stride`` windows, none is read again, and no picture costs more than another.
"""

from __future__ import annotations

from neon_ros.encode.backbones.observation import MAX_SECONDS, Frame, Observation, Sound
from neon_ros.errors import ConfigError, ContractError, refuse

_SPAN_NS = round(MAX_SECONDS * 0.5e9)
"""A window that began longer ago [ns] is given up: the camera was away, and the next one starts anew."""


class RollingWindows:
    """Overlapping windows over one stream of pictures and sound.

    :param frames: most pictures of a window.
    :param stride: pictures between the beginnings of two windows; divides ``frames``.
    :raises ConfigError: on numbers that do not fit.
    """

    def __init__(self, frames: int, stride: int) -> None:
        if not 1 <= frames <= 64:
            raise ConfigError(refuse("frames", frames, "1 to 64"))
        if stride < 1 or frames % stride:
            raise ConfigError(refuse("stride", stride, f"a divisor of {frames} frames"))
        self.frames, self.stride = frames, stride
        self.clear()

    def clear(self) -> None:
        """Forget all pictures and sounds."""
        self._windows: dict[int, list[Frame]] = {}
        self._sound: Sound | None = None
        self._seen = 0

    def add(self, frame: Frame, instruction: str, sound: Sound | None) -> dict[int, Observation]:
        """Return the windows after one more picture, by the number of their first picture, oldest first.

        :param sound: heard since the last call; pieces must follow each other.
        :raises ContractError: on a picture that is not younger than the last, or pieces of sound with a gap; after
            that, :meth:`clear` starts anew.
        """
        last = next(iter(self._windows.values()))[-1].stamp_ns if self._windows else None
        if last is not None and frame.stamp_ns <= last:
            raise ContractError(refuse("frame.stamp_ns", f"{frame.stamp_ns} after {last}", "stamps that increase"))
        oldest = frame.stamp_ns - _SPAN_NS
        heard = self._sound if sound is None else sound if self._sound is None else self._sound.joined(sound)
        windows = {
            first: [*window, frame]
            for first, window in self._windows.items()
            if len(window) < self.frames and window[0].stamp_ns >= oldest
        }
        if self._seen % self.stride == 0 or not windows:
            windows[self._seen] = [frame]
        observations = {
            first: Observation(tuple(window), instruction, heard and heard.since(window[0].stamp_ns))
            for first, window in windows.items()
        }
        begin = next(iter(windows.values()))[0].stamp_ns
        self._windows, self._sound, self._seen = windows, heard and heard.since(begin), self._seen + 1
        return observations
