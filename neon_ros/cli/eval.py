"""``neon eval``: judge a head closed loop, beside what it must beat."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neon_ros.cli import suite, words
from neon_ros.errors import ConfigError, refuse

if TYPE_CHECKING:
    from neon_ros.learn.evaluate import EvalConfig

USAGE = """usage: neon eval [--task touch] [--episodes 100] [--seed 0] [--checkpoint FOLDER] [--graph] [--only NAME,...]
                 [--eyes FOLDER]
       neon eval --suite tabletop [--tasks touch,push,...] [--agents policy,expert,...] [--variants plain,...]
                 [--held pairs,...] [--joins aligned,...] [--episodes 50] [--seed 0]
                 [--head mlp,... | --checkpoint FOLDER,...] [--draft FOLDER [--tolerance 0.05]] [--write FILE.md]

Success with its 95 % interval, beside baselines that see nothing, hear nothing or have learned nothing, and on
colour-shape pairs and sentences that training never showed.  Evaluation seeds never meet training seeds.

  --graph       through the real nodes, the real topics and the robot's own DDS, in real time (about 10 s an episode);
                without it in one process, faster than real time
  --eyes        demonstrations seen by another backbone, which is then the policy's (`neon backbone features`)
  --only        some of: policy, blind, wordless, random, expert, heldout_pairs, heldout_phrasings

  --suite       all tasks at the table instead of one: docs/tasks.md
  --tasks       some of: touch, point_at, push, lift, follow, walk_touch
  --agents      some of: policy, expert, blind, wordless, random, still
  --variants    some of: plain, latency_100, latency_200, camera_noise, no_lidar, no_proprio, no_eef, pushed_robot,
                pushed_thing
  --held        some of: pairs, phrases, lighting, places; what training never showed
  --joins       how chunks that come late are joined, some of: aligned (ours), fresh (and the joints are those of the
                moment when the picture's features arrive), committed (and the policy is told what is decided already),
                synchronous, naive, averaged
  --draft       checkpoint of a cheap head that drafts for the policy; --tolerance: what is accepted of it [rad]
  --write       also write the tables as a page, with command, machine, date and versions
"""
EXAMS = ("policy", "blind", "wordless", "random", "expert", "heldout_pairs", "heldout_phrasings")
FLAGS = {
    **dict.fromkeys(("task", "episodes", "seed", "checkpoint", "only", "eyes", *suite.FLAGS), True),
    "graph": False,
}


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    if any(word in words.HELP for word in arguments):
        print(USAGE)
        return 0
    given = words.read(arguments, FLAGS)
    words.no_plain(given)
    flags = given.flags
    if "suite" in flags:
        words.nothing_else(given)
        suite.refuse_others(flags)
        return suite.run(flags, arguments)
    strange = [name for name in suite.FLAGS if name in flags]
    if strange:
        raise ConfigError(refuse(f"--{strange[0]}", "without --suite", "--suite tabletop beside it"))
    words.choice("--task", flags.get("task", "touch"), ("touch",))
    episodes, seed = (
        words.whole("--episodes", flags.get("episodes", "100")),
        words.whole("--seed", flags.get("seed", "0")),
    )
    graph = "graph" in flags
    offered = ("policy", "heldout_pairs", "heldout_phrasings") if graph else EXAMS
    only = flags["only"].split(",") if "only" in flags else list(offered)
    for name in only:
        words.choice("--only", name, offered)
    from neon_ros.graph import shipped_checkpoint

    checkpoint = Path(flags.get("checkpoint") or shipped_checkpoint("mlp"))
    if graph:
        if "eyes" in flags:
            raise ConfigError(
                refuse("--eyes", "with --graph", "without; the graph takes backbone:= and backbone_path:=")
            )
        from neon_ros.cli.exam import examine

        results = examine(checkpoint, episodes, seed, only, given.assigned)
    else:
        words.nothing_else(given)
        results = _in_process(checkpoint, episodes, seed, only, flags.get("eyes", ""))
    from neon_ros.learn.statistics import table

    print(f"task touch, {episodes} episodes each, seed {seed}, checkpoint {checkpoint}")
    print(table(results))
    return 0


def _in_process(checkpoint: Path, episodes: int, seed: int, only: Sequence[str], data: str) -> list[Any]:
    """Return the results of the exams in one process."""
    from neon_ros.act.heads import random_head
    from neon_ros.act.policy import load_policy
    from neon_ros.encode.backbones import load
    from neon_ros.learn.agents import Agent, PolicyAgent
    from neon_ros.learn.evaluate import Examiner
    from neon_ros.learn.features import eyes_of

    eyes = eyes_of(Path(data)) if data else None
    if data and eyes is None:
        raise ConfigError(refuse("--eyes", data, "a folder made by `neon backbone features`"))
    policy, backbone = load_policy(checkpoint), eyes.load() if eyes else load("compact")
    if policy.manifest.backbone.model_id != backbone.model_id:
        raise ConfigError(
            refuse("backbone", backbone.model_id, f"{policy.manifest.backbone.model_id}, of {checkpoint}")
        )
    examiner = Examiner()
    agents: dict[str, Any] = {
        "blind": lambda: PolicyAgent(policy, backbone, blind=True),
        "wordless": lambda: PolicyAgent(policy, backbone, wordless=True),
        "random": lambda: PolicyAgent(random_head(checkpoint, seed), backbone),
        "expert": examiner.expert,
    }
    results = []
    for name in only:
        agent: Agent = agents.get(name, lambda: PolicyAgent(policy, backbone))()
        config = exam_of(name, episodes, seed)
        results.append(examiner.run(agent, config, name, Progress(name, episodes)))
    return results


def exam_of(name: str, episodes: int, seed: int) -> EvalConfig:
    """Return which exam ``name`` stands for."""
    from neon_ros.learn.evaluate import EvalConfig

    pairs = "heldout" if name == "heldout_pairs" else "trained"
    phrasing = "heldout" if name == "heldout_phrasings" else "train"
    return EvalConfig(episodes=episodes, seed=seed, pairs=pairs, phrasing=phrasing)


class Progress:
    """Say on stderr how far an exam is."""

    def __init__(self, name: str, episodes: int) -> None:
        self._name, self._episodes, self._won = name, episodes, 0

    def __call__(self, done: int, result: Any) -> None:
        """Take the result of one more episode."""
        self._won += result.verdict == "success"
        end = "\n" if done == self._episodes else ""
        print(f"\r{self._name}: {self._won}/{done} of {self._episodes}   ", end=end, file=sys.stderr, flush=True)
