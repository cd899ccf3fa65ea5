"""Say before loading whether a model fits: weights, caches of the windows, and what is computed at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from neon_ros.encode.backbones.memory import ALLOWED, MemoryShort
from neon_ros.errors import refuse

TEXT_TOKENS = 32
"""Most tokens of an instruction, and rows of the tensor ``text``; longer instructions are refused."""
_TEMPLATE, _BESIDE = 64, 16
"""Tokens of the chat before the words, and around each picture, at most."""
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


def window_need(
    config: Any,
    grid: tuple[int, int],
    tokens: tuple[int, int],
    sound_tokens: int,
    frames: int,
    stride: int,
    itemsize: int,
) -> Need:
    """Return what the windows of a video-language model need beside the weights: each open one has its own cache.

    :param config: with ``text_config`` and ``vision_config``, the layers cut to those that are used.
    :param grid: rows and columns of patches of a picture.
    :param tokens: rows and columns of tokens of a picture.
    :param sound_tokens: most tokens of sound in a window.
    :param frames: most pictures in a window.
    :param stride: pictures between the beginnings of two windows.
    :param itemsize: of a number [byte].
    """
    text, vision = config.text_config, config.vision_config
    picture = tokens[0] * tokens[1]
    length = _TEMPLATE + TEXT_TOKENS + frames * (picture + _BESIDE) + sound_tokens
    heads, width = int(text.num_attention_heads), int(text.hidden_size)
    head_size = int(getattr(text, "head_dim", None) or width // heads)
    one = cache_bytes(int(text.num_hidden_layers), int(text.num_key_value_heads), head_size, length, itemsize)
    deep = len(getattr(vision, "deepstack_visual_indexes", ()))
    seen = 2 * frames * picture * width * (1 + deep) * itemsize
    states = length * width * itemsize
    read = activation_bytes(length, width, int(text.intermediate_size), heads, itemsize)
    inner, patches = int(vision.intermediate_size), grid[0] * grid[1]
    look = activation_bytes(patches, int(vision.hidden_size), inner, int(vision.num_heads), itemsize)
    windows = frames // stride + 1  # and the one that encode_window reads
    return Need(0, windows * (one + states) + seen, max(read, look))


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
