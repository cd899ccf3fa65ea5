"""Node ``view``: everything in a browser, and the predicted paths as markers for RViz."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from nav_msgs.msg import Path
from numpy.typing import NDArray
from sensor_msgs.msg import Image, Imu, JointState, PointCloud2
from std_msgs.msg import String
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from neon_ros.bridge import topics
from neon_ros.bridge.chunk import chunk_from_msg
from neon_ros.bridge.features import latency_from_msg
from neon_ros.bridge.markers import markers_to_msg, path_to_msg, solids_from_msg
from neon_ros.bridge.robot import imu_from_msg, joints_from_msg
from neon_ros.bridge.sensors import cloud_from_msg, image_from_msg
from neon_ros.errors import NeonError, Refused, refuse
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import ViewParameters
from neon_ros.robot.kinematics import Kinematics
from neon_ros.sense.instruction import checked_instruction
from neon_ros.sense.points import transformed
from neon_ros.sense.poses import matrix_from_pose
from neon_ros.show.browser import BrowserView, ViewConfig, WorldObject
from neon_ros.show.markers import HANDS, prediction_markers, state_marker, velocity_marker
from neon_ros.show.panel import Latency, Status
from neon_ros.show.prediction import Prediction, predict
from neon_ros_msgs.msg import ActionChunk, GuardReport, StageLatency

ANSWER_TIMEOUT = 20.0
"""Longest wait for arm, disarm or stop to be answered [s]."""


class ViewNode(Stage[ViewParameters]):
    """Subscribe everything, publish ``predicted/*``, and pass the operator's words and buttons on."""

    def __init__(self) -> None:
        super().__init__("view", ViewParameters)

    def setup(self, config: ViewParameters) -> None:
        """Open the page, then listen."""
        self._kinematics = Kinematics()
        self._q: NDArray[np.float64] | None = None
        self._before: Prediction | None = None
        self._view: BrowserView | None = None
        self._instruction = self.create_publisher(String, topics.INSTRUCTION, topics.LATCHED)
        self._operator = {kind: self.create_client(Trigger, kind) for kind in (topics.ARM, topics.DISARM, topics.STOP)}
        self._markers = self.create_publisher(MarkerArray, topics.PREDICTED_MARKERS, topics.EVERY_OUT)
        self._paths = [self.create_publisher(Path, f"predicted/{side}_path", topics.EVERY_OUT) for side, _ in HANDS]
        if config.browser:
            page = ViewConfig(host=config.host, port=config.port, rate=config.rate)
            self._view = BrowserView(page, self._kinematics, self._say, self._operate)
            self.get_logger().info(f"open {self._view.address} in a browser")
            self.create_timer(1.0 / config.rate, self._view.refresh)
        listeners: tuple[tuple[Any, str, Callable[[Any], None], Any], ...] = (
            (JointState, topics.JOINT_STATES, self._on_joints, topics.SENSOR_IN),
            (Imu, topics.IMU, self._on_imu, topics.SENSOR_IN),
            (Image, topics.IMAGE, self._on_image, topics.SENSOR_IN),
            (PointCloud2, topics.POINTS, self._on_points, topics.SENSOR_IN),
            (ActionChunk, topics.ACTION_CHUNK, self._on_chunk, topics.SENSOR_IN),
            (GuardReport, topics.GUARD_REPORT, self._on_report, topics.SENSOR_IN),
            (StageLatency, topics.LATENCY, self._on_latency, topics.EVERY_IN),
            (String, topics.INSTRUCTION, self._on_instruction, topics.LATCHED),
            (MarkerArray, topics.SCENE, self._on_scene, topics.EVERY_IN),
        )
        for kind, topic, callback, qos in listeners:
            self.create_subscription(kind, topic, self.guarded(callback), qos)
        self.watch("joint_states", 2.0)

    def destroy_node(self) -> None:
        """Close the page."""
        view: BrowserView | None = getattr(self, "_view", None)
        if view is not None:
            view.close()
        super().destroy_node()

    # the operator, from the browser's own threads ---------------------------------------------------------------

    def _say(self, text: str) -> None:
        try:
            self._instruction.publish(String(data=checked_instruction(text)))
        except NeonError as error:
            self.get_logger().warning(str(error))

    def _operate(self, kind: str) -> str:
        client = self._operator[kind]
        if not client.service_is_ready():
            return refuse(kind, "no g1_command", "a running g1_command")
        answered = threading.Event()
        future = client.call_async(Trigger.Request())
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(ANSWER_TIMEOUT):
            return refuse(kind, f"no answer in {ANSWER_TIMEOUT:g} s", "an answer")
        answer = future.result()
        return f"{kind}: {'done' if answer.success else 'refused'}: {answer.message}"

    # the topics -------------------------------------------------------------------------------------------------

    def _on_joints(self, msg: Any) -> None:
        self._q = joints_from_msg(msg).q
        self.health.heard = time.monotonic()
        if self._view:
            self._view.set_joints(self._q)

    def _on_imu(self, msg: Any) -> None:
        if self._view:
            pose = np.concatenate([np.zeros(3), imu_from_msg(msg).quaternion_xyzw])
            self._view.set_orientation(matrix_from_pose(pose)[:3, :3])

    def _on_image(self, msg: Any) -> None:
        if self._view and self._view.watchers:
            self._view.set_camera(image_from_msg(msg).rgb)

    def _on_points(self, msg: Any) -> None:
        if not (self._view and self._view.watchers) or self._q is None:
            return
        cloud = cloud_from_msg(msg)
        poses = self._kinematics.poses(self._q)
        if cloud.frame not in poses:
            raise Refused(refuse("points.frame_id", cloud.frame, "a frame of the robot"))
        self._view.set_points(transformed(cloud.points, poses[cloud.frame]))

    def _on_chunk(self, msg: Any) -> None:
        if self._q is None:
            return
        chunk = chunk_from_msg(msg)
        prediction = predict(self._kinematics, self._q, chunk)
        markers = [*prediction_markers(prediction, self._before), velocity_marker(chunk.base_velocity[-1])]
        self._before = prediction
        self._markers.publish(markers_to_msg(chunk.stamp_ns, markers))
        for publisher, path in zip(self._paths, prediction.palms, strict=True):
            publisher.publish(path_to_msg(chunk.stamp_ns, path, chunk.dt))
        if self._view:
            self._view.set_prediction(prediction)

    def _on_report(self, msg: Any) -> None:
        self._markers.publish(markers_to_msg(self.get_clock().now().nanoseconds, [state_marker(msg.state, msg.reason)]))
        if self._view:
            limits = tuple(zip(msg.limited_joints, msg.limited_reasons, strict=False))
            counts = (msg.chunks_admitted, msg.chunks_refused, msg.last_refusal, msg.commands_sent)
            status = Status(
                msg.state, msg.reason, msg.mode, msg.mode_machine, *counts, msg.chunk_age, limits, msg.limit_count
            )
            self._view.set_status(status)

    def _on_latency(self, msg: Any) -> None:
        if self._view:
            latency = latency_from_msg(msg)
            self._view.set_latency(latency.stage, Latency(latency.compute, latency.since_capture))

    def _on_instruction(self, msg: Any) -> None:
        if self._view:
            self._view.set_instruction(checked_instruction(msg.data))

    def _on_scene(self, msg: Any) -> None:
        if self._view:
            self._view.set_world([_world_object(solid) for solid in solids_from_msg(msg)])


def _world_object(solid: Any) -> WorldObject:
    rgb = tuple(round(255 * channel) for channel in solid.rgb)
    place, turn = tuple(solid.position.tolist()), tuple(solid.quaternion_wxyz.tolist())
    return WorldObject(solid.name, solid.shape, solid.size, rgb, place, turn)


main = main_of("view", ViewNode)

if __name__ == "__main__":
    main()
