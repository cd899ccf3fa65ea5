"""What a bag says of itself."""

from __future__ import annotations

import pytest
import yaml

from neon_ros.data.bag import INFINITE_NS, Counts, Offer, Topic, files_of, metadata_text, offers_from_text, offers_text
from neon_ros.errors import ContractError

OFFERS = (
    Offer(),
    Offer(history=1, depth=7, reliability=2, durability=1, deadline=1_500_000_000, liveliness=3, lease=5),
)
# As Jazzy writes it into a channel.
WORDS = """- history: unknown
  depth: 0
  reliability: reliable
  durability: transient_local
  deadline:
    sec: 9223372036
    nsec: 854775807
  lifespan:
    sec: 9223372036
    nsec: 854775807
  liveliness: automatic
  liveliness_lease_duration:
    sec: 9223372036
    nsec: 854775807
  avoid_ros_namespace_conventions: false"""


def test_offers_survive_their_text() -> None:
    assert offers_from_text(offers_text(OFFERS), "/t") == OFFERS
    assert offers_from_text("", "/t") == ()


def test_the_words_of_later_releases_are_understood() -> None:
    assert offers_from_text(WORDS, "/t") == (Offer(durability=1),)


def test_infinity_is_written_as_rmw_does() -> None:
    deadline = yaml.safe_load(offers_text(OFFERS))[0]["deadline"]
    assert deadline == {"sec": 9223372036, "nsec": 854775807} and INFINITE_NS == 9223372036854775807


@pytest.mark.parametrize("text", ["x", "- 3", "- history: 1", WORDS.replace("reliable", "mostly"), "{", "- {depth: x}"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match="offered_qos_profiles of /t: got"):
        offers_from_text(text, "/t")


def test_metadata_is_what_rosbag2_reads() -> None:
    topics = [Topic("/a", "std_msgs/msg/String", OFFERS), Topic("/b b", 'x"y')]
    text = metadata_text("run_0.mcap", topics, Counts(10**18, 10**18 + 5, {"/a": 3, "/b b": 1}))
    content = yaml.safe_load(text)["rosbag2_bagfile_information"]
    # rosbag2_storage/yaml.hpp reads each of these from version 5 on
    assert content["version"] == 5 and content["storage_identifier"] == "mcap"
    assert content["duration"] == {"nanoseconds": 5}
    assert content["starting_time"] == {"nanoseconds_since_epoch": 10**18}
    assert content["message_count"] == 4 and content["relative_file_paths"] == ["run_0.mcap"]
    assert (content["compression_format"], content["compression_mode"]) == ("", "")
    assert content["files"] == [
        {
            "path": "run_0.mcap",
            "starting_time": {"nanoseconds_since_epoch": 10**18},
            "duration": {"nanoseconds": 5},
            "message_count": 4,
        }
    ]
    first, second = content["topics_with_message_count"]
    assert first["message_count"] == 3 and second["topic_metadata"]["type"] == 'x"y'
    metadata = first["topic_metadata"]
    assert metadata["serialization_format"] == "cdr"
    assert offers_from_text(metadata["offered_qos_profiles"], "/a") == OFFERS
    assert files_of(text, "m") == ("run_0.mcap",)


def test_an_empty_bag_has_an_empty_list() -> None:
    content = yaml.safe_load(metadata_text("x.mcap", [], Counts(0, 0, {})))["rosbag2_bagfile_information"]
    assert content["topics_with_message_count"] == [] and content["message_count"] == 0


def test_metadata_of_another_storage_is_refused() -> None:
    text = metadata_text("x.mcap", [], Counts(0, 0, {}))
    with pytest.raises(ContractError, match="storage of m: got sqlite3; allowed: mcap"):
        files_of(text.replace("identifier: mcap", "identifier: sqlite3"), "m")
    for broken in ("", "a: b", "{", "rosbag2_bagfile_information: 3"):
        with pytest.raises(ContractError, match="m: got .*; allowed: the metadata.yaml of a bag"):
            files_of(broken, "m")
