"""Requests that do not hold up the asker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from neon_ros.errors import ConfigError
from neon_ros.motor.records import REQUESTS
from neon_ros.motor.requests import OpenRequests
from neon_ros.motor.shared import MotorMemory


@pytest.fixture
def motor(tmp_path: Path) -> Iterator[MotorMemory]:
    with MotorMemory.create("s", "whole_body", tmp_path / "neon_ros") as memory:
        yield memory


@pytest.fixture
def command(motor: MotorMemory, tmp_path: Path) -> Iterator[MotorMemory]:
    with MotorMemory.open("s", "command", tmp_path / "neon_ros") as memory:
        yield memory


def test_a_stop_is_answered_while_an_arm_still_waits(motor: MotorMemory, command: MotorMemory) -> None:
    said: list[tuple[str, bool, str]] = []
    requests = OpenRequests()
    requests.post(command, "arm", lambda accepted, text: said.append(("arm", accepted, text)))
    requests.post(command, "stop", lambda accepted, text: said.append(("stop", accepted, text)))
    assert set(motor.take_requests()) == {"arm", "stop"}
    motor.give_answer("stop", True, "stopping")
    requests.poll(command)
    assert said == [("stop", True, "stopping")] and len(requests) == 1
    motor.give_answer("arm", False, "the operator said stop")
    requests.poll(command)
    assert said[1] == ("arm", False, "the operator said stop") and len(requests) == 0


def test_a_motor_that_does_not_answer_is_named(command: MotorMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[bool, str]] = []
    requests = OpenRequests()
    requests.post(command, "stop", lambda *answer: said.append(answer))
    later = time.monotonic() + 2.0
    monkeypatch.setattr(time, "monotonic", lambda: later)
    requests.poll(command)
    assert said == [(False, "request 'stop': got no answer in 1 s; allowed: a motor process that is alive")]


def test_giving_up_answers_everything_once(command: MotorMemory) -> None:
    said: list[tuple[bool, str]] = []
    requests = OpenRequests()
    requests.post(command, "arm", lambda *answer: said.append(answer))
    requests.give_up("the motor process has left")
    requests.give_up("the motor process has left")
    assert said == [(False, "request 'arm': got the motor process has left; allowed: a running motor process")]


def test_an_unknown_request_is_refused(command: MotorMemory) -> None:
    with pytest.raises(ConfigError, match=f"request: got dance; allowed: {', '.join(REQUESTS)}"):
        OpenRequests().post(command, "dance", lambda *_: None)
