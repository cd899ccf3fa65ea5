"""What is pressed in the browser reaches services and parameters, and every answer comes back in words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
import rclpy
from rcl_interfaces.msg import SetParametersResult
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from neon_ros.bridge import topics
from neon_ros.nodes import operating
from neon_ros.nodes.operating import RosOperator

pytestmark = pytest.mark.system


class Robot:
    """The nodes that answer: a g1_command whose mode may be set once, a head that can be swapped, a recorder."""

    def __init__(self, peer: Any) -> None:
        self.peer, self.recorded = peer, []
        self.command = rclpy.create_node("g1_command", context=peer.context)
        self.command.declare_parameter("mode", "upper_body")
        self.command.add_on_set_parameters_callback(self._set)
        self.head = rclpy.create_node("action_head", context=peer.context)
        for name in ("head", "checkpoint"):
            self.head.declare_parameter(name, "mlp")
        self.head.add_on_set_parameters_callback(self._swap)
        self.command.create_service(SetBool, topics.RECORD, self._record)
        self.command.create_service(Trigger, topics.ARM, self._arm)
        for node in (self.command, self.head):
            peer._executor.add_node(node)

    def _set(self, parameters: Any) -> SetParametersResult:
        if parameters[0].value == "whole_body":
            return SetParametersResult(successful=False, reason="mode: got ACTIVE; allowed: INACTIVE")
        return SetParametersResult(successful=True)

    def _swap(self, parameters: Any) -> SetParametersResult:
        if parameters[0].value == "fly":
            return SetParametersResult(successful=False, reason="head: got fly; allowed: hold, mlp")
        return SetParametersResult(successful=True)

    def _record(self, request: Any, response: Any) -> Any:
        self.recorded.append(request.data)
        response.success, response.message = True, "to a file"
        return response

    def _arm(self, request: Any, response: Any) -> Any:
        response.success, response.message = False, "arm: got no chunks; allowed: fresh chunks"
        return response

    def close(self) -> None:
        for node in (self.command, self.head):
            self.peer._executor.remove_node(node)
            node.destroy_node()


@pytest.fixture
def robot(peer: Any) -> Iterator[Robot]:
    made = Robot(peer)
    yield made
    made.close()


def asked(peer: Any, operator: RosOperator, kind: str, value: str = "") -> str:
    """Return the answer to a request; tried again while the other side is not there yet."""
    deadline = time.monotonic() + 30.0
    while True:
        answers: list[str] = []
        operator.ask(kind, value, answers.append)
        peer.until(lambda answers=answers: answers, f"answer to {kind}")
        if "a running one" not in answers[0] or time.monotonic() > deadline:
            return answers[0]
        time.sleep(0.2)


def test_every_button_reaches_its_door(peer: Any, robot: Robot) -> None:
    operator = RosOperator(peer.node)
    assert asked(peer, operator, "mode", "arms_only") == "done"
    assert robot.command.get_parameter("mode").value == "arms_only"
    assert asked(peer, operator, "mode", "whole_body") == "refused: mode: got ACTIVE; allowed: INACTIVE"
    assert asked(peer, operator, "head", "fly") == "refused: head: got fly; allowed: hold, mlp"
    assert asked(peer, operator, "head", "hold") == "done"
    assert [robot.head.get_parameter(name).value for name in ("head", "checkpoint")] == ["hold", "mlp"]
    assert asked(peer, operator, "head", "mlp /a folder/of mine").startswith("done")
    assert [robot.head.get_parameter(name).value for name in ("head", "checkpoint")] == ["mlp", "/a folder/of mine"]
    assert asked(peer, operator, "record", "on") == "done: to a file"
    assert asked(peer, operator, "record", "off") == "done: to a file"
    assert robot.recorded == [True, False]
    assert asked(peer, operator, "arm") == "refused: arm: got no chunks; allowed: fresh chunks"


def test_without_a_node_that_serves_it_the_operator_hears_so(peer: Any) -> None:
    answers: list[str] = []
    operator = RosOperator(peer.node)
    operator.ask("stop", "", answers.append)
    operator.ask("dance", "", answers.append)
    assert "no node that serves" in answers[0] and "request: got dance" in answers[1]


def test_a_door_that_never_answers_is_given_up(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operating, "TIMEOUT", 0.2)
    silent = rclpy.create_node("silent", context=peer.context)  # never spun
    silent.create_service(Trigger, topics.STOP, lambda request, response: response)
    operator, answers = RosOperator(peer.node), list[str]()

    def waited() -> bool:
        if not answers or "a running one" in answers[-1]:
            operator.ask("stop", "", answers.append)
        operator.expire()
        return bool(answers) and "no answer in 0.2 s" in answers[-1]

    peer.until(waited, "end of waiting")
    silent.destroy_node()


def test_an_instruction_is_published_and_a_wrong_one_refused_in_words(peer: Any) -> None:
    heard = peer.listen(String, topics.INSTRUCTION, topics.LATCHED)
    operator, answers = RosOperator(peer.node), list[str]()
    operator.say("touch the red cube", answers.append)
    peer.until(lambda: heard, "instruction")
    assert heard[0].data == "touch the red cube" and not answers
    operator.say("", answers.append)
    assert "instruction" in answers[0]
