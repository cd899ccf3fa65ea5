"""The command ``neon``: one module per verb, each imported only when asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from neon_ros import __version__
from neon_ros.errors import NeonError

VERBS: dict[str, str] = {
    "up": "start the simulated or real G1 and the whole pipeline; Ctrl-C stops in order",
    "check": "examine robot and machine, moving nothing: what would keep it from arming?",
    "arm": "let the policy move the robot",
    "disarm": "hand the robot back gently",
    "stop": "stop the robot now; works without ROS too",
    "status": "show what robot, guard and pipeline are doing",
    "say": "tell the robot what to do, in words",
    "head": "let another head take over while everything runs",
    "view": "show the running system in a browser",
    "record": "record the running system, or demonstrations of a task",
    "replay": "play a recording back, with the view",
    "backbone": "look a backbone over, see demonstrations again with it, export its vision tower",
    "train": "train an action head",
    "export": "write a checkpoint as ONNX files that stand alone, for the edge as int8",
    "eval": "judge a head closed loop",
    "audit": "check and show the logs of what was refused, changed and done",
    "chaos": "hurt the running graph in every way and measure how it reacts",
}
"""Verb to what it does, in the order of the help."""


def usage() -> str:
    """Return the help of ``neon``."""
    width = max(map(len, VERBS))
    lines = ["usage: neon VERB [arguments]", "", *(f"  {verb:<{width}}  {said}" for verb, said in VERBS.items())]
    return "\n".join([*lines, "", "neon VERB --help says more.  Arguments are written name:=value, as in ros2 launch."])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0 done, 1 failed, 2 refused.

    :param arguments: command line without the program; ``None`` takes ``sys.argv``.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    if words[0] == "--version":
        print(__version__)
        return 0
    verb, rest = words[0], words[1:]
    if verb not in VERBS:
        print(f"neon: verb: got {verb!r}; allowed: {', '.join(VERBS)}", file=sys.stderr)
        return 2
    try:
        code: int = import_module(f"neon_ros.cli.{verb}").run(rest)
    except NeonError as error:
        print(f"neon {verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code
