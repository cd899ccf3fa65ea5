"""A robot for tests: writes LowState at 500 Hz, follows commands without inertia, answers RPCs, keeps what it heard.

Run as a script; see ``--help``.  On SIGTERM it writes what it heard to ``--out`` (npz): per LowCmd ``time`` [ns, steady
clock], ``topic`` (0 rt/lowcmd, 1 rt/arm_sdk), ``q dq kp kd`` (29,), ``weight``, ``mode_machine``; ``velocity`` per RPC.
"""

from __future__ import annotations

import argparse
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from neon_ros.motor.link import Link
from neon_ros.motor.realtime import quiet_interpreter, receive_under_fifo, sleep_until
from neon_ros.motor.rpc import CHECK_MODE, RELEASE_MODE, SELECT_MODE, SET_VELOCITY, RpcServer
from neon_ros.robot.battery import encode_battery
from neon_ros.robot.remote import remote_with
from neon_ros.robot.wire import LowStateFrame, decode_low_cmd

TOPICS = ("rt/lowcmd", "rt/arm_sdk")


def main() -> None:
    """Be a robot until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--domain", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--mode-machine", type=int, default=5)
    parser.add_argument("--stubborn", action="store_true", help="never release the motors")
    parser.add_argument("--silent-after", type=float, default=1e9, help="stop LowState after so many seconds")
    parser.add_argument("--buttons", default="", help="held down on the remote once somebody commands the robot")
    parser.add_argument("--charge", type=int, default=-1, help="of the battery; -1 says nothing of it")
    options = parser.parse_args()

    receive_under_fifo()  # where allowed: a robot is never late, however busy the machine that tests
    link = Link(options.domain, "lo")
    owner = {"name": "ai"}
    heard: list[tuple[Any, ...]] = []
    velocity: list[list[float]] = []

    def release(parameter: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if not options.stubborn:
            owner["name"] = ""
        return 0, {}

    def select(parameter: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        owner["name"] = str(parameter["name"])
        return 0, {}

    def walk(parameter: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        velocity.append(parameter["velocity"])
        return 0, {}

    servers = (
        RpcServer(
            link,
            "motion_switcher",
            {CHECK_MODE: lambda _: (0, dict(owner)), RELEASE_MODE: release, SELECT_MODE: select},
        ),
        RpcServer(link, "sport", {SET_VELOCITY: walk}),
    )
    readers = [link.low_cmd_reader(topic) for topic in TOPICS]
    writer, battery = link.low_state_writer(), link.battery_writer()
    frame = LowStateFrame()
    frame.set_mode(0, options.mode_machine)
    frame.set_imu([1, 0, 0, 0], [0, 0, 0], [0, 0, 9.81], [0, 0, 0])
    frame.set_health()
    q = np.zeros(29)
    q[[3, 9, 18, 25]] = 0.3

    running = True

    def stop(number: int, stack: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    quiet_interpreter()
    began = deadline = time.monotonic_ns()
    print("ready", flush=True)
    while running:
        deadline += 2_000_000
        sleep_until(deadline)
        now = time.monotonic_ns()
        for index, reader in enumerate(readers):
            payload = reader.take_newest()
            if payload is None:
                continue
            cmd = decode_low_cmd(payload)
            heard.append((now, index, cmd.q, cmd.dq, cmd.kp, cmd.kd, cmd.weight, cmd.mode_machine))
            share = cmd.weight if index else 1.0
            q += share * (cmd.kp > 0) * (cmd.q - q)
        if options.buttons and len(heard) == 500:
            frame.set_remote(remote_with(*options.buttons.split("+")))
        tick = (now - began) // 1_000_000
        if options.charge >= 0 and tick % 100 < 2:
            battery.write(encode_battery(options.charge))
        if tick < options.silent_after * 1000:
            frame.fill(tick, q, np.zeros(29), np.zeros(29))
            writer.write(frame.seal())
    for server in servers:
        server.close()
    names = ("time", "topic", "q", "dq", "kp", "kd", "weight", "mode_machine")
    columns = zip(*heard, strict=True) if heard else [[] for _ in names]
    np.savez(options.out, velocity=np.array(velocity), **{n: np.array(c) for n, c in zip(names, columns, strict=True)})


if __name__ == "__main__":
    main()
