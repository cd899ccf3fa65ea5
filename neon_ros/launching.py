"""Turn the graph into launch actions; imported by ``launch/*.launch.py`` only, where ROS 2 is installed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription
from neon_ros.arguments import ARGUMENTS, ENTRIES
from neon_ros.errors import ConfigError, refuse
from neon_ros.graph import PERCEPTION_NICENESS, Process, build
from neon_ros.resources import share
from neon_ros.respawn import PAUSE, Respawn
from neon_ros.robot.description import BODIES_29, urdf_of


def description(entry: str) -> LaunchDescription:
    """Return the launch description of one entry of :data:`neon_ros.graph.ENTRIES`."""
    declared = []
    for name in ENTRIES[entry][1]:
        argument = ARGUMENTS[name]
        choices = list(argument.choices) if argument.choices else None
        declared.append(
            DeclareLaunchArgument(
                name, default_value=argument.default, description=argument.description, choices=choices
            )
        )
    return LaunchDescription([*declared, OpaqueFunction(function=_actions, kwargs={"entry": entry})])


def _actions(context: LaunchContext, entry: str) -> list[Any]:
    """Build the graph from the values in ``context``; a refused value ends the launch before anything starts."""
    _refuse_unknown(context.argv, entry)
    given = {name: LaunchConfiguration(name).perform(context) for name in ENTRIES[entry][1]}
    graph = build(given, entry)
    actions: list[Any] = [SetEnvironmentVariable(name, value) for name, value in graph.environment.items()]
    for process in graph.processes:
        actions += _started(process, _ending(process.name) if process.vital else _again(process, Respawn()))
        if process.name == "view":
            actions.append(_state_publisher())
    if entry == "view" and graph.arguments["rviz"] == "true":
        actions.append(_rviz())
    return actions


def _started(process: Process, ended: Callable[[Any, LaunchContext], list[Any]]) -> list[Any]:
    """Return what starts a process, and what happens when it has ended by itself."""
    action = _action(process)
    return [action, RegisterEventHandler(OnProcessExit(target_action=action, on_exit=ended))]


def _refuse_unknown(argv: Iterable[str], entry: str) -> None:
    """Refuse a misspelt argument, which launch would ignore; a launch file that includes ours may have its own.

    :raises ConfigError: when ours is the file on the command line and does not know an argument.
    """
    if any(word.endswith(f"{entry}.launch.py") for word in sys.argv):
        for word in argv:
            name = word.partition(":=")[0]
            if name not in ENTRIES[entry][1]:
                raise ConfigError(refuse("argument", name, ", ".join(ENTRIES[entry][1])))


def _ending(name: str) -> Callable[[Any, LaunchContext], list[Any]]:
    """Return what ends the launch when the vital process ``name`` has ended by itself."""

    def ending(event: Any, context: LaunchContext) -> list[Any]:
        if context.is_shutdown:
            return []
        reason = f"{name} ended; without it nothing works"
        return [LogInfo(msg=reason), EmitEvent(event=Shutdown(reason=reason))]

    return ending


def _state_publisher() -> Any:
    """Return what publishes the transforms of the robot's links, where ROS has it; markers do without.

    The view publishes ``robot_description`` itself, of the variant that the robot reports, so its own is moved away.
    """
    package = "robot_state_publisher"
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return LogInfo(msg=f"no {package}: RViz shows markers but no robot model; install it for the model")
    description = ParameterValue(urdf_of(BODIES_29[0]), value_type=str)
    return Node(
        package=package,
        executable=package,
        parameters=[{"robot_description": description, "publish_frequency": 20.0}],
        remappings=[("robot_description", f"{package}/robot_description")],
        prefix=f"nice -n {PERCEPTION_NICENESS}",
        output="log",
    )


def _rviz() -> Any:
    """Return what shows ``config/neon.rviz``; without RViz, launch_ros says which package is not found."""
    return Node(package="rviz2", executable="rviz2", arguments=["-d", str(share("config/neon.rviz"))], output="log")


def _again(process: Process, respawn: Respawn) -> Callable[[Any, LaunchContext], list[Any]]:
    """Return what starts a crashed process again, unless it crashes too often."""

    def ending(event: Any, context: LaunchContext) -> list[Any]:
        if context.is_shutdown:
            return []
        again, said = respawn.again(event.returncode, time.monotonic())
        actions: list[Any] = [LogInfo(msg=f"{process.name} ended with exit code {event.returncode}; {said}")]
        if again:
            actions.append(TimerAction(period=PAUSE, actions=_started(process, _again(process, respawn))))
        return actions

    return ending


def _action(process: Process) -> Any:
    """Return a ROS node, or a plain process, as launch runs it."""
    prefix = f"nice -n {process.niceness}" if process.niceness else ""
    common: dict[str, Any] = {"output": "screen", "emulate_tty": False, "prefix": prefix}
    if not process.nodes:
        return ExecuteProcess(cmd=process.command(), name=process.name, **common)
    return Node(
        package="neon_ros",
        executable=process.name,
        exec_name=process.name,
        arguments=list(process.arguments),
        ros_arguments=process.ros_arguments(),
        **common,
    )
