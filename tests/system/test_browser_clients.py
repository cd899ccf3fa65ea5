"""Many browsers at once, some that stall or vanish, and a look back: plain websocket clients, without a browser."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("viser")
pytest.importorskip("msgspec")
import msgspec
import viser
from viser import _messages
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_now

from neon_ros.robot.kinematics import Kinematics
from neon_ros.show.browser import BrowserView, ViewConfig
from neon_ros.show.panel import Status
from neon_ros.show.scene import WIDE, stand_back

CAMERA = _messages.ViewerCameraMessage(
    wxyz=(1.0, 0.0, 0.0, 0.0),
    position=(1.0, 0.0, 1.0),
    fov=0.8,
    near=0.01,
    far=100.0,
    image_height=600,
    image_width=800,
    look_at=(0.0, 0.0, 0.0),
    up_direction=(0.0, 0.0, 1.0),
)


async def joined(port: int, **more: object) -> ClientConnection:
    """Return a connection that viser counts as a browser: it has said where its camera is."""
    names = [f"viser-v{viser.__version__}"]
    socket = await connect(f"ws://127.0.0.1:{port}", subprotocols=names, max_size=None, **more)  # type: ignore[arg-type]
    await socket.send(msgspec.msgpack.encode(CAMERA.as_serializable_dict([])))
    return socket


class Crowd:
    """Clients in a thread of their own.

    :param reading: clients that read all they get.
    :param stalled: clients that never read.
    """

    def __init__(self, port: int, reading: int, stalled: int = 0) -> None:
        self.received = [0] * reading
        self.failed: list[BaseException] = []
        self._port, self._stalled = port, stalled
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let all go."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20.0)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._all())
        except BaseException as error:
            self.failed.append(error)

    async def _all(self) -> None:
        # A stalled client reads nothing: the smallest buffers, and no answer to pings either.
        idle = [await joined(self._port, ping_interval=None, max_queue=1) for _ in range(self._stalled)]
        for one in idle:
            one.transport.pause_reading()
        readers = [asyncio.ensure_future(self._read(index)) for index in range(len(self.received))]
        await self._over.wait()
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        for one in idle:
            one.transport.abort()

    async def _read(self, index: int) -> None:
        socket = await joined(self._port)
        try:
            async for frame in socket:
                self.received[index] += len(frame)
        except ConnectionClosed as error:
            self.failed.append(error)
        finally:
            socket.transport.abort()  # as a browser that is torn away in the middle of a frame


@contextmanager
def crowd(port: int, reading: int, stalled: int = 0) -> Iterator[Crowd]:
    """Clients for the length of a block."""
    made = Crowd(port, reading, stalled)
    try:
        yield made
    finally:
        made.close()


class _Nobody:
    """An operator that does nothing."""

    def say(self, text: str, answered: Callable[[str], None]) -> None:
        answered("said")

    def ask(self, kind: str, value: str, answered: Callable[[str], None]) -> None:
        answered("asked")


@pytest.fixture
def view() -> Iterator[BrowserView]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    made = BrowserView(ViewConfig(port=port), Kinematics(), _Nobody())
    yield made
    made.close()


def _feed(view: BrowserView, step: int, now: float) -> None:
    q = np.zeros(29)
    q[[15, 22]] = 0.3 * np.sin(0.1 * step)
    view.set_joints(q)
    view.set_points(np.random.default_rng(step).uniform(-1, 1, (5000 * (step % 3), 3)).astype(np.float32))
    view.set_camera(np.full((120, 212, 3), step % 255, np.uint8))
    view.set_status(Status("ACTIVE", "", "upper_body", 5, step, 0, "", step, 0.1, (), 0), now)


def _until(condition: Callable[[], bool], what: str, each: Callable[[int], object] = lambda step: None) -> None:
    deadline, step = time.monotonic() + 60.0, 0
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within 60 s"
        each(step := step + 1)
        time.sleep(0.05)


def test_a_view_that_is_left_in_the_past_shows_it_and_comes_back(view: BrowserView) -> None:
    port = int(view.address.rsplit(":", 1)[1])
    with crowd(port, 1):
        _until(lambda: view.watchers == 1, "client")
        for step in range(30):
            _feed(view, step, 100.0 + 0.1 * step)
            view.refresh(100.0 + 0.1 * step)
        view.panel.back.value = 1.0
        view.refresh(103.0)
        assert "PAST: 1.0 s before" in view.panel.scrub_text.content
        assert "PAST" not in view.panel.status.content, "the state in words is never of the past"
        view.set_status(Status("DAMPING", "stopped", "upper_body", 5, 1, 0, "", 1, -1, (), 0), 103.0)
        view.refresh(103.1)
        assert view.panel.back.value == 0.0 and "live" in view.panel.scrub_text.content, "a new state ends the past"


@pytest.mark.system
def test_twenty_clients_and_one_that_stalls_do_not_hold_the_view(view: BrowserView) -> None:
    port = int(view.address.rsplit(":", 1)[1])
    with crowd(port, 20, stalled=1) as clients:
        _until(lambda: view.watchers == 21, "clients", lambda step: None)
        longest = 0.0
        for step in range(60):
            started = time.monotonic()
            _feed(view, step, started)
            view.refresh(started)
            longest = max(longest, time.monotonic() - started)
            time.sleep(0.02)
        before = list(clients.received)
        _until(
            lambda: all(now > was for now, was in zip(clients.received, before, strict=True)),
            "news for each of the 20",
            lambda step: (_feed(view, step, time.monotonic()), view.refresh(time.monotonic())),
        )
        assert not clients.failed
        assert longest < 5.0, "a refresh waits for nobody"
    _until(lambda: view.watchers == 0, "end of clients torn away", lambda step: view.refresh(time.monotonic()))
    with crowd(port, 1) as late:
        _until(lambda: late.received[0] > 100_000, "a client that comes later and sees the robot")


def test_a_cloud_that_comes_goes_and_comes_again_is_what_is_drawn(view: BrowserView) -> None:
    port, cloud = int(view.address.rsplit(":", 1)[1]), np.ones((10_000, 3), np.float32)
    with crowd(port, 1):
        _until(lambda: view.watchers == 1, "client")
        for step, count in enumerate((10_000, 0, 10_000, 1)):
            view.set_points(cloud[:count])
            view.refresh(100.0 + step)
            drawn = view._scene._points
            assert drawn.visible is bool(count)
            assert not count or len(drawn.points) == len(drawn.colors) == count


def test_a_window_taller_than_wide_is_seen_from_further_away() -> None:
    wide, tall = (SimpleNamespace(camera=SimpleNamespace(aspect=aspect, position=None)) for aspect in (1.6, 0.46))
    stand_back(wide)
    stand_back(tall)
    assert wide.camera.position is None
    distance = [np.linalg.norm(np.subtract(*place)) for place in ((tall.camera.position, tall.camera.look_at), WIDE)]
    assert distance[0] > 1.2 * distance[1]


@pytest.mark.system
def test_a_socket_of_another_site_is_refused(view: BrowserView) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect_now(view.address.replace("http", "ws"), origin="http://evil.example")
    assert refused.value.response.status_code == 403
