"""What an operator may tell the robot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neon_ros.errors import ContractError
from neon_ros.sense.instruction import MAX_CHARACTERS, checked_instruction, require_latin


def test_surrounding_blanks_go_and_nothing_else() -> None:
    assert checked_instruction("  touch the  red cube ") == "touch the  red cube"
    assert checked_instruction("x" * MAX_CHARACTERS) == "x" * MAX_CHARACTERS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "instruction: got NoneType; allowed: text"),
        (b"stop", "instruction: got bytes; allowed: text"),
        ("", "instruction length: got 0 characters; allowed: 1 to 512"),
        (" \n\t ", "instruction length: got 0 characters"),
        ("x" * 10_000, "instruction length: got 10000 characters; allowed: 1 to 512"),
        ("touch\nthe cube", r"instruction: got U\+000A at character 6; allowed: printable characters on one line"),
        ("a\x00b", r"got U\+0000 at character 2"),
        ("touch \u202ethe cube", r"got U\+202E at character 7"),
        ("a\ud800b", r"got U\+D800"),
        ("a\u2028b", r"got U\+2028"),
    ],
)
def test_what_is_no_line_of_text_is_refused(text: object, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        checked_instruction(text)


@given(st.text())
def test_an_accepted_instruction_is_accepted_unchanged_again(text: str) -> None:
    try:
        checked = checked_instruction(text)
    except ContractError:
        return
    assert checked_instruction(checked) == checked == text.strip()


@pytest.mark.parametrize("text", ["touch the red cube", "toucher le cube à côté", "go to Σ-7, please", "café 3"])
def test_latin_letters_pass(text: str) -> None:
    assert require_latin(text, "reader") == text


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("прикоснись к кубу", "mostly cyrillic letters"),
        ("触摸红色方块", "mostly cjk letters"),
        ("赤い箱", "mostly cjk letters"),
        ("άγγιξε τον κύβο", "mostly greek letters"),
        ("المس المكعب", "mostly arabic letters"),
        ("123 !?", "no letters"),
        ("😀😀", "no letters"),
    ],
)
def test_another_alphabet_is_refused_by_name(text: str, script: str) -> None:
    with pytest.raises(
        ContractError, match=rf"{script}; allowed: words in Latin letters \(reader reads English only\)"
    ):
        require_latin(text, "reader")
