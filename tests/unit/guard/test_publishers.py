"""Whose chunks move the robot: one publisher, the same from arming on, of the agreed type."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.guard.alarms import Alarms
from neon_ros.guard.publishers import Publisher, PublisherWatch

KIND, DIGEST = "neon_ros_msgs/msg/ActionChunk", "RIHS01_aaaa"
HEAD, OTHER = Publisher("01" * 16, "/action_head", KIND, DIGEST), Publisher("02" * 16, "/rogue", KIND, DIGEST)
TEXT = Publisher("03" * 16, "/chatter", "std_msgs/msg/String", "RIHS01_bbbb")
OLD = Publisher("04" * 16, "/action_head", KIND, "RIHS01_cccc")
UNKNOWN = Publisher("05" * 16, "/humble_head", KIND, "")


def watch() -> tuple[PublisherWatch, Alarms]:
    """Return a watch and its alarms."""
    alarms = Alarms()
    return PublisherWatch("action_chunk", KIND, DIGEST, alarms), alarms


@pytest.mark.parametrize(
    ("seen", "objection"),
    [
        ([], ""),
        ([HEAD], ""),
        ([UNKNOWN], ""),
        ([HEAD, OTHER], "publishers of action_chunk: got 2 (/action_head (0101010101010101), /rogue (02"),
        ([HEAD, HEAD._replace(gid="09")], "publishers of action_chunk: got 2"),
        ([HEAD, TEXT], "of action_chunk: got type std_msgs/msg/String; allowed: neon_ros_msgs/msg/ActionChunk"),
        ([OLD], "got another definition of neon_ros_msgs/msg/ActionChunk (RIHS01_cccc); allowed: RIHS01_aaaa: build"),
    ],
)
def test_arming_needs_at_most_one_publisher_of_the_agreed_type(seen: list[Publisher], objection: str) -> None:
    said = watch()[0].objection(seen)
    assert objection in said and bool(said) is bool(objection)


def test_before_arming_a_second_publisher_is_no_alarm_but_another_type_is() -> None:
    made, alarms = watch()
    assert made.look([HEAD, OTHER], 1.0) == "" and alarms.count == 0
    assert "got type std_msgs/msg/String" in made.look([HEAD, TEXT], 2.0)
    assert (alarms.count, alarms.at) == (1, 2.0)


def test_while_armed_another_publisher_is_one_alarm_for_each_time_it_comes() -> None:
    made, alarms = watch()
    made.arm([HEAD])
    for _ in range(5):
        assert made.look([HEAD], 1.0) == ""
    assert made.look([HEAD, OTHER], 2.0) == (
        "publisher of action_chunk: got another one, /rogue (0202020202020202); allowed: the one armed with"
    )
    for _ in range(5):
        assert made.look([HEAD, OTHER], 3.0) == ""
    made.look([HEAD], 4.0)
    made.look([OTHER, HEAD], 5.0)
    assert (alarms.count, alarms.at) == (2, 5.0)


def test_a_publisher_whose_name_is_discovered_late_is_told_of_by_name() -> None:
    made, alarms = watch()
    made.arm([HEAD])
    nameless = OTHER._replace(node="_NODE_NAMESPACE_UNKNOWN_/_NODE_NAME_UNKNOWN_")
    assert "another one, _NODE_NAMESPACE_UNKNOWN_/_NODE_NAME_UNKNOWN_ (0202" in made.look([HEAD, nameless], 1.0)
    assert made.look([HEAD, nameless], 2.0) == ""
    assert "another one, /rogue (0202" in made.look([HEAD, OTHER], 3.0)
    assert made.look([HEAD, OTHER], 4.0) == "" and alarms.count == 2


def test_a_name_is_no_proof_and_a_restarted_head_is_another_publisher() -> None:
    made, alarms = watch()
    made.arm([HEAD])
    assert "another one, /action_head" in made.look([HEAD._replace(gid="0a" * 16)], 1.0) and alarms.count == 1


def test_armed_with_nobody_the_first_that_comes_is_the_one() -> None:
    made, alarms = watch()
    made.arm([])
    assert made.look([], 1.0) == made.look([HEAD], 2.0) == ""
    assert "another one, /rogue" in made.look([HEAD, OTHER], 3.0) and alarms.count == 1


def test_after_disarming_nobody_is_held_on_to() -> None:
    made, alarms = watch()
    made.arm([HEAD])
    made.disarm()
    assert made.look([OTHER], 1.0) == "" and not made.armed
    made.arm([OTHER])
    assert made.look([OTHER], 2.0) == "" and alarms.count == 0


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_no_schedule_lets_a_second_one_by(count: int) -> None:
    rng = np.random.default_rng(11)
    crowd, wrong = [HEAD, OTHER, UNKNOWN, TEXT, OLD], {TEXT, OLD}
    for _ in range(count):
        made, alarms = watch()
        there: set[Publisher] = set()
        told: set[Publisher] = set()
        armed, owner, raised = False, None, 0
        for now in range(12):
            there ^= {crowd[rng.integers(len(crowd))]}
            seen, action = sorted(there), rng.integers(3)
            if action == 0 and not armed:
                sound = len(seen) <= 1 and not there & wrong
                assert (made.objection(seen) == "") is sound
                if sound:
                    made.arm(seen)
                    armed, owner = True, seen[0] if seen else None
            elif action == 1:
                made.disarm()
                armed, owner = False, None
            right = [publisher for publisher in seen if publisher not in wrong]
            if armed and owner is None and right:
                owner = right[0]
            strangers = there & wrong | ({*right} - {owner} if armed else set())
            raised += len(strangers - told)
            told = told & there | strangers
            made.look(seen, float(now))
            assert alarms.count == raised


def test_sentences_are_whole() -> None:
    made, alarms = watch()
    assert made.armed is False
    two = "publishers of action_chunk: got 2 (/action_head (0101010101010101), /rogue (0202020202020202)); allowed: "
    assert made.objection([HEAD, OTHER]) == two + "at most one"
    long = OLD._replace(digest="RIHS01_0123456789abcdef")
    own = PublisherWatch("action_chunk", KIND, "RIHS01_fedcba9876543210", alarms)
    sentence = (
        f"publisher {long} of action_chunk: got another definition of {KIND} (RIHS01_01234567); "
        "allowed: RIHS01_fedcba98: build both sides from the same neon_ros_msgs"
    )
    assert own.objection([long]) == sentence
    assert own.look([long], 3.0) == sentence
    assert (alarms.count, alarms.last, alarms.at) == (1, sentence, 3.0)


def test_no_alarm_has_been_raised_at_first() -> None:
    alarms = Alarms()
    assert (alarms.count, alarms.last, alarms.at) == (0, "", -np.inf)
