"""The 3D scene of the browser view: robot, ghost, paths, LiDAR points and the simulated things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.show.figure import RobotFigure, quaternions_wxyz
from neon_ros.show.labels import stacked
from neon_ros.show.markers import COLOUR_OF
from neon_ros.show.meshes import LinkMesh
from neon_ros.show.palette import DARK, GREEN, GREY, ORANGE, SKY, VERMILION, time_ramp
from neon_ros.show.prediction import TRACKED, Prediction, along, dashes

if TYPE_CHECKING:
    import viser

STANDING_HEIGHT = 0.793  # [m] pelvis above the floor, Menagerie's keyframe "stand"
MOST_LIMITS = 8  # labels at joints at one time
LINE = 0.05  # [m] between two labels, one above the other
MOST_POINTS = 20_000  # of a cloud that are drawn; a denser one is thinned
WIDE = (1.45, -0.95, 1.65), (0.2, 0.05, 0.85)  # [m] where the camera stands, and what it looks at
TALL = (1.8, -1.23, 1.63), (0.2, 0.05, 0.6)
_HALF_TICK = np.array([0.0, 0.0, 0.04])  # [m] of the mark where a limit acts
_LOW, _HIGH = np.array([[68, 1, 84]]), np.array([[53, 183, 121]])  # ends of the colour of height, after viridis


def stand_back(client: Any) -> None:
    """Step back in a window that is taller than wide, as on a phone, whose lower half the panel takes."""
    if client.camera.aspect < 1.0:
        client.camera.position, client.camera.look_at = TALL


class WorldObject(NamedTuple):
    """A thing of the simulated world, drawn for orientation only; no policy sees this.

    :param shape: ``box``, ``sphere`` or ``cylinder``.
    :param size: full extents x, y, z [m].
    :param position: pelvis frame (3,) [m].
    :param wxyz: pelvis frame (4,).
    """

    name: str
    shape: str
    size: tuple[float, float, float]
    rgb: tuple[int, int, int]
    position: tuple[float, float, float]
    wxyz: tuple[float, float, float, float]


class RobotScene:
    """What is drawn, under names that are replaced and never pile up.

    :param server: the viser server.
    :param meshes: what to draw per link.
    """

    def __init__(self, server: viser.ViserServer, meshes: Sequence[LinkMesh]) -> None:
        self._server = server
        scene = server.scene
        scene.set_up_direction("+z")
        scene.add_grid("/floor", width=6.0, height=6.0, cell_size=0.25, plane="xy")
        self._robot = RobotFigure(server, "/robot", meshes)
        ghost = [mesh for mesh in meshes if any(part in mesh.link for part in ("shoulder", "elbow", "wrist"))]
        self._ghost = RobotFigure(server, "/ghost", ghost, rgb=GREEN, opacity=0.35)
        self._ghost.visible = False
        self._pelvis = scene.add_frame("/pelvis", show_axes=False)
        self._lines: dict[str, Any] = {}
        self._labels: dict[str, Any] = {}
        self._points: Any = None
        self._world: dict[str, tuple[object, Any]] = {}
        server.initial_camera.position, server.initial_camera.look_at = WIDE
        server.initial_camera.fov = np.deg2rad(45.0)
        server.on_client_connect(stand_back)
        self._root = np.eye(4)

    def place(self, root: NDArray[np.float64], poses: Mapping[str, NDArray[np.float64]]) -> None:
        """Show the robot.

        :param root: pose of the pelvis in the world (4, 4).
        :param poses: link name to (4, 4) in the pelvis frame.
        """
        if np.abs(self._root - root).max() >= 1e-4 or not self._root[2, 3]:
            self._root = root.copy()
            self._robot.place(root)
            self._ghost.place(root)
            self._pelvis.position = root[:3, 3]
            self._pelvis.wxyz = quaternions_wxyz(root[:3, :3])
        self._robot.pose(poses)

    def draw_chunk(self, now: Prediction | None, before: Prediction | None, blend: tuple[float, float] | None) -> None:
        """Show the ghost at a chunk's end, its paths, those of the chunk before in grey, and where they blend."""
        self._ghost.visible = now is not None
        if now is not None:
            self._ghost.pose(now.end)
        for number, (name, _, _) in enumerate(TRACKED):
            path = None if now is None else now.paths[number]
            colors = None if path is None else 255.0 * time_ramp(COLOUR_OF[name], len(path))
            self._draw_line(f"new_{name}", path, colors, 0.009)
            self._draw_segments(f"old_{name}", None if before is None else dashes(before.paths[number]), GREY, 0.006)
            part = along(now, *blend)[number] if now is not None and before is not None and blend else None
            self._draw_line(f"blend_{name}", part, ORANGE, 0.018)
        for number, (name, _, _) in enumerate(TRACKED[:2]):
            text = "" if now is None else f"{name} +{now.seconds[-1]:.2f} s"
            place = np.zeros(3) if now is None else now.paths[number, -1] - [0.0, 0.0, 0.04]
            self._label(f"end_{name}", text, place)

    def draw_trail(self, commanded: NDArray[np.float64], measured: NDArray[np.float64]) -> None:
        """Show where the palms were commanded to be and where they were (2, N, 3) each, pelvis frame [m]."""
        for number, (name, _, _) in enumerate(TRACKED[:2]):
            self._draw_line(f"measured_{name}", measured[number] if len(measured) else None, SKY, 0.008)
            self._draw_line(f"commanded_{name}", commanded[number] if len(commanded) else None, DARK, 0.004)

    def draw_limits(self, limits: Mapping[str, NDArray[np.float64]]) -> None:
        """Show a label at each place where a limit acts; text to place (3,) in the pelvis frame."""
        for slot, (text, place) in enumerate(zip(limits, stacked(list(limits.values()), LINE), strict=True)):
            self._label(f"limit_{slot}", text, place + _HALF_TICK)
        for slot in range(len(limits), MOST_LIMITS):
            self._label(f"limit_{slot}", "", np.zeros(3))
        ends = [np.stack([place - _HALF_TICK, place + _HALF_TICK]) for place in limits.values()]
        self._draw_segments("limits", np.stack(ends) if ends else None, VERMILION, 0.03)

    def draw_velocity(self, velocity: NDArray[np.float64] | None) -> None:
        """Show the base velocity as a line one second long; none where the base is to stand."""
        line = None
        if velocity is not None and np.hypot(velocity[0], velocity[1]) > 0.01:
            end = np.array([velocity[0], velocity[1], 0.0])
            tip = end / np.linalg.norm(end) * 0.06
            side = np.array([-tip[1], tip[0], 0.0]) / 2.0
            line = np.array([[np.zeros(3), end], [end - tip + side, end], [end - tip - side, end]])
        self._draw_segments("velocity", line, GREEN, 0.012)

    def draw_points(self, points: NDArray[np.float32]) -> None:
        """Show LiDAR points (N, 3) in the pelvis frame [m], by height from purple to green; none clears them."""
        if len(points) > MOST_POINTS:
            points = points[:: -(-len(points) // MOST_POINTS)]
        height = np.clip((points[:, 2:3] + STANDING_HEIGHT) / 1.6, 0.0, 1.0) if len(points) else np.zeros((0, 1))
        colors = (_LOW * (1 - height) + _HIGH * height).astype(np.uint8)
        if not len(points):
            if self._points is not None:
                self._points.visible = False
            return
        if self._points is None:
            self._points = self._server.scene.add_point_cloud(
                "/pelvis/points", points.astype(np.float16), colors, point_size=0.006, point_shape="circle"
            )
            return
        self._points.points, self._points.colors = points.astype(np.float16), colors
        self._points.visible = True

    def draw_world(self, objects: Sequence[WorldObject]) -> None:
        """Show the simulated things; those that are gone go."""
        for name in set(self._world) - {item.name for item in objects}:
            self._world.pop(name)[1].remove()
        for item in objects:
            look = (item.shape, item.size, item.rgb)
            if self._world.get(item.name, (None, None))[0] != look:
                self._world[item.name] = (look, self._add_shape(item))
            handle = self._world[item.name][1]
            handle.position, handle.wxyz = np.array(item.position), np.array(item.wxyz)

    def _add_shape(self, item: WorldObject) -> Any:
        scene, name = self._server.scene, f"/pelvis/{item.name}"
        if item.shape == "sphere":
            return scene.add_icosphere(name, radius=item.size[0] / 2, color=item.rgb)
        if item.shape == "cylinder":
            return scene.add_cylinder(name, radius=item.size[0] / 2, height=item.size[2], color=item.rgb)
        return scene.add_box(name, dimensions=item.size, color=item.rgb)

    def _draw_line(self, name: str, path: NDArray[np.float64] | None, colors: Any, width: float) -> None:
        if path is None or len(path) < 2:
            self._draw_segments(name, None, colors, width)
            return
        if isinstance(colors, np.ndarray):
            colors = np.stack([colors[:-1], colors[1:]], axis=1)
        self._draw_segments(name, np.stack([path[:-1], path[1:]], axis=1), colors, width)

    def _draw_segments(self, name: str, segments: NDArray[np.float64] | None, colors: Any, width: float) -> None:
        """Draw or replace line segments (N, 2, 3) in the pelvis frame; ``None`` hides them."""
        handle = self._lines.get(name)
        if segments is None or not len(segments):
            if handle is not None and handle.visible:
                handle.visible = False
            return
        if isinstance(colors, np.ndarray):
            colors = colors.astype(np.uint8)
        else:
            colors = np.broadcast_to(np.array(colors, np.uint8), (*segments.shape[:2], 3))
        if handle is None:
            self._lines[name] = self._server.scene.add_line_segments(
                f"/pelvis/{name}", segments.astype(np.float32), colors, thickness=width
            )
            return
        handle.points, handle.colors = segments.astype(np.float32), colors
        if not handle.visible:
            handle.visible = True

    def _label(self, name: str, text: str, place: NDArray[np.float64]) -> None:
        """Write ``text`` at ``place`` (3,) in the pelvis frame; nothing hides it."""
        handle = self._labels.get(name)
        if not text:
            if handle is not None and handle.visible:
                handle.visible = False
            return
        if handle is None:
            handle = self._labels[name] = self._server.scene.add_label(f"/pelvis/{name}", text)
        if handle.text != text:
            handle.text = text
        handle.position = place
        if not handle.visible:
            handle.visible = True
