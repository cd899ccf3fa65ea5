"""``neon up``: the simulated robot and the whole graph from one command, and a second one beside it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import pytest

for name in ("rclpy", "neon_ros_msgs.msg", "mujoco", "cyclonedds", "onnxruntime"):
    pytest.importorskip(name)

pytestmark = [pytest.mark.system, pytest.mark.long]
SCRIPT = "import sys; from neon_ros.cli import main; sys.exit(main())"


def up(ros_domain: int, robot_domain: int, *arguments: str) -> list[str]:
    words = [f"ros_domain:={ros_domain}", f"robot_domain:={robot_domain}", f"session:=test_up_{ros_domain}"]
    return [sys.executable, "-c", SCRIPT, "up", "robot:=sim", *words, *arguments]


def run(command: Sequence[str], timeout: float = 240.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)


@pytest.mark.parametrize("composed", ["true", "false"])
def test_a_headless_run_makes_chunks_and_sends_commands(ros_domain: int, robot_domain: int, composed: str) -> None:
    done = run(up(ros_domain, robot_domain, "head:=hold", f"composed:={composed}", "--headless", "--seconds", "60"))
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    for word in ("chunks", "commands", "limits", "ARMING", "result    ok"):
        assert word in done.stdout


def test_two_stacks_of_one_session_do_not_meet(ros_domain: int, robot_domain: int) -> None:
    command = up(ros_domain, robot_domain, "head:=hold", "composed:=true", "--headless")
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as first:
        assert first.stdout is not None
        stream = first.stdout
        reader = threading.Thread(target=lambda: lines.extend(stream), daemon=True)
        reader.start()
        deadline = time.monotonic() + 90.0
        while not any("INACTIVE" in line for line in lines):
            assert time.monotonic() < deadline, "".join(lines)
            time.sleep(0.2)
        second = run([*command, "--seconds", "60"])
        assert second.returncode == 1
        assert f"test_up_{ros_domain}" in second.stdout and "without it nothing works" in second.stdout
        assert first.poll() is None
        first.terminate()
        assert first.wait(60) == 0
        reader.join(5.0)
    assert "Traceback" not in "".join(lines)
