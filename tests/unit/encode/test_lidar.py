"""The cloud that reaches the encoder: a set, cropped, thinned, possibly empty."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neon_ros.encode.lidar import MAX_POINTS, REGION_LOWER, REGION_UPPER, VOXEL, lidar_input, thin
from neon_ros.errors import ContractError


def cloud(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.5, 1.5, (count, 3)).astype(np.float32)


@settings(max_examples=30)
@given(st.integers(0, 4000), st.integers(0, 2**31))
def test_the_order_of_points_does_not_matter(count: int, seed: int) -> None:
    points = cloud(count, seed)
    shuffled = np.random.default_rng(seed + 1).permutation(points)
    for first, second in zip(lidar_input(points), lidar_input(shuffled), strict=True):
        np.testing.assert_array_equal(first, second)


@settings(max_examples=30)
@given(st.integers(0, 4000))
def test_what_is_kept_was_there_lies_in_the_region_and_is_spread(count: int) -> None:
    points = cloud(count)
    kept = thin(points)
    assert len(kept) <= MAX_POINTS
    assert {tuple(p) for p in kept.tolist()} <= {tuple(p) for p in points.tolist()}
    assert ((kept >= REGION_LOWER) & (kept < REGION_UPPER)).all()
    cells = np.floor((kept - REGION_LOWER) / VOXEL)
    assert len(np.unique(cells, axis=0)) == len(kept)


def test_too_many_points_are_thinned_over_the_whole_region() -> None:
    kept = thin(cloud(60_000))
    assert len(kept) == MAX_POINTS
    middle = (REGION_LOWER + REGION_UPPER) / 2
    share = (kept > middle).mean(0)
    assert ((share > 0.4) & (share < 0.6)).all()


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.full((5, 3), 9.0)])
def test_an_empty_region_is_one_masked_point(points: np.ndarray) -> None:
    kept, mask = lidar_input(points)
    assert kept.shape == (1, 1, 3)
    assert not mask.any()


def test_bad_clouds_are_refused() -> None:
    with pytest.raises(ContractError, match=r"lidar.points shape: got \(4,\); allowed: \(None, 3\)"):
        lidar_input(np.zeros(4))
    with pytest.raises(ContractError, match=r"lidar.points\[1, 2\]: got inf; allowed: finite values"):
        lidar_input([[0, 0, 0], [0, 0, np.inf]])
