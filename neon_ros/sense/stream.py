"""Judge a stream of stamped samples: is this one due, and is it newer than the last?"""

from __future__ import annotations

from neon_ros.errors import ConfigError, ContractError, refuse

RESTART_NS = 2_000_000_000
"""A stamp this far back [ns] is a restarted clock, not a replayed sample."""


class RateLimit:
    """Let at most ``rate`` samples a second pass, judged by their stamps.

    A sample up to a quarter period early is on time and the schedule keeps its phase; a 30 Hz camera thinned to 10 Hz
    would else lose every fourth picture to jitter.
    """

    def __init__(self, rate: float) -> None:
        """Take the rate [Hz].

        :raises ConfigError: when it is not positive.
        """
        if not rate > 0:
            raise ConfigError(refuse("rate", rate, "above 0 Hz"))
        self._period_ns = round(1e9 / rate)
        self._due_ns: int | None = None

    def passes(self, stamp_ns: int) -> bool:
        """Return whether the sample of ``stamp_ns`` is due; time that jumps back starts anew."""
        due = self._due_ns
        if due is not None and due - RESTART_NS < stamp_ns < due - self._period_ns // 4:
            return False
        on_time = due is not None and abs(stamp_ns - due) <= self._period_ns
        self._due_ns = (due if on_time and due is not None else stamp_ns) + self._period_ns
        return True


class Newest:
    """Remember the newest stamp: a repeated or older one shows a frozen or replaying sender."""

    def __init__(self, what: str) -> None:
        """Take the name used in the error."""
        self._what, self._stamp_ns = what, 0

    def check(self, stamp_ns: int) -> None:
        """Accept a stamp newer than all before, or one of a restarted clock.

        :raises ContractError: on a repeated or older stamp.
        """
        if self._stamp_ns - RESTART_NS < stamp_ns <= self._stamp_ns:
            behind = (self._stamp_ns - stamp_ns) * 1e-9
            raise ContractError(refuse(f"{self._what} stamp", f"{behind:.3f} s behind the newest", "a newer one"))
        self._stamp_ns = stamp_ns
