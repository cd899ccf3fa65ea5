"""``neon check`` as a verb: what it prints, how it exits, what it never does."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("ruckig")

from neon_ros.cli import check, main, probe
from neon_ros.cli.checks import Check, Result
from neon_ros.cli.probe import Findings

GOOD = Check("tilt", Result.OK, "0.00 rad", "at most 1 rad")
WARNED = Check("battery", Result.WARN, "nothing on rt/lf/bmsstate", "its charge")
BAD = Check("LowState", Result.FAIL, "none in 3.0 s", "500 a second")
LIMIT = {
    **{"joint": "left_elbow_joint", "lower": -1.0472, "upper": 2.0944, "velocity": 37.0, "effort": 25.0},
    **{"our_lower": -1.0272, "our_upper": 2.0744, "our_velocity": 4.0, "our_acceleration": 40.0, "our_jerk": 2000.0},
    "our_effort": 22.5,
}


def found(*rows: Check) -> Findings:
    made = Findings()
    made.add(*rows)
    made.limits = [dict(LIMIT)]
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Let the verb find what a test wants; return the arguments it looked with."""
    seen: dict[str, str] = {}

    def fake(values: dict[str, str], seconds: float, config: object) -> Findings:
        seen.update(values, seconds=str(seconds))
        return found(GOOD, WARNED) if values["session"] == "fine" else found(GOOD, WARNED, BAD)

    monkeypatch.setattr(check, "probe", fake)
    return seen


def test_only_a_failure_makes_it_fail(asked: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "session:=fine"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "result    ok; 1 warning"
    assert main(["check", "session:=other"]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "result    FAILED: LowState; 1 warning"
    assert "LowState  FAIL    none in 3.0 s" in out
    assert "left_elbow_joint" in out and "-1.047 to  2.094      37     25 |   -1.027 to  2.074       4" in out


def test_json_holds_the_same(asked: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", "--seconds", "0.5"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["failed"]) == (False, ["LowState"]) and asked["seconds"] == "0.5"
    assert said["checks"][0] == {"check": "tilt", "result": "ok", "seen": "0.00 rad", "allowed": "at most 1 rad"}
    assert said["limits"] == [LIMIT]


@pytest.mark.parametrize(
    ("words", "interface"),
    [([], "lo"), (["robot:=real"], ""), (["robot:=real", "network_interface:=nowhere0"], "nowhere0")],
)
def test_a_missing_interface_is_a_row_not_an_end(words: list[str], interface: str, asked: dict[str, str]) -> None:
    assert main(["check", *words]) == 1
    assert asked["network_interface"] == interface


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["speed:=1"], "neon check: argument: got speed; allowed: robot, network_interface, robot_domain"),
        (["mode:=legs"], "neon check: mode: got 'legs'; allowed: arms_only, upper_body, whole_body"),
        (["--seconds", "no"], "neon check: seconds: got 'no'; allowed: a time above 0 s"),
        (["robot_domain:=7", "ros_domain:=7"], "neon check: ros_domain: got 7; allowed: any but the robot's own"),
        (["now"], "neon check: argument: got 'now'; allowed: name:=value"),
    ],
)
def test_wrong_words_are_refused(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *words]) == 2
    assert capsys.readouterr().err.startswith(sentence)


def test_help_names_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--help"]) == 0
    out = capsys.readouterr().out
    assert "network_interface:=" in out and "--json" in out and "no motor command is sent" in out


def test_nothing_in_it_can_move_the_robot() -> None:
    names = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(ast.parse(Path(probe.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute | ast.Name)
    }
    assert not names & {"low_cmd_writer", "write", "release", "select", "set_velocity", "call", "request", "post"}
    assert {"active", "fsm", "low_state_reader"} <= names
