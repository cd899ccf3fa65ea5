"""The physics: the robot in its scene, stepped at 500 Hz, with what its sensors measure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.robot.joints import JOINT_INDEX, NUM_JOINTS
from neon_ros.robot.variants import variant
from neon_ros.sim.model import TIMESTEP, addresses
from neon_ros.sim.motors import Drive
from neon_ros.sim.scene import SceneDescription, build, dress

_BLOCKED_DAMPING = 1e4  # [N m s/rad] a jammed gear: 25 N m move it by 0.14 deg a second


@dataclass(frozen=True)
class Imu:
    """One IMU reading.

    :param quaternion_wxyz: orientation (4,).
    :param gyroscope: angular velocity in the sensor's frame (3,) [rad/s].
    :param accelerometer: specific force in the sensor's frame (3,) [m/s^2].
    """

    quaternion_wxyz: NDArray[np.float64]
    gyroscope: NDArray[np.float64]
    accelerometer: NDArray[np.float64]

    @property
    def rpy(self) -> NDArray[np.float64]:
        """Roll, pitch, yaw (3,) [rad]."""
        w, x, y, z = self.quaternion_wxyz.tolist()
        roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
        pitch = math.asin(min(1.0, max(-1.0, 2 * (w * y - z * x))))
        return np.array([roll, pitch, math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))])


class World:
    """One robot in one scene.

    :param scene: what to simulate; base, variant and task stay for life, the rest may change by :meth:`reset`.
    """

    def __init__(self, scene: SceneDescription) -> None:
        self.scene = scene
        self.model, self.data = build(scene)
        self._where = addresses(self.model)
        self._effort = variant(scene.machine).limits().effort
        self._damping = self.model.dof_damping.copy()
        self._pelvis = int(self.model.body("pelvis").id)
        self._steps = 0
        self._tau = np.zeros(NUM_JOINTS)
        self._imu = {
            name: tuple(
                self.data.sensor(sensor.format(name)).data
                for sensor in ("imu_in_{}_quaternion", "imu-{}-angular-velocity", "imu-{}-linear-acceleration")
            )
            for name in ("pelvis", "torso")
        }

    @property
    def time(self) -> float:
        """Simulated time since the start, never set back [s]."""
        return self._steps * TIMESTEP

    @property
    def tick(self) -> int:
        """Simulated time since the start [ms]."""
        return self._steps * round(TIMESTEP * 1000)

    def reset(self, scene: SceneDescription, robot: bool = True) -> None:
        """Change the scene to one of the same base, variant and task; with ``robot``, the robot also starts again."""
        self.scene = scene
        dress(self.model, self.data, scene, robot)
        if robot:
            self._tau[:] = 0.0

    def step(self, drive: Drive) -> None:
        """Let the motors obey ``drive`` for one time step."""
        q, dq = self.q, self.dq
        tau = drive.torque(q, dq, self._effort)
        where = self._where
        self.data.ctrl[where.actuator] = tau[where.motor]
        mujoco.mj_step(self.model, self.data)
        self._tau[where.motor] = tau[where.motor]
        self._steps += 1

    @property
    def q(self) -> NDArray[np.float64]:
        """Joint positions (29,) [rad]; zero for joints that the variant lacks."""
        return self._spread(self.data.qpos[self._where.qpos])

    @property
    def dq(self) -> NDArray[np.float64]:
        """Joint velocities (29,) [rad/s]."""
        return self._spread(self.data.qvel[self._where.dof])

    @property
    def ddq(self) -> NDArray[np.float64]:
        """Joint accelerations (29,) [rad/s^2]."""
        return self._spread(self.data.qacc[self._where.dof])

    @property
    def tau(self) -> NDArray[np.float64]:
        """Torques of the last step (29,) [N m]."""
        return self._tau

    def imu(self, name: str) -> Imu:
        """Return the reading of the IMU in ``pelvis`` or ``torso``."""
        return Imu(*(values.copy() for values in self._imu[name]))

    def block(self, joint: str) -> None:
        """Jam one joint by name; an empty name frees all."""
        self.model.dof_damping[:] = self._damping
        if joint:
            jammed = self._where.dof[self._where.motor == JOINT_INDEX[joint]]
            self.model.dof_damping[jammed] = _BLOCKED_DAMPING

    def tilt(self, roll: float) -> None:
        """Roll the robot about its forward axis by ``roll`` [rad]; a held pelvis stays so, a free one may fall."""
        half = roll / 2.0
        turn = np.array([np.cos(half), np.sin(half), 0.0, 0.0])
        floating = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_JOINT, "floating_base_joint")
        if floating < 0:
            self.model.body_quat[self._pelvis] = turn
        else:
            at = int(self.model.jnt_qposadr[floating]) + 3
            upright = self.data.qpos[at : at + 4].copy()
            mujoco.mju_mulQuat(self.data.qpos[at : at + 4], upright, turn)
        mujoco.mj_forward(self.model, self.data)

    def _spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.zeros(NUM_JOINTS)
        out[self._where.motor] = values
        return out
