"""The browser view: robot, ghost of the chunk's end, predicted hand paths, camera, LiDAR, status and buttons.

Setters only keep the newest data; :meth:`BrowserView.refresh` sends what has changed, and nothing while nobody
watches.  The server listens on loopback unless told otherwise and asks nothing of the internet.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, refuse
from neon_ros.show.figure import RobotFigure
from neon_ros.show.markers import HANDS
from neon_ros.show.meshes import robot_meshes
from neon_ros.show.panel import Latency, Status, latency_markdown, status_markdown
from neon_ros.show.prediction import PalmKinematics, Prediction

STANDING_HEIGHT = 0.793  # [m] pelvis above the floor, Menagerie's keyframe "stand"


class ViewKinematics(PalmKinematics, Protocol):
    """The part of :class:`neon_ros.robot.kinematics.Kinematics` that the view needs."""

    def poses(self, q: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return link name to pose (4, 4) in the pelvis frame for ``q`` (29,) [rad]."""


@dataclass(frozen=True)
class ViewConfig:
    """Where the view listens and how often it is refreshed.

    :param host: address to listen on; anything but loopback lets the network see and operate the robot.
    :param port: TCP port, 1024 to 65535.
    :param rate: scene refreshes per second [Hz].
    """

    host: str = "127.0.0.1"
    port: int = 8080
    rate: float = 20.0

    def __post_init__(self) -> None:
        if not 1024 <= self.port <= 65535:
            raise ConfigError(refuse("view port", self.port, "1024 to 65535"))
        if not 1.0 <= self.rate <= 60.0:
            raise ConfigError(refuse("view rate", self.rate, "1 to 60 Hz"))


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


