"""How much of the safety card's counts a run takes: all, unless ``NEON_PROOF`` asks for a part of them."""

from __future__ import annotations

import os

SCALE = float(os.environ.get("NEON_PROOF", "1"))


def scaled(count: int) -> int:
    """Return the part of ``count`` that this run takes, at least 100."""
    return max(100, round(count * SCALE))
