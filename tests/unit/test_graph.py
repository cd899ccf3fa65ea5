"""The one description of the graph: arguments, conditions, and agreement with parameters, modes, heads and files."""

from __future__ import annotations

import importlib.util
import os
import shlex
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree

import pytest

from neon_ros import graph
from neon_ros.act.heads import HEADS
from neon_ros.arguments import ARGUMENTS, ENTRIES
from neon_ros.errors import ConfigError
from neon_ros.graph import build, resolve
from neon_ros.parameters import MOTOR, NODES, check_params_file
from neon_ros.robot.modes import MODES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_ros_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROS_DOMAIN_ID", "ROS_DISTRO", "ROS_AUTOMATIC_DISCOVERY_RANGE", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def names(**given: str) -> list[str]:
    return [process.name for process in build(given).processes]


def test_the_simulated_robot_comes_up_before_what_needs_it_and_the_motor_before_perception() -> None:
    order = names(hearing="true", speech="true")
    assert order[:4] == ["sim", "motor", "guardian", "g1_command"]
    assert set(order) == {"sim", "motor", "guardian", *NODES}
    assert order[-1] == "view"


def test_a_real_robot_has_no_simulator() -> None:
    order = names(robot="real", network_interface="lo", ros_domain="5")
    assert "sim" not in order and "sim_sensors" not in order and order[0] == "motor"
    order = names(robot="real", network_interface="lo", ros_domain="5", hearing="true")
    assert order[order.index("hearing") + 1] == "microphone"  # a simulated one has none


def test_conditions() -> None:
    assert not {"view", "recorder"} & set(names(view="false"))
    assert "recorder" in names(view="false", record="true")
    assert "backbone" not in names(local_backbone="false")
    assert {"hearing", "speech"} <= set(names(hearing="true", speech="true"))
    assert not {"hearing", "speech"} & set(names(hearing="false", speech="false"))
    composed = build({"composed": "true", "hearing": "true", "speech": "false"})
    assert [p.name for p in composed.processes] == [
        "sim",
        "motor",
        "guardian",
        "container",
        "sim_sensors",
        "hearing",
        "recorder",
        "view",
    ]
    container = composed.processes[3]
    alone = {p.name: p for p in build({}).processes}
    assert set(container.nodes) == set(container.arguments)
    for name in container.nodes:
        assert container.parameters.get(name, {}) == alone[name].parameters.get(name, {})
        assert container.remappings.get(name, {}) == alone[name].remappings.get(name, {})


def test_what_everything_depends_on_is_vital_and_the_rest_is_not() -> None:
    vital = {p.name for p in build({}).processes if p.vital}
    assert vital == {"sim", "motor", "guardian", "g1_command"}


def test_perception_yields_to_what_keeps_the_robot_moving() -> None:
    niceness = {p.name: p.niceness for p in build({}).processes}
    assert niceness["motor"] < niceness["g1_command"] < niceness["backbone"] < niceness["view"]


def test_every_argument_has_a_description_and_an_allowed_default() -> None:
    for argument in ARGUMENTS.values():
        assert len(argument.description) > 10, argument.name
        if argument.choices:
            assert argument.default in argument.choices


def test_choices_agree_with_the_rooms() -> None:
    assert ARGUMENTS["mode"].choices == tuple(MODES)
    assert set(HEADS) == set(ARGUMENTS["head"].choices or ())


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_module_and_parameter_of_the_graph_exists(entry: str) -> None:
    for process in build({}, entry).processes:
        assert importlib.util.find_spec(process.module) is not None, process.module
        for node, values in process.parameters.items():
            known = {item.name for item in fields(NODES[node])}
            assert set(values) <= known, node


@pytest.mark.parametrize("entry", [name for name in ENTRIES if name not in ("operator", "head", "check", "record")])
def test_every_entry_has_its_launch_file_and_no_launch_file_names_a_process(entry: str) -> None:
    text = (ROOT / "launch" / f"{entry}.launch.py").read_text(encoding="utf-8")
    assert f'description("{entry}")' in text
    assert "Node(" not in text and "ExecuteProcess" not in text


