"""The launch files on the real ``launch`` and ``launch_ros``: declared arguments, the same graph, refusals."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("launch_ros")
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
    TimerAction,
)
from launch.launch_description_sources import get_launch_description_from_python_launch_file
from launch.utilities import perform_substitutions
from launch_ros.actions import Node

from launch import LaunchContext
from neon_ros.arguments import ARGUMENTS, ENTRIES
from neon_ros.errors import ConfigError
from neon_ros.graph import build
from neon_ros.launching import _again
from neon_ros.respawn import Respawn

pytestmark = pytest.mark.system
LAUNCH = Path(__file__).resolve().parents[2] / "launch"
LAUNCHED = [entry for entry in ENTRIES if (LAUNCH / f"{entry}.launch.py").is_file()]


def described(entry: str) -> list[Any]:
    return list(get_launch_description_from_python_launch_file(str(LAUNCH / f"{entry}.launch.py")).entities)


def resolved(entry: str, **given: str) -> list[Any]:
    """Return the actions that a launch with these arguments would run."""
    context = LaunchContext()
    context.launch_configurations.update(given)
    actions: list[Any] = []
    for entity in described(entry):
        if isinstance(entity, DeclareLaunchArgument):
            entity.visit(context)
        elif isinstance(entity, OpaqueFunction):
            actions += entity.execute(context) or []
    return actions


def test_every_launch_file_is_an_entry_of_the_graph() -> None:
    assert {path.name.removesuffix(".launch.py") for path in LAUNCH.glob("*.launch.py")} == set(LAUNCHED)


@pytest.mark.parametrize("entry", LAUNCHED)
def test_every_argument_is_declared_and_described(entry: str) -> None:
    declared = {e.name: e for e in described(entry) if isinstance(e, DeclareLaunchArgument)}
    assert tuple(declared) == ENTRIES[entry][1]
    for name, action in declared.items():
        argument = ARGUMENTS[name]
        assert argument.description in action.description
        assert perform_substitutions(LaunchContext(), action.default_value) == argument.default
        assert tuple(action.choices or ()) == (argument.choices or ())


@pytest.mark.parametrize("entry", LAUNCHED)
def test_launch_runs_the_processes_of_the_graph_in_its_order(entry: str) -> None:
    graph = build({}, entry)
    actions = resolved(entry)
    processes = [
        action
        for action in actions
        if isinstance(action, ExecuteProcess) and getattr(action, "node_package", "neon_ros") == "neon_ros"
    ]
    assert len(processes) == len(graph.processes)
    for action, process in zip(processes, graph.processes, strict=True):
        assert isinstance(action, Node) is bool(process.nodes)
        if process.nodes:
            assert action.node_package == "neon_ros"
            assert action.node_executable == process.name
    environment = {
        perform_substitutions(LaunchContext(), action.name): perform_substitutions(LaunchContext(), action.value)
        for action in actions
        if isinstance(action, SetEnvironmentVariable)
    }
    assert environment == graph.environment


def test_transforms_are_published_where_ros_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    assert not [a for a in resolved("view") if getattr(a, "node_package", "") == "robot_state_publisher"]
    (index / "robot_state_publisher").touch()
    nodes = [a for a in resolved("view") if getattr(a, "node_package", "") == "robot_state_publisher"]
    assert len(nodes) == 1


def test_rviz_is_shown_where_it_and_a_screen_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rviz2").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for screen, given, shown in (("", {}, 0), (":0", {}, 1), (":0", {"rviz": "false"}, 0), ("", {"rviz": "true"}, 1)):
        monkeypatch.setenv("DISPLAY", screen)
        found = [a for a in resolved("view", **given) if getattr(a, "node_package", "") == "rviz2"]
        assert len(found) == shown
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("DISPLAY", ":0")
    assert not [a for a in resolved("view") if getattr(a, "node_package", "") == "rviz2"]
    assert build({}, "view").arguments["rviz"] == "false"


def test_conditions_follow_the_arguments() -> None:
    composed = resolved("g1_bringup", composed="true", view="false", speech="false")
    executables = [action.node_executable for action in composed if isinstance(action, Node)]
    assert executables == ["container", "sim_sensors"]


def test_a_crashed_node_is_started_again_twice_and_then_stays_down() -> None:
    process = next(process for process in build({}).processes if process.name == "action_head")
    ended, crash = _again(process, Respawn()), SimpleNamespace(returncode=-9)
    for _ in range(2):
        said, timer = ended(crash, LaunchContext())
        assert isinstance(said, LogInfo) and isinstance(timer, TimerAction)
    assert len(ended(crash, LaunchContext())) == 1
    assert len(_again(process, Respawn())(SimpleNamespace(returncode=2), LaunchContext())) == 1


def test_a_refused_value_ends_the_launch_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="port: got '80'; allowed"):
        resolved("g1_bringup", port="80")
    with pytest.raises(ConfigError, match="autostart: got true with robot:=real"):
        resolved("g1_bringup", robot="real", autostart="true")
    with pytest.raises(RuntimeError, match="head"):
        resolved("g1_bringup", head="fly")
