"""What an operator may tell the robot: one line of plain text."""

from __future__ import annotations

import unicodedata

from neon_ros.errors import ContractError, refuse

MAX_CHARACTERS = 512
"""Longest instruction [characters]; the vendor's own speech commands are below 100."""

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode categories without a glyph: control, format (text direction), surrogate, private, unassigned, line breaks."""


def checked_instruction(text: object, name: str = "instruction") -> str:
    """Return the instruction without surrounding blanks; refuse what is not one line of readable text.

    :param text: what arrived.
    :param name: what it is, for the error.
    :raises ContractError: on another type, an empty text, more than ``MAX_CHARACTERS`` or a control character.
    """
    if not isinstance(text, str):
        raise ContractError(refuse(name, type(text).__name__, "text"))
    stripped = text.strip()
    if not 1 <= len(stripped) <= MAX_CHARACTERS:
        raise ContractError(refuse(f"{name} length", f"{len(stripped)} characters", f"1 to {MAX_CHARACTERS}"))
    for place, character in enumerate(stripped):
        if unicodedata.category(character) in _UNSEEN:
            got = f"U+{ord(character):04X} at character {place + 1}"
            raise ContractError(refuse(name, got, "printable characters on one line"))
    return stripped


def require_latin(text: str, reader: str) -> str:
    """Return ``text`` if at least half of its letters are Latin; for models that learned English only.

    :param text: an instruction, already checked.
    :param reader: the model that has to read it, named in the error.
    :raises ContractError: on a text without letters or mostly in another script; the error names the script.
    """
    letters = [character for character in text if character.isalpha()]
    scripts = [unicodedata.name(letter, "UNKNOWN").split()[0] for letter in letters]
    if not letters or 2 * scripts.count("LATIN") < len(letters):
        found = f"mostly {max(sorted(set(scripts)), key=scripts.count).lower()} letters" if scripts else "no letters"
        allowed = f"words in Latin letters ({reader} reads English only)"
        raise ContractError(refuse("instruction", f"{text!r}, {found}", allowed))
    return text
