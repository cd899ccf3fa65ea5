"""Read the tree of joints of a URDF: what kinematics needs of it and no more."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import ArrayLike

from neon_ros.contracts import DoubleArray
from neon_ros.errors import ConfigError, refuse
from neon_ros.robot.joints import JOINT_INDEX, NUM_JOINTS

ROOT = "pelvis"


class TreeJoint(NamedTuple):
    """One joint of the tree.

    :param parent: link.
    :param child: link.
    :param motor: index of the motor that turns it, -1 for a fixed joint.
    :param origin: pose ``parent_from_child`` at angle 0, (4, 4).
    :param axis: unit vector in the child frame (3,).
    """

    parent: str
    child: str
    motor: int
    origin: DoubleArray
    axis: DoubleArray


def read_tree(path: Path) -> tuple[TreeJoint, ...]:
    """Return the joints of a URDF, parents before children.

    :raises ConfigError: when the file cannot be read, is no tree from the pelvis, or moves other joints than the 29.
    """
    try:
        robot = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise ConfigError(refuse("urdf", f"{path}: {error}", "a readable URDF")) from error
    waiting = [_read_joint(element) for element in robot.findall("joint")]
    moving = sorted(joint.motor for joint in waiting if joint.motor >= 0)
    if moving != list(range(NUM_JOINTS)):
        raise ConfigError(refuse("urdf joints", f"{len(moving)} movable in {path}", f"the {NUM_JOINTS} of the G1"))
    known, ordered = {ROOT}, []
    while waiting:
        ready = [joint for joint in waiting if joint.parent in known]
        if not ready:
            got = f"{waiting[0].parent} without a parent"
            raise ConfigError(refuse("urdf tree", got, f"a tree that begins at {ROOT}"))
        ordered += ready
        known |= {joint.child for joint in ready}
        waiting = [joint for joint in waiting if joint.child not in known]
    return tuple(ordered)


def _read_joint(element: ElementTree.Element) -> TreeJoint:
    name, kind = element.get("name", ""), element.get("type", "")
    if kind not in ("revolute", "fixed"):
        raise ConfigError(refuse(f"type of urdf joint {name}", kind, "revolute or fixed"))
    if kind == "revolute" and name not in JOINT_INDEX:
        raise ConfigError(refuse("urdf joint", name, ", ".join(JOINT_INDEX)))
    parent, child = element.find("parent"), element.find("child")
    if parent is None or child is None:
        raise ConfigError(refuse(f"urdf joint {name}", "no parent or child", "both"))
    origin = np.eye(4)
    origin[:3, :3] = rotation_from_rpy(_numbers(element, "origin", "rpy", "0 0 0"))
    origin[:3, 3] = _numbers(element, "origin", "xyz", "0 0 0")
    axis = _numbers(element, "axis", "xyz", "1 0 0")
    motor = JOINT_INDEX[name] if kind == "revolute" else -1
    return TreeJoint(parent.attrib["link"], child.attrib["link"], motor, origin, axis / np.linalg.norm(axis))


def _numbers(element: ElementTree.Element, tag: str, attribute: str, default: str) -> DoubleArray:
    found = element.find(tag)
    text = default if found is None else found.get(attribute, default)
    try:
        numbers = np.array([float(word) for word in text.split()])
    except ValueError:
        numbers = np.empty(0)
    if numbers.shape != (3,):
        raise ConfigError(refuse(f"{tag} {attribute} of urdf joint {element.get('name')}", text, "three numbers"))
    return numbers


def rotation_from_rpy(rpy: ArrayLike) -> DoubleArray:
    """Return the rotation matrix (3, 3) of fixed-axis roll, pitch, yaw (3,) [rad], as URDF defines them: Rz Ry Rx."""
    (roll, pitch, yaw) = np.asarray(rpy, dtype=np.float64)
    (sr, sp, sy), (cr, cp, cy) = np.sin([roll, pitch, yaw]), np.cos([roll, pitch, yaw])
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
