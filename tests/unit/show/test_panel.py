"""The words of the view."""

from __future__ import annotations

from neon_ros.show.panel import (
    STATE_WORDS,
    Latency,
    Status,
    guard_markdown,
    latency_markdown,
    plain,
    policy_markdown,
    said_markdown,
    state_words,
    status_markdown,
)


def _status(**changes: object) -> Status:
    values: dict = {
        "state": "HOLD", "reason": "chunk is 320 ms old", "mode": "upper_body", "mode_machine": 5,
        "chunks_admitted": 7, "chunks_refused": 2, "last_refusal": "", "commands_sent": 900,
        "chunk_age": -1.0, "limits": (), "limit_count": 0,
    }  # fmt: skip
    return Status(**(values | changes))


def test_the_state_is_named_in_words_and_not_by_colour_alone() -> None:
    for state, words in STATE_WORDS.items():
        assert words.startswith(state)
        assert words in status_markdown(_status(state=state))


def test_an_unknown_state_is_shown_as_it_came() -> None:
    assert "**MELTED**" in status_markdown(_status(state="MELTED"))


def test_no_chunk_is_said_and_an_age_is_in_milliseconds() -> None:
    assert "chunk none" in status_markdown(_status(chunk_age=-1.0))
    assert "chunk 120 ms old" in status_markdown(_status(chunk_age=0.12))


def test_a_state_that_is_old_or_was_never_heard_is_not_believed() -> None:
    assert state_words(None).startswith("NOT HEARD")
    assert state_words(_status(state="ACTIVE"), 3.2) == "NOT HEARD for 3 s: last state ACTIVE"
    assert state_words(_status(state="ACTIVE"), 0.1) == STATE_WORDS["ACTIVE"]


def test_limits_name_joint_and_reason_and_are_cut_after_four() -> None:
    limits = tuple((f"joint{i}_joint", "jerk") for i in range(6))
    text = guard_markdown(_status(limits=limits))
    assert "joint3 (jerk) …" in text and "joint4" not in text
    assert "**limits now:** none" in guard_markdown(_status())


def test_interventions_are_listed_by_joint_and_reason_the_most_frequent_first() -> None:
    counts = tuple((f"left_{i}_joint", "jerk", i) for i in range(12))
    text = guard_markdown(_status(counts=counts, clearance=0.083, alarms=2, last_alarm="a foreign key"))
    assert text.index("| left 11 | jerk | 11 |") < text.index("| left 10 | jerk | 10 |")
    assert "left 3 " not in text and "and 4 more" in text
    assert "8.3 cm" in text and "**2 alarms**: a foreign key" in text
    assert "not checked" in guard_markdown(_status(clearance=-1.0))


def test_a_refusal_is_shown_shortened_and_cannot_write_markup() -> None:
    assert "x" * 159 + "…" in guard_markdown(_status(last_refusal="x" * 500))
    text = guard_markdown(_status(last_refusal="<img src=x> [a](b]\nc"))
    assert "<img" not in text.replace("\\<", "") and "\\] c" in text
    assert plain("a_b") == "a\\_b"


def test_latencies_are_a_table_in_milliseconds_with_a_bar() -> None:
    text = latency_markdown({"backbone": Latency(0.0213, 0.041), "head": Latency(0.0001, 0.05)})
    assert "| backbone | 21.3 | 41 | ▇▇▇▇▇▇▇▇ |" in text and "| head | 0.1 | 50 | ▇ |" in text
    assert latency_markdown({}) == "no stage has reported yet"


def test_head_and_backbone_are_named() -> None:
    text = policy_markdown("mlp_touch", "0123456789abcdef", {"backbone": "compact/x"})
    assert "mlp" in text and "01234567" in text and "89ab" not in text and "compact/x" in text
    assert policy_markdown("", "", {}) == "head no chunk yet\n\nbackbone not heard"


def test_what_was_said_is_shown_as_far_as_there_is_any() -> None:
    text = said_markdown("touch it", "I do", ["red cube", "blue ball"], "task: under way")
    assert "told: “touch it”" in text and "says: “I do”" in text
    assert "on the table: red cube, blue ball" in text and "**task: under way**" in text
    assert said_markdown("", "", [], "") == ""
