"""Messages to contracts and back: what goes through comes back the same, and every door refuses what is not right."""

from __future__ import annotations

import array
import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("neon_ros_msgs.msg")
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import JointState

from neon_ros.bridge.chunk import chunk_from_msg, chunk_to_msg
from neon_ros.bridge.examples import STAMP_NS, make_example
from neon_ros.bridge.features import (
    Latency,
    features_from_msg,
    features_to_msg,
    latency_from_msg,
    latency_to_msg,
)
from neon_ros.bridge.guard import error_of, report_facts, report_to_msg
from neon_ros.bridge.markers import (
    MarkerMessages,
    PathMessage,
    Solid,
    solids_from_msg,
    solids_to_msg,
    trajectory_to_msg,
)
from neon_ros.bridge.plain import filled, nanoseconds_of, time_of
from neon_ros.bridge.robot import (
    command_from_msg,
    command_to_msg,
    hands_from_msg,
    imu_from_msg,
    imu_to_msg,
    joints_from_msg,
    joints_to_msg,
    poses_to_msg,
)
from neon_ros.bridge.sensors import (
    camera_info_to_msg,
    cloud_from_msg,
    cloud_to_msg,
    image_from_msg,
    image_to_msg,
)
from neon_ros.contracts import ActionChunk, Features, RobotState
from neon_ros.errors import ContractError
from neon_ros.guard.admission import AdmissionCounters
from neon_ros.guard.alarms import Alarms
from neon_ros.guard.authentic import ChunkKey
from neon_ros.motor.records import MotorReport
from neon_ros.robot.joints import JOINT_NAMES
from neon_ros.show.markers import Marker
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg
from neon_ros_msgs.msg import Tensor

HANDS = np.array([[0.3, 0.2, 0.1, 0, 0, 0, 1.0], [0.3, -0.2, 0.1, 0, 0, 0.6, 0.8]])


def test_stamps() -> None:
    assert nanoseconds_of(time_of(STAMP_NS)) == STAMP_NS
    with pytest.raises(ContractError, match="header.stamp: got 0; allowed: the time of capture"):
        nanoseconds_of(time_of(0))
    for wrong in (-1, 2**31 * 1_000_000_000):
        with pytest.raises(ContractError, match=f"stamp: got {wrong}; allowed: 0 to 2147483647 s"):
            time_of(wrong)


@pytest.mark.parametrize(("kind", "code"), [(np.uint8, "B"), (np.float32, "f"), (np.float64, "d")])
def test_big_arrays_are_handed_over_as_the_message_keeps_them(kind: Any, code: str) -> None:
    values = np.arange(24).astype(kind).reshape(2, 3, 4)
    for view in (values, values[:, ::2], values[:0]):
        packed = filled(view, code)
        assert isinstance(packed, array.array) and packed.typecode == code
        np.testing.assert_array_equal(np.frombuffer(packed, kind) if len(packed) else view.ravel(), view.ravel())


def test_features_return() -> None:
    example = make_example(Features)
    back = features_from_msg(features_to_msg(example))
    assert (back.stamp_ns, back.source, back.model_id) == (example.stamp_ns, example.source, example.model_id)
    for name, value in example.tensors.items():
        np.testing.assert_array_equal(back.tensors[name], value)
        assert back.tensors[name].dtype == np.float32


