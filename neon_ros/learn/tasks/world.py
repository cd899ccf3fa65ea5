"""The simulated robot at its table, for any task: the world of `touch`, a mark, moving things, a base that walks.

A robot that walks is a kinematic base: the pelvis follows the commanded base velocity in the plane, within the limits
of the robot's sport service and a bounded acceleration, and the legs glide.  Gait and balance are the business of the
robot's own controller; what is tested here is the command.
"""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.learn.tasks.hands import Situation
from neon_ros.learn.tasks.scene import MARK, MARK_RADIUS, TabletopScene
from neon_ros.learn.tasks.task import Facts, Task
from neon_ros.learn.touch import TouchWorld
from neon_ros.sim.model import PALMS
from neon_ros.sim.table import TABLE_TOP, TouchScene, object_names
from neon_ros.sim.things import NUM_OBJECTS

BASE_LIMITS = np.array([1.5, 0.5, 1.0])  # vx, vy [m/s], yaw rate [rad/s] of the sport service
BASE_ACCELERATION = np.array([2.0, 2.0, 4.0])  # [m/s^2, m/s^2, rad/s^2] the most a commanded change is followed with
_BASE = ("base_x", "base_y", "base_yaw")
_HEAVY = 1e6  # [kg, kg m^2] of the base's joints: what hands do to the base is nothing

Array = NDArray[np.float64]


