"""``neon stop``: stop the robot by the first way that works.

Through the service of ``g1_command``; when ROS is dead, through the motor's shared memory; when another process holds
that, by ending the motor process itself, whose last frames are damping.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from neon_ros.cli import words
from neon_ros.cli.ros import settle, trigger
from neon_ros.errors import NeonError, Refused, RobotError
from neon_ros.motor.shared import MotorMemory


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    if any(word in words.HELP for word in arguments):
        print(f"usage: neon stop [name:=value ...]\n\n{words.help_of('operator')}")
        return 0
    given = words.read(arguments, {})
    words.no_plain(given)
    values = settle(given.assigned)
    try:
        accepted, said = trigger("stop", timeout=1.0)
    except RobotError as error:
        print(f"stop: {error}; going to the motor process directly", file=sys.stderr)
        accepted, said = stop_directly(values["session"])
    print(f"stop: {'done' if accepted else 'refused'}: {said}")
    return 0 if accepted else 1


def stop_directly(session: str) -> tuple[bool, str]:
    """Stop without ROS; return whether it was accepted, and what was said.

    :raises RobotError: when there is no motor process of this session.
    """
    try:
        with MotorMemory.open(session, "command") as memory:
            return memory.request("stop")
    except Refused:
        pass  # g1_command lives but does not answer
    with MotorMemory.open(session) as memory:
        pid = memory.motor_pid
    try:
        os.kill(pid, signal.SIGINT)
    except OSError as error:
        raise NeonError(f"motor process {pid}: {error}") from error
    return True, f"motor process {pid} was told to end; it stops the robot and damps"