def spoil_features(msg: Any, how: str) -> None:
    if how == "nan":
        msg.tensors[0].data[3] = math.nan
    elif how == "shape":
        msg.tensors[0].shape = [5, 5]
    elif how == "huge":
        msg.tensors[0].shape = [2**31, 2**31]
    elif how == "rank":
        msg.tensors[0].shape = [1, 1, 1, 3, 4]
    elif how == "twice":
        msg.tensors.append(msg.tensors[0])
    elif how == "many":
        msg.tensors = [Tensor(name=f"t{k}", shape=[1], data=[0.0]) for k in range(17)]
    elif how == "none":
        msg.tensors = []
    elif how == "source":
        msg.source = "nose"
    elif how == "long":
        msg.source = "x" * 1000
    elif how == "stamp":
        msg.header.stamp.sec = msg.header.stamp.nanosec = 0


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan", r"features\.vision\[3\]: got nan; allowed: finite values"),
        ("shape", r"features\.vision length: got 12; allowed: 25 for shape \(5, 5\)"),
        ("huge", r"features\.vision shape: got \(2147483648, 2147483648\)"),
        ("rank", r"features\.vision shape: got \(1, 1, 1, 3, 4\); allowed: rank 4"),
        ("twice", r"features\.tensors: got vision twice; allowed: each name once"),
        ("many", r"features\.tensors: got 17 of them; allowed: at most 16"),
        ("none", r"features\.tensors: got none; allowed: at least one named tensor"),
        ("source", r"features\.source: got nose; allowed: \('backbone', 'lidar', 'proprio', 'eef'\)"),
        ("long", r"features\.source length: got 1000 characters; allowed: at most 256"),
        ("stamp", r"header\.stamp: got 0; allowed: the time of capture"),
    ],
)
def test_broken_features_are_refused(how: str, message: str) -> None:
    msg = features_to_msg(make_example(Features))
    spoil_features(msg, how)
    with pytest.raises(ContractError, match=message):
        features_from_msg(msg)


def test_latency_returns() -> None:
    latency = Latency(STAMP_NS, "head", 0.002, 0.05)
    assert latency_from_msg(latency_to_msg(latency)) == latency
    with pytest.raises(ContractError, match=r"latency: got \(nan, 0.05\); allowed: finite seconds"):
        latency_from_msg(latency_to_msg(latency._replace(compute=math.nan)))


def test_chunk_returns() -> None:
    example = make_example(ActionChunk)
    msg = chunk_to_msg(example)
    back = chunk_from_msg(msg)
    np.testing.assert_array_equal(back.q, example.q)
    np.testing.assert_array_equal(back.base_velocity, example.base_velocity)
    for name in ("stamp_ns", "epoch", "sequence", "mode", "head_id", "checksum", "joint_names", "dt"):
        assert getattr(back, name) == getattr(example, name)
    assert nanoseconds_of(msg.valid_until) == example.valid_until_ns


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("horizon", 15, r"chunk\.q length: got 224; allowed: 210 for shape \(15, 14\)"),
        ("horizon", 0, "chunk size: got 0 steps of 14 joints"),
        ("horizon", 2**32 - 1, "chunk size: got 4294967295 steps of 14 joints"),
        ("joint_names", [], "chunk size: got 16 steps of 0 joints"),
        ("joint_names", ["x" * 300] * 14, r"chunk\.joint_names length: got 300 characters"),
        ("dt", 0.0, r"chunk\.dt: got 0\.0; allowed: above 0 to 10 s"),
        ("dt", math.inf, r"chunk\.dt: got inf; allowed"),
        ("q", array.array("f", [math.nan] * 224), r"chunk\.q\[0\]: got nan; allowed: finite values"),
        ("base_velocity", array.array("f", []), r"chunk\.base_velocity length: got 0; allowed: 48"),
        (
            "valid_until",
            time_of(STAMP_NS + 320_000_001),
            r"chunk\.valid_until: got \d+; allowed: stamp \+ horizon \* dt",
        ),
        ("valid_until", time_of(STAMP_NS), r"chunk\.valid_until: got \d+; allowed: stamp \+ horizon \* dt"),
    ],
)
def test_broken_chunks_are_refused(field: str, value: Any, message: str) -> None:
    msg = chunk_to_msg(make_example(ActionChunk))
    setattr(msg, field, value)
    with pytest.raises(ContractError, match=message):
        chunk_from_msg(msg)


def test_joints_return_in_motor_order_whatever_the_order_of_the_message() -> None:
    q = np.linspace(-0.1, 0.1, 29)
    example = make_example(RobotState)
    state = RobotState(**{**example.__dict__, "q": q, "dq": 2 * q})
    msg = joints_to_msg(STAMP_NS, state)
    order = np.random.default_rng(1).permutation(29)
    msg.name = [JOINT_NAMES[i] for i in order]
    msg.position, msg.velocity = q[order].tolist(), (2 * q)[order].tolist()
    joints = joints_from_msg(msg)
    np.testing.assert_array_equal(joints.q, q)
    np.testing.assert_array_equal(joints.dq, 2 * q)
    assert joints.stamp_ns == STAMP_NS


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", [*JOINT_NAMES[:28], "tail"], "joint names: got .*tail.*; allowed: names among"),
        ("name", [*JOINT_NAMES[:28], JOINT_NAMES[0]], "joint names: got repeated"),
        ("name", list(JOINT_NAMES[:12]), r"joint_states\.name: got 12 names; allowed: all 29 joints"),
        ("position", [0.0] * 28, r"joint_states\.position shape: got \(28,\); allowed: \(29,\)"),
        ("velocity", [math.inf] * 29, r"joint_states\.velocity\[0\]: got inf; allowed: finite values"),
    ],
)
def test_broken_joints_are_refused(field: str, value: Any, message: str) -> None:
    msg = joints_to_msg(STAMP_NS, make_example(RobotState))
    setattr(msg, field, value)
    with pytest.raises(ContractError, match=message):
        joints_from_msg(msg)


