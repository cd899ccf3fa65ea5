"""Change the guard in thousands of small ways and ask its unit tests to notice: ``make mutate``.

mutmut writes the mutants.  The tests are collected once; each mutant is then a fork of that process, which runs the
tests that reach the changed function, those first that noticed other changes of the same function or module, then the
quickest, until one fails or ``--cap`` seconds of tests have passed.  A survivor is a mutant that none of these noticed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import resource
import select
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mutmut.__main__ import create_mutants
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir
from mutmut.utils.format_utils import mangled_name_from_mutant_name

TESTS = "tests/unit/guard"
SLOWEST = 8.0  # [s] tests that take longer are not asked
PATIENCE = 900.0  # [s] for a mutant that waits for something; one that computes has ten times what its tests need


def fails(item: pytest.Item, following: pytest.Item | None) -> bool:
    """Run one test; return whether it failed."""
    if hasattr(item, "_request") and not item._request:
        item._initrequest()  # type: ignore[attr-defined]
    hook = item.ihook
    failed = False
    for when, call in (
        ("setup", lambda: hook.pytest_runtest_setup(item=item)),
        ("call", lambda: hook.pytest_runtest_call(item=item)),
        ("teardown", lambda: hook.pytest_runtest_teardown(item=item, nextitem=following)),
    ):
        if when == "call" and failed:
            continue
        info = pytest.CallInfo.from_call(call, when=when)  # type: ignore[arg-type]
        failed = failed or (info.excinfo is not None and not info.excinfo.errisinstance(pytest.skip.Exception))
    return failed


def watched(items: list[pytest.Item]) -> dict[str, Any]:
    """Run tests without a change; return seconds of each, -1 when it failed, and which tests reach each function."""
    set_mutant_under_test("stats")
    seconds: dict[str, float] = {}
    reached: dict[str, list[str]] = defaultdict(list)
    for item, following in zip(items, [*items[1:], None], strict=True):
        state()._stats.clear()
        begun = time.process_time()
        bad = fails(item, following)
        seconds[item.nodeid] = -1.0 if bad else time.process_time() - begun
        for function in state()._stats:
            reached[function].append(item.nodeid)
    return {"seconds": seconds, "reached": reached}


@dataclass
class Child:
    """A process that runs tests against one mutant."""

    mutant: str
    pipe: int
    deadline: float
    said: bytes = b""


@dataclass(eq=False)
class Campaign:
    """All mutants of the modules asked for, and what became of them."""

    mutants: list[str]
    cap: float
    before: dict[str, str]
    results: dict[str, str] = field(default_factory=dict)
    reached: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[str, float] = field(default_factory=dict)
    noticed: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the campaign in place of the tests."""
        self.items = {item.nodeid: item for item in session.items}
        for plugin in session.config.pluginmanager.get_plugins():
            if hasattr(plugin, "_children"):  # the look at left processes, which takes longer than most tests
                plugin._children = lambda parent: {}
        self.look()
        broken = [name for name, seconds in self.seconds.items() if seconds < 0.0]
        if broken:
            raise pytest.UsageError(f"these fail without any change: {broken}")
        self.fight(max(1, len(os.sched_getaffinity(0))))
        return True

    def look(self) -> None:
        """Learn how long each test takes and which functions it reaches; in a child, so that nothing stays behind.

        What was learnt is kept in ``mutants/reached.json`` until the guard, or the file of the test, changes.
        """
        kept = Path("mutants/reached.json")
        texts = {str(path): path.read_bytes() for path in sorted(Path(TESTS).glob("*.py"))}
        texts["guard"] = b"".join(path.read_bytes() for path in sorted(Path("neon_ros/guard").glob("*.py")))
        digests = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
        before = json.loads(kept.read_text()) if kept.exists() else {}
        known = before.get("digests", {})
        same = {name for name in digests if known.get(name) == digests[name] and known.get("guard") == digests["guard"]}
        valid = {name for name in self.items if name.split("::")[0] in same and name in before["seconds"]}
        items = [item for name, item in self.items.items() if name not in valid]
        learnt: dict[str, Any] = {"seconds": {}, "reached": {}}
        if items:
            reader, writer = os.pipe()
            if (pid := os.fork()) == 0:
                with open(writer, "w") as out:
                    json.dump(watched(items), out)
                os._exit(0)
            os.close(writer)
            with open(reader) as source:
                learnt = json.loads(source.read())
            os.waitpid(pid, 0)
        self.seconds = {name: before["seconds"][name] for name in valid} | learnt["seconds"]
        for function, tests in (*before.get("reached", {}).items(), *learnt["reached"].items()):
            self.reached[function] |= {name for name in tests if name in valid or name in learnt["seconds"]}
        reached = {function: sorted(tests) for function, tests in self.reached.items()}
        kept.write_text(json.dumps({"digests": digests, "seconds": self.seconds, "reached": reached}))

    def fight(self, width: int) -> None:
        """Run all mutants, ``width`` at a time."""
        waiting = list(reversed(self.mutants))
        running: dict[int, Child] = {}
        begun = time.monotonic()
        while waiting or running:
            while waiting and len(running) < width:
                mutant = waiting.pop()
                if order := self.order(mutant):
                    self.start(mutant, order, running)
                else:
                    self.end(mutant, "no test")
            select.select([child.pipe for child in running.values()], [], [], 1.0)
            for pid, child in list(running.items()):
                if time.monotonic() > child.deadline:
                    os.kill(pid, 9)
                ended, status = os.waitpid(pid, os.WNOHANG if time.monotonic() <= child.deadline else 0)
                if not ended:
                    continue
                said = os.read(child.pipe, 65536).decode()
                os.close(child.pipe)
                del running[pid]
                verdict = said if said else "out of time" if os.WIFSIGNALED(status) else f"ended ({status})"
                self.end(child.mutant, verdict)
                if len(self.results) % 100 == 0:
                    print(f"{len(self.results)} of {len(self.mutants)}, {time.monotonic() - begun:.0f} s", flush=True)

    def order(self, mutant: str) -> list[pytest.Item]:
        """Return the tests to run against a mutant, the likeliest to notice it first."""
        function, module = mangled_name_from_mutant_name(mutant), mutant.rpartition(".")[0]
        own = f"{TESTS}/test_{module.rpartition('.')[2]}.py"
        tests = [name for name in self.reached.get(function, ()) if self.seconds[name] <= SLOWEST]
        here, near = self.noticed[function], self.noticed[module]
        first = sorted((name for name in tests if here[name]), key=lambda name: -here[name])[:10]
        others = set(tests) - set(first)
        rest = sorted(others, key=lambda name: (not name.startswith(own), self.seconds[name] / (1 + near[name]), name))
        chosen: list[pytest.Item] = []
        spent = 0.0
        for name in (*first, *rest):
            spent += self.seconds[name]
            if spent > self.cap and chosen:
                break
            chosen.append(self.items[name])
        return chosen

    def start(self, mutant: str, order: list[pytest.Item], running: dict[int, Child]) -> None:
        """Begin the tests of one mutant in a fork."""
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            seconds = 10 + math.ceil(10.0 * sum(self.seconds[item.nodeid] for item in order))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            set_mutant_under_test(mutant)
            said = "survived"
            try:
                for item, following in zip(order, [*order[1:], None], strict=True):
                    if fails(item, following):
                        said = item.nodeid
                        break
            except BaseException as error:
                said = f"broke: {error!r}"
            os.write(writer, said.encode()[:60000])
            os._exit(0)
        os.close(writer)
        running[pid] = Child(mutant, reader, time.monotonic() + PATIENCE)

    def end(self, mutant: str, verdict: str) -> None:
        """Keep what became of a mutant."""
        self.results[mutant] = verdict
        if verdict in self.items:
            self.noticed[mangled_name_from_mutant_name(mutant)][verdict] += 1
            self.noticed[mutant.rpartition(".")[0]][verdict] += 1
        Path("mutants/results.json").write_text(json.dumps({**self.before, **self.results}, indent=0))


