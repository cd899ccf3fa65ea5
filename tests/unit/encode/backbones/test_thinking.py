"""What a model says beside what it sees, without a model: when it is asked, what is dropped, what may be spoken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from neon_ros.encode.backbones.looking import Looking
from neon_ros.encode.backbones.thinking import NEXT_STEP, REASON, REPLY, Thinking, Thought, said
from neon_ros.errors import ConfigError, ContractError, refuse

SECOND = 1_000_000_000
PICTURE = np.zeros((32, 32, 3), dtype=np.uint8)


class Talker:
    """A backbone with room for 6 words; it answers the number of the question when it is let go."""

    model_id = "talker/1"
    tensors = {"vision": (1, 1), "text": (6, 1), "text_mask": (6,)}  # noqa: RUF012

    def __init__(self) -> None:
        self.asked_for: list[Any] = []
        self.go = threading.Event()
        self.ended = 0

    def encode(self, image: Any, instruction: str) -> Any: ...
    def encode_images(self, images: Any) -> Any: ...
    def encode_window(self, observation: Any) -> Any: ...
    def clear(self) -> None: ...

    def encode_texts(self, instructions: Any) -> Any:
        words = instructions[0].split()
        if len(words) > 6:
            raise ContractError(refuse("instruction", len(words), "6"))
        mask = np.arange(6) < len(words)
        return {"text": mask[None, :, None] * np.float32(2), "text_mask": mask[None].astype(np.float32)}

    def watch(self, stamp_ns: int, image: Any, instruction: str = "", sound: Any = None) -> Any:
        return {"vision": np.ones((1, 1), np.float32), **{k: v[0] for k, v in self.encode_texts(["one"]).items()}}

    def asked(self, question: str, most: int) -> Callable[[Callable[[], bool]], str]:
        self.asked_for.append((question, most))

        def say(wanted: Callable[[], bool]) -> str:
            while wanted() and not self.go.wait(0.01):
                pass
            self.ended += 1
            return f"answer {len(self.asked_for)}"

        return say


@pytest.fixture
def talker() -> Iterator[Talker]:
    made = Talker()
    yield made
    made.go.set()


def finished(thinking: Thinking, stamp_ns: int, words: str = "go") -> Thought | None:
    """Return what a picture finds once nothing is being said any more."""
    deadline = time.monotonic() + 10.0
    while thinking.busy and time.monotonic() < deadline:
        time.sleep(0.005)
    return thinking.turn(stamp_ns, words)


def test_one_answer_at_a_time_while_pictures_go_on(talker: Talker) -> None:
    thinking = Thinking(talker, True, 0.5, 12)
    assert thinking.turn(0, "") is None and not talker.asked_for  # without words nothing is said
    thinking.told()
    for stamp in range(5):
        assert thinking.turn(stamp * SECOND, "go") is None
    assert talker.asked_for == [("", 12)] and thinking.busy  # the reply comes first, reasoning waits for it
    talker.go.set()
    assert finished(thinking, 5 * SECOND) == Thought(REPLY, "answer 1")
    assert finished(thinking, 5 * SECOND + 1) == Thought(REASON, "answer 2")
    assert talker.asked_for == [("", 12), (NEXT_STEP, 12)]
    assert finished(thinking, 5 * SECOND + 2) is None and len(talker.asked_for) == 2  # not due yet
    finished(thinking, 6 * SECOND)
    assert len(talker.asked_for) == 3
    thinking.close()


def test_new_words_end_what_is_said_about_the_old(talker: Talker) -> None:
    thinking = Thinking(talker, True, 0.0, 12)
    thinking.told()
    thinking.turn(0, "go")
    thinking.told()
    assert finished(thinking, 1) is None and talker.ended == 1  # it ended by itself, and nobody hears of it
    assert len(talker.asked_for) == 2  # the reply to the new words
    talker.go.set()
    assert finished(thinking, 2) == Thought(REPLY, "answer 2")
    assert finished(thinking, 3) is None and len(talker.asked_for) == 2  # one reply to one instruction


def test_what_fails_beside_the_pictures_is_told_as_a_refusal(talker: Talker, monkeypatch: pytest.MonkeyPatch) -> None:
    thinking = Thinking(talker, True, 0.0, 12)
    talker.go.set()
    for error, told in (
        (ContractError("no words"), "no words"),
        (ValueError("broken"), "reply: got ValueError('broken'); allowed: an answer"),
    ):

        def fail(wanted: Any, error: Exception = error) -> str:
            raise error

        monkeypatch.setattr(talker, "asked", lambda question, most, fail=fail: fail)
        thinking.told()
        thinking.turn(0, "go")
        assert finished(thinking, 1) == Thought(REPLY, "", told)


def test_a_backbone_that_cannot_answer_is_refused() -> None:
    class Mute:
        model_id = "mute/1"

    with pytest.raises(ConfigError, match="reply and reason_every: got mute/1; allowed: a backbone that answers"):
        Thinking(Mute(), True, 0.0, 12)


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        ("  The cube\nis red. ", REPLY, "The cube is red."),
        ("<think>\nIt is left.\n</think>\n\nI take the left hand.", REPLY, "I take the left hand."),
        ("<think>\nIt is left.\n</think>\n\nI take the left hand.", REASON, "It is left."),
        ("<think> It is", REASON, "It is"),
        ("word " * 200, REPLY, ("word " * 102).strip()),  # 512 characters hold 102 words
        ("a" * 600, REPLY, "a" * 512),
    ],
)
def test_what_may_be_spoken_is_one_line_of_bounded_length(text: str, kind: str, line: str) -> None:
    assert said(text, kind) == line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "reply length: got 0 characters"),
        ("<think> never spoken </think>", "reply length: got 0 characters"),
        ("a\x1b[2Jb", r"reply: got U\+001B at character 2; allowed: printable characters"),
        ("a\u202eb", r"reply: got U\+202E"),
    ],
)
def test_what_may_not_be_spoken_is_refused(text: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        said(text, REPLY)


def test_reasoning_stands_after_the_instruction_until_there_is_another(talker: Talker) -> None:
    looking = Looking(talker)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="reasoning: got no instruction; allowed: one to reason about"):
        looking.reason("it is left")
    looking.tell("touch it")
    before = looking.look(1, PICTURE)
    assert looking.reason("it is left of the can") == "it is left of"  # 2 of 6 words are the instruction's
    got = looking.look(2, PICTURE)
    assert got["text_mask"].sum() == 6 and np.array_equal(got["vision"], before["vision"])
    assert looking.reasoning == "it is left of"
    looking.tell("touch it now")
    assert looking.reasoning == "" and looking.look(3, PICTURE)["text_mask"].sum() == 1  # what watch says
    looking.tell("a b c d e f")
    with pytest.raises(ContractError, match="reasoning: got 'it is'; allowed: room for a word of it after 'a b c"):
        looking.reason("it is")
