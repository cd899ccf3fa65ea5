"""Mutation of what mutmut leaves alone: the guard's numbers outside functions and in decorated ones.

mutmut chooses a mutant inside a function when it is called; what runs at import has no such moment.  Here each mutant
is a process that compiles one module with one constant changed and runs the guard's tests, the quick ones first.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("ruckig")

ROOT = Path(__file__).parents[2]
GUARD = ROOT / "neon_ros" / "guard"
QUICK = (
    "tests/property/test_parameters.py::test_guard_settings_are_the_documented_ones",
    "tests/property/test_states.py::test_i13_every_pair_of_state_and_event_is_in_the_list",
    *(f"tests/unit/guard/test_{name}.py" for name in ("boundaries", "admission_bounds", "limits", "machine", "torque")),
    *(
        f"tests/unit/guard/test_{name}.py"
        for name in ("health", "admission", "timeline", "guard", "stopping", "limiter")
    ),
    "tests/property/test_traps.py",
)
SURVIVORS_ALLOWED = 0.05

# Where a change makes no difference that a test could see, with the reason.
EQUIVALENT = {
    ("guard", "_FARTHEST"): "admission refuses what lies further ahead before the guard sees it",
    ("timeline", "_CANDIDATES"): "how finely fades are tried, not what they may do",
}


def numbers_of(module: str) -> Iterator[tuple[str, int, int, object, object]]:
    """Yield (where, line, column, value, other value) of each number and truth value that runs at import."""
    tree = ast.parse((GUARD / f"{module}.py").read_text(encoding="utf-8"))

    def walk(node: ast.AST, where: str) -> Iterator[tuple[str, int, int, object, object]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef) and not child.decorator_list:
                continue  # mutmut's
            name = where
            if isinstance(child, ast.Assign | ast.AnnAssign):
                target = child.targets[0] if isinstance(child, ast.Assign) else child.target
                name = ast.unparse(target)
            elif isinstance(child, ast.FunctionDef | ast.ClassDef):
                name = child.name
            if isinstance(child, ast.Constant) and type(child.value) in (int, float, bool):
                value = child.value
                other = (not value) if isinstance(value, bool) else value * 2 + (0.5 if isinstance(value, float) else 1)
                yield name, child.lineno, child.col_offset, value, other
            yield from walk(child, name)

    yield from walk(tree, "")


MUTANTS = [(path.stem, *found) for path in sorted(GUARD.glob("*.py")) for found in numbers_of(path.stem)]


class Mutate(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import one module with one constant changed."""

    def __init__(self, module: str, line: int, column: int, value: object) -> None:
        self.module, self.line, self.column, self.value = module, line, column, value

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> object:
        """Take the one module."""
        if name != f"neon_ros.guard.{self.module}":
            return None
        return importlib.util.spec_from_file_location(name, GUARD / f"{self.module}.py", loader=self)

    def create_module(self, spec: object) -> None:
        """Leave it to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed source."""
        path = GUARD / f"{self.module}.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and (node.lineno, node.col_offset) == (self.line, self.column):
                node.value = self.value  # type: ignore[assignment]
        exec(compile(tree, str(path), "exec"), module.__dict__)


def outcome(mutant: tuple[str, str, int, int, object, object]) -> int:
    """Return pytest's exit status under one mutant: 0 when it survived."""
    module, _, line, column, _, value = mutant
    words = [sys.executable, "-c", f"from test_constants import child; child({module!r}, {line}, {column}, {value!r})"]
    environment = {**os.environ, "NEON_PROOF": "0.001", "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"}
    return subprocess.run(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


def child(module: str, line: int, column: int, value: object) -> None:
    """Run the tests in this process with one constant changed; exit with their status."""
    os.chdir(ROOT)
    sys.meta_path.insert(0, Mutate(module, line, column, value))  # type: ignore[arg-type]
    raise SystemExit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *QUICK])))


@pytest.mark.long
def test_nearly_every_changed_constant_of_the_guard_is_noticed() -> None:
    module, where, line, column, value, _ = MUTANTS[0]
    assert outcome((module, where, line, column, value, value)) == 0, "unchanged, the tests pass"
    counted = [mutant for mutant in MUTANTS if (mutant[0], mutant[1]) not in EQUIVALENT]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        statuses = list(pool.map(outcome, counted))
    survivors = [mutant for mutant, status in zip(counted, statuses, strict=True) if status == 0]
    print(f"{len(counted)} mutants, {len(counted) - len(survivors)} noticed, {len(MUTANTS) - len(counted)} equivalent")
    for survivor in survivors:
        print("survived:", *survivor)
    assert len(survivors) <= SURVIVORS_ALLOWED * len(counted)


def test_the_constants_are_found() -> None:
    assert len(MUTANTS) > 60 and {mutant[0] for mutant in MUTANTS} >= {"config", "limiter", "limits", "admission"}
    assert all(mutant[4] != mutant[5] for mutant in MUTANTS)
    found = {(mutant[0], mutant[1]) for mutant in MUTANTS}
    assert set(EQUIVALENT) <= found, "each exception is still there"