def main() -> None:
    """Write the mutants, run the campaign, print the table and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("modules", nargs="*", help="of neon_ros.guard; all when none is named")
    parser.add_argument("--sample", type=int, default=0, help="so many mutants of each module, drawn at random")
    parser.add_argument("--cap", type=float, default=30.0, help="[s] of tests against one mutant")
    parser.add_argument("--again", action="store_true", help="only mutants that survived before")
    asked = parser.parse_args()
    Path("mutants").mkdir(exist_ok=True)
    copy_src_dir()
    copy_also_copy_files()
    create_mutants(max(1, len(os.sched_getaffinity(0))))
    kept = Path("mutants/results.json")
    before = json.loads(kept.read_text()) if kept.exists() else {}
    mutants = []
    for path in sorted(Path("mutants/neon_ros/guard").glob("*.meta")):
        module = path.name.removesuffix(".py.meta")
        names = list(json.loads(path.read_text())["exit_code_by_key"])
        if asked.modules and module not in asked.modules:
            continue
        if asked.again:
            names = [name for name in names if before.get(name) in ("survived", "no test")]
        elif asked.sample and asked.sample < len(names):
            names = sorted(random.Random(7).sample(names, asked.sample))
        mutants += names
    campaign = Campaign(mutants, asked.cap, before)
    os.environ["MUTANT_UNDER_TEST"] = ""
    here = Path.cwd() / "mutants"
    sys.path[:] = [str(here), *(entry for entry in sys.path if Path(entry or ".").resolve() != here.parent)]
    # Paths of results are relative to the checkout; the tests must see the mutants' copy of it.
    arguments = [f"mutants/{TESTS}", "--rootdir=mutants", "-c", "mutants/pyproject.toml"]
    code = pytest.main(
        [*arguments, "-q", "-s", "--assert=plain", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=0"],
        plugins=[campaign],
    )
    if code not in (0, 5):
        sys.exit(f"pytest ended with {code}")
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for mutant, verdict in campaign.results.items():
        kind = verdict if verdict in ("survived", "no test", "out of time") else "killed"
        table[mutant.split(".")[2]][kind] += 1
    print(f"{'module':12}{'mutants':>9}{'killed':>8}{'time':>6}{'survived':>10}{'no test':>9}")
    for module, counts in sorted(table.items()):
        killed, late, left, bare = (counts[kind] for kind in ("killed", "out of time", "survived", "no test"))
        print(f"{module:12}{counts.total():9}{killed:8}{late:6}{left:10}{bare:9}")
    for mutant, verdict in campaign.results.items():
        if verdict in ("survived", "no test") or verdict.startswith(("ended", "broke")):
            print(f"{verdict}: {mutant}")


if __name__ == "__main__":
    main()
