"""Requests to the motor that wait for their answer without holding up whoever asked.

Arming ``whole_body`` takes seconds, since the motion service is asked for its motors first.  A node that waited for it
could not serve ``stop`` meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from neon_ros.errors import refuse
from neon_ros.motor.shared import MotorMemory, answer_timeout

Done = Callable[[bool, str], None]
"""Called once with whether the request was accepted, and what the motor said."""


class _Open(NamedTuple):
    kind: str
    number: int
    deadline: float
    done: Done


class OpenRequests:
    """What the motor has been asked and has not answered yet."""

    def __init__(self) -> None:
        self._open: list[_Open] = []

    def __len__(self) -> int:
        return len(self._open)

    def post(self, memory: MotorMemory, kind: str, done: Done) -> None:
        """Ask for something that needs no more than its name; ``done`` is called from a later :meth:`poll`.

        :param kind: one of :data:`~neon_ros.motor.records.REQUESTS`, but not ``mode``.
        :raises ConfigError: when there is no such request.
        """
        number = memory.post(kind)
        self._open.append(_Open(kind, number, time.monotonic() + answer_timeout(kind), done))

    def poll(self, memory: MotorMemory) -> None:
        """Pass on the answers that have come; a request that is too old is answered with a refusal."""
        waiting, self._open = self._open, []
        for request in waiting:
            answer = memory.answer(request.kind, request.number)
            if answer is not None:
                request.done(*answer)
            elif time.monotonic() > request.deadline:
                got = f"no answer in {answer_timeout(request.kind):g} s"
                request.done(False, refuse(f"request {request.kind!r}", got, "a motor process that is alive"))
            else:
                self._open.append(request)

    def give_up(self, why: str) -> None:
        """Answer everything that is open with a refusal, as when the motor process has left."""
        waiting, self._open = self._open, []
        for request in waiting:
            request.done(False, refuse(f"request {request.kind!r}", why, "a running motor process"))
