"""Colours that colour-blind eyes tell apart, and the ramp that shows time.

Source: M. Okabe and K. Ito, "Color Universal Design" (2008).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rgb = tuple[int, int, int]

ORANGE: Rgb = (230, 159, 0)
SKY: Rgb = (86, 180, 233)
GREEN: Rgb = (0, 158, 115)
YELLOW: Rgb = (240, 228, 66)
BLUE: Rgb = (0, 114, 178)
VERMILION: Rgb = (213, 94, 0)
PURPLE: Rgb = (204, 121, 167)
GREY: Rgb = (130, 130, 130)
DARK: Rgb = (30, 30, 30)

CYCLE: tuple[Rgb, ...] = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW)
"""For things that are told apart by place and name too."""


def time_ramp(rgb: Rgb, steps: int) -> NDArray[np.float64]:
    """Return one colour per step, from a dark tone of ``rgb`` now to a light one at the end (steps, 3), 0 to 1."""
    color = np.array(rgb, dtype=np.float64) / 255.0
    share = np.linspace(0.0, 1.0, max(steps, 1))[:, None]
    return (1.0 - share) * 0.5 * color + share * (0.7 * color + 0.3)


def rgba(rgb: Rgb, alpha: float = 1.0) -> NDArray[np.float64]:
    """Return one colour (1, 4), 0 to 1."""
    return np.array([[*(channel / 255.0 for channel in rgb), alpha]])
