"""What becomes of recognised words: passed as heard, refused with a reason, never completed."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.errors import ContractError, Refused
from neon_ros.learn import language
from neon_ros.speech.ear import Look, Utterance
from neon_ros.speech.listening import LONGEST_SPEECH, Decision, Listener, OwnVoice
from neon_ros.speech.words import STOP_WORDS, TASK_WORDS, Heard, check_task, instruction_of, is_stop, tidy

SOUND = np.zeros(16_000, dtype=np.float32)


@pytest.mark.parametrize("text", ["Stop.", "STOP!", "please stop now", "don't stop", "Robot, halt", "stop-stop"])
def test_whoever_says_stop_is_obeyed(text: str) -> None:
    assert is_stop(text)


@pytest.mark.parametrize("text", ["", "the top one", "step back", "touch the stopper", "nonstop", "haltingly"])
def test_a_stop_is_a_word_of_its_own(text: str) -> None:
    assert not is_stop(text)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Touch the red cube with your left hand.", "Touch the red cube with your left hand"),
        ("Touch it. Touch it. Touch", "Touch it"),
        ("See the can? Feel it with the left hand.", "See the can? Feel it with the left hand"),
        ("[BLANK_AUDIO] (wind) *cough*", ""),
        ("could you tap the red ball?", "could you tap the red ball?"),
    ],
)
def test_what_recognisers_add_is_taken_off(text: str, clean: str) -> None:
    assert tidy(text) == clean


def test_unknown_words_pass_as_they_were_heard() -> None:
    assert instruction_of(Heard("Fetch me the grain queue.", -0.3, 0.0), -0.7) == "Fetch me the grain queue"


@pytest.mark.parametrize(
    ("text", "confidence", "said"),
    [
        (
            "Touch the red cube",
            -0.71,
            r"'Touch the red cube' with confidence -0\.71; allowed: words with at least -0\.70",
        ),
        ("", 0.0, "heard: got no words; allowed: a sentence"),
        ("Thank you.", -0.1, "heard: got 'Thank you'; allowed: a sentence"),
        ("you", -0.1, "heard: got 'you'; allowed: at least 2 words"),
    ],
)
def test_what_is_no_instruction_is_refused_with_the_reason(text: str, confidence: float, said: str) -> None:
    with pytest.raises(Refused, match=said):
        instruction_of(Heard(text, confidence, 0.0), -0.7)


def test_every_sentence_of_the_task_is_one_and_chatter_is_not() -> None:
    for shape in language.SHAPES:
        for split in language.SPLITS:
            for sentence in language.every_sentence(language.Instruction("left", "red", shape), split):
                check_task(sentence)
    known = {word for words in language.SHAPE_WORDS.values() for word in words}
    assert {"hand": set(language.HANDS), "colour": set(language.COLOURS), "thing": known} == TASK_WORDS
    assert all(STOP_WORDS.isdisjoint(words) for words in TASK_WORDS.values())
    with pytest.raises(Refused, match="'can you see the red door', without a hand and a thing; allowed: a sentence"):
        check_task("can you see the red door")


def test_another_script_is_refused() -> None:
    with pytest.raises(ContractError, match="mostly cjk letters"):
        instruction_of(Heard("触摸 红色", -0.1, 0.0), -0.7)


def test_a_wake_word_is_needed_and_taken_off() -> None:
    assert instruction_of(Heard("Robot, touch the can", -0.1, 0.0), -0.7, "robot") == "touch the can"
    with pytest.raises(Refused, match="a sentence that begins with 'robot'"):
        instruction_of(Heard("touch the robot", -0.1, 0.0), -0.7, "robot")
    with pytest.raises(Refused, match="at least 2 words"):
        instruction_of(Heard("Robot!", -0.1, 0.0), -0.7, "robot")


class Says:
    """A recogniser that hears one text when it expects a stop and another when it expects words of the task."""

    def __init__(self, stopping: str, task: str = "", confidence: float = -0.1) -> None:
        self.words = (task, stopping)
        self.confidence = confidence

    def transcribe(self, samples: np.ndarray, stopping: bool = False, brief: bool = False) -> Heard:
        return Heard(self.words[stopping], self.confidence, 0.0)


def test_a_stop_wins_over_doubt_flaw_own_voice_and_wake_word() -> None:
    flawed = Utterance(0, 1, SOUND, "a hole of 0.40 s in the sound")
    for says in (Says("stop", confidence=-9.0), Says("", "stop", confidence=-9.0)):
        assert Listener(says, wake_word="robot").decide(flawed, muted=True).stop
    assert Listener(Says("stop"), instructions=False).decide(Look(1, SOUND)).stop


def test_the_robots_own_sentence_is_known_after_it_has_ended() -> None:
    own = OwnVoice()
    assert not own.in_sound(3.0, 100.0)
    own.note(True, 100.0)
    assert own.in_sound(0.5, 102.0)
    own.note(False, 102.0)
    assert own.in_sound(2.5, 102.6)  # its utterance ends with the pause after it
    assert not own.in_sound(0.3, 102.6) and own.in_sound(0.3, 102.4)
    own.note(True, 200.0)
    assert not own.in_sound(1.0, 200.0 + LONGEST_SPEECH + 1.1)  # a mouth that died does not make it deaf


def test_a_look_gives_no_instruction_and_an_utterance_does() -> None:
    listener = Listener(Says("touch the can", "touch the can"), any_sentence=True)
    assert listener.decide(Look(1, SOUND)) == Decision("touch the can")
    assert listener.decide(Utterance(0, 1, SOUND)).instruction == "touch the can"
    assert "while the robot spoke" in listener.decide(Utterance(0, 1, SOUND), muted=True).refusal
    assert "a hole" in listener.decide(Utterance(0, 1, SOUND, "a hole of 1.00 s in the sound")).refusal
    assert "without a hand" in Listener(Says("", "touch the can")).decide(Utterance(0, 1, SOUND)).refusal
    assert not Listener(Says("a b", "a b"), instructions=False).decide(Utterance(0, 1, SOUND)).instruction
