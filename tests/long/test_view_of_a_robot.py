"""The view of the simulated robot: RViz's displays on the running graph, STOP in a real browser, an instruction."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
pytest.importorskip("mujoco")
pytest.importorskip("cyclonedds")
pytest.importorskip("viser")

from neon_ros_msgs.msg import GuardReport

pytestmark = [pytest.mark.system, pytest.mark.long]
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "import sys; from neon_ros.cli import main; sys.exit(main())"
CHROMIUM = shutil.which("chromium")
FLAGS = [
    f"--{flag}"
    for flag in (
        *("no-sandbox", "use-gl=angle", "use-angle=swiftshader", "enable-unsafe-swiftshader", "ignore-gpu-blocklist"),
        *("disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync"),
    )
]
PATIENCE = 180.0  # [s]
TYPES = {
    "RobotModel": "std_msgs/msg/String",
    "MarkerArray": "visualization_msgs/msg/MarkerArray",
    "Path": "nav_msgs/msg/Path",
    "PointCloud2": "sensor_msgs/msg/PointCloud2",
    "Image": "sensor_msgs/msg/Image",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def graph(ros_domain: int, robot_domain: int, port: int, *arguments: str) -> Iterator[list[str]]:
    """Run ``neon up`` for the length of a block; what it writes is given."""
    words = [f"ros_domain:={ros_domain}", f"robot_domain:={robot_domain}", f"session:=test_view_{ros_domain}"]
    command = [sys.executable, "-c", SCRIPT, "up", "robot:=sim", f"port:={port}", *words, *arguments]
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            yield lines
        finally:
            process.terminate()
            process.wait(60)
            reader.join(5.0)
    assert "Traceback" not in "".join(lines)


@contextmanager
def browser(address: str) -> Iterator[Any]:
    """A page of the view in Chromium, at the smallest size that shows it, because a CPU draws it."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        made = engine.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = made.new_page(viewport={"width": 640, "height": 480})
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(address)
        yield page
        made.close()


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "no view"
            time.sleep(0.2)


def shown(port: int) -> bytes:
    """Return what stands in the page's bar."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/neon/state", timeout=30.0) as answer:
        return bytes(answer.read())


def until(done: Callable[[], bool], what: str, spin: Callable[[], None], lines: Sequence[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, f"no {what}:\n{''.join(lines[-40:])}"
        spin()


class Heard:
    """A ROS node that hears the guard and asks for topics."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions

        from neon_ros.bridge import topics

        self.context = rclpy.Context()
        options = SignalHandlerOptions.NO
        rclpy.init(args=[], context=self.context, domain_id=domain, signal_handler_options=options)
        self.node = rclpy.create_node("test_view_of_a_robot", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.states: list[str] = []
        self.reason = ""
        self.node.create_subscription(GuardReport, topics.GUARD_REPORT, self._on_report, topics.EVERY_IN)

    def _on_report(self, report: Any) -> None:
        self.states.append(report.state)
        self.reason = report.reason

    def spin(self) -> None:
        self.executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def heard(ros_domain: int) -> Iterator[Heard]:
    made = Heard(ros_domain)
    yield made
    made.close()


def test_every_display_of_rviz_is_published_with_its_type(ros_domain: int, robot_domain: int, heard: Heard) -> None:
    config = yaml.safe_load((ROOT / "config" / "neon.rviz").read_text(encoding="utf-8"))
    displays = [d for d in config["Visualization Manager"]["Displays"] if not d["Class"].endswith("/Grid")]
    wanted = {
        d.get("Topic", d.get("Description Topic"))["Value"]: TYPES[d["Class"].rpartition("/")[2]] for d in displays
    }
    with graph(ros_domain, robot_domain, free_port(), "head:=hold", "composed:=true") as lines:

        def published() -> dict[str, str]:
            names = heard.node.get_topic_names_and_types()
            return {topic: types[0] for topic, types in names if topic in wanted and heard.node.count_publishers(topic)}

        until(lambda: published() == wanted, f"displays {wanted}", heard.spin, lines)


def test_the_stop_of_the_page_damps_the_robot(ros_domain: int, robot_domain: int, heard: Heard) -> None:
    """The request that the button makes, without a browser to slow the robot down."""
    port = free_port()
    with graph(ros_domain, robot_domain, port, "head:=hold", "composed:=true", "autostart:=true") as lines:
        wait_for_port(port)
        until(lambda: heard.states[-1:] in (["ACTIVE"], ["HOLD"]), "armed robot", heard.spin, lines)
        request = urllib.request.Request(f"http://127.0.0.1:{port}/neon/stop", headers={"X-Neon-Stop": "1"})
        assert urllib.request.urlopen(request, timeout=30.0).read() == b"stop asked"
        until(lambda: heard.states[-1] == "DAMPING", "damping", heard.spin, lines)
        assert "operator" in heard.reason
        until(lambda: b"DAMPING: stopped" in shown(port), "state on the page", heard.spin, lines)


@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
def test_stop_in_the_browser_damps_the_robot(ros_domain: int, robot_domain: int, heard: Heard) -> None:
    port = free_port()
    with graph(ros_domain, robot_domain, port, "head:=hold", "composed:=true", "autostart:=true") as lines:
        wait_for_port(port)
        with browser(f"http://127.0.0.1:{port}") as page:
            until(lambda: heard.states[-1:] in (["ACTIVE"], ["HOLD"]), "armed robot", heard.spin, lines)
            page.get_by_role("button", name="Stop the robot").click(force=True)
            until(lambda: heard.states[-1] == "DAMPING", "damping", heard.spin, lines)
            assert "operator" in heard.reason
            page.locator("#neon-state").get_by_text("DAMPING").first.wait_for()


@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
def test_an_instruction_in_the_browser_is_followed(ros_domain: int, robot_domain: int, heard: Heard) -> None:
    port = free_port()
    with graph(ros_domain, robot_domain, port, "composed:=true", "autostart:=true", "seed:=3") as lines:
        wait_for_port(port)
        with browser(f"http://127.0.0.1:{port}") as page:
            until(lambda: heard.states[-1:] == ["ACTIVE"], "moving robot", heard.spin, lines)
            there = page.get_by_text("on the table:").first.inner_text()
            thing = there.removeprefix("on the table: ").split("task:")[0].split(",")[-1].strip()
            page.locator("form input").first.fill(f"touch the {thing} with your right hand")
            page.get_by_role("button", name="Send (Enter)").click(force=True)
            page.get_by_text(f"told: “touch the {thing}").first.wait_for()
        # The browser is closed now: where a CPU draws it, the robot's own processes need that CPU.
        success = f"SUCCESS: right hand touched the {thing}".encode()
        until(lambda: success in shown(port), "touch", heard.spin, lines)
