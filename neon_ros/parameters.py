"""The parameters of every node: default, unit, range and description in one place, without ROS.

A node declares its ROS parameters from the dataclass of its name in :data:`NODES`; :mod:`neon_ros.graph` checks a
parameter file against the same dataclasses, so that a misspelt name is refused instead of ignored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from neon_ros.errors import ConfigError, refuse

Config = TypeVar("Config")
KEY_FILE = "file with the key of the chunks, mode 0600; empty for the session's own, renewed at each start"
_TYPES: dict[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (float,), "str": (str,)}


def parameter(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    required: bool = False,
    settable: bool = False,
) -> Any:
    """Return a dataclass field that knows what a ROS parameter descriptor needs.

    :param low: smallest allowed number.
    :param high: largest allowed number.
    :param choices: the allowed words.
    :param required: refuse an empty text; for paths and names that have no default.
    :param settable: whether a running node may be asked for another value; it decides itself.
    """
    return field(
        default=default,
        metadata={
            **{"description": description, "low": low, "high": high, "choices": choices},
            **{"required": required, "settable": settable},
        },
    )


@dataclass(frozen=True)
class BackboneParameters:
    """Node ``backbone``: picture and words to features."""

    backbone: str = parameter("compact", "name of the frozen backbone", required=True)
    rate: float = parameter(12.0, "most pictures encoded per second [Hz]", low=0.1, high=60.0)
    instruction: str = parameter("", "words at the start; empty means none until the topic says some")
    image_timeout: float = parameter(0.5, "silence of the camera that is reported [s]", low=0.05, high=10.0)
    frozen_timeout: float = parameter(
        1.0, "the same picture for so long is a frozen camera; 0 never is [s]", low=0.0, high=60.0
    )
    path: str = parameter("", "folder of its weights, for a backbone that ships none")
    precision: str = parameter("", "fp32, bf16, fp16, int8 or int4; empty leaves it to the backbone")
    device: str = parameter("", "cpu or cuda; empty leaves it to the backbone")
    compiled: str = parameter("", "off, default or cudagraphs; empty leaves it to the backbone")
    threads: int = parameter(0, "threads of one inference; 0 leaves it to the backbone", low=0, high=64)
    warm_up: int = parameter(9, "pictures read before the first counts; 9 fill a window", low=0, high=64)
    image_transport: str = parameter(
        "raw", "read image, or image/compressed (JPEG, PNG)", choices=("raw", "compressed")
    )
    autoactivate: bool = parameter(True, "configure and activate without a lifecycle manager")
    reply: bool = parameter(False, "have the model answer each new instruction in words, on the topic speech")
    reason_every: float = parameter(
        0.0,
        "time between two reasonings that the head reads after the words; 0 for none [s]",
        low=0.0,
        high=600.0,
    )
    answer_pieces: int = parameter(48, "most word pieces of an answer", low=1, high=512)


@dataclass(frozen=True)
class HearingParameters:
    """Node ``hearing``: sound to instructions, and to a stop."""

    instructions: bool = parameter(True, "publish what is said as instruction; false hears a stop only")
    accept: str = parameter(
        "task", "task takes sentences of the task touch, any takes every one", choices=("task", "any")
    )
    wake_word: str = parameter("", "with which an instruction must begin, e.g. robot; empty takes every sentence")
    vocabulary: str = parameter("touch", "words to expect: touch for those of the task, any other text as it is")
    least_confidence: float = parameter(
        -0.7, "mean log-probability of the words below which they are not believed", low=-5.0, high=0.0
    )
    pause: float = parameter(0.5, "silence that ends a sentence [s]", low=0.2, high=2.0)
    audio_timeout: float = parameter(
        1.0, "silence of the microphone, once heard, that is reported [s]", low=0.1, high=60.0
    )
    threads: int = parameter(1, "threads of one recognition", low=1, high=16)


@dataclass(frozen=True)
class MicrophoneParameters:
    """Node ``microphone``: the real robot's own microphones."""

    interface: str = parameter("", "network interface to the robot", required=True)
    timeout: float = parameter(
        2.0, "silence that is reported [s]; the robot may have to be told to listen", low=0.2, high=60.0
    )


