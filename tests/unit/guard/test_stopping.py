"""The quickest stop against two oracles: Ruckig's velocity control, and the stop flown in small steps."""

from __future__ import annotations

import numpy as np
import pytest
import ruckig

from neon_ros.guard.stopping import coasting_velocity, plan_stop, stop_extent, stop_reach, stop_step


def _random_states(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    """Return v, a, acceleration limit and jerk limit of ``n`` joints, with the special cases among them."""
    limit_a, limit_j = rng.uniform(5, 120, n), rng.uniform(200, 9000, n)
    v, a = rng.uniform(-8, 8, n), rng.uniform(-1, 1, n) * limit_a
    v[: n // 8] = 0.0
    a[n // 8 : n // 4] = 0.0
    a[n // 4 : 3 * n // 8] = limit_a[n // 4 : 3 * n // 8]
    v[3 * n // 8 : n // 2] = (-a * np.abs(a) / (2 * limit_j))[3 * n // 8 : n // 2]  # coasts exactly to rest
    return v, a, limit_a, limit_j


def _ruckig_stop(v: float, a: float, limit_a: float, limit_j: float) -> ruckig.Trajectory:
    """Return Ruckig's time-optimal way from (0, v, a) to zero velocity."""
    otg, wanted, trajectory = ruckig.Ruckig(1), ruckig.InputParameter(1), ruckig.Trajectory(1)
    wanted.control_interface = ruckig.ControlInterface.Velocity
    wanted.current_position, wanted.current_velocity, wanted.current_acceleration = [0.0], [v], [a]
    wanted.target_velocity, wanted.target_acceleration = [0.0], [0.0]
    wanted.max_velocity, wanted.max_acceleration, wanted.max_jerk = [1e3], [limit_a], [limit_j]
    assert otg.calculate(wanted, trajectory) in (ruckig.Result.Working, ruckig.Result.Finished)
    return trajectory


def test_agrees_with_ruckig_on_duration_path_and_extent() -> None:
    n = 240
    v, a, limit_a, limit_j = _random_states(np.random.default_rng(1), n)
    stop = plan_stop(v, a, limit_a, limit_j)
    low, high = stop_extent(np.zeros(n), v, a, limit_a, limit_j)
    for i in range(n):
        trajectory = _ruckig_stop(v[i], a[i], limit_a[i], limit_j[i])
        np.testing.assert_allclose(stop.t1[i] + stop.t2[i] + stop.t3[i], trajectory.duration, atol=1e-9)
        times = np.linspace(0, trajectory.duration, 300)
        path = np.array([trajectory.at_time(t)[0][0] for t in times])
        assert low[i] <= path.min() + 1e-9 and high[i] >= path.max() - 1e-9
        np.testing.assert_allclose([low[i], high[i]], [path.min(), path.max()], atol=1e-3 * (high[i] - low[i]) + 1e-9)
        for dt in (0.0005, 0.002, 0.03):
            want = [part[0] for part in trajectory.at_time(min(dt, trajectory.duration))]
            got = stop_step(*(np.array([x[i]]) for x in (np.zeros(n), v, a, limit_a, limit_j)), dt)
            np.testing.assert_allclose([x[0] for x in got], want, atol=2e-8)


@pytest.mark.parametrize("dt", [0.0007, 0.002, 0.01])
def test_flown_stop_comes_to_rest_within_its_limits_and_extent(dt: float) -> None:
    n = 400
    v, a, limit_a, limit_j = _random_states(np.random.default_rng(2), n)
    state = np.zeros(n), v, a
    low, high = stop_extent(*state, limit_a, limit_j)
    reach = stop_reach(v, a, limit_a, limit_j)
    assert (-reach <= low + 1e-9).all() and (high <= reach + 1e-9).all()
    speed = np.abs(v) + a * a / (2.0 * limit_j)
    bound = speed * (np.abs(a) / limit_j + speed / limit_a + 2.0 * np.sqrt(speed / limit_j))
    np.testing.assert_allclose(reach, bound, rtol=1e-12)
    for _ in range(round(8.0 / dt)):
        after = stop_step(*state, limit_a, limit_j, dt)
        assert (np.abs(after[2]) <= limit_a * (1 + 1e-9)).all()
        assert (np.abs(after[2] - state[2]) <= limit_j * dt * (1 + 1e-9) + 1e-9).all()
        assert (after[0] >= low - 1e-8).all() and (after[0] <= high + 1e-8).all()
        state = after
        if not state[1].any() and not state[2].any():
            break
    else:
        raise AssertionError("never at rest")
    np.testing.assert_array_equal(stop_step(*state, limit_a, limit_j, dt)[0], state[0])


def test_coasting_velocity_is_what_remains_without_acceleration() -> None:
    v = coasting_velocity(np.array([1.0, 1.0]), np.array([20.0, -20.0]), np.array([1000.0, 1000.0]))
    np.testing.assert_allclose(v, [1.2, 0.8])


def test_stays_within_exactly_what_its_extent_says() -> None:
    n = 400
    v, a, limit_a, limit_j = _random_states(np.random.default_rng(6), n)
    q = np.random.default_rng(7).uniform(-1.0, 1.0, n)
    low, high = stop_extent(q, v, a, limit_a, limit_j)
    stop = plan_stop(v, a, limit_a, limit_j)
    farthest = np.maximum(np.abs(low), np.abs(high))
    for share in (0.999, 1.001):
        half = farthest * share
        wanted = (low >= -half) & (high <= half)
        np.testing.assert_array_equal(stop.stays_within(q, half, limit_j), wanted)
    assert stop.stays_within(q, farthest * 1.001, limit_j).all()
    assert not stop.stays_within(q, farthest * 0.999, limit_j).any()
    rest = plan_stop(*np.zeros((2, 2)), np.full(2, 50.0), np.full(2, 2000.0))
    assert rest.stays_within(np.array([0.5, -0.5]), np.full(2, 0.5), np.full(2, 2000.0)).all(), "an edge is inside"


def test_a_stop_never_leads_back_of_its_start_by_nothing() -> None:
    stop = plan_stop(np.array([2.0]), np.array([0.0]), np.array([50.0]), np.array([2000.0]))
    low, high = stop.extent(np.array([2000.0]))
    assert low[0] == 0.0 and high[0] > 0.0


def test_bits_of_a_stop_at_rest_are_those_of_zero() -> None:
    after = plan_stop(np.array([-0.0]), np.array([-0.0]), np.array([50.0]), np.array([2000.0])).after(
        0.002, np.array([2000.0])
    )
    assert not np.signbit(after).any()
