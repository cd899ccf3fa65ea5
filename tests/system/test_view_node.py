"""The view node: predicted paths on topics, the browser page with what the robot does, and the operator's buttons."""

from __future__ import annotations

import re
import socket
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
from nav_msgs.msg import Path
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from neon_ros.bridge import topics
from neon_ros.bridge.chunk import chunk_to_msg
from neon_ros.bridge.examples import make_example
from neon_ros.bridge.features import Latency, latency_to_msg
from neon_ros.bridge.robot import command_to_msg, joints_to_msg
from neon_ros.contracts import ActionChunk, RobotState
from neon_ros.robot.joints import JOINT_NAMES
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg
from neon_ros_msgs.msg import GuardReport, StageLatency

pytestmark = pytest.mark.system


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Robot:
    """Publishes what g1_command and a head publish, so that the view has something to show."""

    def __init__(self, peer: Any) -> None:
        self.peer, self.sequence, self.jumped_ns = peer, 0, 0
        node = peer.node
        self.joints = node.create_publisher(JointState, topics.JOINT_STATES, topics.SENSOR_OUT)
        self.commands = node.create_publisher(JointState, topics.COMMAND_JOINT_STATES, topics.SENSOR_OUT)
        self.chunks = node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
        self.reports = node.create_publisher(GuardReport, topics.GUARD_REPORT, topics.EVERY_OUT)
        self.latencies = node.create_publisher(StageLatency, topics.LATENCY, topics.EVERY_OUT)
        self.speech = node.create_publisher(String, topics.SPEECH, topics.EVERY_OUT)
        self.instruction = node.create_publisher(String, topics.INSTRUCTION, topics.LATCHED)
        self.report = GuardReport(state="ACTIVE", reason="for a test", mode="upper_body", mode_machine=5)
        self.report.limited_joints, self.report.limited_reasons = ["left_elbow_joint"], ["jerk"]

    def feel(self) -> None:
        now = self.peer.now_ns() + self.jumped_ns
        self.joints.publish(joints_to_msg(now, make_example(RobotState, now)))
        moved = np.arange(29) >= 12
        self.commands.publish(command_to_msg(now, np.full(29, 0.1), np.zeros(29), np.zeros(29), moved))
        self.chunks.publish(chunk_to_msg(make_example(ActionChunk, now)))
        self.reports.publish(self.report)
        self.latencies.publish(latency_to_msg(Latency(now, "head", 0.004, 0.05)))
        self.speech.publish(String(data="I reach for it"))
        self.instruction.publish(String(data="touch the red cube"))


DRAWN = {
    *("predicted_path", "predicted_steps", "predicted_end", "previous_path", "blend_window", "blend_text", "ghost"),
    *("base_velocity", "commanded_path", "measured_path", "limit", "limit_text", "latency_bar", "latency_text"),
    *("state", "instruction", "reply"),
}


def test_a_chunk_is_seen_on_standard_topics(peer: Any, running: Any) -> None:
    robot = Robot(peer)
    markers = peer.listen(MarkerArray, topics.PREDICTED_MARKERS, topics.EVERY_IN)
    capsules = peer.listen(MarkerArray, topics.PREDICTED_CAPSULES, topics.EVERY_IN)
    paths = {name: peer.listen(Path, topics.path_topic(name), topics.EVERY_IN) for name in ("left", "right", "torso")}
    trajectory = peer.listen(JointTrajectory, topics.PREDICTED_TRAJECTORY, topics.EVERY_IN)
    end = peer.listen(JointState, topics.PREDICTED_JOINT_STATES, topics.EVERY_IN)
    description = peer.listen(String, topics.ROBOT_DESCRIPTION, topics.LATCHED)

    def drawn() -> set[str]:
        return {marker.ns for array in markers for marker in array.markers}

    with running("neon_ros.nodes.view", "--ros-args", "-p", "browser:=false") as node:
        peer.until(lambda: all(paths.values()) and trajectory and end, "paths", robot.feel)
        for heard in paths.values():
            assert len(heard[-1].poses) == 16 and heard[-1].header.frame_id == "pelvis"
            assert np.isfinite([pose.pose.position.x for pose in heard[-1].poses]).all()
        assert tuple(trajectory[-1].joint_names) == tuple(end[-1].name) == JOINT_NAMES
        assert list(trajectory[-1].points[-1].positions) == list(end[-1].position)
        peer.until(lambda: drawn() >= DRAWN, f"markers {DRAWN - drawn()}", robot.feel)
        assert drawn() == DRAWN
        peer.until(lambda: capsules, "capsules", robot.feel)
        every = [marker for array in [*markers, *capsules] for marker in array.markers]
        assert {marker.header.frame_id for marker in every} == {"pelvis"}
        assert all(marker.lifetime.sec + marker.lifetime.nanosec > 0 for marker in every), "stale ones vanish"
        assert 'name="g1_29dof_rev_1_0"' in description[-1].data
        said = dict(peer.node.get_publisher_names_and_types_by_node("view", "/"))
        ours = {name for name in said if not name.startswith("/predicted/")}
        beside = {"/rosout", "/parameter_events", "/diagnostics", "/latency", "/instruction", "/robot_description"}
        assert ours <= beside, "nothing that moves a robot is ever published"
        robot.report.mode_machine = 15
        peer.until(lambda: 'name="g1_29dof_mode_15"' in description[-1].data, "the variant's URDF", robot.feel)
        assert node.end() == 0
        assert "Traceback" not in node.text


