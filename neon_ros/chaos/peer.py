"""``python -m neon_ros.chaos.peer``: the operator's hand on the ROS side, and a stranger where one is asked for.

Questions on stdin, each answered: ``{"call": "arm"}`` calls a Trigger service; ``{"report": true}`` returns the newest
guard report; ``{"parameters": {name: value}}`` tries to set parameters of g1_command; ``{"transition": label}`` asks
for a lifecycle transition; ``{"rogue": {...}}`` publishes chunks as a stranger; ``{"flood": {...}}`` floods with
garbage;
``{"foreign": kind}`` opens a publisher that does not fit, ``{"foreign": ""}`` closes it.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String
from std_srvs.srv import Trigger

from neon_ros.bridge import topics
from neon_ros.chaos.pipe import Questions, answer
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg
from neon_ros_msgs.msg import GuardReport

_PATIENCE = 30.0  # [s] for a service
NODE = "g1_command"


class Peer:
    """The process's one object."""

    def __init__(self, stranger: bool) -> None:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("chaos_stranger" if stranger else "chaos_peer")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._triggers = {
            kind: self.node.create_client(Trigger, kind) for kind in (topics.ARM, topics.DISARM, topics.STOP)
        }
        self._set = self.node.create_client(SetParameters, f"{NODE}/set_parameters")
        self._change = self.node.create_client(ChangeState, f"{NODE}/change_state")
        self._report: Any = None
        self._heard: deque[Any] = deque(maxlen=8)
        self.node.create_subscription(GuardReport, topics.GUARD_REPORT, self._on_report, topics.EVERY_IN)
        if not stranger:  # who has the topic in one type cannot open it in another
            self.node.create_subscription(ActionChunkMsg, topics.ACTION_CHUNK, self._on_chunk, topics.SENSOR_IN)
        self._foreign: Any = None

    def _on_report(self, msg: Any) -> None:
        self._report = msg

    def _on_chunk(self, msg: Any) -> None:
        self._heard.append(msg)

    def run(self, questions: Questions) -> None:
        """Serve questions until the runner closes the pipe."""
        while not questions.closed:
            for question in questions.wait(0.005):
                try:
                    answer(**self._serve(question))
                except (TimeoutError, ValueError) as error:
                    answer(error=str(error))
            for _ in range(4):
                self._executor.spin_once(timeout_sec=0)

    def _serve(self, question: dict[str, Any]) -> dict[str, Any]:
        if "call" in question:
            return self._call(question["call"])
        if "parameters" in question:
            return {"results": [self._try(name, value) for name, value in question["parameters"]]}
        if "transition" in question:
            request = ChangeState.Request(transition=Transition(label=question["transition"]))
            return {"success": bool(self._wait(self._change, request).success)}
        if "walk" in question:
            return self._walk(question["walk"], question["seed"])
        if "rogue" in question:
            return self._rogue(**question["rogue"])
        if "flood" in question:
            return self._flood(**question["flood"])
        if "foreign" in question:
            return self._open_foreign(question["foreign"])
        return self._newest()

    def _newest(self) -> dict[str, Any]:
        """Return the newest guard report, as far as it is counted."""
        names = ("state", "reason", "chunks_admitted", "chunks_refused", "last_refusal", "alarms", "last_alarm")
        report = self._report
        return {} if report is None else {name: getattr(report, name) for name in names}

    def _wait(self, client: Any, request: Any) -> Any:
        deadline = time.monotonic() + _PATIENCE
        self._until(client.service_is_ready, deadline, f"service {client.srv_name}")
        future = client.call_async(request)
        self._until(future.done, deadline, f"answer of {client.srv_name}")
        return future.result()

    def _until(self, done: Callable[[], bool], deadline: float, what: str) -> None:
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {what} in {_PATIENCE:g} s")
            self._executor.spin_once(timeout_sec=0.02)

    def _call(self, kind: str) -> dict[str, Any]:
        began = time.monotonic_ns()
        result = self._wait(self._triggers[kind], Trigger.Request())
        return {"success": bool(result.success), "message": result.message, "at": began}

    def _try(self, name: str, value: Any) -> bool:
        """Return whether a parameter could be set."""
        kinds = {bool: "bool", int: "integer", float: "double", str: "string"}
        kind = kinds[type(value)]
        typed = ParameterValue(type=getattr(ParameterType, f"PARAMETER_{kind.upper()}"), **{f"{kind}_value": value})
        request = SetParameters.Request(parameters=[Parameter(name=name, value=typed)])
        return any(bool(result.successful) for result in self._wait(self._set, request).results)

    def _walk(self, steps: int, seed: int) -> dict[str, Any]:
        """Ask for random transitions, several at once; return how many were granted."""
        labels = ("configure", "activate", "deactivate", "cleanup")
        chance, granted = random.Random(seed), 0
        deadline = time.monotonic() + _PATIENCE
        self._until(self._change.service_is_ready, deadline, "service change_state")
        for _ in range(steps):
            futures = [
                self._change.call_async(ChangeState.Request(transition=Transition(label=chance.choice(labels))))
                for _ in range(chance.randint(1, 3))
            ]
            if chance.random() < 0.3:
                futures.append(
                    self._triggers[chance.choice((topics.DISARM, topics.STOP))].call_async(Trigger.Request())
                )
            for future in futures:
                self._until(future.done, time.monotonic() + _PATIENCE, "answer of a transition")
                granted += bool(future.result().success)
        return {"granted": granted}

    def _rogue(self, count: int, how: str, seed: int) -> dict[str, Any]:
        """Publish ``count`` chunks as a stranger: ``forged`` (newer), ``replayed``, ``flipped`` or ``truncated``."""
        deadline = time.monotonic() + _PATIENCE
        self._until(lambda: len(self._heard) == 8, deadline, "chunks to copy")
        chance = random.Random(seed)
        publisher = self.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
        self._until(lambda: publisher.get_subscription_count() > 0, deadline, "reader of chunks")
        first = time.monotonic_ns()
        for index in range(count):
            msg = self._heard[0 if how == "replayed" else -1]
            if how != "replayed":
                msg.sequence += 1000 + index
                for place in range(len(msg.q)):
                    msg.q[place] += 0.1
            if how == "truncated":
                msg.q = msg.q[:-1]
            if how == "flipped":
                msg.mac[chance.randrange(32)] ^= 1 << chance.randrange(8)
            publisher.publish(msg)
            self._executor.spin_once(timeout_sec=0.01)
        self.node.destroy_publisher(publisher)
        return {"at": first}

    def _flood(self, seconds: float, rate: float, seed: int) -> dict[str, Any]:
        """Publish garbage on action_chunk at ``rate`` [Hz]; return how many."""
        chance = random.Random(seed)
        publisher = self.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
        good = serialize_message(self._heard[-1] if self._heard else ActionChunkMsg())
        sent, began = 0, time.monotonic()
        while (now := time.monotonic()) - began < seconds:
            if sent > (now - began) * rate:
                time.sleep(0.0005)
                continue
            raw = bytearray(good)
            for _ in range(8):
                raw[chance.randrange(4, len(raw))] = chance.randrange(256)
            publisher.publish(bytes(raw))
            sent += 1
        self.node.destroy_publisher(publisher)
        return {"sent": sent}

    def _open_foreign(self, kind: str) -> dict[str, Any]:
        """Open a publisher of another ``type`` or of a ``qos`` that does not fit; empty closes it."""
        if self._foreign is not None:
            self.node.destroy_publisher(self._foreign)
            self._foreign = None
        if kind == "type":
            self._foreign = self.node.create_publisher(String, topics.ACTION_CHUNK, topics.SENSOR_OUT)
        elif kind == "qos":
            best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
            self._foreign = self.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, best_effort)
        return {"open": self._foreign is not None}


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(prog="neon_ros.chaos.peer", description=__doc__.splitlines()[0])
    parser.add_argument("--stranger", action="store_true", help="hear no chunks, so that any topic may be opened")
    peer = Peer(parser.parse_args().stranger)
    answer(ready=True)
    peer.run(Questions())


if __name__ == "__main__":
    main()