class TabletopWorld(TouchWorld):
    """The robot at its table, compiled once for one task.

    :param task: says whether there is a mark, and whether the robot may walk.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        super().__init__(self._extend)
        joints = [self.model.joint(name) for name in _BASE] if task.walks else []
        self._base_at = np.array([int(joint.qposadr[0]) for joint in joints], dtype=np.intp)
        self._base_dof = np.array([int(joint.dofadr[0]) for joint in joints], dtype=np.intp)
        free = [self.model.joint(f"{name}_free") for name in object_names()]
        self.thing_at = [int(joint.qposadr[0]) for joint in free]
        self.thing_dof = [int(joint.dofadr[0]) for joint in free]
        self.wrists = [self.model.body(f"{side}_wrist_yaw_link").id for side in ("left", "right")]
        self._sites = [self.model.site(name).id for name in PALMS]
        self.velocity = np.zeros(3)
        self.disturbance: Callable[[TabletopWorld], None] | None = None

    def _extend(self, spec: mujoco.MjSpec) -> None:
        if self.task.mark:
            for ring, radius, height, grey in (("", MARK_RADIUS, 0.0004, 0.05), ("_inner", 0.024, 0.0008, 0.98)):
                spec.worldbody.add_geom(
                    name=MARK + ring,
                    type=mujoco.mjtGeom.mjGEOM_CYLINDER,
                    size=[radius, height, 0.0],
                    pos=[0.37, 0.0, TABLE_TOP],
                    rgba=[grey, grey, grey, 1.0],
                    contype=0,
                    conaffinity=0,
                )
        if self.task.walks:
            pelvis = spec.body("pelvis")
            for name, kind, axis in (
                (_BASE[0], mujoco.mjtJoint.mjJNT_SLIDE, [1.0, 0.0, 0.0]),
                (_BASE[1], mujoco.mjtJoint.mjJNT_SLIDE, [0.0, 1.0, 0.0]),
                (_BASE[2], mujoco.mjtJoint.mjJNT_HINGE, [0.0, 0.0, 1.0]),
            ):
                pelvis.add_joint(name=name, type=kind, axis=axis, armature=_HEAVY, damping=0.0, frictionloss=0.0)

    def reset(self, scene: TouchScene) -> None:
        """Start ``scene``, the robot at rest where it begins."""
        self.disturbance = None
        self.velocity = np.zeros(3)
        super().reset(scene)
        if len(self._base_at):
            self.data.qpos[self._base_at] = self._scene.start
            mujoco.mj_forward(self.model, self.data)

    @property
    def _scene(self) -> TabletopScene:
        scene = self.scene
        if not isinstance(scene, TabletopScene):
            raise TypeError(f"{type(scene).__name__} is no scene of the suite")
        return scene

    def walk(self, velocity: Array) -> None:
        """Let the base follow a commanded velocity for one period, if it may walk.

        :param velocity: vx, vy, yaw rate in the pelvis frame (3,) [m/s, m/s, rad/s].
        """
        if not len(self._base_at):
            return
        change = BASE_ACCELERATION * self.dt
        wanted = np.clip(velocity, -BASE_LIMITS, BASE_LIMITS)
        self.velocity = self.velocity + np.clip(wanted - self.velocity, -change, change)
        yaw = float(self.data.qpos[self._base_at[2]])
        cos, sin = np.cos(yaw), np.sin(yaw)
        vx, vy, turn = self.velocity
        self.data.qvel[self._base_dof] = (cos * vx - sin * vy, sin * vx + cos * vy, turn)

    def step(self, q: Array, dq: Array, tau: Array, kp: Array, kd: Array) -> None:
        """Run the motors' law for one period; things that move by themselves do so."""
        time = float(self.data.time)
        for index, sway in enumerate(self._scene.sways):
            if sway is not None:
                thing = self.scene.objects[index]
                at, dof = self.thing_at[index], self.thing_dof[index]
                self.data.qpos[at : at + 2] = sway.offset(time) + np.array([thing.x, thing.y])
                self.data.qvel[dof : dof + 2] = sway.velocity(time)
        if self.disturbance is not None:
            self.disturbance(self)
        super().step(q, dq, tau, kp, kd)

    def facts(self) -> Facts:
        """Return where hands and things are."""
        centre, rise = self.centres(), self._rises()
        return Facts(
            palm=np.array(self.data.site_xpos[self._sites]),
            fingers=np.array(self.data.site_xmat[self._sites][:, ::3]),
            distance=self.distances(),
            contact=self.contacts(),
            centre=centre,
            top=centre[:, 2] + rise,
            bottom=centre[:, 2] - rise,
            speed=np.array([np.linalg.norm(self.data.qvel[dof : dof + 3]) for dof in self.thing_dof]),
        )

    def situation(self) -> Situation:
        """Return what the experts know, a batch of one."""
        turn = self.data.xmat[self._pelvis].reshape(3, 3)
        heading = float(np.arctan2(turn[1, 0], turn[0, 0]))
        scene = self._scene
        mark = np.zeros((1, 3))
        if scene.mark is not None:
            mark = self.in_pelvis(np.array([[*scene.mark, TABLE_TOP]]))
        origin = self.in_pelvis(np.zeros((1, 3)))[0]
        axes = self.data.xmat[self._bodies].reshape(NUM_OBJECTS, 3, 3)
        yaw = np.arctan2(axes[:, 1, 0], axes[:, 0, 0]) - heading
        velocity = np.array([self.data.qvel[dof : dof + 3] for dof in self.thing_dof])
        parts = {
            "q": self.q,
            "dq": self.dq,
            "centre": self.in_pelvis(self.centres()),
            "top": self.tops(),
            "velocity": velocity @ turn,
            "half": np.array([thing.half for thing in scene.objects]),
            "turn": yaw,
            "round": np.array([thing.shape in ("ball", "can") for thing in scene.objects]),
            "mark": mark[0],
            "table": np.array([origin[0], origin[1], -heading]),
        }
        return Situation(**{name: np.asarray(value)[None] for name, value in parts.items()})

    def palms(self) -> Array:
        """Return both palms in the pelvis frame (2, 3) [m]."""
        return self.in_pelvis(np.array(self.data.site_xpos[self._sites]))

    def _rises(self) -> Array:
        """Return how far each thing reaches above (and below) its centre (3,) [m]."""
        return np.asarray(self.tops()[:, 2] - self.in_pelvis(self.centres())[:, 2])