def test_imu_turns_the_quaternion_round_and_knows_gravity() -> None:
    half = math.sqrt(0.5)
    msg = imu_to_msg(STAMP_NS, "pelvis", np.array([half, half, 0, 0]), np.array([1.0, 2, 3]), np.array([4.0, 5, 6]))
    assert (msg.orientation.x, msg.orientation.w) == pytest.approx((half, half))
    imu = imu_from_msg(msg)
    np.testing.assert_allclose(imu.gravity(), [0, -1, 0], atol=1e-12)  # rolled by 90 deg to the right
    np.testing.assert_array_equal(imu.gyroscope, [1, 2, 3])
    np.testing.assert_array_equal(imu.accelerometer, [4, 5, 6])


def test_broken_imu_is_refused() -> None:
    upright, still = np.array([1.0, 0, 0, 0]), np.zeros(3)
    with pytest.raises(ContractError, match=r"imu\.orientation: got none \(covariance -1\); allowed: an orientation"):
        imu_from_msg(imu_to_msg(STAMP_NS, "livox_frame", None, still, still))
    msg = imu_to_msg(STAMP_NS, "pelvis", upright, still, still)
    msg.orientation.w = 0.5
    with pytest.raises(ContractError, match=r"imu\.orientation length: got 0\.5; allowed: 1"):
        imu_from_msg(msg)
    msg = imu_to_msg(STAMP_NS, "pelvis", upright, np.array([0, math.nan, 0]), still)
    with pytest.raises(ContractError, match=r"imu\.angular_velocity\[1\]: got nan"):
        imu_from_msg(msg)


def test_hands_return() -> None:
    stamp_ns, poses = hands_from_msg(poses_to_msg(STAMP_NS, HANDS))
    assert stamp_ns == STAMP_NS
    np.testing.assert_allclose(poses, HANDS)


def test_broken_hands_are_refused() -> None:
    with pytest.raises(ContractError, match=r"eef_poses\.frame_id: got 'map'; allowed: pelvis"):
        hands_from_msg(poses_to_msg(STAMP_NS, HANDS, "map"))
    with pytest.raises(ContractError, match=r"eef_poses\.poses: got 1 poses; allowed: 2: left hand, right hand"):
        hands_from_msg(poses_to_msg(STAMP_NS, HANDS[:1]))
    with pytest.raises(ContractError, match=r"eef_poses\.right quaternion length: got 2"):
        hands_from_msg(poses_to_msg(STAMP_NS, HANDS * np.array([[1], [2]])))


def test_pictures_return_and_other_encodings_are_read() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    msg = image_to_msg(STAMP_NS, "camera", rgb)
    picture = image_from_msg(msg)
    np.testing.assert_array_equal(picture.rgb, rgb)
    assert (picture.stamp_ns, picture.frame) == (STAMP_NS, "camera")
    msg.encoding, msg.data = "bgr8", filled(rgb[:, :, ::-1], "B")
    np.testing.assert_array_equal(image_from_msg(msg).rgb, rgb)
    msg.encoding = "16UC1"
    with pytest.raises(ContractError, match="image encoding: got 16UC1; allowed: rgb8"):
        image_from_msg(msg)
    msg.encoding, msg.height = "rgb8", 25
    with pytest.raises(ContractError, match="image data: got 2304 bytes; allowed: 2400"):
        image_from_msg(msg)


