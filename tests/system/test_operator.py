"""The operator's verbs on a real ``g1_command``, and ``neon stop`` when ROS is dead."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
from std_msgs.msg import String

from neon_ros.bridge import topics
from neon_ros_msgs.msg import GuardReport

pytestmark = pytest.mark.system

MOTOR = """
import signal, sys, time
from neon_ros.motor.records import MotorReport
from neon_ros.motor.shared import MotorMemory
stop = []
signal.signal(signal.SIGINT, lambda *_: stop.append(1))
memory = MotorMemory.create(sys.argv[1], "arms_only")
holder = MotorMemory.open(sys.argv[1], "command") if sys.argv[2] == "held" else None
print("ready", flush=True)
while not stop:
    now = time.monotonic_ns()
    memory.beat(now)
    memory.write_report(MotorReport(now, "INACTIVE", "for a test", "arms_only", 5))
    for kind in memory.take_requests():
        print("asked to", kind, flush=True)
        memory.give_answer(kind, True, f"{kind} as asked")
    time.sleep(0.005)
memory.close()
print("stopped by SIGINT", flush=True)
"""


@pytest.fixture
def session(ros_domain: int) -> str:
    return f"test_operator_{ros_domain}"


@pytest.fixture
def motor(session: str, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", MOTOR, session, getattr(request, "param", "free")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def neon(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = "import sys; from neon_ros.cli import main; sys.exit(main())"
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=120)


def test_verbs_reach_the_motor(peer: Any, running: Any, session: str, motor: subprocess.Popen[str]) -> None:
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    ros = ("--ros-args", "-p", f"session:={session}", "-p", "mode:=arms_only")
    with running("neon_ros.nodes.g1_command", *ros):
        peer.until(lambda: reports, "a report")
        for verb in ("arm", "disarm", "stop"):
            done = neon(verb, f"session:={session}")
            assert (done.returncode, done.stdout) == (0, f"{verb}: done: {verb} as asked\n"), done.stderr
        status = neon("status", f"session:={session}")
        assert status.returncode == 0
        assert "state     INACTIVE: for a test" in status.stdout
        assert re.search(r"^nodes     .*\bg1_command\b", status.stdout, re.MULTILINE), status.stdout


def test_words_reach_whoever_listens(peer: Any, running: Any) -> None:
    heard = peer.listen(String, topics.INSTRUCTION, topics.LATCHED)
    script = "import sys; from neon_ros.cli import main; sys.exit(main())"
    words = ["say", "touch the red cube", "with your left hand"]
    with subprocess.Popen([sys.executable, "-c", script, *words], stdout=subprocess.PIPE, text=True) as process:
        peer.until(lambda: heard, "the words")
        assert process.wait(60) == 0
    assert heard[0].data == "touch the red cube with your left hand"


def test_words_without_a_listener_are_not_lost_silently(ros_domain: int) -> None:
    done = neon("say", "hello")
    assert done.returncode == 2
    assert "instruction: got no listener in 3 s; allowed: a running backbone" in done.stderr


def test_stop_works_without_ros(session: str, motor: subprocess.Popen[str]) -> None:
    done = neon("stop", f"session:={session}")
    assert (done.returncode, done.stdout) == (0, "stop: done: stop as asked\n")
    assert motor.stdout is not None and motor.stdout.readline() == "asked to stop\n"


@pytest.mark.parametrize("motor", ["held"], indirect=True)
def test_stop_ends_the_motor_when_its_memory_is_held_by_a_node_that_does_not_answer(
    session: str, motor: subprocess.Popen[str]
) -> None:
    done = neon("stop", f"session:={session}")
    assert "service stop: got nobody" in done.stderr and "ending the motor process" in done.stderr
    assert done.returncode == 0 and f"motor process {motor.pid} was told to end" in done.stdout
    assert motor.stdout is not None and motor.stdout.readline() == "stopped by SIGINT\n"
    assert motor.wait(10) == 0


def test_without_a_motor_the_verbs_say_so(ros_domain: int, session: str) -> None:
    started = time.monotonic()
    done = neon("stop", f"session:={session}")
    assert done.returncode == 2 and f"session: got {session}; allowed: a session with a running motor" in done.stderr
    status = neon("status", f"session:={session}")
    assert status.returncode == 1
    assert re.search(r"^nodes     (?!.*g1_command)", status.stdout, re.MULTILINE), status.stdout
    arm = neon("arm", f"session:={session}")
    assert arm.returncode == 2 and "service arm: got nobody on ROS domain" in arm.stderr
    assert time.monotonic() - started < 120
