"""What the view publishes for RViz, Foxglove and rqt: markers, paths, trajectory, joint states and description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from nav_msgs.msg import Path
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from neon_ros.bridge import topics
from neon_ros.bridge.markers import MarkerMessages, PathMessage, trajectory_to_msg
from neon_ros.bridge.robot import command_to_msg
from neon_ros.contracts import ActionChunk
from neon_ros.robot.capsules import CAPSULES
from neon_ros.robot.description import BODIES_29, urdf_of
from neon_ros.show.body import capsule_markers, ghost_markers, link_shapes
from neon_ros.show.labels import latency_markers, limit_markers, said_markers, state_marker
from neon_ros.show.markers import Marker, prediction_markers, trail_markers
from neon_ros.show.meshes import mesh_visuals
from neon_ros.show.panel import Latency, Status
from neon_ros.show.prediction import TRACKED, Prediction

Poses = Mapping[str, NDArray[np.float64]]
_ALL = np.ones(29, dtype=bool)


class PredictedTopics:
    """The publishers of ``node``, and what goes out on them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._markers = node.create_publisher(MarkerArray, topics.PREDICTED_MARKERS, topics.EVERY_OUT)
        self._capsules = node.create_publisher(MarkerArray, topics.PREDICTED_CAPSULES, topics.EVERY_OUT)
        self._trajectory = node.create_publisher(JointTrajectory, topics.PREDICTED_TRAJECTORY, topics.EVERY_OUT)
        self._joints = node.create_publisher(JointState, topics.PREDICTED_JOINT_STATES, topics.EVERY_OUT)
        self._description = node.create_publisher(String, topics.ROBOT_DESCRIPTION, topics.LATCHED)
        self._paths = [node.create_publisher(Path, topics.path_topic(name), topics.EVERY_OUT) for name, _, _ in TRACKED]
        self._write, self._ways = MarkerMessages(), [PathMessage() for _ in TRACKED]
        self._shapes = link_shapes()
        self._variant = 0
        self.describe(BODIES_29[0])

    def describe(self, mode_machine: int) -> None:
        """Publish the URDF of the variant that the robot reports, once; one without 29 joints is drawn as variant 5."""
        variant = mode_machine if mode_machine in BODIES_29 else BODIES_29[0]
        if variant != self._variant:
            self._variant = variant
            self._description.publish(String(data=urdf_of(variant, mesh_visuals())))

    def chunk(self, chunk: ActionChunk, now: Prediction, before: Prediction | None, blend: tuple[float, float]) -> None:
        """Publish where a chunk leads.

        :param before: the chunk before.
        :param blend: when the guard fades from it into this one, after the capture [s].
        """
        stamp_ns = chunk.stamp_ns
        if self._wanted(self._markers):
            markers = [*prediction_markers(now, before, blend), *ghost_markers(self._shapes, now.end, now.start)]
            self._markers.publish(self._write.array(stamp_ns, markers))
        if self._wanted(self._trajectory):
            self._trajectory.publish(trajectory_to_msg(stamp_ns, now.q, now.seconds))
        if self._wanted(self._joints):
            end_ns = stamp_ns + round(now.seconds[-1] * 1e9)
            self._joints.publish(command_to_msg(end_ns, now.q[-1], np.zeros(29), np.zeros(29), _ALL))
        for publisher, way, path in zip(self._paths, self._ways, now.paths, strict=True):
            if self._wanted(publisher):
                publisher.publish(way.path(stamp_ns, path, chunk.dt))

    def state(
        self,
        stamp_ns: int,
        status: Status | None,
        limits: Sequence[tuple[str, str]],
        words: tuple[str, str],
        latencies: Mapping[str, Latency],
        poses: Poses | None,
        trail: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> None:
        """Publish how things stand.

        :param limits: joint and reason of what was touched since the last call.
        :param words: instruction and reply.
        :param trail: commanded and measured palm paths (2, N, 3) each, pelvis frame [m].
        """
        if not self._wanted(self._markers):
            return
        markers: list[Marker] = [*said_markers(*words), *latency_markers(latencies), *trail_markers(*trail)]
        if status is not None:
            markers.append(state_marker(status.state, status.reason))
        if poses is not None:
            markers += limit_markers(limits, poses)
        self._markers.publish(self._write.array(stamp_ns, markers))

    def capsules(self, stamp_ns: int, poses: Poses) -> None:
        """Publish the robot's capsules."""
        if self._wanted(self._capsules):
            self._capsules.publish(self._write.array(stamp_ns, capsule_markers(CAPSULES, poses)))

    @staticmethod
    def _wanted(publisher: object) -> bool:
        """Return whether anybody listens; nothing is drawn for nobody."""
        return bool(publisher.get_subscription_count())  # type: ignore[attr-defined]
