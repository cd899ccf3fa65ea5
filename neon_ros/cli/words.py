"""Read a command line of ``name:=value`` words and flags, and write its help from the graph's arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import NamedTuple

from neon_ros.arguments import ARGUMENTS, ENTRIES
from neon_ros.errors import ConfigError, refuse

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
    """Return a positive time [s]; see :func:`positive`."""
    return positive(name, value, "a time above 0 s")


def positive(name: str, value: str, allowed: str) -> float:
    """Return a positive number.

    :param allowed: what the error says is allowed.
    :raises ConfigError: on anything else.
    """
    try:
        result = float(value)
    except ValueError:
        result = float("nan")
    if not 0.0 < result < 1e6:
        raise ConfigError(refuse(name, repr(value), allowed))
    return result


def help_of(entry: str) -> str:
    """Return one line per argument that ``entry`` of the graph takes."""
    lines = []
    for name in ENTRIES[entry][1]:
        argument = ARGUMENTS[name]
        allowed = f" ({'|'.join(argument.choices)})" if argument.choices else ""
        lines.append(f"  {name + ':=' + argument.default:<28} {argument.description}{allowed}")
    return "\n".join(lines)


def nothing_else(words: Words) -> None:
    """Refuse plain words and ``name:=value`` words where a verb takes flags only.

    :raises ConfigError: naming the first.
    """
    no_plain(words)
    if words.assigned:
        name = next(iter(words.assigned))
        raise ConfigError(refuse("argument", f"{name}:={words.assigned[name]}", "options beginning with --"))


def required(name: str, value: str) -> str:
    """Return the value of an option that must be given.

    :raises ConfigError: when it is empty.
    """
    if not value:
        raise ConfigError(refuse(name, "nothing", "a value"))
    return value


def choice(name: str, value: str, allowed: Sequence[str]) -> str:
    """Return the value if it is one of ``allowed``.

    :raises ConfigError: listing them.
    """
    if value not in allowed:
        raise ConfigError(refuse(name, repr(value), ", ".join(allowed)))
    return value


def whole(name: str, value: str) -> int:
    """Return a whole number that is not negative.

    :raises ConfigError: on anything else.
    """
    if not value.isdecimal() or len(value) > 18:
        raise ConfigError(refuse(name, repr(value), "a whole number from 0 on"))
    return int(value)


def need(package: str) -> None:
    """Refuse to go on without an optional Python package.

    :raises ConfigError: saying how to install it.
    """
    if find_spec(package) is None:
        raise ConfigError(refuse(f"package {package}", "none", f"one that is installed: pip install {package}"))
