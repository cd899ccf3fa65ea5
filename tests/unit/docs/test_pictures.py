"""The parts of the picture scripts that draw nothing: what they plot is what they say."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def seam() -> Any:
    return script("plot_seam")


@pytest.fixture(scope="module")
def graph() -> Any:
    return script("draw_graph")


def test_the_guard_holds_every_limit_over_the_seam_and_the_naive_way_none(seam: Any) -> None:
    bounds = seam.limits()
    allowed = np.array([bounds.velocity[0], bounds.acceleration[0], bounds.jerk[0]])
    assert (seam.through_the_guard().peaks() <= allowed * (1 + 1e-6)).all()
    assert (seam.as_it_comes().peaks() > 5 * allowed).all()


def test_both_ways_follow_the_chunks(seam: Any) -> None:
    old, new = (chunk.q[:, seam.JOINT_INDEX[seam.JOINT]] for chunk in seam.chunks())
    for way in (seam.as_it_comes(), seam.through_the_guard()):
        at = {round(time, 3): q for time, q in zip(way.times, way.derivatives[0], strict=True)}
        assert at[0.24] == pytest.approx(old[12], abs=1e-6)
        assert at[0.48] == pytest.approx(new[14], abs=0.03)
    naive = seam.as_it_comes()
    assert np.interp(0.34, naive.times, naive.derivatives[0]) == pytest.approx(new[7], abs=1e-9)


def test_positions_are_the_integral_of_what_is_plotted_below(seam: Any) -> None:
    way = seam.through_the_guard()
    q, dq, ddq, _ = way.derivatives
    assert np.diff(q) / seam.PERIOD == pytest.approx((dq[1:] + dq[:-1]) / 2, abs=1e-3)
    assert np.diff(dq) / seam.PERIOD == pytest.approx((ddq[1:] + ddq[:-1]) / 2, abs=1e-2)


def nodes(graph: Any) -> dict[str, Any]:
    everywhere = {"/rosout": "rcl_interfaces/msg/Log", "/latency": "neon_ros_msgs/msg/StageLatency"}
    return {
        "camera": graph.Ends({"/image": "sensor_msgs/msg/Image", "/info": "x/msg/Y", "/depth": "x/msg/Y"}, {}),
        "head": graph.Ends(everywhere | {"/action_chunk": "a/msg/B"}, {"/image": "sensor_msgs/msg/Image"}),
        "g1_command": graph.Ends({"/joint_states": "a/msg/J", "/rosout": "r"}, {"/action_chunk": "a/msg/B"}),
        "view": graph.Ends({"/predicted": "a/msg/P"}, {"/action_chunk": "a", "/image": "b", "/nobody": "c"}),
    }


def test_topics_are_grouped_by_who_has_them(graph: Any) -> None:
    found = graph.groups(nodes(graph))
    assert found[("camera",), ()] == ["/depth", "/info"]
    assert found[("head",), ("g1_command", "view")] == ["/action_chunk"]
    assert found[("camera",), ("head", "view")] == ["/image"]
    drawn = [topic for topics in found.values() for topic in topics]
    assert "/rosout" not in drawn and "/nobody" not in drawn and len(drawn) == len(set(drawn))


def test_every_node_topic_and_arrow_is_in_the_drawing(graph: Any) -> None:
    text = graph.as_dot(nodes(graph))
    for name in nodes(graph):
        assert f'"node {name}" [label="{name}"' in text
    assert text.count("->") == sum(len(ends) + len(readers) for ends, readers in graph.groups(nodes(graph)))
    assert "depth\\linfo\\l" in text and "not drawn, because every node has them: rosout, latency" in text
    if shutil.which("dot"):
        svg = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, check=True).stdout
        assert all(word in svg for word in ("action_chunk", "g1_command", "predicted"))


def test_the_committed_picture_shows_the_nodes_of_the_graph() -> None:
    from neon_ros.parameters import NODES

    picture = (DOCS / "images" / "graph.svg").read_text(encoding="utf-8")
    assert [name for name in NODES if f">{name}<" not in picture] == []
