"""What a model says beside what it sees: one answer at a time, on a thread of its own, while pictures go on.

An answer begins after a picture and is about the window that ends with it.  It is made from what was read by then, so
the pictures that come meanwhile change nothing of it.  New words end it: what it says would be about the old ones.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from neon_ros.encode.backbones.base import AnsweringBackbone
from neon_ros.errors import ConfigError, NeonError, refuse
from neon_ros.sense.instruction import MAX_CHARACTERS, checked_instruction
from neon_ros.sense.stream import RateLimit

REPLY, REASON = "reply", "reasoning"
NEXT_STEP = "Next step, in a few words?"
"""What the model is asked for its reasoning; the instruction and the pictures stand before it."""
_END_OF_THINKING = "</think>"
"""After this a model that was taught to think aloud speaks to others (Cosmos-Reason2, Qwen3)."""


class Thought(NamedTuple):
    """One answer, finished.

    :param kind: :data:`REPLY` or :data:`REASON`.
    :param text: one line of plain text; empty when there is none.
    :param refusal: why there is none.
    """

    kind: str
    text: str
    refusal: str = ""


class _Job(threading.Thread):
    """One answer in the making."""

    def __init__(self, kind: str, say: Callable[[Callable[[], bool]], str]) -> None:
        super().__init__(name="thinking", daemon=True)
        self.dropped = threading.Event()
        self.thought = Thought(kind, "")
        self._say = say

    def run(self) -> None:
        """Make the answer."""
        try:
            text = said(self._say(lambda: not self.dropped.is_set()), self.thought.kind)
            self.thought = self.thought._replace(text=text)
        except NeonError as error:
            self.thought = self.thought._replace(refusal=str(error))
        except Exception as error:  # of the model's library; a thread that dies says nothing
            self.thought = self.thought._replace(refusal=refuse(self.thought.kind, repr(error), "an answer"))


class Thinking:
    """A reply to each new instruction, and reasoning every few seconds.

    :param backbone: that answers.
    :param reply: whether to reply.
    :param every: time between two reasonings by the stamps of the pictures [s]; 0 for none.
    :param most: word pieces of an answer.
    :raises ConfigError: when the backbone does not answer.
    """

    def __init__(self, backbone: Any, reply: bool, every: float, most: int) -> None:
        if not isinstance(backbone, AnsweringBackbone):
            allowed = "a backbone that answers, such as cosmos_reason or qwen_omni"
            raise ConfigError(refuse("reply and reason_every", backbone.model_id, allowed))
        self._backbone, self._reply, self._most = backbone, reply, most
        self._every = RateLimit(1.0 / every) if every else None
        self._job: _Job | None = None
        self._unanswered = False

    @property
    def busy(self) -> bool:
        """Return whether an answer is being made."""
        return self._job is not None and self._job.is_alive()

    def told(self) -> None:
        """Note that other words are in force: what is being said is not of now, and a reply is due."""
        self.drop()
        self._unanswered = self._reply

    def drop(self) -> None:
        """Give up the answer in the making; its thread ends after its next word piece."""
        if self._job is not None:
            self._job.dropped.set()

    def turn(self, stamp_ns: int, instruction: str) -> Thought | None:
        """Return the answer that was finished since the last picture, and begin the next one that is due.

        :param stamp_ns: capture of the picture that was just watched [ns, ROS clock].
        :param instruction: the words in force; without any nothing is said.
        :raises ContractError: when the backbone cannot answer; it is not asked again for this.
        """
        done = None
        if self._job is not None and not self._job.is_alive():
            done = None if self._job.dropped.is_set() else self._job.thought
            self._job = None
        if self._job is None and instruction:
            if self._unanswered:
                self._unanswered = False
                self._begin(REPLY, "")
            elif self._every is not None and self._every.passes(stamp_ns):
                self._begin(REASON, NEXT_STEP)
        return done

    def close(self, patience: float = 2.0) -> None:
        """Give up and wait for the thread [s]."""
        self.drop()
        if self._job is not None:
            self._job.join(patience)

    def _begin(self, kind: str, question: str) -> None:
        self._job = _Job(kind, self._backbone.asked(question, self._most))
        self._job.start()


def said(text: str, kind: str) -> str:
    """Return what a model said as one line that may be spoken, or read as an instruction.

    What was thought aloud is reasoning and no reply.  A text that is too long ends after a whole word.

    :raises ContractError: when nothing is left, or it holds characters that cannot be seen.
    """
    thought, found, spoken = text.partition(_END_OF_THINKING)
    if found and kind == REPLY:
        thought = spoken
    line = " ".join(thought.replace("<think>", " ").split())
    if len(line) > MAX_CHARACTERS:
        line = line[: MAX_CHARACTERS + 1].rpartition(" ")[0] or line[:MAX_CHARACTERS]
    return checked_instruction(line, kind)
