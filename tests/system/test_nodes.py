"""Real nodes, real topics: features and chunks flow, bad input is refused, the nodes live on and end cleanly."""

from __future__ import annotations

import math
import signal
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
pytest.importorskip("onnxruntime")
from geometry_msgs.msg import PoseArray
from sensor_msgs.msg import Image, Imu, JointState, PointCloud2
from std_msgs.msg import String

from neon_ros.bridge import topics
from neon_ros.bridge.chunk import chunk_from_msg
from neon_ros.bridge.examples import make_example
from neon_ros.bridge.features import features_from_msg
from neon_ros.bridge.robot import imu_to_msg, joints_to_msg, poses_to_msg
from neon_ros.bridge.sensors import cloud_to_msg, image_to_msg
from neon_ros.contracts import RobotState
from neon_ros.errors import ContractError
from neon_ros.robot.modes import MODES
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg
from neon_ros_msgs.msg import Features as FeaturesMsg
from neon_ros_msgs.msg import StageLatency

pytestmark = pytest.mark.system
HOLD = ("-p", "head:=hold", "-p", "mode:=upper_body", "-p", "insecure:=true")
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])


def picture(peer: Any, side: int = 64) -> Image:
    rgb = np.random.default_rng(peer.now_ns()).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return image_to_msg(peer.now_ns(), "camera", rgb)


def test_backbone_reads_pictures_and_words_and_refuses_what_it_cannot(peer: Any, running: Any) -> None:
    pytest.importorskip("tokenizers")
    images = peer.node.create_publisher(Image, topics.IMAGE, topics.SENSOR_OUT)
    words = peer.node.create_publisher(String, topics.INSTRUCTION, topics.EVERY_OUT)
    features = peer.listen(FeaturesMsg, topics.features_topic("backbone"), topics.SENSOR_IN)
    latencies = peer.listen(StageLatency, topics.LATENCY, topics.EVERY_IN)
    with running("neon_ros.nodes.backbone") as node:
        sent: list[int] = []

        def show() -> None:
            msg = picture(peer)
            sent.append(msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec)
            images.publish(msg)

        peer.until(lambda: len(features) > 2, "features", show)
        wordless = features_from_msg(features[-1])
        assert wordless.stamp_ns in sent and wordless.source == "backbone"
        assert not wordless.tensors["text_mask"].any()
        peer.until(lambda: latencies, "latency", show)
        assert latencies[-1].stage == "backbone" and 0 < latencies[-1].compute <= latencies[-1].since_capture

        def told() -> bool:
            return bool(features_from_msg(features[-1]).tensors["text_mask"].any())

        def say(text: str) -> None:
            words.publish(String(data=text))
            show()

        peer.until(told, "words", lambda: say("touch the red cube with your left hand"))
        spoken = features_from_msg(features[-1]).tensors["text"]

        for wrong, message in (
            ("触摸红色的方块", "allowed: words in Latin letters"),
            ("very " * 2_000, "instruction length"),
            ("two\nlines", "printable characters on one line"),
        ):
            peer.until(lambda m=message: m in node.text, message, lambda w=wrong: say(w))
        # Warnings of one kind are throttled, so the pictures come one by one.
        for change, message in (
            ({"encoding": "16UC1"}, "image encoding: got 16UC1"),
            ({"width": 65}, "image step"),
            ({"data": b""}, "image data"),
        ):
            broken = picture(peer)
            for name, value in change.items():
                setattr(broken, name, value)
            peer.until(lambda m=message: m in node.text, message, lambda b=broken: images.publish(b))
        frozen = picture(peer)
        peer.until(lambda: "behind the newest" in node.text, "a frozen camera", lambda: images.publish(frozen))
        peer.until(lambda: "image: silent for" in node.text, "a word on the camera")

        count = len(features)
        peer.until(lambda: len(features) > count + 1, "features after all that", show)
        np.testing.assert_array_equal(features_from_msg(features[-1]).tensors["text"], spoken)
        assert node.end() == 0
        assert "Traceback" not in node.text


def test_joints_become_a_chunk_that_carries_their_stamp(peer: Any, running: Any) -> None:
    state = make_example(RobotState)
    joints = peer.node.create_publisher(JointState, topics.JOINT_STATES, topics.SENSOR_OUT)
    imus = peer.node.create_publisher(Imu, topics.IMU, topics.SENSOR_OUT)
    hands = peer.node.create_publisher(PoseArray, topics.EEF_POSES, topics.SENSOR_OUT)
    points = peer.node.create_publisher(PointCloud2, topics.POINTS, topics.SENSOR_OUT)
    chunks = peer.listen(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_IN)
    nodes = ("proprio_encoder", "eef_encoder", "lidar_encoder", "action_head")
    sent: list[int] = []

    def feel() -> None:
        now = peer.now_ns()
        sent.append(now)
        imus.publish(imu_to_msg(now, "pelvis", UPRIGHT, np.zeros(3), np.array([0, 0, 9.81])))
        joints.publish(joints_to_msg(now, state))
        hands.publish(poses_to_msg(now, np.array([[0.3, s, 0, 0, 0, 0, 1] for s in (0.2, -0.2)])))
        points.publish(cloud_to_msg(now, "livox_frame", np.full((5, 3), 0.5, np.float32)))

    with running("neon_ros.nodes.container", *nodes, "--ros-args", *HOLD) as container:
        peer.until(lambda: len(chunks) > 3, "chunks", feel)
        first, last = chunk_from_msg(chunks[0]), chunk_from_msg(chunks[-1])
        assert last.stamp_ns in sent
        assert last.epoch == first.epoch and last.sequence > first.sequence
        assert last.joint_names == MODES["upper_body"].joint_names and last.mode == "upper_body"
        np.testing.assert_allclose(last.q, np.zeros((16, 17)), atol=1e-6)
        peer.until(lambda: "acting on lidar, proprio, eef" in container.text, "word on all sources", feel)

        broken = joints_to_msg(peer.now_ns(), state)
        broken.position[3] = math.nan
        peer.until(lambda: "joint_states.position[3]: got nan" in container.text, "nan", lambda: joints.publish(broken))
        tail = joints_to_msg(peer.now_ns(), state)
        tail.name = [*tail.name[:28], "tail"]
        peer.until(lambda: "tail" in container.text, "an unknown joint", lambda: joints.publish(tail))
        lost = cloud_to_msg(peer.now_ns(), "map", np.ones((5, 3), np.float32))
        peer.until(lambda: "frame: got map; allowed" in container.text, "a frame", lambda: points.publish(lost))
        count = len(chunks)
        peer.until(lambda: len(chunks) > count + 1, "chunks after all that", feel)
        assert container.end(signal.SIGTERM) == 0
        assert "Traceback" not in container.text


