"""Run the processes of a graph: start in order, watch, start again what may crash, end in reverse order.

What ``ros2 launch`` does where ROS 2 is installed; here without it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from neon_ros.graph import Graph, Process
from neon_ros.respawn import PAUSE, Respawn

GRACE = {signal.SIGINT: 5.0, signal.SIGTERM: 2.0}
"""How long a process may take after each signal before the next, stronger one [s]; SIGKILL comes last."""
LAST_WORDS = 4
_RESEND = 0.5  # [s] between two signals of a kind
_PR_SET_PDEATHSIG = 1  # prctl(2): no process outlives a supervisor that was killed


class Child:
    """One running process; its output is passed on line by line with its name before it."""

    def __init__(self, process: Process, environment: Mapping[str, str], write: Callable[[str], None]) -> None:
        self.process = process
        self.started = time.monotonic()
        self.last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self.reported = False
        self._write = write
        libc = ctypes.CDLL(None)

        def prepare() -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # until it has its own handler: no traceback out of an import
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            with suppress(PermissionError):  # only the superuser may be less nice than others
                os.nice(process.niceness)

        self.popen = subprocess.Popen(
            process.command(),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends the children in order
            preexec_fn=prepare,
        )
        self._reader = threading.Thread(target=self._read, args=(self.popen.stdout,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[bytes]) -> None:
        for raw in stream:
            line = raw.decode(errors="replace").rstrip()
            if line:
                self.last_words.append(line)
                self._write(f"[{self.process.name}] {line}")

    def cpu(self) -> float:
        """Return the share of one core it has used since its start; 0 once it has ended."""
        try:
            words = Path(f"/proc/{self.popen.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        except OSError:
            return 0.0
        seconds = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc(5)
        return seconds / max(1e-3, time.monotonic() - self.started)

    def end(self) -> int:
        """Ask the process to end, ever more firmly; return its exit code."""
        for number, grace in GRACE.items():
            deadline = time.monotonic() + grace
            while self.popen.poll() is None and time.monotonic() < deadline:
                self.popen.send_signal(number)  # again and again, for one that had no handler yet; it does no harm
                with suppress(subprocess.TimeoutExpired):
                    self.popen.wait(min(_RESEND, grace))
            if self.popen.poll() is None:
                self._write(f"[neon] {self.process.name} ignored {number.name} for {grace:g} s")
        if self.popen.poll() is None:
            self.popen.kill()
        code = self.popen.wait()
        self._reader.join(timeout=1.0)
        return code

    def why(self) -> str:
        """Return how the process ended, in words."""
        code = self.popen.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        words = f": {' | '.join(self.last_words)}" if code and self.last_words else ""
        return f"{self.process.name} {how} after {time.monotonic() - self.started:.1f} s{words}"


class Supervisor:
    """Run a graph until a signal comes, time is up or a vital process ends.

    :param write: takes one line of output at a time.
    """

    def __init__(self, graph: Graph, write: Callable[[str], None] | None = None) -> None:
        self.graph = graph
        self.failed: list[str] = []
        self._lock = threading.Lock()
        self._out = write or (lambda line: print(line, flush=True))
        self._children: list[Child] = []
        self._respawns = {process.name: Respawn() for process in graph.processes if not process.vital}
        self._due: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        """Share of one core that each process used until the end began."""
        self._signalled = threading.Event()

    def write(self, line: str) -> None:
        """Write one line, whole."""
        with self._lock:
            self._out(line)

    def start(self) -> None:
        """Start all processes in order."""
        for process in self.graph.processes:
            if self._signalled.is_set():
                break
            self._children.append(Child(process, self.graph.environment, self.write))

    def run(self, seconds: float | None = None) -> bool:
        """Start everything, wait, end everything.

        :param seconds: time limit [s]; ``None`` for none.
        :returns: whether no vital process ended by itself.
        """
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        deadline = float("inf") if seconds is None else time.monotonic() + seconds
        try:
            self.start()
            while not self._signalled.wait(0.1):
                if self.vital_ended() or time.monotonic() > deadline:
                    break
                self._start_again()
        finally:
            self.end()
            for number, handler in before.items():
                signal.signal(number, handler)
        return not self.failed

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signalled.set()

    def vital_ended(self) -> bool:
        """Say which processes have ended by themselves since the last call; return whether a vital one has."""
        for child in self._children:
            if child.reported or child.popen.poll() is None:
                continue
            child.reported = True
            if child.process.vital:
                self.failed.append(child.why())
                self.write(f"[neon] {child.why()}; without it nothing works: ending everything")
            else:
                again, said = self._respawns[child.process.name].again(child.popen.returncode, time.monotonic())
                self.write(f"[neon] {child.why()}; {said}")
                if again:
                    self._due[child.process.name] = time.monotonic() + PAUSE
        return bool(self.failed)

    def _start_again(self) -> None:
        """Start the crashed processes whose time has come, in their old places."""
        for place, child in enumerate(self._children):
            name = child.process.name
            if name in self._due and time.monotonic() >= self._due[name]:
                del self._due[name]
                self._children[place] = Child(child.process, self.graph.environment, self.write)

    def end(self) -> None:
        """End all processes in reverse order of their start; those that nothing depends on all at once."""
        self.cpu = {child.process.name: child.cpu() for child in self._children}
        for child in self._children:
            if not child.process.vital and child.popen.poll() is None:
                child.popen.send_signal(signal.SIGINT)
        while self._children:
            child = self._children.pop()
            alive = child.popen.poll() is None
            code = child.end()
            if alive and code not in (0, -signal.SIGINT, -signal.SIGTERM):
                self.write(f"[neon] {child.why()}")


def quiet_ros(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with short ROS log lines: the supervisor writes who says it."""
    return {"RCUTILS_CONSOLE_OUTPUT_FORMAT": "{severity}: {message}", **environment}


def become(process: Process, environment: Mapping[str, str]) -> NoReturn:
    """Turn this process into ``process``, which takes the terminal, the signals and the exit code over."""
    command = process.command()
    os.execve(command[0], command, {**os.environ, **quiet_ros(environment)})
