"""Chunks joined into one reference: knots, seams, ends, delays."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neon_ros.errors import ConfigError
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.limiter import Limiter
from neon_ros.guard.limits import MotionLimits
from neon_ros.guard.timeline import Timeline, TimelineConfig

interpolate = pytest.importorskip("scipy.interpolate")

DT, N = 0.002, 3
ROWS = slice(15, 15 + N)


def _limits() -> MotionLimits:
    return MotionLimits(-3 * np.ones(N), 3 * np.ones(N), np.full(N, 4.0), np.full(N, 40.0), np.full(N, 2000.0))


def _chunk(q: np.ndarray, t0: float = 0.0, dt: float = 0.02, **changes: object) -> AdmittedChunk:
    """Return a chunk that moves joints 15 to 17 through ``q`` (H, 3)."""
    full, moved = np.zeros((len(q), 29)), np.zeros(29, dtype=bool)
    full[:, ROWS], moved[ROWS] = q, True
    return replace(AdmittedChunk(t0, dt, full, moved, np.zeros((len(q), 3)), 1, 1), **changes)  # type: ignore[arg-type]


def _join(chunk: AdmittedChunk, now: float = 0.0, state: np.ndarray | None = None) -> Timeline:
    """Return a timeline that follows ``chunk`` from ``now``, starting in ``state`` or on the chunk."""
    timeline = Timeline(_limits())
    timeline.join(chunk, now, *(np.zeros((3, N)) if state is None else state))
    return timeline


def _own(chunk: AdmittedChunk, now: float) -> np.ndarray:
    """Return value and two derivatives of SciPy's not-a-knot spline through the chunk: the oracle."""
    times = chunk.t0 + chunk.dt * np.arange(len(chunk.q))
    spline = interpolate.CubicSpline(times, chunk.q[:, ROWS], bc_type="not-a-knot")
    return np.stack([spline(now, k) for k in range(3)])


@settings(max_examples=60, deadline=None)
@given(
    horizon=st.integers(2, 64),
    dt=st.floats(0.005, 0.5),
    t0=st.floats(-10, 1e6),
    seed=st.integers(0, 2**31),
    where=st.floats(0, 1),
)
def test_is_the_spline_of_scipy_and_meets_every_knot(
    horizon: int, dt: float, t0: float, seed: int, where: float
) -> None:
    q = np.random.default_rng(seed).uniform(-1, 1, (horizon, N))
    chunk = _chunk(q, t0, dt)
    timeline = _join(chunk, t0, _own(chunk, t0))
    for k in range(horizon):
        np.testing.assert_allclose(timeline.sample(t0 + k * dt).reference.derivatives[0], q[k], atol=1e-6)
    now = t0 + where * (horizon - 1) * dt
    scale = np.array([[1.0], [1 / dt], [1 / dt**2]])
    error = np.abs(timeline.sample(now).reference.derivatives[:3] - _own(chunk, now)) / scale
    assert error.max() < 1e-9 + 1e-9 * abs(t0) / dt


def test_residual_of_nothing_changes_nothing() -> None:
    t = 0.02 * np.arange(16)[:, None]
    ramp = np.hstack([t, -t, 0.3 + 0 * t])
    timeline = _join(_chunk(ramp), 0.1, np.array([[0.1, -0.1, 0.3], [1.0, -1.0, 0.0], [0.0, 0.0, 0.0]]))
    for now in np.arange(0.1, 0.3, DT):
        got = timeline.sample(float(now)).reference.derivatives
        np.testing.assert_allclose(got[0], [now, -now, 0.3], atol=1e-12)
        np.testing.assert_allclose(got[1:3], [[1, -1, 0], [0, 0, 0]], atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), now=st.floats(0, 0.29), size=st.floats(0, 1.0))
def test_starts_from_the_present_state_and_stays_smooth(seed: int, now: float, size: float) -> None:
    rng = np.random.default_rng(seed)
    chunk = _chunk(np.cumsum(rng.normal(size=(16, N)) * 0.01, axis=0))
    state = rng.normal(size=(3, N)) * size * np.array([[0.5], [2.0], [20.0]])
    timeline = _join(chunk, now, state)
    np.testing.assert_allclose(timeline.sample(now).reference.derivatives[:3], state, atol=1e-7)
    h = 1e-5
    end = chunk.end + timeline.config.rest
    for t in np.append(rng.uniform(now + h, end + 0.3, 40), [0.3, end]):
        if t - h <= now:
            continue
        before, at, after = (timeline.sample(float(t + k * h)).reference.derivatives for k in (-1, 0, 1))
        for order, tolerance in ((0, 1e-6), (1, 1e-3), (2, 1.0)):
            jump = np.abs(after[order] - 2 * at[order] + before[order]).max()
            assert jump < tolerance, f"derivative {order} jumps at {t}"
        np.testing.assert_allclose(at[1], (after[0] - before[0]) / (2 * h), atol=1e-2)


def test_fade_lasts_as_declared_and_longer_for_large_residuals() -> None:
    chunk = _chunk(np.full((32, N), 0.2))
    small = _join(chunk, 0.0, np.stack([np.full(N, 0.2005), np.zeros(N), np.zeros(N)]))
    assert np.abs(small.sample(0.07).reference.derivatives[0] - 0.2).max() > 0
    np.testing.assert_array_equal(small.sample(0.0801).reference.derivatives[0], np.full(N, 0.2))
    large = _join(chunk, 0.0, np.stack([np.full(N, 0.7), np.zeros(N), np.zeros(N)]))
    peaks = np.max([np.abs(large.sample(float(t)).reference.derivatives) for t in np.arange(0, 0.6, DT)], axis=0)
    assert 12 < peaks[2].max() <= 24.0  # 0.6 of 40 rad/s^2
    assert peaks[3].max() <= 1200.0
    np.testing.assert_array_equal(large.sample(0.6).reference.derivatives[0], np.full(N, 0.2))


