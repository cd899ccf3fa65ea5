"""Prove, on this machine and now, that frames are made as the robot reads them: CRC and layout against golden bytes."""

from __future__ import annotations

import numpy as np

from neon_ros.errors import refuse
from neon_ros.robot.gains import DAMPING_KD
from neon_ros.robot.joints import NUM_JOINTS
from neon_ros.robot.layout import LOW_CMD_LAYOUT, LOW_STATE_LAYOUT, Layout, crc_of
from neon_ros.robot.wire import LowCmdFrame, LowStateFrame

GOLDEN_LOW_CMD = 0xC016FD44
"""CRC of :func:`golden_low_cmd`, computed bit by bit over the vendor's C struct."""

GOLDEN_LOW_STATE = 0xD61F2F01
"""CRC of :func:`golden_low_state`, likewise."""


def golden_low_cmd(mode_machine: int = 5) -> bytes:
    """Return a LowCmd that is the same everywhere: damping at a slope of positions."""
    frame = LowCmdFrame()
    frame.set_mode(0, mode_machine)
    frame.set_motor_mode(1)
    zeros = np.zeros(NUM_JOINTS)
    frame.fill(np.arange(NUM_JOINTS) / 32.0, zeros, zeros, zeros, DAMPING_KD)
    return bytes(frame.seal())


def golden_low_state() -> bytes:
    """Return a LowState that is the same everywhere."""
    frame = LowStateFrame()
    frame.set_mode(0, 5)
    frame.set_health()
    frame.set_imu([1, 0, 0, 0], [0, 0, 0], [0, 0, 9.75], [0, 0, 0])
    frame.fill(1234, np.arange(NUM_JOINTS) / 32.0, np.zeros(NUM_JOINTS), np.zeros(NUM_JOINTS))
    return bytes(frame.seal())


def crc_trouble() -> str:
    """Return what is wrong with the CRC on this machine; empty when nothing is."""
    cases: tuple[tuple[bytes, Layout, int], ...] = (
        (golden_low_cmd(), LOW_CMD_LAYOUT, GOLDEN_LOW_CMD),
        (golden_low_state(), LOW_STATE_LAYOUT, GOLDEN_LOW_STATE),
    )
    for payload, layout, golden in cases:
        got = int.from_bytes(payload[-4:], "little")
        if len(payload) != layout.size or got != golden:
            return refuse(f"CRC of the golden {layout.name}", f"{got:#010x}", f"{golden:#010x}")
        spoiled = bytearray(payload)
        spoiled[layout.motors + 8] ^= 1
        if crc_of(spoiled, layout) == got:
            return refuse(f"CRC of a spoiled {layout.name}", "unchanged", "another one")
    if golden_low_cmd(6)[-4:] == golden_low_cmd(5)[-4:]:
        return refuse("CRC of LowCmd", "the same for two variants", "one that covers mode_machine")
    return ""
