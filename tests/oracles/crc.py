"""The robot's checksum from its definition: CRC-32, polynomial 0x04C11DB7, start 0xFFFFFFFF, nothing reflected.

Over the 32-bit words of the C struct, most significant bit first, the last word (the checksum itself) left out.
"""

from __future__ import annotations

import struct

import numpy as np

POLYNOMIAL = 0x04C11DB7
SLOTS = 35


def bitwise(words: list[int]) -> int:
    """Return the checksum of 32-bit words, one bit at a time."""
    crc = 0xFFFFFFFF
    for word in words:
        for bit in range(31, -1, -1):
            top = (crc >> 31) ^ (word >> bit & 1)
            crc = (crc << 1 & 0xFFFFFFFF) ^ (POLYNOMIAL if top else 0)
    return crc


def _byte_table() -> np.ndarray:
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 & 0xFFFFFFFF) ^ (POLYNOMIAL if crc >> 31 else 0)
        table.append(crc)
    return np.array(table, dtype=np.uint32)


_TABLE = _byte_table()


def of_many(words: np.ndarray) -> np.ndarray:
    """Return the checksums of many frames at once (frames,), from their words (frames, words) uint32."""
    crc = np.full(len(words), 0xFFFFFFFF, dtype=np.uint32)
    for column in words.T:
        for shift in (24, 16, 8, 0):
            byte = (column >> np.uint32(shift)) & np.uint32(0xFF)
            crc = (crc << np.uint32(8)) ^ _TABLE[(crc >> np.uint32(24)) ^ byte]
    return crc


def low_cmd_struct(payload: bytes) -> bytes:
    """Return the C struct (``<2B2x`` + 35 x ``B3x5fI`` + ``5I``) of a LowCmd's CDR payload, field by field.

    Floats pass as the words they are: a signalling NaN would not survive being one.
    """
    out = struct.pack("<2B2x", *struct.unpack_from("<2B", payload, 4))
    for slot in range(SLOTS):
        if slot == 0:  # in CDR the first motor's mode follows mode_machine at once
            mode, numbers = payload[6], struct.unpack_from("<6I", payload, 8)
        else:
            mode, numbers = payload[4 + 28 * slot], struct.unpack_from("<6I", payload, 8 + 28 * slot)
        out += struct.pack("<B3x6I", mode, *numbers)
    return out + payload[984:1004]


def low_cmd_words(payloads: np.ndarray) -> np.ndarray:
    """Return the words of the C structs of many LowCmd payloads (frames, 1004) uint8, the checksum left out."""
    frames = np.zeros_like(payloads)
    frames[:, 0:2] = payloads[:, 4:6]
    frames[:, 4] = payloads[:, 6]
    for slot in range(1, SLOTS):
        frames[:, 4 + 28 * slot] = payloads[:, 4 + 28 * slot]
    for slot in range(SLOTS):
        frames[:, 8 + 28 * slot : 32 + 28 * slot] = payloads[:, 8 + 28 * slot : 32 + 28 * slot]
    frames[:, 984:1000] = payloads[:, 984:1000]
    return np.ascontiguousarray(frames[:, :1000]).view("<u4")
