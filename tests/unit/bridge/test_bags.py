"""Every installed message type goes into a recording and comes out bytewise; an independent decoder reads the same."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
pytest.importorskip("mcap")
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.serialization import serialize_message

import neon_ros_msgs
from neon_ros.bridge import topics
from neon_ros.bridge.bags import definition, listening, message_class, offer_of, speaking
from neon_ros.data.bag import BEST_EFFORT, TRANSIENT_LOCAL, Offer, Topic
from neon_ros.data.definitions import PRIMITIVES
from neon_ros.data.playback import Findings, messages
from neon_ros.data.recording import Recording
from neon_ros.errors import ContractError

PACKAGES = (
    *("builtin_interfaces", "diagnostic_msgs", "geometry_msgs", "lifecycle_msgs", "nav_msgs", "neon_ros_msgs"),
    *("rcl_interfaces", "rosgraph_msgs", "sensor_msgs", "std_msgs", "trajectory_msgs", "visualization_msgs"),
)
SHARE = next(
    parent / "share"
    for parent in Path(str(neon_ros_msgs.__file__)).resolve().parents
    if (parent / "share" / "neon_ros_msgs").is_dir()
)
TYPES = sorted(f"{name}/msg/{file.stem}" for name in PACKAGES for file in (SHARE / name / "msg").glob("*.msg"))
_INTEGERS = {f"{sign}int{bits}": (sign, bits) for sign in ("", "u") for bits in (8, 16, 32, 64)}


Sent = dict[str, list[tuple[Any, bytes]]]
"""Topic to messages, as messages and as bytes."""


def filled(type_name: str, dice: random.Random) -> Any:
    """Return a message with a random value in each field."""
    msg = message_class(type_name)()
    for name, kind in msg.get_fields_and_field_types().items():
        setattr(msg, name, _value(kind, dice))
    return msg


def _value(kind: str, dice: random.Random) -> Any:
    if kind.startswith("sequence<"):
        inner = kind.removeprefix("sequence<").removesuffix(">").split(",")
        most = int(inner[1]) if len(inner) > 1 else 4
        return _array(inner[0], dice.randint(0, most), dice)
    if kind.endswith("]"):
        inner_kind, _, length = kind.removesuffix("]").partition("[")
        return _array(inner_kind, int(length), dice)
    if kind in ("boolean", "bool"):
        return dice.random() < 0.5
    if kind in ("float", "double"):
        return float(np.float32(dice.uniform(-1e3, 1e3)))
    if kind == "octet":
        return bytes([dice.randrange(256)])
    if kind in _INTEGERS:
        sign, bits = _INTEGERS[kind]
        return dice.randrange(2**bits) if sign == "u" else dice.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1))
    if kind.startswith("string"):
        return "".join(dice.choices(string.ascii_letters + " äß€", k=dice.randrange(9)))
    package, name = kind.split("/")
    return filled(f"{package}/msg/{name}", dice)


def _array(kind: str, length: int, dice: random.Random) -> Any:
    return [_value(kind, dice) for _ in range(length)]


def plain(value: Any) -> Any:
    """Return a message, of rclpy or of the other decoder, as dictionaries, lists and numbers."""
    if hasattr(value, "get_fields_and_field_types"):
        octets = {name for name, kind in value.get_fields_and_field_types().items() if kind == "octet"}
        names = value.get_fields_and_field_types()
        return {name: getattr(value, name)[0] if name in octets else plain(getattr(value, name)) for name in names}
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "__slots__") and not isinstance(value, (np.ndarray, bytes, list)):  # what mcap_ros2 makes
        return {name: plain(getattr(value, name)) for name in value.__slots__}
    return [item[0] if isinstance(item, bytes) else plain(item) for item in value]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sent]:
    """A bag with three random messages of each type, and what was sent, as message and as bytes."""
    path = tmp_path_factory.mktemp("bags") / "all"
    recording, sent, dice = Recording(path, "zstd"), Sent(), random.Random(6)
    for number, kind in enumerate(TYPES):
        topic = Topic(f"/t{number}", kind, (Offer(),), definition(kind))
        recording.add(topic)
        for turn in range(3):
            msg = filled(kind, dice)
            sent.setdefault(topic.name, []).append((msg, serialize_message(msg)))
            recording.write(topic.name, 10**9 * turn + number, 5, sent[topic.name][-1][1])
        recording.flush()
    recording.close()
    return recording.path, sent


def test_every_type_comes_back_bytewise(recorded: tuple[Path, Sent]) -> None:
    path, sent = recorded
    findings, got = Findings(), dict[str, list[bytes]]()
    for message in messages(path, findings):
        got.setdefault(message.topic, []).append(message.data)
    assert len(TYPES) > 90 and not findings.problem and not findings.skipped
    assert got == {name: [data for _, data in pairs] for name, pairs in sent.items()}
    assert {topic.type for topic in findings.topics.values()} == set(TYPES)


def test_an_independent_decoder_reads_the_same_fields(
    recorded: tuple[Path, Sent],
) -> None:
    decoder = pytest.importorskip("mcap_ros2.decoder")
    from mcap.reader import make_reader

    path, sent = recorded
    seen: dict[str, int] = {}
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[decoder.DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        for schema, channel, _, decoded in reader.iter_decoded_messages():
            number = seen[channel.topic] = seen.get(channel.topic, -1) + 1
            assert schema.encoding == "ros2msg" and channel.message_encoding == "cdr"
            theirs = plain(decoded)
            theirs.pop("structure_needs_at_least_one_member", None)  # what an empty message holds
            ours = plain(sent[channel.topic][number][0])
            ours.pop("structure_needs_at_least_one_member", None)
            if "char" in _primitives_of(schema.data.decode()):
                continue  # the other decoder reads ROS 1's signed char
            assert theirs == ours, schema.name
    assert set(seen) == set(sent) and set(seen.values()) == {2}


def _primitives_of(text: str) -> set[str]:
    return {line.split()[0].split("[")[0] for line in text.splitlines() if line.split()} & PRIMITIVES


def test_a_type_that_is_not_installed_is_refused() -> None:
    for name in ("nowhere_msgs/msg/Thing", "std_msgs/msg/Nothing"):
        with pytest.raises(ContractError, match=f"message type: got {name}; allowed: a type installed here"):
            message_class(name)
    with pytest.raises(ContractError, match="message type: got 'Header'; allowed: package/msg/Name"):
        message_class("Header")
    with pytest.raises(ContractError, match="message definition: got no Nothing.msg of std_msgs"):
        definition("std_msgs/msg/Nothing")


def test_quality_of_service_survives() -> None:
    latched = Topic("/instruction", "std_msgs/msg/String", (offer_of(topics.LATCHED),))
    assert latched.latched and latched.reliable
    assert speaking(latched) == topics.LATCHED
    assert listening(latched).durability == DurabilityPolicy.TRANSIENT_LOCAL
    stream = Topic("/imu", "sensor_msgs/msg/Imu", (offer_of(topics.SENSOR_IN),))
    assert not stream.reliable and speaking(stream) == topics.SENSOR_IN


def test_what_publishers_do_not_agree_on_is_read_by_the_least_and_replayed_by_the_most() -> None:
    mixed = Topic("/t", "std_msgs/msg/String", (Offer(), Offer(reliability=BEST_EFFORT, durability=TRANSIENT_LOCAL)))
    assert (listening(mixed).reliability, listening(mixed).durability) == (
        ReliabilityPolicy.BEST_EFFORT,
        DurabilityPolicy.VOLATILE,
    )
    assert (speaking(mixed).reliability, speaking(mixed).durability) == (
        ReliabilityPolicy.RELIABLE,
        DurabilityPolicy.TRANSIENT_LOCAL,
    )
    assert speaking(Topic("/t", "std_msgs/msg/String")).reliability == ReliabilityPolicy.RELIABLE
