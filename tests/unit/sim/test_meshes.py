"""Mesh thinning: the surface stays where it was, with fewer triangles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neon_ros.errors import ContractError
from neon_ros.sim.meshes import cluster, read_stl


def sphere(rings: int = 60) -> np.ndarray:
    """Return a closed sphere of radius 0.1 m as triangles (T, 3, 3)."""
    theta = np.linspace(0, np.pi, rings)
    phi = np.linspace(0, 2 * np.pi, 2 * rings)
    grid = np.stack(
        [
            np.outer(np.sin(theta), np.cos(phi)),
            np.outer(np.sin(theta), np.sin(phi)),
            np.outer(np.cos(theta), np.ones_like(phi)),
        ],
        axis=2,
    )
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    corners = np.concatenate([np.stack([a, b, c], 2).reshape(-1, 3, 3), np.stack([a, c, d], 2).reshape(-1, 3, 3)])
    return (0.1 * corners).astype(np.float32)


def write_stl(path: Path, triangles: np.ndarray, claim: int | None = None) -> None:
    """Write a binary STL that says it has ``claim`` triangles."""
    record = np.zeros(
        len(triangles), np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    )
    record["corners"] = triangles
    count = np.array([len(triangles) if claim is None else claim], "<u4")
    path.write_bytes(bytes(80) + count.tobytes() + record.tobytes())


def test_an_stl_comes_back_as_written(tmp_path: Path) -> None:
    triangles = sphere(8)
    write_stl(tmp_path / "a.STL", triangles)
    np.testing.assert_array_equal(read_stl(tmp_path / "a.STL"), triangles)


@pytest.mark.parametrize("content", [b"", bytes(80), bytes(84)])
def test_a_short_stl_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.STL").write_bytes(content)
    with pytest.raises(ContractError, match=r"STL file a\.STL: got \d+ bytes; allowed: \d+ bytes for"):
        read_stl(tmp_path / "a.STL")


def test_a_truncated_stl_is_refused(tmp_path: Path) -> None:
    write_stl(tmp_path / "a.STL", sphere(4), claim=1000)
    with pytest.raises(ContractError, match="50084 bytes for 1000 triangles"):
        read_stl(tmp_path / "a.STL")


def test_clustering_thins_and_keeps_the_surface() -> None:
    triangles = sphere()
    vertices, faces = cluster(triangles, 0.01)
    assert len(faces) < len(triangles) / 4
    assert faces.min() == 0 and faces.max() < len(vertices)
    radius = np.linalg.norm(vertices, axis=1)
    assert abs(radius - 0.1).max() < 0.01 * np.sqrt(3)


def test_no_degenerate_and_no_repeated_face() -> None:
    _, faces = cluster(sphere(), 0.02)
    ordered = np.sort(faces, axis=1)
    assert (np.diff(ordered, axis=1) > 0).all()
    assert len(np.unique(ordered, axis=0)) == len(faces)


@pytest.mark.parametrize("cell", [0.0, -1.0, float("nan")])
def test_a_cell_without_size_is_refused(cell: float) -> None:
    with pytest.raises(ContractError, match=r"mesh cell: got .*; allowed: a size above 0 m"):
        cluster(sphere(4), cell)
