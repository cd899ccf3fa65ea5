"""What the fault bits of a motor mean.

Source: the vendor's motor error table, as collected from its copies; see ``motorstate`` in ``unitree_hg``.
"""

from __future__ import annotations

MOTOR_FAULTS: dict[int, str] = {
    0x1: "overcurrent",
    0x2: "overvoltage",
    0x4: "overvoltage",
    0x8: "undervoltage",
    0x10: "chip overheated",
    0x20: "MOSFET fault",
    0x80: "case overheated",
    0x200: "winding overheated",
    0x400: "rotor encoder fault",
    0x800: "rotor encoder fault",
    0x1000: "output encoder fault",
    0x4000: "motor was reset",
    0x8000: "motor locked",
    0x40000000: "motor lost its connection to the computer",
    0x80000000: "computer lost the motor",
}
"""Bits of ``motorstate``, from the vendor's motor error table."""


def motor_faults(motorstate: int) -> tuple[str, ...]:
    """Return what the fault bits of one motor say; unknown bits are named by number."""
    bits = [1 << i for i in range(32) if motorstate >> i & 1]
    return tuple(MOTOR_FAULTS.get(bit, f"unknown bit {bit:#x}") for bit in bits)
