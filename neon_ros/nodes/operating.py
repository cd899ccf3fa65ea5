"""What the operator presses in the browser, carried to services and parameters without ever waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from neon_ros.bridge import topics
from neon_ros.errors import NeonError, refuse
from neon_ros.sense.instruction import checked_instruction

TIMEOUT = 20.0
"""Longest wait for an answer [s]; arming ``whole_body`` takes up to 15."""
_PARAMETERS = {"mode": "g1_command", "head": "action_head"}
"""Parameter to the node that has it; after a head's name the folder of its checkpoint may follow."""

Answered = Callable[[str], None]


class _Open(NamedTuple):
    """A request whose answer has not come."""

    kind: str
    until: float
    answered: Answered


class RosOperator:
    """Carries requests out on behalf of ``node``.

    :param node: the node whose clients and publisher are used; :meth:`expire` is to be called by a timer of it.
    """

    def __init__(self, node: Node) -> None:
        self._instruction = node.create_publisher(String, topics.INSTRUCTION, topics.LATCHED)
        self._clients: dict[str, Any] = {
            kind: node.create_client(Trigger, kind) for kind in (topics.ARM, topics.DISARM, topics.STOP)
        }
        self._clients[topics.RECORD] = node.create_client(SetBool, topics.RECORD)
        for name in set(_PARAMETERS.values()):
            self._clients[name] = node.create_client(SetParametersAtomically, f"{name}/set_parameters_atomically")
        self._open: dict[int, _Open] = {}
        self._lock = threading.Lock()  # requests come from the page's threads, answers from the executor's

    def say(self, text: str, answered: Answered) -> None:
        """Publish an instruction."""
        try:
            self._instruction.publish(String(data=checked_instruction(text)))
        except NeonError as error:
            answered(str(error))

    def ask(self, kind: str, value: str, answered: Answered) -> None:
        """Make a request; ``answered`` hears what became of it, at the latest after :data:`TIMEOUT`."""
        name = _PARAMETERS.get(kind, kind)
        client = self._clients.get(name)
        if client is None:
            answered(refuse("request", kind, ", ".join([*self._clients, *_PARAMETERS])))
            return
        if not client.service_is_ready():
            answered(refuse(kind, f"no node that serves {client.srv_name}", "a running one"))
            return
        future = client.call_async(_request(kind, value))
        with self._lock:
            self._open[id(future)] = _Open(kind, time.monotonic() + TIMEOUT, answered)
        future.add_done_callback(self._done)

    def expire(self) -> None:
        """Tell those who have waited too long; called by a timer."""
        now = time.monotonic()
        with self._lock:
            late = [self._open.pop(key) for key, one in list(self._open.items()) if now > one.until]
        for one in late:
            one.answered(refuse(one.kind, f"no answer in {TIMEOUT:g} s", "an answer"))

    def _done(self, future: Any) -> None:
        with self._lock:
            one = self._open.pop(id(future), None)
        if one is None:
            return
        try:
            one.answered(_answer(future.result()))
        except Exception as error:  # whatever the client library raises, the operator must hear of it
            one.answered(refuse(one.kind, f"{type(error).__name__}: {error}", "an answer"))


def _request(kind: str, value: str) -> Any:
    if kind in _PARAMETERS:
        name, _, folder = value.partition(" ")
        wanted = {kind: name, **({"checkpoint": folder} if folder else {})}
        return SetParametersAtomically.Request(parameters=[_parameter(*item) for item in wanted.items()])
    return SetBool.Request(data=value == "on") if kind == topics.RECORD else Trigger.Request()


def _parameter(name: str, value: str) -> Parameter:
    return Parameter(name=name, value=ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value))


def _answer(response: Any) -> str:
    """Return an answer in words."""
    if hasattr(response, "result"):
        accepted, said = response.result.successful, response.result.reason
    else:
        accepted, said = response.success, response.message
    return f"{'done' if accepted else 'refused'}{f': {said}' if said else ''}"
