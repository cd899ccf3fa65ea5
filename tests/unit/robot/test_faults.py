"""What the motors' fault bits say."""

from __future__ import annotations

from neon_ros.robot.faults import motor_faults


def test_bits_are_named() -> None:
    assert motor_faults(0) == ()
    assert motor_faults(0x1 | 0x200) == ("overcurrent", "winding overheated")
    assert motor_faults(0x80000000) == ("computer lost the motor",)


def test_an_unknown_bit_is_not_lost() -> None:
    assert motor_faults(0x40 | 0x8) == ("undervoltage", "unknown bit 0x40")