@dataclass(frozen=True)
class SpeechParameters:
    """Node ``speech``: words to sound."""

    speaker: str = parameter(
        "synthesiser", "who speaks: the robot's own speaker or one", choices=("robot", "synthesiser")
    )
    voice: str = parameter("auto", "synthesiser or synthesiser:voice; auto takes the best that is installed")
    volume: int = parameter(-1, "of the robot's speaker [%]; -1 leaves it", low=-1, high=100)
    play: bool = parameter(True, "play a synthesised voice where aplay and a sound card are")
    wav_folder: str = parameter("", "folder for a WAV file of each sentence; empty for none")
    domain: int = parameter(0, "DDS domain of the robot", low=0, high=232)
    interface: str = parameter("", "network interface to the robot, needed for its own speaker")


@dataclass(frozen=True)
class EncoderParameters:
    """Nodes ``lidar_encoder``, ``proprio_encoder`` and ``eef_encoder``: one sensor to features."""

    checkpoint: str = parameter("", "folder of the checkpoint whose encoder to run; empty for a head without one")
    head: str = parameter("mlp", "name of the head that reads the features", required=True)
    mode: str = parameter("", "control mode", required=True)
    rate: float = parameter(50.0, "most messages encoded per second [Hz]", low=0.1, high=500.0)
    timeout: float = parameter(0.5, "silence of the sensor that is reported [s]", low=0.01, high=10.0)


@dataclass(frozen=True)
class LidarEncoderParameters(EncoderParameters):
    """Node ``lidar_encoder``."""

    rate: float = parameter(5.0, "most clouds encoded per second [Hz]", low=0.1, high=50.0)


@dataclass(frozen=True)
class ProprioEncoderParameters(EncoderParameters):
    """Node ``proprio_encoder``."""


@dataclass(frozen=True)
class EefEncoderParameters(EncoderParameters):
    """Node ``eef_encoder``."""

    rate: float = parameter(20.0, "most poses encoded per second [Hz]", low=0.1, high=500.0)


@dataclass(frozen=True)
class ActionHeadParameters:
    """Node ``action_head``: features to chunks."""

    checkpoint: str = parameter(
        "", "folder of the checkpoint; empty for a head without one; may be set, with head or alone", settable=True
    )
    head: str = parameter(
        "mlp", "name of the head; may be set: another takes over between two chunks", required=True, settable=True
    )
    mode: str = parameter("", "control mode the chunks are for", required=True)
    backbone: str = parameter("", "model id that the features must have; empty takes what the manifest names")
    needs_backbone: bool = parameter(True, "make no chunk without fresh backbone features")
    rate: float = parameter(
        10.0, "chunks per second without a backbone, where it is not needed [Hz]", low=1.0, high=50.0
    )
    committed: bool = parameter(
        False, "tell the head which steps will have been executed when its chunk arrives; see docs/heads.md"
    )
    draft: str = parameter("", "folder of a checkpoint that drafts for the head; empty: the head makes its own chunks")
    tolerance: float = parameter(0.05, "displacement of a draft that is accepted [rad]", low=0.001, high=1.0)
    max_age: float = parameter(0.5, "features older than this count as absent [s]", low=0.05, high=5.0)
    runtime: str = parameter("ort", "what runs the head: ONNX Runtime or torch", choices=("ort", "torch"))
    provider: str = parameter("cpu", "processor that runs the head", choices=("cpu", "cuda", "tensorrt"))
    max_capture_age: float = parameter(
        0.2, "captures older than this, or than a chunk lasts, are not answered [s]", low=0.02, high=1.0
    )
    session: str = parameter("", "session whose key signs the chunks, when no key_file is named")
    key_file: str = parameter("", KEY_FILE)
    insecure: bool = parameter(False, "send chunks that nobody signs; a real robot is then never armed")


