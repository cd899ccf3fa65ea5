"""The judge of the task `touch`: right hand, right thing, long enough; everything else loses."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mujoco")

from neon_ros.learn.touch import Judge, TouchRules
from neon_ros.sim.table import TABLE_TOP

FAR = np.full((2, 3), 0.2)
NONE = np.zeros((2, 3), dtype=bool)
START = np.array([[0.35, -0.1, TABLE_TOP + 0.03], [0.35, 0.0, TABLE_TOP + 0.03], [0.35, 0.1, TABLE_TOP + 0.03]])
DT = 0.01


def near(hand: int, thing: int, distance: float) -> np.ndarray:
    out = FAR.copy()
    out[hand, thing] = distance
    return out


def touching(hand: int, thing: int) -> np.ndarray:
    out = NONE.copy()
    out[hand, thing] = True
    return out


def run(
    judge: Judge, seconds: float, distance: np.ndarray = FAR, contact: np.ndarray = NONE, centre=START
) -> str | None:
    verdict = None
    for _ in range(round(seconds / DT)):
        verdict = judge.update(DT, distance, contact, centre)
    return verdict


def test_a_touch_of_the_right_pair_succeeds_when_held() -> None:
    for distance, contact in ((near(0, 1, 0.029), NONE), (FAR, touching(0, 1))):
        judge = Judge(0, 1, START)
        assert run(judge, 0.29, distance, contact) is None
        assert run(judge, 0.01, distance, contact) == "success"


def test_a_touch_that_is_too_short_does_not_add_up() -> None:
    judge = Judge(0, 1, START)
    for _ in range(5):
        assert run(judge, 0.25, near(0, 1, 0.01)) is None
        assert run(judge, 0.05) is None


def test_not_near_enough_is_no_touch() -> None:
    assert run(Judge(0, 1, START), 1.0, near(0, 1, 0.031)) is None


@pytest.mark.parametrize(
    ("hand", "thing", "verdict"), [(1, 1, "wrong_hand"), (0, 2, "wrong_object"), (1, 0, "wrong_hand")]
)
def test_any_other_pair_loses(hand: int, thing: int, verdict: str) -> None:
    assert run(Judge(0, 1, START), DT, FAR, touching(hand, thing)) == verdict
    assert run(Judge(0, 1, START), DT, near(hand, thing, 0.009)) == verdict
    slow = Judge(0, 1, START)
    assert run(slow, 0.29, near(hand, thing, 0.025)) is None
    assert run(slow, DT, near(hand, thing, 0.025)) == verdict


def test_passing_near_a_wrong_thing_is_allowed() -> None:
    judge = Judge(0, 1, START)
    assert run(judge, 0.2, near(0, 2, 0.02)) is None
    assert run(judge, 0.3, near(0, 1, 0.0)) == "success"


def test_pushing_a_thing_far_or_off_the_table_loses() -> None:
    pushed = START + np.array([[0.081, 0, 0], [0, 0, 0], [0, 0, 0]])
    fallen = START - np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0.2]])
    assert run(Judge(0, 1, START), DT, centre=START + np.array([[0.05, 0, 0], [0, 0, 0], [0, 0, 0]])) is None
    assert run(Judge(0, 1, START), DT, centre=pushed) == "knocked"
    assert run(Judge(0, 1, START), DT, centre=fallen) == "knocked"


def test_time_runs_out_and_a_verdict_stays() -> None:
    judge = Judge(0, 1, START, TouchRules(limit=0.5))
    assert run(judge, 0.5) == "timeout"
    assert run(judge, 1.0, near(0, 1, 0.0)) == "timeout"
    assert judge.elapsed == pytest.approx(0.5)
