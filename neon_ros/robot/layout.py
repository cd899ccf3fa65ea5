"""LowCmd and LowState of ``unitree_hg`` as pre-laid buffers: the same bytes as the SDK's objects, without the objects.

Two layouts of one message matter.  The *payload* is what DDS carries: a 4-byte CDR header and the body.  The *CRC
struct* is the C layout over which the robot computes its checksum.  They hold the same fields in the same order and
have the same length; the C struct starts 4 bytes earlier (no header) and pads the first motor to 4 bytes, so that from
the first motor's ``q`` on both agree byte for byte.  One payload buffer therefore serves both; :func:`crc_of` moves the
few words that differ and masks the padding, which may hold anything on the wire and is zero in the struct.

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
    :param crc_mask: which bits of each word of the CRC struct are fields, not padding; last word left out.
    """

    name: str
    size: int
    mode: int
    first_mode: int
    motors: int
    motor: np.dtype[np.void]
    crc_mask: NDArray[np.uint32]


def _layout(name: str, size: int, mode: int, first_mode: int, motors: int, motor: np.dtype[np.void]) -> Layout:
    """Return the layout of a message; parameters as in :class:`Layout`."""
    mask = np.full(size // 4 - 1, 0xFFFFFFFF, dtype="<u4")
    first, stride = motors // 4, motor.itemsize // 4
    mask[(mode - len(CDR_LITTLE_ENDIAN)) // 4] = 0x0000FFFF  # mode_pr, mode_machine
    mask[first - 1] = 0x0000FFFF  # what shares its word with the first motor's mode in CDR, and not in C
    mask[first : first + NUM_SLOTS * stride : stride] = 0x000000FF  # the motors' modes
    return Layout(name, size, mode, first_mode, motors, motor, mask)


LOW_CMD_LAYOUT = _layout("LowCmd", LOW_CMD_BYTES, mode=4, first_mode=6, motors=4, motor=MOTOR_CMD)
LOW_STATE_LAYOUT = _layout("LowState", LOW_STATE_BYTES, mode=12, first_mode=74, motors=72, motor=MOTOR_STATE)


class Checksum:
    """The robot's checksum of a buffer that changes: CRC-32/MPEG-2 over big-endian words, the last left out.

    :param payload: of the layout's size; views into it are kept.
    """

    def __init__(self, payload: bytes | bytearray | memoryview, layout: Layout) -> None:
        cdr: NDArray[np.uint32] = np.frombuffer(payload, "<u4")
        self._payload, self._mode, self._first = payload, layout.first_mode, layout.motors // 4
        self._words = np.empty(len(cdr) - 1, "<u4")
        head, tail = slice(0, self._first), slice(self._first, None)
        self._parts = (
            (cdr[1 : self._first + 1], layout.crc_mask[head], self._words[head]),  # the C struct has no header
            (cdr[self._first : -1], layout.crc_mask[tail], self._words[tail]),
        )

    def __call__(self) -> int:
        """Return the checksum of what the buffer holds now."""
        for part, mask, words in self._parts:
            np.bitwise_and(part, mask, out=words)
        self._words[self._first] = self._payload[self._mode]
        return crc32.mpeg_2(self._words.byteswap(inplace=True).data)


def crc_of(payload: bytes | bytearray | memoryview, layout: Layout) -> int:
    """Return the robot's checksum of a payload, see :class:`Checksum`."""
    return Checksum(payload, layout)()
