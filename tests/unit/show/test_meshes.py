"""Reading meshes and drawing simple shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neon_ros.errors import ContractError
from neon_ros.robot.joints import JOINT_NAMES
from neon_ros.show.meshes import MAX_FACES, description_file, read_stl, robot_meshes, urdf_shapes


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
    meshes = robot_meshes()
    links = {mesh.link for mesh in meshes}
    moved = {name.replace("_joint", "_link") for name in JOINT_NAMES} - {"waist_pitch_link"} | {"torso_link"}
    assert moved <= links  # the link after the waist pitch joint is the torso
    assert sum(len(mesh.faces) for mesh in meshes) <= 2.0 * MAX_FACES * len(meshes)
    again = robot_meshes()
    assert [mesh.link for mesh in again] == [mesh.link for mesh in meshes]
