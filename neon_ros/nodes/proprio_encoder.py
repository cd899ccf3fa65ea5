"""Node ``proprio_encoder``: joints and IMU to features."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sensor_msgs.msg import Imu, JointState

from neon_ros.bridge import topics
from neon_ros.bridge.features import features_to_msg
from neon_ros.bridge.robot import Inertial, imu_from_msg, joints_from_msg
from neon_ros.contracts import Features
from neon_ros.nodes.following import FollowedHeads
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import ProprioEncoderParameters
from neon_ros.robot.joints import NUM_JOINTS
from neon_ros.sense.stream import Newest, RateLimit
from neon_ros_msgs.msg import Features as FeaturesMsg

_STILL, _UPRIGHT = np.zeros(NUM_JOINTS), (0.0, 0.0, -1.0)


class ProprioEncoderNode(Stage[ProprioEncoderParameters]):
    """Subscribe ``joint_states`` and ``imu``, publish ``features/proprio`` with the joints as tensor ``q``."""

    def __init__(self) -> None:
        super().__init__("proprio_encoder", ProprioEncoderParameters)

    def setup(self, config: ProprioEncoderParameters) -> None:
        """Load the encoder, then listen."""
        self._heads = FollowedHeads(
            self, config, lambda head: head.encode_proprio(_STILL, _STILL, _UPRIGHT, np.zeros(3))
        )
        self._imu: Inertial | None = None
        self._newest, self._limit = Newest("joint_states"), RateLimit(config.rate)
        self._features = self.create_publisher(FeaturesMsg, topics.features_topic("proprio"), topics.SENSOR_OUT)
        self.create_subscription(Imu, topics.IMU, self.guarded(self._on_imu), topics.SENSOR_IN)
        self.create_subscription(JointState, topics.JOINT_STATES, self.guarded(self._on_joints), topics.SENSOR_IN)
        self.watch("joint_states and imu", config.timeout)

    def _on_imu(self, msg: Any) -> None:
        self._imu = imu_from_msg(msg)

    def _on_joints(self, msg: Any) -> None:
        joints = joints_from_msg(msg)
        self._newest.check(joints.stamp_ns)
        if self._imu is None or abs(joints.stamp_ns - self._imu.stamp_ns) > self.config.timeout * 1e9:
            return  # the watch reports a silence of either
        self.health.heard = time.monotonic()
        if not self._limit.passes(joints.stamp_ns):
            return
        started = time.perf_counter()
        felt = (joints.q, joints.dq, self._imu.gravity(), self._imu.gyroscope)
        tensors = self._heads.encode(lambda head: head.encode_proprio(*felt))
        tensors["q"] = joints.q.astype(np.float32)
        self._features.publish(features_to_msg(Features(joints.stamp_ns, "proprio", self.model_id, tensors)))
        self.finished("proprio", joints.stamp_ns, started)


main = main_of("proprio_encoder", ProprioEncoderNode)

if __name__ == "__main__":
    main()
