"""``neon record demos``: record demonstrations of a task by the scripted expert."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neon_ros.cli import words
from neon_ros.errors import ConfigError, refuse

USAGE = """usage: neon record demos --out FOLDER [--task touch|point_at|push|lift|follow|walk_touch]
                         [--episodes 700] [--seed 0] [--workers 2]
                         [--backbone compact] [--kind episode|glimpse|correction] [--checkpoint FOLDER] [--pictures]

Let the scripted expert act in the simulator, seen by the head camera and the LiDAR, and keep one shard per episode.
Episodes that are already there are kept; the same seed gives the same episodes.  A glimpse is a shard whose frames each
show another scene, without physics in between; in a correction the policy of --checkpoint acts and the expert labels.
--pictures keeps what the camera showed, for `neon backbone features`: about 4 MB an episode.
"""
FLAGS = dict.fromkeys(("out", "task", "episodes", "seed", "workers", "backbone", "kind", "checkpoint"), True) | {
    "pictures": False
}


def run(arguments: Sequence[str]) -> int:
    """Record demonstrations; return the exit code."""
    if any(word in words.HELP for word in arguments):
        print(USAGE)
        return 0
    given = words.read(arguments, FLAGS)
    words.no_plain(given)
    if set(given.assigned) - {"task"}:
        words.nothing_else(given)
    if "task" in given.assigned and "task" in given.flags:
        raise ConfigError(refuse("task", "two values", "--task or task:=, not both"))
    task = given.flags.get("task") or given.assigned.get("task", "touch")
    from neon_ros.learn.language import TASK_NAMES

    words.choice("--task", task, TASK_NAMES)
    out = Path(words.required("--out", given.flags.get("out", "")))
    from neon_ros.learn.generate import GenerateConfig, generate

    config = GenerateConfig(
        episodes=words.whole("--episodes", given.flags.get("episodes", "700")),
        seed=words.whole("--seed", given.flags.get("seed", "0")),
        kind=given.flags.get("kind", "episode"),
        task=task,
        policy=given.flags.get("checkpoint", ""),
        backbone=given.flags.get("backbone", "compact"),
        pictures="pictures" in given.flags,
    )
    workers = words.whole("--workers", given.flags.get("workers", "2"))
    made = generate(config, out, workers, _progress)
    print(f"\n{made} episodes recorded, {config.episodes} in {out}")
    return 0


def _progress(done: int, of: int, left: float) -> None:
    rest = "" if left != left else f", {left:.0f} s to go"
    print(f"\r{done}/{of} episodes{rest}   ", end="", flush=True)
