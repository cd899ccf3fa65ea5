"""Another head takes over while features stream: no gap, every chunk admitted; a bad one leaves the old one running."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
pytest.importorskip("onnxruntime")
from geometry_msgs.msg import PoseArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically
from sensor_msgs.msg import Imu, JointState, PointCloud2

from neon_ros.act.checkpoint import read_weights
from neon_ros.act.manifest import MANIFEST_FILE, WEIGHTS_FILE, load_manifest, sha256_of
from neon_ros.bridge import topics
from neon_ros.bridge.chunk import chunk_from_msg
from neon_ros.bridge.examples import make_example
from neon_ros.bridge.features import features_to_msg
from neon_ros.bridge.robot import imu_to_msg, joints_to_msg, poses_to_msg
from neon_ros.bridge.sensors import cloud_to_msg
from neon_ros.contracts import Features, RobotState
from neon_ros.graph import shipped_checkpoint
from neon_ros.guard.admission import Admission
from neon_ros.robot.modes import control_mode
from neon_ros.robot.variants import variant
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg
from neon_ros_msgs.msg import Features as FeaturesMsg

pytestmark = pytest.mark.system
MLP = shipped_checkpoint("mlp")
ALLOWED = 0.1 + 2 * 0.1
"""Longest gap between two chunks [s]: hold makes one each 0.1 s, and two periods more are let pass."""
CYCLES = 5
NODES = ("proprio_encoder", "eef_encoder", "lidar_encoder", "action_head")


class Stream:
    """Sensors and a backbone at a steady pace, and what the head makes of them."""

    PERIOD = 0.05  # [s]

    def __init__(self, peer: Any) -> None:
        self.peer = peer
        make = peer.node.create_publisher
        self._joints = make(JointState, topics.JOINT_STATES, topics.SENSOR_OUT)
        self._imus = make(Imu, topics.IMU, topics.SENSOR_OUT)
        self._hands = make(PoseArray, topics.EEF_POSES, topics.SENSOR_OUT)
        self._points = make(PointCloud2, topics.POINTS, topics.SENSOR_OUT)
        self._features = make(FeaturesMsg, topics.features_topic("backbone"), topics.SENSOR_OUT)
        backbone = load_manifest(Path(MLP)).backbone
        generator = np.random.default_rng(0)
        tensors = {name: generator.normal(0, 1, shape).astype(np.float32) for name, shape in backbone.tensors.items()}
        tensors["text_mask"] = np.ones_like(tensors["text_mask"])
        self._seen = (backbone.model_id, tensors)
        self._state = make_example(RobotState)
        self._admission = Admission(control_mode("upper_body"), variant(5))
        self.heads: list[str] = []
        self.heard: list[float] = []
        peer.node.create_subscription(ActionChunkMsg, topics.ACTION_CHUNK, self._on_chunk, topics.SENSOR_IN)
        peer.node.create_timer(self.PERIOD, self._feel)

    def _feel(self) -> None:
        now = self.peer.now_ns()
        self._imus.publish(imu_to_msg(now, "pelvis", np.array([1.0, 0, 0, 0]), np.zeros(3), np.array([0, 0, 9.81])))
        self._joints.publish(joints_to_msg(now, self._state))
        self._hands.publish(poses_to_msg(now, np.array([[0.3, s, 0, 0, 0, 0, 1] for s in (0.2, -0.2)])))
        self._points.publish(cloud_to_msg(now, "livox_frame", np.full((5, 3), 0.5, np.float32)))
        model, tensors = self._seen
        self._features.publish(features_to_msg(Features(now - 10**7, "backbone", model, tensors)))

    def _on_chunk(self, msg: Any) -> None:
        """Admit the chunk as g1_command would at the instant of its capture: a stalled machine is no fault of it."""
        chunk = chunk_from_msg(msg)
        self._admission.admit(chunk, chunk.stamp_ns, chunk.stamp_ns * 1e-9)
        self.heads.append(chunk.head_id)
        self.heard.append(time.monotonic())

    def chunks(self, count: int, of: str) -> None:
        """Wait until the newest chunks are ``of`` this head."""
        self.peer.until(lambda: self.heads[-count:] == [of] * count, f"{count} chunks of {of}")

    def set(self, kind: Any = SetParametersAtomically, **values: str) -> Any:
        """Set parameters of the head and return the result."""
        service = {SetParameters: "set_parameters", SetParametersAtomically: "set_parameters_atomically"}[kind]
        client = self.peer.node.create_client(kind, f"action_head/{service}")
        self.peer.until(client.service_is_ready, service)
        request = kind.Request()
        for name, value in values.items():
            content = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
            request.parameters.append(Parameter(name=name, value=content))
        future = client.call_async(request)
        self.peer.until(future.done, "answer")
        self.peer.node.destroy_client(client)
        answer = future.result()
        return answer.result if kind is SetParametersAtomically else answer.results[0]

    def values(self) -> list[str]:
        """Return the head's parameters ``head`` and ``checkpoint``."""
        client = self.peer.node.create_client(GetParameters, "action_head/get_parameters")
        self.peer.until(client.service_is_ready, "get_parameters")
        future = client.call_async(GetParameters.Request(names=["head", "checkpoint"]))
        self.peer.until(future.done, "values")
        return [value.string_value for value in future.result().values]


