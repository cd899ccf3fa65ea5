"""What a bag says of itself: its topics with their quality of service, and the ``metadata.yaml`` beside the file.

The layout is that of rosbag2's metadata version 5: Humble writes it and every later release reads it.  Policies are
written as the numbers of ``rmw/types.h``, which all releases understand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import yaml

from neon_ros.errors import ContractError, refuse

VERSION = 5
METADATA = "metadata.yaml"
INFINITE_NS = 2**63 - 1  # rmw's RMW_DURATION_INFINITE, 9223372036 s and 854775807 ns
KEEP_LAST, RELIABLE, BEST_EFFORT, TRANSIENT_LOCAL, VOLATILE = 1, 1, 2, 1, 2


@dataclass(frozen=True)
class Offer:
    """The quality of service that one publisher offered, as numbers of ``rmw/types.h``.

    :param history: 1 keep last, 2 keep all, 3 unknown, which is all that discovery tells.
    :param depth: messages kept.
    :param reliability: 1 reliable, 2 best effort.
    :param durability: 1 transient local, 2 volatile.
    :param deadline: longest time between messages [ns].
    :param lifespan: age at which a message expires [ns].
    :param liveliness: 1 automatic, 3 manual by topic.
    :param lease: time without a sign of life until the publisher counts as dead [ns].
    """

    history: int = 3
    depth: int = 0
    reliability: int = RELIABLE
    durability: int = VOLATILE
    deadline: int = INFINITE_NS
    lifespan: int = INFINITE_NS
    liveliness: int = 1
    lease: int = INFINITE_NS


@dataclass(frozen=True)
class Topic:
    """One topic of a recording.

    :param name: absolute, e.g. ``/joint_states``.
    :param type: e.g. ``sensor_msgs/msg/JointState``.
    :param offers: one per publisher there was.
    :param definition: full text, see :mod:`neon_ros.data.definitions`.
    :param type_hash: as ROS 2 from Iron on tells it; empty when unknown.
    """

    name: str
    type: str
    offers: tuple[Offer, ...] = ()
    definition: str = ""
    type_hash: str = ""

    @property
    def reliable(self) -> bool:
        """Whether every publisher offered reliable delivery."""
        return bool(self.offers) and all(offer.reliability == RELIABLE for offer in self.offers)

    @property
    def latched(self) -> bool:
        """Whether every publisher kept its newest messages for who comes late."""
        return bool(self.offers) and all(offer.durability == TRANSIENT_LOCAL for offer in self.offers)


@dataclass(frozen=True)
class Counts:
    """What a file holds.

    :param start_ns: log time of the first message [ns since the epoch].
    :param end_ns: of the last [ns].
    :param messages: topic to number of messages.
    """

    start_ns: int
    end_ns: int
    messages: Mapping[str, int]

    @property
    def total(self) -> int:
        """Number of all messages."""
        return sum(self.messages.values())

    @property
    def seconds(self) -> float:
        """Time from the first to the last message [s]."""
        return max(0, self.end_ns - self.start_ns) * 1e-9


def offers_text(offers: Iterable[Offer]) -> str:
    """Return the YAML list that a channel's ``offered_qos_profiles`` holds."""
    return "\n".join(_offer_text(offer) for offer in offers)


def _offer_text(offer: Offer) -> str:
    lines = [f"- history: {offer.history}", f"  depth: {offer.depth}", f"  reliability: {offer.reliability}"]
    lines += [f"  durability: {offer.durability}"]
    for name, value in (("deadline", offer.deadline), ("lifespan", offer.lifespan)):
        lines += _duration(name, value)
    lines += [f"  liveliness: {offer.liveliness}", *_duration("liveliness_lease_duration", offer.lease)]
    return "\n".join([*lines, "  avoid_ros_namespace_conventions: false"])


def _duration(name: str, value: int) -> list[str]:
    return [f"  {name}:", f"    sec: {value // 10**9}", f"    nsec: {value % 10**9}"]


