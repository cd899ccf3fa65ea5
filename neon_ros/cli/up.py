"""``neon up``: run the whole graph on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from neon_ros.cli import words
from neon_ros.cli.supervisor import Supervisor, quiet_ros
from neon_ros.graph import build

USAGE = """usage: neon up [name:=value ...] [--headless] [--seconds N]

Start every process of the graph, pass on what they say, and end them in order on Ctrl-C.

  --headless     no browser view
  --seconds N    end after N seconds with a summary; exit 0 only if chunks were made and commands sent.
                 With robot:=sim it arms by itself unless autostart:=false is given.

arguments (and their defaults)
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    if any(word in words.HELP for word in arguments):
        print(USAGE + words.help_of("g1_bringup"))
        return 0
    given = words.read(arguments, {"headless": False, "seconds": True})
    words.no_plain(given)
    values = dict(given.assigned)
    limit = given.flags.get("seconds") or values.pop("seconds", None)
    seconds = None if limit is None else words.seconds("seconds", limit)
    if "headless" in given.flags:
        values["view"] = "false"
    if seconds is not None and values.get("robot", "sim") == "sim":
        values.setdefault("autostart", "true")  # nobody is there to arm the simulated robot
    graph = build(values)
    graph = replace(graph, environment=quiet_ros(graph.environment))
    supervisor = Supervisor(graph)
    supervisor.write(f"[neon] starting {', '.join(process.name for process in graph.processes)}; Ctrl-C ends")
    if "ROS_DOMAIN_ID" not in os.environ and graph.environment["ROS_DOMAIN_ID"] != "0":
        supervisor.write(
            f"[neon] to see the topics elsewhere: export ROS_DOMAIN_ID={graph.environment['ROS_DOMAIN_ID']}"
        )
    if seconds is None:
        return 0 if supervisor.run() else 1
    return _measured(supervisor, seconds)


def _measured(supervisor: Supervisor, seconds: float) -> int:
    """Run for a while and print what it was worth."""
    os.environ.update(supervisor.graph.environment)
    from neon_ros.cli.summary import Observer

    observer = Observer(int(supervisor.graph.environment["ROS_DOMAIN_ID"]))
    try:
        alive = supervisor.run(seconds)
    finally:
        observer.close()
    for line in observer.tally.lines():
        print(line)
    print("cores     " + ", ".join(f"{name} {100 * share:.0f} %" for name, share in supervisor.cpu.items()))
    worked = alive and observer.tally.worked
    causes = [*supervisor.failed, *filter(None, [observer.tally.fault])]
    print("result    " + ("ok" if worked else "; ".join(causes) or "FAILED: no chunks, or no commands"))
    return 0 if worked else 1
