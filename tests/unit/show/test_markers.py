"""Predictions as markers."""

from __future__ import annotations

import numpy as np

from neon_ros.show.markers import LIFETIME, prediction_markers, state_marker, velocity_marker
from neon_ros.show.prediction import Prediction


def _prediction(offset: float = 0.0) -> Prediction:
    palms = np.zeros((2, 16, 3))
    palms[0, :, 0] = np.linspace(0, 0.3, 16) + offset
    palms[1, :, 1] = -np.linspace(0, 0.3, 16) - offset
    return Prediction(np.zeros((16, 29)), palms, np.arange(16) * 0.02)


def test_each_hand_has_a_path_its_steps_and_the_time_of_its_end() -> None:
    markers = prediction_markers(_prediction(), None)
    assert {(m.namespace, m.number) for m in markers} == {
        (name, hand) for name in ("predicted_path", "predicted_steps", "predicted_end") for hand in (0, 1)
    }
    left = next(m for m in markers if (m.namespace, m.number) == ("predicted_path", 0))
    np.testing.assert_allclose(left.points[-1], [0.3, 0, 0])
    assert left.colors[0, 3] > left.colors[-1, 3], "the future fades"
    assert any(m.text == "left +0.30 s" for m in markers)


def test_the_previous_chunk_is_grey_and_vanishes_with_the_policy() -> None:
    markers = prediction_markers(_prediction(), _prediction(0.1))
    previous = [m for m in markers if m.namespace == "previous_path"]
    assert len(previous) == 2
    assert all(np.ptp(m.colors[0, :3]) == 0 for m in previous)
    assert all(m.lifetime == LIFETIME for m in markers)


def test_state_is_words_and_velocity_an_arrow() -> None:
    assert state_marker("HOLD", "chunk is old").text == "HOLD: chunk is old"
    assert state_marker("ACTIVE", "").text == "ACTIVE"
    arrow = velocity_marker(np.array([0.5, -0.2, 0.3], np.float32))
    np.testing.assert_allclose(arrow.points[1], [0.5, -0.2, 0.0], atol=1e-7)
