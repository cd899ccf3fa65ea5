"""A backbone at work, without a ROS graph: streams that start anew, words, warm-up, and a want of memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neon_ros.encode.backbones import MemoryShort, within_memory
from neon_ros.encode.backbones.looking import WARM_WORDS, Looking
from neon_ros.encode.backbones.memory import shortage
from neon_ros.errors import CheckpointError

PICTURE = np.zeros((32, 32, 3), dtype=np.uint8)


class Plain:
    """A backbone of single pictures that notes what it is asked."""

    model_id = "plain/1"
    tensors = {"vision": (1, 1), "text": (1, 1), "text_mask": (1,)}  # noqa: RUF012

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.full = False

    def encode(self, image: Any, instruction: str) -> Any: ...

    def encode_images(self, images: Any) -> Any:
        self.calls.append(images.shape)
        return {"vision": np.ones((len(images), 1, 1), np.float32)}

    def encode_texts(self, instructions: Any) -> Any:
        return {name: np.ones((1, *self.tensors[name]), np.float32) for name in ("text", "text_mask")}


class Remembering(Plain):
    """A windowed one, which may find its memory full."""

    def encode_window(self, observation: Any) -> Any: ...

    def watch(self, stamp_ns: int, image: Any, instruction: str = "", sound: Any = None) -> Any:
        self.calls.append((stamp_ns, instruction))
        if self.full:
            raise type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried to allocate 2 GiB.\nMore.")
        return {"vision": np.full((1, 1), stamp_ns, np.float32)}

    def clear(self) -> None:
        self.calls.append("clear")


def test_the_stream_goes_on_and_starts_anew_when_the_clock_is_set_back() -> None:
    backbone = Remembering()
    looking = Looking(backbone)
    looking.tell("go")
    assert [float(looking.look(stamp, PICTURE)["vision"][0, 0]) for stamp in (5, 9, 2)] == [5, 9, 2]
    assert backbone.calls == [(5, "go"), (9, "go"), "clear", (2, "go")]


def test_without_words_every_mask_is_empty_and_words_stay_in_force() -> None:
    looking = Looking(Plain())
    assert not looking.look(1, PICTURE)["text_mask"].any()
    looking.tell("go")
    assert all(looking.look(stamp, PICTURE)["text_mask"].all() for stamp in (2, 3))


@pytest.mark.parametrize("kind", [Plain, Remembering])
def test_warming_up_leaves_no_trace(kind: Any) -> None:
    backbone, said = kind(), []
    looking = Looking(backbone)
    looking.warm_up(3, 10.0, said.append)
    assert [text.split(",")[0] for text in said] == [f"warming up: picture {n} of 3" for n in (1, 2, 3)]
    if kind is Remembering:
        assert backbone.calls == [*((n * 10**8, WARM_WORDS) for n in (1, 2, 3)), "clear"]
    assert looking.instruction == "" and looking.look(1, PICTURE)["vision"][0, 0] == 1
    assert kind is Remembering or not looking.look(2, PICTURE)["text_mask"].any()


def test_a_full_memory_is_named_and_the_stream_starts_anew() -> None:
    backbone = Remembering()
    looking = Looking(backbone)
    backbone.full = True
    with pytest.raises(MemoryShort, match=r"memory of plain/1: got CUDA out of memory. Tried .* 2 GiB.; allowed: a sm"):
        looking.look(5, PICTURE)
    backbone.full = False
    assert looking.look(6, PICTURE)["vision"][0, 0] == 6
    assert backbone.calls == [(5, ""), "clear", (6, "")]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "MemoryError"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "[enforce fail]"),
        (RuntimeError("Non-zero status: bad allocation"), "Non-zero status"),
        (RuntimeError("shape mismatch"), ""),
        (ValueError("out of memory, I fear"), ""),
    ],
)
def test_a_want_of_memory_is_told_from_other_errors(error: Exception, said: str) -> None:
    assert shortage(error).startswith(said) and bool(shortage(error)) == bool(said)
    with pytest.raises(CheckpointError if said else type(error)), within_memory("model"):
        raise error
