"""What a chunk means in space: where both palms will be at each of its steps."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from neon_ros.contracts import ActionChunk, checked_array
from neon_ros.robot.joints import NUM_JOINTS, joint_indices


class PalmKinematics(Protocol):
    """The part of :class:`neon_ros.robot.kinematics.Kinematics` that is needed here."""

    def palms(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the palm frames (..., 2, 4, 4), left first, in the pelvis frame for ``q`` (..., 29) [rad]."""


class Prediction(NamedTuple):
    """A chunk in space.

    :param q: all joints at each step (H, 29) [rad].
    :param palms: palm positions (2, H, 3), left first, pelvis frame [m].
    :param seconds: time of each step after the capture (H,) [s].
    """

    q: NDArray[np.float64]
    palms: NDArray[np.float64]
    seconds: NDArray[np.float64]


def predict(kinematics: PalmKinematics, q_now: NDArray[np.float64], chunk: ActionChunk) -> Prediction:
    """Return where ``chunk`` takes the palms, joints it does not name staying where they are.

    :param q_now: measured joints (29,) [rad].
    :raises ContractError: when the chunk names unknown joints, or its shape or values are wrong.
    """
    q_now = checked_array("q_now", q_now, (NUM_JOINTS,), np.float64)
    columns = joint_indices(chunk.joint_names)
    steps = checked_array("action_chunk.q", chunk.q, (None, len(columns)), np.float64)
    q = np.repeat(q_now[None, :], len(steps), axis=0)
    q[:, columns] = steps
    frames = np.asarray(kinematics.palms(q))  # (H, 2, 4, 4)
    palms = np.ascontiguousarray(frames[:, :, :3, 3].transpose(1, 0, 2))
    return Prediction(q, palms, chunk.dt * np.arange(len(steps), dtype=np.float64))
