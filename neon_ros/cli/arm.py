"""``neon arm``: let the policy move the robot."""

from __future__ import annotations

from collections.abc import Sequence

from neon_ros.cli import words
from neon_ros.cli.ros import settle, trigger


def ask(kind: str, arguments: Sequence[str]) -> int:
    """Call the service ``kind`` of ``g1_command``; return the exit code."""
    if any(word in words.HELP for word in arguments):
        print(f"usage: neon {kind} [name:=value ...]\n\n{words.help_of('operator')}")
        return 0
    given = words.read(arguments, {})
    words.no_plain(given)
    settle(given.assigned)
    accepted, said = trigger(kind)
    print(f"{kind}: {'done' if accepted else 'refused'}: {said}")
    return 0 if accepted else 1


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    return ask("arm", arguments)
