"""Which steps of a new chunk are decided already: those that the robot will have executed when the chunk arrives.

They are the chunk before, read at the times of the new one, and go into a head as its ``prefix``.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import ArrayLike

from neon_ros.contracts import FloatArray, checked_array
from neon_ros.errors import ContractError, refuse


def committed_steps(previous: ArrayLike, dt: float, elapsed: float, delay: float) -> FloatArray:
    """Return the first K steps of a new chunk (K, J) [rad].

    :param previous: the chunk in execution (H, J) [rad]; both chunks have steps of ``dt``.
    :param dt: time between steps [s].
    :param elapsed: from the capture of the chunk before to that of the new one [s].
    :param delay: from the new capture until the new chunk is executed [s]; K covers it, as far as ``previous`` reaches.
    :raises ContractError: on a chunk that is no finite (H, J), a ``dt`` not above 0, or a negative time.
    """
    steps = checked_array("previous chunk", previous, (None, None))
    for name, value, fits in (("dt", dt, dt > 0.0), ("elapsed", elapsed, elapsed >= 0.0), ("delay", delay, delay >= 0)):
        if not fits or not np.isfinite(value):
            raise ContractError(refuse(f"committed {name}", value, "above 0 [s]" if name == "dt" else "0 or more [s]"))
    rounding = 1e-6  # of a step: times are sums of floats
    reach = int(np.floor(len(steps) - 1 - elapsed / dt + rounding)) + 1  # new steps that the old chunk still covers
    count = min(max(reach, 0), ceil(delay / dt - rounding), len(steps))
    at = np.clip(elapsed / dt + np.arange(max(count, 0)), 0, max(len(steps) - 1, 0))  # in steps of the old chunk
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(steps) - 1)
    share = (at - low)[:, None]
    read: FloatArray = ((1.0 - share) * steps[low] + share * steps[high]).astype(np.float32)
    return read
