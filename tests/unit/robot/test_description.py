"""The URDF of every 29-joint variant: limits of the table, locked waists, larger wrists, meshes; MuJoCo compiles it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from neon_ros.errors import ConfigError, RobotError
from neon_ros.resources import share
from neon_ros.robot.capsules import Body, body
from neon_ros.robot.description import BODIES_29, MeshVisual, urdf_of
from neon_ros.robot.joints import JOINT_INDEX, JOINT_NAMES, JOINTS
from neon_ros.robot.kinematics import URDF, Kinematics, kinematics_of
from neon_ros.robot.variants import VARIANTS

MASS = {5: 33.34, 6: 33.34, 11: 33.34, 12: 33.34, 13: 33.74, 14: 33.74, 15: 33.74, 16: 33.74}
"""Total mass [kg] of reference/g1.md, table 2."""


def _joints(mode_machine: int) -> dict[str, ElementTree.Element]:
    robot = ElementTree.fromstring(urdf_of(mode_machine))
    return {joint.attrib["name"]: joint for joint in robot.findall("joint")}


def test_variant_5_is_the_shipped_file_but_for_its_name() -> None:
    shipped, made = ElementTree.parse(share(URDF)).getroot(), ElementTree.fromstring(urdf_of(5))
    assert made.get("name") == "g1_29dof_rev_1_0"
    shipped.set("name", "g1_29dof_rev_1_0")
    assert ElementTree.canonicalize(ElementTree.tostring(made)) == ElementTree.canonicalize(
        ElementTree.tostring(shipped)
    )


def test_the_variants_are_those_of_the_reference() -> None:
    assert set(BODIES_29) == set(MASS)


@pytest.mark.parametrize("mode_machine", MASS)
def test_limits_are_those_of_the_table_and_absent_joints_are_fixed(mode_machine: int) -> None:
    variant, joints = VARIANTS[mode_machine], _joints(mode_machine)
    limits = variant.limits()
    moving = [name for name in JOINT_NAMES if joints[name].get("type") == "revolute"]
    assert moving == [name for name in JOINT_NAMES if name not in variant.absent]
    for joint in JOINTS:
        element = joints[joint.name].find("limit")
        if joint.name in variant.absent:
            assert element is None and joints[joint.name].get("type") == "fixed"
            continue
        assert element is not None
        found = [float(element.attrib[key]) for key in ("lower", "upper", "effort", "velocity")]
        row = joint.index
        assert found == pytest.approx([limits.lower[row], limits.upper[row], limits.effort[row], limits.velocity[row]])


@pytest.mark.parametrize("mode_machine", MASS)
def test_mujoco_compiles_it_joint_by_joint(mode_machine: int, tmp_path: Path) -> None:
    mujoco = pytest.importorskip("mujoco")
    file = tmp_path / "g1.urdf"
    file.write_text(urdf_of(mode_machine), encoding="utf-8")
    model = mujoco.MjModel.from_xml_path(str(file))
    variant = VARIANTS[mode_machine]
    present = [joint for joint in JOINTS if joint.name not in variant.absent]
    assert [model.joint(index).name for index in range(model.njnt)] == [joint.name for joint in present]
    limits = variant.limits()
    for index, joint in enumerate(present):
        assert model.jnt_range[index] == pytest.approx([joint.lower, joint.upper], abs=1e-9)
        assert model.jnt_actfrcrange[index][1] == pytest.approx(limits.effort[joint.index])
        assert model.jnt_axis[index] == pytest.approx([float(axis == joint.axis) for axis in "xyz"])
    # The root is welded to the world by MuJoCo's reader; its mass is written in the file.
    masses = ElementTree.fromstring(urdf_of(mode_machine)).iter("mass")
    assert sum(float(mass.attrib["value"]) for mass in masses) == pytest.approx(MASS[mode_machine], abs=0.005)


def test_the_simulator_compiles_the_same_joints_inertias_and_limits() -> None:
    pytest.importorskip("mujoco")
    model_room = pytest.importorskip("neon_ros.sim.model")
    try:
        model = model_room.build_spec("stand").compile()
    except ConfigError as error:
        pytest.skip(str(error))
    robot = ElementTree.fromstring(urdf_of(5))
    links = {link.attrib["name"]: link for link in robot.findall("link")}
    where = model_room.addresses(model)
    for joint in JOINTS:
        row = list(where.motor).index(joint.index)
        mine = model.joint(joint.name)
        assert mine.range == pytest.approx([joint.lower, joint.upper], abs=1e-6)
        assert mine.axis == pytest.approx([float(axis == joint.axis) for axis in "xyz"])
        assert model.actuator_ctrlrange[where.actuator[row], 1] == pytest.approx(joint.effort)
        child = next(e for e in robot.findall("joint") if e.get("name") == joint.name).find("child")
        assert child is not None
        name = child.attrib["link"]
        carried = [name, *(("head_link",) if name == "torso_link" else ())]
        if name.endswith("wrist_yaw_link"):
            carried.append(name.replace("wrist_yaw_link", "rubber_hand"))
        mass = sum(float(e.attrib["value"]) for link in carried for e in links[link].iter("mass"))
        assert model.body(name).mass[0] == pytest.approx(mass, abs=2e-3), name


@pytest.mark.parametrize("mode_machine", [13, 14, 15, 16])
def test_the_larger_wrist_moves_the_hand_5_mm_out(mode_machine: int, tmp_path: Path) -> None:
    for name in ("left_wrist_yaw_joint", "right_wrist_yaw_joint"):
        origin = _joints(mode_machine)[name].find("origin")
        assert origin is not None and origin.get("xyz") == "0.051 0 0"
    moved = kinematics_of(mode_machine).palms(np.zeros(29)) - Kinematics().palms(np.zeros(29))
    np.testing.assert_allclose(np.linalg.norm(moved[:, :3, 3], axis=1), 0.005, atol=1e-9)


@pytest.mark.parametrize("mode_machine", BODIES_29)
def test_links_and_capsules_are_where_the_variants_urdf_has_them(mode_machine: int, tmp_path: Path) -> None:
    """A locked waist is fixed in the URDF and stays at 0 here; the tree is read with its waist free again."""
    robot, file = ElementTree.fromstring(urdf_of(mode_machine)), tmp_path / "g1.urdf"
    q = np.random.default_rng(mode_machine).uniform(-1.0, 1.0, (20, 29)) * VARIANTS[mode_machine].present()
    for element in robot.findall("joint"):
        if element.get("name") in VARIANTS[mode_machine].absent:
            element.set("type", "revolute")
            xml_axis = {"x": "1 0 0", "y": "0 1 0"}[JOINTS[JOINT_INDEX[element.attrib["name"]]].axis]
            ElementTree.SubElement(element, "axis", xyz=xml_axis)
    file.write_bytes(ElementTree.tostring(robot))
    wanted, got = Kinematics(file), kinematics_of(mode_machine)
    assert wanted.links == got.links
    for link, pose in wanted.poses(q).items():
        np.testing.assert_allclose(got.poses(q)[link], pose, atol=1e-12, err_msg=link)
    np.testing.assert_allclose(got.palms(q), wanted.palms(q), atol=1e-12)
    np.testing.assert_allclose(got.palm_jacobians(q), wanted.palm_jacobians(q), atol=1e-12)
    np.testing.assert_allclose(body(mode_machine).segments(q), Body(wanted).segments(q), atol=1e-12)
    np.testing.assert_array_equal(body(mode_machine).levers, Body(wanted).levers)


def test_kinematics_of_an_unknown_variant_are_refused() -> None:
    with pytest.raises(RobotError, match="mode_machine: got 7"):
        kinematics_of(7)


def test_meshes_replace_what_is_seen_and_nothing_else() -> None:
    mesh = MeshVisual("file:///somewhere/knee.STL", (0.0, 0.1, 0.0), (0.5, 0.5, 0.5))
    robot = ElementTree.fromstring(urdf_of(5, {"left_knee_link": [mesh]}))
    knee = next(link for link in robot.findall("link") if link.get("name") == "left_knee_link")
    assert [m.get("filename") for m in knee.iter("mesh")] == [mesh.uri]
    assert knee.find("collision/geometry/mesh") is None and knee.find("collision/geometry") is not None
    assert len(list(robot.iter("mesh"))) == 1


def test_unknown_and_smaller_variants_are_refused() -> None:
    with pytest.raises(RobotError, match="mode_machine: got 0"):
        urdf_of(0)
    with pytest.raises(ConfigError, match=r"mode_machine of the urdf: got 4; allowed: a 29-joint variant"):
        urdf_of(4)


def test_a_missing_or_broken_base_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="allowed: a readable URDF"):
        urdf_of(5, path=tmp_path / "none.urdf")
