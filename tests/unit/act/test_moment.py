"""Features of all sources brought together for one capture."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.act.moment import KEPT, Collector
from neon_ros.contracts import FEATURE_SOURCES, Features
from neon_ros.errors import ContractError

MS = 1_000_000
T = 1_000_000 * MS


def features(source: str, stamp_ns: int, value: float = 0.0, model: str = "mine") -> Features:
    tensors = {"features": np.full(4, value, np.float32)}
    if source == "proprio":
        tensors["q"] = np.full(29, value, np.float32)
    if source == "backbone":
        tensors = {
            "vision": np.ones((2, 3), np.float32),
            "text": np.ones((2, 3), np.float32),
            "extra": np.ones(1, np.float32),
        }
    return Features(stamp_ns, source, model, tensors)


def test_of_each_source_the_sample_nearest_to_the_capture_is_taken() -> None:
    collector = Collector(0.5, {})
    for step in range(10):
        collector.add(features("proprio", T + step * 20 * MS, step))
    collector.add(features("backbone", T + 65 * MS))
    moment = collector.at(T + 65 * MS)
    assert moment.head_inputs()["q"][0] == 3.0
    np.testing.assert_allclose(moment.age, [0.0, 0.0, 0.005, 0.0], atol=1e-6)
    assert FEATURE_SOURCES.index("proprio") == 2


def test_old_features_and_left_out_sources_are_absent() -> None:
    collector = Collector(0.5, {})
    collector.add(features("lidar", T))
    collector.add(features("eef", T + 400 * MS))
    collector.add(features("proprio", T + 600 * MS))
    moment = collector.at(T + 600 * MS)
    assert set(moment.features) == {"eef", "proprio"}
    assert set(moment.head_inputs()) == {"q", "age", "proprio", "eef"}
    assert set(collector.at(T + 600 * MS, absent=("eef",)).features) == {"proprio"}


def test_the_backbones_tensors_are_handed_over_by_name() -> None:
    collector = Collector(0.5, {})
    collector.add(features("proprio", T))
    collector.add(features("backbone", T))
    assert set(collector.at(T).head_inputs()) == {"q", "age", "proprio", "vision", "text"}


def test_without_joints_there_is_no_chunk() -> None:
    collector = Collector(0.5, {})
    collector.add(features("backbone", T))
    with pytest.raises(ContractError, match="features/proprio: got none with tensor q near the capture"):
        collector.at(T).head_inputs()


def test_features_of_another_model_are_refused() -> None:
    collector = Collector(0.5, {"lidar": "mine"})
    collector.add(features("eef", T, model="anything"))
    with pytest.raises(ContractError, match="features/lidar model_id: got other; allowed: mine"):
        collector.add(features("lidar", T, model="other"))


def test_a_sender_whose_clock_was_set_back_is_followed() -> None:
    collector = Collector(0.5, {})
    collector.add(features("eef", T, 1.0))
    collector.add(features("eef", T - 10_000 * MS, 2.0))
    assert collector.newest_ns("eef") == T - 10_000 * MS
    assert "eef" not in collector.at(T).features


def test_memory_is_bounded() -> None:
    collector = Collector(0.5, {})
    for step in range(3 * KEPT):
        collector.add(features("eef", T + step * MS, step))
    assert collector.newest_ns("eef") == T + (3 * KEPT - 1) * MS
    assert collector.newest_ns("lidar") is None
    moment = collector.at(T)
    assert moment.features["eef"].stamp_ns == T + 2 * KEPT * MS
