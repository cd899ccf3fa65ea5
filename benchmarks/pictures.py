"""Count the raw pictures of 640 x 480 that reach another process, with Fast DDS as it comes and as neon_ros sets it.

    python benchmarks/pictures.py [--count 150] [--rate 30]

A second process publishes as a camera does; the reader is that of the node ``backbone``.  Needs rmw_fastrtps_cpp.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

WIDTH, HEIGHT = 640, 480
PLAIN = {"RMW_IMPLEMENTATION": "rmw_fastrtps_cpp", "ROS_DOMAIN_ID": "93"}


def send(count: int, rate: float) -> None:
    """Publish pictures as soon as somebody reads them."""
    import numpy as np
    import rclpy
    from sensor_msgs.msg import Image

    from neon_ros.bridge import topics
    from neon_ros.bridge.plain import filled

    rclpy.init()
    node = rclpy.create_node("camera")
    camera = node.create_publisher(Image, topics.IMAGE, topics.SENSOR_OUT)
    msg = Image(width=WIDTH, height=HEIGHT, encoding="rgb8", step=3 * WIDTH)
    msg.data = filled(np.zeros(3 * WIDTH * HEIGHT, np.uint8), "B")
    deadline = time.monotonic() + 15.0
    while camera.get_subscription_count() == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    begin = time.monotonic()
    for number in range(count):
        camera.publish(msg)
        time.sleep(max(0.0, begin + (number + 1) / rate - time.monotonic()))
    time.sleep(0.5)


def read(sender: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Return how many pictures arrived until the sender ended, and how many DDS reported as lost."""
    import rclpy
    from rclpy.event_handler import SubscriptionEventCallbacks
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image

    from neon_ros.bridge import topics

    rclpy.init()
    node = rclpy.create_node("eye")
    arrived: list[int] = []
    lost: list[int] = []
    events = SubscriptionEventCallbacks(message_lost=lambda event: lost.append(event.total_count_change))
    node.create_subscription(
        Image, topics.IMAGE, lambda msg: arrived.append(1), topics.SENSOR_IN, event_callbacks=events
    )
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while sender.poll() is None:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown()
    return len(arrived), sum(lost)


def main() -> None:
    """Run both processes with each setting and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--rate", type=float, default=30.0, help="[Hz]")
    parser.add_argument("--part", choices=("send", "read"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    words = [sys.executable, __file__, "--count", str(given.count), "--rate", str(given.rate), "--part"]
    if given.part == "send":
        send(given.count, given.rate)
    elif given.part == "read":
        arrived, lost = read(subprocess.Popen([*words, "send"]))
        print(f"{arrived} of {given.count} | {lost} |", flush=True)
    else:
        from neon_ros.nodes.runtime import PROFILES, make_room

        plain = {name: value for name, value in os.environ.items() if name not in PROFILES} | PLAIN
        make_room()
        ours = plain | {name: os.environ[name] for name in PROFILES}
        print("| settings of Fast DDS, of both | arrived | reported as lost |\n|---|---|---|", flush=True)
        for name, environment in (
            ("as it comes", plain),
            ("UDP alone", plain | {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}),
            ("`config/fastdds.xml`", ours),
        ):
            print(f"| {name} | ", end="", flush=True)
            subprocess.run([*words, "read"], env=environment, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
