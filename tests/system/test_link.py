"""The DDS link and the services over it, within one process and between two."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cyclonedds")

from neon_ros.errors import ConfigError, Refused, RobotError
from neon_ros.motor import link as link_module
from neon_ros.motor.link import Link
from neon_ros.motor.rpc import CHECK_MODE, RELEASE_MODE, Locomotion, MotionSwitcher, RpcClient, RpcServer
from neon_ros.robot.wire import LowCmdFrame, LowStateFrame

pytestmark = pytest.mark.system


@pytest.fixture
def link(robot_domain: int) -> Iterator[Link]:
    """Yield a link on a domain of the test's own."""
    with Link(robot_domain, "lo") as made:
        yield made


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    """Return whether ``condition`` became true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def state(tick: int) -> bytes:
    """Return a LowState payload."""
    frame = LowStateFrame()
    frame.fill(tick, *[np.full(29, tick * 0.001)] * 3)
    return bytes(frame.seal())


def test_the_newest_payload_arrives_unchanged_and_once(link: Link) -> None:
    writer, reader = link.low_state_writer(), link.low_state_reader()
    assert reader.take_newest() is None and reader.wait_newest(0.01) is None
    for tick in range(20):
        writer.write(state(tick))
    assert reader.wait_newest(5.0) == state(19) and reader.take_newest() is None
    writer.write(state(20))
    deadline = time.monotonic_ns() + 5_000_000_000
    assert reader.wait_until(deadline) and reader.hold() and not reader.hold()
    assert not reader.wait_until(time.monotonic_ns() + 10_000_000), "what is held does not count as new"
    assert reader.take_newest() == state(20) and reader.take_newest() is None
    writer.write(state(21))
    assert reader.wait_until(deadline) and reader.hold()
    writer.write(state(22))
    assert reader.wait_until(deadline) and reader.take_newest() == state(22), "the newest, not what was held"
    assert not reader.wait_until(0)


def test_a_waiting_reader_is_woken(link: Link) -> None:
    program = (
        "import sys, time\nfrom neon_ros.motor.link import Link\nfrom neon_ros.robot.wire import LowCmdFrame\n"
        "link = Link(int(sys.argv[1]), 'lo'); writer = link.low_cmd_writer('rt/arm_sdk'); frame = LowCmdFrame()\n"
        "for _ in range(300):\n    writer.write(frame.seal()); time.sleep(0.01)\n"
    )
    reader = link.low_cmd_reader("rt/arm_sdk")
    other = subprocess.Popen([sys.executable, "-c", program, str(link.domain)])
    try:
        assert reader.wait_newest(20.0) == bytes(LowCmdFrame().seal())
    finally:
        other.terminate()
        other.wait()


@pytest.mark.parametrize(("mark", "foreign"), [("", 1), ("session-b", 1), ("session-a", 0)])
def test_foreign_writers_are_seen_and_forgotten(robot_domain: int, mark: str, foreign: int) -> None:
    program = (
        "import sys, time\nfrom neon_ros.motor.link import Link\n"
        "link = Link(int(sys.argv[1]), 'lo', mark=sys.argv[2]); writer = link.low_cmd_writer('rt/lowcmd')\n"
        "other = link.low_state_writer(); print('up', flush=True); sys.stdin.read()\n"
    )
    link = Link(robot_domain, "lo", mark="session-a")
    own, states = link.low_cmd_writer("rt/lowcmd"), link.watch_writers("rt/lowstate")
    watch = link.watch_writers("rt/lowcmd")
    arguments = [sys.executable, "-c", program, str(robot_domain), mark]
    other = subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout is not None and other.stdout.readline() == "up\n"
        if foreign:
            assert eventually(lambda: len(watch.foreign()) == len(states.foreign()) == 1)
        else:
            time.sleep(1.0)
            assert watch.foreign() == () == states.foreign(), "processes of one session know each other"
        other.communicate("")
        assert eventually(lambda: not watch.foreign())
    finally:
        other.kill()
        other.wait()
        link.close()
    assert own.topic == "rt/lowcmd"


def test_wrong_domains_and_interfaces_are_refused(robot_domain: int) -> None:
    for domain in (-1, 233):
        with pytest.raises(ConfigError, match=f"domain: got {domain}; allowed: 0 to 232"):
            Link(domain, "lo")
    with pytest.raises(
        RobotError, match=r"DDS domain \d+ on interface 'nowhere0': got .*; allowed: an existing network"
    ):
        Link(robot_domain, "nowhere0")


def test_a_cyclonedds_that_crashes_robots_is_refused(robot_domain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "version", lambda package: "11.0.1")
    with pytest.raises(RobotError, match=r"cyclonedds version: got 11.0.1; allowed: 0.10.x"):
        Link(robot_domain, "lo")


def test_a_link_can_be_closed_and_opened_again(robot_domain: int) -> None:
    for tick in range(3):
        with Link(robot_domain, "lo") as link:
            with pytest.raises(RobotError, match="one link per domain in a process"):
                Link(robot_domain, "lo")
            writer, reader = link.low_state_writer(), link.low_state_reader()
            writer.write(state(tick))
            assert reader.wait_newest(5.0) == state(tick)
        link.close()
        with pytest.raises(RobotError, match="write on rt/lowstate: got .*; allowed: a working DDS link"):
            writer.write(state(tick))


def serve(link: Link, owner: dict[str, str], stubborn: bool = False) -> RpcServer:
    """Return a motion switcher."""

    def release(parameter: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if not stubborn:
            owner["name"] = ""
        return 0, {}

    def fail(parameter: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        raise ValueError("boom")

    handlers = {CHECK_MODE: lambda _: (0, dict(owner)), RELEASE_MODE: release, 1: fail, 2: lambda p: (7301, {})}
    return RpcServer(link, "motion_switcher", handlers)


def test_the_motors_are_released_and_seen_released(link: Link) -> None:
    owner = {"name": "ai"}
    server = serve(link, owner)
    switcher = MotionSwitcher(link)
    assert switcher.active() == "ai"
    switcher.release(pause=0.5)
    assert owner["name"] == "" == switcher.active()
    server.close()


def test_a_controller_that_does_not_let_go_is_not_fought(link: Link) -> None:
    owner = {"name": "ai"}
    server = serve(link, owner, stubborn=True)
    with pytest.raises(Refused, match="owner of the motors: got 'ai' after 2 requests to release; allowed: none"):
        MotionSwitcher(link).release(tries=2, pause=0.1)
    server.close()


def test_a_service_that_is_not_there_is_named(link: Link) -> None:
    with pytest.raises(RobotError, match=r"service 'sport', api 7105: got no such service on DDS within 0.2 s"):
        Locomotion(link).set_velocity(0.0, 0.0, 0.0)


def test_errors_of_a_service_are_told_and_do_not_end_it(link: Link) -> None:
    owner = {"name": "ai"}
    server = serve(link, owner)
    client = RpcClient(link, "motion_switcher", timeout=5.0)
    for api_id, code in ((9999, 3203), (1, 3202), (2, 7301)):
        with pytest.raises(RobotError, match=f"service 'motion_switcher', api {api_id}: got error code {code}"):
            client.call(api_id, {})
    assert client.call(CHECK_MODE, {}) == {"name": "ai"}
    server.close()


def test_a_service_that_falls_silent_is_not_waited_for(link: Link) -> None:
    server = RpcServer(link, "sport", {5: lambda parameter: time.sleep(1.0) or (0, {})})
    with pytest.raises(RobotError, match=r"service 'sport', api 5: got no answer within 0.3 s; allowed: an answer"):
        RpcClient(link, "sport", timeout=5.0).call(5, {}, timeout=0.3)
    server.close()
