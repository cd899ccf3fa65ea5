"""What to make of recognised words: stop, an instruction, or nothing, and then why.

Words are passed on as they were heard, or refused.  Nothing is completed, corrected or guessed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from neon_ros.errors import Refused, refuse
from neon_ros.sense.instruction import checked_instruction, require_latin

STOP_WORDS = frozenset({"stop", "stops", "stopped", "stopping", "halt", "freeze"})
"""Any sentence with one of these stops the robot, "don't stop" as well: a needless stop costs a word."""
TASK_WORDS: dict[str, frozenset[str]] = {
    "hand": frozenset({"left", "right"}),
    "colour": frozenset({"red", "yellow", "green", "blue", "orange", "purple"}),
    "thing": frozenset({"cube", "box", "block", "ball", "sphere", "can", "cylinder", "tin", "bar", "stick", "rod"}),
}
"""What a sentence of the task `touch` names, each at least once; a test compares it with the task's own language."""
FEWEST_WORDS = 2
"""Shortest instruction; a recogniser makes single words out of coughs."""
_FILLERS = frozenset({"thank you", "thanks for watching", "thank you for watching", "thank you very much", "bye bye"})
"""What Whisper hears in noise, from the subtitles that it learned from."""


class Heard(NamedTuple):
    """What a recogniser made of a piece of sound.

    :param text: as recognised.
    :param confidence: mean log-probability of its words, at most 0.
    :param no_speech: probability that there are no words at all.
    """

    text: str
    confidence: float
    no_speech: float


def words_of(text: str) -> list[str]:
    """Return the words in lower case, without marks."""
    return re.findall(r"[^\W_]+(?:['\u2019][^\W_]+)*", text.lower())


def is_stop(text: str) -> bool:
    """Return whether somebody wants the robot to stop."""
    return not STOP_WORDS.isdisjoint(words_of(text))


def tidy(text: str) -> str:
    """Return a sentence without what recognisers add: notes in brackets, repetitions of itself, a full stop.

    Whisper repeats a sentence until its window is full; who really says one twice means the same.
    """
    bare = re.sub(r"[\[(*][^\])*]*[\])*]", " ", text)
    kept: list[str] = []
    for sentence in re.findall(r"[^.!?]+[.!?]*", " ".join(bare.split())):
        said = words_of(sentence)
        if said and not (kept and words_of(kept[-1])[: len(said)] == said):
            kept.append(sentence.strip())
    return " ".join(kept).rstrip(" .!,;-")


def check_task(text: str) -> None:
    """Refuse a sentence that is not of the task `touch`: chatter, or words that were misheard.

    :raises Refused: naming what is missing.
    """
    words = " ".join(words_of(text)).replace("can you", "").split()  # a polite request, not a tin
    missing = [name for name, known in TASK_WORDS.items() if known.isdisjoint(words)]
    if missing:
        allowed = "a sentence like 'touch the red cube with your left hand'"
        raise Refused(refuse("heard", f"{text!r}, without a {' and a '.join(missing)}", allowed))


def instruction_of(heard: Heard, least_confidence: float, wake_word: str = "") -> str:
    """Return what the robot is told to do.

    :param least_confidence: below which the words are not believed.
    :param wake_word: with which a sentence must begin, ``robot, ...``; it is taken off.  Empty: every sentence counts.
    :raises Refused: when nobody told it anything, or it is unclear what.
    """
    text = tidy(heard.text)
    words = words_of(text)
    if not words or text.lower() in _FILLERS:
        raise Refused(refuse("heard", repr(text) if text else "no words", "a sentence"))
    if heard.confidence < least_confidence:
        got = f"{text!r} with confidence {heard.confidence:.2f}"
        raise Refused(refuse("heard", got, f"words with at least {least_confidence:.2f}: say it again"))
    if wake_word:
        name = words_of(wake_word)
        if words[: len(name)] != name:
            raise Refused(refuse("heard", repr(text), f"a sentence that begins with {wake_word!r}"))
        text = re.sub(r"^\W*" + r"\W+".join(map(re.escape, name)) + r"\W*", "", text, flags=re.IGNORECASE)
        words = words[len(name) :]
    if len(words) < FEWEST_WORDS:
        raise Refused(refuse("heard", repr(text), f"at least {FEWEST_WORDS} words"))
    return require_latin(checked_instruction(text), "the recogniser")
