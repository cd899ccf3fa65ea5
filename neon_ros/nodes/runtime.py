"""Run nodes until a signal: own thread and executor each, exit code 0 on Ctrl-C, a clear line on a refusal.

Blocking compute in one node (an inference of 50 ms) must not starve another in the same process, so each node has its
own thread with its own SingleThreadedExecutor.  ONNX Runtime, rendering and DDS release the interpreter lock.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from neon_ros.errors import NeonError
from neon_ros.resources import share

EXIT_REFUSED = 2
"""Exit code when parameters, files or the robot were refused at the start; 1 is for a crash."""
PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""Where Fast DDS 3 and 2 look for their settings."""
CLOSE_TIMEOUT = 2.0
"""Longest wait for a node to finish what it is doing [s]."""


class _Lane(threading.Thread):
    """One node with its executor in one thread."""

    def __init__(self, node: Node, finished: Callable[[], None]) -> None:
        super().__init__(name=node.get_name(), daemon=True)
        self.node, self._finished = node, finished
        self.error: BaseException | None = None
        self.closing = threading.Event()
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(node)

    def run(self) -> None:
        try:
            self.executor.spin()
        except Exception as error:
            # Executor.shutdown() destroys its guard while a callback that just ended may still be about to trigger it;
            # InvalidHandle has no public place that all releases of rclpy share.
            if not (self.closing.is_set() and type(error).__name__ == "InvalidHandle"):
                self.error = error
        finally:
            self._finished()
            self.node.destroy_node()  # here, because an OpenGL context belongs to the thread that made it


def make_room() -> None:
    """Give Fast DDS the shared memory that a raw picture needs, unless somebody has settings of their own."""
    if not any(name in os.environ for name in PROFILES):
        os.environ |= dict.fromkeys(PROFILES, str(share("config/fastdds.xml")))


def run(factories: Mapping[str, Callable[[], Node]], arguments: Sequence[str] | None = None) -> int:
    """Create the nodes, spin each until a signal comes or one fails, destroy them; return the exit code.

    :param factories: node name to what makes it, in the order of creation; destroyed in reverse.
    :param arguments: command line for rclpy; ``None`` takes ``sys.argv``.
    """
    ended = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        ended.set()

    make_room()
    # rclpy's own handlers would pull the context away under a running callback.
    rclpy.init(
        args=None if arguments is None else [sys.argv[0], *arguments], signal_handler_options=SignalHandlerOptions.NO
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    lanes: list[_Lane] = []
    try:
        for name, make in factories.items():
            if ended.is_set():
                break
            try:
                lanes.append(_Lane(make(), ended.set))
            except NeonError as error:
                get_logger(name).fatal(str(error))
                return EXIT_REFUSED
        for lane in lanes:
            lane.start()
        ended.wait()
    finally:
        code = _close(lanes)
    return code


def _close(lanes: Sequence[_Lane]) -> int:
    """Stop the threads, destroy the nodes in reverse order; return the exit code."""
    code = 0
    for lane in reversed(lanes):
        lane.closing.set()
        lane.executor.shutdown()
        if lane.ident is None:  # never started
            lane.node.destroy_node()
        else:
            lane.join(timeout=CLOSE_TIMEOUT)
        if isinstance(lane.error, NeonError):
            get_logger(lane.name).fatal(str(lane.error))
            code = EXIT_REFUSED
        elif lane.error is not None:
            sys.excepthook(type(lane.error), lane.error, lane.error.__traceback__)
            code = 1
    rclpy.try_shutdown()
    return code


def main_of(name: str, make: Callable[[], Any]) -> Callable[[], None]:
    """Return the ``main`` of a module that holds one node."""

    def main() -> None:
        sys.exit(run({name: make}))

    main.__doc__ = f"Run the node ``{name}``."
    return main
