"""Recording a running graph and playing it back: the same bytes, killed or not, and never beside a robot."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
pytest.importorskip("mcap")
from nav_msgs.msg import Path as PathMsg
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import MarkerArray

from neon_ros.bridge import topics
from neon_ros.bridge.chunk import chunk_to_msg
from neon_ros.bridge.examples import make_example
from neon_ros.bridge.robot import joints_to_msg
from neon_ros.contracts import ActionChunk, RobotState
from neon_ros.data.playback import Findings, Recorded, files_at, messages, read_all
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg

pytestmark = pytest.mark.system


class Robot:
    """Publishes joints, chunks and an instruction, as a running graph does."""

    def __init__(self, peer: Any) -> None:
        self._peer = peer
        self._joints = peer.node.create_publisher(JointState, topics.JOINT_STATES, topics.SENSOR_OUT)
        self._chunks = peer.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
        words = peer.node.create_publisher(String, topics.INSTRUCTION, topics.LATCHED)
        words.publish(String(data="said before anybody recorded"))
        self.sent: list[Any] = []
        self._turn = 0.0

    def move(self) -> None:
        now = self._peer.now_ns()
        self._turn += 0.01
        state = replace(make_example(RobotState, now), q=np.full(29, 0.5 * np.sin(self._turn)))
        self._joints.publish(joints_to_msg(now, state))
        example = make_example(ActionChunk, now)
        chunk = chunk_to_msg(replace(example, q=example.q + np.float32(0.4 * np.sin(5.0 * self._turn))))
        self.sent.append(chunk)
        self._chunks.publish(chunk)


def recorded(path: Path) -> dict[str, list[Recorded]]:
    found: dict[str, list[Recorded]] = {}
    for file in files_at(path):
        for message in messages(file, Findings()):
            found.setdefault(message.topic, []).append(message)
    return found


def stamp(msg: Any) -> int:
    return int(msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec)


def points(path: Any) -> list[tuple[float, float, float]]:
    return [(pose.pose.position.x, pose.pose.position.y, pose.pose.position.z) for pose in path.poses]


def parameters(**values: Any) -> list[str]:
    typed = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    return ["--ros-args", *(word for name, value in typed.items() for word in ("-p", f"{name}:={json.dumps(value)}"))]


def test_a_graph_is_recorded_from_a_service_and_read_back(peer: Any, running: Any, tmp_path: Path) -> None:
    robot = Robot(peer)
    state = peer.listen(String, topics.RECORDING, topics.LATCHED)
    client = peer.node.create_client(SetBool, topics.RECORD)

    def ask(on: bool) -> Any:
        peer.until(client.service_is_ready, "the service")
        future = client.call_async(SetBool.Request(data=on))
        peer.until(future.done, "the answer", robot.move)
        return future.result()

    with running("neon_ros.nodes.recorder", *parameters(folder=tmp_path, keep_free=0)) as node:
        assert ask(False).message == "nothing is being recorded"
        started = ask(True)
        target = Path(started.message)
        assert started.success and target.parent == tmp_path
        peer.until(lambda: any(msg.data == str(target) for msg in state), "word that it records")
        before = time.monotonic()
        peer.until(lambda: time.monotonic() > before + 3.0, "3 s", robot.move)
        stopped = ask(False)
        assert stopped.success and f"{target}: " in stopped.message
        second = ask(True)
        assert second.success and second.message != started.message
        assert node.end() == 0
        assert "Traceback" not in node.text
    found = recorded(target)
    assert {"/joint_states", "/action_chunk", "/instruction", "/recording"} <= set(found)
    assert deserialize_message(found["/instruction"][0].data, String).data == "said before anybody recorded"
    chunks = [deserialize_message(message.data, ActionChunkMsg) for message in found["/action_chunk"]]
    sent = {msg.header.stamp.nanosec: msg for msg in robot.sent}
    assert len(chunks) > 20 and all(chunk == sent[chunk.header.stamp.nanosec] for chunk in chunks)
    contents = read_all(files_at(target)[0])
    assert not contents.findings.problem and contents.findings.topics["/instruction"].latched
    assert all(message.publish_ns <= message.log_ns + 10**8 for message in found["/action_chunk"])


def test_killed_it_loses_no_more_than_the_last_second(peer: Any, running: Any, tmp_path: Path) -> None:
    robot = Robot(peer)
    words = parameters(out=tmp_path / "run", autostart=True, keep_free=0)
    with running("neon_ros.nodes.recorder", *words) as node:
        file = tmp_path / "run" / "run_0.mcap"
        peer.until(lambda: file.exists() and file.stat().st_size > 20_000, "a file that grows", robot.move)
        before = time.monotonic()
        peer.until(lambda: time.monotonic() > before + 2.0, "2 s", robot.move)
        os.kill(node.popen.pid, signal.SIGKILL)
        killed_ns = time.time_ns()
        node.wait()
    contents = read_all(file)
    assert "cut off" in contents.findings.problem
    assert killed_ns - contents.counts.end_ns < 10**9
    assert (tmp_path / "run" / "metadata.yaml").is_file()


def test_limits_and_unknown_types_are_said_and_the_node_lives_or_ends_as_asked(
    peer: Any, running: Any, tmp_path: Path
) -> None:
    robot = Robot(peer)
    words = parameters(out=tmp_path / "run.mcap", autostart=True, once=True, max_seconds=1.0, keep_free=0)
    with running("neon_ros.nodes.recorder", *words) as node:
        peer.until(lambda: node.popen.poll() is not None, "the end", robot.move)
        assert node.wait() == 0
        assert "the recording ended: recorded 1 s, the longest allowed" in node.text
        assert f"recorded {tmp_path / 'run.mcap'}: " in node.text and "Traceback" not in node.text
    with running("neon_ros.nodes.recorder", *parameters(folder=tmp_path, autostart=True, keep_free=10**6)) as node:
        peer.until(lambda: "and 1000000 MB stay free" in node.text, "the limit")
        assert node.popen.poll() is None
        assert node.end() == 0
    with running("neon_ros.nodes.recorder", *words) as node:
        assert node.wait() == 2
        assert f"recording: got {tmp_path / 'run.mcap'}, which exists; allowed: a new name" in node.text


@pytest.fixture
def bag(peer: Any, tmp_path: Path) -> Path:
    """Two seconds of joints and chunks, with an instruction at the start, made without a recorder."""
    from neon_ros.bridge.bags import definition, offer_of
    from neon_ros.data.bag import Topic
    from neon_ros.data.recording import Recording

    recording = Recording(tmp_path / "bag")
    kinds = {"/instruction": String, "/joint_states": JointState, "/action_chunk": ActionChunkMsg}
    for name, kind in kinds.items():
        type_name = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
        offer = offer_of(topics.LATCHED if name == "/instruction" else topics.SENSOR_OUT)
        recording.add(Topic(name, type_name, (offer,), definition(type_name)))
    recording.add(Topic("/other", "nowhere_msgs/msg/Thing", (), "int8 x"))
    start = time.time_ns() - 60 * 10**9
    recording.write("/instruction", start, start, serialize_message(String(data="touch the red cube")))
    for number in range(40):
        at = start + number * 50_000_000
        recording.write("/joint_states", at, at, serialize_message(joints_to_msg(at, make_example(RobotState, at))))
        recording.write("/action_chunk", at, at, serialize_message(chunk_to_msg(make_example(ActionChunk, at))))
        recording.write("/other", at, at, b"\0\1\0\0\7")
    recording.close()
    return recording.target


def test_a_replay_is_what_was_recorded(peer: Any, running: Any, bag: Path) -> None:
    chunks: list[bytes] = []
    peer.node.create_subscription(ActionChunkMsg, topics.ACTION_CHUNK, chunks.append, topics.EVERY_IN, raw=True)
    joints = peer.listen(JointState, topics.JOINT_STATES, topics.EVERY_IN)
    with running("neon_ros.nodes.replayer", *parameters(file=bag, start=0.5, once=True)) as node:
        peer.until(lambda: "the recording has ended" in node.text or len(chunks) >= 30, "the end")
        late = peer.listen(String, topics.INSTRUCTION, topics.LATCHED)
        peer.until(lambda: late or node.popen.poll() is not None, "the instruction")
        assert node.wait() == 0
        assert "not replayed: /other: message type: got nowhere_msgs/msg/Thing" in node.text
        assert "Traceback" not in node.text
    original = [message.data for message in recorded(bag)["/action_chunk"]]
    assert chunks == original[-len(chunks) :]
    assert 25 <= len(chunks) <= 30 and len(joints) >= 25


def test_a_replay_is_refused_beside_a_robot_and_ends_when_one_comes(peer: Any, running: Any, bag: Path) -> None:
    chunks = peer.listen(ActionChunkMsg, topics.ACTION_CHUNK, topics.EVERY_IN)
    with running("neon_ros.nodes.replayer", *parameters(file=bag, loop=True)) as node:
        peer.until(lambda: len(chunks) > 5, "chunks")
        service = peer.node.create_service(Trigger, topics.ARM, lambda _, response: response)
        peer.until(lambda: node.popen.poll() is not None, "the refusal")
        assert node.wait() == 2
        assert "replay: got test_peer on ROS domain" in node.text and "Traceback" not in node.text
    before = len(chunks)
    with running("neon_ros.nodes.replayer", *parameters(file=bag)) as node:
        peer.until(lambda: node.popen.poll() is not None, "the refusal")
        assert node.wait() == 2 and "a domain without a g1_command" in node.text
    assert len(chunks) == before
    peer.node.destroy_service(service)


def test_a_replayed_run_shows_the_same_view(peer: Any, running: Any, tmp_path: Path) -> None:
    robot = Robot(peer)
    heard = peer.listen(PathMsg, "predicted/left_path", topics.EVERY_IN)
    markers = peer.listen(MarkerArray, topics.PREDICTED_MARKERS, topics.EVERY_IN)
    view = ("neon_ros.nodes.view", *parameters(browser=False))
    recorder = parameters(out=tmp_path / "run", autostart=True, keep_free=0)
    with running(*view), running("neon_ros.nodes.recorder", *recorder) as node:
        peer.until(lambda: heard and "recording to" in node.text, "the first path", robot.move)
        before = len(heard)
        peer.until(lambda: len(heard) > before + 60, "paths", robot.move)
        assert node.end() == 0
    live, drawn = {stamp(msg): msg for msg in heard}, {marker.ns for msg in markers for marker in msg.markers}
    heard.clear()
    markers.clear()
    replayer = parameters(file=tmp_path / "run", skip="*/predicted/*", once=True)
    with running(*view) as view_node:
        peer.until(lambda: any(name == "view" for name in peer.node.get_node_names()), "the view")
        with running("neon_ros.nodes.replayer", *replayer) as node:
            peer.until(lambda: node.popen.poll() is not None, "the end")
            assert node.wait() == 0, node.text
        assert view_node.end() == 0
    seen = {stamp(msg): msg for msg in heard}
    both = sorted(set(live) & set(seen))
    assert len(both) > 10 and set(seen) <= set(live) | set(map(stamp, robot.sent))
    then, now = (np.array([points(msgs[moment]) for moment in both]) for msgs in (live, seen))
    assert np.ptp(then, axis=0).max() > 0.05  # [m] the robot moved, and so did what was predicted of it
    assert np.abs(then - now).max() < 0.01  # one joint message more or less had come when the chunk came
    assert {marker.ns for msg in markers for marker in msg.markers} == drawn


@pytest.mark.parametrize(
    ("start", "message"),
    [(9.0, r"start: got 9 s; allowed: 0 to 2.0 s of"), (-1.0, "start: got")],
)
def test_a_start_outside_the_recording_is_refused(
    ros_domain: int, running: Any, bag: Path, start: float, message: str
) -> None:
    with running("neon_ros.nodes.replayer", *parameters(file=bag, start=start)) as node:
        assert node.wait() == 2 and message in node.text


def test_no_recording_is_refused(ros_domain: int, running: Any, tmp_path: Path) -> None:
    (tmp_path / "x.mcap").write_bytes(b"no")
    with running("neon_ros.nodes.replayer", *parameters(file=tmp_path / "x.mcap")) as node:
        assert node.wait() == 2 and "got 2 bytes that are no MCAP; allowed: an MCAP file" in node.text
