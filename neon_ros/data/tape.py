"""A recording that is written by a thread of its own, so that nobody who records ever waits for a disk."""

from __future__ import annotations

import threading
import time
from collections import deque

from neon_ros.data.bag import Topic
from neon_ros.data.playback import Recorded
from neon_ros.data.recording import Limits, Recording
from neon_ros.errors import NeonError


class Tape:
    """Takes messages from any thread and writes them in their order.

    :param recording: what to write to; closed in the end.
    :param limits: when to end by itself.
    :param period: longest time between two flushes [s]; what a crash loses is at most this and the flush itself.
    :param room: bytes that may wait for a slow disk; what comes beyond is dropped and counted.
    """

    def __init__(self, recording: Recording, limits: Limits, period: float = 0.5, room: int = 64 * 2**20) -> None:
        self.recording = recording
        self.ended = ""
        """Why it ended by itself, in words; nothing while it runs or when it was closed."""
        self.dropped = 0
        self._limits, self._period, self._room = limits, period, room
        self._waiting: deque[Topic | Recorded] = deque()
        self._bytes = 0
        self._closing = False
        self._changed = threading.Condition()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="tape", daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> float:
        """Time since the start [s]."""
        return time.monotonic() - self._started

    def add(self, topic: Topic) -> None:
        """Make a topic known before its first message."""
        with self._changed:
            self._waiting.append(topic)

    def put(self, message: Recorded) -> None:
        """Take a message; when too much waits already it is dropped."""
        with self._changed:
            if self._bytes + len(message.data) > self._room:
                self.dropped += 1
                return
            self._bytes += len(message.data)
            self._waiting.append(message)
            self._changed.notify()

    def close(self) -> None:
        """Write what waits and finish the file."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self.ended and not self._closing:
                self._write_until(time.monotonic() + self._period)
                self.recording.flush()
                self.ended = self._limits.reached(self.recording.size, self.seconds, self.recording.free())
            self._write_until(None)
            self.recording.close()
        except NeonError as error:
            self.ended = str(error)

    def _write_until(self, due: float | None) -> None:
        """Write what comes until ``due`` [s, monotonic] or the end; without it what waits now, all of it."""
        while (item := self._next(due)) is not None:
            if isinstance(item, Recorded):
                self.recording.write(*item)
            else:
                self.recording.add(item)

    def _next(self, due: float | None) -> Topic | Recorded | None:
        with self._changed:
            while due is not None and not self._closing:
                left = due - time.monotonic()
                if left <= 0:
                    return None
                if self._waiting:
                    break
                self._changed.wait(left)
            if not self._waiting:
                return None
            item = self._waiting.popleft()
            if isinstance(item, Recorded):
                self._bytes -= len(item.data)
            return item
