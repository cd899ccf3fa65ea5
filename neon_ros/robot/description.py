"""The URDF of any 29-joint variant of the G1: the shipped one with the variant's motors, wrists and locked waist.

Source of the differences: ``unitreerobotics/unitree_ros:robots/g1_description/g1_29dof_*.urdf`` (2026-06-18), compared
element by element with ``g1_29dof_rev_1_0.urdf``.  Modes 11 to 16 differ in the limits of the hip pitch; modes 13 to
16 have the larger wrist motor, which weighs 0.2 kg more a side and moves the hand 5 mm out; a locked waist is fixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as xml

from neon_ros.errors import ConfigError, refuse
from neon_ros.resources import share
from neon_ros.robot.joints import JOINTS
from neon_ros.robot.kinematics import URDF
from neon_ros.robot.variants import VARIANTS, variant

BODIES_29 = tuple(number for number, one in VARIANTS.items() if "29dof" in one.urdf)
"""Values of ``mode_machine`` with 29 links that move or could: 5, 6 and 11 to 16."""

_STRONG_WRIST: dict[str, dict[str, str]] = {
    "origin": {"xyz": "0.02549150483 -0.00054042511 -0.00054143853", "rpy": "0 0 0"},
    "mass": {"value": "0.684"},
    "inertia": {
        "ixx": "0.00025599000747",
        "ixy": "-0.00000861777083",
        "ixz": "-0.00000857523406",
        "iyy": "0.00071633247299",
        "iyz": "-0.00000013994720",
        "izz": "0.00071591991283",
    },
}
"""Inertial of the left wrist's pitch link with motor 5010; the right one turns the signs of y, ixy and ixz."""


class MeshVisual(NamedTuple):
    """A mesh that draws a link.

    :param uri: ``file://`` or ``package://`` address of an STL file.
    :param xyz: where its origin lies in the link (3,) [m].
    :param rgb: each 0 to 1.
    """

    uri: str
    xyz: tuple[float, float, float]
    rgb: tuple[float, float, float]


def urdf_of(
    mode_machine: int, meshes: Mapping[str, Sequence[MeshVisual]] | None = None, path: Path | None = None
) -> str:
    """Return the text of the URDF of a variant.

    :param mode_machine: one of :data:`BODIES_29`, as the robot reports it.
    :param meshes: what draws each link; links that are not named keep their simple shapes.
    :param path: URDF of variant 5 to start from; by default the one that ships with neon_ros.
    :raises ConfigError: for a variant without 29 joints, or a URDF that cannot be read.
    :raises RobotError: for a value that no G1 reports.
    """
    one = variant(mode_machine)
    if mode_machine not in BODIES_29:
        raise ConfigError(refuse("mode_machine of the urdf", mode_machine, f"a 29-joint variant: {BODIES_29}"))
    source = share(URDF) if path is None else path
    try:
        robot = xml.fromstring(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, xml.ParseError) as error:
        raise ConfigError(refuse("urdf", f"{source}: {error}", "a readable URDF")) from error
    robot.set("name", one.urdf)
    limits = one.limits()
    joints = {element.get("name"): element for element in robot.iter("joint")}
    for joint in JOINTS:
        element, limit = joints[joint.name], joints[joint.name].find("limit")
        if limit is not None:
            limit.set("effort", f"{limits.effort[joint.index]:.10g}")
            limit.set("velocity", f"{limits.velocity[joint.index]:.10g}")
        if joint.name in one.absent:
            element.set("type", "fixed")
            for child in [*element.findall("axis"), *element.findall("limit")]:
                element.remove(child)
        if joint.name.endswith("wrist_yaw_joint"):
            _set(element, "origin", {"xyz": f"{one.wrist_yaw_x:g} 0 0"})
    for link in robot.iter("link"):
        name = str(link.get("name"))
        if one.strong_wrist and name.endswith("wrist_pitch_link"):
            _strengthen(link, mirrored=name.startswith("right"))
        if meshes and name in meshes:
            _draw(link, meshes[name])
    return f'<?xml version="1.0"?>\n{xml.tostring(robot, encoding="unicode")}\n'


def _set(element: xml.Element, tag: str, values: Mapping[str, str]) -> None:
    child = element.find(tag)
    if child is None:
        raise ConfigError(refuse(f"urdf {element.get('name')}", f"no {tag}", "the shipped URDF"))
    for key, value in values.items():
        child.set(key, value)


def _strengthen(link: xml.Element, mirrored: bool) -> None:
    """Give the wrist's pitch link the inertia that it has with the larger motor."""
    inertial = link.find("inertial")
    if inertial is None:
        raise ConfigError(refuse(f"urdf {link.get('name')}", "no inertial", "the shipped URDF"))
    values = {tag: dict(numbers) for tag, numbers in _STRONG_WRIST.items()}
    if mirrored:
        x, y, z = values["origin"]["xyz"].split()
        values["origin"]["xyz"] = f"{x} {_negated(y)} {z}"
        values["inertia"] |= {key: _negated(values["inertia"][key]) for key in ("ixy", "ixz")}
    for tag, numbers in values.items():
        _set(inertial, tag, numbers)


def _negated(number: str) -> str:
    return number[1:] if number.startswith("-") else f"-{number}"


def _draw(link: xml.Element, meshes: Sequence[MeshVisual]) -> None:
    """Replace what is seen of a link; what it collides with stays simple."""
    for visual in link.findall("visual"):
        link.remove(visual)
    for number, mesh in enumerate(meshes):
        visual = xml.SubElement(link, "visual")
        xml.SubElement(visual, "origin", xyz=" ".join(f"{value:.10g}" for value in mesh.xyz), rpy="0 0 0")
        xml.SubElement(xml.SubElement(visual, "geometry"), "mesh", filename=mesh.uri)
        material = xml.SubElement(visual, "material", name=f"{link.get('name')}_{number}")
        xml.SubElement(material, "color", rgba=" ".join(f"{value:.3g}" for value in (*mesh.rgb, 1.0)))