def test_camera_info_is_an_ideal_pinhole() -> None:
    k = np.array([[300.0, 0, 211.5], [0, 300, 119.5], [0, 0, 1]])
    msg = camera_info_to_msg(STAMP_NS, "camera", 424, 240, k)
    np.testing.assert_array_equal(np.array(msg.k).reshape(3, 3), k)
    np.testing.assert_array_equal(np.array(msg.p).reshape(3, 4)[:, :3], k)
    assert (msg.width, msg.height, msg.distortion_model) == (424, 240, "plumb_bob")


def test_clouds_return_without_their_invalid_returns() -> None:
    points = np.array([[1.0, 2, 3], [math.nan, 0, 0], [0, 0, 0], [4, 5, 6]], dtype=np.float32)
    cloud = cloud_from_msg(cloud_to_msg(STAMP_NS, "livox_frame", points))
    np.testing.assert_array_equal(cloud.points, points[[0, 3]])
    assert (cloud.stamp_ns, cloud.frame) == (STAMP_NS, "livox_frame")
    assert cloud_from_msg(cloud_to_msg(STAMP_NS, "livox_frame", points[:0])).points.shape == (0, 3)


def test_broken_clouds_are_refused() -> None:
    msg = cloud_to_msg(STAMP_NS, "livox_frame", np.ones((4, 3), np.float32))
    msg.width = 5
    with pytest.raises(ContractError, match="cloud row_step: got 48; allowed: at least 60"):
        cloud_from_msg(msg)
    msg.width, msg.fields[2].name = 4, "depth"
    with pytest.raises(ContractError, match="cloud fields: got no z; allowed: x, y and z"):
        cloud_from_msg(msg)
    msg.width = msg.height = 2**20
    with pytest.raises(ContractError, match="cloud size: got 1048576 x 1048576 points; allowed: at most 1048576"):
        cloud_from_msg(msg)


def test_the_guards_report_is_told_in_full() -> None:
    report = MotorReport(state="ACTIVE", limited_joints=("waist_yaw_joint",), limited_reasons=("jerk",), limit_count=3)
    counters = AdmissionCounters(admitted=5, refused=2, last_refusal="too old")
    alarms = Alarms()
    alarms.sound("a chunk with a MAC that does not fit", 1.0)
    msg = report_to_msg(STAMP_NS, report, counters, alarms)
    assert (msg.state, msg.chunks_admitted, msg.chunks_refused, msg.last_refusal) == ("ACTIVE", 5, 2, "too old")
    assert (list(msg.limited_joints), list(msg.limited_reasons), msg.limit_count) == (["waist_yaw_joint"], ["jerk"], 3)


def test_scene_returns() -> None:
    ball = Solid(
        "red ball", "sphere", (0.06, 0.06, 0.06), (1.0, 0.25, 0.0), np.array([0.4, 0.1, 0.0]), HANDS[1, [6, 3, 4, 5]]
    )
    (back,) = solids_from_msg(solids_to_msg(STAMP_NS, [ball]))
    assert (back.name, back.shape, back.size, back.rgb) == (ball.name, ball.shape, ball.size, ball.rgb)
    np.testing.assert_allclose(back.position, ball.position)
    np.testing.assert_allclose(back.quaternion_wxyz, ball.quaternion_wxyz)
    with pytest.raises(ContractError, match=r"scene\.markers: got 65; allowed: at most 64"):
        solids_from_msg(solids_to_msg(STAMP_NS, [ball] * 65))
    broken = solids_to_msg(STAMP_NS, [ball._replace(size=(math.nan, 1.0, 1.0))])
    with pytest.raises(ContractError, match=r"scene\[3\]: got nan"):
        solids_from_msg(broken)


@pytest.mark.parametrize("kind", ["line", "spheres", "arrow", "text"])
def test_markers_keep_their_points_colours_and_life(kind: str) -> None:
    points, colors = np.array([[0.0, 0, 0], [1, 2, 3]]), np.array([[1.0, 0.5, 0.0, 1.0], [0, 0, 1, 0.5]])
    (msg,) = MarkerMessages().array(STAMP_NS, [Marker("ns", 3, kind, points, 0.02, colors, "words")]).markers
    assert (msg.ns, msg.id, msg.header.frame_id) == ("ns", 3, "pelvis")
    assert msg.lifetime.sec + msg.lifetime.nanosec * 1e-9 == pytest.approx(0.5)
    assert (len(msg.points), len(msg.colors)) == ((0, 0) if kind == "text" else (2, 2))
    assert max(msg.scale.x, msg.scale.y, msg.scale.z) > 0


