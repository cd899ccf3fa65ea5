"""What the view costs, switched on and off in turns beside the whole simulated graph.

    python benchmarks/view.py [--turns 4] [--seconds 15]

The graph of ``neon up`` runs throughout, armed.  In each turn it runs alone, then with the view and its recorder, and a
Chromium that looks at the page at the least priority.  At the end the view publishes ``predicted/*`` alone
to a subscriber of all of it, as for RViz.

- *stream*: p99.9 of the error of the LowCmd's period, by the stamps of the motor's own writes;
- *chunks*: those that the motor has taken, per second;
- *view*: processor time of the view's process, all threads, and how often the page was refreshed;
- *markers*: processor time of the same node without a page.

A ratio whose baseline's median differs by more than 20 % between turns is not printed as a result.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from motor import Figure, bound_figure, cpu_seconds, eventually, machine, period_errors, ratio_figure, table

from neon_ros.cli.supervisor import Supervisor, quiet_ros
from neon_ros.errors import NeonError
from neon_ros.graph import Graph, build
from neon_ros.motor.shared import MotorMemory

HERE = Path(__file__).parent
PORT = 8096
SETTLE = 3.0  # [s] after the view came or went, before anything is measured
WATCHED = ("view", "recorder")
ATTEMPTS, PATIENCE = 3, 25.0  # to bring the robot up, each so long [s]


class Segment(NamedTuple):
    """A while in which the machine was left alone.

    :param began: [ns, the wall clock of the stamps]; ``ended`` likewise.
    :param chunks: taken by the motor per second [Hz].
    :param cpu: of the view's process [% of a core].
    :param refreshes: of the page per second [Hz].
    """

    began: int
    ended: int
    chunks: float
    cpu: float = 0.0
    refreshes: float = 0.0


@contextmanager
def peer(role: str, environment: dict[str, str], *arguments: str) -> Iterator[None]:
    """Run one of ``view_peers.py`` for the length of a block."""
    command = [sys.executable, str(HERE / "view_peers.py"), role, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise SystemExit(f"{role} did not start")
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20.0)
            process.kill()


@contextmanager
def running(graph: Graph, log: list[str]) -> Iterator[dict[str, int]]:
    """Run processes for the length of a block; their numbers by name are given."""
    supervisor = Supervisor(graph, log.append)
    supervisor.start()
    try:
        yield {child.process.name: child.popen.pid for child in supervisor._children}
        if supervisor.vital_ended():
            raise SystemExit("\n".join(log[-20:]))
    finally:
        supervisor.end()


def page() -> dict[str, Any]:
    """Return what the page's bar says; nothing while there is no page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/neon/state", timeout=2.0) as answer:
            return dict(json.loads(answer.read()))
    except OSError:
        return {}


class Bench:
    """The running graph, and measurements of it."""

    def __init__(self, graph: Graph, memory: MotorMemory, seconds: float, log: list[str]) -> None:
        self._graph, self._memory, self._seconds, self._log = graph, memory, seconds, log
        self._environment = dict(graph.environment)

    def alone(self) -> Segment:
        """Measure the graph without a view."""
        time.sleep(SETTLE)
        return self._segment(lambda: (0.0, 0.0))

    def viewed(self) -> Segment:
        """Measure the graph with view, recorder and a browser."""
        with self._view({}) as pid, peer("browser", self._environment, "--address", f"http://127.0.0.1:{PORT}"):
            eventually(lambda: page().get("watchers"), "a browser that sees the view")
            time.sleep(SETTLE)
            return self._segment(lambda: (cpu_seconds(pid), float(page()["refreshes"])))

    def marked(self) -> Segment:
        """Measure the graph with the view's topics alone."""
        with self._view({"browser": False}) as pid, peer("rviz", self._environment):
            time.sleep(2 * SETTLE)
            return self._segment(lambda: (cpu_seconds(pid), 0.0))

    @contextmanager
    def _view(self, parameters: dict[str, object]) -> Iterator[int]:
        processes = [process for process in self._graph.processes if process.name in WATCHED]
        own = {process.name: {**process.parameters.get(process.name, {})} for process in processes}
        own["view"] |= parameters
        processes = [replace(process, parameters={process.name: own[process.name]}) for process in processes]
        with running(replace(self._graph, processes=tuple(processes)), self._log) as pids:
            if parameters.get("browser", True):
                eventually(page, "a page")
            yield pids["view"]

    def _segment(self, used: Callable[[], tuple[float, float]]) -> Segment:
        began, first, (cpu, refreshes) = time.time_ns(), self._taken(), used()
        time.sleep(self._seconds)
        ended, last, (cpu_then, refreshes_then) = time.time_ns(), self._taken(), used()
        seconds = (ended - began) * 1e-9
        rates = (last - first, 100.0 * (cpu_then - cpu), refreshes_then - refreshes)
        chunks, share, shown = (value / seconds for value in rates)
        return Segment(began, ended, chunks, share, shown)

    def _taken(self) -> int:
        report = eventually(self._memory.read_report, "a report of the motor")
        if report.state != "ACTIVE":
            raise SystemExit(f"the robot is {report.state} ({report.reason}): this machine is too busy to measure on")
        return int(report.chunks_taken)


