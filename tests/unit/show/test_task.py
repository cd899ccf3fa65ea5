"""How the view says whether the right thing was touched."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.show.task import HOLD, NEAR, TaskWatch, Thing, named, surface_distance


def _thing(name: str, x: float, y: float, shape: str = "box") -> Thing:
    pose = np.eye(4)
    pose[:3, 3] = x, y, 0.0
    return Thing(name, shape, (0.06, 0.06, 0.06), pose)


THINGS = [
    _thing("red cube", 0.4, 0.1),
    _thing("blue ball", 0.4, -0.1, "sphere"),
    _thing("red can", 0.4, 0.0, "cylinder"),
]
FAR = np.array([[0.0, 0.4, 0.0], [0.0, -0.4, 0.0]])


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("touch the blue ball with your left hand", (0, 1)),
        ("Right hand: the BLUE sphere", (1, 1)),
        ("touch the red can, left hand", (0, 2)),
        ("touch the red thing with your left hand", None),
        ("touch the blue ball", None),
        ("touch the green ball with your left hand", None),
        ("left or right, blue", None),
    ],
)
def test_hand_and_thing_are_found_where_they_are_clear(text: str, meant: tuple[int, int] | None) -> None:
    assert named(text, THINGS) == meant


def test_a_touch_must_last_and_is_called_success() -> None:
    watch, told = TaskWatch(), "touch the blue ball with your right hand"
    near = FAR.copy()
    near[1] = 0.4, -0.1, 0.05
    assert "under way · right palm" in watch.update(0.0, told, THINGS, FAR)
    assert "under way" in watch.update(1.0, told, THINGS, near)
    assert "under way" in watch.update(1.0 + 0.5 * HOLD, told, THINGS, near)
    assert "SUCCESS: right hand touched the blue ball" in watch.update(1.0 + 1.1 * HOLD, told, THINGS, near)
    assert "SUCCESS" in watch.update(9.0, told, THINGS, FAR), "it stays touched"
    assert "under way" in watch.update(10.0, "touch the red cube with your right hand", THINGS, FAR)


def test_another_thing_is_called_wrong() -> None:
    watch, near = TaskWatch(), FAR.copy()
    near[0] = 0.4, 0.1, 0.04
    for now in (0.0, HOLD + 0.01):
        said = watch.update(now, "touch the blue ball with your right hand", THINGS, near)
    assert "WRONG: left hand touched the red cube" in said


def test_without_things_or_words_there_is_no_task() -> None:
    assert TaskWatch().update(0.0, "", THINGS, FAR) == TaskWatch().update(0.0, "touch", [], FAR) == ""
    assert "cannot tell" in TaskWatch().update(0.0, "dance", THINGS, FAR)


def test_distance_and_time_are_the_judges() -> None:
    pytest.importorskip("mujoco")
    from neon_ros.learn.touch import TouchRules

    assert (TouchRules().near, TouchRules().hold) == (NEAR, HOLD)


@pytest.mark.parametrize(("shape", "judged"), [("box", "cube"), ("sphere", "ball"), ("cylinder", "can")])
def test_distances_are_the_judges(shape: str, judged: str) -> None:
    from neon_ros.sim.things import SceneObject
    from neon_ros.sim.things import surface_distance as theirs

    half = (0.03, 0.03, 0.03 if shape != "cylinder" else 0.05)
    thing = Thing("red cube", shape, tuple(2 * side for side in half), np.eye(4))  # type: ignore[arg-type]
    other = SceneObject("red", judged, (1, 0, 0), half, 0, 0, 0, 0.1)
    rng = np.random.default_rng(0)
    for point in rng.uniform(-0.2, 0.2, (200, 3)):
        expected = max(theirs(other, np.zeros(3), np.eye(3), point), 0.0)
        assert surface_distance(thing, point) == pytest.approx(expected, abs=1e-9)
