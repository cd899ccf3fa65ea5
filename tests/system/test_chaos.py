"""``neon chaos``: a handful of faults in CI, the whole table and a soak in the long suite."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
pytest.importorskip("cyclonedds")

from neon_ros.chaos import soak
from neon_ros.chaos.bench import FAULTS
from neon_ros.chaos.rig import Rig
from neon_ros.chaos.runner import chosen, run_fault
from neon_ros.chaos.setting import Setting, session_name
from neon_ros.cli import chaos
from neon_ros.errors import ConfigError

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def rig(module_domains: tuple[int, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Yield one running graph for all faults."""
    ros_domain, robot_domain = module_domains
    setting = Setting("whole_body", ros_domain, robot_domain, session_name(), tmp_path_factory.mktemp("chaos"))
    with Rig(setting) as made:
        made.up()
        yield made


TIMELESS = ("F12", "F27", "F29")
"""Faults whose bounds are counts: they must pass on any machine, however busy."""
TIMED = ("F4", "F6", "F15", "F18")
"""Faults with bounds of time, which a shared machine does not keep: here they must happen, and in the right order."""


@pytest.mark.parametrize("number", TIMELESS)
def test_what_is_counted_passes(rig: Rig, number: str) -> None:
    outcome = run_fault(rig, FAULTS[number], trials=1, seed=1)
    assert outcome.passes(), (outcome.failure, outcome.breaches, outcome.measures)


@pytest.mark.parametrize("number", TIMED)
def test_every_reaction_comes_without_a_breach(rig: Rig, number: str) -> None:
    outcome = run_fault(rig, FAULTS[number], trials=1, seed=1)
    assert not outcome.failure and not outcome.not_run and not outcome.breaches, outcome
    assert outcome.measures and all(measure.passes(allowance=0.5) for measure in outcome.measures), outcome.measures


def test_a_graph_that_does_not_react_fails(rig: Rig) -> None:
    """The runner itself: a fault whose reaction never comes is a failure, not a pass."""
    outcome = run_fault(rig, FAULTS["F15"], trials=0, seed=1)
    assert outcome.verdict() == "FAIL" and not outcome.measures


def test_the_faults_are_those_of_the_table() -> None:
    assert [fault.id for fault in chosen([])] == sorted(FAULTS, key=lambda name: int(name[1:]))
    assert [fault.id for fault in chosen(["f4", "F15"])] == ["F4", "F15"]
    with pytest.raises(ConfigError, match="fault: got F99; allowed: among F1, F2"):
        chosen(["F99"])


def test_the_command_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="--mode: got 'sideways'"):
        chaos.run(["F4", "--mode", "sideways"])
    assert chaos.run(["--help"]) == 0 and "--soak MINUTES" in capsys.readouterr().out


@pytest.mark.long
def test_every_fault_passes(tmp_path: Path) -> None:
    file = tmp_path / "chaos.json"
    code = chaos.run(["--trials", "10", "--json", str(file)])
    found = {entry["id"]: entry["verdict"] for entry in json.loads(file.read_text())["faults"]}
    assert code == 0 and set(found.values()) <= {"pass", "not run"}, found


@pytest.mark.long
def test_a_soak_has_no_breach(rig: Rig) -> None:
    outcome = soak.run(rig, 180.0, 1, print)
    assert not outcome.breaches and not outcome.failure, outcome
