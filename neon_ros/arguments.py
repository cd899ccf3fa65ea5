"""The arguments of the launch files and of ``neon``: their defaults, what is allowed, and who takes which."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import NamedTuple

AUTO = "auto"
"""Value of an argument whose default depends on the others."""

BOOL = ("true", "false")
WHERE = "auto where what it needs is installed"
BACKBONES = (
    *("compact", "cosmos_reason", "qwen_omni", "tribe_v2"),
    *sorted(entry_points(group="neon_ros.backbones").names),  # from other packages
)
PRECISIONS = (AUTO, "fp32", "bf16", "fp16", "int8", "int4")
HEADS = ("mlp", "flow_matching", "dit", "state_relative", "ensemble", "hold")


class Argument(NamedTuple):
    """One launch argument.

    :param default: used when it is not given; :data:`AUTO` is resolved from the other arguments.
    :param choices: the allowed words; ``None`` for free text.
    :param numbers: smallest and largest allowed whole number; ``None`` when it is no number.
    """

    name: str
    description: str
    default: str
    choices: tuple[str, ...] | None = None
    numbers: tuple[int, int] | None = None


ARGUMENTS: dict[str, Argument] = {
    argument.name: argument
    for argument in (
        Argument("robot", "what to connect to: the simulated G1 or a real one", "sim", ("sim", "real")),
        Argument("backbone", "frozen backbone that turns picture and words into features", "compact", BACKBONES),
        Argument("backbone_path", "folder of the backbone's weights; auto for one that ships with its weights", AUTO),
        Argument("precision", "fp32, bf16, fp16, int8 or int4; auto leaves it to the backbone", AUTO, PRECISIONS),
        Argument("device", "cpu or cuda; auto leaves it to the backbone", AUTO, (AUTO, "cpu", "cuda")),
        Argument("image_transport", "read pictures raw or compressed (JPEG, PNG)", "raw", ("raw", "compressed")),
        Argument("reply", "have the backbone answer each new instruction, on the topic speech", "false", BOOL),
        Argument("local_backbone", "run the backbone here; false when another machine does", "true", BOOL),
        Argument("head", "action head, see docs/heads.md; hold keeps the joints where they are", "mlp", HEADS),
        Argument("mode", "joints that the policy moves", "upper_body", ("arms_only", "upper_body", "whole_body")),
        Argument("checkpoint", "folder of the head's checkpoint; auto takes the shipped one of the head", AUTO),
        Argument("draft", "head, or folder of a checkpoint, that drafts for flow_matching or dit; auto is none", AUTO),
        Argument("runtime", "what runs the head: ONNX Runtime or torch", "ort", ("ort", "torch")),
        Argument("provider", "processor that runs the head", "cpu", ("cpu", "cuda", "tensorrt")),
        Argument("composed", "run the ROS nodes in one container process", "false", BOOL),
        Argument(
            "hearing", f"hear instructions and a stop on the topic audio; on a real robot {WHERE}", AUTO, (*BOOL, AUTO)
        ),
        Argument("speech", f"speak what the topic speech says; {WHERE}", AUTO, (*BOOL, AUTO)),
        Argument("view", "show everything in a browser", "true", BOOL),
        Argument("rviz", "show config/neon.rviz in RViz; auto where RViz and a screen are", AUTO, (*BOOL, AUTO)),
        Argument("record", "record the run from its start, as the recorder's parameters say", "false", BOOL),
        Argument("port", "TCP port of the browser view", "8080", numbers=(1024, 65535)),
        Argument("host", "address the browser view listens on; beyond loopback it asks for a token", "127.0.0.1"),
        Argument("network_interface", "interface to the robot; auto is lo for sim, and must be named for real", AUTO),
        Argument("robot_domain", "DDS domain of the robot; auto is 1 for sim, 0 for real", AUTO, numbers=(0, 232)),
        Argument(
            "ros_domain",
            "DDS domain of the ROS nodes, not the robot's; auto is ROS_DOMAIN_ID, or 0 for sim and 10 for real",
            AUTO,
            numbers=(0, 232),
        ),
        Argument("params_file", "YAML file with node parameters; arguments win over it; auto is none", AUTO),
        Argument("autostart", "arm as soon as chunks arrive; simulation only", "false", BOOL),
        Argument("base", "stand holds the simulated pelvis, free lets the robot balance", "stand", ("stand", "free")),
        Argument("seed", "seed of the simulated scene", "0", numbers=(0, 2**31 - 1)),
        Argument("task", "scene and task of the simulator", "touch", ("touch",)),
        Argument("instruction", "words at the start; auto is what the simulated scene asks for, none for real", AUTO),
        Argument("session", "name of the shared memory; two stacks on one machine need two", "neon"),
        Argument("key_file", "file with the key of the chunks (mode 0600); auto is the session's own", AUTO),
        Argument("insecure", "admit chunks that nobody signed; a real robot is then never armed", "false", BOOL),
        Argument("audit_folder", "folder of the audit logs; auto is $XDG_STATE_HOME/neon_ros", AUTO),
        Argument("image_topic", "topic of the head camera's pictures", "/camera/color/image_raw"),
        Argument("points_topic", "topic of the LiDAR's clouds", "/utlidar/cloud_livox_mid360"),
    )
}

_TOPICS = ("image_topic", "points_topic")
_SIM = ("robot_domain", "network_interface", "base", "seed", "task", "instruction", "session")
_EYES = ("robot", "backbone", "backbone_path", "instruction")
SIGHT = ("precision", "device", "image_transport")
ENTRIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "g1_bringup": ((), tuple(name for name in ARGUMENTS if name != "rviz")),
    "sim": (("sim", "sim_sensors"), (*_SIM, "ros_domain", "params_file", *_TOPICS)),
    "view": (("view",), ("robot", "host", "port", "rviz", "ros_domain", "params_file", *_TOPICS)),
    "record": (("recorder",), ("robot", "ros_domain", "params_file")),
    "operator": (("",), ("robot", "ros_domain", "session")),
    "head": (("",), ("robot", "ros_domain", "head", "checkpoint")),
    "check": (
        ("",),
        (
            *("robot", "network_interface", "robot_domain", "ros_domain"),
            *("mode", "head", "checkpoint", "session", "key_file", "params_file"),
        ),
    ),
    "backbone": (
        ("backbone",),
        (*_EYES, *SIGHT, "reply", "ros_domain", "params_file", "image_topic"),
    ),
}
"""Who asks, a launch file or a verb of ``neon``: the processes it runs (none named: all) and the arguments it takes."""
