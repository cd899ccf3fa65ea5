"""A robot figure in the browser scene: one frame and one mesh per link, moved by forward kinematics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neon_ros.show.meshes import LinkMesh

if TYPE_CHECKING:
    import viser


def quaternions_wxyz(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit quaternions w x y z of rotation matrices.

    Source: S. W. Shepperd, "Quaternion from rotation matrix" (1978): of four formulas the best conditioned one.

    :param rotations: (..., 3, 3).
    :returns: (..., 4), w not negative.
    """
    m = np.asarray(rotations, dtype=np.float64)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    # Row k holds 4 q_k q, whose diagonal is 4 q_k^2; the largest of these is taken.
    rows = np.stack(
        [
            np.stack([1.0 + xx + yy + zz, wx, wy, wz], axis=-1),
            np.stack([wx, 1.0 + xx - yy - zz, xy, xz], axis=-1),
            np.stack([wy, xy, 1.0 - xx + yy - zz, yz], axis=-1),
            np.stack([wz, xz, yz, 1.0 - xx - yy + zz], axis=-1),
        ],
        axis=-2,
    )
    best = np.einsum("...ii->...i", rows).argmax(axis=-1)
    quaternions = np.take_along_axis(rows, best[..., None, None], axis=-2)[..., 0, :]
    quaternions = quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True)
    return np.where(quaternions[..., :1] < 0.0, -quaternions, quaternions)


SMALLEST_MOVE = 1e-4
"""Change of an entry of a pose, metres or radians, that is worth a message."""
_HOME = np.eye(4)


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
        self._place: NDArray[np.float64] | None = None
        self._last = np.full((len(self._frames), 4, 4), np.inf)  # nothing is where it should be

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
        if self._place is not None and np.abs(self._place - root_pose).max() < SMALLEST_MOVE:
            return
        self._place = root_pose.copy()
        self._root.position = root_pose[:3, 3]
        self._root.wxyz = quaternions_wxyz(root_pose[:3, :3])

    def pose(self, link_poses: Mapping[str, NDArray[np.float64]]) -> None:
        """Move each drawn link; links that have not moved cost nothing.

        :param link_poses: link name to (4, 4) in the pelvis frame [m].
        """
        poses = np.stack([link_poses.get(link, _HOME) for link in self._frames])
        moved = np.flatnonzero(np.abs(poses - self._last).max(axis=(1, 2)) >= SMALLEST_MOVE)
        if not len(moved):
            return
        self._last[moved] = poses[moved]
        frames = list(self._frames.values())
        for row, turn in zip(moved, quaternions_wxyz(poses[moved][:, :3, :3]), strict=True):
            frames[row].position = poses[row, :3, 3]
            frames[row].wxyz = turn