def test_entries_run_only_their_processes() -> None:
    assert [p.name for p in build({}, "sim").processes] == ["sim", "sim_sensors"]
    assert [p.name for p in build({}, "view").processes] == ["view"]
    assert [p.name for p in build({}, "backbone").processes] == ["backbone"]
    assert [p.name for p in build({}, "record").processes] == ["recorder"]
    assert build({}, "operator").processes == ()


def test_auto_arguments() -> None:
    values = resolve({})
    assert (values["network_interface"], values["robot_domain"], values["ros_domain"]) == ("lo", "1", "0")
    assert values["checkpoint"].endswith("checkpoints/mlp_touch")
    assert resolve({"head": "hold"})["checkpoint"] == ""
    assert values["draft"] == ""
    assert resolve({"draft": "mlp"})["draft"].endswith("checkpoints/mlp_touch")
    assert resolve({"draft": "/some/folder"})["draft"] == "/some/folder"
    real = resolve({"robot": "real", "network_interface": "lo"})
    assert (real["robot_domain"], real["ros_domain"]) == ("0", "10")


def test_the_ros_domain_of_the_shell_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    assert build({}).environment["ROS_DOMAIN_ID"] == "7"
    monkeypatch.setenv("ROS_DOMAIN_ID", "no number")
    with pytest.raises(ConfigError, match="ros_domain: got 'no number'; allowed: a whole number from 0 to 232"):
        build({})


def test_a_simulated_robot_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build({}).environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE" not in build({}).environment
    monkeypatch.setenv("ROS_DISTRO", "humble")
    assert build({}).environment["ROS_LOCALHOST_ONLY"] == "1"
    assert "LOCALHOST" not in str(build({"robot": "real", "network_interface": "lo", "ros_domain": "3"}).environment)


def test_the_scene_speaks_only_when_nobody_else_does() -> None:
    def asked(**given: str) -> object:
        return next(p for p in build(given).processes if p.name == "sim_sensors").parameters["sim_sensors"]["say_task"]

    def told(**given: str) -> object:
        return next(p for p in build(given).processes if p.name == "backbone").parameters["backbone"].get("instruction")

    assert asked() is True and told() is None
    assert asked(instruction="touch it") is False and told(instruction="touch it") == "touch it"
    assert asked(instruction="") is False and told(instruction="") is None


def test_head_and_command_node_sign_and_check_with_the_same_key() -> None:
    def told(**given: str) -> list[dict[str, object]]:
        found = {
            p.name: p.parameters[p.name] for p in build(given).processes if p.name in ("action_head", "g1_command")
        }
        return [{k: found[n].get(k) for k in ("session", "key_file", "insecure")} for n in sorted(found)]

    for given in ({}, {"key_file": "/k"}, {"insecure": "true"}, {"session": "two"}):
        head, command = told(**given)
        assert head == command
        assert head["insecure"] is (given.get("insecure") == "true") and head["key_file"] == given.get("key_file")
    words = " ".join(word for p in build({"key_file": "/k"}).processes for word in p.command())
    assert "key_file" in words and "secret" not in words


