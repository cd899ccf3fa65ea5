"""Node ``eef_encoder``: poses of both hands to features."""

from __future__ import annotations

import time
from typing import Any

from geometry_msgs.msg import PoseArray

from neon_ros.bridge import topics
from neon_ros.bridge.features import features_to_msg
from neon_ros.bridge.robot import hands_from_msg
from neon_ros.contracts import Features
from neon_ros.nodes.following import FollowedHeads
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import EefEncoderParameters
from neon_ros.sense.stream import Newest, RateLimit
from neon_ros_msgs.msg import Features as FeaturesMsg

_HANDS = [[0.3, side, 0.0, 0.0, 0.0, 0.0, 1.0] for side in (0.2, -0.2)]
"""Poses to try an encoder with: position [m], quaternion x y z w."""


class EefEncoderNode(Stage[EefEncoderParameters]):
    """Subscribe ``eef_poses``, publish ``features/eef``."""

    def __init__(self) -> None:
        super().__init__("eef_encoder", EefEncoderParameters)

    def setup(self, config: EefEncoderParameters) -> None:
        """Load the encoder, then listen."""
        self._heads = FollowedHeads(self, config, lambda head: head.encode_eef(_HANDS))
        self._newest, self._limit = Newest("eef_poses"), RateLimit(config.rate)
        self._features = self.create_publisher(FeaturesMsg, topics.features_topic("eef"), topics.SENSOR_OUT)
        self.create_subscription(PoseArray, topics.EEF_POSES, self.guarded(self._on_poses), topics.SENSOR_IN)
        self.watch("eef_poses", config.timeout)

    def _on_poses(self, msg: Any) -> None:
        stamp_ns, poses = hands_from_msg(msg)
        self._newest.check(stamp_ns)
        self.health.heard = time.monotonic()
        if not self._limit.passes(stamp_ns):
            return
        started = time.perf_counter()
        tensors = self._heads.encode(lambda head: head.encode_eef(poses))
        self._features.publish(features_to_msg(Features(stamp_ns, "eef", self.model_id, tensors)))
        self.finished("eef", stamp_ns, started)


main = main_of("eef_encoder", EefEncoderNode)

if __name__ == "__main__":
    main()
