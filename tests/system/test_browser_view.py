"""The browser view in a real browser: it draws, takes an instruction and stops the robot."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from neon_ros.contracts import ActionChunk
from neon_ros.errors import ConfigError
from neon_ros.robot.joints import JOINT_NAMES
from neon_ros.robot.kinematics import Kinematics
from neon_ros.show.panel import Latency, Status
from neon_ros.show.prediction import predict
from neon_ros.show.trail import Trail

pytest.importorskip("viser")

from neon_ros.show.browser import BrowserView, ViewConfig, WorldObject

CHROMIUM = shutil.which("chromium")
FLAGS = [
    f"--{name}"
    for name in (
        *("no-sandbox", "use-gl=angle", "use-angle=swiftshader", "enable-unsafe-swiftshader", "ignore-gpu-blocklist"),
        *("disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync"),
    )
]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Operator:
    """Remembers what was said and asked."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.asked: list[tuple[str, str]] = []

    def say(self, text: str, answered: Callable[[str], None]) -> None:
        self.said.append(text)

    def ask(self, kind: str, value: str, answered: Callable[[str], None]) -> None:
        self.asked.append((kind, value))
        answered(f"{kind} understood")


def _feed(view: BrowserView, step: int) -> None:
    q = np.zeros(29)
    q[[18, 25]] = 0.9
    view.set_joints(q)
    wanted = np.tile(q[12:], (16, 1)).astype(np.float32)
    wanted[:, 3] += np.linspace(0, -0.8, 16) * (1 + 0.1 * (step % 2))
    names = JOINT_NAMES[12:]
    velocity = np.zeros((16, 3), np.float32)
    chunk = ActionChunk(0, 1, step, "upper_body", "mlp_touch", "", names, 0.02, wanted, velocity)
    view.set_prediction(predict(Kinematics(), q, chunk))
    view.set_camera(np.full((120, 212, 3), (200, 40, 40), np.uint8))
    view.set_points(np.random.default_rng(step).uniform(-0.3, 0.3, (5000 * (step % 3), 3)).astype(np.float32))
    now = time.monotonic()
    view.set_status(Status("ACTIVE", "", "upper_body", 5, step, 0, "", 500 * step, 0.1, (), 0), now)
    view.set_latency("backbone", Latency(0.02, 0.03))
    view.set_world([WorldObject("blue ball", "sphere", (0.06,) * 3, (0, 90, 200), (0.35, 0.1, 0.1), (1, 0, 0, 0))])
    view.set_words("touch the blue ball", "", ["blue ball"], "task: under way")
    trail = Trail(20)
    for index in range(20):
        trail.add(now - 0.05 * index, q, q)
    view.set_window(trail.window(now, 8.0), np.zeros((2, 5, 3)), np.ones((2, 5, 3)))


@pytest.fixture
def operator() -> _Operator:
    return _Operator()


@pytest.fixture
def view(operator: _Operator) -> Iterator[BrowserView]:
    made = BrowserView(ViewConfig(port=_free_port()), Kinematics(), operator, ("mlp", "hold"))
    yield made
    made.close()


def test_a_taken_port_is_refused_by_name(operator: _Operator) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"view address: got 127.0.0.1:{port} .*allowed: a free port"):
            BrowserView(ViewConfig(port=port), Kinematics(), operator)


@pytest.mark.parametrize(("name", "value"), [("port", 80), ("port", 70000), ("rate", 0.0), ("rate", 500.0)])
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"view {name}: got {value}"):
        ViewConfig(**{name: value})  # type: ignore[arg-type]


def test_nothing_is_sent_while_nobody_watches(view: BrowserView) -> None:
    _feed(view, 1)
    view.refresh(time.monotonic())
    assert view.watchers == 0


@pytest.mark.system
@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
def test_a_browser_sees_the_robot_says_an_instruction_and_stops_it(
    view: BrowserView, operator: _Operator, tmp_path: Path
) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(120_000)
        failures: list[str] = []
        outside: list[str] = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("request", lambda request: outside.append(request.url) if "127.0.0.1" not in request.url else None)
        page.goto(view.address)

        def until(condition: Callable[[], bool], what: str) -> None:
            deadline = time.monotonic() + 120.0
            step = 0
            while not condition():
                if time.monotonic() > deadline:
                    page.screenshot(path=str(tmp_path / "late.png"))
                    pytest.fail(f"no {what} within 120 s; see {tmp_path}/late.png")
                _feed(view, step := step + 1)
                view.refresh(time.monotonic())
                page.wait_for_timeout(100)

        until(lambda: view.watchers == 1, "watcher")
        until(lambda: page.get_by_text("ACTIVE: the policy moves the robot").count() > 0, "status in words")
        until(lambda: page.get_by_text("on the table: blue ball").count() > 0, "what could be touched")
        page.locator("form input").first.fill("touch the blue ball with your right hand")
        page.get_by_role("button", name="Send (Enter)").click(force=True)  # a page that a CPU draws is never still
        until(lambda: bool(operator.said), "instruction")
        assert operator.said[0] == "touch the blue ball with your right hand"
        page.get_by_role("button", name="Stop the robot").click(force=True)  # a page that a CPU draws is never still
        until(lambda: ("stop", "") in operator.asked, "stop")
        until(lambda: page.locator("#neon-state").get_by_text("stop: stop understood").count() > 0, "answer in the bar")
        page.locator("form input").first.focus()
        page.keyboard.press("s")
        page.keyboard.press("Escape")
        until(lambda: operator.asked.count(("stop", "")) == 2, "stop by Escape, not by an s in a text")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("s")
        until(lambda: operator.asked.count(("stop", "")) == 3, "stop by S")
        shot = tmp_path / "view.png"
        page.screenshot(path=str(shot), timeout=120_000)
        page.set_viewport_size({"width": 390, "height": 844})
        box = page.locator("#neon-stop").bounding_box()
        assert box is not None and box["width"] >= 100 and box["height"] >= 60
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] >= 0
        on_top = "([x, y]) => document.elementFromPoint(x, y).closest('#neon-stop') !== null"
        assert page.evaluate(on_top, [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]), "nothing covers STOP"
        view.close()
        page.wait_for_selector("#neon-bar.lost", timeout=120_000)
        browser.close()
    assert shot.stat().st_size > 20_000
    assert not failures
    assert not [url for url in outside if url.startswith(("http", "ws"))], "the page asks nothing of the internet"
