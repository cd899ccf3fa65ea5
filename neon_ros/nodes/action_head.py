"""Node ``action_head``: features to chunks of 16 steps."""

from __future__ import annotations

import time
from typing import Any

from neon_ros.act.committed import Commitment, trained_steps
from neon_ros.bridge import topics
from neon_ros.bridge.chunk import chunk_to_msg
from neon_ros.bridge.features import features_from_msg
from neon_ros.contracts import FEATURE_SOURCES, ActionChunk
from neon_ros.errors import ContractError, refuse
from neon_ros.motor.key import KeyFile
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.nodes.swapping import Seats
from neon_ros.parameters import ActionHeadParameters
from neon_ros.sense.stream import RESTART_NS
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg
from neon_ros_msgs.msg import Features as FeaturesMsg


class ActionHeadNode(Stage[ActionHeadParameters]):
    """Subscribe ``features/*``, publish ``action_chunk`` for each picture that the backbone has seen.

    The parameters ``head`` and ``checkpoint`` may be set at any time: another head is loaded beside the one in use and
    takes over between two chunks, or is refused and nothing changes.
    """

    def __init__(self) -> None:
        super().__init__("action_head", ActionHeadParameters)

    def setup(self, config: ActionHeadParameters) -> None:
        """Load the head, then listen."""
        self._keys = None if config.insecure else KeyFile(config.session, config.key_file)
        self._backbone: Any = None
        self._model_of_epoch = ""
        self._epoch, self._sequence = 0, 0
        self._present: tuple[str, ...] = ()
        self._newest_ns = 0
        self._commitment: Commitment | None = None
        self._seats = Seats(self, self._settle)
        self._chunks = self.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
        for source in FEATURE_SOURCES:
            if source != "backbone":
                self._listen(source)
        self.create_timer(1.0 / config.rate, lambda: self.guarded(self._on_time)(None))
        self._settle()

    def facts(self) -> dict[str, str]:
        """Return which head acts, and which sources the last chunk was made from."""
        own = {"present": ", ".join(self._present), "epoch": str(self._epoch), "sequence": str(self._sequence)}
        return {**own, **self._seats.facts()}

    def _listen(self, source: str) -> Any:
        callback = self.guarded(self._on_features)
        return self.create_subscription(FeaturesMsg, topics.features_topic(source), callback, topics.SENSOR_IN)

    def _settle(self) -> None:
        """Fit everything to the heads that are seated now."""
        if self._seats.reads_backbone and self._backbone is None:
            self._backbone = self._listen("backbone")
        elif not self._seats.reads_backbone and self._backbone is not None:
            self.destroy_subscription(self._backbone)
            self._backbone = None
        self.model_id = self._seats.live.model_id
        if self.model_id != self._model_of_epoch:
            # The time of the start: a restarted head is always newer than the one before, and another one as well.
            self._epoch = max(self.get_clock().now().nanoseconds, self._epoch + 1)
            self._model_of_epoch, self._present = self.model_id, ()
            manifest = self._seats.live.manifest
            most = trained_steps(manifest) if self.config.committed else 0
            self._commitment = Commitment(manifest.dt, most) if most else None
        self.watch("features/backbone" if self._seats.needs_backbone() else "features/proprio", self.config.max_age)

    def _on_features(self, msg: Any) -> None:
        features = features_from_msg(msg)
        self._seats.add(features)
        if features.source == "backbone":
            self._seats.swap_when_ready(self._present)
            if self._seats.live.reads_backbone:
                self._act(features.stamp_ns)

    def _on_time(self, _: Any) -> None:
        """Make a chunk of the newest joints while the backbone is silent, where it is not needed."""
        self._seats.swap_when_ready(self._present)
        if self._seats.needs_backbone():
            return
        collector = self._seats.live.collector
        now_ns, seen = self.get_clock().now().nanoseconds, collector.newest_ns("backbone")
        joints = collector.newest_ns("proprio")
        if joints is None or (seen is not None and now_ns - seen < self.config.max_age * 1e9):
            return
        if now_ns - joints < self.config.max_age * 1e9:
            self._act(joints)

    def _act(self, stamp_ns: int) -> None:
        if self._newest_ns - RESTART_NS < stamp_ns <= self._newest_ns:
            return  # a newer capture has been answered; the door would refuse this one
        seat = self._seats.live
        manifest = seat.manifest
        age = (self.get_clock().now().nanoseconds - stamp_ns) * 1e-9
        oldest = min(manifest.horizon * manifest.dt, self.config.max_capture_age)
        if age > oldest:
            raise ContractError(refuse("capture age", f"{age:.3f} s", f"at most {oldest:.3f} s"))
        key = self._keys.key() if self._keys else None
        started = time.perf_counter()
        moment = seat.collector.at(stamp_ns)
        inputs: dict[str, Any] = moment.head_inputs()
        if self._commitment is not None:
            inputs["prefix"] = self._commitment.steps(stamp_ns * 1e-9, inputs["q"][seat.columns])
        output = seat.head.act(**inputs)
        self.health.heard = self._seats.acted = time.monotonic()
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
        if self._commitment is not None:
            delay = (self.get_clock().now().nanoseconds - stamp_ns) * 1e-9
            self._commitment.sent(output.q, stamp_ns * 1e-9, max(delay, 0.0))
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
