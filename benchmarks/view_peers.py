"""The processes that ``benchmarks/view.py`` starts: a listener, an RViz that draws nothing, a browser.

``python benchmarks/view_peers.py listen|rviz|browser``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

FLAGS = [
    f"--{flag}"
    for flag in (
        *("no-sandbox", "use-gl=angle", "use-angle=swiftshader", "enable-unsafe-swiftshader", "ignore-gpu-blocklist"),
        *("disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync"),
    )
]
LOOK = 0.05  # [s] between two looks; the middleware keeps what comes meanwhile
KEPT = 128  # LowCmd that it keeps, five times as many


def listen(domain: int, out: Path) -> None:
    """Note when the motor wrote each LowCmd, by the stamp of the writer: the listener's own sleep is not in it."""
    from motor_peers import until_signal

    from neon_ros.motor.link import Link

    with Link(domain, "lo") as link:
        reader, stop = link.low_cmd_reader("rt/arm_sdk", KEPT)._reader, until_signal()
        stamps: list[int] = []
        print("ready", flush=True)
        while not stop:
            stamps += [sample.sample_info.source_timestamp for sample in reader.take(N=KEPT)]
            time.sleep(LOOK)
    np.save(out, np.array(stamps, dtype=np.int64))


def rviz() -> None:
    """Subscribe to all that the view publishes, so that it publishes it, and read nothing."""
    import rclpy
    from motor_peers import until_signal
    from nav_msgs.msg import Path as PathMsg
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import JointState
    from trajectory_msgs.msg import JointTrajectory
    from visualization_msgs.msg import MarkerArray

    from neon_ros.bridge import topics

    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node, stop = rclpy.create_node("rviz"), until_signal()
    wanted: list[tuple[type, str]] = [
        (MarkerArray, topics.PREDICTED_MARKERS),
        (MarkerArray, topics.PREDICTED_CAPSULES),
        (JointTrajectory, topics.PREDICTED_TRAJECTORY),
        (JointState, topics.PREDICTED_JOINT_STATES),
        *((PathMsg, topics.path_topic(name)) for name in ("left", "right", "torso")),
    ]
    kept = [node.create_subscription(kind, topic, lambda _: None, topics.EVERY_IN) for kind, topic in wanted]
    print("ready", flush=True)
    while not stop:
        time.sleep(LOOK)
    del kept
    rclpy.shutdown()


def browser(address: str) -> None:
    """Look at the view in Chromium, at the least priority: it stands for another machine."""
    from motor_peers import until_signal
    from playwright.sync_api import sync_playwright

    stop = until_signal()
    os.nice(19)
    with sync_playwright() as engine:
        made = engine.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = made.new_page(viewport={"width": 320, "height": 240})
        page.goto(address, timeout=60_000)
        print("ready", flush=True)
        while not stop:
            page.wait_for_timeout(1e3 * LOOK)
        made.close()


def main() -> int:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=("listen", "rviz", "browser"))
    parser.add_argument("--domain", type=int, default=1)
    parser.add_argument("--address", default="")
    parser.add_argument("--out", type=Path, default=Path("view_peers.npy"))
    options = parser.parse_args()
    role: dict[str, Any] = {
        "listen": lambda: listen(options.domain, options.out),
        "rviz": rviz,
        "browser": lambda: browser(options.address),
    }
    role[options.role]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