def offers_from_text(text: str, topic: str) -> tuple[Offer, ...]:
    """Return the offers that a channel's ``offered_qos_profiles`` names; none for an empty text.

    :param topic: what it is called in errors.
    :raises ContractError: when it is not what ROS 2 writes, as numbers (until Iron) or words (since Jazzy).
    """
    try:
        return tuple(_offer(profile) for profile in yaml.safe_load(text) or [])
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        message = refuse(f"offered_qos_profiles of {topic}", text, "the YAML list that ROS 2 writes")
        raise ContractError(message) from error


_WORDS = {
    "history": {"system_default": 0, "keep_last": 1, "keep_all": 2, "unknown": 3},
    "reliability": {"system_default": 0, "reliable": 1, "best_effort": 2, "unknown": 3},
    "durability": {"system_default": 0, "transient_local": 1, "volatile": 2, "unknown": 3},
    "liveliness": {"system_default": 0, "automatic": 1, "manual_by_topic": 3, "unknown": 4},
}


def _offer(profile: Mapping[str, Any]) -> Offer:
    numbers = {name: _number(name, profile[name]) for name in _WORDS}
    times = {"deadline": "deadline", "lifespan": "lifespan", "lease": "liveliness_lease_duration"}
    durations = {ours: profile[name]["sec"] * 10**9 + profile[name]["nsec"] for ours, name in times.items()}
    offer = Offer(depth=int(profile["depth"]), **numbers, **durations)
    for item in fields(Offer):
        if not 0 <= getattr(offer, item.name) <= 2**64:
            raise ValueError(item.name)
    return offer


def _number(name: str, value: Any) -> int:
    return _WORDS[name][value] if isinstance(value, str) else int(value)


def metadata_text(file: str, topics: Iterable[Topic], counts: Counts) -> str:
    """Return the ``metadata.yaml`` of a bag with one file.

    :param file: its name, relative to the folder of the bag.
    """
    duration, start = max(0, counts.end_ns - counts.start_ns), counts.start_ns
    lines = [
        *("rosbag2_bagfile_information:", f"  version: {VERSION}", "  storage_identifier: mcap"),
        *("  duration:", f"    nanoseconds: {duration}"),
        *("  starting_time:", f"    nanoseconds_since_epoch: {start}"),
        *(f"  message_count: {counts.total}", "  topics_with_message_count:"),
    ]
    for topic in topics:
        lines += [
            *("    - topic_metadata:", f"        name: {json.dumps(topic.name)}"),
            *(f"        type: {json.dumps(topic.type)}", "        serialization_format: cdr"),
            f"        offered_qos_profiles: {json.dumps(offers_text(topic.offers))}",
            f"      message_count: {counts.messages.get(topic.name, 0)}",
        ]
    if lines[-1].endswith("topics_with_message_count:"):
        lines[-1] += " []"
    lines += [
        *('  compression_format: ""', '  compression_mode: ""'),
        *("  relative_file_paths:", f"    - {json.dumps(file)}"),
        *("  files:", f"    - path: {json.dumps(file)}"),
        *("      starting_time:", f"        nanoseconds_since_epoch: {start}"),
        *("      duration:", f"        nanoseconds: {duration}"),
        f"      message_count: {counts.total}",
    ]
    return "\n".join(lines) + "\n"


def files_of(metadata: str, name: str) -> tuple[str, ...]:
    """Return the relative paths of the files that a ``metadata.yaml`` names.

    :param name: what it is called in errors.
    :raises ContractError: when it is none, or its storage is not MCAP.
    """
    try:
        information = yaml.safe_load(metadata)["rosbag2_bagfile_information"]
        storage, paths = information["storage_identifier"], tuple(map(str, information["relative_file_paths"]))
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ContractError(refuse(name, str(error).splitlines()[0], "the metadata.yaml of a bag")) from error
    if storage != "mcap":
        raise ContractError(refuse(f"storage of {name}", storage, "mcap"))
    return paths
