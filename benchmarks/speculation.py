"""Speculative decoding: how often a cheap head's draft is accepted, and what a chunk costs with and without it.

    python benchmarks/speculation.py --accurate FOLDER [--draft FOLDER] [--tolerances 0.02,0.05,0.1] [--episodes 10]

The accurate head touches things in the simulator; all that it senses is kept.  Then both ways answer each of these
captures, in turns, on one core: the accurate head alone, and the draft with one look of the accurate head, which makes
its own chunk when the draft does not pass.  The encoders are left out: both ways pay them alike.  Success with a draft
comes from ``neon eval --suite tabletop --tasks touch --checkpoint FOLDER --draft FOLDER``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
from backbones import machine
from numpy.typing import NDArray

from neon_ros.act.policy import HeadOutput, Policy, load_policy
from neon_ros.act.speculative import load_speculative
from neon_ros.encode.backbones import load
from neon_ros.graph import shipped_checkpoint
from neon_ros.learn.agents import PolicyAgent
from neon_ros.learn.suite import Seeing, SuiteConfig, SuiteExaminer


class Keeping(Seeing):
    """A policy as an agent that keeps what its head was given."""

    def __init__(self, policy: Policy, agent: PolicyAgent) -> None:
        super().__init__(agent)
        self.captures: list[dict[str, Any]] = []
        act = policy.act

        def kept(q: Any, **given: Any) -> HeadOutput:
            self.captures.append({"q": q, **given})
            return act(q, **given)

        policy.act = kept  # type: ignore[method-assign]


def captures_of(folder: Path, episodes: int, seed: int) -> tuple[list[dict[str, Any]], int]:
    """Return what the head was given in some episodes, and how many of them it won."""
    policy = load_policy(folder)
    agent = Keeping(policy, PolicyAgent(policy, load("compact")))
    result = SuiteExaminer("touch").run(agent, SuiteConfig("touch", episodes, seed))
    return agent.captures, result.successes


def seconds_of(answer: Callable[..., HeadOutput], captures: list[dict[str, Any]]) -> NDArray[np.float64]:
    """Return how long each capture took to answer [s]."""
    took = []
    for given in captures:
        started = time.perf_counter()
        answer(**given)
        took.append(time.perf_counter() - started)
    return np.array(took)


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accurate", type=Path, required=True, help="checkpoint of flow_matching or dit")
    parser.add_argument("--draft", type=Path, default=Path(shipped_checkpoint("mlp")))
    parser.add_argument("--tolerances", default="0.02,0.05,0.1", help="what is accepted of a draft [rad]")
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{machine()}; draft {options.draft.name}, accurate {options.accurate.name}, batch 1, one thread")
    captures, won = captures_of(options.accurate, options.episodes, options.seed)
    print(f"{len(captures)} captures of {options.episodes} episodes, {won} of them won by the accurate head alone")
    print(f"{'tolerance':>10}{'accepted':>10}{'alone':>20}{'with drafts':>20}{'faster':>9}")
    alone = load_policy(options.accurate)
    for tolerance in (float(word) for word in options.tolerances.split(",")):
        drafted = load_speculative(options.draft, options.accurate, tolerance)
        for policy in (alone, drafted):
            seconds_of(policy.act, captures[:5])  # warm
        before = drafted.counts
        parts: tuple[list[Any], list[Any]] = ([], [])
        for start in range(0, len(captures), 20):
            for policy, part in zip((alone, drafted), parts, strict=True):
                part.append(seconds_of(policy.act, captures[start : start + 20]))
        asked, accepted = (now - then for now, then in zip(drafted.counts, before, strict=True))
        one, other = (1e3 * np.concatenate(part) for part in parts)
        cells = "".join(f"{np.mean(part):>9.2f} (p99 {np.percentile(part, 99):5.2f})" for part in (one, other))
        print(
            f"{tolerance:>6g} rad{100 * accepted / asked:>8.1f} %{cells}{one.mean() / other.mean():>8.2f}x", flush=True
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
