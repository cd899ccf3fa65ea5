"""What an exam came to."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neon_ros.errors import ContractError
from neon_ros.learn.statistics import EpisodeResult, EvalResult, table, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"), [(100, 100, 0.9630, 1.0), (10, 60, 0.0931, 0.2803), (0, 20, 0.0, 0.1611)]
)
def test_wilson_agrees_with_published_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=2e-4)


@given(st.integers(1, 500), st.data())
def test_wilson_holds_the_rate_and_mirrors(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0 + 1e-12
    mirrored = wilson(trials - successes, trials)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ContractError, match="successes of trials"):
        wilson(successes, trials)


def test_a_result_counts_its_episodes() -> None:
    verdicts = ["success", "timeout", "success", "wrong_hand", "timeout"]
    result = EvalResult("policy", tuple(EpisodeResult(i, "", v, 1.0 + i, i) for i, v in enumerate(verdicts)))
    assert (result.successes, result.rate) == (2, 0.4)
    assert result.failures == {"timeout": 2, "wrong_hand": 1}
    assert result.median_seconds == 2.0
    assert result.limited == 10
    assert result.interval == wilson(2, 5)


def test_the_table_shows_rate_interval_and_failures() -> None:
    good = EvalResult("policy", (EpisodeResult(0, "", "success", 1.25),))
    bad = EvalResult("blind", (EpisodeResult(0, "", "timeout", 6.0),))
    head, first, second = table([good, bad]).splitlines()
    assert head.split()[0] == "exam"
    assert "1/1 (100 %)" in first
    assert "1.25 s" in first
    assert "0/1 (0 %)" in second
    assert "timeout 1" in second
    assert math.isnan(bad.median_seconds)


def test_an_exam_without_episodes_is_refused() -> None:
    with pytest.raises(ContractError, match="episodes of policy: got 0"):
        EvalResult("policy", ())
