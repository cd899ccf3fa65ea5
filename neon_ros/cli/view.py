"""``neon view``: show a running system in a browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from neon_ros.cli import words
from neon_ros.cli.supervisor import Supervisor, quiet_ros
from neon_ros.errors import ConfigError, refuse
from neon_ros.graph import build


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    if any(word in words.HELP for word in arguments):
        print(f"usage: neon view [name:=value ...]\n\n{words.help_of('view')}")
        return 0
    given = words.read(arguments, {})
    words.no_plain(given)
    if "rviz" in given.assigned:
        raise ConfigError(refuse("argument", "rviz", "with ros2 launch neon_ros view.launch.py"))
    graph = build(given.assigned, "view")
    processes = tuple(replace(process, vital=True) for process in graph.processes)
    graph = replace(graph, environment=quiet_ros(graph.environment), processes=processes)
    return 0 if Supervisor(graph).run() else 1
