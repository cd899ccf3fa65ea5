"""Node ``lidar_encoder``: the newest cloud to features."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sensor_msgs.msg import PointCloud2

from neon_ros.bridge import topics
from neon_ros.bridge.features import features_to_msg
from neon_ros.bridge.sensors import cloud_from_msg
from neon_ros.contracts import DoubleArray, Features
from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.nodes.following import FollowedHeads
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import LidarEncoderParameters
from neon_ros.robot.kinematics import Kinematics
from neon_ros.sense.points import transformed
from neon_ros.sense.stream import Newest, RateLimit
from neon_ros_msgs.msg import Features as FeaturesMsg

TORSO = "torso_link"


class LidarEncoderNode(Stage[LidarEncoderParameters]):
    """Subscribe ``points`` in any frame that the torso carries, publish ``features/lidar``."""

    def __init__(self) -> None:
        super().__init__("lidar_encoder", LidarEncoderParameters)

    def setup(self, config: LidarEncoderParameters) -> None:
        """Load the encoder, then listen."""
        self._heads = FollowedHeads(self, config, lambda head: head.encode_lidar(np.zeros((0, 3))))
        self._kinematics = Kinematics()
        self._poses: dict[str, DoubleArray] = {}
        self._newest, self._limit = Newest("points"), RateLimit(config.rate)
        self._features = self.create_publisher(FeaturesMsg, topics.features_topic("lidar"), topics.SENSOR_OUT)
        self.create_subscription(PointCloud2, topics.POINTS, self.guarded(self._on_points), topics.SENSOR_IN)
        self.watch("points", config.timeout)

    def _on_points(self, msg: Any) -> None:
        cloud = cloud_from_msg(msg)
        self._newest.check(cloud.stamp_ns)
        self.health.heard = time.monotonic()
        if not self._limit.passes(cloud.stamp_ns):
            return
        started = time.perf_counter()
        points = transformed(cloud.points, self._pose(cloud.frame))
        tensors = self._heads.encode(lambda head: head.encode_lidar(points))
        self._features.publish(features_to_msg(Features(cloud.stamp_ns, "lidar", self.model_id, tensors)))
        self.finished("lidar", cloud.stamp_ns, started)

    def _pose(self, frame: str) -> DoubleArray:
        """Return ``torso_from_frame`` (4, 4); refuse a frame that moves against the torso."""
        if frame not in self._poses:
            try:
                link, pose = self._kinematics.mount(frame)
            except ConfigError as error:
                raise ContractError(str(error)) from error
            if link != TORSO:
                raise ContractError(refuse("points.frame_id", f"{frame}, carried by {link}", f"a frame on {TORSO}"))
            self._poses[frame] = pose
        return self._poses[frame]


main = main_of("lidar_encoder", LidarEncoderNode)

if __name__ == "__main__":
    main()
