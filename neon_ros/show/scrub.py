"""The last half minute of the view, in bounded memory, to go back to.

Pictures and clouds are thinned to a known size before they are kept, so that the ring cannot grow with what comes in.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.show.prediction import Prediction

SECONDS = 30.0
RATE = 10.0  # [Hz] of the moments that are kept
PICTURE_PERIOD = 0.2  # [s] between two pictures or clouds that are kept
PICTURE_HEIGHT, MOST_POINTS = 120, 2000


class Moment(NamedTuple):
    """What was seen at one instant; what had not come yet is ``None``.

    :param time: [s, steady clock].
    :param q: joint positions (29,) [rad].
    :param root: pose of the pelvis in the world (4, 4).
    :param words: the guard's state, in words.
    :param picture: (H, W, 3) RGB.
    :param points: LiDAR points in the pelvis frame (N, 3) [m].
    """

    time: float
    q: NDArray[np.float64] | None
    root: NDArray[np.float64]
    prediction: Prediction | None
    previous: Prediction | None
    words: str
    picture: NDArray[np.uint8] | None
    points: NDArray[np.float32] | None


class Ring:
    """The newest moments.

    :param seconds: how far back it goes [s].
    :param rate: moments kept per second [Hz].
    """

    def __init__(self, seconds: float = SECONDS, rate: float = RATE) -> None:
        self.seconds = seconds
        self._period = 1.0 / rate
        self._moments: deque[Moment] = deque(maxlen=round(seconds * rate) + 1)
        self._seen_at = -np.inf

    def __len__(self) -> int:
        return len(self._moments)

    def due(self, now: float) -> bool:
        """Return whether the next moment is to be kept at ``now`` [s, steady clock]."""
        return not self._moments or now - self._moments[-1].time >= self._period - 1e-3

    def add(self, moment: Moment) -> None:
        """Keep a moment, its picture and cloud thinned; between two of those the last ones are shared."""
        picture, points = moment.picture, moment.points
        if self._moments and moment.time - self._seen_at < PICTURE_PERIOD:
            picture, points = self._moments[-1].picture, self._moments[-1].points
        else:
            self._seen_at = moment.time
            picture = None if picture is None else thin_picture(picture)
            points = None if points is None else thin_points(points)
        self._moments.append(moment._replace(picture=picture, points=points))

    def freeze(self) -> list[Moment]:
        """Return what is kept now, oldest first; it stays as it is while new moments come."""
        return list(self._moments)


def at(moments: list[Moment], ago: float) -> Moment | None:
    """Return the moment ``ago`` [s] before the newest of ``moments``; ``None`` when there is none."""
    if not moments:
        return None
    wanted = moments[-1].time - ago
    return min(moments, key=lambda moment: abs(moment.time - wanted))


def thin_picture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return every n-th row and column of a picture, a copy at most twice :data:`PICTURE_HEIGHT` high."""
    step = max(1, len(image) // PICTURE_HEIGHT)
    return np.ascontiguousarray(image[::step, ::step])


def thin_points(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return at most :data:`MOST_POINTS` of the points, evenly picked, as a copy."""
    step = -(-len(points) // MOST_POINTS) if len(points) else 1
    return np.ascontiguousarray(points[::step])
