"""A want of memory, told from other errors without importing what ran out of it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from neon_ros.errors import CheckpointError, refuse

_SIGNS = ("allocate memory", "out of memory", "bad allocation", "bad_alloc")
"""How PyTorch, ONNX Runtime and the C++ library say it."""
ALLOWED = "a smaller picture, window or model, fewer layers, or precision int8 or int4"


class MemoryShort(CheckpointError):
    """A model does not fit into memory, or its memory ran out at work."""


def shortage(error: BaseException) -> str:
    """Return what an error says of a want of memory in one line; nothing if it is another error."""
    first = (str(error).splitlines() or [""])[0] or type(error).__name__
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"MemoryError", "OutOfMemoryError"} or (
        isinstance(error, RuntimeError) and any(sign in first.lower() for sign in _SIGNS)
    ):
        return first
    return ""


@contextmanager
def within_memory(name: str) -> Iterator[None]:
    """Turn a want of memory inside into a refusal that names it, so that the process lives on.

    :param name: of the model.
    :raises MemoryShort: when memory runs out.
    """
    try:
        yield
    except Exception as error:
        first = shortage(error)
        if not first:
            raise
        error.__traceback__ = None  # its frames hold the tensors that filled the memory
        gc.collect()
        raise MemoryShort(refuse(f"memory of {name}", first, ALLOWED)) from error
