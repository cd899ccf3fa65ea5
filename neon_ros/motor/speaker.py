"""The robot's loudspeaker as a process: ``python -m neon_ros.motor.speaker``.  No ROS; it speaks the robot's DDS.

One JSON text a line comes in on standard input; for each a line ``{"error": ""}`` goes out when the robot has taken
it, or with what was wrong.  It ends with its input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TextIO

from neon_ros.errors import NeonError, RobotError, refuse
from neon_ros.motor.link import Link
from neon_ros.motor.rpc import Speaker


def serve(lines: Iterable[str], answers: TextIO, say: Callable[[str], None]) -> None:
    """Say each line, answer each.

    :param say: raises a :class:`~neon_ros.errors.NeonError` when it cannot.
    """
    for line in lines:
        error = ""
        try:
            text = json.loads(line)
            if not isinstance(text, str):
                raise RobotError(refuse("speech", type(text).__name__, "a text"))
            say(text)
        except (NeonError, ValueError) as caught:
            error = str(caught)
        print(json.dumps({"error": error}), file=answers, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process; return its exit status."""
    options = argparse.ArgumentParser(prog="neon_ros.motor.speaker", description=__doc__.splitlines()[0])
    options.add_argument("--domain", type=int, required=True, help="DDS domain of the robot")
    options.add_argument("--interface", required=True, help="network interface of the robot")
    options.add_argument("--volume", type=int, default=-1, help="volume to set [%%]; below 0 leaves it")
    chosen = options.parse_args(arguments)
    try:
        speaker = Speaker(Link(chosen.domain, chosen.interface))
        if chosen.volume >= 0:
            speaker.set_volume(chosen.volume)
    except NeonError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 2
    serve(sys.stdin, sys.stdout, speaker.say)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # DDS threads would hold the process