class BrowserView:
    """The view and its controls.

    :param config: address and rate.
    :param kinematics: forward kinematics of the G1.
    :param on_instruction: called with the text of the instruction box (from a viser thread).
    :param on_operator: called with ``arm``, ``disarm`` or ``stop`` and returns what to tell the operator.
    :raises ConfigError: when the port is taken.
    """

    def __init__(
        self,
        config: ViewConfig,
        kinematics: ViewKinematics,
        on_instruction: Callable[[str], None],
        on_operator: Callable[[str], str],
    ) -> None:
        _refuse_taken_port(config)
        import viser

        self._kinematics = kinematics
        self._on_operator = on_operator
        self._server = viser.ViserServer(host=config.host, port=config.port, label="neon_ros", verbose=False)
        self.address = f"http://{config.host}:{config.port}"
        meshes = robot_meshes()
        self._build_scene(meshes)
        self._build_panel(on_instruction)
        self._q: NDArray[np.float64] | None = None
        self._root = np.eye(4)
        self._root[2, 3] = STANDING_HEIGHT
        self._prediction: Prediction | None = None
        self._previous: Prediction | None = None
        self._status: Status | None = None
        self._latencies: dict[str, Latency] = {}
        self._fresh: dict[str, Any] = {}
        self._world: dict[str, Any] = {}
        self._things: list[str] = []

    @property
    def watchers(self) -> int:
        """Number of browsers connected now."""
        return len(self._server.get_clients())

    def set_joints(self, q: NDArray[np.float64]) -> None:
        """Show the robot at ``q`` (29,) [rad]."""
        self._q = q
        self._fresh["robot"] = True

    def set_orientation(self, rotation: NDArray[np.float64]) -> None:
        """Show the pelvis turned by ``rotation`` (3, 3), pelvis to world."""
        self._root[:3, :3] = rotation
        self._fresh["robot"] = True

    def set_camera(self, image: NDArray[np.uint8]) -> None:
        """Show the camera picture (H, W, 3) RGB."""
        self._fresh["camera"] = image

    def set_points(self, points: NDArray[np.float32]) -> None:
        """Show LiDAR points (N, 3) in the pelvis frame [m]; none clears them."""
        self._fresh["points"] = points

    def set_prediction(self, prediction: Prediction) -> None:
        """Show the palms' predicted paths; those of the chunk before turn grey."""
        self._previous, self._prediction = self._prediction, prediction
        self._fresh["chunk"] = True

    def set_status(self, status: Status) -> None:
        """Show the guard's state."""
        self._status = status
        self._fresh["status"] = True

    def set_latency(self, stage: str, latency: Latency) -> None:
        """Show how long a stage took."""
        self._latencies[stage] = latency
        self._fresh["latency"] = True

    def set_instruction(self, text: str) -> None:
        """Show the instruction in force."""
        self._fresh["instruction"] = text

    def set_world(self, objects: Sequence[WorldObject]) -> None:
        """Show the simulated world's objects."""
        self._fresh["world"] = list(objects)
        things = [item.name for item in objects if " " in item.name]  # "red cube"; furniture has one word
        if things != self._things:
            self._things = things
            self._fresh["things"] = f"on the table: {', '.join(things)}" if things else ""

    def refresh(self) -> None:
        """Send what has changed since the last call; call at ``config.rate``."""
        if not self.watchers:
            return
        fresh, self._fresh = self._fresh, {}
        with self._server.atomic():
            if "robot" in fresh and self._q is not None:
                self._robot.place(self._root)
                self._robot.pose(self._kinematics.poses(self._q))
                self._points_frame.position = self._root[:3, 3]
            if "chunk" in fresh:
                self._draw_chunk()
            if "points" in fresh:
                self._draw_points(fresh["points"])
            if "world" in fresh:
                self._draw_world(fresh["world"])
        if "camera" in fresh:
            self._camera.image = fresh["camera"]
        if "status" in fresh and self._status is not None:
            self._status_text.content = status_markdown(self._status)
        if "latency" in fresh:
            self._latency_text.content = latency_markdown(self._latencies)
        if "things" in fresh:
            self._things_text.content = fresh["things"]
        if "instruction" in fresh:
            self._said.content = f"told: “{fresh['instruction'][:200]}”"

    def close(self) -> None:
        """Stop listening."""
        self._server.stop()

    def _build_scene(self, meshes: Sequence[Any]) -> None:
        scene = self._server.scene
        scene.set_up_direction("+z")
        scene.add_grid("/floor", width=6.0, height=6.0, cell_size=0.25, plane="xy")
        self._robot = RobotFigure(self._server, "/robot", meshes)
        ghost = [mesh for mesh in meshes if any(part in mesh.link for part in ("shoulder", "elbow", "wrist"))]
        self._ghost = RobotFigure(self._server, "/ghost", ghost, rgb=(0, 158, 115), opacity=0.35)
        self._ghost.visible = False
        self._points_frame = scene.add_frame("/lidar", show_axes=False)
        self._server.initial_camera.position = (1.45, -0.95, 1.65)
        self._server.initial_camera.look_at = (0.2, 0.05, 0.85)
        self._server.initial_camera.fov = np.deg2rad(45.0)

    def _build_panel(self, on_instruction: Callable[[str], None]) -> None:
        gui = self._server.gui
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.set_panel_label("neon_ros")
        stop = gui.add_button("STOP (S)", color="red", hint="Stop the robot now; it stays stopped until re-armed")
        self._answer = gui.add_markdown("")
        self._status_text = gui.add_markdown("waiting for the first report")
        stop.on_click(lambda _: self._operate("stop"))
        gui.add_command("Stop the robot", hotkey="S").on_trigger(lambda _: self._operate("stop"))
        arming = gui.add_button_group("Robot", ("Arm", "Disarm"))
        arming.on_click(lambda event: self._operate(str(event.target.value).lower()))
        with gui.add_form("Instruction") as form:
            box = gui.add_text("Say", "touch the red cube with your left hand")
            send = gui.add_button("Send (Enter)")
        self._things_text = gui.add_markdown("")
        self._said = gui.add_markdown("")

        def said(_: object) -> None:
            self._said.content = f"sent: “{box.value[:200]}”"
            on_instruction(box.value)

        form.on_submit(said)
        send.on_click(said)
        picture = np.zeros((120, 212, 3), dtype=np.uint8)
        self._camera = gui.add_image(picture, label="Head camera", format="jpeg", jpeg_quality=80)
        with gui.add_folder("Latency"):
            self._latency_text = gui.add_markdown(latency_markdown({}))

    def _operate(self, kind: str) -> None:
        self._answer.content = f"{kind}: {self._on_operator(kind)}"

    def _draw_chunk(self) -> None:
        if self._prediction is None:
            return
        self._ghost.visible = True
        self._ghost.place(self._root)
        self._ghost.pose(self._kinematics.poses(self._prediction.q[-1]))
        for hand, (side, rgb) in enumerate(HANDS):
            self._draw_path(f"/paths/{side}", self._prediction.palms[hand], rgb, fade=True)
            if self._previous is not None:
                self._draw_path(f"/paths/previous_{side}", self._previous.palms[hand], (130, 130, 130), fade=False)

    def _draw_path(self, name: str, path: NDArray[np.float64], rgb: tuple[int, int, int], fade: bool) -> None:
        world = path @ self._root[:3, :3].T + self._root[:3, 3]
        segments = np.stack([world[:-1], world[1:]], axis=1).astype(np.float32)
        share = np.linspace(0.0, 0.5, 2 * len(segments)).reshape(-1, 2, 1) if fade else np.zeros((len(segments), 2, 1))
        colors = (np.array(rgb) * (1 - share) + 255 * share).astype(np.uint8)
        self._server.scene.add_line_segments(name, segments, colors, thickness=0.01 if fade else 0.003)

    def _draw_points(self, points: NDArray[np.float32]) -> None:
        height = np.clip((points[:, 2] + STANDING_HEIGHT) / 1.6, 0.0, 1.0)[:, None] if len(points) else np.zeros((0, 1))
        colors = (np.array([[68, 1, 84]]) * (1 - height) + np.array([[53, 183, 121]]) * height).astype(np.uint8)
        self._server.scene.add_point_cloud(
            "/lidar/points", points.astype(np.float32), colors, point_size=0.006, point_shape="circle"
        )

    def _draw_world(self, objects: Sequence[WorldObject]) -> None:
        rotation, origin = self._root[:3, :3], self._root[:3, 3]
        gone = set(self._world) - {item.name for item in objects}
        for name in gone:
            self._world.pop(name)[1].remove()
        for item in objects:
            look = (item.shape, item.size, item.rgb)
            if self._world.get(item.name, (None,))[0] != look:
                self._world[item.name] = (look, self._add_shape(item))
            handle = self._world[item.name][1]
            handle.position = rotation @ np.array(item.position) + origin
            handle.wxyz = np.array(item.wxyz)

    def _add_shape(self, item: WorldObject) -> Any:
        scene, name = self._server.scene, f"/world/{item.name}"
        if item.shape == "sphere":
            return scene.add_icosphere(name, radius=item.size[0] / 2, color=item.rgb)
        if item.shape == "cylinder":
            return scene.add_cylinder(name, radius=item.size[0] / 2, height=item.size[2], color=item.rgb)
        return scene.add_box(name, dimensions=item.size, color=item.rgb)


def _refuse_taken_port(config: ViewConfig) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as error:
            got = f"{config.host}:{config.port} ({error.strerror})"
            raise ConfigError(refuse("view address", got, "a free port, e.g. view_port:=8081")) from error
