"""``neon stop``: stop the robot by the first way that works.

Through the motor's shared memory when no ``g1_command`` holds it; else through the service of ``g1_command``; when that
does not answer, by ending the motor process itself, whose last frames are damping.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from neon_ros.cli import words
from neon_ros.cli.ros import settle, trigger
from neon_ros.errors import Refused, RobotError, refuse
from neon_ros.motor.shared import MotorMemory

PATIENCE = 3.0
"""How long ``g1_command`` may take to be found, and again to answer [s]."""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    if any(word in words.HELP for word in arguments):
        print(f"usage: neon stop [name:=value ...]\n\n{words.help_of('operator')}")
        return 0
    given = words.read(arguments, {})
    words.no_plain(given)
    session = settle(given.assigned)["session"]
    accepted, said = stop(session)
    print(f"stop: {'done' if accepted else 'refused'}: {said}")
    return 0 if accepted else 1


def stop(session: str) -> tuple[bool, str]:
    """Stop the robot; return whether that was accepted, and what was said.

    :raises RobotError: when there is no motor process of this session.
    """
    try:
        with MotorMemory.open(session, "command") as memory:
            return memory.request("stop")
    except Refused:
        pass  # g1_command holds it: ask there
    try:
        return trigger("stop", timeout=PATIENCE)
    except RobotError as error:
        print(f"stop: {error}; ending the motor process", file=sys.stderr)
    with MotorMemory.open(session) as memory:
        pid = memory.motor_pid
    try:
        os.kill(pid, signal.SIGINT)
    except OSError as error:
        raise RobotError(refuse(f"motor process {pid}", error, "a process that can be ended")) from error
    return True, f"motor process {pid} was told to end; it stops the robot and damps"
