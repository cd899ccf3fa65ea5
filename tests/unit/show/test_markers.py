"""Predictions, labels and the body as markers."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.robot.capsules import CAPSULES
from neon_ros.robot.joints import JOINT_NAMES
from neon_ros.robot.kinematics import Kinematics
from neon_ros.show.body import (
    capsule_markers,
    ghost_markers,
    link_shapes,
    wxyz_of_axis,
)
from neon_ros.show.figure import quaternions_wxyz
from neon_ros.show.labels import (
    BAR_LENGTH,
    BAR_SECONDS,
    LIMIT_LIFETIME,
    joint_link,
    latency_markers,
    limit_markers,
    said_markers,
    stacked,
    state_marker,
)
from neon_ros.show.markers import LIFETIME, Marker, prediction_markers, trail_markers, velocity_marker
from neon_ros.show.palette import time_ramp
from neon_ros.show.panel import Latency
from neon_ros.show.prediction import Prediction, along, dashes


def _prediction(offset: float = 0.0) -> Prediction:
    paths = np.zeros((3, 16, 3))
    paths[0, :, 0] = np.linspace(0, 0.3, 16) + offset
    paths[1, :, 1] = -np.linspace(0, 0.3, 16) - offset
    return Prediction(np.zeros((16, 29)), paths, np.arange(16) * 0.02, {}, np.zeros(3), {})


def _of(markers: list[Marker], namespace: str) -> list[Marker]:
    return [marker for marker in markers if marker.namespace == namespace]


def test_palms_and_torso_have_paths_and_the_palms_the_time_of_their_end() -> None:
    markers = prediction_markers(_prediction(), None)
    assert len({(m.namespace, m.number) for m in markers}) == len(markers)
    assert [m.number for m in _of(markers, "predicted_path")] == [0, 1, 2]
    left = _of(markers, "predicted_path")[0]
    np.testing.assert_allclose(left.points[-1], [0.3, 0, 0])
    assert left.colors[:, :3].sum(axis=1).argmin() == 0, "dark is now"
    assert (np.diff(left.colors[:, :3].sum(axis=1)) > 0).all(), "and lighter with time"
    np.testing.assert_allclose(_of(markers, "predicted_steps")[0].points[:, 0], [0.0, 0.1, 0.2, 0.3])  # 1 m/s along x
    assert [m.text for m in _of(markers, "predicted_end")] == ["left +0.30 s", "right +0.30 s"]
    assert not _of(markers, "previous_path")


def test_the_previous_chunk_is_grey_and_everything_vanishes_with_the_policy() -> None:
    markers = prediction_markers(_prediction(), _prediction(0.1), (0.05, 0.13))
    previous = _of(markers, "previous_path")
    assert len(previous) == 3 and all(np.ptp(m.colors[0, :3]) == 0 for m in previous)
    assert [m.kind for m in previous] == ["lines"] * 3 and len(previous[0].points) == 16, "and dashed"
    assert all(m.lifetime == LIFETIME and m.frame == "pelvis" for m in markers)


@pytest.mark.parametrize("steps", [1, 2, 15, 16])
def test_a_dashed_path_leaves_every_second_piece_out(steps: int) -> None:
    path = np.arange(3.0 * steps).reshape(steps, 3)
    pieces = dashes(path)
    assert pieces.shape == (steps // 2, 2, 3)
    np.testing.assert_allclose(pieces[:, 1] - pieces[:, 0], 3.0)


def test_labels_of_one_place_stand_one_above_the_other() -> None:
    waist, shoulder, far = np.zeros(3), np.array([0.1, 0.0, 0.01]), np.array([0.5, 0.0, 0.0])
    first, second, third, alone = stacked([waist, waist, shoulder, far], 0.05)
    assert sorted([first[2], second[2], third[2]]) == pytest.approx([0.0, 0.05, 0.1])
    np.testing.assert_allclose(alone, far)
    assert not waist.any(), "what was given stays as it was"
    assert stacked([], 0.05) == []


def test_the_blend_window_lies_on_the_new_path() -> None:
    window = _of(prediction_markers(_prediction(), _prediction(0.1), (0.05, 0.13)), "blend_window")
    np.testing.assert_allclose(window[0].points[[0, -1], 0], [0.05, 0.13], atol=1e-9)  # 1 m/s along x
    assert not _of(prediction_markers(_prediction(), None, (0.05, 0.13)), "blend_window"), "nothing to blend with"
    assert not _of(prediction_markers(_prediction(), _prediction(), (0.5, 0.6)), "blend_window"), "past the chunk"


def test_a_part_of_the_path_is_cut_at_its_times() -> None:
    part = along(_prediction(), 0.03, 0.07)
    np.testing.assert_allclose(part[0, :, 0], [0.03, 0.04, 0.06, 0.07])
    assert along(_prediction(), -1.0, 9.0).shape == (3, 16, 3)
    assert along(_prediction(), 0.2, 0.1).shape == (3, 0, 3)


def test_state_is_words_and_velocity_an_arrow() -> None:
    assert state_marker("HOLD", "chunk is old").text == "HOLD: chunk is old"
    assert state_marker("ACTIVE", "").text == "ACTIVE"
    assert len(state_marker("HOLD", "x" * 900).text) <= 120
    arrow = velocity_marker(np.array([0.5, -0.2, 0.3], np.float32))
    np.testing.assert_allclose(arrow.points[1], [0.5, -0.2, 0.0], atol=1e-7)


def test_words_are_shown_where_there_are_any() -> None:
    assert [m.text for m in said_markers("touch it", "I do")] == ["told: touch it", "says: I do"]
    assert said_markers("", "") == []


def test_a_limit_is_marked_at_its_joint_with_its_reasons() -> None:
    poses = Kinematics().poses(np.zeros(29))
    limits = [("left_elbow_joint", "jerk"), ("left_elbow_joint", "torque"), ("no_joint", "jerk")]
    ball, text = limit_markers(limits, poses)
    np.testing.assert_allclose(ball.points[0], poses["left_elbow_link"][:3, 3])
    assert text.text == "left elbow: jerk, torque" and text.lifetime == LIMIT_LIFETIME
    assert limit_markers([], poses) == []


def test_every_joint_has_a_link_to_be_marked_at() -> None:
    links = set(Kinematics().links)
    assert {joint_link(name) for name in JOINT_NAMES} <= links


def test_the_latency_bar_is_as_long_as_the_stages_take() -> None:
    stages = {"backbone": Latency(BAR_SECONDS / 4, 0.06), "head": Latency(BAR_SECONDS / 8, 0.07)}
    bar, text = latency_markers(stages)
    assert len(bar.points) == len(bar.colors) == 4
    assert np.ptp(bar.points[:, 1]) == pytest.approx(BAR_LENGTH * 3 / 8)
    assert text.text.startswith("backbone 50 · head 25 ms; newest 70 ms")
    long, _ = latency_markers({"backbone": Latency(9.0, 9.0)})
    assert np.ptp(long.points[:, 1]) == pytest.approx(BAR_LENGTH), "it ends at its end"
    assert latency_markers({}) == []


def test_command_and_measurement_leave_two_trails() -> None:
    path = np.zeros((2, 5, 3))
    assert {m.namespace for m in trail_markers(path, path)} == {"commanded_path", "measured_path"}
    assert trail_markers(path[:, :0], path[:, :1]) == []


def test_time_is_a_ramp_of_lightness_for_grey_eyes() -> None:
    grey = time_ramp((213, 94, 0), 9) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(grey) > 0.02).all() and grey[-1] < 0.75


def test_the_ghost_is_the_arms_at_the_end_and_what_else_moves() -> None:
    kinematics, q = Kinematics(), np.zeros(29)
    now = kinematics.poses(q)
    q[12] = 0.5  # the waist turns
    end = kinematics.poses(q)
    shapes = link_shapes()
    still, moved = ghost_markers(shapes, now, now), ghost_markers(shapes, end, now)
    assert 10 < len(still) < len(moved) < len(shapes)
    assert all(0.0 < m.colors[0, 3] < 0.5 for m in moved)
    one = next(m for m in moved if shapes[m.number].link == "left_rubber_hand")
    np.testing.assert_allclose(one.points[0], (end["left_rubber_hand"] @ shapes[one.number].pose)[:3, 3])


def test_capsules_are_drawn_with_the_links() -> None:
    poses = Kinematics().poses(np.zeros(29))
    markers = capsule_markers(CAPSULES, poses)
    ends = _of(markers, "capsule_end")
    assert len(ends) == len(CAPSULES) >= 20
    for tube in _of(markers, "capsule"):
        (end,) = [m for m in ends if m.number == tube.number]
        w, x, y, z = tube.wxyz
        axis = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
        np.testing.assert_allclose(np.abs(axis @ (end.points[1] - end.points[0])), tube.size[2], atol=1e-9)
        assert tube.size[0] == pytest.approx(2.0 * CAPSULES[tube.number].radius) == pytest.approx(end.scale)


@pytest.mark.parametrize("axis", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0.6, -0.8, 0)])
def test_z_is_turned_onto_an_axis(axis: tuple[float, float, float]) -> None:
    w, *xyz = wxyz_of_axis(np.array(axis, dtype=np.float64))
    z = np.array([0.0, 0.0, 1.0])
    np.testing.assert_allclose(z + 2 * np.cross(xyz, np.cross(xyz, z) + w * z), axis, atol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_quaternions_turn_vectors_as_their_matrices_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    half_turn = np.diag([1.0, -1.0, -1.0])
    for matrix, (w, *xyz) in zip(
        (rotation, half_turn, np.eye(3)), quaternions_wxyz(np.stack([rotation, half_turn, np.eye(3)])), strict=True
    ):
        vector = rng.normal(size=3)
        turned = vector + 2 * np.cross(xyz, np.cross(xyz, vector) + w * vector)
        np.testing.assert_allclose(turned, matrix @ vector, atol=1e-9)
        assert w >= 0
