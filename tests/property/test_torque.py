"""I7: whatever is measured, the motors are never asked for more torque than the variant allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.torque import torque_scale
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS
from oracles import robot
from oracles.makers import measured
from oracles.motion import motor_torque
from oracles.scale import scaled

JOINTS = scaled(5_000_000)
FINITE = st.floats(-1e6, 1e6)


def test_i07_torque_is_bounded_for_five_million_joints() -> None:
    rng = np.random.default_rng(7)
    rows = -(-JOINTS // 29 // 10)
    for _ in range(10):
        shape = (rows, 29)
        wide = 10.0 ** rng.uniform(-3, 6, shape)
        q, measured_q = (
            rng.uniform(-3, 3, shape),
            rng.uniform(-3, 3, shape) * np.where(rng.random(shape) < 0.1, wide, 1),
        )
        dq, measured_dq = rng.uniform(-10, 10, shape), rng.uniform(-40, 40, shape)
        tau = rng.uniform(-50, 50, shape) * (rng.random(shape) < 0.5)
        kp, kd = rng.uniform(0, 300, shape), rng.uniform(0, 10, shape)
        kp[rng.random(shape) < 0.1] = 0.0
        bound = robot.effort(int(rng.choice(robot.KNOWN))) * rng.uniform(0.1, 1.0)
        scale = torque_scale(q, dq, tau, kp, kd, measured_q, measured_dq, bound)
        kp2, kd2, tau2 = kp * scale, kd * scale, tau * scale
        applied = tau2 + kp2 * (q - measured_q) + kd2 * (dq - measured_dq)
        assert (np.abs(applied) <= bound * (1 + 1e-6)).all()
        assert (kp2 >= 0).all() and (kd2 >= 0).all() and (kp2 <= kp).all() and (kd2 <= kd).all()
        wanted = np.abs(tau + kp * (q - measured_q) + kd * (dq - measured_dq))
        assert (scale[wanted <= bound] == 1.0).all(), "what is within the bound is not touched"
        over = wanted > bound
        np.testing.assert_allclose(np.abs(applied)[over], np.broadcast_to(bound, shape)[over], rtol=1e-6)


@settings(max_examples=300, deadline=None)
@given(
    kp=st.floats(0, 400), kd=st.floats(0, 20), q=FINITE, dq=FINITE, measured_q=FINITE, measured_dq=FINITE,
    bound=st.floats(0.1, 139.0),
)  # fmt: skip
def test_i07_one_joint_by_the_vendors_law(
    kp: float, kd: float, q: float, dq: float, measured_q: float, measured_dq: float, bound: float
) -> None:
    one = [np.array([x]) for x in (q, dq, 0.0, kp, kd, measured_q, measured_dq, bound)]
    scale = float(torque_scale(*one)[0])
    assert 0.0 < scale <= 1.0
    torque = motor_torque(kp * scale, kd * scale, 0.0, q, dq, measured_q, measured_dq)
    assert abs(torque) <= bound * (1 + 1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mode_machine", robot.KNOWN)
def test_i07_every_command_of_a_guard_for_any_robot_it_meets(mode: str, mode_machine: int) -> None:
    """The whole guard, with a robot that is anywhere within what counts as plausible, moving as fast as it may."""
    rng = np.random.default_rng(mode_machine)
    config = GuardConfig(period=0.01, simulated=True, arm_seconds=0.2)
    guard = Guard(MODES[mode], config)
    guard.configure(VARIANTS[mode_machine])
    bound = robot.effort(mode_machine) * 0.9
    present = np.ones(29, dtype=bool)
    present[list(robot.absent(mode_machine))] = False
    low, high = robot.LOWER, robot.UPPER
    q = rng.uniform(low, high) * present
    written = 0
    for k in range(400):
        now = k * 0.01
        q = np.clip(q + rng.uniform(-0.3, 0.3, 29), low - 0.25, high + 0.25) * present
        dq = rng.uniform(-9.9, 9.9, 29) * present * (k > 3)
        heat = np.full(29, 35.0 if k < 200 else 80.0)
        state = measured(k, now, q, dq, mode_machine=mode_machine, temperature=heat)
        command = guard.step(state, now)
        if k % 100 == 2:
            if guard.machine.state.value not in ("ARMING", "ACTIVE", "HOLD"):
                guard.request("disarm", now)
            if command.kp.any() is np.False_ and command.weight == 0.0 and guard.machine.state.value == "INACTIVE":
                state = measured(1000 + k, now, q, mode_machine=mode_machine)
                guard.step(state, now + 1e-4)
                guard.request("arm", now + 1e-4)
        if command.writes:
            written += 1
            torque = command.tau + command.kp * (command.q - q) + command.kd * (command.dq - dq)
            derated = bound * (1.0 if k < 200 else 1.0 - 0.5 * (80.0 - 68.0) / 17.0)
            assert (np.abs(torque) <= derated * (1 + 1e-6)).all()
            assert (command.kp >= 0).all() and (command.kd >= 0).all()
            assert not command.kp[~present].any() and not command.kd[~present].any()
    assert written > 20
