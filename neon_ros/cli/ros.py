"""Speak to a running system over ROS for a moment: call a service, say a sentence, listen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from neon_ros.errors import RobotError, refuse
from neon_ros.graph import build
from neon_ros.motor.shared import answer_timeout


def settle(given: Mapping[str, str], entry: str = "operator") -> dict[str, str]:
    """Check the arguments of an operator's verb and set the ROS environment; return all arguments."""
    graph = build(given, entry)
    os.environ.update(graph.environment)
    return dict(graph.arguments)


@contextmanager
def node(name: str) -> Iterator[Any]:
    """Yield a node with an executor of its own, and clean up."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    made = rclpy.create_node(f"neon_{name}_{os.getpid()}")
    try:
        yield made
    finally:
        made.destroy_node()
        rclpy.try_shutdown()


def spin_until(made: Any, done: Callable[[], bool], timeout: float) -> bool:
    """Spin until ``done`` or the timeout [s]; return whether it is done."""
    import rclpy

    deadline = time.monotonic() + timeout
    while not done():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        rclpy.spin_once(made, timeout_sec=min(left, 0.05))
    return True


def trigger(service: str, timeout: float = 8.0) -> tuple[bool, str]:
    """Call a Trigger service; return whether it was accepted, and what was said.

    :param timeout: to find it [s]; the answer may take as long as the motor's, and a little more.
    :raises RobotError: when nobody serves it or nobody answers.
    """
    from std_srvs.srv import Trigger

    patience = answer_timeout(service) + 2.0
    answer = _call(service, Trigger, service, Trigger.Request(), "g1_command", timeout, patience)
    return bool(answer.success), str(answer.message)


def set_parameters(name: str, values: Mapping[str, str], patience: float, timeout: float = 8.0) -> tuple[bool, str]:
    """Set parameters of a node, all or none; return whether it was accepted, and what was said.

    :param name: of the node.
    :param patience: longest wait for the answer [s].
    :param timeout: longest search for the node [s].
    :raises RobotError: when it does not run or does not answer.
    """
    from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
    from rcl_interfaces.srv import SetParametersAtomically

    request = SetParametersAtomically.Request()
    for key, value in values.items():
        content = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
        request.parameters.append(Parameter(name=key, value=content))
    service = f"{name}/set_parameters_atomically"
    answer = _call("set", SetParametersAtomically, service, request, name, timeout, patience)
    return bool(answer.result.successful), str(answer.result.reason)


def _call(name: str, kind: Any, service: str, request: Any, server: str, timeout: float, patience: float) -> Any:
    """Return the answer of a service."""
    with node(name) as made:
        client = made.create_client(kind, service)
        if not spin_until(made, client.service_is_ready, timeout):
            domain = os.environ.get("ROS_DOMAIN_ID", "0")
            allowed = f"a running {server} on this domain (neon up)"
            raise RobotError(refuse(f"service {service}", f"nobody on ROS domain {domain}", allowed))
        future = client.call_async(request)
        if not spin_until(made, future.done, patience):
            raise RobotError(refuse(f"service {service}", f"no answer in {patience:g} s", "an answer"))
        return future.result()
