"""``config/neon.rviz`` shows what is published: topics, kinds, namespaces; tests/long asks the running graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from neon_ros.arguments import ARGUMENTS

ROOT = Path(__file__).resolve().parents[2]


def displayed() -> list[dict[str, Any]]:
    """Return the displays that read a topic."""
    config = yaml.safe_load((ROOT / "config" / "neon.rviz").read_text(encoding="utf-8"))
    manager = config["Visualization Manager"]
    return [display for display in manager["Displays"] if not display["Class"].endswith("/Grid")]


def topic_of(display: dict[str, Any]) -> str:
    return str(display.get("Topic", display.get("Description Topic"))["Value"])


def test_every_display_reads_a_topic_of_the_graph() -> None:
    pytest.importorskip("rclpy")
    from neon_ros.bridge import topics

    known = {
        f"/{topics.ROBOT_DESCRIPTION}": "RobotModel",
        f"/{topics.PREDICTED_MARKERS}": "MarkerArray",
        f"/{topics.PREDICTED_CAPSULES}": "MarkerArray",
        f"/{topics.SCENE}": "MarkerArray",
        **{f"/{topics.path_topic(name)}": "Path" for name in ("left", "right", "torso")},
        ARGUMENTS["points_topic"].default: "PointCloud2",
        ARGUMENTS["image_topic"].default: "Image",
    }
    shown = {topic_of(display): display["Class"].rpartition("/")[2] for display in displayed()}
    assert shown == known


def test_the_fixed_frame_is_that_of_the_markers() -> None:
    from neon_ros.show.markers import PELVIS_FRAME

    config = yaml.safe_load((ROOT / "config" / "neon.rviz").read_text(encoding="utf-8"))
    assert config["Visualization Manager"]["Global Options"]["Fixed Frame"] == PELVIS_FRAME


def test_the_namespaces_are_those_that_the_modules_write() -> None:
    written = "".join((ROOT / "neon_ros" / "show" / f"{name}.py").read_text() for name in ("markers", "labels", "body"))
    for display in displayed():
        for namespace in display.get("Namespaces", {}):
            assert f'"{namespace}"' in written, namespace
