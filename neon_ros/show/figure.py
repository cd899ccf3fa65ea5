"""A robot figure in the browser scene: one frame and one mesh per link, moved by forward kinematics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neon_ros.show.meshes import LinkMesh

if TYPE_CHECKING:
    import viser


def quaternion_wxyz(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit quaternion w x y z of a rotation matrix.

    Source: Bar-Itzhack, "New method for extracting the quaternion from a rotation matrix" (2000), as an eigenvector.

    :param rotation: (3, 3).
    :returns: (4,), w not negative.
    """
    r = rotation
    k = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2]],
            [r[0, 2] - r[2, 0], r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2]],
            [r[1, 0] - r[0, 1], r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    quaternion = np.linalg.eigh(k)[1][:, -1]
    return quaternion if quaternion[0] >= 0 else -quaternion


class RobotFigure:
    """The links of one robot (or its ghost) under a scene node.

    :param server: the viser server.
    :param root: name of the scene node, e.g. ``/robot``.
    :param meshes: what to draw per link.
    :param rgb: one colour for all links; ``None`` keeps each mesh's own.
    :param opacity: 0 (invisible) to 1; ``None`` is solid.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        root: str,
        meshes: Sequence[LinkMesh],
        rgb: tuple[int, int, int] | None = None,
        opacity: float | None = None,
    ) -> None:
        self._root = server.scene.add_frame(root, show_axes=False)
        self._frames: dict[str, viser.FrameHandle] = {}
        for i, mesh in enumerate(meshes):
            name = f"{root}/{mesh.link}"
            if mesh.link not in self._frames:
                self._frames[mesh.link] = server.scene.add_frame(name, show_axes=False)
            server.scene.add_mesh_simple(
                f"{name}/mesh{i}", mesh.vertices, mesh.faces, color=rgb or mesh.rgb, opacity=opacity
            )
        self._last: dict[str, NDArray[np.float64]] = {}

    @property
    def visible(self) -> bool:
        """Whether the figure is drawn."""
        return bool(self._root.visible)

    @visible.setter
    def visible(self, value: bool) -> None:
        if value != self._root.visible:
            self._root.visible = value

    def place(self, root_pose: NDArray[np.float64]) -> None:
        """Put the pelvis at ``root_pose`` (4, 4) in the world [m]."""
        self._root.position = root_pose[:3, 3]
        self._root.wxyz = quaternion_wxyz(root_pose[:3, :3])

    def pose(self, link_poses: Mapping[str, NDArray[np.float64]]) -> None:
        """Move each drawn link; links that have not moved cost nothing.

        :param link_poses: link name to (4, 4) in the pelvis frame [m].
        """
        for link, frame in self._frames.items():
            pose = link_poses.get(link)
            if pose is None:
                continue
            last = self._last.get(link)
            if last is not None and np.abs(last - pose).max() < 1e-4:
                continue
            self._last[link] = np.array(pose)
            frame.position = pose[:3, 3]
            frame.wxyz = quaternion_wxyz(pose[:3, :3])
