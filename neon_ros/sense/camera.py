"""Does the camera still see?  A picture may come in time and show nothing: frozen, or black."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ContractError, refuse

DARK = 2.0
"""Mean of a picture below which nothing can be seen in it [of 255]; a dark room with a camera's gain is above 10."""
_EVERY = 8
"""th row is looked at, whole since scattered bytes take longer: frozen is frozen everywhere, and so is noise."""


class CameraWatch:
    """Refuse pictures that show nothing of now.

    No two pictures of a real sensor are alike to the bit.  The same one for a while, with new stamps, is a driver that
    repeats its buffer: the policy would act on a world that has gone on.

    :param frozen_after: how long a picture may stay the same [s]; 0 for ever.
    """

    def __init__(self, frozen_after: float) -> None:
        self._frozen_after_ns = round(frozen_after * 1e9)
        self._digest = -1
        self._since_ns = 0

    def check(self, stamp_ns: int, rgb: NDArray[np.uint8]) -> None:
        """Accept a picture.

        :param stamp_ns: capture [ns].
        :param rgb: uint8 (H, W, 3).
        :raises ContractError: on a black or a frozen picture.
        """
        some = np.ascontiguousarray(rgb[::_EVERY])
        digest = zlib.crc32(some.data)
        if digest != self._digest or stamp_ns < self._since_ns:
            self._digest, self._since_ns = digest, stamp_ns
        mean = int(some.sum(dtype=np.uint32)) / some.size
        if mean < DARK:
            raise ContractError(refuse("image", f"a black picture (mean {mean:.1f} of 255)", f"mean {DARK:g} or more"))
        same = stamp_ns - self._since_ns
        if self._frozen_after_ns and same >= self._frozen_after_ns:
            allowed = f"at most {self._frozen_after_ns * 1e-9:g} s: the camera is frozen"
            raise ContractError(refuse("image", f"the same picture for {same * 1e-9:.1f} s", allowed))