def test_a_marker_that_is_written_again_says_only_the_new() -> None:
    write, color = MarkerMessages(), np.array([[1.0, 0.5, 0.0, 1.0]])
    first = Marker("ns", 3, "line", np.arange(9.0).reshape(3, 3), 0.02, color, "old", lifetime=2.0)
    second = Marker("ns", 3, "line", np.ones((2, 3)), 0.03, np.repeat(color[:, ::-1], 2, axis=0), "new")
    write.array(STAMP_NS, [first])
    (again,) = write.array(STAMP_NS + 1, [second]).markers
    assert again == MarkerMessages().array(STAMP_NS + 1, [second]).markers[0]


def test_a_path_is_stamped_step_by_step() -> None:
    path = PathMessage().path(STAMP_NS, np.arange(9.0).reshape(3, 3), 0.02)
    stamps = [nanoseconds_of(pose.header.stamp) - STAMP_NS for pose in path.poses]
    assert stamps == [0, 20_000_000, 40_000_000]
    assert path.poses[2].pose.position.z == 8.0
    ways = PathMessage()
    ways.path(STAMP_NS, np.ones((5, 3)), 0.02)
    assert ways.path(STAMP_NS, np.arange(9.0).reshape(3, 3), 0.02) == path


def test_what_an_operator_must_see_is_an_error_for_a_while() -> None:
    alarms, calm = Alarms(), MotorReport(state="ACTIVE", reason="following chunks")
    assert error_of(calm, alarms, 100.0) == ""
    alarms.sound("a chunk with a MAC that does not fit", 100.0)
    assert error_of(calm, alarms, 109.9) == "alarm 1: a chunk with a MAC that does not fit"
    assert error_of(calm, alarms, 110.1) == ""
    tilted = MotorReport(state="DAMPING", reason="tilt: got 1.2 rad; allowed: 1.0 rad")
    assert error_of(tilted, alarms, 200.0) == "DAMPING: tilt: got 1.2 rad; allowed: 1.0 rad"


def test_damping_that_an_operator_wanted_is_no_error() -> None:
    pytest.importorskip("ruckig")
    from neon_ros.guard.guard import Guard
    from neon_ros.guard.machine import Event, State
    from neon_ros.robot.modes import MODES

    for kind in ("stop", "disarm"):
        guard = Guard(MODES["arms_only"])
        guard.machine.handle(Event.CONFIGURE, "", 0.0)
        guard.machine.handle(Event.ARM, "", 0.0)
        guard.request(kind, 1.0)
        assert guard.machine.state is State.DAMPING
        report = MotorReport(state="DAMPING", reason=guard.machine.reason)
        assert error_of(report, Alarms(), 1.0) == "", guard.machine.reason
    assert error_of(MotorReport(state="DAMPING", reason="stopped by SIGTERM"), Alarms(), 1.0) == ""


def test_the_diagnostics_tell_what_the_guard_does() -> None:
    counts = tuple((JOINT_NAMES[i], "jerk", i + 1) for i in range(8))
    report = MotorReport(
        state="HOLD",
        reason="no new chunk",
        mode="arms_only",
        mode_machine=5,
        limit_count=36,
        counts=counts,
        period_p99=0.00213,
        tick_p99=0.00021,
        alarms=2,
        last_alarm="a second writer",
    )
    facts = report_facts(report, Alarms(), signed=True)
    assert (facts["state"], facts["reason"], facts["variant"], facts["mode"]) == (
        "HOLD",
        "no new chunk",
        "5",
        "arms_only",
    )
    assert (facts["alarms"], facts["last alarm"]) == ("2", "a second writer")
    assert facts["most limited"].startswith(f"{JOINT_NAMES[7]} jerk 8, {JOINT_NAMES[6]} jerk 7")
    assert facts["most limited"].count(",") == 4
    assert (facts["period p99 [ms]"], facts["tick p99 [ms]"]) == ("2.130", "0.210")
    assert (facts["clearance [m]"], facts["chunk age [s]"]) == ("not checked", "no chunk")
    assert facts["chunks authenticated"] == "yes"
    assert report_facts(report, Alarms(), signed=False)["chunks authenticated"] == "no: insecure"


