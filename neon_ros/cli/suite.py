"""``neon eval --suite``: the exams of the task suite, as tables, and as a page when asked."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neon_ros.cli import words
from neon_ros.errors import ConfigError, refuse

if TYPE_CHECKING:
    from neon_ros.act.heads import Head
    from neon_ros.act.speculative import SpeculativePolicy

UNTAUGHT = frozenset(("expert", "still"))
"""Agents without a checkpoint."""
AGENTS = ("policy", "expert", "blind", "wordless", "random", "still")
TOLERANCE = 0.05
"""Largest displacement of a draft that is accepted [rad], unless another is asked for."""
FLAGS = ("suite", "tasks", "agents", "variants", "joins", "held", "write", "head", "draft", "tolerance")


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
    from neon_ros.learn import results
    from neon_ros.learn.joins import JOINS
    from neon_ros.learn.suite import SUITES, SuiteConfig, SuiteExaminer
    from neon_ros.learn.tasks import TASKS
    from neon_ros.learn.tasks.split import HELD
    from neon_ros.learn.tasks.variants import VARIANTS

    words.choice("--suite", flags["suite"], SUITES)
    tasks = _listed("--tasks", flags.get("tasks", ",".join(TASKS)), tuple(TASKS))
    agents = _listed("--agents", flags.get("agents", "policy,expert"), AGENTS)
    variants = _listed("--variants", flags.get("variants", "plain"), tuple(VARIANTS))
    joins = _listed("--joins", flags.get("joins", "aligned"), tuple(JOINS))
    held = _listed("--held", flags["held"], HELD) if flags.get("held") else ()
    episodes = words.whole("--episodes", flags.get("episodes", "50"))
    seed = words.whole("--seed", flags.get("seed", "0"))
    checkpoints = _checkpoints(flags, bool(set(agents) - UNTAUGHT))
    exams = [
        SuiteConfig(task, episodes, seed, held, variant, join)
        for task in tasks
        for variant in variants
        for join in joins
    ]
    sitting = _Agents(seed, _draft(flags))
    seats: list[tuple[str, Path | None]] = [(name, None) for name in agents if name in UNTAUGHT]
    seats += [(name, checkpoint) for checkpoint in checkpoints for name in agents if name not in UNTAUGHT]
    rows: list[results.Row] = []
    for task in tasks:
        examiner = SuiteExaminer(task)
        for exam in (exam for exam in exams if exam.task == task):
            for name, checkpoint in seats:
                agent = examiner.expert() if name == "expert" else sitting.make(name, checkpoint)
                who = f"{name} {checkpoint.name}" if checkpoint and len(checkpoints) > 1 else name
                label = f"{task} {exam.variant} {exam.join} {who}"
                result = examiner.run(agent, exam, label, _progress(label, episodes))
                rows.append(results.Row(exam, who, result))
    print(results.table(rows))
    if sitting.speculation:
        print(sitting.speculation)
    if "write" in flags:
        path = Path(words.required("--write", flags["write"]))
        command = "neon eval " + shlex.join(arguments)
        results.write(path, results.page(rows, command, [path.name for path in checkpoints]))
        print(f"written to {path}")
    return 0


def _checkpoints(flags: Mapping[str, str], needed: bool) -> list[Path]:
    """Return the folders of the checkpoints that sit the exams.

    :param needed: whether any does.
    :raises ConfigError: when a head ships none, or heads and checkpoints are both named.
    """
    from neon_ros.graph import shipped_checkpoint

    if "head" in flags and "checkpoint" in flags:
        raise ConfigError(refuse("--head and --checkpoint", "both", "one of them"))
    if not needed:
        return []
    if "checkpoint" in flags:
        return [Path(folder) for folder in words.required("--checkpoint", flags["checkpoint"]).split(",")]
    heads = flags.get("head", "mlp").split(",")
    for head in heads:
        if not shipped_checkpoint(head):
            raise ConfigError(refuse("--head", head, "a head with a checkpoint, or --checkpoint FOLDER"))
    return [Path(shipped_checkpoint(head)) for head in heads]


def _draft(flags: Mapping[str, str]) -> tuple[Path, float] | None:
    """Return the checkpoint that drafts and the tolerance [rad], when one is asked for."""
    if "draft" not in flags:
        if "tolerance" in flags:
            raise ConfigError(refuse("--tolerance", "without --draft", "--draft FOLDER beside it"))
        return None
    tolerance = words.positive("--tolerance", flags.get("tolerance", str(TOLERANCE)), "an angle above 0 rad")
    return Path(words.required("--draft", flags["draft"])), tolerance


class _Agents:
    """Make agents; policy and backbone are loaded when first asked for.

    :param draft: checkpoint of a head that drafts for the policy, and the tolerance [rad].
    """

    def __init__(self, seed: int, draft: tuple[Path, float] | None = None) -> None:
        self._seed, self._draft = seed, draft
        self._backbone: Any = None
        self._drafting: list[SpeculativePolicy] = []

    @property
    def speculation(self) -> str:
        """How often drafts were accepted; empty when nobody drafted."""
        asked = sum(policy.counts.asked for policy in self._drafting)
        accepted = sum(policy.counts.accepted for policy in self._drafting)
        return f"drafts accepted: {accepted} of {asked} ({100 * accepted / asked:.1f} %)" if asked else ""

    def make(self, name: str, checkpoint: Path | None) -> Any:
        """Return the agent called ``name``.

        :param checkpoint: of the policy; ``still`` needs none.
        """
        from neon_ros.act.heads import random_head
        from neon_ros.act.policy import load_policy
        from neon_ros.act.speculative import load_speculative
        from neon_ros.encode.backbones import load
        from neon_ros.learn.agents import PolicyAgent
        from neon_ros.learn.suite import Seeing, Still

        if checkpoint is None:
            return Still()
        if self._backbone is None:
            self._backbone = load("compact")
        policy: Head
        if name == "random":
            policy = random_head(checkpoint, self._seed)
        elif self._draft is None:
            policy = load_policy(checkpoint)
        else:
            policy = load_speculative(self._draft[0], checkpoint, self._draft[1])
            self._drafting.append(policy)
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
