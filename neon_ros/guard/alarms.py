"""What an operator must be told of: counted, with the last sentence and its time."""

from __future__ import annotations

import math


class Alarms:
    """How often something was wrong that an operator must know of."""

    def __init__(self) -> None:
        self.count = 0
        self.last = ""
        self.at = -math.inf
        """When the last was raised [s, steady clock]."""

    def sound(self, sentence: str, now: float) -> None:
        """Raise one.

        :param now: [s, steady clock].
        """
        self.count += 1
        self.last, self.at = sentence, now
