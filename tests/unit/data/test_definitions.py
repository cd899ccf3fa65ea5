"""The text of a type and all it is made of."""

from __future__ import annotations

import pytest

from neon_ros.data.definitions import RULE, full_text, names_of, parts_of, same
from neon_ros.errors import ContractError

FILES = {
    (
        "a",
        "Top",
    ): 'std/Header header  # who\nPart[<=3] parts\nPart again\nint32 KIND=3\nstring<=5 name "x # y"\nwstring w\n',
    ("a", "Part"): "float32[3] x\nb/Deep deep\n",
    ("b", "Deep"): "time_of/Day day\n",
    ("std", "Header"): "string frame_id\n",
    ("time_of", "Day"): "uint8 day\n",
}


def read(package: str, name: str) -> str:
    return FILES[package, name]


def test_each_part_comes_once_behind_its_name() -> None:
    text = full_text("a/msg/Top", read)
    heads = [line for line in text.splitlines() if line.startswith("MSG: ")]
    assert heads == ["MSG: std/Header", "MSG: a/Part", "MSG: b/Deep", "MSG: time_of/Day"]
    assert text.startswith(FILES["a", "Top"]) and text.count(RULE) == 4 and len(RULE) == 80
    assert f"\n{RULE}\nMSG: a/Part\n{FILES['a', 'Part']}" in text


def test_constants_comments_and_arrays_are_read_as_what_they_are() -> None:
    text = "# x/Y z\nint8 A = 1\nx/msg/Y[4] y\nLocal[] z\n  bool[<=2] b\n\nuint8 level 7\n"
    assert list(parts_of(text, "here")) == ["x/Y", "here/Local"]


@pytest.mark.parametrize("name", ["Header", "a/b/c/D", "", "a/srv/B", "a//B", "../x/msg/Y"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ContractError, match="message type: got .*; allowed: package/msg/Name"):
        names_of(name)


def test_definitions_are_the_same_when_their_fields_are() -> None:
    one = f"int32 a # first\n\nb/C c\n{RULE}\nMSG: b/C\nint8 d\n{RULE}\nMSG: b/D\nint8 e"
    assert same(one, f"int32   a\nb/C c # it's\n{RULE}\nMSG: b/D\nint8 e\n{RULE}\nMSG: b/C\n# no\nint8 d\n")
    assert not same(one, one.replace("int32 a", "int64 a"))
    assert not same(one, one.replace("int8 d", "int8 d\nint8 f"))
    assert not same('string s "a#b"', 'string s "a#c"')
