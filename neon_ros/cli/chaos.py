"""``neon chaos``: inject the faults F1 to F40 into a running graph and print what came of it."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from neon_ros.chaos import domains, soak, table
from neon_ros.chaos.rig import Rig
from neon_ros.chaos.runner import baseline, chosen, machine_line
from neon_ros.chaos.runner import run as run_faults
from neon_ros.chaos.setting import Setting, clear, session_name
from neon_ros.cli import words
from neon_ros.robot.modes import MODES

USAGE = """usage: neon chaos [F1 F4 ...] [--trials N] [--mode MODE] [--soak MINUTES] [--seed N]
                  [--json FILE] [--no-fifo]

Start motor, guardian and g1_command between a stub robot and a stub policy, hurt them in every way of the table of
faults, and print fault, reaction, measured time, bound and verdict.  Exit 1 when any fails.

  --trials N      how often each fault is injected; default 3
  --mode MODE     arms_only, upper_body or whole_body; default whole_body
  --soak MINUTES  random faults at random times for so long, every command judged (F40)
  --seed N        of everything random; default 0
  --json FILE     write everything measured
  --no-fifo       without SCHED_FIFO, as on a machine that does not allow it
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return 0 when every fault passes."""
    if any(word in words.HELP for word in arguments):
        print(USAGE)
        return 0
    flags = {"trials": True, "mode": True, "soak": True, "seed": True, "json": True, "no-fifo": False}
    given = words.read(arguments, flags)
    faults = chosen(given.plain)
    trials = words.whole("--trials", given.flags.get("trials", "3"))
    seed = words.whole("--seed", given.flags.get("seed", "0"))
    mode = words.choice("--mode", given.flags.get("mode", "whole_body"), list(MODES))
    minutes = words.seconds("--soak", given.flags["soak"]) if "soak" in given.flags else 0.0
    folder = clear(Path(tempfile.gettempdir()) / f"neon_ros-{session_name()}")
    with ExitStack() as stack:
        ros_domain, robot_domain = (stack.enter_context(domains.reserved()) for _ in range(2))
        setting = Setting(
            mode, ros_domain, robot_domain, session_name(), folder, seed, fifo="no-fifo" not in given.flags
        )
        rig = stack.enter_context(Rig(setting))
        rig.up()
        bare = baseline()
        allowance = 0.0 if bare["fifo"] and setting.fifo else bare["p999"]
        print(f"chaos: {machine_line(bare)}; seed {seed}; logs in {folder}", file=sys.stderr, flush=True)
        say = _say
        if minutes:
            outcomes = [soak.run(rig, minutes * 60.0, seed, say)]
        else:
            outcomes = run_faults(rig, faults, trials, seed, allowance, say)
    print("\n".join(table.lines(outcomes, allowance)))
    print(f"machine   {machine_line(bare)}; mode {mode}, seed {seed}")
    print(f"result    {table.summary(outcomes, allowance)}")
    if "json" in given.flags:
        content = {"machine": bare, "seed": seed, "mode": mode, "faults": table.as_json(outcomes, allowance)}
        Path(given.flags["json"]).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 1 if any(outcome.verdict(allowance) == "FAIL" for outcome in outcomes) else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
