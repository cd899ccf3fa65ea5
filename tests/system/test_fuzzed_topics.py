"""Every node survives any bytes and any field values on every topic it reads, and works afterwards."""

from __future__ import annotations

import array
import math
import random
import re
import socket
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
pytest.importorskip("onnxruntime")
from geometry_msgs.msg import PoseArray
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, Imu, JointState, PointCloud2
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from neon_ros.bridge import topics
from neon_ros.bridge.chunk import chunk_to_msg
from neon_ros.bridge.examples import make_example
from neon_ros.bridge.features import Latency, features_to_msg, latency_to_msg
from neon_ros.bridge.markers import Solid, solids_to_msg
from neon_ros.bridge.robot import imu_to_msg, joints_to_msg, poses_to_msg
from neon_ros.bridge.sensors import cloud_to_msg, image_to_msg
from neon_ros.contracts import FEATURE_SOURCES, ActionChunk, Features, RobotState
from neon_ros.robot.modes import MODES
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg
from neon_ros_msgs.msg import Features as FeaturesMsg
from neon_ros_msgs.msg import GuardReport, StageLatency

pytestmark = pytest.mark.system
PAYLOADS = [300, pytest.param(5_000, marks=pytest.mark.long)]
GROWTH = 32 << 20
"""Most memory that a process may gain when as much again is thrown at it: what it holds is bounded [bytes]."""
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])
HANDS = np.array([[0.3, s, 0, 0, 0, 0, 1] for s in (0.2, -0.2)])

