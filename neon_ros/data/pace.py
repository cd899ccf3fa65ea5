"""When each message of a recording is due again."""

from __future__ import annotations

JUMP_NS = 10**9
"""A step back in the log times by more than this was the clock of the recording jumping [ns]; less is disorder."""


class Pace:
    """Turns log times into times of a steady clock.

    :param rate: times faster than the recording.
    :param started: when the first message is due [s].
    """

    def __init__(self, rate: float, started: float) -> None:
        self._rate, self._due = rate, started
        self._last_ns: int | None = None

    def due(self, log_ns: int) -> float:
        """Return when the next message is due [s].

        :param log_ns: its log time; a clock that jumped back costs no time and shifts what follows.
        """
        if self._last_ns is None or log_ns < self._last_ns - JUMP_NS:
            self._last_ns = log_ns
        elif log_ns > self._last_ns:
            self._due += (log_ns - self._last_ns) * 1e-9 / self._rate
            self._last_ns = log_ns
        return self._due