def test_longest_fade_bounds_every_fade() -> None:
    timeline = _join(_chunk(np.zeros((64, N))), 0.0, np.stack([np.full(N, 2.9), np.full(N, 4.0), np.zeros(N)]))
    np.testing.assert_array_equal(timeline.sample(0.5).reference.derivatives[0], np.zeros(N))


def test_after_the_last_step_slows_to_rest_and_stays() -> None:
    t = 0.02 * np.arange(16)[:, None]
    timeline = _join(_chunk(2.0 * np.hstack([t, t, t])), 0.0, np.array([[0.0] * N, [2.0] * N, [0.0] * N]))
    assert timeline.sample(0.3).remaining == pytest.approx(0.0)
    speeds = [timeline.sample(float(x)).reference.derivatives[1, 0] for x in np.arange(0.3, 0.5, DT)]
    assert np.all(np.diff(speeds) <= 0) and speeds[0] == pytest.approx(2.0)
    final = timeline.sample(0.51).reference.derivatives
    np.testing.assert_allclose(final[0], 0.6 + 2.0 * 0.2 / 2, atol=1e-9)
    np.testing.assert_array_equal(final[1:], np.zeros((3, N)))
    np.testing.assert_array_equal(timeline.sample(1e9).reference.derivatives, final)


def test_base_velocity_is_linear_between_steps_and_zero_after() -> None:
    base = np.zeros((16, 3))
    base[:, 0] = np.arange(16) * 0.01
    timeline = _join(_chunk(np.zeros((16, N)), base_velocity=base))
    np.testing.assert_allclose(timeline.sample(0.05).base_velocity, [0.025, 0, 0])
    np.testing.assert_allclose(timeline.sample(0.2999).base_velocity, [0.14995, 0, 0], atol=1e-9)
    np.testing.assert_array_equal(timeline.sample(0.3).base_velocity, np.zeros(3))


def test_without_a_chunk_nothing_remains() -> None:
    sample = Timeline(_limits()).sample(1.0)
    assert sample.remaining == -math.inf
    assert not sample.reference.derivatives.any() and not sample.base_velocity.any()


@pytest.mark.parametrize("delay", range(7))
def test_ramp_of_unit_speed_survives_any_delay(delay: int) -> None:
    """Perfect predictions of q = t that arrive 0 to 6 steps late: no executed step over 1.05 times the nominal."""
    limits = _limits()
    timeline, limiter = Timeline(limits), Limiter(limits, DT)
    limiter.start(np.zeros(N))
    path = []
    for k in range(1200):
        now = k * DT
        if k % 50 == 1:
            capture = now - DT - delay * 0.02
            t = capture + 0.02 * np.arange(16)[:, None]
            timeline.join(_chunk(np.hstack([t, t, t]), capture), now - DT, *limiter.state)
            limiter.meet()
        limiter.step(timeline.sample(now).reference)
        if k > 400:
            path.append(limiter.state[0].copy())
            assert not limiter.reasons.any()
    steps = np.diff(np.array(path)[::10], axis=0)  # one policy step apart
    assert steps.max() <= 1.05 * 0.02 and steps.min() >= 0.95 * 0.02


def test_seam_is_far_gentler_than_a_naive_switch() -> None:
    """A new chunk 0.05 rad away: peak acceleration and jerk against jumping to it (P12: at least 20 times lower)."""
    t = 0.02 * np.arange(16)[:, None]
    old, new = np.hstack([t, t, t]), np.hstack([t, t, t]) + 0.05
    limits = _limits()
    timeline, limiter = Timeline(limits), Limiter(limits, DT)
    limiter.start(np.zeros(N))
    limiter.state = np.array([[0.0] * N, [1.0] * N, [0.0] * N])
    timeline.join(_chunk(old), 0.0, *limiter.state)
    limiter.meet()
    ours, naive = [], []
    for k in range(1, 130):
        now = k * DT
        if k == 50:
            timeline.join(_chunk(new), now - DT, *limiter.state)
            limiter.meet()
        limiter.step(timeline.sample(now).reference)
        ours.append(limiter.state[0, 0])
        naive.append(now + (0.05 if k >= 50 else 0.0))
    for order, bound in ((2, 40.0), (3, 2000.0)):
        peak, jump = (np.abs(np.diff(x, n=order)).max() / DT**order for x in (ours, naive))
        assert peak <= bound * (1 + 1e-6)
        assert jump >= 100 * peak


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fade": 0.0}, r"timeline\.fade: got 0\.0; allowed: 0\.02 to 0\.2"),
        ({"fade": math.nan}, r"timeline\.fade: got nan"),
        ({"longest_fade": 2.0}, r"timeline\.longest_fade: got 2\.0; allowed: 0\.02 to 1"),
        ({"fade": 0.2, "longest_fade": 0.1}, r"timeline\.longest_fade: got 0\.1; allowed: at least fade, 0\.2 s"),
        ({"share": 1.0}, r"timeline\.share: got 1\.0"),
        ({"rest": 0.0}, r"timeline\.rest: got 0\.0"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TimelineConfig(**changes)
