"""What a chunk means in space: where palms and torso will be at each of its steps, and every link at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from neon_ros.contracts import ActionChunk, checked_array
from neon_ros.robot.joints import NUM_JOINTS, joint_indices

TRACKED: tuple[tuple[str, str, tuple[float, float, float]], ...] = (
    ("left", "left_palm", (0.0, 0.0, 0.0)),
    ("right", "right_palm", (0.0, 0.0, 0.0)),
    ("torso", "torso_link", (0.0, 0.0, 0.3)),
)
"""Name, link and point in the link [m] of what has a path; the torso's is its chest, which turns and leans with it."""


class LinkKinematics(Protocol):
    """The part of :class:`neon_ros.robot.kinematics.Kinematics` that is needed here."""

    def poses(self, q: NDArray[np.float64]) -> Mapping[str, NDArray[np.float64]]:
        """Return link name to pose (..., 4, 4) in the pelvis frame for ``q`` (..., 29) [rad]."""


class Prediction(NamedTuple):
    """A chunk in space.

    :param q: all joints at each step (H, 29) [rad].
    :param paths: positions of :data:`TRACKED` at each step (3, H, 3), pelvis frame [m].
    :param seconds: time of each step after the capture (H,) [s].
    :param end: link name to pose (4, 4) at the last step, pelvis frame; ``start`` likewise, as measured.
    :param base_velocity: vx, vy, yaw rate at the last step (3,) [m/s, m/s, rad/s].
    """

    q: NDArray[np.float64]
    paths: NDArray[np.float64]
    seconds: NDArray[np.float64]
    end: Mapping[str, NDArray[np.float64]]
    base_velocity: NDArray[np.float64]
    start: Mapping[str, NDArray[np.float64]]


def predict(kinematics: LinkKinematics, q_now: NDArray[np.float64], chunk: ActionChunk) -> Prediction:
    """Return where ``chunk`` takes the robot, joints it does not name staying where they are.

    :param q_now: measured joints (29,) [rad].
    :raises ContractError: when the chunk names unknown joints, or its shape or values are wrong.
    """
    q_now = checked_array("q_now", q_now, (NUM_JOINTS,), np.float64)
    columns = joint_indices(chunk.joint_names)
    steps = checked_array("action_chunk.q", chunk.q, (None, len(columns)), np.float64)
    velocity = checked_array("action_chunk.base_velocity", chunk.base_velocity, (len(steps), 3), np.float64)
    q = np.repeat(q_now[None, :], 1 + len(steps), axis=0)
    q[1:, columns] = steps
    poses = kinematics.poses(q)
    paths = tracked_points(poses)[:, 1:]
    start, end = ({link: pose[row] for link, pose in poses.items()} for row in (0, -1))
    seconds = chunk.dt * np.arange(len(steps), dtype=np.float64)
    return Prediction(q[1:], paths, seconds, end, velocity[-1], start)


def tracked_points(poses: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return where the points of :data:`TRACKED` are (3, ..., 3) [m].

    :param poses: link name to (..., 4, 4).
    """
    points = []
    for _, link, point in TRACKED:
        pose = poses[link]
        points.append(pose[..., :3, 3] + pose[..., :3, :3] @ np.array(point))
    return np.stack(points)


def dashes(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return every second piece of a path (N, 3) as ends of segments (M, 2, 3): dashed, so that no colour is needed."""
    return np.stack([path[:-1:2], path[1::2]], axis=1)


def along(prediction: Prediction, start: float, end: float) -> NDArray[np.float64]:
    """Return the part of the paths between two times (3, N, 3) [m]; N is 0 when they lie past the chunk.

    :param start: after the capture [s]; ``end`` likewise.
    """
    seconds = prediction.seconds
    start, end = max(start, float(seconds[0])), min(end, float(seconds[-1]))
    if end <= start:
        return np.zeros((len(TRACKED), 0, 3))
    inside = seconds[(seconds > start) & (seconds < end)]
    times = np.concatenate([[start], inside, [end]])
    flat = prediction.paths.transpose(0, 2, 1).reshape(-1, len(seconds))
    parts = np.stack([np.interp(times, seconds, row) for row in flat])
    return parts.reshape(len(TRACKED), 3, -1).transpose(0, 2, 1)
