"""``neon check`` against a robot on DDS, and against nothing: it judges, and moves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cyclonedds")
pytest.importorskip("unitree_sdk2py")

pytestmark = pytest.mark.system
HERE = Path(__file__).parent
PATIENCE = 60.0  # [s]


def check(domain: int, *words: str) -> tuple[int, dict[str, Any]]:
    """Run the verb as an operator does; return its exit code and what it says."""
    program = "import sys; from neon_ros.cli import main; sys.exit(main(sys.argv[1:]))"
    session = f"check{domain}-{os.getpid()}"
    arguments = [f"robot_domain:={domain}", f"session:={session}", "--json", "--seconds", "1", *words]
    done = subprocess.run(
        [sys.executable, "-c", program, "check", *arguments], capture_output=True, text=True, timeout=PATIENCE
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def rows(said: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {row["check"]: (row["result"], row["seen"]) for row in said["checks"]}


@pytest.fixture
def robot(robot_domain: int, tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[str], Path]]:
    """A fake robot on a domain of its own; where it leaves what it heard."""
    out = tmp_path / "heard.npz"
    words = [sys.executable, str(HERE / "fake_robot.py"), "--domain", str(robot_domain), "--out", str(out)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    yield robot_domain, process, out
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdout.close()


def test_a_robot_that_is_well(robot: tuple[int, subprocess.Popen[str], Path]) -> None:
    domain, process, out = robot
    code, said = check(domain)
    found = rows(said)
    for name in ("DDS link", "CRC self-test", "LowState CRC", "LowState tick", "motors' owner", "variant", "mode_pr"):
        assert found[name][0] == "ok", (name, found[name])
    for name in (
        "tilt",
        "casings",
        "windings",
        "motor faults",
        "writers rt/arm_sdk",
        "writers rt/lowcmd",
        "checkpoint",
    ):
        assert found[name][0] == "ok", (name, found[name])
    assert found["walking controller"][0] == "warn" and found["battery"][0] == "warn" and found["remote"][0] == "warn"
    assert len(said["limits"]) == 29
    assert (code == 0) is said["ok"] and set(said["failed"]) <= {"LowState rate"}, "a busy machine may miss LowStates"
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE)
    with np.load(out) as heard:
        assert len(heard["time"]) == 0 and len(heard["velocity"]) == 0, "it commands nothing"


def test_a_foreign_writer_fails(robot: tuple[int, subprocess.Popen[str], Path]) -> None:
    domain = robot[0]
    program = (
        "import sys, time; from neon_ros.motor.link import Link; link = Link(int(sys.argv[1]), 'lo')\n"
        "writer = link.low_cmd_writer('rt/arm_sdk'); print('up', flush=True); time.sleep(60)"
    )
    rogue = subprocess.Popen([sys.executable, "-c", program, str(domain)], stdout=subprocess.PIPE, text=True)
    try:
        assert rogue.stdout is not None and rogue.stdout.readline() == "up\n"
        time.sleep(0.5)
        code, said = check(domain)
        assert code == 1 and rows(said)["writers rt/arm_sdk"][0] == "FAIL" and "writers rt/arm_sdk" in said["failed"]
        assert rows(check(domain, "mode:=whole_body", "head:=hold")[1])["writers rt/arm_sdk"][0] == "warn"
    finally:
        rogue.kill()
        rogue.wait()


def test_without_a_robot_it_is_a_failed_row(robot_domain: int) -> None:
    code, said = check(robot_domain)
    found = rows(said)
    assert code == 1 and "LowState" in said["failed"] and found["LowState"][1] == "none in 1.0 s"
    assert found["variant"][0] == "-" and found["checkpoint"][0] == "ok" and said["limits"] == []


def test_an_interface_that_is_not_there_is_a_failed_row(robot_domain: int) -> None:
    code, said = check(robot_domain, "robot:=real", "network_interface:=nowhere0")
    assert code == 1 and {"network interface", "DDS link"} <= set(said["failed"])
    assert "nowhere0" in rows(said)["DDS link"][1]
