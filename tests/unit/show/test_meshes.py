"""Reading meshes and drawing simple shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neon_ros.errors import ContractError
from neon_ros.robot.joints import JOINT_NAMES
from neon_ros.show import meshes as show_meshes
from neon_ros.show.meshes import MAX_FACES, description_file, mesh_visuals, read_stl, robot_meshes, urdf_shapes


def _stl(triangles: np.ndarray) -> bytes:
    rows = np.zeros(len(triangles), dtype=[("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")])
    rows["v"] = triangles
    return bytes(80) + len(triangles).to_bytes(4, "little") + rows.tobytes()


def test_equal_corners_are_joined(tmp_path: Path) -> None:
    square = np.array([[[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 0, 0], [1, 1, 0], [0, 1, 0]]], np.float32)
    path = tmp_path / "square.stl"
    path.write_bytes(_stl(square))
    vertices, faces = read_stl(path)
    assert vertices.shape == (4, 3)
    np.testing.assert_array_equal(vertices[faces], square)


@pytest.mark.parametrize("cut", [0, 10, 83, 100])
def test_a_truncated_mesh_is_refused_by_name(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "leg.stl"
    path.write_bytes(_stl(np.zeros((3, 3, 3), np.float32))[:cut])
    with pytest.raises(ContractError, match=f"mesh leg.stl: got {cut} bytes"):
        read_stl(path)


def test_simple_shapes_of_a_urdf_are_drawn_in_the_link_frame(tmp_path: Path) -> None:
    pytest.importorskip("trimesh")
    path = tmp_path / "r.urdf"
    path.write_text(
        '<robot name="r"><link name="a"><visual><origin xyz="0 0 1"/><geometry><box size="0.2 0.4 0.6"/></geometry>'
        '</visual></link><link name="frame_only"/></robot>'
    )
    (mesh,) = urdf_shapes(path)
    assert mesh.link == "a"
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [0.1, 0.2, 1.3], atol=1e-6)


def test_the_installed_robot_has_a_mesh_for_every_arm_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fast_simplification")
    if description_file() is None:
        pytest.skip("the G1 description package is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    meshes, missing = robot_meshes()
    assert not missing
    links = {mesh.link for mesh in meshes}
    moved = {name.replace("_joint", "_link") for name in JOINT_NAMES} - {"waist_pitch_link"} | {"torso_link"}
    assert moved <= links  # the link after the waist pitch joint is the torso
    assert sum(len(mesh.faces) for mesh in meshes) <= 2.0 * MAX_FACES * len(meshes)
    again = robot_meshes().meshes
    assert [mesh.link for mesh in again] == [mesh.link for mesh in meshes]


def _description(folder: Path) -> Path:
    """Write a description of two links, of which one has its mesh."""
    (folder / "assets").mkdir(parents=True)
    (folder / "assets" / "knee.STL").write_bytes(_stl(np.ones((3, 3, 3), np.float32)))
    path = folder / "g1.xml"
    geoms = "".join(
        f'<body name="left_{part}_link"><geom class="visual" mesh="{part}"/></body>' for part in ("knee", "elbow")
    )
    files = "".join(f'<mesh name="{part}" file="{part}.STL"/>' for part in ("knee", "elbow"))
    path.write_text(f"<mujoco><asset>{files}</asset><worldbody>{geoms}</worldbody></mujoco>")
    return path


@pytest.mark.parametrize("rest", [None, b"too short"])
def test_a_link_whose_mesh_is_missing_or_broken_is_a_simple_shape_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rest: bytes | None
) -> None:
    pytest.importorskip("fast_simplification")
    pytest.importorskip("trimesh")
    source = _description(tmp_path / "g1")
    if rest is not None:
        (source.parent / "assets" / "elbow.STL").write_bytes(rest)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(show_meshes, "description_file", lambda: source)
    meshes, missing = robot_meshes()
    assert missing == ("left_elbow_link",) and {mesh.link for mesh in meshes} == {"left_knee_link", "left_elbow_link"}
    assert not (tmp_path / "cache").exists(), "half a robot is not kept"
    if rest is None:
        assert set(mesh_visuals()) == {"left_knee_link"}


def test_a_spoilt_or_unwritable_cache_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fast_simplification")
    source = _description(tmp_path / "g1")
    (source.parent / "assets" / "elbow.STL").write_bytes(_stl(np.ones((2, 3, 3), np.float32)))
    monkeypatch.setattr(show_meshes, "description_file", lambda: source)
    monkeypatch.setenv("XDG_CACHE_HOME", str(source))  # a file, no folder
    assert len(robot_meshes().meshes) == 2
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    robot_meshes()
    (kept,) = (tmp_path / "cache" / "neon_ros").iterdir()
    kept.write_bytes(b"PK spoilt")
    assert len(robot_meshes().meshes) == 2
