"""The torque law of the motors."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.errors import ContractError
from neon_ros.robot.joints import NUM_JOINTS
from neon_ros.sim.motors import Drive

N = NUM_JOINTS
BIG = np.full(N, 1e9)


def test_the_law_is_the_wire_s() -> None:
    rng = np.random.default_rng(0)
    q, dq, target, speed, tau, kp, kd = rng.normal(size=(7, N))
    got = Drive.towards(target, kp, kd, speed, tau).torque(q, dq, BIG)
    np.testing.assert_allclose(got, tau + kp * (target - q) + kd * (speed - dq), atol=1e-12)


def test_torque_is_cut_to_what_the_motor_gives() -> None:
    effort = np.linspace(1.0, 5.0, N)
    got = Drive.towards(np.full(N, 9.0), np.full(N, 100.0), np.zeros(N)).torque(np.zeros(N), np.zeros(N), effort)
    np.testing.assert_array_equal(got, effort)
    got = Drive.towards(np.full(N, -9.0), np.full(N, 100.0), np.zeros(N)).torque(np.zeros(N), np.zeros(N), effort)
    np.testing.assert_array_equal(got, -effort)


def test_blending_drives_blends_their_torques() -> None:
    rng = np.random.default_rng(1)
    one, two = (Drive.towards(*np.abs(rng.normal(size=(3, N)))) for _ in range(2))
    q, dq, weight = rng.normal(size=N), rng.normal(size=N), rng.uniform(size=N)
    want = (1 - weight) * one.torque(q, dq, BIG) + weight * two.torque(q, dq, BIG)
    np.testing.assert_allclose(one.blend(two, weight).torque(q, dq, BIG), want, atol=1e-12)


def test_damping_only_brakes() -> None:
    dq = np.linspace(-3, 3, N)
    got = Drive.damping(8.0).torque(np.full(N, 2.0), dq, BIG)
    np.testing.assert_allclose(got, -8.0 * dq)


@pytest.mark.parametrize("row", range(3))
def test_a_drive_that_is_not_finite_is_refused(row: int) -> None:
    values = np.zeros((3, N))
    values[row, 4] = np.nan
    with pytest.raises(
        ContractError, match=f"motor {Drive._fields[row]}: got nan at left_ankle_pitch_joint; allowed: finite numbers"
    ):
        Drive(*values).checked()
