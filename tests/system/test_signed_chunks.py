"""Only what was signed with the session's key reaches the motor, whoever publishes what, over real topics."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
pytest.importorskip("onnxruntime")
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import (
    DurabilityPolicy,
    LivelinessPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from std_srvs.srv import Trigger

from neon_ros.act.heads import load_head
from neon_ros.act.moment import part_id
from neon_ros.bridge import topics
from neon_ros.bridge.chunk import chunk_to_msg
from neon_ros.bridge.features import features_to_msg
from neon_ros.contracts import Features
from neon_ros.guard.authentic import ChunkKey
from neon_ros.motor.audit import audit_folder
from neon_ros.motor.audit_check import check, last_entries
from neon_ros.motor.key import KeyFile
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg
from neon_ros_msgs.msg import Features as FeaturesMsg
from neon_ros_msgs.msg import GuardReport

pytestmark = pytest.mark.system
G1 = "neon_ros.nodes.g1_command"
simulated = pytest.mark.parametrize("motor", ["sim"], indirect=True)

STRANGER = """
import sys, time, rclpy
from std_msgs.msg import String
from neon_ros_msgs.msg import ActionChunk
rclpy.init()
node = rclpy.create_node("stranger")
kind = String if sys.argv[1] == "wrong" else ActionChunk
publisher = node.create_publisher(kind, "action_chunk", 1)
print("publishing", flush=True)
while True:
    message = kind()
    if sys.argv[1] != "wrong":
        message.header.frame_id = "pelvis"
    publisher.publish(message)
    time.sleep(0.05)
