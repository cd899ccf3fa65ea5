"""Where every link of the G1 is for given joint angles: forward kinematics and palm Jacobians in plain numpy.

The tree is read from ``urdf/g1_29dof.urdf``.  All poses are homogeneous matrices ``pelvis_from_link`` (REP 103: x
forward, y left, z up) in the pelvis frame; the world never enters.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neon_ros.contracts import DoubleArray
from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.resources import share
from neon_ros.robot.joints import NUM_JOINTS
from neon_ros.robot.urdf import ROOT, TreeJoint, read_tree
from neon_ros.robot.variants import Variant, variant

URDF = "urdf/g1_29dof.urdf"
PALMS: tuple[str, str] = ("left_palm", "right_palm")


class Kinematics:
    """Forward kinematics of the tree in a URDF.

    :param path: URDF to read; by default the one that ships with neon_ros, of variant 5.
    :param built: variant whose wrists to give that tree; by default those of the URDF.
    :raises ConfigError: when the file is missing, or its movable joints are not the 29 of :mod:`neon_ros.robot.joints`.
    """

    def __init__(self, path: str | Path | None = None, built: Variant | None = None) -> None:
        self._joints = read_tree(share(URDF) if path is None else Path(path))
        if built is not None:
            self._joints = tuple(_with_wrist(joint, built.wrist_yaw_x) for joint in self._joints)
        self._by_child = {joint.child: joint for joint in self._joints}
        missing = [palm for palm in PALMS if palm not in self._by_child]
        if missing:
            raise ConfigError(refuse("urdf frames", f"no {', '.join(missing)}", "a URDF with both palms"))
        moving_joints = sorted((joint for joint in self._joints if joint.motor >= 0), key=lambda joint: joint.motor)
        self._terms = np.array([joint_terms(joint) for joint in moving_joints])  # (29, 3, 4, 4)
        chains = [self.chain(palm) for palm in PALMS]
        self._palm_motors = np.array([[joint.motor for joint in moving] for moving, _ in chains])  # (2, 10)
        self._palm_terms = np.array(
            [[joint_terms(joint) for joint in moving] for moving, _ in chains]
        )  # (2, 10, 3, 4, 4)
        self._palm_axes = np.array([[joint.axis for joint in moving] for moving, _ in chains])  # (2, 10, 3)
        self._palm_ends = np.array([end for _, end in chains])  # (2, 4, 4)

    @property
    def links(self) -> tuple[str, ...]:
        """Names of all links and frames, parents first."""
        return (ROOT, *(joint.child for joint in self._joints))

    def poses(self, q: ArrayLike) -> dict[str, DoubleArray]:
        """Return the pose of every link in the pelvis frame.

        :param q: joint positions in motor order, (29,) or (N, 29) [rad].
        :returns: link name to (4, 4) or (N, 4, 4).
        :raises ContractError: on a wrong shape or a value that is not finite.
        """
        angles = _checked(q)
        local = turned(self._terms, angles)  # (..., 29, 4, 4)
        poses: dict[str, DoubleArray] = {ROOT: np.broadcast_to(np.eye(4), (*angles.shape[:-1], 4, 4)).copy()}
        for joint in self._joints:
            step = joint.origin if joint.motor < 0 else local[..., joint.motor, :, :]
            poses[joint.child] = poses[joint.parent] @ step
        return poses

    def palms(self, q: ArrayLike) -> DoubleArray:
        """Return the poses of the left and right palm in the pelvis frame.

        :param q: joint positions in motor order, (29,) or (N, 29) [rad].
        :returns: (2, 4, 4) or (N, 2, 4, 4), left first.
        :raises ContractError: on a wrong shape or a value that is not finite.
        """
        pose = self._along_arms(_checked(q))[-1]
        return pose @ self._palm_ends

    def palm_jacobians(self, q: ArrayLike) -> DoubleArray:
        """Return how the palms move with the joints, in the pelvis frame: d(position, rotation) / dq.

        :param q: joint positions in motor order, (29,) or (N, 29) [rad].
        :returns: (2, 6, 29) or (N, 2, 6, 29), rows x y z [m/rad] and the rotation vector about x y z [rad/rad].
        :raises ContractError: on a wrong shape or a value that is not finite.
        """
        angles = _checked(q)
        frames = np.stack(self._along_arms(angles), axis=-3)  # (..., 2, 10, 4, 4)
        palm = (frames[..., -1, :, :] @ self._palm_ends)[..., None, :3, 3]
        axes = (frames[..., :3, :3] @ self._palm_axes[..., None])[..., 0]  # (..., 2, 10, 3)
        columns = np.concatenate([np.cross(axes, palm - frames[..., :3, 3]), axes], axis=-1)
        jacobians = np.zeros((*angles.shape[:-1], 2, 6, NUM_JOINTS))
        for side, motors in enumerate(self._palm_motors):
            jacobians[..., side, :, motors] = np.moveaxis(columns[..., side, :, :], -2, 0)
        return jacobians

    def mount(self, frame: str) -> tuple[str, DoubleArray]:
        """Return the moving link that carries ``frame`` and the pose ``link_from_frame`` (4, 4).

        :param frame: e.g. ``livox_frame``, which the torso carries upside down.
        :raises ConfigError: when there is no such frame.
        """
        if frame not in self.links:
            raise ConfigError(refuse("frame", frame, ", ".join(self.links)))
        pose = np.eye(4)
        while frame != ROOT and (joint := self._by_child[frame]).motor < 0:
            pose, frame = joint.origin @ pose, joint.parent
        return frame, pose

    def chain(self, frame: str) -> tuple[list[TreeJoint], DoubleArray]:
        """Return the moving joints from the pelvis to ``frame``, and the fixed pose after the last of them.

        :raises ConfigError: when there is no such frame.
        """
        link, end = self.mount(frame)
        moving: list[TreeJoint] = []
        while link != ROOT:
            joint = self._by_child[link]
            link, fixed = self.mount(joint.parent)
            moving.insert(0, joint._replace(origin=fixed @ joint.origin))
        return moving, end

    def _along_arms(self, angles: DoubleArray) -> list[DoubleArray]:
        """Return the pose after each of the 10 joints of both arms: 10 times (..., 2, 4, 4)."""
        local = turned(self._palm_terms, angles[..., self._palm_motors])  # (..., 2, 10, 4, 4)
        poses = [local[..., 0, :, :]]
        for step in range(1, local.shape[-3]):
            poses.append(poses[-1] @ local[..., step, :, :])
        return poses


@cache
def kinematics_of(mode_machine: int) -> Kinematics:
    """Return the kinematics of the variant that reports ``mode_machine``.

    :raises RobotError: for a value that no G1 reports.
    """
    return Kinematics(built=variant(mode_machine))


def _with_wrist(joint: TreeJoint, wrist_yaw_x: float) -> TreeJoint:
    """Return ``joint``, with the yaw axis of a wrist at ``wrist_yaw_x`` [m]."""
    if joint.child not in ("left_wrist_yaw_link", "right_wrist_yaw_link"):
        return joint
    origin = joint.origin.copy()
    origin[0, 3] = wrist_yaw_x
    return joint._replace(origin=origin)


def _checked(q: ArrayLike) -> DoubleArray:
    angles = np.asarray(q, dtype=np.float64)
    if angles.ndim not in (1, 2) or angles.shape[-1] != NUM_JOINTS:
        raise ContractError(refuse("q shape", angles.shape, f"({NUM_JOINTS},) or (N, {NUM_JOINTS})"))
    if not np.isfinite(angles).all():
        raise ContractError(refuse("q", "a value that is not finite", "finite values"))
    return angles


def joint_terms(joint: TreeJoint) -> DoubleArray:
    """Return A, B, C (3, 4, 4) with pose(q) = A + sin(q) B + (1 - cos(q)) C, after Rodrigues."""
    x, y, z = joint.axis
    cross = np.zeros((4, 4))
    cross[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    return np.stack([joint.origin, joint.origin @ cross, joint.origin @ cross @ cross])


def turned(terms: DoubleArray, angle: NDArray[np.float64]) -> DoubleArray:
    """Return the poses of joints with ``terms`` (..., 3, 4, 4) at ``angle`` [rad]."""
    sine, versine = np.sin(angle)[..., None, None], (1.0 - np.cos(angle))[..., None, None]
    return terms[..., 0, :, :] + sine * terms[..., 1, :, :] + versine * terms[..., 2, :, :]
