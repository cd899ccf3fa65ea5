"""``neon record``: record a running system, or demonstrations for training, or mend a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from neon_ros.cli import demonstrations, words
from neon_ros.cli.supervisor import become
from neon_ros.errors import ConfigError, refuse
from neon_ros.graph import build

USAGE = """usage: neon record [run] [--out FILE] [--seconds N] [--topics A,B] [name:=value ...]
       neon record demos --out FOLDER [...]
       neon record repair RECORDING [--out FILE]

run     record every topic of the running system as MCAP, until Ctrl-C; neon replay, ros2 bag play and Foxglove read it
        --out FILE     a new folder, as ros2 bag makes one, or a new file ending in .mcap;
                       without it a folder named by time in ~/neon_recordings
        --seconds N    end after N seconds
        --topics A,B   only these topics
        --max-size MB  end at this size (4096)
demos   let the scripted expert make demonstrations to train a head from; neon record demos --help says more
repair  write what is readable of a recording that a crash cut off as a whole new one (NAME-repaired)

arguments of run (and their defaults)
"""
FLAGS = dict.fromkeys(("out", "seconds", "topics", "max-size"), True)


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    kinds = {"run": _run, "demos": demonstrations.run, "repair": _repair}
    if arguments and arguments[0] in kinds:
        return kinds[arguments[0]](arguments[1:])
    if any(word in words.HELP for word in arguments):
        print(USAGE + words.help_of("record"))
        return 0
    typed = {word[2:].partition("=")[0] for word in arguments if word.startswith("--")}
    if typed & (set(demonstrations.FLAGS) - set(FLAGS)):
        return demonstrations.run(arguments)  # as it was called before it could record anything else
    if typed == {"out"}:
        raise ConfigError(refuse("record", "--out alone", "run --out FILE (a running system) or demos --out FOLDER"))
    if arguments and not arguments[0].startswith("--") and ":=" not in arguments[0]:
        raise ConfigError(refuse("record", repr(arguments[0]), ", ".join(kinds)))
    return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    """Record the running system."""
    if any(word in words.HELP for word in arguments):
        print(USAGE + words.help_of("record"))
        return 0
    given = words.read(arguments, FLAGS)
    words.no_plain(given)
    wishes: dict[str, object] = {"autostart": True, "once": True}
    if "out" in given.flags:
        out = Path(words.required("--out", given.flags["out"])).expanduser().absolute()
        if out.exists():
            raise ConfigError(refuse("--out", f"{out}, which exists", "a new name"))
        wishes["out"] = str(out)
    if "seconds" in given.flags:
        wishes["max_seconds"] = words.seconds("--seconds", given.flags["seconds"])
    if "topics" in given.flags:
        wishes["topics"] = words.required("--topics", given.flags["topics"])
    if "max-size" in given.flags:
        wishes["max_size"] = words.whole("--max-size", given.flags["max-size"])
    graph = build(given.assigned, "record")
    words.need("mcap")
    (process,) = (replace(process, parameters={"recorder": wishes}) for process in graph.processes)
    print(f"recording ROS domain {graph.environment['ROS_DOMAIN_ID']}; Ctrl-C ends", flush=True)
    return become(process, graph.environment)


def _repair(arguments: Sequence[str]) -> int:
    """Mend a recording."""
    if any(word in words.HELP for word in arguments):
        print(USAGE + words.help_of("record"))
        return 0
    given = words.read(arguments, {"out": True})
    if given.assigned or len(given.plain) != 1:
        raise ConfigError(refuse("repair", " ".join(arguments) or "nothing", "one recording: a file or a folder"))
    words.need("mcap")
    from neon_ros.data.playback import repair

    path = Path(given.plain[0]).expanduser()
    beside = path.with_name(f"{path.stem}-repaired{path.suffix}")
    target = Path(given.flags["out"]).expanduser() if "out" in given.flags else beside
    contents = repair(path, target)
    print(f"{path}: {contents.findings.problem or 'whole'}")
    print(f"{target}: {contents.counts.seconds:.1f} s, {contents.counts.total} messages")
    return 0
