"""Drive the simulated robot as on the wire: chunks through the real guard, commands through the motors' law at 500 Hz.

The clock is the simulation's own, so that nothing here depends on the speed of the machine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from neon_ros.contracts import RobotState
from neon_ros.errors import RobotError, refuse
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.command import Command
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.machine import MOVING
from neon_ros.guard.timeline import TimelineConfig
from neon_ros.learn.touch import TouchWorld
from neon_ros.robot.gains import gains
from neon_ros.robot.joints import NUM_JOINTS, joint_indices
from neon_ros.robot.modes import control_mode
from neon_ros.robot.variants import variant
from neon_ros.sim.table import TouchScene

Array = NDArray[np.float64]

MACHINE = 5
MODE = "upper_body"
STEP_DT = 0.02  # [s] between the steps of a chunk
_JOINING = TimelineConfig()
_ARM_SECONDS = 0.2  # [s] shortest arming that a simulation may use
_UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])
_COOL = np.full(NUM_JOINTS, 30.0)
_STILL = np.zeros(3)


class Drive:
    """One robot, one guard, one simulated clock.

    :param world: the robot at its table.
    """

    def __init__(self, world: TouchWorld) -> None:
        self.world = world
        stand = gains("stand")
        legs = np.arange(NUM_JOINTS) < 12
        self._stand_kp, self._stand_kd = stand.kp, stand.kd
        self._leg_kp, self._leg_kd = np.where(legs, stand.kp, 0.0), np.where(legs, stand.kd, 0.0)
        self.rows = joint_indices(control_mode(MODE).joint_names)
        self._moved = np.zeros(NUM_JOINTS, dtype=bool)
        self._moved[self.rows] = True
        self._zeros = np.zeros(NUM_JOINTS)
        self._ticks = self._sequence = 0
        self._hold = np.zeros(NUM_JOINTS)
        self.guard = self._new_guard()
        self.command: Command | None = None

    @property
    def now(self) -> float:
        """Simulated time since the reset [s]."""
        return self._ticks * self.world.dt

    def reset(self, scene: TouchScene, pose: Array | None = None, timeline: TimelineConfig = _JOINING) -> None:
        """Start ``scene`` with an armed guard that holds the measured pose.

        :param pose: where the robot starts (29,) [rad]; the scene's ready pose when ``None``.
        :param timeline: how the guard joins chunks.
        """
        self.world.reset(scene)
        if pose is not None:
            self.world.place(pose)
        self.guard = self._new_guard(timeline)
        self._ticks = self._sequence = 0
        self._hold = self.world.q
        self.guard.step(self._measured(), self.now)
        self.guard.request("arm", self.now)
        self.run(_ARM_SECONDS + 0.1)
        if self.guard.machine.state not in MOVING:
            raise RobotError(refuse("guard after arming", self.guard.machine.state.name, "a state that moves"))

    def submit(self, q: NDArray[np.floating], captured: float, base: NDArray[np.floating] | None = None) -> None:
        """Hand a chunk to the guard.

        :param q: targets of the 17 joints (H, 17) [rad].
        :param captured: simulated time of its first step [s].
        :param base: velocity of the base at each step (H, 3) [m/s, m/s, rad/s]; zero when ``None``.
        """
        full = np.zeros((len(q), NUM_JOINTS))
        full[:, self.rows] = q
        self._sequence += 1
        velocity = np.zeros((len(q), 3)) if base is None else np.asarray(base, dtype=np.float64)
        self.guard.submit(AdmittedChunk(captured, STEP_DT, full, self._moved, velocity, 0, self._sequence))

    def run(self, seconds: float, each: Callable[[], bool] | None = None, every: int = 5) -> bool:
        """Let time pass.

        :param each: called every ``every`` periods; returns whether to go on.
        :returns: whether all of the time has passed.
        """
        for _ in range(round(seconds / self.world.dt)):
            command = self.command = self.guard.step(self._measured(), self.now)
            weight = command.weight
            # Under arm_sdk the robot's own controller keeps what the weight leaves it.
            kp = weight * command.kp + (1.0 - weight) * self._stand_kp
            kd = weight * command.kd + (1.0 - weight) * self._stand_kd
            q = np.where(self._moved, weight * command.q + (1.0 - weight) * self._hold, self._hold)
            dq = np.where(self._moved, weight * command.dq, 0.0)
            kp, kd = np.where(self._moved, kp, self._leg_kp), np.where(self._moved, kd, self._leg_kd)
            self.world.walk(command.base_velocity)
            self.world.step(q, dq, self._zeros, kp, kd)
            self._ticks += 1
            if each is not None and self._ticks % every == 0 and not each():
                return False
        return True

    def _measured(self) -> RobotState:
        return RobotState(
            steady_ns=round(self.now * 1e9),
            tick=self._ticks * 2,
            q=self.world.q,
            dq=self.world.dq,
            tau=self._zeros,
            quaternion_wxyz=_UPRIGHT,
            gyroscope=_STILL,
            accelerometer=np.array([0.0, 0.0, 9.81]),
            mode_machine=MACHINE,
            temperature=_COOL,
        )

    @staticmethod
    def _new_guard(timeline: TimelineConfig = _JOINING) -> Guard:
        guard = Guard(control_mode(MODE), GuardConfig(simulated=True, arm_seconds=_ARM_SECONDS, timeline=timeline))
        guard.configure(variant(MACHINE))
        return guard