def test_a_head_refuses_features_of_another_model_and_acts_without_what_is_lost(peer: Any, running: Any) -> None:
    chunks = peer.listen(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_IN)
    proprio = peer.node.create_publisher(FeaturesMsg, topics.features_topic("proprio"), topics.SENSOR_OUT)
    with running("neon_ros.nodes.action_head", "--ros-args", *HOLD) as node:
        from neon_ros.bridge.features import features_to_msg
        from neon_ros.contracts import Features

        def send(model: str) -> None:
            tensors = {"features": np.zeros(128, np.float32), "q": np.full(29, 0.1, np.float32)}
            proprio.publish(features_to_msg(Features(peer.now_ns(), "proprio", model, tensors)))

        peer.until(lambda: "features/proprio model_id: got other" in node.text, "refusal", lambda: send("other"))
        assert not chunks
        own = node.text.split("allowed: ")[1].split()[0]
        peer.until(lambda: chunks, "chunks", lambda: send(own))
        lost = "acting on proprio; without backbone, lidar, eef"
        peer.until(lambda: lost in node.text, "word on what is lost")
        np.testing.assert_allclose(chunk_from_msg(chunks[-1]).q, 0.1, atol=1e-6)
        assert node.end() == 0


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("backbone", ("-p", "backbone:=gpt"), "backbone: got gpt; allowed: compact"),
        ("backbone", ("-p", "rate:=1000.0"), "backbone.rate: got"),
        ("backbone", ("-p", "rate:=fast"), "backbone.rate: got"),
        ("backbone", ("-p", "instruction:=触摸"), "allowed: words in Latin letters"),
        (
            "action_head",
            ("-p", "mode:=upper_body", "-p", "head:=hold"),
            "key of the chunks: got neither session nor key_file; allowed: one of them, or insecure",
        ),
        (
            "g1_command",
            ("-p", "mode:=upper_body", "-p", "session:=x", "-p", "key_file:=/etc/hostname"),
            "key file /etc/hostname: got ",
        ),
        (
            "action_head",
            ("-p", "mode:=upper_body", "-p", "insecure:=true", "-p", "head:=fly"),
            "head: got fly; allowed: dit, ensemble, flow_matching, hold, mlp, state_relative",
        ),
        (
            "action_head",
            ("-p", "insecure:=true", "-p", "head:=hold", "-p", "mode:=legs"),
            "mode: got legs; allowed: arms_only",
        ),
        ("action_head", ("-p", "head:=hold"), "action_head.mode: got nothing; allowed: control mode"),
        ("action_head", ("-p", "mode:=upper_body", "-p", "session:=x", "-p", "checkpoint:=/nowhere"), "/nowhere"),
        ("lidar_encoder", ("-p", "mode:=upper_body"), "checkpoint: got none"),
        ("g1_command", ("-p", "mode:=upper_body"), "g1_command.session: got nothing"),
        (
            "g1_command",
            ("-p", "mode:=upper_body", "-p", "session:=x", "-p", "autostart:=true"),
            "g1_command.autostart: got true with robot real; allowed: only with robot sim",
        ),
        (
            "g1_command",
            ("-p", "mode:=upper_body", "-p", "session:=no_such_motor", "-p", "motor_timeout:=0.5"),
            "allowed: a motor process of session no_such_motor within 0.5 s",
        ),
    ],
)
def test_what_cannot_start_says_why_and_exits_2(
    ros_domain: int, running: Any, module: str, arguments: tuple[str, ...], message: str
) -> None:
    with running(f"neon_ros.nodes.{module}", "--ros-args", *arguments) as node:
        assert node.wait() == 2, node.text
        assert message in node.text
        assert "Traceback" not in node.text


def test_a_container_refuses_unknown_nodes(ros_domain: int, running: Any) -> None:
    with running("neon_ros.nodes.container", "backbone", "legs") as node:
        assert node.wait() == 2
        assert "nodes of the container: got backbone legs; allowed: g1_command, backbone" in node.text


def test_contract_errors_are_what_the_doors_raise() -> None:
    with pytest.raises(ContractError):
        features_from_msg(FeaturesMsg())
