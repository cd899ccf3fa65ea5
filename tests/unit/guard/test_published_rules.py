"""The published limiter rules as oracles: the table of the benchmark holds, and ours breaks nothing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "limiters.py"


@pytest.fixture(scope="module")
def limiters() -> ModuleType:
    """The benchmark as a module."""
    if not BENCHMARK.exists():
        pytest.skip("benchmarks are not part of this installation")
    spec = importlib.util.spec_from_file_location("limiters_benchmark", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_table_of_published_rules(limiters: ModuleType) -> None:
    rows = {name: limiters.judge(name, 128, 1000, seed=3) for name in limiters.RULES}
    saturation, clip, franka, otg, ours = rows.values()
    for row in (ours, otg):
        assert (row.position, row.velocity, row.acceleration, row.jerk) == (0, 0, 0, 0)
    assert saturation.position == saturation.velocity == 0
    assert saturation.acceleration > 5 and saturation.worst_acceleration > 90 and saturation.worst_jerk > 1500
    assert clip.position > 5 and clip.acceleration > 15 and clip.worst_acceleration > 90 and clip.worst_jerk > 1500
    assert franka.position > 10 and franka.worst_position > 0.8
    assert franka.velocity == franka.acceleration == franka.jerk == 0
    text = limiters.table(list(rows.values()))
    assert text.count("\n") == 6 and "neon_ros guard | 0.0 %" in text


def test_every_rule_gets_the_same_targets(limiters: ModuleType) -> None:
    first, second = (np.array(list(limiters.targets(16, 50, seed=1))) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first).max() > 1.2


def test_prints_the_table_and_succeeds(
    limiters: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["limiters.py", "--channels", "16", "--cycles", "100"])
    assert limiters.main() == 0
    assert "xr_teleoperate clip" in capsys.readouterr().out
