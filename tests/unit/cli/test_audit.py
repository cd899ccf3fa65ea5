"""``neon audit``: whole logs pass, broken ones are named, and the newest lines of all processes come in order."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("yaml")
pytest.importorskip("fastcrc")
from neon_ros.cli import main
from neon_ros.motor.audit import AuditLog


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Logs of two processes in session ``neon``."""
    for name in ("motor", "g1_command"):
        log = AuditLog(tmp_path / "neon", name)
        log.start()
        for index in range(5):
            log.note("state", state="ACTIVE", number=index)
        log.close()
    return tmp_path


def test_whole_logs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", "--folder", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "g1_command   whole: 5 lines from 1 to 5" in said and "motor        whole: 5 lines from 1 to 5" in said


def test_a_changed_line_is_named_and_the_exit_code_tells(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "neon" / "motor.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"number":2', b'"number":9'))
    assert main(["audit", "verify", "--folder", str(folder)]) == 1
    said = capsys.readouterr()
    assert "motor        BROKEN" in said.out and "g1_command   whole" in said.out
    assert "motor: motor.jsonl:4: line 4 does not follow line 3" in said.err


def test_show_prints_the_newest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "show", "--folder", str(folder), "--last", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines == sorted(lines)
    assert 'g1_command state        state "ACTIVE", number 4' in lines[-1]
    assert main(["audit", "show", "--folder", str(folder), "--last", "0"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "audit: got nothing; allowed: verify or show"),
        (["delete"], "audit: got delete; allowed: verify or show"),
        (["show", "--last", "many"], "last: got 'many'; allowed: a whole number"),
        (["verify", "session:=nobody"], "audit log: got none in "),
        (["verify", "session:=../x"], "session: got '../x'"),
        (["verify", "head:=mlp"], "argument: got head"),
    ],
)
def test_what_is_not_understood_is_refused(
    words: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", *words, "--folder", str(folder)]) == 2
    assert message in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--help"]) == 0 and "verify|show" in capsys.readouterr().out
