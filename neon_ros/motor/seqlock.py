"""A record in shared memory that one process writes and others read, never torn.

A sequence word is odd while the record is being written; a reader that sees it odd, or changed, reads again.  Python
gives no memory barriers, so a check word ties the record to its sequence as well: a reader on a machine that reorders
stores (the Jetson's ARM cores) finds a torn copy by its checksum.

.. code-block:: text

    offset 0   u64  sequence: 0 never written, odd being written, even complete
    offset 8   u64  CRC-32/MPEG-2 of the record, started from the sequence
    offset 16  the record
"""

from __future__ import annotations

import numpy as np
from fastcrc import crc32
from numpy.typing import NDArray

HEAD_BYTES = 16
_ATTEMPTS = 16


def block_bytes(record: np.dtype[np.void]) -> int:
    """Return the bytes a block of this record takes, rounded up to a cache line."""
    return -(-(HEAD_BYTES + record.itemsize) // 64) * 64


class Block:
    """One sequence-locked record.

    :param buffer: the shared memory.
    :param offset: where the block starts [bytes], a multiple of 8.
    :param record: dtype of the record.
    """

    def __init__(self, buffer: memoryview, offset: int, record: np.dtype[np.void]) -> None:
        self._record = record
        self._head: NDArray[np.uint64] = np.frombuffer(buffer, "<u8", 2, offset)
        self._body: NDArray[np.uint8] = np.frombuffer(buffer, np.uint8, record.itemsize, offset + HEAD_BYTES)

    @property
    def sequence(self) -> int:
        """Return the sequence word; it changes with every write."""
        return int(self._head[0])

    def blank(self) -> NDArray[np.void]:
        """Return a record of zeros (1,), to be filled and written again and again."""
        return np.zeros(1, self._record)

    def write(self, record: NDArray[np.void]) -> None:
        """Replace the record.  Only one process may do this, which a role lock ensures.

        :param record: one record of this block (1,).
        """
        raw = record.view(np.uint8)
        head = self._head
        odd = int(head[0]) | 1  # a writer that died half way left it odd
        head[0] = odd
        self._body[:] = raw
        head[1] = _check(raw, odd + 1)
        head[0] = odd + 1

    def read(self, newer_than: int = 0) -> tuple[int, np.void] | None:
        """Return the sequence and a copy of the record.

        :param newer_than: sequence the caller already has.
        :returns: ``None`` when there is nothing newer, or a writer is (or died) in the middle of writing.
        """
        head = self._head
        for _ in range(_ATTEMPTS):
            before = int(head[0])
            if before == newer_than or before == 0:
                return None
            if before & 1:
                continue
            raw = self._body.copy()
            check = int(head[1])
            if int(head[0]) == before and check == _check(raw, before):
                return before, raw.view(self._record)[0]
        return None


def _check(raw: NDArray[np.uint8], sequence: int) -> int:
    return crc32.mpeg_2(raw.data, sequence & 0xFFFFFFFF)
