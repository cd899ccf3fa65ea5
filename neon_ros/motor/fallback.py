"""What is sent when nothing is left to decide: damping on ``rt/lowcmd``, letting go on ``rt/arm_sdk``.

Made from the last command alone, so that the guardian needs no robot state, and the motor process can use it when
its own loop has failed.
"""

from __future__ import annotations

import numpy as np

from neon_ros.robot.gains import DAMPING_KD
from neon_ros.robot.joints import NUM_JOINTS
from neon_ros.robot.wire import LowCmd, LowCmdFrame

RELEASE_RATE = 0.5
"""How fast the weight of ``rt/arm_sdk`` falls [1/s]: ``xr_teleoperate`` takes 0.01 per 20 ms."""

_ZERO = np.zeros(NUM_JOINTS)


class Fallback:
    """Frames that bring the robot to rest after the last command.

    :param last: the last command sent.
    :param topic: ``rt/lowcmd`` or ``rt/arm_sdk``.
    """

    def __init__(self, last: LowCmd, topic: str) -> None:
        self._last = last
        self._holds = topic != "rt/lowcmd"  # behind rt/arm_sdk the robot's own controller stays in charge of balance
        self._frame = LowCmdFrame()
        self._frame.set_mode(last.mode_pr, last.mode_machine)
        self._frame.set_motor_mode(last.mode)

    def frame(self, since: float) -> memoryview:
        """Return the payload to send.

        :param since: how long ago the fallback began [s].
        """
        last = self._last
        if self._holds:
            self._frame.fill(last.q, _ZERO, _ZERO, last.kp, last.kd)
            self._frame.set_weight(max(0.0, min(1.0, last.weight) - RELEASE_RATE * since))
        else:
            self._frame.fill(last.q, _ZERO, _ZERO, _ZERO, DAMPING_KD)
        return self._frame.seal()

    def released(self, since: float) -> bool:
        """Return whether the weight has reached zero; never on ``rt/lowcmd``, where damping goes on."""
        return self._holds and self._last.weight - RELEASE_RATE * since <= 0.0