@pytest.fixture
def stream(peer: Any) -> Stream:
    return Stream(peer)


def arguments(head: str) -> list[str]:
    values = {"head": head, "checkpoint": shipped_checkpoint(head), "mode": "upper_body", "insecure": "true"}
    return ["--ros-args", *(word for name, value in values.items() if value for word in ("-p", f"{name}:={value}"))]


def test_heads_take_turns_without_a_gap_and_every_chunk_is_admitted(stream: Stream, running: Any) -> None:
    gaps = []
    with running("neon_ros.nodes.container", *NODES, *arguments("mlp")) as container:
        stream.chunks(20, of="mlp_touch")
        for _ in range(CYCLES):
            start = len(stream.heard)
            said = stream.set(head="hold")
            assert said.successful and "hold@" in said.reason and "took over from mlp_touch@" in said.reason, (
                said.reason
            )
            assert stream.values() == ["hold", ""]
            stream.chunks(5, of="hold")
            said = stream.set(SetParameters, head="mlp")  # one by one, as `ros2 param set` does
            assert said.successful, said.reason
            assert stream.values() == ["mlp", MLP]
            stream.chunks(10, of="mlp_touch")
            heads = stream.heads[start:]
            turns = [head for i, head in enumerate(heads) if i == 0 or head != heads[i - 1]]
            assert turns == ["mlp_touch", "hold", "mlp_touch"]
            gaps.append(max(np.diff(stream.heard[start:])))
            if gaps[-1] < ALLOWED:
                break
        # A stall of a busy machine hits some cycle, a gap of our own making each.
        assert min(gaps) < ALLOWED, gaps
        stream.peer.until(lambda: "encoding for mlp_touch@" in container.text, "the encoders back with mlp")
        assert "acting on backbone, lidar, proprio, eef" in container.text.split("took over from hold@")[1]
        assert container.end() == 0, container.text
        assert "Traceback" not in container.text


def altered(folder: Path, kind: str) -> Path:
    """Return a damaged copy of the shipped checkpoint."""
    copy = Path(shutil.copytree(MLP, folder / kind))
    raw = json.loads((copy / MANIFEST_FILE).read_text())
    if kind == "truncated":
        (copy / WEIGHTS_FILE).write_bytes((copy / WEIGHTS_FILE).read_bytes()[:-100])
    elif kind == "overflowing":
        from safetensors.numpy import save_file

        weights = read_weights(copy / WEIGHTS_FILE)
        weights["head.out.bias"] = np.full_like(weights["head.out.bias"], 3e38)
        weights["head.scale"] = np.full_like(weights["head.scale"], 1e38)
        save_file(weights, copy / WEIGHTS_FILE)
        raw["files"][WEIGHTS_FILE] = sha256_of(copy / WEIGHTS_FILE)
    elif kind == "other":
        raw["backbone"]["model_id"] = "retina/v1"
    elif kind == "fewer":
        raw["joint_names"] = raw["joint_names"][:-1]
    (copy / MANIFEST_FILE).write_text(json.dumps(raw))
    return copy


