"""What waits for the recogniser: the newest look and the newest two utterances, so that a stop is never late."""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

from neon_ros.speech.ear import Look, Utterance

UTTERANCES = 2
"""Most utterances that wait; the oldest is dropped, as nobody waits that long for an answer."""


class Job(NamedTuple):
    """A piece of sound to recognise.

    :param muted: the robot itself spoke while it was heard.
    """

    event: Look | Utterance
    muted: bool


class Pending:
    """A mailbox between the thread that listens and the one that recognises."""

    def __init__(self) -> None:
        self._look: Job | None = None
        self._utterances: deque[Job] = deque()
        self._closed = False
        self._changed = threading.Condition()
        self.dropped = 0

    def put(self, event: Look | Utterance, muted: bool) -> None:
        """Leave a piece of sound; an older look is forgotten, it showed less."""
        with self._changed:
            if isinstance(event, Look):
                self._look = Job(event, muted)
            else:
                if len(self._utterances) == UTTERANCES:
                    self._utterances.popleft()
                    self.dropped += 1
                self._utterances.append(Job(event, muted))
                self._look = None  # the utterance holds what the look would show
            self._changed.notify()

    def take(self) -> Job | None:
        """Wait for the next piece: a look goes first, it may be a stop; ``None`` when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._look is not None or bool(self._utterances))
            if self._closed:
                return None
            if self._look is not None:
                job, self._look = self._look, None
                return job
            return self._utterances.popleft()

    def close(self) -> None:
        """Let whoever waits go home."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
