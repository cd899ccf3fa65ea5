"""Spread long proofs over two processes: the machine of the safety card has two cores."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

PROCESSES = 2


def spread(work: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Return ``work(*one)`` for each of ``arguments``, computed by two processes that inherit this one."""
    listed = list(arguments)
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("fork")) as pool:
        return list(pool.map(work, *zip(*listed, strict=True)))
