"""The shipped URDF says what the table of joints says, loads elsewhere, and a broken one is refused."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from neon_ros.errors import ConfigError
from neon_ros.resources import share
from neon_ros.robot.joints import JOINTS
from neon_ros.robot.kinematics import URDF, Kinematics
from neon_ros.robot.urdf import read_tree, rotation_from_rpy

AXES = {"x": "1 0 0", "y": "0 1 0", "z": "0 0 1"}


@pytest.fixture(scope="module")
def text() -> str:
    return share(URDF).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def robot(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def test_limits_and_axes_are_those_of_the_table(robot: ElementTree.Element) -> None:
    moving = [joint for joint in robot.findall("joint") if joint.get("type") == "revolute"]
    assert [joint.get("name") for joint in moving] == [joint.name for joint in JOINTS]
    for element, joint in zip(moving, JOINTS, strict=True):
        limit, axis = element.find("limit"), element.find("axis")
        assert limit is not None and axis is not None
        assert [float(limit.attrib[key]) for key in ("lower", "upper", "effort", "velocity")] == pytest.approx(
            [joint.lower, joint.upper, joint.effort, joint.velocity]
        )
        assert axis.get("xyz") == AXES[joint.axis]


def test_the_robot_weighs_what_it_should(robot: ElementTree.Element) -> None:
    assert sum(float(mass.attrib["value"]) for mass in robot.iter("mass")) == pytest.approx(33.34, abs=0.01)
    for inertia in robot.iter("inertia"):
        xx, xy, xz, yy, yz, zz = (float(inertia.attrib[key]) for key in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz"))
        moments = np.linalg.eigvalsh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        assert moments[0] > 0 and moments[2] < moments[0] + moments[1] + 1e-9  # a body that can exist


def test_every_body_has_a_shape_and_no_file_is_needed(robot: ElementTree.Element) -> None:
    for link in robot.findall("link"):
        if link.find("inertial") is not None:
            assert link.find("visual/geometry") is not None and link.find("collision/geometry") is not None
    assert not list(robot.iter("mesh"))


def test_every_sensor_frame_is_there() -> None:
    links = Kinematics().links
    for frame in (
        "d435_link",
        "mid360_link",
        "livox_frame",
        "imu_in_torso",
        "imu_in_pelvis",
        "left_sole",
        "right_palm",
    ):
        assert frame in links
    assert len(set(links)) == len(links)


def test_yourdfpy_reads_the_same_tree() -> None:
    yourdfpy = pytest.importorskip("yourdfpy")
    loaded = yourdfpy.URDF.load(str(share(URDF)))
    assert loaded.validate() and set(loaded.actuated_joint_names) == {joint.name for joint in JOINTS}
    count = 10_000
    lower, upper = (np.array([getattr(joint, side) for joint in JOINTS]) for side in ("lower", "upper"))
    q = np.random.default_rng(3).uniform(lower, upper, (count, len(JOINTS)))
    poses = Kinematics().poses(q)
    frames = ("left_palm", "right_palm", "left_sole", "right_sole", "livox_frame", "d435_optical_frame", "imu_in_torso")
    worst = 0.0
    for row, angles in enumerate(q):
        loaded.update_cfg({joint.name: angles[joint.index] for joint in JOINTS})
        for frame in frames:
            worst = max(worst, np.abs(loaded.get_transform(frame, "pelvis") - poses[frame][row]).max())
    assert worst < 1e-6


def test_mujoco_compiles_it() -> None:
    mujoco = pytest.importorskip("mujoco")
    model = mujoco.MjModel.from_xml_path(str(share(URDF)))
    assert model.njnt == len(JOINTS)


def test_the_generator_writes_the_shipped_file(text: str) -> None:
    if find_spec("holosoma") is None:
        pytest.skip("holosoma is not installed")
    generator = share("urdf/generate.py")
    root = Path(__file__).resolve().parents[3]
    made = subprocess.run(
        [sys.executable, str(generator), "-"], cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout == text


def test_rpy_turns_about_fixed_axes_x_then_y_then_z() -> None:
    assert np.allclose(rotation_from_rpy([np.pi / 2, 0, 0]) @ [0, 1, 0], [0, 0, 1])
    assert np.allclose(rotation_from_rpy([0, np.pi / 2, 0]) @ [0, 0, 1], [1, 0, 0])
    assert np.allclose(rotation_from_rpy([0, 0, np.pi / 2]) @ [1, 0, 0], [0, 1, 0])
    assert np.allclose(rotation_from_rpy([np.pi / 2, 0, np.pi / 2]) @ [0, 1, 0], [0, 0, 1])


KNEE = 'name="left_knee_joint" type='
PARENT = 'parent link="left_hip_yaw_link"'
ORIGIN = 'xyz="-0.078273 0.0021489 -0.17734"'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</robot>", "", "urdf: got .* allowed: a readable URDF"),
        (f'{KNEE}"revolute"', f'{KNEE}"prismatic"', "type of urdf joint left_knee_joint: got prismatic"),
        (f'{KNEE}"revolute"', f'{KNEE}"fixed"', "urdf joints: got 28 movable"),
        ('"left_knee_joint"', '"tail_joint"', "urdf joint: got tail_joint; allowed: left_hip_pitch_joint"),
        (PARENT, 'parent link="moon"', "urdf tree: got moon without a parent; allowed: a tree that begins at pelvis"),
        (f"<{PARENT} />", "", "urdf joint left_knee_joint: got no parent or child"),
        (ORIGIN, 'xyz="1 2"', "origin xyz of urdf joint left_knee_joint: got 1 2; allowed: three numbers"),
        (ORIGIN, 'xyz="1 2 x"', "origin xyz of urdf joint left_knee_joint: got 1 2 x"),
        ('"left_palm', '"left_claw', "urdf frames: got no left_palm; allowed: a URDF with both palms"),
    ],
)
def test_a_broken_urdf_is_refused(tmp_path: Path, text: str, old: str, new: str, message: str) -> None:
    assert old in text
    file = tmp_path / "broken.urdf"
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        Kinematics(file)


def test_a_missing_urdf_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"urdf: got .*none.urdf"):
        read_tree(tmp_path / "none.urdf")
