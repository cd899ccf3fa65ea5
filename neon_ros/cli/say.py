"""``neon say``: tell the robot what to do, in words."""

from __future__ import annotations

from collections.abc import Sequence

from neon_ros.cli import words
from neon_ros.cli.ros import node, settle, spin_until
from neon_ros.errors import ConfigError, RobotError, refuse
from neon_ros.sense.instruction import checked_instruction

USAGE = 'usage: neon say "touch the red cube with your left hand" [name:=value ...]'
WAIT = 3.0
"""How long to look for a listener [s]."""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    if any(word in words.HELP for word in arguments):
        print(f"{USAGE}\n\n{words.help_of('operator')}")
        return 0
    given = words.read(arguments, {})
    if not given.plain:
        raise ConfigError(refuse("instruction", "nothing", 'words, e.g. "touch the red cube with your left hand"'))
    settle(given.assigned)
    text = checked_instruction(" ".join(given.plain))
    from std_msgs.msg import String

    from neon_ros.bridge import topics

    with node("say") as made:
        publisher = made.create_publisher(String, topics.INSTRUCTION, topics.LATCHED)
        if not spin_until(made, lambda: publisher.get_subscription_count() > 0, WAIT):
            raise RobotError(refuse("instruction", f"no listener in {WAIT:g} s", "a running backbone (neon up)"))
        publisher.publish(String(data=text))
        spin_until(made, lambda: False, 0.3)  # let it reach them before this process leaves
    print(f"said: {text}")
    return 0