@dataclass(frozen=True)
class G1CommandParameters:
    """Node ``g1_command``: chunks to the motor process, robot state to topics."""

    session: str = parameter("", "name of the shared memory of the motor process", required=True)
    robot: str = parameter("real", "what the motor process talks to", choices=("sim", "real"))
    mode: str = parameter(
        "", "control mode; may be set while the robot is INACTIVE or UNCONFIGURED", required=True, settable=True
    )
    autoactivate: bool = parameter(True, "configure and activate without a lifecycle manager; never arms")
    autostart: bool = parameter(False, "arm as soon as chunks arrive; refused unless robot is sim")
    rate: float = parameter(50.0, "joint states, IMU, hand poses and reports per second [Hz]", low=1.0, high=500.0)
    motor_timeout: float = parameter(20.0, "longest wait for the motor process at the start [s]", low=0.1, high=120.0)
    key_file: str = parameter("", KEY_FILE)
    insecure: bool = parameter(False, "admit chunks that nobody signed; a real robot is then never armed")
    audit_folder: str = parameter("", "folder of the audit logs; empty for $XDG_STATE_HOME/neon_ros")


@dataclass(frozen=True)
class ViewParameters:
    """Node ``view``: everything in a browser."""

    host: str = parameter(
        "127.0.0.1", "address to listen on; beyond loopback others can operate the robot", required=True
    )
    port: int = parameter(8080, "TCP port of the browser view", low=1024, high=65535)
    token: str = parameter(
        "", "what a visitor must know; empty: none on loopback, beyond it a random one in the address"
    )
    rate: float = parameter(20.0, "topics read and page refreshed per second [Hz]", low=1.0, high=60.0)
    browser: bool = parameter(True, "serve the browser view; false publishes predicted/* for RViz only")


@dataclass(frozen=True)
class RecorderParameters:
    """Node ``recorder``: every topic of the graph into an MCAP file."""

    out: str = parameter("", "new file (.mcap) or folder of the recording; empty makes one in folder, named by time")
    folder: str = parameter("~/neon_recordings", "where recordings go that have no name of their own", required=True)
    topics: str = parameter("", "topics to record, with commas between; empty records all")
    autostart: bool = parameter(False, "record from the start; otherwise when the service record is called")
    once: bool = parameter(False, "end the process when the recording ends, and offer no service")
    compression: str = parameter("lz4", "of the file", choices=("none", "lz4", "zstd"))
    flush_period: float = parameter(0.5, "most that a crash loses, give or take a flush [s]", low=0.05, high=1.0)
    max_seconds: float = parameter(3600.0, "a recording ends after this [s]", low=1.0, high=1e6)
    max_size: int = parameter(4096, "a recording ends at this size [MB]", low=1, high=1_000_000)
    keep_free: int = parameter(1024, "a recording ends when the disk has less than this left [MB]", low=0, high=10**6)


@dataclass(frozen=True)
class ReplayerParameters:
    """Node ``replayer``: a recording back onto its topics; never beside a g1_command."""

    file: str = parameter("", "recording: an MCAP file or the folder of a bag", required=True)
    rate: float = parameter(1.0, "times faster than it was", low=0.01, high=100.0)
    start: float = parameter(0.0, "time into the recording to start at [s]", low=0.0, high=1e6)
    loop: bool = parameter(False, "start again at the end")
    clock: bool = parameter(False, "publish /clock, for nodes with use_sim_time")
    skip: str = parameter("", "topics to leave out, with commas between; * stands for anything")
    wait: float = parameter(20.0, "longest wait for a listener before it begins [s]", low=0.0, high=3600.0)
    once: bool = parameter(False, "end the process at the end of the recording")


@dataclass(frozen=True)
class SimSensorsParameters:
    """Node ``sim_sensors``: the simulator's camera, LiDAR and IMUs as the drivers publish them."""

    session: str = parameter("", "name of the simulator's shared memory", required=True)
    camera_rate: float = parameter(12.0, "pictures per second [Hz]", low=0.5, high=60.0)
    lidar_rate: float = parameter(10.0, "clouds per second [Hz]", low=0.5, high=20.0)
    imu_rate: float = parameter(50.0, "IMU messages per second and sensor [Hz]", low=1.0, high=200.0)
    width: int = parameter(424, "picture width [px]", low=64, high=1280)
    height: int = parameter(240, "picture height [px]", low=48, high=720)
    say_task: bool = parameter(False, "publish the sentence that the scene asks for as instruction")
    sim_timeout: float = parameter(20.0, "longest wait for the simulator at the start [s]", low=0.1, high=120.0)


