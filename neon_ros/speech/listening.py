"""What is heard, decided: the looks and utterances of an ear through a recogniser to stops and instructions."""

from __future__ import annotations

from dataclasses import dataclass

from neon_ros.errors import NeonError, Refused, refuse
from neon_ros.speech.ear import Look, Utterance
from neon_ros.speech.recogniser import Recogniser
from neon_ros.speech.words import check_task, instruction_of, is_stop

LEAST_CONFIDENCE = -0.7
"""Mean log-probability below which words are not believed; measured by ``benchmarks/hearing.py``."""


ECHO = 0.2
"""Time after the robot has spoken for which the room still does [s]."""
LONGEST_SPEECH = 60.0
"""A robot that has said it speaks, and nothing since, does not after this [s]."""


class OwnVoice:
    """When the robot itself spoke; times are of one steady clock [s]."""

    def __init__(self) -> None:
        self._until = float("-inf")

    def note(self, speaking: bool, now: float) -> None:
        """Note that the robot begins or has ceased to speak."""
        self._until = now + (LONGEST_SPEECH if speaking else ECHO)

    def in_sound(self, seconds: float, now: float) -> bool:
        """Return whether it may be heard in the sound of the last ``seconds``.

        Its sentence ends a pause before the utterance does, when it speaks no more.
        """
        return now - seconds < self._until


@dataclass(frozen=True)
class Decision:
    """What somebody said means for the robot.

    :param text: as recognised.
    :param stop: whether the robot has to stop.
    :param instruction: what it is told to do; empty for nothing.
    :param refusal: why there is no instruction.
    """

    text: str = ""
    stop: bool = False
    instruction: str = ""
    refusal: str = ""


class Listener:
    """Turn what an ear hands over into decisions; one call blocks for one recognition.

    :param recogniser: makes words of sound.
    :param wake_word: with which an instruction must begin; empty for none.  A stop needs none.
    :param least_confidence: below which words are not believed; a stop is.
    :param instructions: whether to look for more than a stop.
    :param any_sentence: take every sentence, not only those of the task.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        wake_word: str = "",
        least_confidence: float = LEAST_CONFIDENCE,
        instructions: bool = True,
        any_sentence: bool = False,
    ) -> None:
        self._recogniser, self._instructions, self._any = recogniser, instructions, any_sentence
        self._wake_word, self._least = wake_word, least_confidence

    def decide(self, event: Look | Utterance, muted: bool = False) -> Decision:
        """Return what to do.

        :param muted: the robot itself speaks, so that only a stop counts.
        """
        said = self._recogniser.transcribe(event.samples, stopping=True, brief=isinstance(event, Look))
        if is_stop(said.text):
            return Decision(said.text, stop=True)
        if isinstance(event, Look) or not self._instructions:
            return Decision(said.text)
        heard = self._recogniser.transcribe(event.samples)
        if is_stop(heard.text):
            return Decision(heard.text, stop=True)
        try:
            if event.flaw:
                raise Refused(refuse("heard", event.flaw, "a whole sentence: say it again"))
            if muted:
                raise Refused(refuse("heard", f"{heard.text!r} while the robot spoke", "a sentence after it"))
            text = instruction_of(heard, self._least, self._wake_word)
            if not self._any:
                check_task(text)
            return Decision(heard.text, instruction=text)
        except NeonError as error:
            return Decision(heard.text, refusal=str(error))