def test_values_reach_ros_as_they_are_typed() -> None:
    text = 'say "hi": {a: 1}, # 手'
    backbone = next(p for p in build({"instruction": text}).processes if p.name == "backbone")
    yaml = pytest.importorskip("yaml")
    word = next(word for word in backbone.ros_arguments() if word.startswith("backbone:instruction:="))
    assert yaml.safe_load(word.split(":=", 1)[1]) == text
    assert shlex.join(backbone.command())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hed": "mlp"}, "argument: got hed; allowed: robot, backbone, "),
        ({"robot": "spot"}, "robot: got 'spot'; allowed: sim, real"),
        ({"backbone": "gpt"}, "backbone: got 'gpt'; allowed: compact, "),
        ({"head": "fly"}, "head: got 'fly'; allowed: mlp, flow_matching, "),
        ({"mode": "legs"}, "mode: got 'legs'; allowed: arms_only, upper_body, whole_body"),
        ({"task": "dance"}, "task: got 'dance'; allowed: touch"),
        ({"view": "yes"}, "view: got 'yes'; allowed: true, false"),
        ({"port": "80"}, "port: got '80'; allowed: a whole number from 1024 to 65535"),
        ({"port": "8080.5"}, "port: got '8080.5'; allowed"),
        ({"seed": "-1"}, "seed: got '-1'; allowed"),
        ({"robot_domain": "233"}, "robot_domain: got '233'; allowed: a whole number from 0 to 232"),
        ({"robot_domain": "4", "ros_domain": "4"}, "ros_domain: got 4; allowed: any but the robot's own domain 4"),
        ({"network_interface": "warp0"}, "network_interface: got 'warp0'; allowed: .*lo"),
        ({"robot": "real"}, "network_interface: got ''; allowed: "),
        ({"session": "../x"}, "session: got '../x'; allowed: 1 to 32 letters, digits, _ or -"),
        ({"robot": "real", "autostart": "true"}, "autostart: got true with robot:=real; allowed: only with robot:=sim"),
        ({"key_file": "policy.key"}, "key_file: got policy.key; allowed: an absolute path"),
        ({"audit_folder": "logs"}, "audit_folder: got logs; allowed: an absolute path"),
        ({"key_file": "/k", "insecure": "true"}, "insecure: got true with a key_file; allowed: one or the other"),
        ({"params_file": "/nowhere.yaml"}, "params_file: got /nowhere.yaml .*; allowed: a readable YAML file"),
    ],
)
def test_refusals_name_what_was_got_and_what_is_allowed(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(given)


def test_an_entry_refuses_arguments_of_others() -> None:
    with pytest.raises(ConfigError, match="argument: got head; allowed: robot, backbone, backbone_path, instruction"):
        build({"head": "mlp"}, "backbone")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "got list; allowed: node names with ros__parameters"),
        ("a: {b: [", "a readable YAML file"),
        ("legs: {ros__parameters: {}}", "node: got legs; allowed: backbone, lidar_encoder"),
        ("backbone: {rate: 3.0}", "backbone: got .*; allowed: a map ros__parameters"),
        (
            "backbone: {ros__parameters: {speed: 3.0}}",
            r"backbone\.speed: got an unknown parameter; allowed: back",
        ),
        (
            "backbone: {ros__parameters: {rate: fast}}",
            r"backbone\.rate: got 'fast' \(str\); allowed: a value",
        ),
        ("backbone: {ros__parameters: {rate: 1000.0}}", r"backbone\.rate: got 1000\.0; allowed: 0\.1 to 60\.0"),
        ("backbone: {ros__parameters: {rate: .nan}}", r"backbone\.rate: got nan; allowed"),
        (
            "backbone: {ros__parameters: {threads: true}}",
            r"backbone\.threads: got True \(bool\)",
        ),
    ],
)
def test_parameter_files_are_checked(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        check_params_file(str(path))


def test_a_parameter_file_is_read_before_the_arguments(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("/backbone: {ros__parameters: {rate: 5.0}}", encoding="utf-8")
    backbone = next(p for p in build({"params_file": str(path)}).processes if p.name == "backbone")
    assert backbone.ros_arguments()[:2] == ["--params-file", str(path)]


def test_the_shipped_parameter_file_holds_the_defaults() -> None:
    yaml = pytest.importorskip("yaml")
    path = ROOT / "config" / "params.yaml"
    check_params_file(str(path))
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(content) == {*NODES, MOTOR}
    content.pop(MOTOR)
    for node, body in content.items():
        given = body["ros__parameters"]
        for item in fields(NODES[node]):
            if item.metadata["required"] and not item.default:
                assert item.name not in given, f"{node}.{item.name} comes from an argument"
            elif item.name in given:
                assert given[item.name] == item.default, f"{node}.{item.name}"


def test_the_shipped_motor_section_holds_the_guards_defaults_and_ranges() -> None:
    pytest.importorskip("ruckig")
    config = pytest.importorskip("neon_ros.guard.config")
    path = ROOT / "config" / "params.yaml"
    given = check_params_file(str(path))
    assert config.from_settings(given) == config.GuardConfig()
    numbers = [item for item in config.numbers() if item.name != "period"]
    assert {item.name for item in numbers} == {name for name in given if not name.startswith("limits.")}
    text = path.read_text(encoding="utf-8")
    for item in numbers:
        assert f"{item.metadata['description']}" in text and f"({item.metadata['low']:g} to" in text, item.name
    quantities = [f"limits.{of}.{what}" for of in config.GROUPS for what in config.QUANTITIES]
    assert {"limits.position_margin", *quantities} == {name for name in given if name.startswith("limits.")}


def test_motor_settings_reach_the_motor_process(tmp_path: Path) -> None:
    pytest.importorskip("ruckig")
    path = tmp_path / "mine.yaml"
    path.write_text(
        "motor:\n  ros__parameters:\n    arm_seconds: 3.5\n    limits:\n      arm:\n        velocity: 2\n",
        encoding="utf-8",
    )
    motor = next(p for p in build({"params_file": str(path)}).processes if p.name == "motor")
    assert motor.arguments[-4:] == ("--set", "arm_seconds=3.5", "--set", "limits.arm.velocity=2")
    plain = next(p for p in build({}).processes if p.name == "motor")
    assert "--set" not in plain.arguments


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        ("{arm_seconds: 0.5}", {"robot": "real", "network_interface": "lo"}, "guard.arm_seconds: got 0.5; allowed: at"),
        ("{max_tilt: 1.5}", {}, "guard.max_tilt: got 1.5; allowed: 0.1 to 1 rad"),
        ("{max_tilt: high}", {}, "motor.max_tilt: got 'high'; allowed: a number"),
        ("{speed: 1.0}", {}, "motor.speed: got an unknown setting; allowed: arm_max_dq"),
        ("{limits: {waist: {velocity: 31.0}}}", {}, "waist_roll_joint velocity limit: got 31.0; allowed: 0.001 to 30"),
        ("{limits: {left_elbow_joint: {velocity: .nan}}}", {}, "left_elbow_joint velocity limit: got nan; allowed"),
        ("{limits: 3}", {}, "motor.limits: got an unknown setting"),
    ],
)
def test_motor_settings_that_would_widen_are_refused_before_anything_starts(
    settings: str, given: dict[str, str], message: str, tmp_path: Path
) -> None:
    pytest.importorskip("ruckig")
    path = tmp_path / "wide.yaml"
    path.write_text(f"motor: {{ros__parameters: {settings}}}", encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        build({"params_file": str(path), **given})


def test_how_the_backbone_sees_is_passed_on_where_it_is_said() -> None:
    given = {"precision": "int8", "device": "cuda", "image_transport": "compressed"}
    for entry in ("g1_bringup", "backbone"):
        plain, told = (
            next(p for p in build(said, entry).processes if p.name == "backbone").parameters["backbone"]
            for said in ({}, {**given, "reply": "true"})
        )
        assert not {*given, "reply"} & set(plain) and {**given, "reply": True}.items() <= told.items()
    with pytest.raises(ConfigError, match="precision: got 'int3'; allowed: auto, fp32, bf16, fp16, int8, int4"):
        build({"precision": "int3"})


def test_graph_knows_registered_backbones() -> None:
    pytest.importorskip("onnxruntime")
    backbones = pytest.importorskip("neon_ros.encode.backbones")
    assert set(graph.ARGUMENTS["backbone"].choices or ()) == set(backbones.known())


def test_the_settings_of_the_middleware_hold_a_raw_picture_and_yield_to_the_operators_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("rclpy")
    from neon_ros.nodes.runtime import PROFILES, make_room

    for name in PROFILES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, "")  # so that it is taken out again after the test
        monkeypatch.delenv(name)
    make_room()
    (path,) = {os.environ[name] for name in PROFILES}
    sizes = [
        int(element.text or 0) for element in ElementTree.parse(path).iter() if element.tag.endswith("segment_size")
    ]
    assert sizes and min(sizes) > 1920 * 1080 * 3 > 512 * 1024
    monkeypatch.delenv(PROFILES[0])
    monkeypatch.setenv(PROFILES[1], "/my/own.xml")
    make_room()
    assert PROFILES[0] not in os.environ and os.environ[PROFILES[1]] == "/my/own.xml"
