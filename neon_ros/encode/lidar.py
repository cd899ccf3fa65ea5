"""Prepare a LiDAR cloud for the point encoder: crop to what the arms can meet, thin out evenly, never repair.

The result depends on the set of points alone, not on their order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neon_ros.contracts import checked_array

REGION_LOWER = np.array([-0.3, -1.0, -1.2], dtype=np.float32)
"""Lower corner of the region kept, torso frame [m]: the reach of both arms and the table in front."""
REGION_UPPER = np.array([1.2, 1.0, 0.6], dtype=np.float32)
VOXEL = 0.04
"""Edge of the cells of which one point each is kept [m]."""
MAX_POINTS = 512
"""Points after thinning; the cost of the encoder is linear in it."""


def lidar_input(points: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the inputs of the point encoder.

    :param points: cloud in the torso frame (N, 3) [m]; N may be 0.
    :returns: points float32 (1, M, 3) and mask float32 (1, M), M at most 512; an empty cloud gives one point of mask 0.
    :raises ContractError: on a wrong shape or a value that is not finite (drop invalid returns in ``sense`` first).
    """
    kept = thin(checked_array("lidar.points", points, (None, 3)))
    if not len(kept):
        return np.zeros((1, 1, 3), dtype=np.float32), np.zeros((1, 1), dtype=np.float32)
    return kept[None], np.ones((1, len(kept)), dtype=np.float32)


def thin(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return at most :data:`MAX_POINTS` of the points in the region, one per voxel, in a fixed order.

    Of each voxel the point that comes first by (x, y, z) is kept; of too many voxels, those that
    come first in a hashed order, which spreads them over the region like a random choice but needs no seed.

    :param points: (N, 3) [m].
    :returns: (M, 3) [m].
    """
    inside = points[((points >= REGION_LOWER) & (points < REGION_UPPER)).all(axis=1)]
    if not len(inside):
        return np.zeros((0, 3), dtype=np.float32)
    inside = inside[np.lexsort(inside.T[::-1])]
    cells = np.floor((inside - REGION_LOWER) / VOXEL).astype(np.uint64)
    keys = (cells[:, 0] << np.uint64(20)) | (cells[:, 1] << np.uint64(10)) | cells[:, 2]
    mixed = keys * np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: neighbours in space end far apart in order
    _, first = np.unique(mixed, return_index=True)
    return np.ascontiguousarray(inside[first[:MAX_POINTS]])
