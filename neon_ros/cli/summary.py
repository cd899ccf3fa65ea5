"""What a run was worth: chunks, rates, latencies per stage, commands, limits; counted from the topics."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from neon_ros.bridge import topics
from neon_ros.bridge.features import latency_from_msg
from neon_ros.errors import NeonError
from neon_ros_msgs.msg import ActionChunk, GuardReport, StageLatency

_ON_PURPOSE = ("operator", "SIGINT", "SIGTERM")
"""Words in the reason of a DAMPING that somebody asked for."""
STAGES = ("backbone", "lidar", "proprio", "eef", "head", "command")


class Tally:
    """Numbers of one run, without ROS."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.chunk_times: list[float] = []
        self.latencies: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.stage_times: dict[str, list[float]] = defaultdict(list)
        self.states: list[str] = []
        self.limited: Counter[str] = Counter()
        self.commands, self.limit_count, self.refused, self.period_p99 = 0, 0, 0, 0.0
        self.last_refusal = ""
        self.fault = ""

    def add_chunk(self) -> None:
        """Count a chunk."""
        self.chunk_times.append(time.monotonic())

    def add_latency(self, stage: str, compute: float, since_capture: float) -> None:
        """Count one pass through a stage [s]."""
        self.latencies[stage].append((compute, since_capture))
        self.stage_times[stage].append(time.monotonic())

    def add_report(self, report: Any) -> None:
        """Take a guard report."""
        if not self.states or self.states[-1] != report.state:
            self.states.append(report.state)
            if report.state == "DAMPING" and not any(word in report.reason for word in _ON_PURPOSE):
                self.fault = self.fault or f"DAMPING: {report.reason}"
        self.commands, self.limit_count = report.commands_sent, report.limit_count
        self.refused, self.last_refusal = report.chunks_refused, report.last_refusal
        self.period_p99 = max(self.period_p99, report.period_p99)
        self.limited.update(
            f"{joint.removesuffix('_joint')} ({reason})"
            for joint, reason in zip(report.limited_joints, report.limited_reasons, strict=False)
        )

    @property
    def worked(self) -> bool:
        """Whether chunks were made and commands were sent, and no fault ended them."""
        return bool(self.chunk_times) and self.commands > 0 and not self.fault

    def lines(self) -> list[str]:
        """Return the summary, line by line."""
        chunks = len(self.chunk_times)
        first = f", the first after {self.chunk_times[0] - self.started:.1f} s" if chunks else ""
        lines = [
            f"chunks    {chunks} made at {rate(self.chunk_times):.1f} Hz{first}; {self.refused} refused at the door"
        ]
        if self.last_refusal:
            lines.append(f"          last refusal: {self.last_refusal}")
        lines.append("stage        rate     spent median / p99   since capture median / p99")
        for stage in [*STAGES, *sorted(set(self.latencies) - set(STAGES))]:
            if not self.latencies[stage]:
                lines.append(f"{stage:<10}  silent")
                continue
            (spent, since), (spent99, since99) = np.percentile(np.array(self.latencies[stage]) * 1e3, [50, 99], axis=0)
            pace = rate(self.stage_times[stage])
            lines.append(
                f"{stage:<10} {pace:5.1f} Hz {spent:8.1f} / {spent99:5.1f} ms {since:14.1f} / {since99:5.1f} ms"
            )
        touched = ", ".join(name for name, _ in self.limited.most_common(5)) or "none"
        lines.append(f"commands  {self.commands} sent; worst second's p99 period {self.period_p99 * 1e3:.2f} ms")
        lines.append(f"limits    touched {self.limit_count} joint-ticks: {touched}")
        lines.append(f"states    {' -> '.join(self.states) or 'no report'}")
        return lines


def rate(times: list[float]) -> float:
    """Return events per second between the first and the last [Hz]; 0 for fewer than two."""
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0


class Observer:
    """Fill a :class:`Tally` from the topics of a ROS domain, in a thread of its own."""

    def __init__(self, domain: int) -> None:
        self.tally = Tally()
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("neon_summary", context=self._context)
        tally = self.tally
        for kind, topic, callback in (
            (ActionChunk, topics.ACTION_CHUNK, lambda _: tally.add_chunk()),
            (StageLatency, topics.LATENCY, self._on_latency),
            (GuardReport, topics.GUARD_REPORT, tally.add_report),
        ):
            self._node.create_subscription(kind, topic, callback, topics.EVERY_IN)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, name="neon_summary", daemon=True)
        self._thread.start()

    def _on_latency(self, msg: Any) -> None:
        try:
            latency = latency_from_msg(msg)
        except NeonError:
            return  # the sender's own log says what is wrong with it
        self.tally.add_latency(latency.stage, latency.compute, latency.since_capture)

    def close(self) -> None:
        """Stop listening."""
        self._executor.shutdown()
        self._thread.join(timeout=2.0)
        self._node.destroy_node()
        self._context.try_shutdown()
