"""A preset is complete, typed and known, or refused."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("yaml")

import yaml

from neon_ros.errors import ConfigError
from neon_ros.learn.presets import load_preset, parse_preset, preset_names
from neon_ros.resources import share


def raw(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(share("config/presets/touch_mlp.yaml").read_text())
    return {**values, **changes}


@pytest.mark.parametrize("name", preset_names())
def test_every_shipped_preset_is_right(name: str) -> None:
    preset = load_preset(name)
    assert preset.head_id
    assert load_preset(share(f"config/presets/{name}.yaml")) == preset


def test_what_is_parsed_is_what_was_written() -> None:
    values = asdict(parse_preset(raw(), "here"))
    for name, value in raw().items():
        assert values[name] == (tuple(value) if isinstance(value, list) else value)


def test_an_unknown_preset_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"preset: got touch_walk; allowed: .*touch_dit.*touch_mlp"):
        load_preset("touch_walk")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.yaml: got No such file"):
        load_preset(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(("text", "message"), [("a: [", "broken YAML"), ("- 1", "got list; allowed: a mapping")])
def test_other_yaml_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_preset(path)


def test_yaml_cannot_make_objects(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("a: !!python/object/apply:os.getcwd []")
    with pytest.raises(ConfigError, match="broken YAML"):
        load_preset(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rat": 1}, r"keys of preset here: got unknown \['learning_rat'\]; allowed: head_id, head"),
        ({"steps": 10.5}, r"here: steps: got 10.5 \(float\); allowed: int"),
        ({"steps": True}, r"here: steps: got True \(bool\)"),
        ({"head_id": 7}, r"here: head_id: got 7 \(int\); allowed: str"),
        ({"betas": 0.9}, r"here: betas: got 0.9"),
        ({"betas": [0.9, 1.0]}, r"preset.betas: got \(0.9, 1.0\)"),
        ({"grid": [8]}, r"preset.grid: got \(8,\); allowed: rows and columns"),
        ({"grid": [8, 1.5]}, r"here: grid: got 1.5"),
        ({"head": "gpt"}, "preset.head: got gpt; allowed: mlp, flow_matching, dit, state_relative, ensemble"),
        ({"without": ["luck"]}, r"preset.without: got \['luck'\]; allowed: relu2, rms_norm"),
        ({"without": "cap"}, r"here: without: got 'cap' \(str\)"),
        ({"freeze": True}, "preset.freeze: got true without start_from"),
        ({"freeze": 1}, r"here: freeze: got 1 \(int\); allowed: bool"),
        ({"solver": "heun"}, "preset.solver: got heun; allowed: , euler, midpoint"),
        ({"committed": -1}, "preset.committed: got -1; allowed: 0 to 255"),
        ({"mode": "legs"}, "mode: got legs"),
        ({"ablation": "deaf"}, "preset.ablation: got deaf; allowed: none, blind, wordless"),
        ({"steps": 0}, "preset.steps: got 0; allowed: 1 to"),
        ({"sentences": 7}, "preset.sentences: got 7; allowed: 1 to 6"),
        ({"clip": float("nan")}, "preset.clip: got nan"),
        ({"validation": 1.0}, r"preset.validation: got 1.0; allowed: 0.0 to 0.9"),
        ({"match_weight": -1}, r"preset.match_weight: got -1.0"),
    ],
)
def test_wrong_values_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_preset(raw(**changes), "here")


def test_a_missing_key_is_named() -> None:
    values = raw()
    del values["ema"]
    with pytest.raises(ConfigError, match=r"keys of preset here: got no \['ema'\]"):
        parse_preset(values, "here")
