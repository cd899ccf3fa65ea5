"""The motor benchmark's own arithmetic: ratios, refusals, seams, starvation, and how an answer is recognised."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def motor() -> Iterator[ModuleType]:
    """Yield ``benchmarks/motor.py``, imported as its own command imports it."""
    if not BENCHMARKS.is_dir():
        pytest.skip("benchmarks are not part of this installation")
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("motor")
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in ("motor", "motor_guard", "motor_peers"):
            sys.modules.pop(name, None)


def test_ratio_is_the_median_of_pairs_and_refused_when_the_baseline_drifts(motor: ModuleType) -> None:
    figure = motor.ratio_figure("x", [100, 110, 100], [120, 121, 200], 1.3, "us", [50, 52, 51])
    assert figure.ratio == "1.20x (worst 2.00x)" and figure.met
    assert not motor.ratio_figure("x", [100, 100], [140, 150], 1.3, "us", [50, 50]).met
    drifted = motor.ratio_figure("x", [100, 100], [100, 100], 1.3, "us", [50, 70])
    assert drifted.met is None and drifted.ratio.startswith("refused: baseline p50 drifted 33 %")
    assert motor.table([figure, drifted]).splitlines()[2] == (
        "| x | 100.0 us (worst 110.0) | 121.0 us (worst 200.0) | 1.20x (worst 2.00x) | <= 1.3x | yes |"
    )


def test_bound_and_period_errors(motor: ModuleType) -> None:
    assert motor.bound_figure("x", [10.0, 30.0, 20.0], 20.0, "us", "-").met
    assert not motor.bound_figure("x", [21.0], 20.0, "us", "-").met
    np.testing.assert_allclose(motor.period_errors(np.array([0, 2_000_000, 4_100_000])), [0.0, 100.0])


def test_seams_stay_inside_the_limits_and_far_below_a_naive_switch(motor: ModuleType) -> None:
    seam = motor.motor_guard.seam(0.02, seed=1)
    assert min(seam.acceleration, seam.jerk) >= 20.0
    assert max(seam.of_acceleration_limit, seam.of_jerk_limit) <= 1.0 + 1e-4


@pytest.mark.parametrize(
    ("delay", "overlapping", "starves"), [(0.24, True, False), (0.30, True, True), (0.24, False, True)]
)
def test_slow_inference_starves_only_beyond_the_horizon(
    motor: ModuleType, delay: float, overlapping: bool, starves: bool
) -> None:
    assert bool(motor.motor_guard.starved(delay, overlapping, seconds=1.5)) == starves


def test_ticks_of_a_hostile_policy_are_limited_and_of_a_gentle_one_are_not(motor: ModuleType) -> None:
    guard = motor.motor_guard
    assert guard.ticks("upper_body", guard.gentle, 200, 0).limited == 0.0
    assert guard.ticks("upper_body", guard.hostile, 200, 0).limited > 0.9


def test_an_answer_is_recognised_by_its_gains(motor: ModuleType) -> None:
    pytest.importorskip("cyclonedds")
    peers = importlib.import_module("motor_peers")
    from dataclasses import replace

    rig, tags = motor.motor_guard.Rig(peers.MODE), peers.Tags()
    state = rig.state()
    for tag in peers.TAGS:
        dq = state.dq.copy()
        dq[peers.JOINT] = tag
        rig.tick, rig.now = rig.tick + 1, rig.now + 0.002
        state = replace(state, steady_ns=round(rig.now * 1e9), tick=rig.tick, dq=dq)
        command = rig.guard.step(state, rig.now)
        q = float(state.q[peers.JOINT])
        assert [speed for speed in (0.0, *peers.TAGS) if tags.answers(command, q, speed)] == [tag]
