"""The node ``backbone`` streams into a backbone that remembers, without a ROS graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
nodes = pytest.importorskip("neon_ros.nodes.backbone")


class Remembering:
    """A windowed backbone that notes what it is asked."""

    model_id = "remembering/1"
    tensors = {"vision": (1, 1), "text": (1, 1), "text_mask": (1,)}  # noqa: RUF012

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def encode(self, image: Any, instruction: str) -> Any: ...

    def encode_images(self, images: Any) -> Any:
        return {"vision": np.ones((len(images), 1, 1), np.float32)}

    def encode_texts(self, instructions: Any) -> Any: ...

    def encode_window(self, observation: Any) -> Any: ...

    def watch(self, stamp_ns: int, image: Any, instruction: str = "", sound: Any = None) -> Any:
        self.calls.append((stamp_ns, instruction))
        return {"vision": np.full((1, 1), stamp_ns, np.float32)}

    def clear(self) -> None:
        self.calls.append("clear")


def test_the_stream_goes_on_and_starts_anew_when_the_clock_is_set_back() -> None:
    node = nodes.BackboneNode.__new__(nodes.BackboneNode)
    node._backbone, node._instruction, node._watched_ns, node._words = Remembering(), "go", 0, {}
    picture = np.zeros((32, 32, 3), dtype=np.uint8)
    assert [float(node._look(stamp, picture)["vision"][0, 0]) for stamp in (5, 9, 2)] == [5, 9, 2]
    assert node._backbone.calls == [(5, "go"), (9, "go"), "clear", (2, "go")]