def measure(turns: int, seconds: float, domain: int, log: list[str]) -> tuple[list[Any], np.ndarray]:
    """Run everything; return the segments (alone, viewed) of each turn and the marked one, and the stream's stamps."""
    words = {"robot_domain": str(domain), "ros_domain": str(domain + 1), "session": f"view{os.getpid()}"}
    graph = build({"robot": "sim", "autostart": "true", "port": str(PORT), **words})
    graph = replace(graph, environment=quiet_ros(graph.environment))
    rest = tuple(process for process in graph.processes if process.name not in WATCHED)

    def memory() -> MotorMemory | None:
        with suppress(NeonError):
            return MotorMemory.open(words["session"])
        return None

    def active(opened: MotorMemory) -> bool:
        """Return whether it has become ACTIVE: on a machine that was busy at the start, the guard has stopped it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            report = opened.read_report()
            if report is not None and report.state in ("ACTIVE", "DAMPING"):
                return report.state == "ACTIVE"
            time.sleep(0.1)
        return False

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "stamps.npy"
        for _ in range(ATTEMPTS):
            with running(replace(graph, processes=rest), log), eventually(memory, "the motor") as opened:
                if not active(opened):
                    continue
                bench = Bench(graph, opened, seconds, log)
                with peer("listen", {}, "--domain", str(domain), "--out", str(out)):
                    segments: list[Any] = []
                    for turn in range(turns):
                        segments.append((bench.alone(), bench.viewed()))
                        print(f"turn {turn + 1}: {segments[-1]}", file=sys.stderr, flush=True)
                    segments.append(bench.marked())
                return segments, np.load(out)
    raise SystemExit(f"the robot has not become ACTIVE in {ATTEMPTS} attempts")


def figures_of(segments: list[Any], stamps: np.ndarray) -> list[Figure]:
    """Return the lines of the table."""
    *turns, marked = segments

    def errors(segment: Segment) -> np.ndarray:
        return period_errors(stamps[(stamps >= segment.began) & (stamps <= segment.ended)])

    alone, viewed = ([errors(segment) for segment in column] for column in zip(*turns, strict=True))
    p999 = [[float(np.percentile(array, 99.9)) for array in arrays] for arrays in (alone, viewed)]
    steady = [float(np.percentile(array, 50)) for array in alone]
    stream = ratio_figure("LowCmd stream, period error p99.9, view on / off", *p999, 1.05, "us", steady)
    together = [float(np.percentile(np.concatenate(arrays), 99.9)) for arrays in (alone, viewed)]
    stream = stream._replace(ratio=f"{stream.ratio}; all turns together {together[1] / together[0]:.2f}x")
    rates = [(off.chunks, on.chunks) for off, on in turns]
    changes = [100.0 * (on / off - 1.0) for off, on in rates]
    chunks = Figure(
        "chunks per second, view on / off",
        f"{median(off for off, _ in rates):.2f} Hz",
        f"{median(on for _, on in rates):.2f} Hz",
        f"{median(changes):+.1f} % (worst {max(changes, key=abs):+.1f} %)",
        "at most 5 % apart",
        abs(median(changes)) <= 5.0,
    )
    refreshes = median(on.refreshes for _, on in turns)
    against = f"one browser, {refreshes:.1f} refreshes a second"
    view = bound_figure("view process with a browser", [on.cpu for _, on in turns], 25.0, "% of a core", against)
    view = view._replace(met=view.met and refreshes >= 19.0)
    against = f"a subscriber of every predicted topic, {marked.chunks:.1f} chunks a second"
    markers = bound_figure("view process without a page, for RViz", [marked.cpu], 10.0, "% of a core", against)
    return [stream, chunks, view, markers]


def main() -> int:
    """Print the table; return 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=4, help="of off and on")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--domain", type=int, default=150, help="DDS domain of the robot; the next one is ROS's")
    options = parser.parse_args()
    print(f"{machine()}; {options.turns} turns of {options.seconds:g} s: median (worst)\n", flush=True)
    log: list[str] = []
    try:
        segments, stamps = measure(options.turns, options.seconds, options.domain, log)
    except BaseException:
        print("\n".join(log[-40:]), file=sys.stderr)
        raise
    figures = figures_of(segments, stamps)
    print(table(figures))
    return int(any(figure.met is False for figure in figures))


if __name__ == "__main__":
    raise SystemExit(main())
