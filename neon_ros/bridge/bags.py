"""Recordings and the ROS graph: quality of service to numbers and back, message classes, their definitions."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from neon_ros.data.bag import BEST_EFFORT, INFINITE_NS, KEEP_LAST, VOLATILE, Offer, Topic
from neon_ros.data.definitions import full_text, names_of
from neon_ros.errors import ContractError, refuse

DEPTH = 50
"""Messages that wait to be recorded, per topic."""


@cache
def message_class(type_name: str) -> Any:
    """Return the class of a message type.

    :raises ContractError: when it is not installed here.
    """
    package, name = names_of(type_name)
    try:
        return getattr(import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise ContractError(refuse("message type", type_name, "a type installed here")) from error


@cache
def definition(type_name: str) -> str:
    """Return the full definition of a message type, from the ``.msg`` files that are installed beside it.

    :raises ContractError: when one is missing.
    """
    return full_text(type_name, _read)


def _read(package: str, name: str) -> str:
    try:
        module = import_module(package)
    except ImportError as error:
        raise ContractError(refuse("message package", package, "one installed here")) from error
    here = Path(str(module.__file__)).resolve()
    for prefix in here.parents:
        file = prefix / "share" / package / "msg" / f"{name}.msg"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise ContractError(refuse("message definition", f"no {name}.msg of {package}", f"one in share/{package}/msg"))


def topic_of(name: str, type_name: str, publishers: Iterable[Any]) -> Topic:
    """Return what a recording says of a topic.

    :param publishers: what ``Node.get_publishers_info_by_topic`` tells.
    :raises ContractError: when the type or its definition is not installed here.
    """
    message_class(type_name)
    ends = tuple(publishers)
    hashes = {str(end.topic_type_hash) for end in ends if hasattr(end, "topic_type_hash")}
    type_hash = hashes.pop() if len(hashes) == 1 else ""
    known = type_hash if type_hash.startswith("RIHS01_") else ""
    return Topic(name, type_name, tuple(offer_of(end.qos_profile) for end in ends), definition(type_name), known)


def offer_of(profile: QoSProfile) -> Offer:
    """Return the quality of service of a publisher as numbers."""
    times = (profile.deadline, profile.lifespan, profile.liveliness_lease_duration)
    deadline, lifespan, lease = (_nanoseconds(time) for time in times)
    return Offer(
        history=int(profile.history),
        depth=profile.depth,
        reliability=int(profile.reliability),
        durability=int(profile.durability),
        deadline=deadline,
        lifespan=lifespan,
        liveliness=int(profile.liveliness),
        lease=lease,
    )


def _nanoseconds(duration: Duration) -> int:
    return int(duration.nanoseconds) or INFINITE_NS  # 0 is rmw's "unspecified"


def listening(topic: Topic) -> QoSProfile:
    """Return the quality of service to record a topic with: the most that every publisher of it offers."""
    reliability = ReliabilityPolicy.RELIABLE if topic.reliable else ReliabilityPolicy.BEST_EFFORT
    durability = DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=DEPTH, reliability=reliability, durability=durability)


def speaking(topic: Topic) -> QoSProfile:
    """Return the quality of service to replay a topic with: what its publishers offered.

    Where they offered different things, reliable and kept, which every listener takes.
    """
    reliabilities = {offer.reliability for offer in topic.offers}
    durabilities = {offer.durability for offer in topic.offers}
    depths = [offer.depth for offer in topic.offers if offer.history == KEEP_LAST and offer.depth > 0]
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=min(max(depths, default=10), 1000),
        reliability=ReliabilityPolicy.BEST_EFFORT if reliabilities == {BEST_EFFORT} else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.VOLATILE if durabilities <= {VOLATILE} else DurabilityPolicy.TRANSIENT_LOCAL,
    )
