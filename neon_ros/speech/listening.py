"""What is heard, decided: the looks and utterances of an ear through a recogniser to stops and instructions."""

from __future__ import annotations

from dataclasses import dataclass

from neon_ros.errors import NeonError, Refused, refuse
from neon_ros.speech.ear import Look, Utterance
from neon_ros.speech.recogniser import Recogniser
from neon_ros.speech.words import instruction_of, is_stop

LEAST_CONFIDENCE = -0.7
"""Mean log-probability below which words are not believed; measured by ``benchmarks/hearing.py``."""


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
    """

    def __init__(
        self,
        recogniser: Recogniser,
        wake_word: str = "",
        least_confidence: float = LEAST_CONFIDENCE,
        instructions: bool = True,
    ) -> None:
        self._recogniser, self._instructions = recogniser, instructions
        self._wake_word, self._least = wake_word, least_confidence

    def decide(self, event: Look | Utterance, muted: bool = False) -> Decision:
        """Return what to do.

        :param muted: the robot itself speaks, so that only a stop counts.
        """
        # Without expectations a stop is heard better, and nothing is heard as one of the task's words.
        bare = self._recogniser.transcribe(event.samples, expecting=False)
        if is_stop(bare.text):
            return Decision(bare.text, stop=True)
        if isinstance(event, Look) or not self._instructions:
            return Decision(bare.text)
        heard = self._recogniser.transcribe(event.samples)
        if is_stop(heard.text):
            return Decision(heard.text, stop=True)
        try:
            if event.flaw:
                raise Refused(refuse("heard", event.flaw, "a whole sentence: say it again"))
            if muted:
                raise Refused(refuse("heard", f"{heard.text!r} while the robot spoke", "a sentence after it"))
            return Decision(heard.text, instruction=instruction_of(heard, self._least, self._wake_word))
        except NeonError as error:
            return Decision(heard.text, refusal=str(error))
