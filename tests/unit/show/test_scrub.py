"""Going back in time, and the last seconds of command and measurement; both in bounded memory."""

from __future__ import annotations

import numpy as np

from neon_ros.show.scrub import MOST_POINTS, Moment, Ring, at, thin_picture, thin_points
from neon_ros.show.trail import Trail


def _moment(time: float, picture: np.ndarray | None = None, points: np.ndarray | None = None) -> Moment:
    return Moment(time, np.full(29, time), np.eye(4), None, None, "ACTIVE", picture, points)


def test_the_ring_keeps_30_seconds_and_no_more() -> None:
    ring = Ring()
    for step in range(1000):
        now = 0.05 * step
        if ring.due(now):
            ring.add(_moment(now))
    kept = ring.freeze()
    assert len(kept) == 301
    assert kept[-1].time - kept[0].time >= 30.0


def test_a_moment_is_found_by_how_long_ago_it_was() -> None:
    moments = [_moment(0.1 * step) for step in range(301)]
    found = at(moments, 12.34)
    assert found is not None and abs(found.time - (30.0 - 12.34)) <= 0.05
    assert at(moments, 99.0) is moments[0]
    assert at([], 1.0) is None


def test_what_was_frozen_stays_while_new_moments_come() -> None:
    ring = Ring(seconds=1.0)
    for step in range(11):
        ring.add(_moment(0.1 * step))
    frozen = ring.freeze()
    ring.add(_moment(9.0))
    assert frozen[-1].time == 1.0 and len(ring) == 11


def test_big_pictures_and_clouds_cannot_fill_the_memory() -> None:
    ring = Ring()
    picture, points = np.zeros((720, 1280, 3), np.uint8), np.zeros((300_000, 3), np.float32)
    for step in range(400):
        ring.add(_moment(0.1 * step, picture, points))
    kept = ring.freeze()
    unique = {id(moment.picture): moment.picture for moment in kept} | {id(m.points): m.points for m in kept}
    assert sum(array.nbytes for array in unique.values() if array is not None) < 25e6
    assert all(moment.picture is not picture for moment in kept), "a picture of full size is let go"


def test_thinning_keeps_the_ends_of_small_things() -> None:
    assert thin_picture(np.zeros((100, 160, 3), np.uint8)).shape == (100, 160, 3)
    assert thin_picture(np.zeros((240, 424, 3), np.uint8)).shape == (120, 212, 3)
    assert len(thin_points(np.zeros((10_000, 3), np.float32))) <= MOST_POINTS
    assert thin_points(np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_the_trail_gives_the_last_seconds_in_order() -> None:
    trail = Trail(10)
    commanded = np.full(29, np.nan)
    for step in range(25):
        trail.add(0.1 * step, np.full(29, float(step)), commanded)
    window = trail.window(0.1 * 24, 0.55)
    np.testing.assert_allclose(window.measured[:, 0], [19, 20, 21, 22, 23, 24])
    np.testing.assert_allclose(window.ages, [-0.5, -0.4, -0.3, -0.2, -0.1, 0.0], atol=1e-9)
    assert np.isnan(window.commanded).all()
    assert len(trail.window(0.1 * 24, 60.0).ages) == 10


def test_an_empty_trail_has_no_samples() -> None:
    assert Trail(5).window(1.0, 5.0).measured.shape == (0, 29)
