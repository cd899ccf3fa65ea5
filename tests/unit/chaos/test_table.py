"""What passes, what fails, and what is printed."""

from __future__ import annotations

import json
import math

import pytest

from neon_ros.chaos.table import Measure, Outcome, as_json, lines, summary


def measure(*values: float, **bounds: float) -> Measure:
    return Measure("reaction", bounds.pop("bound", 0.02), values=list(values), **bounds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "passes"),
    [
        (measure(0.01, 0.019), True),
        (measure(0.01, 0.021), False),
        (measure(0.01, math.nan), False),
        (measure(), False),
        (measure(0.01, least=0.015), False),
        (measure(0.025, 0.01, 0.01, bound=0.04, typical=0.02), True),
        (measure(0.025, 0.025, 0.01, bound=0.04, typical=0.02), False),
        (measure(math.inf, bound=math.inf), False),
    ],
)
def test_every_trial_must_be_within_the_bounds(made: Measure, passes: bool) -> None:
    assert made.passes() is passes


def test_only_times_are_given_the_machines_lateness() -> None:
    assert measure(0.021).passes(0.005)
    assert not Measure("count", 0.0, "", timed=False, values=[1.0]).passes(5.0)


def test_a_reaction_that_did_not_come_is_never() -> None:
    made = measure()
    made.add(None)
    made.add(0.01)
    assert not made.passes() and made.show(made.worst) == "never"


def outcome(**values: object) -> Outcome:
    return Outcome("F1", "policy killed", "HOLD", measures=[measure(0.01)], trials=1, **values)  # type: ignore[arg-type]


def test_an_outcome_without_measures_or_with_a_breach_or_a_failed_injection_has_not_passed() -> None:
    assert outcome().passes() and outcome().verdict() == "pass"
    assert outcome(failure="no motor").verdict() == "FAIL"
    assert outcome(breaches=["I4"]).verdict() == "FAIL"
    assert outcome(not_run="no tmpfs").verdict() == "not run" and not outcome(not_run="no tmpfs").passes()
    assert Outcome("F2", "nothing measured", "").verdict() == "FAIL"


def test_the_table_names_bounds_verdicts_and_reasons() -> None:
    worse = Outcome("F4", "motor killed", "damping", measures=[measure(0.03, bound=0.04, typical=0.02)], trials=1)
    hidden = Outcome("F25", "disk full", "none", not_run="no tmpfs can be mounted", repeated=2)
    table = "\n".join(lines([outcome(breaches=["I4 elbow"] * 5), worse, hidden]))
    for words in (
        "20.00 ms / max 40.00 ms",
        "30.00 ms",
        "not run: no tmpfs can be mounted",
        "breach: I4 elbow",
        "and 2 more breaches",
        "2 trials made again: the machine stood still in them",
    ):
        assert words in table
    assert summary([outcome(), worse, hidden]) == "1 of 3 faults pass; 1 not run; FAIL: F4"


def test_everything_measured_can_be_written_as_json() -> None:
    made = outcome()
    made.measures.append(Measure("count", math.inf, "", values=[math.nan, 2.0]))
    text = json.dumps(as_json([made]), allow_nan=False)
    found = json.loads(text)[0]
    assert found["verdict"] == "FAIL" and found["measures"][1]["values"] == [None, 2.0]
    assert found["measures"][0]["passes"] is True
