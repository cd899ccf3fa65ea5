"""The words of the view."""

from __future__ import annotations

from neon_ros.show.panel import STATE_WORDS, Latency, Status, latency_markdown, status_markdown


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


def test_limits_name_joint_and_reason_and_are_cut_after_four() -> None:
    limits = tuple((f"joint{i}_joint", "jerk") for i in range(6))
    text = status_markdown(_status(limits=limits))
    assert "joint3 (jerk) …" in text and "joint4" not in text


def test_a_refusal_is_shown_shortened() -> None:
    assert "last refusal: " + "x" * 160 in status_markdown(_status(last_refusal="x" * 500))


def test_latencies_are_a_table_in_milliseconds() -> None:
    text = latency_markdown({"backbone": Latency(0.0213, 0.041)})
    assert "| backbone | 21.3 | 41 |" in text
    assert latency_markdown({}) == "no stage has reported yet"
