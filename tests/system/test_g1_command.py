"""``g1_command`` between real topics and the motor's real shared memory; the test plays the motor process."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseArray
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Imu, JointState
from std_srvs.srv import Trigger

from neon_ros.bridge import topics
from neon_ros.bridge.examples import make_example
from neon_ros.bridge.robot import command_from_msg, hands_from_msg, imu_from_msg, joints_from_msg
from neon_ros.contracts import ActionChunk
from neon_ros.robot.joints import JOINT_NAMES
from neon_ros.robot.wire import LowCmdFrame
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg
from neon_ros_msgs.msg import GuardReport

pytestmark = pytest.mark.system


simulated = pytest.mark.parametrize("motor", ["sim"], indirect=True)


def test_state_chunks_and_requests_go_both_ways(peer: Any, running: Any, ros_domain: int, motor: Any) -> None:
    joints = peer.listen(JointState, topics.JOINT_STATES, topics.SENSOR_IN)
    imus = peer.listen(Imu, topics.IMU, topics.SENSOR_IN)
    hands = peer.listen(PoseArray, topics.EEF_POSES, topics.SENSOR_IN)
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    diagnostics = peer.listen(DiagnosticArray, topics.DIAGNOSTICS, topics.EVERY_IN)
    chunks = peer.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
    with running("neon_ros.nodes.g1_command", *motor.arguments()) as node:
        peer.until(lambda: joints and imus and hands and reports and diagnostics, "the robot's state")
        np.testing.assert_allclose(joints_from_msg(joints[-1]).q, motor.q, atol=1e-6)
        age = peer.now_ns() - joints_from_msg(joints[-1]).stamp_ns
        assert 0 <= age < 60e9
        np.testing.assert_allclose(imu_from_msg(imus[-1]).gravity(), [0, 0, -1], atol=1e-6)
        assert hands_from_msg(hands[-1])[1][0, 1] > 0 > hands_from_msg(hands[-1])[1][1, 1]
        assert (reports[-1].state, reports[-1].mode_machine) == ("INACTIVE", 5)
        assert peer.call(GetState, "g1_command/get_state").current_state.label == "active"

        numbers = iter(range(1, 10_000))
        peer.until(lambda: motor.chunks, "a chunk", lambda: chunks.publish(motor.chunk(peer, next(numbers))))
        np.testing.assert_allclose(motor.chunks[-1].q[:, 15:29], make_example(ActionChunk).q, atol=1e-6)
        assert motor.chunks[-1].moved.sum() == 14

        for kind in (topics.ARM, topics.DISARM, topics.STOP):
            answer = peer.call(Trigger, kind)
            assert (answer.success, answer.message) == (True, f"{kind} as asked")
        motor.answer = False
        assert not peer.call(Trigger, topics.ARM).success
        assert motor.requests == ["arm", "disarm", "stop", "arm"]

        taken = len(motor.chunks)
        other = motor.chunk(peer, next(numbers), mode="whole_body")
        said = "chunk.mode: got whole_body; allowed: arms_only"
        peer.until(lambda: said in node.text, said, lambda: chunks.publish(other))
        for change, message in (
            ({"mode": "whole_body"}, "chunk.mac: got a MAC that does not fit"),
            ({"horizon": 3}, "chunk.q length: got 224"),
            ({"header": make_old(motor.chunk(peer, 1))}, "chunk.valid_until"),
        ):
            broken = motor.chunk(peer, next(numbers))
            for name, value in change.items():
                setattr(broken, name, value)
            peer.until(lambda m=message: m in node.text, message, lambda b=broken: chunks.publish(b))
        replayed = motor.chunk(peer, 1)
        peer.until(lambda: "newer than" in node.text, "a refused replay", lambda: chunks.publish(replayed))
        assert len(motor.chunks) == taken
        peer.until(lambda: reports[-1].chunks_refused >= 2, "counted refusals")
        assert reports[-1].chunks_admitted >= 1 and reports[-1].last_refusal
        assert reports[-1].alarms >= 4 and "newer than" in reports[-1].last_alarm

        assert node.end() == 0
        assert "Traceback" not in node.text
    deadline = time.monotonic() + 5.0
    while motor.requests[-1] != "disarm" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert motor.requests[-1] == "disarm"


def make_old(msg: Any) -> Any:
    header = msg.header
    header.stamp.sec -= 3600
    return header


def test_what_the_motors_are_commanded_is_published_by_name(
    peer: Any, running: Any, ros_domain: int, motor: Any
) -> None:
    commands = peer.listen(JointState, topics.COMMAND_JOINT_STATES, topics.SENSOR_IN)
    joints = peer.listen(JointState, topics.JOINT_STATES, topics.SENSOR_IN)
    q, frame, stiff = motor.q, LowCmdFrame(), np.where(np.arange(29) >= 15, 60.0, 0.0)
    frame.set_mode(0, 5)
    frame.fill(q, 2.0 * q, np.zeros(29), stiff, np.zeros(29))
    payload = bytes(frame.seal())
    with running("neon_ros.nodes.g1_command", *motor.arguments()):
        peer.until(lambda: joints, "the robot's state")
        assert not commands, "a motor that commands nothing has no command"
        peer.until(
            lambda: commands, "command", lambda: motor.memory.write_command(payload, "rt/arm_sdk", time.monotonic_ns())
        )
        assert list(commands[-1].name) == list(JOINT_NAMES[15:])
        np.testing.assert_allclose(command_from_msg(commands[-1])[15:], q[15:], atol=1e-6)
        np.testing.assert_allclose(commands[-1].velocity, 2.0 * q[15:], atol=1e-6)


def test_two_publishers_of_chunks_keep_the_robot_from_being_armed(
    peer: Any, running: Any, ros_domain: int, motor: Any
) -> None:
    for _ in range(2):
        peer.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    with running("neon_ros.nodes.g1_command", *motor.arguments()) as node:
        peer.until(lambda: reports, "a report")
        answer = peer.call(Trigger, topics.ARM)
        assert not answer.success and "publishers of action_chunk: got 2 (/test_peer (" in answer.message
        assert "arm" not in motor.requests
        assert node.end() == 0


@simulated
def test_autostart_arms_a_simulated_robot_once(peer: Any, running: Any, ros_domain: int, motor: Any) -> None:
    chunks = peer.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    numbers = iter(range(1, 10_000))
    with running("neon_ros.nodes.g1_command", *motor.arguments(robot="sim", autostart="true")) as node:
        peer.until(lambda: reports, "a report")
        assert not motor.requests
        peer.until(lambda: "arm" in motor.requests, "arm", lambda: chunks.publish(motor.chunk(peer, next(numbers))))
        motor.report = dataclasses.replace(motor.report, state="DAMPING", reason="for a test")
        peer.until(lambda: reports[-1].state == "DAMPING", "damping")
        motor.report = dataclasses.replace(motor.report, state="INACTIVE")
        ends = time.monotonic() + 3.0
        peer.until(lambda: time.monotonic() > ends, "", lambda: chunks.publish(motor.chunk(peer, next(numbers))))
        assert motor.requests == ["arm"]
        assert node.end() == 0


def test_a_motor_of_another_mode_is_not_taken(running: Any, ros_domain: int, motor: Any) -> None:
    words = motor.arguments(mode="upper_body", motor_timeout="1.0")
    with running("neon_ros.nodes.g1_command", *words) as node:
        assert node.wait() == 2
        assert "mode of the motor process: got arms_only; allowed: upper_body" in node.text


def test_a_second_g1_command_leaves_and_the_first_goes_on(peer: Any, running: Any, ros_domain: int, motor: Any) -> None:
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    with running("neon_ros.nodes.g1_command", *motor.arguments()) as first:
        peer.until(lambda: reports, "a report")
        with running("neon_ros.nodes.g1_command", *motor.arguments()) as second:
            assert second.wait() == 2, "long before the 20 s that a motor process may take"
            assert f"command of session 'test_g1_{ros_domain}': got a second one" in second.text
        reports.clear()
        peer.until(lambda: reports, "a report after it")
        assert first.end() == 0 and "arm" not in motor.requests


def test_the_mode_of_a_silent_motor_can_be_set(peer: Any, running: Any, ros_domain: int, motor: Any) -> None:
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    chunks = peer.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
    client = peer.node.create_client(SetParameters, "g1_command/set_parameters")

    def set_to(name: str, value: Any) -> tuple[bool, str]:
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        future = client.call_async(request)
        peer.until(future.done, "an answer")
        result = future.result().results[0]
        return result.successful, result.reason

    def mode() -> str:
        future = getter.call_async(GetParameters.Request(names=["mode"]))
        peer.until(future.done, "the mode")
        return str(future.result().values[0].string_value)

    getter = peer.node.create_client(GetParameters, "g1_command/get_parameters")
    with running("neon_ros.nodes.g1_command", *motor.arguments()) as node:
        peer.until(lambda: reports and client.service_is_ready() and getter.service_is_ready(), "a report")
        assert set_to("mode", "legs") == (False, "mode: got legs; allowed: arms_only, upper_body, whole_body")
        assert not set_to("mode", 3)[0] and not set_to("session", "other")[0]
        motor.answer = False
        assert set_to("mode", "whole_body") == (False, "mode as asked") and mode() == "arms_only"
        assert motor.memory.mode == "arms_only"
        motor.answer = True
        assert set_to("mode", "upper_body") == (True, "") and mode() == "upper_body"
        assert motor.memory.mode == "upper_body"
        message = "chunk.mode: got arms_only; allowed: upper_body"
        numbers = iter(range(1, 10_000))
        peer.until(lambda: message in node.text, message, lambda: chunks.publish(motor.chunk(peer, next(numbers))))
        assert "arm" not in motor.requests and not motor.chunks
        motor.memory.mode = "arms_only"  # as after a motor that answered too late
        answer = peer.call(Trigger, topics.ARM)
        assert not answer.success and "a motor process in mode arms_only; allowed: upper_body" in answer.message
        assert node.end() == 0 and "Traceback" not in node.text


def test_a_motor_of_another_robot_is_not_taken(running: Any, ros_domain: int, motor: Any) -> None:
    words = motor.arguments(robot="sim", insecure="true", motor_timeout="1.0")
    with running("neon_ros.nodes.g1_command", *words) as node:
        assert node.wait() == 2
        assert "robot of the motor process: got real; allowed: sim" in node.text


def test_a_motor_that_comes_back_is_found_and_nothing_is_armed(
    peer: Any, running: Any, ros_domain: int, motor: Any
) -> None:
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    with running("neon_ros.nodes.g1_command", *motor.arguments()) as node:
        peer.until(lambda: reports, "a report")
        motor.close()
        peer.until(lambda: "the motor process has left" in node.text, "word on the motor")
        answer = peer.call(Trigger, topics.ARM)
        assert not answer.success and "no motor process" in answer.message
        other = motor.again()
        try:
            reports.clear()
            peer.until(lambda: reports, "a report of the new motor")
            assert "arm" not in other.requests
            assert node.end() == 0
            assert "Traceback" not in node.text
        finally:
            other.close()
