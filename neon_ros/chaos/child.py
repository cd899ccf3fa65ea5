"""Processes of a run, seen from the runner: started, asked, killed, frozen, and their words kept."""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from neon_ros.errors import RobotError, refuse

PATIENCE = 40.0
"""Longest wait for anything that has no bound of its own [s]; a busy machine is slow, not wrong."""
_PR_SET_PDEATHSIG = 1  # prctl(2): nothing outlives a runner that was killed


class Child:
    """One process; its stderr goes to a file.

    :param name: for files and errors.
    :param command: what to run, without the interpreter.
    :param log: file for what it says.
    :param asked: whether it answers questions, see :mod:`neon_ros.chaos.pipe`; else its stdout goes to the file too.
    :param environment: variables to add.
    :param prepare: called in the new process before it runs its program.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        asked: bool = False,
        environment: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._start = log.stat().st_size if log.exists() else 0
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        libc = ctypes.CDLL(None)

        def before() -> None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if prepare is not None:
                prepare()

        with log.open("ab") as file:
            self.popen = subprocess.Popen(
                [sys.executable, *command],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE if asked else subprocess.DEVNULL,
                stdout=subprocess.PIPE if asked else file,
                stderr=file,
                start_new_session=True,
                preexec_fn=before,
            )
        if asked:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            if line.startswith(b"{"):
                self._answers.put(line.decode())
        self._answers.put(None)

    @property
    def alive(self) -> bool:
        """Return whether it runs (or is stopped by a signal)."""
        return self.popen.poll() is None

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.popen.pid

    def said(self) -> str:
        """Return what this process has said to its log."""
        return self.log.read_bytes()[self._start :].decode(errors="replace")

    def ask(self, timeout: float = PATIENCE, **question: Any) -> dict[str, Any]:
        """Ask and return the answer.

        :raises RobotError: when it has ended or does not answer in time.
        """
        self.tell(**question)
        return self.answered(timeout)

    def tell(self, **question: Any) -> None:
        """Ask without waiting; :meth:`answered` returns the answer."""
        assert self.popen.stdin is not None
        try:
            self.popen.stdin.write(json.dumps(question).encode() + b"\n")
            self.popen.stdin.flush()
        except BrokenPipeError:
            raise RobotError(refuse(self.name, f"it has ended: {self.last_words()}", "a running one")) from None

    def answered(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return the next answer.

        :raises RobotError: when it has ended or does not answer in time.
        """
        try:
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise RobotError(refuse(self.name, f"no answer in {timeout:g} s", "an answer")) from None
        if line is None:
            raise RobotError(refuse(self.name, f"it has ended: {self.last_words()}", "a running one"))
        result: dict[str, Any] = json.loads(line)
        return result

    def last_words(self) -> str:
        """Return how it ended and the end of what it said, on one line."""
        code = self.popen.poll()
        how = "" if code is None else f"exit code {code}; "
        return how + " | ".join(self.said().strip().splitlines()[-4:])

    def signal(self, number: int) -> int:
        """Send a signal; return when, just before [ns, steady clock]."""
        moment = time.monotonic_ns()
        self.popen.send_signal(number)
        return moment

    def wait(self, timeout: float = PATIENCE) -> int | None:
        """Return the exit code, ``None`` when it has not ended in time."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it at once, also when it is stopped."""
        if self.alive:
            self.popen.kill()
            self.popen.wait()
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None:
                stream.close()

    def memory(self) -> int:
        """Return its resident memory [bytes]; 0 once it has ended."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="utf-8").split()[1]
        except OSError:
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
