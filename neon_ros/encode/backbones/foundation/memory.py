"""Say before loading whether a model fits: weights, caches of the windows, and what is computed at once."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from neon_ros.encode.backbones.memory import ALLOWED, MemoryShort
from neon_ros.errors import refuse

HEADROOM = 1.1
"""Everything is multiplied by this: allocators round up and leave holes."""
CUDA_CONTEXT = 600 * 2**20
"""What CUDA, its libraries and their workspaces take beside the model [byte]."""
_CGROUP = Path("/sys/fs/cgroup")
_GIB = 2**30


class Need(NamedTuple):
    """What a model needs [byte].

    :param weights: its numbers.
    :param cache: keys, values and features that are kept between pictures.
    :param activations: what exists at once while one layer computes.
    """

    weights: int
    cache: int = 0
    activations: int = 0

    @property
    def total(self) -> int:
        """Return all of it with headroom."""
        return int(HEADROOM * sum(self))

    def __str__(self) -> str:
        """Return the parts in GiB."""
        return ", ".join(f"{name} {part / _GIB:.2f}" for name, part in zip(self._fields, self, strict=True))


NOTHING = Need(0)


def cache_bytes(layers: int, kv_heads: int, head_size: int, tokens: int, itemsize: int) -> int:
    """Return what the keys and values of one window of a causal model take [byte]."""
    return 2 * layers * kv_heads * head_size * tokens * itemsize


def activation_bytes(tokens: int, width: int, inner: int, heads: int, itemsize: int) -> int:
    """Return a bound for one layer of a transformer that reads ``tokens`` at once [byte].

    Six rows of the width live beside each other (residual, normed, query, key, value, result), three of the
    feed-forward part.  The attention is counted as if its matrix were written out for all heads, which fused kernels
    avoid.
    """
    return tokens * itemsize * (6 * width + 3 * inner) + heads * tokens * tokens * itemsize


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


def require_memory(name: str, need: Need, free: int, where: str) -> None:
    """Refuse a model that does not fit.

    :param free: what is there [byte].
    :param where: "memory", or the name of the accelerator.
    :raises MemoryShort: with the shortfall and the parts of the need in GiB.
    """
    if need.total > free:
        short = f"{(need.total - free) / _GIB:.2f} GiB short"
        got = f"{need.total / _GIB:.2f} GiB needed ({need}), {free / _GIB:.2f} GiB free, {short}"
        raise MemoryShort(refuse(f"{name} in {where}", got, ALLOWED))
