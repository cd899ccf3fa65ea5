"""Node ``action_head``: features to chunks of 16 steps."""

from __future__ import annotations

import time
from typing import Any

from neon_ros.act.heads import load_head
from neon_ros.act.moment import ENCODERS, Collector, part_id
from neon_ros.bridge import topics
from neon_ros.bridge.chunk import chunk_to_msg
from neon_ros.bridge.features import features_from_msg
from neon_ros.contracts import FEATURE_SOURCES, ActionChunk
from neon_ros.errors import ContractError, refuse
from neon_ros.motor.key import KeyFile
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import ActionHeadParameters
from neon_ros.sense.stream import RESTART_NS
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg
from neon_ros_msgs.msg import Features as FeaturesMsg


class ActionHeadNode(Stage[ActionHeadParameters]):
    """Subscribe ``features/*``, publish ``action_chunk`` for each picture that the backbone has seen."""

    def __init__(self) -> None:
        super().__init__("action_head", ActionHeadParameters)

    def setup(self, config: ActionHeadParameters) -> None:
        """Load the head, then listen."""
        self._keys = None if config.insecure else KeyFile(config.session, config.key_file)
        self._head = load_head(config.head, config.checkpoint or None, mode=config.mode)
        manifest = self._head.manifest
        self.model_id = part_id(manifest)
        model_ids = dict.fromkeys(ENCODERS, self.model_id)
        if manifest.backbone.tensors:
            model_ids["backbone"] = manifest.backbone.model_id
        reads_backbone = bool(manifest.backbone.tensors)
        self._needs_backbone = config.needs_backbone and reads_backbone
        self._collector = Collector(config.max_age, model_ids)
        # The time of the start: a restarted head is always newer than the one before.
        self._epoch, self._sequence = self.get_clock().now().nanoseconds, 0
        self._present: tuple[str, ...] = ()
        self._chunks = self.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
        self._newest_ns = 0
        for source in FEATURE_SOURCES if reads_backbone else ENCODERS:
            callback = self.guarded(self._on_features)
            self.create_subscription(FeaturesMsg, topics.features_topic(source), callback, topics.SENSOR_IN)
        if not self._needs_backbone:
            self.create_timer(1.0 / config.rate, lambda: self.guarded(self._without_backbone)(None))
        self.watch("features/backbone" if self._needs_backbone else "features/proprio", config.max_age)

    def facts(self) -> dict[str, str]:
        """Return which sources the last chunk was made from."""
        return {"present": ", ".join(self._present), "epoch": str(self._epoch), "sequence": str(self._sequence)}

    def _on_features(self, msg: Any) -> None:
        features = features_from_msg(msg)
        self._collector.add(features)
        if features.source == "backbone":
            self._act(features.stamp_ns)

    def _without_backbone(self, _: Any) -> None:
        """Make a chunk of the newest joints while the backbone is silent."""
        now_ns, seen = self.get_clock().now().nanoseconds, self._collector.newest_ns("backbone")
        joints = self._collector.newest_ns("proprio")
        if joints is None or (seen is not None and now_ns - seen < self.config.max_age * 1e9):
            return
        if now_ns - joints < self.config.max_age * 1e9:
            self._act(joints)

    def _act(self, stamp_ns: int) -> None:
        if self._newest_ns - RESTART_NS < stamp_ns <= self._newest_ns:
            return  # a newer capture has been answered; the door would refuse this one
        manifest = self._head.manifest
        age, length = (self.get_clock().now().nanoseconds - stamp_ns) * 1e-9, manifest.horizon * manifest.dt
        if age > length:
            raise ContractError(refuse("capture age", f"{age:.3f} s", f"less than the chunk's {length:.3f} s"))
        key = self._keys.key() if self._keys else None
        started = time.perf_counter()
        moment = self._collector.at(stamp_ns)
        output = self._head.act(**moment.head_inputs())
        self.health.heard = time.monotonic()
        self._newest_ns, self._sequence = stamp_ns, self._sequence + 1
        chunk = ActionChunk(
            stamp_ns=stamp_ns,
            epoch=self._epoch,
            sequence=self._sequence,
            mode=manifest.mode,
            head_id=manifest.head_id,
            checksum=manifest.checksum,
            joint_names=manifest.joint_names,
            dt=manifest.dt,
            q=output.q,
            base_velocity=output.base_velocity,
        )
        self._chunks.publish(chunk_to_msg(key.signed(chunk) if key else chunk))
        self.finished("head", stamp_ns, started)
        self._report_present(tuple(moment.features))

    def _report_present(self, present: tuple[str, ...]) -> None:
        if present != self._present:
            lost = [source for source in FEATURE_SOURCES if source not in present]
            self.get_logger().info(f"acting on {', '.join(present)}" + (f"; without {', '.join(lost)}" if lost else ""))
            self._present = present


main = main_of("action_head", ActionHeadNode)

if __name__ == "__main__":
    main()
