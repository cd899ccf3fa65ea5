"""The language of the tasks: which words name a thing, and in how many ways it can be said what to do with it.

The word orders of `touch` are here, those of the other tasks in :mod:`neon_ros.learn.phrases`.

A sentence is a template (word order), a noun phrase and one synonym per slot.  Two things are held out from training:
the colour-shape pairs of :data:`neon_ros.sim.things.HELD_OUT_PAIRS`, and the templates and noun phrases of the split
``heldout``.  The policy reads sentences through its frozen text encoder; :func:`parse` serves judges and people,
never the policy.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.learn.phrases import PHRASES
from neon_ros.sim.things import COLOURS, HELD_OUT_PAIRS, SHAPES

HANDS: tuple[str, ...] = ("left", "right")

SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "cube": ("cube", "box", "block"),
    "ball": ("ball", "sphere"),
    "can": ("can", "cylinder", "tin"),
    "bar": ("bar", "stick", "rod"),
}
"""Synonyms of a shape; the first is the shape's own name."""

SPLITS: tuple[str, ...] = ("train", "heldout")

__all__ = [
    "COLOURS",
    "HANDS",
    "HELD_OUT_PAIRS",
    "SHAPES",
    "SHAPE_WORDS",
    "SPLITS",
    "TASK_NAMES",
    "Instruction",
    "every_sentence",
    "parse",
    "plain_sentence",
    "sample_sentence",
    "templates",
]

_VERBS = ("touch", "tap", "reach for", "reach", "go to")
_VERBS_OF_HAND = ("put", "place", "lay", "move")
_PREPOSITION = {"put": "on", "place": "on", "lay": "on", "move": "to"}

_TEMPLATES: dict[str, tuple[str, ...]] = {
    "train": (
        *(f"{verb} {{object}} with your {{hand}} hand" for verb in _VERBS),
        *(f"with your {{hand}} hand, {verb} {{object}}" for verb in _VERBS),
        *(f"use your {{hand}} hand to {verb} {{object}}" for verb in _VERBS),
        *(f"{verb} your {{hand}} hand {_PREPOSITION[verb]} {{object}}" for verb in _VERBS_OF_HAND),
        "use the {hand} hand to touch {object}",
        "using the {hand} hand, touch {object}",
        "touch {object} with the {hand} hand",
        "touch {object} using your {hand} hand",
        "reach out with your {hand} hand and touch {object}",
        "bring your {hand} hand to {object}",
        "please touch {object} with your {hand} hand",
        "could you tap {object} with your {hand} hand?",
        "can you put your {hand} hand on {object}, please",
        "now touch {object} with your {hand} hand",
        "robot, reach for {object} with your {hand} hand",
        "{hand} hand: touch {object}",
        "{hand} hand to {object}",
        "{hand} hand on {object}",
        "touch {object}, {hand} hand",
        "I would like you to touch {object} with your {hand} hand",
        "your {hand} hand should touch {object}",
        "find {object} and touch it with your {hand} hand",
    ),
    "heldout": (
        "I want your {hand} hand on {object}",
        "let your {hand} palm rest on {object}",
        "see {object}? feel it with the {hand} hand",
        "take the {hand} hand over to {object}",
        "{object} should be touched by your {hand} hand",
        "would you mind reaching {object} with that {hand} hand of yours",
        "hold the {hand} hand against {object}",
        "make contact with {object}, using the {hand} one of your hands",
    ),
}

_NOUN_PHRASES: dict[str, tuple[str, ...]] = {
    "train": ("the {colour} {shape}", "the {colour} {shape}", "that {colour} {shape}", "the {shape} that is {colour}"),
    "heldout": ("the {colour} {shape}", "the {colour}-coloured {shape}", "the {shape} which looks {colour}"),
}


_OF_TASK = {"touch": _TEMPLATES, **PHRASES}
TASK_NAMES: tuple[str, ...] = tuple(_OF_TASK)
"""All tasks; demonstrations know theirs by its place here."""


