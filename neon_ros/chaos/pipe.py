"""How a runner and its children talk: one JSON object a line, a question on stdin, its answer on stdout."""

from __future__ import annotations

import json
import os
import select
import sys
from typing import Any

_CHUNK = 65536


class Questions:
    """The child's end; never waits unless asked to."""

    def __init__(self) -> None:
        self._file = sys.stdin.fileno()
        os.set_blocking(self._file, False)
        self._rest = b""
        self.closed = False
        """Whether the runner has gone: the child must leave."""

    def take(self) -> list[dict[str, Any]]:
        """Return the questions that have come."""
        try:
            read = os.read(self._file, _CHUNK)
        except BlockingIOError:
            return []
        self.closed = not read
        *lines, self._rest = (self._rest + read).split(b"\n")
        return [json.loads(line) for line in lines if line]

    def wait(self, seconds: float) -> list[dict[str, Any]]:
        """Return the questions, waiting for the first up to ``seconds``."""
        if not select.select([self._file], [], [], max(0.0, seconds))[0]:
            return []
        return self.take()


def answer(**values: Any) -> None:
    """Answer the oldest question that has no answer yet."""
    os.write(1, json.dumps(values).encode() + b"\n")
