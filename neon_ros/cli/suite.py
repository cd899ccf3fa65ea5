"""``neon eval --suite``: the exams of the task suite, as tables, and as a page when asked."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neon_ros.cli import words
from neon_ros.errors import ConfigError, refuse

AGENTS = ("policy", "expert", "blind", "wordless", "random", "still")
FLAGS = ("suite", "tasks", "agents", "variants", "held", "write", "head")


def refuse_others(flags: Mapping[str, str]) -> None:
    """Refuse options of ``neon eval`` that mean nothing beside ``--suite``.

    :raises ConfigError: naming the first.
    """
    for name in ("task", "only", "graph"):
        if name in flags:
            raise ConfigError(refuse(f"--{name}", "beside --suite", "--tasks, --agents and --variants"))


def run(flags: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Run the exams that the flags ask for; return the exit code.

    :param arguments: as they were typed, for the page.
    """
    words.need("mujoco")
    from neon_ros.graph import shipped_checkpoint
    from neon_ros.learn import results
    from neon_ros.learn.suite import SUITES, SuiteConfig, SuiteExaminer
    from neon_ros.learn.tasks import TASKS
    from neon_ros.learn.tasks.split import HELD
    from neon_ros.learn.tasks.variants import VARIANTS

    words.choice("--suite", flags["suite"], SUITES)
    tasks = _listed("--tasks", flags.get("tasks", ",".join(TASKS)), tuple(TASKS))
    agents = _listed("--agents", flags.get("agents", "policy,expert"), AGENTS)
    variants = _listed("--variants", flags.get("variants", "plain"), tuple(VARIANTS))
    held = _listed("--held", flags["held"], HELD) if flags.get("held") else ()
    episodes = words.whole("--episodes", flags.get("episodes", "50"))
    seed = words.whole("--seed", flags.get("seed", "0"))
    checkpoint = Path(flags.get("checkpoint") or shipped_checkpoint(flags.get("head", "mlp")))
    if "head" in flags and "checkpoint" in flags:
        raise ConfigError(refuse("--head and --checkpoint", "both", "one of them"))
    if str(checkpoint) == "." and set(agents) - {"expert", "still"}:
        raise ConfigError(refuse("--head", flags.get("head", ""), "a head with a checkpoint, or --checkpoint FOLDER"))
    exams = [SuiteConfig(task, episodes, seed, held, variant) for task in tasks for variant in variants]
    sitting = _Agents(checkpoint, seed)
    rows: list[results.Row] = []
    for task in tasks:
        examiner = SuiteExaminer(task)
        for exam in (exam for exam in exams if exam.task == task):
            for name in agents:
                label = f"{task} {exam.variant} {name}"
                agent = examiner.expert() if name == "expert" else sitting.make(name)
                result = examiner.run(agent, exam, label, _progress(label, episodes))
                rows.append(results.Row(exam, name, result))
    print(results.table(rows))
    if "write" in flags:
        path = Path(words.required("--write", flags["write"]))
        command = "neon eval " + shlex.join(arguments)
        results.write(path, results.page(rows, command, str(checkpoint)))
        print(f"written to {path}")
    return 0


class _Agents:
    """Make agents; policy and backbone are loaded when first asked for."""

    def __init__(self, checkpoint: Path, seed: int) -> None:
        self._checkpoint, self._seed = checkpoint, seed
        self._backbone: Any = None

    def make(self, name: str) -> Any:
        """Return the agent called ``name``."""
        from neon_ros.act.heads import random_head
        from neon_ros.act.policy import load_policy
        from neon_ros.encode.backbones import load
        from neon_ros.learn.agents import PolicyAgent
        from neon_ros.learn.suite import Seeing, Still

        if name == "still":
            return Still()
        if self._backbone is None:
            self._backbone = load("compact")
        policy = random_head(self._checkpoint, self._seed) if name == "random" else load_policy(self._checkpoint)
        return Seeing(PolicyAgent(policy, self._backbone, blind=name == "blind", wordless=name == "wordless"))


def _listed(name: str, value: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a list with commas, each one of ``allowed``."""
    listed = tuple(value.split(","))
    for word in listed:
        words.choice(name, word, allowed)
    if len(set(listed)) < len(listed):
        raise ConfigError(refuse(name, value, "each once"))
    return listed


def _progress(label: str, episodes: int) -> Any:
    from neon_ros.cli.eval import Progress

    return Progress(label, episodes)
