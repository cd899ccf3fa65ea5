"""Utterances out of a stream, with a detector that hears loud sound as speech."""

from __future__ import annotations

import numpy as np

from neon_ros.sense.audio import RATE, checked_sound
from neon_ros.speech.ear import BEFORE, LONGEST, LOOK_BACK, Ear, Look, Utterance
from neon_ros.speech.pending import Pending

MS = 1_000_000
START = 10**18


class Loudness:
    """Speech is what is loud; counts how often it had to begin anew."""

    resets = 0

    def reset(self) -> None:
        self.resets += 1

    def probability(self, window: np.ndarray) -> float:
        return float(np.abs(window).max() > 0.1)


def track(*parts: tuple[float, float]) -> np.ndarray:
    """Return sound of parts (seconds, loudness)."""
    return np.concatenate([np.full(round(RATE * seconds), level, np.float32) for seconds, level in parts])


def heard(ear: Ear, sound: np.ndarray, piece: int = 800, start: int = START) -> list[Look | Utterance]:
    events: list[Look | Utterance] = []
    for at in range(0, len(sound), piece):
        stamp = start + at * 1_000_000_000 // RATE
        events += ear.push(checked_sound(stamp, sound[at : at + piece], RATE, 1))
    return events


def test_an_utterance_is_cut_at_its_pause_and_keeps_its_beginning() -> None:
    sound = track((1.0, 0.0), (1.5, 0.5), (1.0, 0.0), (0.03, 0.5), (1.0, 0.0))
    events = heard(Ear(Loudness()), sound)
    (said,) = [event for event in events if isinstance(event, Utterance)]  # the click is none
    assert not said.flaw
    loud = np.flatnonzero(said.samples > 0.1)
    assert loud.size == 1.5 * RATE  # nothing of it is lost
    assert 0.1 * RATE < loud[0] < BEFORE * RATE
    assert abs(said.start_ns + loud[0] * 1_000_000_000 // RATE - (START + 1000 * MS)) < MS
    assert said.end_ns - (START + 2500 * MS) in range(500 * MS, 560 * MS)
    looks = [event for event in events if isinstance(event, Look)]
    assert 4 <= len(looks) <= 7 and max(len(look.samples) for look in looks) <= LOOK_BACK * RATE


def test_pieces_of_any_length_say_the_same() -> None:
    sound = track((0.5, 0.0), (0.8, 0.4), (0.7, 0.0))
    (one,) = [e for e in heard(Ear(Loudness()), sound, 37) if isinstance(e, Utterance)]
    (other,) = [e for e in heard(Ear(Loudness()), sound, 16_000) if isinstance(e, Utterance)]
    assert np.array_equal(one.samples, other.samples) and abs(one.end_ns - other.end_ns) < MS


def test_a_hole_ends_the_utterance_and_says_so() -> None:
    detector = Loudness()
    ear = Ear(detector)
    assert not [e for e in heard(ear, track((0.5, 0.0), (0.5, 0.5))) if isinstance(e, Utterance)]
    (cut, *_) = heard(ear, track((0.3, 0.5)), start=START + 1400 * MS)
    assert isinstance(cut, Utterance) and cut.flaw == "a hole of 0.40 s in the sound"
    assert ear.holes == 1 and detector.resets == 1


def test_endless_speech_is_handed_on_in_pieces_that_are_flawed() -> None:
    said = [e for e in heard(Ear(Loudness()), track((2.2 * LONGEST, 0.5))) if isinstance(e, Utterance)]
    assert [u.flaw for u in said] == ["longer than 12 s without a pause"] * 2
    assert all(len(u.samples) <= (LONGEST + 0.1) * RATE for u in said)


def test_a_backlog_drops_what_is_old_and_lets_looks_pass_first() -> None:
    pending = Pending()
    old, middle, new = (Utterance(n, n + 1, np.zeros(1, np.float32)) for n in range(3))
    for event in (old, middle, new, Look(5, np.zeros(1, np.float32)), Look(6, np.zeros(1, np.float32))):
        pending.put(event, muted=False)
    taken = [pending.take() for _ in range(3)]
    assert [job.event.end_ns for job in taken if job] == [6, 2, 3] and pending.dropped == 1
    pending.close()
    assert pending.take() is None
