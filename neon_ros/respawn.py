"""When a crashed process is started again: without ROS, for ``neon up`` and the launch files alike.

Only processes without which the robot stays safe are started again.  Robot, motor, guardian and ``g1_command`` are not:
their end ends everything, so that whoever starts them anew finds an INACTIVE robot.
"""

from __future__ import annotations

import signal
from collections import deque

CRASHES, WINDOW = 3, 60.0
"""So many crashes within so long [s] and the process stays down."""
PAUSE = 3.0
"""Wait before a process is started again [s].  Longer than HOLD (2 s): a policy that comes back finds a robot that has
stopped and latched, and moves it only after an operator has armed it."""
_MEANT = (0, 2, -signal.SIGINT, -signal.SIGTERM)
"""Exit codes that no new start would mend: done, refused, told to end."""


class Respawn:
    """The crashes of one process."""

    def __init__(self) -> None:
        self._crashes: deque[float] = deque(maxlen=CRASHES)

    def again(self, code: int, now: float) -> tuple[bool, str]:
        """Take note that the process has ended; return whether it is started again, and that in words.

        :param code: exit code; negative for a signal.
        :param now: [s, steady clock].
        """
        if code in _MEANT:
            return False, "the rest goes on"
        self._crashes.append(now)
        if len(self._crashes) == CRASHES and now - self._crashes[0] <= WINDOW:
            return False, f"crash {CRASHES} within {WINDOW:g} s: it stays down and the rest goes on"
        return True, f"starting it again in {PAUSE:g} s; the robot stays as it is"
