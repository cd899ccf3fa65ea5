"""The door of a session: who made a chunk, when, and what an alarm or a stop is raised for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from neon_ros.contracts import ActionChunk
from neon_ros.errors import ConfigError, ContractError, Refused
from neon_ros.guard.admission import AdmissionConfig, NotAdmitted
from neon_ros.guard.alarms import Alarms
from neon_ros.guard.authentic import ChunkKey
from neon_ros.guard.door import Door
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS

NOW_NS, NOW = 50_000_000, 1000.0  # 50 ms after the stamp of the maker's chunk
KEY, OTHER = ChunkKey(bytes(32)), ChunkKey(bytes([1] * 32))
Maker = Callable[..., ActionChunk]


def door(begun: float = 0.0, key: ChunkKey | None = KEY) -> tuple[Door, Alarms]:
    """Return a door for arms_only that knows the robot, and its alarms."""
    alarms = Alarms()
    made = Door(MODES["arms_only"], begun, None if key is None else lambda: key, alarms)
    made.adopt(VARIANTS[5])
    return made, alarms


def refused(made: Door, chunk: ActionChunk, now_ns: int = NOW_NS, now: float = NOW) -> str:
    """Offer a chunk that must be refused; return the sentence."""
    with pytest.raises(Refused) as refusal:
        made.admit(chunk, now_ns, now)
    return str(refusal.value)


def test_a_signed_chunk_passes_without_alarm(action_chunk: Maker) -> None:
    made, alarms = door()
    admitted = made.admit(KEY.signed(action_chunk()), NOW_NS, NOW)
    assert (admitted.epoch, admitted.sequence) == (1, 1)
    assert (made.counters.admitted, made.counters.refused, alarms.count) == (1, 0, 0)
    assert made.authenticated and made.ready


@pytest.mark.parametrize("how", ["unsigned", "zeros", "other key", "changed", "short"])
def test_forged_chunks_are_refused_with_an_alarm(how: str, action_chunk: Maker) -> None:
    made, alarms = door()
    signed = KEY.signed(action_chunk())
    forged = {
        "unsigned": action_chunk(),
        "zeros": replace(action_chunk(), mac=bytes(32)),
        "other key": OTHER.signed(action_chunk()),
        "changed": replace(signed, sequence=9),
        "short": replace(signed, mac=signed.mac[:31]),
    }[how]
    sentence = "chunk.mac: got a MAC that does not fit; allowed: one made with this session's key"
    assert refused(made, forged) == sentence
    assert (alarms.count, alarms.last, alarms.at) == (1, sentence, NOW)
    assert (made.counters.refused, made.counters.reasons) == (1, {"not authentic": 1})
    made.admit(signed, NOW_NS, NOW)


def test_a_flood_of_forgeries_neither_stops_the_robot_nor_keeps_the_policy_out(action_chunk: Maker) -> None:
    made, alarms = door()
    for sequence in range(1, 30):
        for _ in range(5):
            refused(made, OTHER.signed(action_chunk(sequence=1000)))
        made.admit(KEY.signed(action_chunk(sequence=sequence)), NOW_NS, NOW)
    assert (made.take_stop(), alarms.count, made.counters.admitted) == ("", 145, 29)


def test_replays_late_and_early_chunks_are_alarms_but_no_reason_to_stop(action_chunk: Maker) -> None:
    made, alarms = door()
    first = KEY.signed(action_chunk(epoch=2, sequence=7))
    made.admit(first, NOW_NS, NOW)
    for chunk, said in (
        (first, "newer than (2, 7)"),
        (KEY.signed(action_chunk(epoch=2, sequence=6)), "newer than (2, 7)"),
        (KEY.signed(action_chunk(epoch=1, sequence=99)), "newer than (2, 7)"),
        (KEY.signed(action_chunk(epoch=3, stamp_ns=-250_000_000)), "less than 0.300 s"),
        (KEY.signed(action_chunk(epoch=3, stamp_ns=551_000_000)), "at most 0.5 s ahead"),
        (KEY.signed(action_chunk(epoch=3, stamp_ns=-100_000_000)), "got 0.100 s before the last admitted"),
    ):
        before = alarms.count
        assert said in refused(made, chunk)
        assert (alarms.count, alarms.last) == (before + 1, made.counters.last_refusal)
    assert made.take_stop() == ""


@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_no_replay_in_any_order_is_admitted_twice(count: int, action_chunk: Maker) -> None:
    rng = np.random.default_rng(3)
    made, _ = door()
    recorded = [KEY.signed(action_chunk(epoch=int(e), sequence=int(s))) for e, s in rng.integers(0, 12, (60, 2))]
    newest, accepted = (-1, -1), 0
    for index in rng.integers(0, len(recorded), count):
        chunk = recorded[index]
        try:
            made.admit(chunk, NOW_NS, NOW)
        except Refused:
            assert (chunk.epoch, chunk.sequence) <= newest
        else:
            assert (chunk.epoch, chunk.sequence) > newest
            newest, accepted = (chunk.epoch, chunk.sequence), accepted + 1
    assert accepted == made.counters.admitted < len(recorded) and made.counters.refused == count - accepted


def test_another_variant_does_not_make_old_chunks_new(action_chunk: Maker) -> None:
    made, _ = door()
    chunk = KEY.signed(action_chunk(sequence=5))
    made.admit(chunk, NOW_NS, NOW)
    made.adopt(VARIANTS[6])
    made.adopt(VARIANTS[5])
    assert "newer than (1, 5)" in refused(made, chunk)
    assert made.counters.admitted == 1, "the counters go on"


def test_nothing_captured_before_the_start_is_admitted_and_what_was_on_its_way_is_no_alarm(action_chunk: Maker) -> None:
    made, alarms = door(begun=NOW - 0.02)  # the chunk was captured 50 ms ago
    assert (
        refused(made, KEY.signed(action_chunk())) == "chunk stamp: got 0.030 s before the start; allowed: not before it"
    )
    assert "MAC that does not fit" in refused(made, OTHER.signed(action_chunk()))
    assert alarms.count == 0 and made.counters.reasons == {"before the start": 2}
    made.admit(KEY.signed(action_chunk(stamp_ns=NOW_NS - 10_000_000)), NOW_NS, NOW)
    refused(made, OTHER.signed(action_chunk(stamp_ns=NOW_NS)))
    assert alarms.count == 1, "a forged chunk of now is an alarm at any time"


def test_a_chunk_from_before_the_start_is_an_alarm_once_all_have_settled(action_chunk: Maker) -> None:
    made, alarms = door(begun=NOW - 6.0)
    long = action_chunk(stamp_ns=NOW_NS - 7 * 10**9, dt=0.5, q=np.zeros((32, 14), np.float32))
    for key in (KEY, OTHER):
        chunk = key.signed(replace(long, base_velocity=np.zeros((32, 3), np.float32)))
        refused(made, chunk)
    assert alarms.count == 2


def wrong(action_chunk: Maker, sequence: int, **changes: object) -> ActionChunk:
    """Return a chunk that the policy signed with a value that is not finite in it."""
    q = np.full((16, 14), 0.1, np.float32)
    q[3, 2] = np.nan
    return KEY.signed(action_chunk(q=q, sequence=sequence, **changes))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_three_wrong_chunks_of_the_policy_stop_the_robot(value: float, action_chunk: Maker) -> None:
    made, alarms = door()
    for sequence in (1, 2, 3):
        q = np.full((16, 14), 0.1, np.float32)
        q[3, 2] = value
        refused(made, KEY.signed(action_chunk(q=q, sequence=sequence)))
        assert made.take_stop() == "" or sequence == 3
        if sequence < 3:
            assert alarms.count == 0, "one wrong chunk is a refusal, not an alarm"
    assert alarms.count == 1 and alarms.last.startswith("3 chunks in a row were refused; the last: chunk.q")
    assert alarms.at == NOW
    for sequence in (4, 5):
        refused(made, wrong(action_chunk, sequence))
        assert made.take_stop() == "", "it takes three again"
    refused(made, wrong(action_chunk, 6))
    assert made.take_stop().startswith("3 chunks in a row")


def test_the_first_chunk_of_all_counts_when_it_is_wrong(action_chunk: Maker) -> None:
    made, _ = door()
    for sequence in (0, 1, 2):
        refused(made, wrong(action_chunk, sequence, epoch=0))
    assert made.take_stop().startswith("3 chunks in a row")


def test_a_wrong_chunk_that_is_older_than_the_last_good_one_is_a_replay(action_chunk: Maker) -> None:
    made, _ = door()
    made.admit(KEY.signed(action_chunk(sequence=9)), NOW_NS, NOW)
    for sequence in (3, 4, 5, 9):
        refused(made, wrong(action_chunk, sequence))
    assert made.take_stop() == ""


def test_the_bounds_of_a_chunk_are_those_given(action_chunk: Maker) -> None:
    made = Door(MODES["arms_only"], 0.0, None, Alarms(), AdmissionConfig(horizon_range=(2, 8)))
    made.adopt(VARIANTS[5])
    assert refused(made, action_chunk()) == "chunk.horizon: got 16; allowed: 2 to 8 steps"


@pytest.mark.parametrize("age", [4.5, 5.0, 5.5])
def test_what_was_on_its_way_at_the_start_is_no_alarm_for_five_seconds(age: float, action_chunk: Maker) -> None:
    begun, now, now_ns = 64.0, 64.0 + age, 10**10
    late = action_chunk(stamp_ns=now_ns - round((age + 1.0) * 1e9), dt=0.5, q=np.zeros((32, 14), np.float32))
    late = replace(late, base_velocity=np.zeros((32, 3), np.float32))
    for key, reason in ((KEY, "before the start"), (OTHER, "before the start" if age < 5.0 else "not authentic")):
        made, alarms = door(begun=begun)
        refused(made, key.signed(late), now_ns, now)
        assert (alarms.count, made.counters.reasons) == (int(age >= 5.0), {reason: 1})


def test_a_forged_chunk_captured_exactly_at_the_start_is_an_alarm(action_chunk: Maker) -> None:
    made, alarms = door(begun=64.0)
    refused(made, OTHER.signed(action_chunk(stamp_ns=10**10 - 500_000_000)), 10**10, 64.5)
    assert alarms.count == 1
    made, alarms = door(begun=64.0)
    refused(made, OTHER.signed(action_chunk(stamp_ns=10**10 - 500_000_001)), 10**10, 64.5)
    assert alarms.count == 0


def test_a_right_chunk_between_wrong_ones_begins_the_count_anew(action_chunk: Maker) -> None:
    made, _ = door()
    for sequence in range(1, 20):
        if sequence % 3:
            refused(made, wrong(action_chunk, sequence))
        else:
            made.admit(KEY.signed(action_chunk(sequence=sequence)), NOW_NS, NOW)
        assert made.take_stop() == ""
    for sequence in (20, 21):
        refused(made, wrong(action_chunk, sequence))
    assert made.take_stop().startswith("3 chunks in a row")
    assert made.take_stop() == "", "said once"


def test_one_wrong_chunk_that_is_sent_again_and_again_counts_once(action_chunk: Maker) -> None:
    made, alarms = door()
    for _ in range(10):
        refused(made, wrong(action_chunk, 1))
    for sequence in (0, 1):
        refused(made, wrong(action_chunk, sequence))
    assert (made.take_stop(), alarms.count, made.counters.refused) == ("", 0, 12)


def test_what_is_no_chunk_at_all_is_counted_and_an_alarm(action_chunk: Maker) -> None:
    made, alarms = door()
    refusal = made.malformed(ContractError("chunk.q length: got 3; allowed: 224"), NOW)
    assert isinstance(refusal, Refused) and str(refusal) == alarms.last == "chunk.q length: got 3; allowed: 224"
    assert (alarms.count, made.counters.refused, made.counters.last_refusal) == (1, 1, alarms.last)
    assert (refusal.reason, alarms.at, made.counters.reasons) == ("malformed", NOW, {"malformed": 1})


def test_fields_that_no_signed_chunk_can_have_are_refused_not_raised(action_chunk: Maker) -> None:
    made, alarms = door()
    for change in ({"epoch": -1}, {"dt": float("inf")}, {"mode": None}):
        assert "allowed: fields as in the message" in refused(made, replace(KEY.signed(action_chunk()), **change))
    assert alarms.count == 3


def test_without_a_trusted_key_file_nothing_passes(action_chunk: Maker) -> None:
    def broken() -> ChunkKey:
        raise ConfigError("key file /x: got mode 0644; allowed: 0600")

    alarms = Alarms()
    made = Door(MODES["arms_only"], 0.0, broken, alarms)
    made.adopt(VARIANTS[5])
    assert refused(made, KEY.signed(action_chunk())) == alarms.last == "key file /x: got mode 0644; allowed: 0600"


def test_a_new_key_ends_what_the_old_one_signed(action_chunk: Maker) -> None:
    keys, alarms = [KEY], Alarms()
    made = Door(MODES["arms_only"], 0.0, lambda: keys[-1], alarms)
    made.adopt(VARIANTS[5])
    made.admit(KEY.signed(action_chunk()), NOW_NS, NOW)
    keys.append(OTHER)
    refused(made, KEY.signed(action_chunk(sequence=2)))
    made.admit(OTHER.signed(action_chunk(sequence=2)), NOW_NS, NOW)


def test_before_the_robot_is_known_nothing_passes(action_chunk: Maker) -> None:
    made = Door(MODES["arms_only"], 0.0, lambda: KEY, Alarms())
    sentence = "chunk: got a chunk; allowed: none before LowState tells the variant"
    assert not made.ready and refused(made, KEY.signed(action_chunk())) == sentence
    assert made.take_stop() == ""
    # It is not counted by the admission, which there is none of; the reason it is counted under is the door's own.
    with pytest.raises(NotAdmitted) as refusal:
        made.admit(KEY.signed(action_chunk(sequence=2)), NOW_NS, NOW)
    assert refusal.value.reason == "no robot"


def test_insecure_admits_what_nobody_signed_and_still_refuses_replays(action_chunk: Maker) -> None:
    made, alarms = door(key=None)
    assert not made.authenticated
    made.admit(action_chunk(), NOW_NS, NOW)
    assert "newer than" in refused(made, action_chunk()) and alarms.count == 1
