"""What the guard makes of measurements: F15 to F19, F21, F38 of the safety card."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neon_ros.contracts import RobotState
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.health import Health
from neon_ros.guard.machine import Event
from neon_ros.robot.variants import VARIANTS

Maker = Callable[..., RobotState]


def _with(index: int, value: float, size: int = 29, start: float = 0.0) -> np.ndarray:
    vector = np.full(size, start)
    vector[index] = value
    return vector


def _seen(robot_state: Maker, **changes: object) -> Health:
    """Return a health that has seen a healthy robot at 1.000 s and a changed one at 1.002 s."""
    health = Health(GuardConfig(), VARIANTS[5])
    assert health.observe(robot_state(1.0), 1.0)
    health.observe(robot_state(1.002, **changes), 1.002)
    return health


def test_a_healthy_robot_raises_no_finding(robot_state: Maker) -> None:
    health = _seen(robot_state)
    assert health.findings(1.002) is None and health.objection(1.002) == "" and health.outliers == 0


BAD: dict[str, tuple[dict[str, object], str]] = {
    "nan": ({"q": _with(20, np.nan)}, "q is not finite"),
    "inf": ({"dq": _with(20, np.inf)}, "dq is not finite"),
    "shape": ({"q": np.zeros(23)}, r"q has shape (23,) instead of (29,) float64"),
    "dtype": ({"q": np.zeros(29, np.float32)}, r"q has shape (29,) instead of (29,) float64"),
    "list": ({"q": [0.0] * 29}, r"q has shape (29,) instead"),
    "gyro nan": ({"gyroscope": _with(0, np.nan, 3)}, "gyroscope is not finite"),
    "hot nan": ({"temperature": _with(0, np.nan)}, "temperature is not finite"),
    "winding nan": ({"winding": _with(0, np.nan)}, "winding is not finite"),
    "fast": ({"dq": _with(20, -10.5)}, "a joint speed of 10.5 rad/s"),
    "spinning": ({"gyroscope": _with(2, 6.5, 3)}, "a turn rate of 6.5 rad/s"),
    "quaternion": ({"quaternion_wxyz": np.zeros(4)}, "a quaternion of length 0.00"),
    "range": ({"q": _with(18, 2.5)}, "a joint far outside its range"),
    "jump": ({"q": _with(15, -0.5)}, "a joint that jumped 0.50 rad"),
}


@pytest.mark.parametrize("case", BAD)
def test_one_outlier_is_ignored_three_in_a_row_are_a_fault(case: str, robot_state: Maker) -> None:
    changes, words = BAD[case]
    health = _seen(robot_state, **changes)
    good = health.state
    assert health.outliers == 1 and words in health.outlier
    assert health.findings(1.002) is None and good is not None and good.steady_ns == 1_000_000_000
    health.observe(robot_state(1.004, **changes), 1.004)
    assert health.findings(1.004) is None
    health.observe(robot_state(1.006, **changes), 1.006)
    finding = health.findings(1.006)
    assert finding is not None and finding.event is Event.FAULT and finding.limp
    assert "3 implausible LowStates" in finding.reason and words in finding.reason


def test_two_outliers_and_a_good_one_are_forgiven(robot_state: Maker) -> None:
    health = _seen(robot_state, q=_with(15, 1.0))
    health.observe(robot_state(1.004, q=_with(15, 1.0)), 1.004)
    assert health.observe(robot_state(1.006), 1.006)
    assert health.outliers_in_a_row == 0 and health.findings(1.006) is None


def test_many_moderate_joints_are_no_outlier(robot_state: Maker) -> None:
    """The quick test sums squares; it must not take many small values for a large one."""
    health = _seen(robot_state, dq=np.full(29, 9.0), q=np.full(29, 0.25) * VARIANTS[5].limits().upper / 3.0)
    assert health.outliers == 0 and health.state is not None and health.state.dq[0] == 9.0


def test_absent_joints_may_say_anything_finite(robot_state: Maker) -> None:
    health = Health(GuardConfig(), VARIANTS[6])
    strange = {"q": _with(13, 9.0), "dq": _with(14, 99.0), "mode_machine": 6}
    assert health.observe(robot_state(1.0, **strange), 1.0)
    assert health.observe(robot_state(1.002, **{**strange, "q": _with(13, -9.0)}), 1.002)
    assert health.objection(1.002) == ""


@pytest.mark.parametrize(
    ("silence", "event", "words"),
    [
        (0.0195, None, ""),
        (0.0205, Event.PAUSE, "20 ms"),
        (0.0495, Event.PAUSE, "20 ms"),
        (0.0505, Event.FAULT, "50 ms"),
    ],
)
@pytest.mark.parametrize("how", ["none", "same", "stuck tick"])
def test_silence_and_a_stuck_counter(
    silence: float, event: Event | None, words: str, how: str, robot_state: Maker
) -> None:
    health = Health(GuardConfig(), VARIANTS[5])
    first = robot_state(1.0)
    health.observe(first, 1.0)
    now = 1.0 + silence
    given = {"none": None, "same": first, "stuck tick": robot_state(now, tick=first.tick)}[how]
    assert not health.observe(given, now)
    finding = health.findings(now)
    assert (finding and finding.event) is event
    assert finding is None or words in finding.reason
    if event is Event.FAULT:
        assert finding is not None and finding.limp
        assert "LowState: got silent for 0.05" in health.objection(now)


def test_a_stamp_from_the_future_buys_no_time(robot_state: Maker) -> None:
    health = Health(GuardConfig(), VARIANTS[5])
    health.observe(robot_state(99.0), 1.0)
    finding = health.findings(1.06)
    assert finding is not None and finding.event is Event.FAULT


@pytest.mark.parametrize(("angle", "falls"), [(0.99, False), (1.01, True), (3.1, True)])
@pytest.mark.parametrize("axis", [1, 2])
def test_tilt(angle: float, falls: bool, axis: int, robot_state: Maker) -> None:
    quaternion = np.zeros(4)
    quaternion[0], quaternion[axis] = np.cos(angle / 2), np.sin(angle / 2)
    health = _seen(robot_state, quaternion_wxyz=quaternion)
    assert health.tilt == pytest.approx(angle)
    finding = health.findings(1.002)
    assert (finding is not None) is falls
    if finding is not None:
        assert finding.event is Event.FAULT and finding.limp
        assert finding.reason == f"tilt {angle:.2f} rad exceeds 1 rad"


def test_turning_about_the_vertical_is_no_tilt(robot_state: Maker) -> None:
    assert _seen(robot_state, quaternion_wxyz=np.array([0.0, 0.0, 0.0, 1.0])).tilt == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("what", "cool", "warm", "hot", "sentence"),
    [
        ("temperature", 68.0, 76.5, 85.0, "left_elbow_joint casing at 85 deg C; it must stay below 85 deg C"),
        ("winding", 96.0, 108.0, 120.0, "left_elbow_joint winding at 120 deg C; it must stay below 120 deg C"),
    ],
)
def test_heat_derates_and_then_faults(
    what: str, cool: float, warm: float, hot: float, sentence: str, robot_state: Maker
) -> None:
    health = _seen(robot_state, **{what: _with(18, cool, start=30.0)})
    assert health.part == 1.0 and health.findings(1.002) is None
    health = _seen(robot_state, **{what: _with(18, warm, start=30.0)})
    part = health.part
    assert isinstance(part, np.ndarray) and part[18] == pytest.approx(0.75) and part[17] == 1.0
    assert health.hottest == warm and health.findings(1.002) is None
    health = _seen(robot_state, **{what: _with(18, hot, start=30.0)})
    part = health.part
    assert isinstance(part, np.ndarray) and part[18] == pytest.approx(0.5)
    finding = health.findings(1.002)
    assert finding is not None and finding.event is Event.FAULT and not finding.limp
    assert finding.reason == sentence and sentence in health.objection(1.002)


def test_a_motor_that_cools_is_itself_again(robot_state: Maker) -> None:
    health = _seen(robot_state, winding=_with(18, 119.0, start=30.0))
    assert isinstance(health.part, np.ndarray)
    health.observe(robot_state(1.004), 1.004)
    assert health.part == 1.0 and health.findings(1.004) is None


def test_a_hot_casing_does_not_excuse_a_hotter_winding(robot_state: Maker) -> None:
    health = _seen(robot_state, temperature=_with(3, 80.0, start=30.0), winding=_with(18, 125.0, start=30.0))
    finding = health.findings(1.002)
    assert finding is not None and "left_elbow_joint winding at 125 deg C" in finding.reason


def test_joints_that_are_absent_are_never_hot(robot_state: Maker) -> None:
    health = Health(GuardConfig(), VARIANTS[6])
    assert health.observe(robot_state(1.0, mode_machine=6, winding=_with(13, 900.0)), 1.0)
    assert health.part == 1.0 and health.findings(1.0) is None


def test_trouble_that_the_caller_sees_holds_and_forbids_arming(robot_state: Maker) -> None:
    health = _seen(robot_state)
    health.trouble = "battery: got 12 %; allowed: at least 20 %"
    finding = health.findings(1.002)
    assert finding is not None and (finding.event, finding.reason) == (Event.PAUSE, health.trouble)
    assert "battery: got 12 %" in health.objection(1.002)
    health.trouble = ""
    assert health.findings(1.002) is None and health.objection(1.002) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mode_machine": 6}, "mode_machine changed from 5 to 6"),
        ({"mode_machine": 0}, "mode_machine changed from 5 to 0"),
        ({"mode_pr": 1}, "mode_pr is 1; only 0 (pitch/roll) is allowed"),
    ],
)
def test_another_robot_than_configured_is_lost(changes: dict[str, object], words: str, robot_state: Maker) -> None:
    health = _seen(robot_state, **changes)
    finding = health.findings(1.002)
    assert finding is not None and (finding.event, finding.reason) == (Event.LOST, words)
    assert words in health.objection(1.002)
    health.observe(robot_state(1.004), 1.004)
    assert health.findings(1.004) is None


def test_following_error_must_last(robot_state: Maker) -> None:
    health = _seen(robot_state)
    held = np.ones(29, dtype=bool)
    bent = _with(18, 0.31)
    health.compare(bent, held, 1.0)
    health.compare(bent, held, 1.099)
    assert health.findings(1.002) is None
    health.compare(bent, held, 1.1)
    finding = health.findings(1.002)
    assert finding is not None and finding.event is Event.PAUSE
    assert finding.reason == "left_elbow_joint is more than 0.3 rad from its command"
    health.compare(_with(18, 0.29), held, 1.2)
    assert health.findings(1.002) is None
    health.compare(bent, ~held, 1.3)
    health.compare(bent, ~held, 1.5)
    assert health.findings(1.002) is None


def test_fast_joints_forbid_arming(robot_state: Maker) -> None:
    health = _seen(robot_state, dq=_with(18, 1.5))
    assert health.objection(1.002) == "cannot arm: left_elbow_joint speed: got 1.50 rad/s; allowed: at most 1 rad/s"
