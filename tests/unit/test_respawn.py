"""When a crashed process is started again, and when it stays down (F36)."""

from __future__ import annotations

import signal

import pytest

from neon_ros.graph import build
from neon_ros.respawn import CRASHES, PAUSE, WINDOW, Respawn


def test_twenty_crashes_in_a_row_start_it_twice() -> None:
    respawn = Respawn()
    started = [respawn.again(-signal.SIGKILL, k * PAUSE)[0] for k in range(20)]
    assert started[:CRASHES] == [True, True, False] and not any(started[CRASHES:])


def test_rare_crashes_are_forgiven() -> None:
    respawn = Respawn()
    assert all(respawn.again(1, k * (WINDOW / 2 + 1.0))[0] for k in range(20))


@pytest.mark.parametrize("code", [0, 2, -signal.SIGINT, -signal.SIGTERM])
def test_who_meant_to_end_is_left_alone(code: int) -> None:
    respawn = Respawn()
    for k in range(5):
        assert respawn.again(code, k * 1000.0) == (False, "the rest goes on")
    assert respawn.again(1, 0.0)[0], "and that was no crash"


def test_the_pause_is_longer_than_hold() -> None:
    config = pytest.importorskip("neon_ros.guard.config", reason="ruckig")
    assert config.GuardConfig().hold_seconds < PAUSE


def test_what_commands_the_robot_is_never_started_again() -> None:
    vital = {process.name for process in build({}).processes if process.vital}
    assert {"sim", "motor", "guardian", "g1_command"} <= vital
    assert {process.name for process in build({"composed": "true"}).processes if process.vital} >= {
        "container",
        "motor",
    }