class Instruction(NamedTuple):
    """What is asked: which hand is meant, and which thing."""

    hand: str
    colour: str
    shape: str

    def checked(self) -> Instruction:
        """Return the instruction itself.

        :raises ConfigError: when a word is unknown; the error lists the known ones.
        """
        for name, got, allowed in (
            ("hand", self.hand, HANDS),
            ("colour", self.colour, COLOURS),
            ("shape", self.shape, SHAPES),
        ):
            if got not in allowed:
                raise ConfigError(refuse(f"instruction.{name}", got, ", ".join(allowed)))
        return self

    def indices(self) -> tuple[int, int, int]:
        """Return the places of the three words in :data:`HANDS`, :data:`COLOURS` and :data:`SHAPES`."""
        self.checked()
        return HANDS.index(self.hand), COLOURS.index(self.colour), SHAPES.index(self.shape)

    @staticmethod
    def from_indices(hand: int, colour: int, shape: int) -> Instruction:
        """Return the instruction whose words stand at these places.

        :raises ContractError: when an index is out of range.
        """
        for name, index, words in (("hand", hand, HANDS), ("colour", colour, COLOURS), ("shape", shape, SHAPES)):
            if not 0 <= index < len(words):
                raise ContractError(refuse(f"instruction.{name} index", index, f"0 to {len(words) - 1}"))
        return Instruction(HANDS[hand], COLOURS[colour], SHAPES[shape])


def templates(split: str, task: str = "touch") -> tuple[str, ...]:
    """Return the word orders of ``split``, with the slots ``{hand}`` (not in every task) and ``{object}``.

    :raises ConfigError: when there is no such task or split.
    """
    if task not in _OF_TASK:
        raise ConfigError(refuse("task of the words", task, ", ".join(_OF_TASK)))
    if split not in SPLITS:
        raise ConfigError(refuse("phrasing split", split, ", ".join(SPLITS)))
    return _OF_TASK[task][split]


def plain_sentence(instruction: Instruction) -> str:
    """Return the shortest usual way to say ``instruction``."""
    hand, colour, shape = instruction.checked()
    return f"touch the {colour} {shape} with your {hand} hand"


def sample_sentence(
    instruction: Instruction, rng: np.random.Generator, split: str = "train", task: str = "touch"
) -> str:
    """Return one way to say ``instruction``, drawn evenly from the templates of ``split``.

    :param rng: the only source of chance.
    :param split: ``train`` or ``heldout`` phrasings.
    :param task: what is to be done.
    :raises ConfigError: when a word, the split or the task is unknown.
    """
    orders = templates(split, task)
    hand, colour, shape = instruction.checked()
    phrases = _NOUN_PHRASES[split]
    words = SHAPE_WORDS[shape]
    noun = phrases[rng.integers(len(phrases))].format(colour=colour, shape=words[rng.integers(len(words))])
    return orders[rng.integers(len(orders))].format(hand=hand, object=noun)


def every_sentence(instruction: Instruction, split: str = "train", task: str = "touch") -> tuple[str, ...]:
    """Return all ways to say ``instruction`` in ``split``, in a fixed order and without repetition."""
    hand, colour, shape = instruction.checked()
    sentences = [
        order.format(hand=hand, object=phrase.format(colour=colour, shape=word))
        for order in templates(split, task)
        for phrase in _NOUN_PHRASES[split]
        for word in SHAPE_WORDS[shape]
    ]
    return tuple(dict.fromkeys(sentences))


def parse(sentence: str) -> Instruction:
    """Return what ``sentence`` asks, by its words; for judges and people, never for the policy.

    :raises ContractError: when hand, colour or shape is missing or named twice.
    """
    words = re.findall(r"[a-z]+", sentence.lower())
    synonyms = {word: shape for shape, known in SHAPE_WORDS.items() for word in known}
    if words[:2] in (["can", "you"], ["can", "the"]):
        words = words[1:]  # a polite request, not a tin
    found = {
        "hand": {word for word in words if word in HANDS},
        "colour": {word for word in words if word in COLOURS},
        "shape": {synonyms[word] for word in words if word in synonyms},
    }
    for name, got in found.items():
        if len(got) != 1:
            allowed = {"hand": HANDS, "colour": COLOURS, "shape": tuple(synonyms)}[name]
            raise ContractError(
                refuse(f"{name} in {sentence!r}", sorted(got) or "none", f"one of {', '.join(allowed)}")
            )
    return Instruction(*(got.pop() for got in found.values()))
