"""``neon head``: let another head take over while everything runs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from neon_ros.arguments import ARGUMENTS
from neon_ros.cli import words
from neon_ros.cli.ros import set_parameters, settle
from neon_ros.errors import ConfigError, refuse

USAGE = """usage: neon head NAME [checkpoint:=FOLDER] [name:=value ...]

The head is loaded and tried beside the one in use and takes over between two chunks; one that cannot is refused, says
why, and nothing changes.
"""
PATIENCE = 30.0
"""Longest wait for the answer [s]: loading, and the first features of its own."""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    if any(word in words.HELP for word in arguments):
        print(f"{USAGE}\n{words.help_of('head')}")
        return 0
    given = words.read(arguments, {})
    if len(given.plain) != 1 or "head" in given.assigned:
        raise ConfigError(
            refuse("head", " ".join(given.plain) or "nothing", ", ".join(ARGUMENTS["head"].choices or ()))
        )
    values = settle({**given.assigned, "head": given.plain[0]}, "head")
    folder = os.path.abspath(values["checkpoint"]) if values["checkpoint"] else ""  # the node runs somewhere else
    wanted = {"head": values["head"], "checkpoint": folder}
    accepted, said = set_parameters("action_head", wanted, PATIENCE)
    print(f"head: {'done' if accepted else 'refused'}: {said}")
    return 0 if accepted else 1
