"""The sentences of the task `touch`."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from neon_ros.errors import ConfigError, ContractError
from neon_ros.learn import language
from neon_ros.learn.language import Instruction

EVERY = [Instruction(*words) for words in itertools.product(language.HANDS, language.COLOURS, language.SHAPES)]


@pytest.mark.parametrize("split", language.SPLITS)
def test_every_sentence_says_what_it_was_made_from(split: str) -> None:
    for instruction in EVERY:
        for sentence in language.every_sentence(instruction, split):
            assert language.parse(sentence) == instruction, sentence


def test_the_splits_share_no_sentence() -> None:
    for instruction in EVERY:
        train = set(language.every_sentence(instruction, "train"))
        assert not train & set(language.every_sentence(instruction, "heldout"))
    assert not set(language.templates("train")) & set(language.templates("heldout"))


def test_samples_come_from_their_split_and_repeat_by_seed() -> None:
    for split in language.SPLITS:
        for instruction in EVERY[::7]:
            first, second = (language.sample_sentence(instruction, np.random.default_rng(3), split) for _ in range(2))
            assert first == second
            assert first in language.every_sentence(instruction, split)


def test_indices_are_there_and_back() -> None:
    for instruction in EVERY:
        assert Instruction.from_indices(*instruction.indices()) == instruction
    assert language.parse(language.plain_sentence(EVERY[5])) == EVERY[5]


def test_held_out_pairs_leave_every_word_trained() -> None:
    for colour in language.COLOURS:
        assert sum((colour, shape) in language.HELD_OUT_PAIRS for shape in language.SHAPES) <= 1
    for shape in language.SHAPES:
        assert sum((colour, shape) in language.HELD_OUT_PAIRS for colour in language.COLOURS) == 1


def test_unknown_words_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"instruction\.colour: got pink; allowed: red, orange"):
        language.plain_sentence(Instruction("left", "pink", "cube"))
    with pytest.raises(ConfigError, match=r"instruction\.hand: got third"):
        Instruction("third", "red", "cube").indices()
    with pytest.raises(ConfigError, match=r"phrasing split: got test; allowed: train, heldout"):
        language.templates("test")
    with pytest.raises(ContractError, match=r"instruction\.shape index: got 9; allowed: 0 to 3"):
        Instruction.from_indices(0, 0, 9)


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("touch the cube with your left hand", "colour in .*: got none"),
        ("touch the red cube", "hand in .*: got none"),
        ("touch the red thing with your left hand", "shape in .*: got none"),
        ("touch the red cube and the blue ball with your left hand", "colour in .*: got .'blue', 'red'."),
        ("", "hand in '': got none"),
    ],
)
def test_unclear_sentences_are_refused(sentence: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        language.parse(sentence)
