"""``neon disarm``: hand the robot back gently."""

from __future__ import annotations

from collections.abc import Sequence

from neon_ros.cli.arm import ask


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    return ask("disarm", arguments)
