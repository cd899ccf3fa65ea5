"""The view node: predicted paths on topics, the browser page with what the robot does, and the operator's buttons."""

from __future__ import annotations

import socket
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
from nav_msgs.msg import Path
from sensor_msgs.msg import JointState
from visualization_msgs.msg import MarkerArray

from neon_ros.bridge import topics
from neon_ros.bridge.chunk import chunk_to_msg
from neon_ros.bridge.examples import make_example
from neon_ros.bridge.robot import joints_to_msg
from neon_ros.contracts import ActionChunk, RobotState
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg
from neon_ros_msgs.msg import GuardReport

pytestmark = pytest.mark.system


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_chunks_become_paths_of_both_hands(peer: Any, running: Any) -> None:
    joints = peer.node.create_publisher(JointState, topics.JOINT_STATES, topics.SENSOR_OUT)
    chunks = peer.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
    reports = peer.node.create_publisher(GuardReport, topics.GUARD_REPORT, topics.EVERY_OUT)
    markers = peer.listen(MarkerArray, topics.PREDICTED_MARKERS, topics.EVERY_IN)
    paths = peer.listen(Path, "predicted/left_path", topics.EVERY_IN)

    def feel() -> None:
        now = peer.now_ns()
        joints.publish(joints_to_msg(now, make_example(RobotState, now)))
        chunks.publish(chunk_to_msg(make_example(ActionChunk, now)))
        reports.publish(GuardReport(state="ACTIVE", reason="for a test"))

    with running("neon_ros.nodes.view", "--ros-args", "-p", "browser:=false") as node:
        peer.until(lambda: paths and markers, "paths", feel)
        assert len(paths[-1].poses) == 16 and paths[-1].header.frame_id == "pelvis"
        assert np.isfinite([pose.pose.position.x for pose in paths[-1].poses]).all()

        def drawn() -> set[str]:
            return {marker.ns for array in markers for marker in array.markers}

        peer.until(lambda: {"predicted_path", "previous_path", "state"} <= drawn(), "markers", feel)
        broken = chunk_to_msg(make_example(ActionChunk, peer.now_ns()))
        broken.q = broken.q[:5]
        peer.until(lambda: "chunk.q length: got 5" in node.text, "a refusal", lambda: chunks.publish(broken))
        assert node.end() == 0
        assert "Traceback" not in node.text


def test_the_page_is_served_and_a_taken_port_is_refused(ros_domain: int, peer: Any, running: Any) -> None:
    pytest.importorskip("viser")
    port = free_port()
    words = ("--ros-args", "-p", f"port:={port}")
    with running("neon_ros.nodes.view", *words) as node:
        peer.until(lambda: f"open http://127.0.0.1:{port} in a browser" in node.text, "the address")
        with socket.create_connection(("127.0.0.1", port), timeout=10.0) as page:
            page.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in page.recv(200)
        with running("neon_ros.nodes.view", *words) as other:
            assert other.wait() == 2
            assert f"{port}" in other.text and "allowed" in other.text and "Traceback" not in other.text
        assert node.end() == 0
