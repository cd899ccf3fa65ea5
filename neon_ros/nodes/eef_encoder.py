"""Node ``eef_encoder``: poses of both hands to features."""

from __future__ import annotations

import time
from typing import Any

from geometry_msgs.msg import PoseArray

from neon_ros.act.heads import load_head
from neon_ros.act.moment import part_id
from neon_ros.bridge import topics
from neon_ros.bridge.features import features_to_msg
from neon_ros.bridge.robot import hands_from_msg
from neon_ros.contracts import Features
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import EefEncoderParameters
from neon_ros.sense.stream import Newest, RateLimit
from neon_ros_msgs.msg import Features as FeaturesMsg


class EefEncoderNode(Stage[EefEncoderParameters]):
    """Subscribe ``eef_poses``, publish ``features/eef``."""

    def __init__(self) -> None:
        super().__init__("eef_encoder", EefEncoderParameters)

    def setup(self, config: EefEncoderParameters) -> None:
        """Load the encoder, then listen."""
        self._head = load_head(config.head, config.checkpoint or None, mode=config.mode)
        self.model_id = part_id(self._head.manifest)
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
        tensors = {"features": self._head.encode_eef(poses)}
        self._features.publish(features_to_msg(Features(stamp_ns, "eef", self.model_id, tensors)))
        self.finished("eef", stamp_ns, started)


main = main_of("eef_encoder", EefEncoderNode)

if __name__ == "__main__":
    main()