def test_a_bad_checkpoint_leaves_the_head_running_and_says_why(stream: Stream, running: Any, tmp_path: Path) -> None:
    with running("neon_ros.nodes.container", *NODES, *arguments("mlp")) as container:
        stream.chunks(5, of="mlp_touch")
        start = len(stream.heard)
        for values, message in (
            ({"head": "fly"}, "head: got fly; allowed: dit, ensemble, flow_matching, hold, mlp, state_relative"),
            ({"checkpoint": str(tmp_path / "nowhere")}, "nowhere"),
            ({"checkpoint": str(altered(tmp_path, "truncated"))}, "(truncated or altered)"),
            (
                {"checkpoint": str(altered(tmp_path, "overflowing"))},
                "trial of head mlp_touch: head.q_chunk: got values",
            ),
            ({"checkpoint": str(altered(tmp_path, "fewer"))}, "graphs.head.outputs: got"),
            ({"head": "mlp", "checkpoint": str(altered(tmp_path, "other"))}, "allowed: retina/v1"),
        ):
            said = stream.set(**values)
            assert not said.successful
            assert message in said.reason
            line = f"the head stays mlp_touch@{load_manifest(Path(MLP)).checksum[:12]}: {said.reason}"
            stream.peer.until(lambda line=line: line in container.text, line)
        assert stream.values() == ["mlp", MLP]
        stream.chunks(5, of="mlp_touch")
        assert set(stream.heads[start:]) == {"mlp_touch"}
        mixed = stream.set(head="hold", mode="arms_only")
        assert mixed.reason == "parameters set together: got head with mode; allowed: head, checkpoint"
        assert container.end() == 0, container.text
        assert "Traceback" not in container.text


def test_two_swaps_at_once_are_one_too_many(stream: Stream, running: Any) -> None:
    with running("neon_ros.nodes.container", *NODES, *arguments("hold")):
        stream.chunks(3, of="hold")
        client = stream.peer.node.create_client(SetParametersAtomically, "action_head/set_parameters_atomically")
        stream.peer.until(client.service_is_ready, "service")
        content = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value="mlp")
        request = SetParametersAtomically.Request(parameters=[Parameter(name="head", value=content)])
        futures = [client.call_async(request) for _ in range(2)]
        stream.peer.until(lambda: all(future.done() for future in futures), "both answers")
        results = [future.result().result for future in futures]
        assert [result.successful for result in results] == [True, False]
        assert results[1].reason == "head: got a second swap at once; allowed: one after the other"
        stream.chunks(3, of="mlp_touch")


def test_the_verb_says_what_became_of_it(stream: Stream, running: Any) -> None:
    def neon(*words: str) -> tuple[int, str]:
        script = "import sys; from neon_ros.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", script, "head", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            stream.peer.until(lambda: process.poll() is not None, "end of neon head")
            assert process.stdout is not None
            return process.returncode, process.stdout.read()

    with running("neon_ros.nodes.container", *NODES, *arguments("mlp")):
        stream.chunks(3, of="mlp_touch")
        code, said = neon("hold")
        assert code == 0 and said.startswith("head: done: hold@"), said
        code, said = neon("mlp", "checkpoint:=/nowhere")
        assert code == 1 and said.startswith("head: refused: checkpoint /nowhere/manifest.json: got No such"), said
        code, said = neon("fly")
        assert code == 2 and "head: got 'fly'; allowed: mlp, " in said
        stream.chunks(3, of="hold")
