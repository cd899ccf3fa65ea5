"""The sensors of the simulated robot, from its shared memory in another process: pictures, clouds, inertial readings.

Nothing here steps physics: the newest state of the simulator is copied into a model built from the same scene.
"""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.contracts import DoubleArray
from neon_ros.errors import RobotError, refuse
from neon_ros.sim.camera import HeadCamera
from neon_ros.sim.lidar import Mid360
from neon_ros.sim.memory import SimClient, SimState
from neon_ros.sim.model import LIDAR
from neon_ros.sim.scene import SceneDescription, build, dress
from neon_ros.sim.table import TouchScene, object_names

TORSO_IMU = "imu_in_torso"
_GRAVITY = np.array([0.0, 0.0, -9.81])  # [m/s^2] of MuJoCo's default world
_SHAPES = {"cube": "box", "bar": "box", "ball": "sphere", "can": "cylinder"}


class Thing(NamedTuple):
    """One object of the scene, in the pelvis frame.

    :param shape: ``box``, ``sphere`` or ``cylinder``.
    :param size: full extents x, y, z [m].
    :param rgb: each 0 to 1.
    :param position: (3,) [m].
    :param quaternion_wxyz: (4,).
    """

    name: str
    shape: str
    size: tuple[float, float, float]
    rgb: tuple[float, float, float]
    position: DoubleArray
    quaternion_wxyz: DoubleArray


class SiteImu:
    """Inertial readings at one site, from the states that pass by.

    :param site: name of the site in the model.
    """

    def __init__(self, model: mujoco.MjModel, site: str) -> None:
        self._model, self._site = model, model.site(site).id
        self._last: tuple[float, DoubleArray] | None = None

    def measure(self, data: mujoco.MjData, time: float) -> tuple[DoubleArray, DoubleArray] | None:
        """Return angular velocity (3,) [rad/s] and specific force (3,) [m/s^2] in the site's frame.

        The acceleration is the change of the site's velocity since the call before; ``None`` at the first call.

        :param data: kinematics up to date, velocities too.
        :param time: simulated [s].
        """
        velocity = np.zeros(6)
        mujoco.mj_objectVelocity(self._model, data, mujoco.mjtObj.mjOBJ_SITE, self._site, velocity, 0)
        last, self._last = self._last, (time, velocity[3:].copy())
        if last is None or time <= last[0]:
            return None
        acceleration = (velocity[3:] - last[1]) / (time - last[0])
        world_from_site = data.site_xmat[self._site].reshape(3, 3)
        return world_from_site.T @ velocity[:3], world_from_site.T @ (acceleration - _GRAVITY)


class SensorRig:
    """All sensors of one simulator.  Make and use it in one thread: the camera owns an OpenGL context.

    :param client: the simulator's shared memory.
    :param width: of the picture [px].
    :param height: of the picture [px].
    :raises RobotError: when the simulator has published no scene yet.
    """

    def __init__(self, client: SimClient, width: int, height: int) -> None:
        found = client.scene()
        if found is None:
            raise RobotError(refuse("scene of the simulator", "none yet", "a simulator that is running"))
        self._client = client
        self.generation, self.scene = found
        self.model, self.data = build(self.scene)
        self.camera = HeadCamera(self.model, width, height)
        self.lidar = Mid360(self.model, seed=self.scene.seed)
        self.imus = {site: SiteImu(self.model, site) for site in (TORSO_IMU, LIDAR)}
        self._rng = np.random.default_rng(self.scene.seed)
        self._table = self._sample(self.scene)
        self._scans = 0

    @staticmethod
    def _sample(scene: SceneDescription) -> TouchScene | None:
        return scene.touch() if scene.task == "touch" else None

    def update(self) -> SimState | None:
        """Take over the newest state and return it; ``None`` while there is none of the present scene."""
        state = self._client.state()
        if state is None:
            return None
        if state.generation != self.generation:
            found = self._client.scene()
            if found is None or found[0] != state.generation:
                return None  # between two scenes
            self.generation, self.scene = found
            self._table = self._sample(self.scene)
            dress(self.model, self.data, self.scene, robot=False)
        self.data.qpos[:], self.data.qvel[:], self.data.time = state.qpos, state.qvel, state.time
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
        mujoco.mj_comVel(self.model, self.data)
        return state

    def orientation(self, site: str) -> DoubleArray:
        """Return the orientation of a site in the world, w x y z (4,)."""
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, self.data.site_xmat[self.model.site(site).id])
        return quaternion

    def picture(self) -> NDArray[np.uint8]:
        """Return the head camera's picture (H, W, 3) with the scene's exposure and noise."""
        picture = self.camera.render(self.data)
        return picture if self._table is None else self._table.exposure.expose(picture, self._rng)

    def cloud(self) -> NDArray[np.float32]:
        """Return the LiDAR's next scan (N, 4): x y z [m] in ``livox_frame`` and intensity."""
        self._scans += 1
        return self.lidar.scan(self.data, self._scans)

    def instruction(self) -> str:
        """Return the sentence that the scene asks for; empty when it asks for nothing."""
        if self._table is None:
            return ""
        target = self._table.objects[self._table.target]
        return f"touch the {target.colour} {target.shape} with your {self._table.hand} hand"

    def things(self) -> list[Thing]:
        """Return the table and the objects on it, in the pelvis frame."""
        if self._table is None:
            return []
        top = self.model.geom("table_top")
        size, rgb = (2 * top.size[0], 2 * top.size[1], 2 * top.size[2]), tuple(top.rgba[:3])
        here = self.data.geom_xpos[top.id], self.model.body("table").quat
        result = [Thing("table", "box", size, rgb, *self._from_pelvis(*here))]
        for thing, name in zip(self._table.objects, object_names(), strict=True):
            body = self.model.body(name).id
            size = (2 * thing.half[0], 2 * thing.half[1], 2 * thing.half[2])
            named, shape = f"{thing.colour} {thing.shape}", _SHAPES.get(thing.shape, "box")
            here = self.data.xpos[body], self.data.xquat[body]
            result.append(Thing(named, shape, size, thing.rgb, *self._from_pelvis(*here)))
        return result

    def _from_pelvis(self, position: DoubleArray, quaternion: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """Return a world pose (3,) [m] and w x y z (4,) as seen from the pelvis."""
        pelvis = self.model.body("pelvis").id
        rotation = self.data.xmat[pelvis].reshape(3, 3)
        inverse = self.data.xquat[pelvis] * np.array([1.0, -1.0, -1.0, -1.0])
        turned = np.zeros(4)
        mujoco.mju_mulQuat(turned, inverse, quaternion)
        return rotation.T @ (position - self.data.xpos[pelvis]), turned

    def close(self) -> None:
        """Free the camera."""
        self.camera.close()
