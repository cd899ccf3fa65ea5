"""The judges of the suite on states made by hand: success, and each failure by its own name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("ruckig")

from neon_ros.learn.tasks.follow import FollowReferee
from neon_ros.learn.tasks.lift import LiftReferee
from neon_ros.learn.tasks.point_at import PointReferee
from neon_ros.learn.tasks.push import PushReferee
from neon_ros.learn.tasks.task import Facts, Held, Referee
from neon_ros.sim.table import TABLE_TOP

CENTRE = np.array([[0.36, 0.12, TABLE_TOP + 0.03], [0.36, -0.12, TABLE_TOP + 0.03], [0.55, 0.0, TABLE_TOP + 0.03]])
AWAY = Facts(
    palm=np.array([[0.18, 0.24, 0.97], [0.18, -0.24, 0.97]]),
    fingers=np.tile([1.0, 0.0, 0.0], (2, 1)),
    distance=np.full((2, 3), 0.25),
    contact=np.zeros((2, 3), dtype=bool),
    centre=CENTRE,
    top=CENTRE[:, 2] + 0.03,
    bottom=CENTRE[:, 2] - 0.03,
    speed=np.zeros(3),
)


def decided(judge: Referee, *states: tuple[Facts, float]) -> str | None:
    """Return the verdict after each state has lasted for its seconds."""
    for facts, seconds in states:
        for _ in range(round(seconds / 0.01)):
            if judge.update(0.01, facts) is not None:
                return judge.verdict
    return judge.verdict


def pointing(hand: int, thing: int, off: float = 0.0) -> Facts:
    """Return one hand that points at a thing, turned away by ``off`` [rad]."""
    fingers = AWAY.fingers.copy()
    line = CENTRE[thing] - AWAY.palm[hand]
    fingers[hand] = line / np.linalg.norm(line)
    side = np.cross(fingers[hand], [0.0, 0.0, 1.0])
    fingers[hand] = np.cos(off) * fingers[hand] + np.sin(off) * side / np.linalg.norm(side)
    return replace(AWAY, fingers=fingers)


def over(hand: int, thing: int, above: float = 0.09) -> Facts:
    """Return one palm above the top of a thing."""
    palm = AWAY.palm.copy()
    palm[hand] = (*CENTRE[thing, :2], AWAY.top[thing] + above)
    return replace(AWAY, palm=palm)


def at(thing: int, place: tuple[float, float], speed: float = 0.0) -> Facts:
    """Return one thing at another place."""
    centre, speeds = CENTRE.copy(), np.zeros(3)
    centre[thing, :2], speeds[thing] = place, speed
    return replace(AWAY, centre=centre, speed=speeds)


def raised(thing: int, height: float, hands: tuple[bool, bool] = (True, True)) -> Facts:
    """Return one thing in the air, with the hands that touch it."""
    contact = AWAY.contact.copy()
    contact[:, thing] = hands
    centre = CENTRE.copy()
    centre[thing, 2] += height
    return replace(AWAY, contact=contact, centre=centre, top=centre[:, 2] + 0.03, bottom=centre[:, 2] - 0.03)


def touching(hand: int, thing: int) -> Facts:
    contact = AWAY.contact.copy()
    contact[hand, thing] = True
    return replace(AWAY, contact=contact)


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ([(pointing(0, 0), 0.6)], "success"),
        ([(pointing(0, 0, np.deg2rad(7.5)), 0.6)], "success"),
        ([(pointing(0, 0, np.deg2rad(8.5)), 5.9)], None),
        ([(pointing(0, 0), 0.45), (AWAY, 0.1), (pointing(0, 0), 0.45)], None),
        ([(replace(pointing(0, 0), distance=np.full((2, 3), 0.04)), 1.0)], None),
        ([(replace(pointing(0, 0), distance=np.full((2, 3), 0.36)), 1.0)], None),
        ([(pointing(0, 1), 0.6)], "wrong_object"),
        ([(pointing(1, 0), 0.6)], "wrong_hand"),
        ([(touching(0, 2), 0.01)], "touched"),
        ([(AWAY, 6.0)], "timeout"),
    ],
)
def test_pointing_is_judged_by_the_line_of_the_hand(states: list[tuple[Facts, float]], verdict: str | None) -> None:
    assert decided(PointReferee(0, 0), *states) == verdict


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ([(at(0, (0.36, 0.02)), 0.6)], "success"),
        ([(at(0, (0.36, 0.035)), 9.9)], None),
        ([(at(0, (0.36, 0.0), speed=0.1), 9.9)], None),
        ([(at(0, (0.36, 0.0)), 0.45), (at(0, (0.36, 0.05)), 0.1), (at(0, (0.36, 0.0)), 0.45)], None),
        ([(at(1, (0.36, -0.085)), 0.01)], "wrong_object"),
        ([(at(2, (0.55, 0.035)), 0.01)], "wrong_object"),
        ([(replace(AWAY, centre=CENTRE - [0, 0, 0.04]), 0.01)], "knocked"),
        ([(AWAY, 10.0)], "timeout"),
    ],
)
def test_pushing_is_judged_by_where_the_things_are(states: list[tuple[Facts, float]], verdict: str | None) -> None:
    assert decided(PushReferee(0, (0.36, 0.0), CENTRE), *states) == verdict


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ([(raised(0, 0.085), 0.6)], "success"),
        ([(raised(0, 0.075), 1.0)], None),
        ([(raised(0, 0.085, (True, False)), 1.0)], None),
        ([(raised(0, 0.05), 0.1), (raised(0, 0.005), 0.01)], "dropped"),
        ([(raised(0, 0.03), 0.1), (raised(0, 0.0), 0.1)], None),
        ([(raised(1, 0.035), 0.01)], "wrong_object"),
        ([(at(1, (0.36, -0.21)), 0.01)], "wrong_object"),
        ([(replace(AWAY, centre=CENTRE - [0, 0, 0.04]), 0.01)], "knocked"),
        ([(AWAY, 12.0)], "timeout"),
    ],
)
def test_lifting_takes_both_hands_and_height(states: list[tuple[Facts, float]], verdict: str | None) -> None:
    assert decided(LiftReferee(0, CENTRE), *states) == verdict


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ([(over(1, 0), 3.1)], "success"),
        ([(over(1, 0), 2.9), (AWAY, 0.1), (over(1, 0), 2.9)], None),
        ([(over(1, 0, above=0.03), 4.0)], None),
        ([(over(1, 0, above=0.16), 4.0)], None),
        ([(over(1, 2), 1.6)], "wrong_object"),
        ([(over(0, 0), 1.6)], "wrong_hand"),
        ([(touching(1, 0), 0.01)], "touched"),
        ([(AWAY, 12.0)], "timeout"),
    ],
)
def test_following_is_judged_by_time_above_the_thing(states: list[tuple[Facts, float]], verdict: str | None) -> None:
    assert decided(FollowReferee(1, 0), *states) == verdict


def test_a_verdict_stands() -> None:
    judge = PointReferee(0, 0)
    assert decided(judge, (pointing(0, 0), 0.6)) == "success"
    assert judge.update(0.01, touching(0, 0)) == "success"
    assert judge.elapsed == pytest.approx(0.5)


def test_a_break_starts_the_count_again() -> None:
    held = Held()
    assert not held.update(0.2, True, 0.3)
    assert not held.update(0.2, False, 0.3)
    assert not held.update(0.2, True, 0.3)
    assert held.update(0.2, True, 0.3)
