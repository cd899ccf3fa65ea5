"""What every node of the pipeline shares: parameters, guarded callbacks, latency, and a word on its own health."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Generic, TypeVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

from neon_ros.bridge import topics
from neon_ros.bridge.features import Latency, latency_to_msg
from neon_ros.errors import ConfigError, NeonError, refuse
from neon_ros.parameters import checked
from neon_ros_msgs.msg import StageLatency

Config = TypeVar("Config")
START_GRACE = 8.0
"""Silence at the start that is not reported: the others are still coming up [s]."""
WARN_PERIOD = 2.0
"""Shortest time between two warnings of one kind [s]."""


def declare(node: Node, kind: type[Config]) -> Config:
    """Declare the parameters of ``kind`` on ``node`` and return their checked values; few can be set later.

    :raises ConfigError: on a value of another type or out of range.
    """
    values: dict[str, object] = {}
    for item in fields(kind):  # type: ignore[arg-type]
        low, high = item.metadata["low"], item.metadata["high"]
        read_only = not item.metadata["settable"]
        descriptor = ParameterDescriptor(description=item.metadata["description"], read_only=read_only)
        if item.metadata["choices"]:
            descriptor.additional_constraints = "one of " + ", ".join(item.metadata["choices"])
        if low is not None and isinstance(item.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
        elif low is not None:
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
        try:
            values[item.name] = node.declare_parameter(item.name, item.default, descriptor).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            name = f"{node.get_name()}.{item.name}"
            allowed = f"a value of type {item.type}" + (f" from {low} to {high}" if low is not None else "")
            raise ConfigError(refuse(name, str(error), allowed)) from error
    return checked(kind, values, node.get_name())


class Health:
    """Counts of one node between two diagnostic messages, and when its input was last heard."""

    def __init__(self) -> None:
        self.done = 0
        self.refused = 0
        self.last_refusal = ""
        self.compute = 0.0
        self.heard = time.monotonic() + START_GRACE

    def silence(self) -> float:
        """Return the time since the input was last heard [s]."""
        return time.monotonic() - self.heard


class Reporting(Node):
    """Latency, diagnostics and refusals, for any kind of node; :meth:`start_reporting` comes before the rest."""

    model_id = ""

    def start_reporting(self) -> None:
        """Make the publishers of latency and diagnostics."""
        self.health = Health()
        self._watched: tuple[str, float] | None = None
        self._latency = self.create_publisher(StageLatency, topics.LATENCY, topics.EVERY_OUT)
        self._diagnostics = self.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, topics.EVERY_OUT)
        self._health_timer = self.create_timer(1.0, self._report_health)

    def watch(self, what: str, timeout: float) -> None:
        """Report when the input called ``what`` is silent for ``timeout`` [s]."""
        self._watched = (what, timeout)

    def guarded(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return the callback with bad input refused: a throttled warning, a count, and the node lives on."""

        def call(msg: Any) -> None:
            try:
                callback(msg)
            except NeonError as error:
                self.health.refused += 1
                self.health.last_refusal = str(error)
                self.get_logger().warning(f"refused: {error}", throttle_duration_sec=WARN_PERIOD)

        return call

    def finished(self, stage: str, stamp_ns: int, started: float) -> None:
        """Publish how long the stage took.

        :param stamp_ns: capture [ns, ROS clock].
        :param started: ``time.perf_counter()`` at the start of the compute.
        """
        compute = time.perf_counter() - started
        since = (self.get_clock().now().nanoseconds - stamp_ns) * 1e-9
        self.health.done += 1
        self.health.compute += compute
        self._latency.publish(latency_to_msg(Latency(stamp_ns, stage, compute, since)))

    def problem(self) -> str:
        """Return what keeps the node from working, or nothing."""
        if self._watched and self.health.silence() > self._watched[1]:
            return f"{self._watched[0]}: silent for {self.health.silence():.1f} s; nothing is published"
        return ""

    def busy(self) -> str:
        """Return what the node is doing before it can work, or nothing; overridden by nodes that take long."""
        return ""

    def error(self) -> str:
        """Return what a person must look at, or nothing; overridden by nodes that know such a thing."""
        return ""

    def facts(self) -> dict[str, str]:
        """Return more for the diagnostics; overridden by nodes that know more."""
        return {}

    def _report_health(self) -> None:
        """Publish the diagnostics of the time since they were last published."""
        health, problem = self.health, self.problem()
        if problem:
            self.get_logger().warning(problem, throttle_duration_sec=5.0)
        busy = self.busy()
        level = DiagnosticStatus.WARN if busy or problem or health.refused else DiagnosticStatus.OK
        if error := self.error():
            level = DiagnosticStatus.ERROR
        said = (
            error or busy or problem or (f"refused {health.refused}: {health.last_refusal}" if health.refused else "ok")
        )
        facts = {
            "rate [Hz]": str(health.done),
            "refused": str(health.refused),
            "compute [ms]": f"{1e3 * health.compute / max(1, health.done):.2f}",
            **({"model": self.model_id} if self.model_id else {}),
            **self.facts(),
        }
        status = DiagnosticStatus(level=level, name=f"neon_ros: {self.get_name()}", message=said, hardware_id="g1")
        status.values = [KeyValue(key=key, value=value) for key, value in facts.items()]
        msg = DiagnosticArray(status=[status])
        msg.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(msg)
        health.done, health.refused, health.compute = 0, 0, 0.0


class Stage(Reporting, Generic[Config]):
    """A node of the pipeline with parameters of type ``Config``.

    :param name: of the node.
    :param kind: its parameters.
    """

    def __init__(self, name: str, kind: type[Config]) -> None:
        super().__init__(name)
        try:
            self.config = declare(self, kind)
            self.start_reporting()
            self.setup(self.config)
        except NeonError:
            self.destroy_node()
            raise

    def setup(self, config: Config) -> None:
        """Load what the stage needs and subscribe; overridden by each node."""
