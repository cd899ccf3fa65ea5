"""From a stream of sound to what is worth recognising: whole utterances, and looks at unfinished ones for a stop.

Nothing here recognises words or takes long; a recogniser works off the events in its own time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from neon_ros.contracts import FloatArray
from neon_ros.sense.audio import RATE, Sound, Stream
from neon_ros.speech.voice import WINDOW

STEP = WINDOW / RATE
"""Time of one window [s]."""
SPEECH, SILENCE = 0.5, 0.35
"""Probabilities from which speech begins, and below which it pauses (the model's own defaults, utils_vad.py)."""
BEGIN = 3
"""Windows of speech, among the newest 4, that begin an utterance; a click lasts one or two."""
BEFORE = 0.35
"""Sound kept from before the beginning [s]: the first consonant is quiet."""
LONGEST = 12.0
"""Longest utterance [s]; what goes on longer is a radio."""
LOOK_PERIOD = 0.32
"""Time between two looks for a stop while somebody speaks [s]."""
LOOK_BACK = 2.0
"""Sound that a look is made of [s]."""


class Detector(Protocol):
    """What tells speech from other sound, see :class:`neon_ros.speech.voice.VoiceDetector`."""

    def reset(self) -> None:
        """Forget what was heard."""

    def probability(self, window: FloatArray) -> float:
        """Return the probability of speech in a window."""


class Look(NamedTuple):
    """The newest sound of somebody who still speaks.

    :param end_ns: capture time after the last sample [ns, ROS clock].
    :param samples: float32 (S,), mono, 16 kHz.
    """

    end_ns: int
    samples: FloatArray


class Utterance(NamedTuple):
    """What somebody said between two pauses.

    :param start_ns: capture of the first sample [ns, ROS clock].
    :param end_ns: capture time after the last sample.
    :param samples: float32 (S,), mono, 16 kHz.
    :param flaw: why it cannot be taken as said in full; empty when it can.
    """

    start_ns: int
    end_ns: int
    samples: FloatArray
    flaw: str = ""


@dataclass
class _Open:
    """An utterance that goes on."""

    windows: list[FloatArray]
    start_ns: int
    silent: int = 0
    since_look: int = 0


class Ear:
    """Cut one microphone's sound into utterances.

    :param detector: tells speech from other sound.
    :param pause: silence that ends an utterance [s].
    """

    def __init__(self, detector: Detector, pause: float = 0.5) -> None:
        self._detector = detector
        self._stream = Stream()
        self._pause = max(1, round(pause / STEP))
        self._before: deque[FloatArray] = deque(maxlen=round(BEFORE / STEP))
        self._recent: deque[bool] = deque(maxlen=BEGIN + 1)
        self._rest = np.zeros(0, dtype=np.float32)
        self._open: _Open | None = None
        self.holes = 0

    @property
    def speaking(self) -> bool:
        """Return whether an utterance goes on."""
        return self._open is not None

    def push(self, sound: Sound) -> list[Look | Utterance]:
        """Take the next piece; return what it finished, in order.

        :raises ContractError: on a piece that overlaps what was heard.
        """
        samples, hole = self._stream.push(sound)
        events: list[Look | Utterance] = []
        if hole:
            self.holes += 1
            events += self._interrupt(sound.stamp_ns, hole)
        self._rest = np.concatenate([self._rest, samples])
        whole = len(self._rest) // WINDOW
        for index in range(whole):
            window = self._rest[index * WINDOW : (index + 1) * WINDOW]
            left = len(self._rest) - (index + 1) * WINDOW
            events += self._step(window, sound.end_ns - left * 1_000_000_000 // RATE)
        self._rest = self._rest[whole * WINDOW :].copy()
        return events

    def _interrupt(self, stamp_ns: int, hole: float) -> list[Look | Utterance]:
        """Begin anew after a hole; what was said before it is handed on as incomplete, for the sake of a stop."""
        events = [] if self._open is None else [self._close(stamp_ns, f"a hole of {hole:.2f} s in the sound")]
        self._rest = np.zeros(0, dtype=np.float32)
        self._before.clear()
        self._recent.clear()
        self._detector.reset()
        return list(events)

    def _step(self, window: FloatArray, end_ns: int) -> list[Look | Utterance]:
        probability = self._detector.probability(window)
        if self._open is None:
            self._recent.append(probability >= SPEECH)
            self._before.append(window)
            if sum(self._recent) >= BEGIN:
                kept = list(self._before)
                self._open = _Open(kept, end_ns - len(kept) * round(STEP * 1e9))
            return []
        now = self._open
        now.windows.append(window)
        now.silent = now.silent + 1 if probability < SILENCE else 0
        now.since_look += 1
        if now.silent >= self._pause:
            return [self._close(end_ns)]
        if len(now.windows) * STEP >= LONGEST:
            return [self._close(end_ns, f"longer than {LONGEST:g} s without a pause")]
        if now.since_look * STEP >= LOOK_PERIOD:
            now.since_look = 0
            return [Look(end_ns, np.concatenate(now.windows[-round(LOOK_BACK / STEP) :]))]
        return []

    def _close(self, end_ns: int, flaw: str = "") -> Utterance:
        assert self._open is not None
        done, self._open = self._open, None
        self._before.clear()
        self._recent.clear()
        return Utterance(done.start_ns, end_ns, np.concatenate(done.windows), flaw)
