"""Read a command line of ``name:=value`` words and flags, and write its help from the graph's arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from neon_ros.errors import ConfigError, refuse
from neon_ros.graph import ARGUMENTS, ENTRIES

HELP = ("-h", "--help", "--show-args")


class Words(NamedTuple):
    """A command line in parts.

    :param assigned: ``name:=value`` words.
    :param flags: ``--name value`` and ``--name`` (value empty).
    :param plain: everything else.
    """

    assigned: dict[str, str]
    flags: dict[str, str]
    plain: list[str]


def read(arguments: Sequence[str], flags: Mapping[str, bool]) -> Words:
    """Return the parts of a command line.

    :param flags: known flags without dashes, and whether each takes a value.
    :raises ConfigError: on an unknown flag, a flag without its value, or a name given twice.
    """
    result = Words({}, {}, [])
    queue = list(arguments)
    while queue:
        word = queue.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name not in flags:
                raise ConfigError(refuse("option", word, ", ".join(f"--{known}" for known in flags) or "none"))
            if flags[name] and not equals:
                if not queue:
                    raise ConfigError(refuse(f"option --{name}", "no value", "a value after it"))
                value = queue.pop(0)
            _once(result.flags, name, value)
        elif ":=" in word:
            name, _, value = word.partition(":=")
            _once(result.assigned, name, value)
        else:
            result.plain.append(word)
    return result


def _once(into: dict[str, str], name: str, value: str) -> None:
    if name in into:
        raise ConfigError(refuse(name, "two values", "one"))
    into[name] = value


def no_plain(words: Words) -> None:
    """Refuse words that are neither argument nor flag.

    :raises ConfigError: naming the first.
    """
    if words.plain:
        raise ConfigError(refuse("argument", repr(words.plain[0]), "name:=value"))


def seconds(name: str, value: str) -> float:
    """Return a positive time [s].

    :raises ConfigError: on anything else.
    """
    try:
        result = float(value)
    except ValueError:
        result = float("nan")
    if not 0.0 < result < 1e6:
        raise ConfigError(refuse(name, repr(value), "a time above 0 s"))
    return result


def help_of(entry: str) -> str:
    """Return one line per argument that ``entry`` of the graph takes."""
    lines = []
    for name in ENTRIES[entry][1]:
        argument = ARGUMENTS[name]
        allowed = f" ({'|'.join(argument.choices)})" if argument.choices else ""
        lines.append(f"  {name + ':=' + argument.default:<28} {argument.description}{allowed}")
    return "\n".join(lines)
