"""``neon replay``: play a recording back, with the view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from neon_ros.cli import words
from neon_ros.cli.supervisor import Supervisor, become, quiet_ros
from neon_ros.errors import ConfigError, refuse
from neon_ros.graph import Process, build

DOMAIN = "100"
"""ROS domain of a replay: one that no robot and no simulator uses by default."""
USAGE = f"""usage: neon replay RECORDING [--rate R] [--start S] [--loop] [--clock] [--headless] [name:=value ...]

Publish a recording (of neon record, or of ros2 bag record -s mcap) as it was, and show it in the browser.
It plays on a ROS domain of its own, {DOMAIN}, and never beside a g1_command.

  --rate R      R times faster than it was
  --start S     begin S seconds into the recording
  --loop        start again at the end
  --clock       publish /clock
  --headless    no browser view; end with the recording

arguments (and their defaults; ros_domain is {DOMAIN})
"""
FLAGS = {"rate": True, "start": True, "loop": False, "clock": False, "headless": False}


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    if any(word in words.HELP for word in arguments):
        print(USAGE + words.help_of("view"))
        return 0
    given = words.read(arguments, FLAGS)
    if len(given.plain) != 1:
        raise ConfigError(refuse("recording", " ".join(given.plain) or "nothing", "one: an MCAP file or a folder"))
    graph = build({"ros_domain": DOMAIN, **given.assigned}, "view")
    words.need("mcap")
    from neon_ros.data.playback import files_at

    path = Path(given.plain[0]).expanduser().absolute()
    files_at(path)
    headless = "headless" in given.flags
    wishes: dict[str, object] = {"file": str(path), "once": headless}
    if "rate" in given.flags:
        wishes["rate"] = words.seconds("--rate", given.flags["rate"])
    if "start" in given.flags and given.flags["start"] != "0":
        wishes["start"] = words.seconds("--start", given.flags["start"])
    for flag in ("loop", "clock"):
        wishes[flag] = flag in given.flags
    if not headless:
        wishes["skip"] = "*/predicted/*"  # the view makes them itself, from the recorded chunks
    player = Process("replayer", "neon_ros.nodes.replayer", ("replayer",), (), {"replayer": wishes}, vital=True)
    words_of_domain = f"replaying on ROS domain {graph.environment['ROS_DOMAIN_ID']}; Ctrl-C ends"
    if headless:
        print(words_of_domain, flush=True)
        become(player, graph.environment)
    views = tuple(replace(process, vital=True) for process in graph.processes)
    graph = replace(graph, environment=quiet_ros(graph.environment), processes=(*views, player))
    supervisor = Supervisor(graph)
    supervisor.write(f"[neon] {words_of_domain}")
    return 0 if supervisor.run() else 1