def test_bad_input_degrades_the_picture_and_is_said(peer: Any, running: Any) -> None:
    robot = Robot(peer)
    paths = peer.listen(Path, topics.path_topic("left"), topics.EVERY_IN)
    with running("neon_ros.nodes.view", "--ros-args", "-p", "browser:=false") as node:
        peer.until(lambda: paths, "paths", robot.feel)
        unknown = chunk_to_msg(make_example(ActionChunk, peer.now_ns()))
        unknown.joint_names[0] = "tail_joint"
        short = chunk_to_msg(make_example(ActionChunk, peer.now_ns()))
        short.q = short.q[:5]
        future = chunk_to_msg(make_example(ActionChunk, peer.now_ns() + 3_600_000_000_000))
        command = JointState(name=["tail_joint"], position=[0.0])
        for publisher, bad, said in (
            (robot.chunks, unknown, "joint names: got ['tail_joint']"),
            (robot.chunks, short, "chunk.q length: got 5"),
            (robot.chunks, future, "do the clocks agree?"),
            (robot.commands, command, "joint names: got ['tail_joint']"),
        ):
            # A warning of one place is written every two seconds; all are counted.
            peer.until(lambda said=said: said in node.text, said, lambda p=publisher, b=bad: p.publish(b))
        for jump in (0, -3_600_000_000_000, 7_200_000_000_000):  # the robot's clock is set back, and forth
            robot.jumped_ns, seen = jump, len(paths)
            peer.until(lambda seen=seen: len(paths) > seen + 2, f"paths after {jump} ns", robot.feel)
        assert node.end() == 0
        assert "Traceback" not in node.text


def test_the_page_is_served_and_a_taken_port_is_refused(ros_domain: int, peer: Any, running: Any) -> None:
    pytest.importorskip("viser")
    port = free_port()
    words = ("--ros-args", "-p", f"port:={port}")
    with running("neon_ros.nodes.view", *words) as node:
        peer.until(lambda: f"open http://127.0.0.1:{port} in a browser" in node.text, "the address")
        with socket.create_connection(("127.0.0.1", port), timeout=10.0) as page:
            page.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200 OK" in page.recv(200)
        with running("neon_ros.nodes.view", *words) as other:
            assert other.wait() == 2
            assert f"{port}" in other.text and "allowed" in other.text and "Traceback" not in other.text
        assert node.end() == 0


def test_the_page_of_another_site_is_refused_and_the_bar_stops(ros_domain: int, peer: Any, running: Any) -> None:
    pytest.importorskip("viser")
    port, robot, stopped = free_port(), Robot(peer), []

    def stop(request: Any, response: Any) -> Any:
        stopped.append(request)
        response.success, response.message = True, "damping"
        return response

    peer.node.create_service(Trigger, topics.STOP, stop)

    def ask(path: str, *headers: str) -> str:
        with socket.create_connection(("127.0.0.1", port), timeout=10.0) as page:
            page.sendall("\r\n".join([f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", ""]).encode())
            page.settimeout(10.0)
            answer = b""
            while part := page.recv(65536):
                answer += part
            return answer.decode(errors="replace")

    with running("neon_ros.nodes.view", "--ros-args", "-p", f"port:={port}") as node:
        peer.until(lambda: "in a browser" in node.text, "the address")
        peer.until(lambda: "ACTIVE: the policy moves the robot" in ask("/neon/state"), "the state", robot.feel)
        assert "403" in ask("/neon/state", "Origin: http://evil.example").split("\r\n")[0]
        assert "403" in ask("/", "Origin: http://evil.example", "Upgrade: websocket").split("\r\n")[0]
        socket.create_connection(("127.0.0.1", port), timeout=10.0).close()  # hangs up without a word
        assert "400" in ask("/neon/stop").split("\r\n")[0] and not stopped
        assert "stop asked" in ask("/neon/stop", "X-Neon-Stop: 1")
        peer.until(lambda: stopped, "the stop")
        peer.until(lambda: "stop: done: damping" in ask("/neon/state"), "the answer", robot.feel)
        assert node.end() == 0
        assert "Traceback" not in node.text


def test_beyond_loopback_a_token_is_in_the_address_and_asked_for(peer: Any, running: Any) -> None:
    pytest.importorskip("viser")
    port = free_port()
    with running("neon_ros.nodes.view", "--ros-args", "-p", f"port:={port}", "-p", "host:=0.0.0.0") as node:
        peer.until(lambda: "can operate the robot" in node.text, "the address and what it means")
        token = re.search(r"\?token=([\w-]+)", node.text)
        assert token is not None and len(token[1]) >= 32

        def status(path: str) -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=10.0) as page:
                page.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
                return page.recv(64).split(b"\r\n")[0]

        assert b"403" in status("/") and b"403" in status("/?token=guessed-guessed-guessed")
        assert b"200" in status(f"/?token={token[1]}")
        assert node.end() == 0
    with running("neon_ros.nodes.view", "--ros-args", "-p", f"port:={port}", "-p", "token:=short") as node:
        assert node.wait() == 2 and "view token: got 5 characters" in node.text
