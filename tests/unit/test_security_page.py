"""The threat model links to tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_test_that_the_threat_model_names_exists() -> None:
    defined = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        defined |= set(re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 25 and not named - defined, sorted(named - defined)


def test_every_threat_has_an_answer_or_says_that_it_has_none() -> None:
    table = PAGE.split("## Threats")[1].split("## The audit log")[0]
    rows = [line for line in table.splitlines() if line.startswith("|") and not line.startswith(("| surface", "|---"))]
    assert len(rows) > 20
    for row in rows:
        _, _, threat, answer, tests, _ = row.split("|")
        assert re.match(r" [STRIDE](, [STRIDE])*: ", threat), row
        assert "`test_" in tests or tests.strip() == "—", row
        assert answer.strip()
        if tests.strip() == "—":
            assert answer.strip().startswith(("not answered", "listens on")), row
