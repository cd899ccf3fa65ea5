"""``neon status``: the motor's report in words."""

from __future__ import annotations

import time

from neon_ros.cli.status import motor_lines
from neon_ros.motor.records import MotorReport


def test_a_motor_without_a_report() -> None:
    assert motor_lines(None, 7, 0.002) == ["motor     process 7, last beat 2 ms ago", "state     no report yet"]


def test_a_quiet_motor() -> None:
    lines = motor_lines(MotorReport(steady_ns=time.monotonic_ns(), state="INACTIVE", mode="arms_only"), 7, 0.002)
    text = "\n".join(lines)
    assert "alarms    0" in lines and "clearance not checked" in lines
    assert "battery not known" in text and "no chunk" in text
    assert lines[-1] == "limits    0 joint-periods held back since the start"


def test_a_busy_motor_says_joint_reason_clearance_and_alarm() -> None:
    report = MotorReport(
        steady_ns=time.monotonic_ns(),
        state="DAMPING",
        reason="battery: got 12 %; allowed: at least 20 %",
        mode="upper_body",
        mode_machine=5,
        limited_joints=("left_elbow_joint",),
        limited_reasons=("velocity",),
        limit_count=15,
        counts=(
            ("waist_yaw_joint", "jerk", 2),
            ("left_elbow_joint", "velocity", 10),
            ("left_elbow_joint", "torque", 3),
        ),
        clearance=0.034,
        alarms=2,
        last_alarm="battery: got 12 %; allowed: at least 20 %",
        charge=12.0,
    )
    lines = motor_lines(report, 7, 0.002)
    assert "alarms    2, the last: battery: got 12 %; allowed: at least 20 %" in lines
    assert "clearance 0.034 m between links" in lines
    assert "limits    15 joint-periods held back since the start" in lines
    assert [line.split(maxsplit=1) for line in lines[-2:]] == [
        ["left_elbow_joint", "velocity 10*, torque 3"],
        ["waist_yaw_joint", "jerk 2"],
    ]
    assert any("battery 12 %" in line for line in lines if line.startswith("robot"))
