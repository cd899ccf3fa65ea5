"""Start real nodes as processes and talk to them over real topics."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

PATIENCE = 60.0
"""Longest wait for anything [s]; a busy machine is slow, not wrong."""


class NodeProcess:
    """One process with its output."""

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        self.lines: list[str] = []
        self.popen = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        self.lines.extend(line.rstrip() for line in self.popen.stdout)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Signal the process and return its exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        try:
            code = self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            raise
        self._reader.join(2.0)
        return code


@contextmanager
def _running(module: str, *arguments: str) -> Iterator[NodeProcess]:
    """Run a process for the length of a block."""
    process = NodeProcess(module, arguments)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait()


class Peer:
    """A ROS node in the test, on the domain of ROS_DOMAIN_ID."""

    def __init__(self) -> None:
        import rclpy
        import rclpy.executors
        from rclpy.signals import SignalHandlerOptions

        self.context = rclpy.Context()
        rclpy.init(args=[], context=self.context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("test_peer", context=self.context)
        self._executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()

    def listen(self, kind: type, topic: str, qos: Any) -> list[Any]:
        """Return a list that fills with what arrives."""
        heard: list[Any] = []
        self.node.create_subscription(kind, topic, heard.append, qos)
        return heard

    def now_ns(self) -> int:
        return int(self.node.get_clock().now().nanoseconds)

    def until(self, done: Callable[[], Any], what: str, each: Callable[[], None] | None = None) -> None:
        """Spin until ``done``; call ``each`` twenty times a second."""
        deadline, due = time.monotonic() + PATIENCE, 0.0
        while not done():
            assert time.monotonic() < deadline, f"no {what} within {PATIENCE:g} s"
            if each is not None and time.monotonic() >= due:
                each()
                due = time.monotonic() + 0.05
            self._executor.spin_once(timeout_sec=0.02)

    def call(self, kind: type, service: str) -> Any:
        """Call a service with an empty request and return its answer."""
        client = self.node.create_client(kind, service)
        self.until(client.service_is_ready, f"service {service}")
        future = client.call_async(kind.Request())
        self.until(future.done, f"answer of {service}")
        return future.result()


@pytest.fixture
def running() -> Callable[..., AbstractContextManager[NodeProcess]]:
    """What runs a module as a process for the length of a block: ``with running(module, *arguments) as process``."""
    return _running


@pytest.fixture
def peer(ros_domain: int) -> Iterator[Peer]:
    """A ROS node in the test, on a domain of its own."""
    made = Peer()
    yield made
    made.close()


class FakeMotor:
    """Plays the motor process of a session: writes state and report, answers requests, keeps the chunks.

    :param session: name of the session.
    :param robot: ``sim`` or ``real``, as its memory tells.
    """

    def __init__(self, session: str, robot: str = "real") -> None:
        import numpy as np

        from neon_ros.motor.records import MotorReport
        from neon_ros.motor.shared import MotorMemory

        self.session, self.robot = session, robot
        self.q = np.linspace(-0.2, 0.2, 29)
        self.memory = MotorMemory.create(session, "arms_only", robot=robot)
        self.report = MotorReport(state="INACTIVE", reason="for a test", mode="arms_only", mode_machine=5)
        self.chunks: list[Any] = []
        self.requests: list[str] = []
        self.answer = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def again(self) -> FakeMotor:
        """Return the session's next motor process."""
        return FakeMotor(self.session, self.robot)

    def arguments(self, **more: str) -> list[str]:
        """Return the command line of a ``g1_command`` for this motor."""
        values = {"session": self.session, "mode": "arms_only", **more}
        return ["--ros-args", *(word for name, value in values.items() for word in ("-p", f"{name}:={value}"))]

    def unsigned(self, peer: Peer, sequence: int, **changes: Any) -> Any:
        """Return a chunk of now."""
        from neon_ros.bridge.examples import make_example
        from neon_ros.contracts import ActionChunk

        return dataclasses.replace(make_example(ActionChunk, peer.now_ns()), sequence=sequence, **changes)

    def chunk(self, peer: Peer, sequence: int, **changes: Any) -> Any:
        """Return the message of a chunk of now, signed with the session's key as the head would."""
        from neon_ros.bridge.chunk import chunk_to_msg
        from neon_ros.motor.key import KeyFile

        return chunk_to_msg(KeyFile(self.session).key().signed(self.unsigned(peer, sequence, **changes)))

    def _run(self) -> None:
        import numpy as np

        from neon_ros.robot.wire import LowStateFrame

        frame = LowStateFrame()
        frame.set_mode(0, 5)
        frame.set_imu((1.0, 0, 0, 0), (0, 0, 0), (0, 0, 9.81), (0, 0, 0))
        tick = 0
        while not self._stop.wait(0.004):
            tick += 4
            now = time.monotonic_ns()
            frame.fill(tick, self.q, np.zeros(29), np.zeros(29))
            self.memory.beat(now)
            self.memory.write_state(bytes(frame.seal()), now)
            self.memory.write_report(dataclasses.replace(self.report, steady_ns=now))
            for kind in self.memory.take_requests():
                self.requests.append(kind)
                if kind == "mode" and self.answer:
                    self.memory.mode = self.memory.wanted_mode
                self.memory.give_answer(kind, self.answer, f"{kind} as asked")
            chunk = self.memory.take_chunk()
            if chunk is not None:
                self.chunks.append(chunk)

    def close(self) -> None:
        """End as the motor process would."""
        self._stop.set()
        self._thread.join()
        self.memory.close()


@pytest.fixture
def motor(ros_domain: int, request: pytest.FixtureRequest) -> Iterator[FakeMotor]:
    """A motor process played by the test; parametrize indirectly with ``sim`` for a simulated robot's."""
    made = FakeMotor(f"test_g1_{ros_domain}", getattr(request, "param", "real"))
    yield made
    made.close()
