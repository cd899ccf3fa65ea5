"""Node ``replayer``: a recording back onto its topics, for the view; never beside a g1_command."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rclpy.node import NodeNameNonExistentError
from rosgraph_msgs.msg import Clock

from neon_ros.bridge import topics
from neon_ros.bridge.bags import definition, message_class, speaking
from neon_ros.data.bag import Topic
from neon_ros.data.definitions import same
from neon_ros.data.pace import Pace
from neon_ros.data.playback import Findings, Recorded, files_at, messages, survey
from neon_ros.errors import ContractError, NeonError, Refused, refuse
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import ReplayerParameters
from neon_ros_msgs.msg import ActionChunk

LISTEN_FIRST = 2.0
"""Time to hear of a g1_command before anything is published [s]."""
CLOCK_PERIOD = 0.02
AUDIENCE_GRACE = 1.0
"""Time for the other listeners once there is one [s]."""
_UNASKED = ("/rosout", "/parameter_events")  # which have listeners of their own
_OPERATOR = ("/arm", "/disarm", "/stop")


class ReplayerNode(Stage[ReplayerParameters]):
    """Publish the recorded bytes when they are due."""

    def __init__(self) -> None:
        super().__init__("replayer", ReplayerParameters)

    def setup(self, config: ReplayerParameters) -> None:
        """Look into the recording, make sure that no robot listens, and begin."""
        self._ending = threading.Event()
        self._now_ns = 0
        self._files = files_at(Path(config.file).expanduser())
        contents = [survey(file) for file in self._files]
        self._start_ns = min(item.counts.start_ns for item in contents)
        seconds = (max(item.counts.end_ns for item in contents) - self._start_ns) * 1e-9
        total = sum(item.counts.total for item in contents)
        if total == 0 or config.start > seconds:
            got = f"{config.start:g} s" if total else "a recording without messages"
            raise Refused(refuse("start", got, f"0 to {seconds:.1f} s of {config.file}"))
        self._refuse_beside_a_robot(LISTEN_FIRST)
        for item in contents:
            if item.findings.problem:
                self.get_logger().warning(f"{config.file}: {item.findings.problem}")
        self._publishers_of: dict[str, Any] = {}
        found: dict[str, Topic] = {name: topic for item in contents for name, topic in item.findings.topics.items()}
        skipped = {name: said for item in contents for name, said in item.findings.skipped.items()}
        for topic in found.values():
            try:
                self._advertise(topic)
            except ContractError as error:
                skipped[topic.name] = str(error)
        for name, said in skipped.items():
            self.get_logger().warning(f"not replayed: {name}: {said}")
        self._latched = {name for name in self._publishers_of if found[name].latched}
        self.create_timer(0.5, lambda: self._refuse_beside_a_robot(0.0))
        if config.clock and topics.CLOCK not in self._publishers_of:
            clock = self.create_publisher(Clock, topics.CLOCK, topics.EVERY_OUT)
            self.create_timer(CLOCK_PERIOD, lambda: clock.publish(self._clock()))
        self.get_logger().info(f"replaying {config.file}: {seconds:.1f} s, {len(self._publishers_of)} topics")
        self._player = threading.Thread(target=self._play, name="player", daemon=True)
        self._player.start()

    def destroy_node(self) -> None:
        """Stop publishing."""
        if hasattr(self, "_player"):
            self._ending.set()
            self._player.join(2.0)
        super().destroy_node()

    def _refuse_beside_a_robot(self, patience: float) -> None:
        """Refuse to publish where a g1_command is, which would take the recorded chunks for its policy's.

        :param patience: how long to listen for one [s].
        :raises Refused: when there is one.
        """
        deadline = time.monotonic() + patience
        while True:
            robots = [name for name, space in self.get_node_names_and_namespaces() if self._is_robot(name, space)]
            if robots:
                domain = os.environ.get("ROS_DOMAIN_ID", "0")
                got = f"{' '.join(robots)} on ROS domain {domain}"
                raise Refused(refuse("replay", got, "a domain without a g1_command, such as ros_domain:=100"))
            if time.monotonic() >= deadline:
                return
            time.sleep(0.1)

    def _is_robot(self, name: str, space: str) -> bool:
        """Return whether a node commands a robot: by its name, or by serving what an operator asks for."""
        if name == "g1_command":
            return True
        try:
            served = self.get_service_names_and_types_by_node(name, space)
        except NodeNameNonExistentError:  # it has left
            return False
        return any(service.endswith(_OPERATOR) for service, _ in served)

    def _advertise(self, topic: Topic) -> None:
        """Make the publisher of a topic.

        :raises ContractError: when its type is not installed here, or is another one than was recorded.
        """
        if any(fnmatchcase(topic.name, pattern) for pattern in self.config.skip.split(",")):
            return
        kind = message_class(topic.type)
        if not same(topic.definition, definition(topic.type)):
            raise ContractError(refuse(topic.type, "another definition in the recording", "the one installed here"))
        self._publishers_of[topic.name] = self.create_publisher(kind, topic.name, speaking(topic))

    def _clock(self) -> Any:
        seconds, rest = divmod(self._now_ns, 10**9)
        clock = Clock()
        clock.clock.sec, clock.clock.nanosec = seconds, rest
        return clock

    def _play(self) -> None:
        """Publish everything in time, once or again and again."""
        self._await_audience(time.monotonic() + self.config.wait)
        try:
            while self._play_once() and self.config.loop:
                self.get_logger().info("from the start again")
        except NeonError as error:
            self.get_logger().error(str(error))
        if self._ending.is_set():
            return
        self.get_logger().info("the recording has ended")
        if self.config.once:
            os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C: the runtime ends the node in order

    def _await_audience(self, deadline: float) -> None:
        """Wait until somebody listens, at most until ``deadline`` [s, monotonic]."""
        asked = [publisher for name, publisher in self._publishers_of.items() if name not in _UNASKED]
        while time.monotonic() < deadline:
            if any(publisher.get_subscription_count() for publisher in asked):
                self._ending.wait(AUDIENCE_GRACE)
                return
            if self._ending.wait(0.1):
                return

    def _play_once(self) -> bool:
        """Return whether the end was reached, rather than the node ended."""
        pace = Pace(self.config.rate, time.monotonic())
        for message in self._from_start():
            if self._ending.wait(max(0.0, pace.due(message.log_ns) - time.monotonic())):
                return False
            self._now_ns = message.log_ns
            self._send(message)
        return True

    def _from_start(self) -> Iterator[Recorded]:
        """Yield the messages from the start time on; before the first, what was latched by then."""
        begin = self._start_ns + round(self.config.start * 1e9)
        kept: dict[str, Recorded] | None = {}
        for file in self._files:
            findings = Findings()
            for message in messages(file, findings):
                if kept is not None and message.log_ns < begin:
                    if message.topic in self._latched:
                        kept[message.topic] = message
                    continue
                for earlier in (kept or {}).values():
                    self._send(earlier)
                kept = None
                yield message
            if findings.damaged or findings.orphans:
                self.get_logger().warning(f"{file}: {findings.problem}")

    def _send(self, message: Recorded) -> None:
        publisher = self._publishers_of.get(message.topic)
        if publisher is not None:
            if publisher.msg_type is ActionChunk:
                self._refuse_beside_a_robot(0.0)
            publisher.publish(message.data)
            self.health.done += 1


main = main_of("replayer", ReplayerNode)

if __name__ == "__main__":
    main()