NODES: dict[str, type] = {
    "backbone": BackboneParameters,
    "lidar_encoder": LidarEncoderParameters,
    "proprio_encoder": ProprioEncoderParameters,
    "eef_encoder": EefEncoderParameters,
    "action_head": ActionHeadParameters,
    "g1_command": G1CommandParameters,
    "view": ViewParameters,
    "sim_sensors": SimSensorsParameters,
    "recorder": RecorderParameters,
    "hearing": HearingParameters,
    "speech": SpeechParameters,
}
"""Node name to its parameters, for the nodes of the graph."""


MOTOR = "motor"
"""Section of a parameter file that is not a ROS node's: settings of the guard in the motor process."""


def checked(kind: type[Config], values: Mapping[str, object], where: str = "parameter") -> Config:
    """Return ``kind`` filled with ``values``; what is not given keeps its default.

    :param kind: one of the dataclasses of this module.
    :param where: prefix of the name in an error, e.g. ``backbone``.
    :raises ConfigError: on an unknown name, another type, a value out of range or a missing required text.
    """
    known: dict[str, Field[Any]] = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ConfigError(refuse(f"{where}.{name}", "an unknown parameter", ", ".join(known)))
    for name, item in known.items():
        check_value(f"{where}.{name}", item, values.get(name, item.default))
    return kind(**values)


def check_value(name: str, item: Field[Any], value: object) -> None:
    """Refuse ``value`` unless it is what the parameter ``item`` allows.

    :raises ConfigError: on another type, a number out of range, an unknown word or a missing required text.
    """
    allowed = _TYPES[str(item.type)]
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise ConfigError(refuse(name, f"{value!r} ({type(value).__name__})", f"a value of type {item.type}"))
    low, high, choices = (item.metadata[key] for key in ("low", "high", "choices"))
    if low is not None and not (math.isfinite(value) and low <= value <= high):  # type: ignore[arg-type]
        raise ConfigError(refuse(name, value, f"{low} to {high}: {item.metadata['description']}"))
    if choices is not None and value not in choices:
        raise ConfigError(refuse(name, value, ", ".join(choices)))
    if item.metadata["required"] and not value:
        raise ConfigError(refuse(name, "nothing", item.metadata["description"]))


def check_params_file(path: str) -> dict[str, object]:
    """Refuse a parameter file that names an unknown node or parameter, or holds a wrong value.

    :returns: the section ``motor``, names joined by dots; who knows the guard judges its values.
    :raises ConfigError: naming node, parameter and what is allowed.
    """
    motor: dict[str, object] = {}
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            refuse("params_file", f"{path} ({str(error).splitlines()[0]})", "a readable YAML file")
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(refuse(f"params_file {path}", type(content).__name__, "node names with ros__parameters"))
    for node, body in content.items():
        name = str(node).lstrip("/")
        if name not in (*NODES, MOTOR):
            raise ConfigError(refuse(f"params_file {path}: node", node, ", ".join([*NODES, MOTOR])))
        given = body.get("ros__parameters") if isinstance(body, dict) and len(body) == 1 else None
        if not isinstance(given, dict):
            raise ConfigError(refuse(f"params_file {path}: {name}", body, "a map ros__parameters: {name: value}"))
        if name == MOTOR:
            motor |= _joined(given)
            continue
        known = {item.name: item for item in fields(NODES[name])}
        for key, value in given.items():
            if key not in known:
                raise ConfigError(refuse(f"params_file {path}: {name}.{key}", "an unknown parameter", ", ".join(known)))
            check_value(f"params_file {path}: {name}.{key}", known[key], value)
    return motor


def _joined(values: Mapping[object, object], before: str = "") -> dict[str, object]:
    """Return nested maps as one, with names joined by dots, as ROS does."""
    out: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            out |= _joined(value, f"{before}{name}.")
        else:
            out[f"{before}{name}"] = value
    return out