"""


class Stranger:
    """Another process that publishes on ``action_chunk``."""

    def __init__(self, kind: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", STRANGER, kind], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == b"publishing"

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def values_of(diagnostics: list[Any]) -> dict[str, str]:
    """Return what ``g1_command`` said of itself last, its level included."""
    for array in reversed(diagnostics):
        for status in array.status:
            if status.name == "neon_ros: g1_command":
                level = status.level if isinstance(status.level, int) else status.level[0]
                return {"level": str(level), "message": status.message, **{v.key: v.value for v in status.values}}
    return {}


def test_forged_chunks_never_reach_the_motor_and_raise_alarms(peer: Any, running: Any, motor: Any) -> None:
    chunks = peer.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    diagnostics = peer.listen(DiagnosticArray, topics.DIAGNOSTICS, topics.EVERY_IN)
    other, sequence = ChunkKey(bytes(32)), iter(range(1, 10_000))
    with running(G1, *motor.arguments()) as node:
        peer.until(lambda: reports and reports[-1].mode_machine == 5, "a report")
        peer.until(lambda: values_of(diagnostics).get("state") == "INACTIVE", "diagnostics")
        good = values_of(diagnostics)
        assert (good["chunks authenticated"], good["alarms"], good["variant"]) == ("yes", "0", "5")
        assert {"reason", "mode", "period p99 [ms]", "tick p99 [ms]", "clearance [m]", "chunk age [s]"} <= set(good)

        def forge() -> None:
            number = next(sequence)
            chunks.publish(chunk_to_msg(motor.unsigned(peer, number)))
            chunks.publish(chunk_to_msg(other.signed(motor.unsigned(peer, number))))
            changed = motor.chunk(peer, number)
            changed.q[7] += 1e-7
            chunks.publish(changed)

        peer.until(lambda: reports[-1].alarms >= 20, "alarms", forge)
        peer.until(lambda: values_of(diagnostics).get("level") == "2", "an error in the diagnostics", forge)
        assert "a MAC that does not fit" in values_of(diagnostics)["message"]
        assert motor.chunks == [] and reports[-1].chunks_admitted == 0
        assert reports[-1].last_alarm == reports[-1].last_refusal
        peer.until(lambda: motor.chunks, "a signed chunk", lambda: chunks.publish(motor.chunk(peer, next(sequence))))
        secret = KeyFile(motor.session).path.read_bytes()
        command = Path(f"/proc/{node.popen.pid}/cmdline").read_bytes()
        environment = Path(f"/proc/{node.popen.pid}/environ").read_bytes()
        assert node.end() == 0
        said = node.text.encode() + command + environment + repr(diagnostics).encode() + repr(reports[-1]).encode()
        assert secret not in said and secret.hex().encode() not in said and repr(secret)[2:20].encode() not in said
    assert not KeyFile(motor.session).path.exists(), "the key ends with the session"
    log = audit_folder(motor.session) / "g1_command.jsonl"
    assert check(log).broken == ()
    refusals = [entry["facts"] for entry in last_entries(log, 200) if entry["kind"] == "refusal"]
    assert any(facts["what"] == "not authentic" and facts["total"] >= 20 for facts in refusals)


def test_a_chunk_signed_before_a_restart_is_dead_after_it(peer: Any, running: Any, motor: Any) -> None:
    chunks = peer.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    with running(G1, *motor.arguments()) as node:
        peer.until(lambda: reports and reports[-1].mode_machine == 5, "a report")
        old = KeyFile(motor.session).key()
        peer.until(lambda: motor.chunks, "a chunk", lambda: chunks.publish(motor.chunk(peer, len(motor.chunks) + 1)))
        assert node.end() == 0
    motor.chunks.clear()
    reports.clear()
    with running(G1, *motor.arguments()) as node:
        peer.until(lambda: reports and reports[-1].mode_machine == 5, "a report of the next")
        signed_before = iter(range(1_000, 100_000))

        def replay() -> None:
            chunks.publish(chunk_to_msg(old.signed(motor.unsigned(peer, next(signed_before)))))

        peer.until(lambda: reports[-1].chunks_refused >= 5, "refusals", replay)
        assert motor.chunks == []
        peer.until(lambda: motor.chunks, "a chunk of now", lambda: chunks.publish(motor.chunk(peer, 1)))
        assert node.end() == 0


@pytest.mark.parametrize("named", [False, True], ids=["the session's own key", "a named key file"])
@pytest.mark.parametrize("motor", ["sim"], indirect=True)
def test_head_and_command_node_find_each_other_again_whoever_restarts(
    peer: Any, running: Any, motor: Any, named: bool, tmp_path: Path
) -> None:
    key = {"key_file": str(tmp_path / "policy.key")} if named else {}
    proprio = peer.node.create_publisher(FeaturesMsg, topics.features_topic("proprio"), topics.SENSOR_OUT)
    words = motor.arguments(head="hold", mode="arms_only", needs_backbone="false", **key)
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    model = part_id(load_head("hold", None, mode="arms_only").manifest)

    def feel() -> None:
        tensors = {"features": np.zeros(128, np.float32), "q": np.full(29, 0.1, np.float32)}
        proprio.publish(features_to_msg(Features(peer.now_ns(), "proprio", model, tensors)))

    def come_through(what: str) -> None:
        motor.chunks.clear()
        peer.until(lambda: len(motor.chunks) > 3, f"chunks with {what}", feel)

    with running("neon_ros.nodes.action_head", *words) as head:
        with running(G1, *motor.arguments(robot="sim", **key)) as node:
            come_through("a head that was there first")
            assert node.end() == 0
        with running(G1, *motor.arguments(robot="sim", **key)) as node:
            come_through("another command node")
            assert head.end() == 0
            with running("neon_ros.nodes.action_head", *words) as second:
                come_through("another head")
                assert second.end() == 0
            peer.until(lambda: reports, "a report")
            assert "MAC" not in node.text
            assert node.end() == 0
    assert (tmp_path / "policy.key").exists() is named


def test_three_chunks_of_the_policy_that_are_wrong_pause_an_active_robot(peer: Any, running: Any, motor: Any) -> None:
    chunks = peer.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    q = np.zeros((16, 14), np.float32)
    q[3, 5] = np.nan
    sequence = iter(range(1, 10_000))

    def fail() -> None:
        chunks.publish(motor.chunk(peer, next(sequence), q=q))

    with running(G1, *motor.arguments()) as node:
        peer.until(lambda: reports and reports[-1].mode_machine == 5, "a report")
        peer.until(lambda: reports[-1].chunks_refused >= 6, "refusals", fail)
        assert "pause" not in motor.requests, "nobody is moving"
        motor.report = dataclasses.replace(motor.report, state="ACTIVE")
        peer.until(lambda: reports[-1].state == "ACTIVE", "an active robot")
        refused = reports[-1].chunks_refused
        peer.until(lambda: "pause" in motor.requests, "a pause", fail)
        assert reports[-1].chunks_refused <= refused + 8 and motor.chunks == []
        assert "3 chunks in a row were refused; the last: chunk.q[3, 5]: got nan" in node.text
        assert node.end() == 0


@pytest.mark.parametrize(
    ("motor", "robot", "accepted"), [("real", "real", False), ("sim", "sim", True)], indirect=["motor"]
)
def test_insecure_admits_unsigned_chunks_and_never_arms_a_real_robot(
    peer: Any, running: Any, motor: Any, robot: str, accepted: bool
) -> None:
    chunks = peer.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    diagnostics = peer.listen(DiagnosticArray, topics.DIAGNOSTICS, topics.EVERY_IN)
    with running(G1, *motor.arguments(robot=robot, insecure="true")) as node:
        peer.until(lambda: reports and reports[-1].mode_machine == 5, "a report")
        number = iter(range(1, 10_000))

        def send() -> None:
            chunks.publish(chunk_to_msg(motor.unsigned(peer, next(number))))

        peer.until(lambda: motor.chunks, "an unsigned chunk", send)
        answer = peer.call(Trigger, topics.ARM)
        assert answer.success is accepted, answer.message
        assert accepted or "arm: got a real robot with insecure:=true; allowed: signed chunks" in answer.message
        assert ("arm" in motor.requests) is accepted
        peer.until(lambda: values_of(diagnostics).get("chunks authenticated") == "no: insecure", "word on it")
        assert node.end() == 0
    entries = last_entries(audit_folder(motor.session) / "g1_command.jsonl", 20)
    call = next(entry["facts"] for entry in reversed(entries) if entry["kind"] == "service")
    assert call == {"service": "arm", "accepted": accepted, "said": answer.message}
    session = next(entry["facts"] for entry in reversed(entries) if entry["kind"] == "session")
    assert session["key"] == "none: insecure"


def test_an_audit_log_that_cannot_be_written_is_one_alarm_and_holds_up_nothing(
    peer: Any, running: Any, motor: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    chunks = peer.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    with running(G1, *motor.arguments(audit_folder=str(tmp_path / "file"))) as node:
        peer.until(lambda: reports and "audit log" in reports[-1].last_alarm, "an alarm")
        numbers = iter(range(1, 10_000))
        peer.until(lambda: len(motor.chunks) > 20, "chunks", lambda: chunks.publish(motor.chunk(peer, next(numbers))))
        assert peer.call(Trigger, topics.ARM).success
        assert node.text.count("alarm: audit log") == 1 and "Not a directory" in node.text
        assert node.end() == 0


def test_a_second_publisher_is_refused_at_arming_and_an_alarm_after_it(peer: Any, running: Any, motor: Any) -> None:
    chunks = peer.node.create_publisher(ActionChunkMsg, topics.ACTION_CHUNK, topics.SENSOR_OUT)
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    numbers = iter(range(1, 10_000))

    def send() -> None:
        chunks.publish(motor.chunk(peer, next(numbers)))

    with running(G1, *motor.arguments()) as node:
        peer.until(lambda: motor.chunks, "a chunk", lambda: reports and send())
        with Stranger("right"):
            peer.until(lambda: peer.node.count_publishers("/action_chunk") == 2, "a stranger", send)
            answers: list[Any] = []

            def refused() -> bool:  # the node may discover the stranger later than we do
                before = motor.requests.count("arm")
                answers.append(peer.call(Trigger, topics.ARM))
                named = "/stranger (" in answers[-1].message  # its name is discovered last
                return named and not answers[-1].success and motor.requests.count("arm") == before

            peer.until(refused, "a refusal", send)
            assert "publishers of action_chunk: got 2 (" in answers[-1].message
        peer.until(lambda: peer.node.count_publishers("/action_chunk") == 1, "the stranger's end", send)

        def armed() -> bool:
            return bool(peer.call(Trigger, topics.ARM).success)

        peer.until(armed, "arming")
        motor.report = dataclasses.replace(motor.report, state="ACTIVE")
        peer.until(lambda: reports[-1].state == "ACTIVE", "an active robot", send)
        before, told = len(motor.chunks), node.text.count("got another one, /stranger")
        with Stranger("right"):
            peer.until(lambda: node.text.count("got another one, /stranger") > told, "an alarm", send)
            peer.until(lambda: "chunk size: got 0 steps" in reports[-1].last_refusal, "its chunks refused", send)
            peer.until(lambda: len(motor.chunks) > before + 20, "the policy's own chunks", send)
        assert motor.requests.count("pause") == motor.requests.count("stop") == 0, "the robot goes on"
        assert node.end() == 0


def test_a_publisher_of_another_type_is_told_of_and_forbids_arming(peer: Any, running: Any, motor: Any) -> None:
    reports = peer.listen(GuardReport, topics.GUARD_REPORT, topics.EVERY_IN)
    with running(G1, *motor.arguments()) as node:
        peer.until(lambda: reports, "a report")
        with Stranger("wrong"):
            sentence = "of action_chunk: got type std_msgs/msg/String; allowed: neon_ros_msgs/msg/ActionChunk"
            peer.until(lambda: sentence in reports[-1].last_alarm, "an alarm")
            answer = peer.call(Trigger, topics.ARM)
            assert not answer.success and sentence in answer.message and "arm" not in motor.requests
        assert node.end() == 0


@pytest.mark.parametrize("reliability", [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
@pytest.mark.parametrize("durability", [DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL])
@pytest.mark.parametrize("liveliness", [LivelinessPolicy.AUTOMATIC, LivelinessPolicy.MANUAL_BY_TOPIC])
def test_no_quality_of_service_that_a_publisher_can_offer_is_incompatible(
    reliability: Any, durability: Any, liveliness: Any
) -> None:
    offered = QoSProfile(depth=1, reliability=reliability, durability=durability, liveliness=liveliness)
    assert qos_check_compatible(offered, topics.SENSOR_IN)[0] != QoSCompatibility.ERROR
