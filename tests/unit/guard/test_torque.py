"""I7: the torque asked for stays within its bound, by the gains and never by the position."""

from __future__ import annotations

import numpy as np

from neon_ros.guard.torque import asked_torque, torque_scale


def test_torque_is_bounded_for_any_state() -> None:
    rng = np.random.default_rng(0)
    shape = (200_000, 29)
    q, measured_q = rng.uniform(-3, 3, shape), rng.uniform(-3, 3, shape)
    dq, measured_dq = rng.uniform(-10, 10, shape), rng.uniform(-40, 40, shape)
    tau, kp, kd = rng.uniform(-50, 50, shape), rng.uniform(0, 300, shape), rng.uniform(0, 10, shape)
    bound = rng.uniform(4, 140, 29)
    scale = torque_scale(q, dq, tau, kp, kd, measured_q, measured_dq, bound)
    assert (scale > 0).all() and (scale <= 1).all()
    after = scale * kp * (q - measured_q) + scale * kd * (dq - measured_dq) + scale * tau
    assert (np.abs(after) <= bound * (1 + 1e-12)).all()
    asked = np.abs(asked_torque(q, dq, tau, kp, kd, measured_q, measured_dq))
    np.testing.assert_array_equal(scale[asked <= bound], 1.0)
    assert (scale[asked > bound] < 1.0).all()


def test_full_torque_is_used_where_it_was_exceeded() -> None:
    one = np.ones(1)
    scale = torque_scale(one, 0 * one, 0 * one, 60 * one, 0 * one, 0 * one, 0 * one, 15 * one)
    np.testing.assert_allclose(scale, 0.25)
