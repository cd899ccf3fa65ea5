"""The node ``backbone`` gives sound to a model that hears, and none to one that does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
import rclpy

from neon_ros.bridge.audio import sound_to_msg
from neon_ros.bridge.sensors import image_from_msg, image_to_msg
from neon_ros.errors import ContractError, refuse
from neon_ros.nodes import backbone as module

pytestmark = pytest.mark.system
START, MS = 10**18, 1_000_000


class Model:
    """Remembers what it was shown."""

    model_id, tensors = "toy", {"vision": (1, 1)}
    hears = True

    def __init__(self) -> None:
        self.sounds: list[Any] = []
        self.cleared = 0
        self.deaf = False

    def encode(self, image: Any, instruction: str) -> dict[str, Any]:
        return {"vision": np.zeros((1, 1), np.float32)}

    encode_images = encode_texts = encode_window = encode

    def watch(self, stamp_ns: int, image: Any, instruction: str = "", sound: Any = None) -> dict[str, Any]:
        if self.deaf:
            raise ContractError(refuse("sound", "any", "none"))
        self.sounds.append(sound)
        return self.encode(image, instruction)

    def clear(self) -> None:
        self.cleared += 1


def active_node() -> Any:
    """Return the node, looking and listening."""
    rclpy.init(args=["--ros-args", "-p", "autoactivate:=false", "-p", "warm_up:=0"])
    node = module.BackboneNode()
    node.trigger_configure()
    node.trigger_activate()
    return node


def piece(at_ms: int, samples: int = 1600) -> Any:
    return sound_to_msg(START + at_ms * MS, "microphone", np.full(samples, 0.1, np.float32), 16_000)


def picture(at_ms: int) -> Any:
    return image_to_msg(
        START + at_ms * MS, "camera", np.random.default_rng(at_ms).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    )


def test_sound_goes_to_the_pictures_it_was_heard_between(ros_domain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model()
    monkeypatch.setattr(module, "load", lambda name, told, **options: model)
    node = active_node()
    see, hear = node.guarded(lambda msg: node._on_picture(image_from_msg(msg))), node.guarded(node._on_audio)
    try:
        see(picture(0))
        for at in (0, 100, 200):
            hear(piece(at))
        see(picture(300))
        see(picture(400))
        assert [sound and len(sound.samples) for sound in model.sounds] == [None, 4800, None]
        hear(piece(0, samples=0))  # refused, and the node lives
        assert node.health.refused == 1 and "audio.samples: got 0 values" in node.health.last_refusal
        hear(piece(900))  # after a hole the stream begins anew
        see(picture(1000))
        assert model.cleared == 1 and len(model.sounds[-1].samples) == 1600
        model.deaf = True
        hear(piece(1000))
        see(picture(1100))
        model.deaf = False
        see(picture(1200))
        assert model.cleared == 2 and model.sounds[-1] is None
    finally:
        node.destroy_node()
        rclpy.shutdown()


def test_a_model_that_does_not_hear_gets_none(ros_domain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "hears", False)
    monkeypatch.setattr(module, "load", lambda name, told, **options: Model())
    node = active_node()
    try:
        assert not [s for s in node.subscriptions if s.topic_name.endswith("audio")]
    finally:
        node.destroy_node()
        rclpy.shutdown()