NUMBERS: dict[str, tuple[int, int]] = {
    **{f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{"octet": (0, 255), "char": (0, 255)},
}
CODES = {
    "float": "f",
    "double": "d",
    "uint8": "B",
    "int8": "b",
    "uint16": "H",
    "int16": "h",
    "uint32": "I",
    "int32": "i",
}
CODES |= {"uint64": "Q", "int64": "q"}
FLOATS = (math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, -0.0, 0.0, 1.0)
TEXTS = (
    "",
    "x" * 2_000,
    "\n\x1b[2J",
    "触摸",
    "pelvis",
    "{}",
    "../../etc/passwd",
    "%s%n",
    "arms_only",
    "rgb8",
    "\U0001f916",
)


def valid(peer: Any) -> dict[str, tuple[Any, Any]]:
    """Return a right message of now for every topic that a node reads, and its type."""
    now = peer.now_ns()
    state = make_example(RobotState, now)
    rgb = np.random.default_rng(now).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    tensors = {"features": np.zeros(128, np.float32), "q": np.zeros(29, np.float32)}
    ball = Solid("red ball", "sphere", (0.06, 0.06, 0.06), (1.0, 0.25, 0.0), np.array([0.4, 0.1, 0.0]), UPRIGHT)
    found = {
        topics.ACTION_CHUNK: (ActionChunkMsg, chunk_to_msg(make_example(ActionChunk, now))),
        topics.JOINT_STATES: (JointState, joints_to_msg(now, state)),
        topics.IMU: (Imu, imu_to_msg(now, "pelvis", UPRIGHT, np.zeros(3), np.array([0, 0, 9.81]))),
        topics.EEF_POSES: (PoseArray, poses_to_msg(now, HANDS)),
        topics.POINTS: (PointCloud2, cloud_to_msg(now, "livox_frame", np.full((5, 3), 0.5, np.float32))),
        topics.IMAGE: (Image, image_to_msg(now, "camera", rgb)),
        topics.INSTRUCTION: (String, String(data="touch the red cube")),
        topics.GUARD_REPORT: (GuardReport, GuardReport(state="ACTIVE", reason="for a test")),
        topics.LATENCY: (StageLatency, latency_to_msg(Latency(now, "head", 0.002, 0.05))),
        topics.SCENE: (MarkerArray, solids_to_msg(now, [ball])),
    }
    for source in FEATURE_SOURCES:
        model = "compact/lite0-s16+minilm-l6" if source == "backbone" else "mlp_touch"
        message = features_to_msg(Features(now, source, model, tensors))
        found[topics.features_topic(source)] = (FeaturesMsg, message)
    return found


def value_of(kind: str, rng: random.Random) -> Any:
    """Return an arbitrary value of a field's type, as ``get_fields_and_field_types`` names it."""
    if kind in ("float", "double"):
        value = rng.choice([*FLOATS, rng.uniform(-10, 10)])
        return value if kind == "double" or not 3e38 < abs(value) < math.inf else math.copysign(3e38, value)
    if kind == "boolean":
        return rng.random() < 0.5
    if kind in NUMBERS:
        low, high = NUMBERS[kind]
        return (
            rng.choice([low, high, 0, 1, rng.randint(low, high)]) if kind != "octet" else bytes([rng.randint(0, 255)])
        )
    if kind.startswith("string"):
        return rng.choice(TEXTS)
    if many := re.fullmatch(r"sequence<(.+?)(?:, \d+)?>", kind):
        return _many(many[1], rng.choice([0, 1, 2, 29, 448, 3_000]), rng)
    if fixed := re.fullmatch(r"(.+)\[(\d+)\]", kind):
        values = [value_of(fixed[1], rng) for _ in range(int(fixed[2]))]
        types: dict[str, Any] = {"uint8": np.uint8, "float": np.float32, "double": np.float64}
        return np.array(values, types[fixed[1]])
    package, name = kind.split("/")
    return arbitrary(getattr(import_module(f"{package}.msg"), name), rng)


def _many(kind: str, count: int, rng: random.Random) -> Any:
    if kind in CODES:
        return array.array(CODES[kind], [value_of(kind, rng)] * count)
    if kind.startswith("string"):
        return [rng.choice(TEXTS)] * min(count, 448)
    return [value_of(kind, rng) for _ in range(min(count, 12))]


def arbitrary(kind: Any, rng: random.Random) -> Any:
    """Return a message with an arbitrary value in every field."""
    message = kind()
    for name, field in kind.get_fields_and_field_types().items():
        setattr(message, name, value_of(field, rng))
    return message


def spoilt(kind: Any, message: Any, rng: random.Random) -> Any:
    """Return a message that is right but for one field."""
    fields = kind.get_fields_and_field_types()
    name = rng.choice(list(fields))
    setattr(message, name, value_of(fields[name], rng))
    return message


def payload(kind: Any, message: Any, rng: random.Random) -> Any:
    """Return something to publish: any bytes, cut or changed bytes of a right message, or any values."""
    way = rng.randrange(6)
    if way == 0:
        return b"\0\1\0\0" + rng.randbytes(rng.choice([0, 1, 7, 64, 2_000]))
    if way == 1:
        return arbitrary(kind, rng)
    if way in (2, 3):
        return spoilt(kind, message, rng)
    whole = bytearray(serialize_message(message))
    if way == 4:
        return bytes(whole[: rng.randrange(4, len(whole))])
    for _ in range(rng.choice([1, 2, 8, 64])):
        whole[rng.randrange(4, len(whole))] = rng.randrange(256)
    return bytes(whole)


def memory_of(pid: int) -> int:
    """Return the resident memory of a process [bytes]."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def throw(peer: Any, node: Any, names: list[str], count: int, seed: int) -> None:
    """Publish ``count`` payloads on each topic."""
    rng = random.Random(seed)
    examples = valid(peer)
    qos = {topics.INSTRUCTION: topics.LATCHED}
    publishers = {
        name: peer.node.create_publisher(examples[name][0], name, qos.get(name, topics.EVERY_OUT)) for name in names
    }
    peer.until(lambda: all(p.get_subscription_count() for p in publishers.values()), "subscriptions")
    for index in range(count):
        if index % 20 == 0:
            examples = valid(peer)  # right messages have stamps of now
        for name, publisher in publishers.items():
            publisher.publish(payload(*examples[name], rng))
            time.sleep(0.0005)
        assert node.popen.poll() is None, f"seed {seed}, round {index}: {node.text[-3000:]}"
    for publisher in publishers.values():
        peer.node.destroy_publisher(publisher)


@pytest.mark.parametrize("count", PAYLOADS)
def test_sensors_and_policy_survive_anything(peer: Any, running: Any, count: int) -> None:
    pytest.importorskip("tokenizers")
    nodes = ("backbone", "proprio_encoder", "lidar_encoder", "eef_encoder", "action_head")
    words = ("-p", "head:=hold", "-p", "mode:=upper_body", "-p", "insecure:=true", "-p", "needs_backbone:=false")
    chunks = peer.listen(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_IN)
    features = peer.listen(FeaturesMsg, topics.features_topic("backbone"), topics.SENSOR_IN)
    names = [topics.JOINT_STATES, topics.IMU, topics.EEF_POSES, topics.POINTS, topics.IMAGE, topics.INSTRUCTION]
    with running("neon_ros.nodes.container", *nodes, "--ros-args", *words) as node:
        feelers = {
            name: peer.node.create_publisher(valid(peer)[name][0], name, topics.SENSOR_OUT)
            for name in (topics.JOINT_STATES, topics.IMU, topics.IMAGE)
        }

        def feel() -> None:
            examples = valid(peer)
            for name, publisher in feelers.items():
                publisher.publish(examples[name][1])

        peer.until(lambda: chunks and features, "chunks and features before", feel)
        names += [topics.features_topic(source) for source in FEATURE_SOURCES]
        throw(peer, node, names, count, seed=1)
        before = memory_of(node.popen.pid)
        throw(peer, node, names, count, seed=2)
        chunks.clear()
        features.clear()
        peer.until(lambda: len(chunks) > 2 and len(features) > 2, "chunks and features after all that", feel)
        assert np.isfinite(chunks[-1].q).all()
        assert memory_of(node.popen.pid) - before < GROWTH
        assert "Traceback" not in node.text
        assert node.end() == 0


@pytest.mark.parametrize("insecure", ["false", "true"])
@pytest.mark.parametrize("count", PAYLOADS)
@pytest.mark.parametrize("motor", ["sim"], indirect=True)
def test_the_command_node_survives_anything_and_lets_nothing_through(
    peer: Any, running: Any, motor: Any, count: int, insecure: str
) -> None:
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    with running("neon_ros.nodes.g1_command", *motor.arguments(robot="sim", insecure=insecure)) as node:
        peer.until(lambda: reports and reports[-1].mode_machine == 5, "a report")
        throw(peer, node, [topics.ACTION_CHUNK], 5 * count, seed=3)
        before = memory_of(node.popen.pid)
        throw(peer, node, [topics.ACTION_CHUNK], 5 * count, seed=4)
        if insecure == "false":
            assert motor.chunks == []
        low, high = -3.2, 3.2
        for taken in motor.chunks:  # without a key, what is right in every field may pass, and only that
            assert np.isfinite(taken.q).all() and low < taken.q.min() and taken.q.max() < high
            assert set(np.flatnonzero(taken.moved)) == set(range(15, 29)) and len(MODES["arms_only"].joint_names) == 14
        peer.until(lambda: reports[-1].alarms > count, "alarms")
        chunks = peer.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
        if insecure == "false":
            motor.chunks.clear()
            numbers = iter(range(1, 10_000))
            peer.until(lambda: motor.chunks, "a signed chunk", lambda: chunks.publish(motor.chunk(peer, next(numbers))))
        assert memory_of(node.popen.pid) - before < GROWTH
        assert "Traceback" not in node.text
        assert node.end() == 0


@pytest.mark.parametrize("count", PAYLOADS)
def test_the_view_survives_anything(peer: Any, running: Any, count: int) -> None:
    pytest.importorskip("viser")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    markers = peer.listen(MarkerArray, topics.PREDICTED_MARKERS, topics.EVERY_IN)
    names = [topics.JOINT_STATES, topics.IMU, topics.IMAGE, topics.POINTS, topics.ACTION_CHUNK, topics.GUARD_REPORT]
    names += [topics.LATENCY, topics.INSTRUCTION, topics.SCENE]
    with running("neon_ros.nodes.view", "--ros-args", "-p", f"port:={port}") as node:
        peer.until(lambda: "in a browser" in node.text, "the page")
        feelers = {
            name: peer.node.create_publisher(valid(peer)[name][0], name, topics.SENSOR_OUT)
            for name in (topics.JOINT_STATES, topics.ACTION_CHUNK)
        }

        def feel() -> None:
            examples = valid(peer)
            for name, publisher in feelers.items():
                publisher.publish(examples[name][1])

        peer.until(lambda: markers, "markers before", feel)
        throw(peer, node, names, count, seed=5)
        before = memory_of(node.popen.pid)
        throw(peer, node, names, count, seed=6)
        markers.clear()
        peer.until(lambda: len(markers) > 3, "markers after all that", feel)
        assert memory_of(node.popen.pid) - before < GROWTH
        assert "Traceback" not in node.text
        assert node.end() == 0
