"""Our bytes on the wire with the vendor's own software at the other end: the C++ SDK and the Python SDK."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cyclonedds")

from neon_ros.motor.link import Link
from neon_ros.motor.rpc import CHECK_MODE, RELEASE_MODE, SET_VELOCITY, RpcServer
from neon_ros.robot.wire import LowCmd, LowStateFrame, decode_low_cmd

pytestmark = pytest.mark.system
HERE = Path(__file__).parent
Q = np.linspace(-0.4, 0.4, 29).astype(np.float32)


def robot_for(link: Link, program: str) -> tuple[dict[str, Any], list[LowCmd], tuple[str, ...]]:
    """Be a robot until the peer ends: return its report, the commands heard and the writers seen meanwhile."""
    states, commands, watch = link.low_state_writer(), link.low_cmd_reader("rt/lowcmd"), link.watch_writers("rt/lowcmd")
    frame = LowStateFrame()
    frame.set_mode(0, 5)
    frame.set_imu([0.5, 0.5, 0.5, 0.5], [0.1, 0.2, 0.3], [0, 0, 9.75], [0.1, 0.2, 0.3])
    frame.set_health(surface=31, winding=42)
    arguments = [sys.executable, str(HERE / program), str(link.domain), "3"]
    peer = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    heard: list[LowCmd] = []
    writers: tuple[str, ...] = ()
    tick, deadline = 0, time.monotonic() + 60
    while peer.poll() is None and time.monotonic() < deadline:
        tick += 2
        frame.fill(tick, Q, Q * 2, Q * 3)
        states.write(frame.seal())
        if (payload := commands.take_newest()) is not None:
            heard.append(decode_low_cmd(payload))
        writers = watch.foreign() or writers
        time.sleep(0.002)
    output, _ = peer.communicate(timeout=5)
    lines = [line for line in output.splitlines() if line.startswith("REPORT ")]
    assert peer.returncode == 0 and lines, output
    return json.loads(lines[0].removeprefix("REPORT ")), heard, writers


def check_commands(heard: list[LowCmd]) -> None:
    """Every frame of the peer was decoded, CRC and all, and says what the peer meant."""
    assert len(heard) > 20
    last = heard[-1]
    for values, want in ((last.q, 0.5), (last.dq, 0.25), (last.kp, 20.0), (last.kd, 1.5), (last.tau, 0.125)):
        assert (values == want).all()
    assert last.mode.tolist() == [1] * 29 and (last.mode_pr, last.mode_machine) == (0, 5)


def test_the_cpp_sdk_reads_our_state_and_we_read_its_commands(robot_domain: int) -> None:
    pytest.importorskip("unitree_interface")
    with Link(robot_domain, "lo") as link:
        report, heard, writers = robot_for(link, "peer_cpp.py")
    assert np.allclose(report["q"], Q) and np.allclose(report["dq"], Q * 2) and np.allclose(report["tau"], Q * 3)
    assert report["temperature"] == [31] * 29 and report["mode_machine"] == 5
    assert report["quaternion"] == [0.5] * 4 and np.allclose(report["gyroscope"], [0.1, 0.2, 0.3])
    assert np.allclose(report["accelerometer"], [0, 0, 9.75])
    check_commands(heard)
    assert len(writers) == 1


def test_the_python_sdk_reads_our_state_uses_our_services_and_we_read_its_commands(robot_domain: int) -> None:
    link = Link(robot_domain, "lo")
    owner = {"name": "ai"}
    velocities: list[Any] = []

    def release(parameter: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        owner["name"] = ""
        return 0, {}

    def walk(parameter: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        velocities.append(parameter)
        return 0, {}

    handlers = {CHECK_MODE: lambda _: (0, dict(owner)), RELEASE_MODE: release}
    servers = [RpcServer(link, "motion_switcher", handlers), RpcServer(link, "sport", {SET_VELOCITY: walk})]
    try:
        report, heard, writers = robot_for(link, "peer_sdk.py")
    finally:
        for server in servers:
            server.close()
        link.close()
    assert np.allclose(report["q"], Q) and report["mode_machine"] == 5
    assert report["crc_right"] and report["states"] > 50
    assert report["rpc"] == [[0, {"name": "ai"}], [0, None], [0, {"name": ""}], 0]
    assert velocities == [{"velocity": [0.1, 0.2, 0.3], "duration": 1.0}]
    check_commands(heard)
    assert len(writers) == 1
