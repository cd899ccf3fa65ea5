"""Time what the node ``backbone`` adds to its model: a picture of 640 x 480 comes in, features go out.

    python benchmarks/backbones.py --only node [--repeats 200]

The model is a stand-in that gives the tensors of ``compact`` at once, so that what is left is the node.  ``inside`` is
from the start of its callback to the end of its publishing; ``through`` is from the call that publishes the picture to
the callback that has the features, two ways through DDS and both decodings with it.  Camera and node take turns in one
thread, so that neither waits for the other's interpreter lock.
``own`` is the processor time of that thread inside; beyond it, another process had the processor, ``taken`` so often.
"""

from __future__ import annotations

import os
import resource
import time
from typing import Any

import numpy as np

WIDTH, HEIGHT = 640, 480


class Still:
    """A backbone that gives the tensors of ``compact`` at once."""

    model_id = "still/1"

    def __init__(self) -> None:
        from neon_ros.encode.backbones.compact import Compact

        self.tensors = Compact.tensors
        self._answer = {name: np.ones((1, *shape), np.float32) for name, shape in self.tensors.items()}

    def encode(self, image: np.ndarray, instruction: str) -> dict[str, np.ndarray]:
        """Return ones."""
        return {name: value[0] for name, value in self._answer.items()}

    def encode_images(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return ones."""
        return {"vision": self._answer["vision"]}

    def encode_texts(self, instructions: Any) -> dict[str, np.ndarray]:
        """Return ones."""
        return {name: self._answer[name] for name in ("text", "text_mask")}


def measure(encoding: str, repeats: int) -> dict[str, np.ndarray]:
    """Return the times inside the node and through it [ms] for pictures of one encoding."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image

    from neon_ros.bridge import topics
    from neon_ros.bridge.plain import filled, time_of
    from neon_ros.nodes import backbone as module
    from neon_ros_msgs.msg import Features

    read = module.image_from_msg
    module.load = lambda *a, **k: Still()  # type: ignore[assignment]
    module.image_from_msg = lambda msg: msg  # type: ignore[assignment]
    node = module.BackboneNode()
    plain = node._on_picture
    inside: list[float] = []
    own: list[float] = []
    taken: list[int] = []
    through: list[float] = []
    heard: list[Any] = []

    def timed(msg: Any) -> None:
        before, start, busy = resource.getrusage(resource.RUSAGE_THREAD), time.perf_counter(), time.thread_time()
        plain(read(msg))
        inside.append(1e3 * (time.perf_counter() - start))
        own.append(1e3 * (time.thread_time() - busy))
        taken.append(resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw - before.ru_nivcsw)

    node._on_picture = timed  # type: ignore[method-assign]
    peer = rclpy.create_node("camera")
    peer.create_subscription(Features, topics.features_topic("backbone"), heard.append, topics.SENSOR_IN)
    camera = peer.create_publisher(Image, topics.IMAGE, topics.SENSOR_OUT)
    executor = SingleThreadedExecutor()
    for each in (node, peer):
        executor.add_node(each)
    size = {"rgb8": 3, "bgr8": 3, "yuv422_yuy2": 2}[encoding]
    pixels = np.random.default_rng(0).integers(0, 256, HEIGHT * WIDTH * size, dtype=np.uint8)
    msg = Image(width=WIDTH, height=HEIGHT, encoding=encoding, step=WIDTH * size)
    msg.data = filled(pixels, "B")
    deadline = time.monotonic() + 10.0
    while camera.get_subscription_count() == 0 and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.05)
    for turn in range(repeats + 10):
        heard.clear()
        msg.header.stamp = time_of(peer.get_clock().now().nanoseconds)
        start = time.perf_counter()
        camera.publish(msg)
        while not heard and time.perf_counter() - start < 0.5:
            executor.spin_once(timeout_sec=0.1)
        if heard and turn >= 10:
            through.append(1e3 * (time.perf_counter() - start))
        time.sleep(0.02)
    executor.shutdown()
    for each in (node, peer):
        each.destroy_node()
    module.image_from_msg = read
    times = {"inside": inside[10:], "own": own[10:], "taken": taken[10:], "through": through}
    return {name: np.array(values) for name, values in times.items()}


def table(machine: str, repeats: int) -> None:
    """Measure and print one row for each encoding."""
    os.environ.setdefault("ROS_DOMAIN_ID", "97")
    import rclpy

    rclpy.init(
        args=["--ros-args", "-p", "rate:=60.0", "-p", "warm_up:=0", "-p", "frozen_timeout:=0.0", "--log-level", "warn"]
    )
    print(f"{machine}; node overhead, {WIDTH}x{HEIGHT}, model excluded, {repeats} pictures each")
    print("| encoding    | inside p50 ms | p99 ms | own p99 ms | taken | through DDS p50 ms | p99 ms | answered |")
    print("|-------------|--------------:|-------:|-----------:|------:|-------------------:|-------:|---------:|")
    for encoding in ("rgb8", "bgr8", "yuv422_yuy2"):
        times = measure(encoding, repeats)
        a, b, c, d = (np.percentile(times[name], part) for name in ("inside", "through") for part in (50, 99))
        own, taken, answered = np.percentile(times["own"], 99), int(times["taken"].sum()), len(times["through"])
        cells = f"{a:13.2f} | {b:6.2f} | {own:10.2f} | {taken:5d} | {c:18.2f} | {d:6.2f} | {answered:8d}"
        print(f"| {encoding:<11} | {cells} |", flush=True)
    rclpy.try_shutdown()
