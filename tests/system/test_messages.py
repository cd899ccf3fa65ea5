"""Every message of neon_ros_msgs crosses a real publisher and a real subscription unchanged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy")
messages = pytest.importorskip("neon_ros_msgs.msg")
from builtin_interfaces.msg import Time  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

pytestmark = pytest.mark.system
NAMES = ("ActionChunk", "AudioChunk", "Features", "GuardReport", "StageLatency", "Tensor")


def value(kind: str, salt: int) -> Any:
    """Return a value of the ROS type ``kind`` that differs from its default and between fields."""
    if kind.startswith("sequence<"):
        inner = kind[len("sequence<") : -1]
        return [value(inner, salt + k) for k in range(3)]
    if kind == "uint8[32]":
        return [salt + k for k in range(32)]
    if kind == "std_msgs/Header":
        return Header(stamp=Time(sec=1_700_000_000 + salt, nanosec=999_999_999 - salt), frame_id=f"frame_{salt} äß")
    if kind == "builtin_interfaces/Time":
        return Time(sec=salt, nanosec=salt)
    if kind == "neon_ros_msgs/Tensor":
        return messages.Tensor(name=f"tensor_{salt}", shape=[salt, 0, 2], data=[-0.5 * salt, 2.0**-20])
    if kind == "string":
        return f"text {salt} 手"
    if kind in ("float", "double"):
        return -1.5 * 2.0**-salt
    largest = {"uint8": 2**8, "uint32": 2**32, "uint64": 2**64}[kind]
    return largest - 1 - salt


def filled(name: str) -> Any:
    """Return a message whose every field is set."""
    message = getattr(messages, name)()
    for salt, (field, kind) in enumerate(type(message).get_fields_and_field_types().items(), start=1):
        setattr(message, field, value(kind, salt))
    return message


@pytest.fixture
def node(ros_domain: int) -> Iterator[Any]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=ros_domain)
    node = rclpy.create_node("round_trip", context=context)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(node: Any, name: str) -> None:
    sent = filled(name)
    kind = type(sent)
    received: list[Any] = []
    executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    node.create_subscription(kind, name.lower(), received.append, 1)
    publisher = node.create_publisher(kind, name.lower(), 1)
    deadline = time.monotonic() + 10.0
    while not received and time.monotonic() < deadline:
        publisher.publish(sent)
        executor.spin_once(timeout_sec=0.05)
    executor.shutdown()
    assert received, f"no {name} arrived"
    assert received[0] == sent
    assert received[0] != kind()


def test_every_message_is_tested() -> None:
    assert {name for name in dir(messages) if name[0].isupper()} == set(NAMES)
