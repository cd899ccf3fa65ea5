"""What the ROS graph tells of the publishers of a topic, for :mod:`neon_ros.guard.publishers`."""

from __future__ import annotations

from typing import Any

from neon_ros.guard.publishers import Publisher


def publishers_of(node: Any, topic: str) -> list[Publisher]:
    """Return who publishes ``topic``, of whatever type, in a fixed order.

    :param topic: its full name.
    """
    return sorted(_publisher(info) for info in node.get_publishers_info_by_topic(topic))


def definition_of(node: Any, topic: str) -> str:
    """Return the hash of ``topic``'s type as ``node`` itself subscribes to it; empty where nobody tells."""
    mine = (node.get_name(), node.get_namespace())
    infos = node.get_subscriptions_info_by_topic(topic)
    found = (_publisher(info).digest for info in infos if (info.node_name, info.node_namespace) == mine)
    return next(found, "")


def _publisher(info: Any) -> Publisher:
    name = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
    digest = str(getattr(info, "topic_type_hash", ""))  # Humble knows no hash
    return Publisher(bytes(info.endpoint_gid).hex(), name, info.topic_type, digest)
