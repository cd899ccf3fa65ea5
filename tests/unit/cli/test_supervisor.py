"""The supervisor on small real processes: order, endings, last words, no one left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from neon_ros.cli import supervisor as supervisor_module
from neon_ros.cli.supervisor import GRACE, Supervisor
from neon_ros.graph import Graph, Process

BODY = """
import signal, sys, time
name, how = sys.argv[1:3]
def ended(number, frame):
    print(name, "got", signal.Signals(number).name, flush=True)
    if how != "deaf":
        sys.exit(0)
signal.signal(signal.SIGINT, ended)
signal.signal(signal.SIGTERM, ended)
print(name, "is up", flush=True)
if how == "refuse":
    sys.exit(2)
if how == "crash":
    sys.exit("it broke because of the weather")
while True:
    time.sleep(0.02)
"""


def graph(tmp_path: Path, *processes: tuple[str, str, bool]) -> Graph:
    (tmp_path / "child_of_a_test.py").write_text(BODY, encoding="utf-8")
    made = tuple(Process(name, "child_of_a_test", arguments=(name, how), vital=vital) for name, how, vital in processes)
    return Graph({}, {"PYTHONPATH": str(tmp_path), "PYTHONUNBUFFERED": "1"}, made)


def test_processes_end_in_reverse_order_of_their_start(tmp_path: Path) -> None:
    lines: list[str] = []
    supervisor = Supervisor(graph(tmp_path, ("a", "", True), ("b", "", True)), lines.append)
    assert supervisor.run(seconds=1.0)
    assert lines.index("[b] b got SIGINT") < lines.index("[a] a got SIGINT")
    assert "[a] a is up" in lines


def test_a_vital_process_that_dies_ends_everything_and_says_why(tmp_path: Path) -> None:
    lines: list[str] = []
    supervisor = Supervisor(graph(tmp_path, ("a", "", False), ("b", "crash", True)), lines.append)
    assert not supervisor.run(seconds=20.0)
    (why,) = supervisor.failed
    assert "b ended with exit code 1" in why and "it broke because of the weather" in why
    assert any("[a] a got SIGINT" in line for line in lines)


def test_the_rest_goes_on_when_another_process_dies(tmp_path: Path) -> None:
    lines: list[str] = []
    supervisor = Supervisor(graph(tmp_path, ("a", "", True), ("b", "crash", False)), lines.append)
    assert supervisor.run(seconds=1.5)
    assert any("b ended with exit code 1" in line and "starting it again in 3 s" in line for line in lines)


def test_a_crashed_process_comes_back_until_it_crashes_too_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "PAUSE", 0.05)
    lines: list[str] = []
    supervisor = Supervisor(graph(tmp_path, ("a", "", True), ("b", "crash", False)), lines.append)
    ends = time.monotonic() + 60.0
    over = threading.Thread(target=lambda: supervisor.run(seconds=60.0))
    monkeypatch.setattr(signal, "signal", lambda *_: signal.SIG_DFL)  # only a main thread may set handlers
    over.start()
    while not any("it stays down" in line for line in lines) and time.monotonic() < ends:
        time.sleep(0.05)
    time.sleep(0.5)
    supervisor._signalled.set()
    over.join()
    assert sum("b ended with exit code 1" in line for line in lines) == 3 == lines.count("[b] b is up")
    assert lines.count("[a] a is up") == 1 and not supervisor.failed


def test_a_process_that_ended_in_order_or_was_refused_does_not_come_back(tmp_path: Path) -> None:
    lines: list[str] = []
    supervisor = Supervisor(graph(tmp_path, ("a", "", True), ("b", "refuse", False)), lines.append)
    assert supervisor.run(seconds=1.5)
    assert any("b ended with exit code 2" in line and line.endswith("; the rest goes on") for line in lines)


def test_a_deaf_process_is_killed(tmp_path: Path) -> None:
    lines: list[str] = []
    before = dict(GRACE)
    GRACE.update({signal.SIGINT: 0.3, signal.SIGTERM: 0.3})
    try:
        Supervisor(graph(tmp_path, ("a", "deaf", True)), lines.append).run(seconds=1.0)
    finally:
        GRACE.update(before)
    assert "[neon] a ignored SIGINT for 0.3 s" in lines and "[neon] a ignored SIGTERM for 0.3 s" in lines
    assert any("a was killed by SIGKILL" in line for line in lines)


def test_no_process_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "child_of_a_test.py").write_text(BODY, encoding="utf-8")
    script = f"""
import time
from neon_ros.cli.supervisor import Supervisor
from neon_ros.graph import Graph, Process
child = Process("a", "child_of_a_test", arguments=("a", ""))
supervisor = Supervisor(Graph({{}}, {{"PYTHONPATH": {str(tmp_path)!r}}}, (child,)))
supervisor.start()
print("pid", supervisor._children[0].popen.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = next(int(line.split()[1]) for line in parent.stdout if line.startswith("pid"))
        next(line for line in parent.stdout if "is up" in line)
        parent.kill()
    deadline = time.monotonic() + 10.0
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.05)
    assert pid != os.getpid()
