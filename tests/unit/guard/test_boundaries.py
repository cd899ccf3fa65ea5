"""On the bound itself: what is allowed up to a value is allowed at it, and not a hair beyond."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from neon_ros.contracts import RobotState
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.health import Health
from neon_ros.guard.machine import Event, Machine, State
from neon_ros.robot.variants import VARIANTS

Maker = Callable[..., RobotState]
T0 = 64.0  # [s] a power of two, so that sums with eighths are exact
EXACT = GuardConfig(simulated=True, following_error=0.25, following_seconds=0.0625, silent_hold=0.015625)
ALL = np.ones(29, dtype=bool)


@pytest.fixture
def health(robot_state: Maker) -> Health:
    """A robot that was heard at T0."""
    made = Health(EXACT, VARIANTS[5])
    assert made.observe(robot_state(T0, tick=1), T0)
    return made


def _error(value: float, joint: int = 20) -> np.ndarray:
    error = np.zeros(29)
    error[joint] = value
    return error


def test_damping_may_come_as_soon_as_hold() -> None:
    assert GuardConfig(silent_hold=0.02, silent_damp=0.02).silent_damp == 0.02


def test_every_transition_is_counted() -> None:
    machine = Machine()
    for event in (Event.CONFIGURE, Event.ARM, Event.ARMED, Event.FAULT):
        machine.handle(event, "", 0.0)
    assert machine.state is State.DAMPING and machine.transitions == 4


def test_a_following_error_of_exactly_the_bound_is_none(health: Health) -> None:
    health.compare(_error(0.25), ALL, T0)
    health.compare(_error(0.25), ALL, T0 + 1.0)
    assert not health.bent
    health.compare(_error(-math.nextafter(0.25, 1.0)), ALL, T0 + 1.0)
    health.compare(_error(-math.nextafter(0.25, 1.0)), ALL, T0 + 2.0)
    assert health.bent


def test_a_following_error_counts_from_exactly_its_time_on(health: Health) -> None:
    health.compare(_error(0.5), ALL, T0)
    health.compare(_error(0.5), ALL, T0 + 0.0625 - 2**-20)
    assert not health.bent
    health.compare(_error(0.5), ALL, T0 + 0.0625)
    assert health.bent


def test_a_following_error_names_its_joint_and_only_held_ones_count(health: Health) -> None:
    error = _error(0.5) + _error(0.75, joint=16)
    for now in (T0, T0 + 0.015):
        health.compare(error, ALL, now)
    health.compare(error, ALL, T0 + 0.0625)
    finding = health.findings(T0)
    assert finding is not None and finding.event is Event.PAUSE and not finding.limp
    assert finding.reason == "left_shoulder_roll_joint is more than 0.25 rad from its command"
    health.compare(error, ALL & False, T0 + 0.0625)
    assert not health.bent


def test_arming_forgets_a_following_error(health: Health) -> None:
    health.compare(_error(0.5), ALL, T0)
    health.compare(_error(0.5), ALL, T0 + 0.0625)
    assert health.bent and health.objection(T0) == "", "what bends is let go when arming begins anew"
    health.forget_following()
    assert not health.bent and health.findings(T0) is None
    health.compare(_error(0.5), ALL, T0 + 0.0625)
    assert not health.bent, "the time begins anew too"


def test_silence_of_exactly_the_bound_is_none(health: Health) -> None:
    assert health.silence(T0 + 0.015625) == 0.015625
    assert health.findings(T0 + 0.015625) is None and health.objection(T0 + 0.015625) == ""
    late = T0 + math.nextafter(0.015625, 1.0) + 2**-30
    finding = health.findings(late)
    assert finding is not None and finding.reason == "LowState silent or stuck for 16 ms" and not finding.limp
    assert health.objection(late) == "cannot arm: LowState: got silent for 0.016 s; allowed: at most 0.015625 s"


def test_an_unhealthy_robot_is_not_armed_and_the_sentence_is_whole(robot_state: Maker) -> None:
    health = Health(GuardConfig(), VARIANTS[5])
    health.observe(robot_state(T0, temperature=np.full(29, 90.0)), T0)
    assert health.objection(T0) == (
        "cannot arm: the robot: got left_hip_pitch_joint casing at 90 deg C; it must stay below 85 deg C; "
        "allowed: a healthy robot"
    )


def test_a_joint_exactly_as_fast_as_arming_allows(robot_state: Maker) -> None:
    health = Health(GuardConfig(), VARIANTS[5])
    dq = np.zeros(29)
    dq[7] = -1.0
    health.observe(robot_state(T0, tick=1, dq=dq), T0)
    assert health.objection(T0) == ""
    dq = dq.copy()
    dq[7] = -1.01
    health.observe(robot_state(T0 + 0.002, tick=2, dq=dq), T0 + 0.002)
    assert health.objection(T0 + 0.002) == (
        "cannot arm: right_hip_roll_joint speed: got 1.01 rad/s; allowed: at most 1 rad/s"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dq": np.full(29, 10.0)}, ""),
        ({"dq": np.full(29, -math.nextafter(10.0, 11.0))}, "a joint speed of 10.0 rad/s"),
        ({"gyroscope": np.array([0.0, -6.0, 0.0])}, ""),
        ({"gyroscope": np.array([0.0, 6.01, 0.0])}, "a turn rate of 6.0 rad/s"),
        ({"quaternion_wxyz": np.array([2.0, 0.0, 0.0, 0.0])}, "a quaternion of length 2.00"),
        ({"q": np.full(29, np.nan)}, "q is not finite"),
        ({"dq": np.zeros(28)}, "dq has shape (28,) instead of (29,) float64"),
        ({"temperature": np.zeros(29, np.float32)}, "temperature has shape (29,) instead of (29,) float64"),
        ({"quaternion_wxyz": np.zeros(3)}, "quaternion has shape (3,) instead of (4,) float64"),
        ({"gyroscope": [0.0, 0.0, 0.0]}, "gyroscope has shape (3,) instead of (3,) float64"),
        ({"q": np.full(29, 3.3)}, "a joint far outside its range"),
    ],
)
def test_what_is_implausible_is_said(robot_state: Maker, changes: dict[str, object], reason: str) -> None:
    health = Health(GuardConfig(), VARIANTS[5])
    assert health.observe(robot_state(T0, **changes), T0) == (not reason)
    assert health.outlier == reason and health.outliers == health.outliers_in_a_row == bool(reason)


def test_a_jump_is_what_no_joint_can_do_in_the_time(robot_state: Maker) -> None:
    health = Health(EXACT, VARIANTS[5])
    health.observe(robot_state(T0, tick=1), T0)
    near, far = np.zeros(29), np.zeros(29)
    near[18], far[18] = -(0.3 + 10.0 * 0.03125 - 1e-9), 0.3 + 10.0 * 0.03125 + 1e-6
    assert not health.observe(robot_state(T0 + 0.03125, tick=2, q=far), T0 + 0.03125)
    assert health.outlier == "a joint that jumped 0.61 rad"
    assert health.observe(robot_state(T0 + 0.03125, tick=3, q=near), T0 + 0.03125)
    for seconds in (0.1, 5.0):  # longer silence allows no more than 100 ms of motion
        health = Health(EXACT, VARIANTS[5])
        health.observe(robot_state(T0, tick=1), T0)
        far[18] = 1.31
        assert not health.observe(robot_state(T0 + seconds, tick=2, q=far), T0 + seconds)


def test_a_robot_that_has_said_nothing_yet_is_silent_and_not_armed() -> None:
    health = Health(GuardConfig(), VARIANTS[5])
    assert health.silence(T0) == math.inf and health.part == 1.0 and not health.bent
    finding = health.findings(T0)
    assert finding is not None and finding.limp and finding.reason == "LowState silent or stuck for 50 ms"
    assert health.objection(T0) == "cannot arm: LowState: got silent for inf s; allowed: at most 0.02 s"


def test_the_first_low_state_counts_whatever_its_tick(robot_state: Maker) -> None:
    for tick in (0, 1, 2**32 - 1):
        health = Health(GuardConfig(), VARIANTS[5])
        assert health.observe(robot_state(T0, tick=tick), T0)
        assert health.findings(T0) is None
        assert not health.observe(robot_state(T0 + 0.002, tick=tick), T0 + 0.002), "the counter is stuck"
