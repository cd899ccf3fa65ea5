"""Load beside the work: a thread for the heavy part, and the result handed back to the node's own thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from rclpy.node import Node

from neon_ros.errors import NeonError

Result = TypeVar("Result")


class Loader(Generic[Result]):
    """Run jobs one after the other in a thread, and call back in the node's executor.

    :param node: whose executor calls back.
    """

    def __init__(self, node: Node) -> None:
        self._jobs: deque[tuple[Callable[[], Result], Callable[[Result | NeonError], None]]] = deque()
        self._done: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._name = f"{node.get_name()}_loader"
        self._ready = node.create_guard_condition(self._deliver)

    def submit(self, job: Callable[[], Result], done: Callable[[Result | NeonError], None]) -> None:
        """Run ``job`` in the thread, then ``done`` with its result, or its refusal, in the executor."""
        with self._lock:
            self._jobs.append((job, done))
            if self._thread is None:
                # No daemon: the interpreter must not end while ONNX Runtime opens a session; it waits for this one.
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=False)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._thread = None
                    return
                job, done = self._jobs.popleft()
            outcome: Result | NeonError
            try:
                outcome = job()
            except NeonError as error:
                outcome = error
            except Exception as error:  # a file may be broken in any way; whoever asked must hear of it
                outcome = NeonError(f"{type(error).__name__}: {error}")
            self._done.append(lambda outcome=outcome, done=done: done(outcome))  # type: ignore[misc]
            try:
                self._ready.trigger()
            except Exception:  # InvalidHandle, which has no public place: the node is gone, and nobody asks any more
                with self._lock:
                    self._jobs.clear()

    def _deliver(self) -> None:
        while self._done:
            self._done.popleft()()
