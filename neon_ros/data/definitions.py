"""Message definitions as a recording carries them: the text of the type and of every type it is made of.

The layout is MCAP's schema encoding ``ros2msg``: the text of the ``.msg`` file, then for each type inside it, once, a
line of 80 ``=``, a line ``MSG: package/Name`` and its text.  A reader needs nothing else to decode the messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from neon_ros.errors import ContractError, refuse

RULE = "=" * 80
PRIMITIVES = frozenset(
    (
        *("bool", "byte", "char", "float32", "float64", "string", "wstring"),
        *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    )
)
_TYPE = re.compile(r"([A-Za-z]\w*)/(?:msg/)?([A-Za-z]\w*)")
_FIELD = re.compile(r"\s*(?P<type>[A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+[A-Za-z]\w*\s*(?P<constant>=)?")


def names_of(type_name: str) -> tuple[str, str]:
    """Return package and name of ``package/msg/Name`` or ``package/Name``.

    :raises ContractError: on anything else.
    """
    match = _TYPE.fullmatch(type_name)
    if match is None:
        raise ContractError(refuse("message type", repr(type_name), "package/msg/Name"))
    return match[1], match[2]


def parts_of(text: str, package: str) -> Iterator[str]:
    """Yield ``package/Name`` of each type that a definition is made of, in its order.

    :param text: of a ``.msg`` file.
    :param package: that a type without package belongs to.
    """
    for line in text.splitlines():
        field = _FIELD.match(line.split("#", 1)[0])
        if field is None or field["constant"] or field["type"] in PRIMITIVES:
            continue
        yield field["type"].replace("/msg/", "/") if "/" in field["type"] else f"{package}/{field['type']}"


def full_text(type_name: str, read: Callable[[str, str], str]) -> str:
    """Return the definition of a type and of all it is made of.

    :param read: returns the text of a ``.msg`` file from its package and name.
    :raises ContractError: when the type's name is none, or ``read`` raises it.
    """
    package, name = names_of(type_name)
    seen: set[str] = {f"{package}/{name}"}
    texts: list[str] = []

    def add(package: str, name: str, head: str) -> None:
        text = read(package, name)
        texts.append(head + text)
        for part in parts_of(text, package):
            if part not in seen:
                seen.add(part)
                add(*names_of(part), f"{RULE}\nMSG: {part}\n")

    add(package, name, "")
    return "\n".join(texts)


def same(one: str, other: str) -> bool:
    """Return whether two full definitions have the same fields; comments, spaces and the order of parts are free."""
    return _essence(one) == _essence(other)


def _essence(text: str) -> dict[str, list[str]]:
    """Return the lines that count, by part; the first part has no name."""
    found: dict[str, list[str]] = {"": []}
    part = ""
    for line in text.splitlines():
        if line.startswith("MSG: "):
            part = line[5:].strip()
            found[part] = []
        elif not line.startswith("====="):
            code = line.split("#", 1)[0]
            words = line if '"' in code or "'" in code else code  # a default text may hold a #
            if words.strip():
                found[part].append(" ".join(words.split()))
    return found
