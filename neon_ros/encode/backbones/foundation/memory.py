"""Say before loading whether a model fits."""

from __future__ import annotations

from pathlib import Path

from neon_ros.errors import CheckpointError, refuse

HEADROOM = 1.15
"""Weights are multiplied by this for activations and caches at a window of a few thousand tokens."""
_CGROUP = Path("/sys/fs/cgroup")


def free_bytes() -> int:
    """Return the memory a process of this machine can still take [byte]: MemAvailable, or less in a container."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    free = kib * 1024
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        if limit != "max":
            free = min(free, max(0, int(limit) - used))
    except (OSError, ValueError):
        pass  # no cgroup v2 here
    return free


def require_memory(name: str, weights: int, free: int, where: str) -> None:
    """Refuse a model that does not fit.

    :param weights: what its numbers take [byte].
    :param free: what is there [byte].
    :param where: "memory", or the name of the accelerator.
    :raises CheckpointError: with the shortfall in GiB.
    """
    needed = int(weights * HEADROOM)
    if needed > free:
        gib = 1024**3
        got = f"{needed / gib:.2f} GiB needed, {free / gib:.2f} GiB free, {(needed - free) / gib:.2f} GiB short"
        raise CheckpointError(refuse(f"{name} in {where}", got, "a smaller model, dtype bf16, or fewer layers"))
