"""Node ``recorder``: every topic of the graph, as it is, into an MCAP file."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

from std_msgs.msg import String
from std_srvs.srv import SetBool

from neon_ros.bridge import topics
from neon_ros.bridge.bags import listening, message_class, topic_of
from neon_ros.data.bag import Topic
from neon_ros.data.playback import Recorded
from neon_ros.data.recording import Limits, Recording
from neon_ros.data.tape import Tape
from neon_ros.errors import NeonError
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import RecorderParameters

LOOK_PERIOD = 0.5
"""Time between two looks for new topics [s]."""
PATIENCE = 5.0
"""Time without any topic after which that is said [s]."""


class RecorderNode(Stage[RecorderParameters]):
    """Subscribe each topic with the quality of service that its publishers offer, and keep the bytes."""

    def __init__(self) -> None:
        super().__init__("recorder", RecorderParameters)

    def setup(self, config: RecorderParameters) -> None:
        """Wait for the service, or record at once."""
        self._tape: Tape | None = None
        self._subscriptions_of: dict[str, Any] = {}
        self._topics: dict[str, Topic] = {}
        self._refused: dict[str, str] = {}
        self._wanted = {name if name.startswith("/") else f"/{name}" for name in config.topics.split(",") if name}
        self._state = self.create_publisher(String, topics.RECORDING, topics.LATCHED)
        self._state.publish(String())
        if not config.once:
            self.create_service(SetBool, topics.RECORD, self._on_record)
        self.create_timer(LOOK_PERIOD, self._look)
        if config.autostart:
            self._start()

    def destroy_node(self) -> None:
        """Finish the file."""
        if getattr(self, "_tape", None) is not None:
            self._stop()
        super().destroy_node()

    def problem(self) -> str:
        """Return what is not recorded, or nothing."""
        dropped = self._tape.dropped if self._tape else 0
        return f"the disk is too slow: {dropped} messages dropped" if dropped else ""

    def facts(self) -> dict[str, str]:
        """Return how far the recording is."""
        if self._tape is None:
            return {"recording": "no"}
        recording = self._tape.recording
        return {
            "recording": str(recording.target),
            "recorded [s]": f"{self._tape.seconds:.1f}",
            "size [MB]": f"{recording.size / 1e6:.1f}",
            "topics": str(len(self._topics)),
        }

    def _on_record(self, request: Any, response: Any) -> Any:
        """Start or stop, as asked."""
        try:
            response.success = True
            if request.data and self._tape is None:
                self._start()
            running = self._tape
            response.message = str(running.recording.target) if running else "nothing is being recorded"
            if not request.data and running is not None:
                response.message = self._stop()
        except NeonError as error:
            response.success, response.message = False, str(error)
            self.get_logger().warning(str(error))
        return response

    def _start(self) -> None:
        config = self.config
        target = Path(config.out).expanduser() if config.out else _named_by_time(Path(config.folder).expanduser())
        limits = Limits(config.max_size * 10**6, config.max_seconds, config.keep_free * 10**6)
        # Log times follow the steady clock from here on, so that a clock that jumps cannot tear the recording.
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self._tape = Tape(Recording(target, config.compression), limits, config.flush_period)
        self._state.publish(String(data=str(target)))
        self.get_logger().info(f"recording to {self._tape.recording.target}")
        self._look()

    def _stop(self) -> str:
        """End the recording; return what it holds, in words."""
        tape, self._tape = self._tape, None
        assert tape is not None
        for subscription in self._subscriptions_of.values():
            self.destroy_subscription(subscription)
        self._subscriptions_of, self._topics = {}, {}
        tape.close()
        counts, size = tape.recording.counts, tape.recording.size / 1e6
        said = f"{tape.recording.target}: {counts.seconds:.1f} s, {counts.total} messages, {size:.1f} MB"
        if tape.dropped:
            said += f", {tape.dropped} dropped because the disk was too slow"
        self._state.publish(String())
        if tape.ended:
            self.get_logger().warning(f"the recording ended: {tape.ended}")
        self.get_logger().info(f"recorded {said}")
        if self.config.once:
            os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C: the runtime ends the node in order
        return said

    def _look(self) -> None:
        """Subscribe what is new; end when the tape has ended."""
        if self._tape is None:
            return
        if self._tape.ended:
            self._stop()
            return
        for name, types in self.get_topic_names_and_types():
            known = name in self._subscriptions_of or name in self._refused
            if not known and (not self._wanted or name in self._wanted):
                self._subscribe(self._tape, name, types[0])
        if not self._topics and self._tape.seconds > PATIENCE:
            wanted = ", ".join(sorted(self._wanted)) or "anything"
            self.get_logger().warning(f"nobody publishes {wanted} so far", throttle_duration_sec=PATIENCE)

    def _subscribe(self, tape: Tape, name: str, type_name: str) -> None:
        publishers = self.get_publishers_info_by_topic(name)
        if not publishers:
            return
        try:
            topic = topic_of(name, type_name, publishers)
        except NeonError as error:
            self._refused[name] = str(error)
            self.get_logger().warning(f"not recorded: {name}: {error}")
            return
        tape.add(topic)
        self._topics[name] = topic
        kind, callback = message_class(type_name), partial(self._on_message, tape, name)
        self._subscriptions_of[name] = self.create_subscription(kind, name, callback, listening(topic), raw=True)

    def _on_message(self, tape: Tape, name: str, data: bytes, info: Any) -> None:
        tape.put(Recorded(name, self._offset_ns + time.monotonic_ns(), max(0, info["source_timestamp"]), data))
        self.health.done += 1


def _named_by_time(folder: Path) -> Path:
    """Return a new name for a recording begun now."""
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    names = chain([name], (f"{name}_{number}" for number in count(2)))
    return next(folder / name for name in names if not (folder / name).exists())


main = main_of("recorder", RecorderNode)

if __name__ == "__main__":
    main()
