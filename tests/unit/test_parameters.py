"""Parameters of the nodes: defaults inside their own ranges, wrong values refused by name."""

from __future__ import annotations

from dataclasses import fields

import pytest

from neon_ros.errors import ConfigError
from neon_ros.parameters import NODES, BackboneParameters, G1CommandParameters, checked


@pytest.mark.parametrize("node", NODES)
def test_every_parameter_says_what_it_is_and_allows_its_default(node: str) -> None:
    missing = {item.name: "x" for item in fields(NODES[node]) if item.metadata["required"] and not item.default}
    checked(NODES[node], missing, node)
    for item in fields(NODES[node]):
        assert len(item.metadata["description"]) > 8, item.name


def test_values_are_taken_and_the_rest_keeps_its_default() -> None:
    config = checked(BackboneParameters, {"rate": 5.0})
    assert (config.rate, config.backbone) == (5.0, "compact")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"speed": 1}, r"backbone\.speed: got an unknown parameter; allowed: backbone, rate"),
        ({"rate": 5}, r"backbone\.rate: got 5 \(int\); allowed: a value of type float"),
        ({"rate": float("inf")}, r"backbone\.rate: got inf; allowed: 0\.1 to 60\.0: most pictures"),
        ({"threads": -1}, r"backbone\.threads: got -1; allowed: 0 to 64"),
        ({"threads": True}, r"backbone\.threads: got True \(bool\)"),
        ({"backbone": ""}, r"backbone\.backbone: got nothing; allowed: name of the frozen backbone"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(BackboneParameters, values, "backbone")


def test_words_outside_the_choices_are_refused() -> None:
    with pytest.raises(ConfigError, match="parameter.robot: got spot; allowed: sim, real"):
        checked(G1CommandParameters, {"session": "x", "mode": "arms_only", "robot": "spot"})