@pytest.mark.parametrize("frame", ["", "torso_link", "x" * 300])
def test_a_chunk_in_another_frame_is_refused(frame: str) -> None:
    msg = chunk_to_msg(make_example(ActionChunk))
    msg.header.frame_id = frame
    with pytest.raises(ContractError, match=r"frame_id.*: got .*; allowed: "):
        chunk_from_msg(msg)


def test_a_second_way_to_write_a_stamp_is_refused() -> None:
    msg = chunk_to_msg(make_example(ActionChunk))
    msg.header.stamp.sec -= 1
    msg.header.stamp.nanosec += 1_000_000_000
    with pytest.raises(ContractError, match=r"header\.stamp\.nanosec: got 1123456789; allowed: below 1000000000"):
        chunk_from_msg(msg)


def test_the_mac_covers_every_bit_of_the_message() -> None:
    key = ChunkKey(bytes(32))
    signed = chunk_to_msg(key.signed(make_example(ActionChunk)))
    assert key.made(chunk_from_msg(signed))
    whole, accepted = bytearray(serialize_message(signed)), 0
    for bit in range(32, 8 * len(whole)):  # behind the four bytes of the CDR header
        whole[bit // 8] ^= 1 << bit % 8
        try:
            back = deserialize_message(bytes(whole), ActionChunkMsg)
            same = back == signed  # bits between the fields, which nobody reads
            accepted += key.made(chunk_from_msg(back, finite=False)) and not same
        except (ContractError, MemoryError, RuntimeError):  # rmw: RMWError
            pass
        finally:
            whole[bit // 8] ^= 1 << bit % 8
    assert accepted == 0


@pytest.mark.parametrize("kind", ["box", "cylinder", "sphere"])
def test_solid_markers_keep_place_size_and_turn(kind: str) -> None:
    wxyz, color = np.array([0.5, 0.5, -0.5, 0.5]), np.array([[0.1, 0.2, 0.3, 0.4]])
    marker = Marker("ghost", 1, kind, np.array([[1.0, 2.0, 3.0]]), 0.0, color, size=(0.1, 0.2, 0.3), wxyz=wxyz)
    (msg,) = MarkerMessages().array(STAMP_NS, [marker]).markers
    o, p, s = msg.pose.orientation, msg.pose.position, msg.scale
    assert [o.w, o.x, o.y, o.z] == wxyz.tolist() and [p.x, p.y, p.z] == [1.0, 2.0, 3.0]
    assert [s.x, s.y, s.z] == [0.1, 0.2, 0.3] and not msg.points and msg.color.a == pytest.approx(0.4)


def test_a_chunk_becomes_a_trajectory_from_its_capture_on() -> None:
    q = np.arange(58, dtype=np.float64).reshape(2, 29)
    msg = trajectory_to_msg(STAMP_NS, q, np.array([0.0, 1.02]))
    assert tuple(msg.joint_names) == JOINT_NAMES
    assert list(msg.points[1].positions) == q[1].tolist()
    assert (msg.points[1].time_from_start.sec, msg.points[1].time_from_start.nanosec) == (1, 20_000_000)


def test_the_command_names_what_is_commanded_and_no_more() -> None:
    commanded = np.zeros(29, dtype=bool)
    commanded[[15, 22]] = True
    q = np.linspace(0.0, 1.0, 29)
    msg = command_to_msg(STAMP_NS, q, np.zeros(29), np.zeros(29), commanded)
    assert list(msg.name) == [JOINT_NAMES[15], JOINT_NAMES[22]]
    read = command_from_msg(msg)
    np.testing.assert_allclose(read[[15, 22]], q[[15, 22]])
    assert np.isnan(read[:15]).all()


def test_a_command_of_an_unknown_joint_or_no_number_is_refused() -> None:
    msg = JointState(name=["tail_joint"], position=[0.0])
    with pytest.raises(ContractError, match="joint names: got \\['tail_joint'\\]"):
        command_from_msg(msg)
    with pytest.raises(ContractError, match=r"command_joint_states.position\[0\]: got nan"):
        command_from_msg(JointState(name=[JOINT_NAMES[0]], position=[float("nan")]))
