"""LowCmd and LowState of ``unitree_hg`` as pre-laid buffers: the same bytes as the SDK's objects, without the objects.

Two layouts of one message matter.  The *payload* is what DDS carries: a 4-byte CDR header and the body.  The *CRC
struct* is the C layout over which the robot computes its checksum.  They hold the same fields in the same order and
have the same length; the C struct starts 4 bytes earlier (no header) and pads the first motor to 4 bytes, so that from
the first motor's ``q`` on both agree byte for byte.  One payload buffer plus a fixed permutation of its bytes
therefore serves both: :data:`LOW_CMD_LAYOUT` and :data:`LOW_STATE_LAYOUT` hold the permutation, in which padding
reads a byte of the header that is always zero.

Source: ``unitree_sdk2:include/unitree/idl/hg/*.hpp``; the CRC's struct formats are those of
``unitree_sdk2_python:unitree_sdk2py/utils/crc.py`` (``<2B2x`` + 35 x ``B3x5fI`` + ``5I`` for LowCmd).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from fastcrc import crc32
from numpy.typing import NDArray

NUM_SLOTS = 35
"""Motor slots in a message; 29 of them move a joint."""

WEIGHT_SLOT = 29
"""Slot whose ``q`` is the weight of ``rt/arm_sdk`` (0 leaves the robot to itself, 1 is ours)."""

LOW_CMD_BYTES = 1004
LOW_STATE_BYTES = 2092

CDR_LITTLE_ENDIAN = b"\x00\x01\x00\x00"
"""CDR encapsulation header: plain CDR, little endian, no options."""

MOTOR_CMD = np.dtype(
    [
        ("mode", "u1"),
        ("pad", "u1", 3),
        ("q", "<f4"),
        ("dq", "<f4"),
        ("tau", "<f4"),
        ("kp", "<f4"),
        ("kd", "<f4"),
        ("reserve", "<u4"),
    ]
)
MOTOR_STATE = np.dtype(
    [
        ("mode", "u1"),
        ("pad", "u1", 3),
        ("q", "<f4"),
        ("dq", "<f4"),
        ("ddq", "<f4"),
        ("tau_est", "<f4"),
        ("temperature", "<i2", 2),  # [deg C] surface, winding
        ("vol", "<f4"),  # [V]
        ("sensor", "<u4", 2),
        ("motorstate", "<u4"),
        ("reserve", "<u4", 4),
    ]
)


Q_OFFSET = 4  # offset of a motor's q: one byte mode, three of padding


class Layout(NamedTuple):
    """Where things lie in a payload.

    :param name: of the message, for errors.
    :param size: bytes of the payload, and of the CRC struct.
    :param mode: offset of ``mode_pr``; ``mode_machine`` follows.
    :param first_mode: offset of the first motor's ``mode``; in CDR it is not aligned with its motor.
    :param motors: offset at which the first motor would start in C layout; its ``q`` is 4 bytes further.
    :param motor: dtype of one motor.
    :param crc_order: payload index of each byte the CRC reads, big-endian words, last word left out.
    """

    name: str
    size: int
    mode: int
    first_mode: int
    motors: int
    motor: np.dtype[np.void]
    crc_order: NDArray[np.intp]


def _layout(
    name: str, size: int, mode: int, first_mode: int, motors: int, motor: np.dtype[np.void], padding: tuple[int, ...]
) -> Layout:
    """Return the layout of a message.

    :param padding: payload offsets of the padding before the first motor; other parameters as in :class:`Layout`.
    """
    header = len(CDR_LITTLE_ENDIAN)
    order = np.zeros(size, dtype=np.intp)  # index 0 is the header's first byte: zero, it stands in for padding
    order[: first_mode - header] = np.arange(header, first_mode)
    order[[offset - header for offset in padding]] = 0
    order[motors] = first_mode
    order[motors + Q_OFFSET :] = np.arange(motors + Q_OFFSET, size)
    for start in range(motors + motor.itemsize, motors + NUM_SLOTS * motor.itemsize, motor.itemsize):
        order[start + 1 : start + Q_OFFSET] = 0
    big_endian_words = order[:-4].reshape(-1, 4)[:, ::-1].ravel()
    return Layout(name, size, mode, first_mode, motors, motor, np.ascontiguousarray(big_endian_words))


LOW_CMD_LAYOUT = _layout("LowCmd", LOW_CMD_BYTES, mode=4, first_mode=6, motors=4, motor=MOTOR_CMD, padding=())
LOW_STATE_LAYOUT = _layout(
    "LowState", LOW_STATE_BYTES, mode=12, first_mode=74, motors=72, motor=MOTOR_STATE, padding=(14, 15)
)


def crc_of(raw: NDArray[np.uint8], layout: Layout) -> int:
    """Return the robot's checksum of a payload: CRC-32/MPEG-2 over big-endian words, the last word left out.

    :param raw: the bytes of the payload (layout.size,).
    """
    return crc32.mpeg_2(raw.take(layout.crc_order).data)
