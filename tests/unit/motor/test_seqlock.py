"""A record in shared memory: never torn, whoever dies when."""

from __future__ import annotations

import mmap
import multiprocessing
import time
from pathlib import Path

import numpy as np

from neon_ros.motor.seqlock import HEAD_BYTES, Block, block_bytes

RECORD = np.dtype([("count", "<u8"), ("values", "<f8", 512)])


def make() -> tuple[bytearray, Block]:
    """Return memory and a block in it."""
    memory = bytearray(block_bytes(RECORD))
    return memory, Block(memoryview(memory), 0, RECORD)


def written(block: Block, count: int) -> None:
    """Write a record whose values all equal its count."""
    record = block.blank()
    record["count"], record["values"] = count, count
    block.write(record)


def test_what_was_written_is_read_once() -> None:
    _, block = make()
    assert block.read() is None
    written(block, 7)
    found = block.read()
    assert found is not None
    sequence, record = found
    assert record["count"] == 7 and (record["values"] == 7).all() and sequence == block.sequence
    assert block.read(newer_than=sequence) is None
    written(block, 8)
    assert block.read(newer_than=sequence) is not None


def test_a_copy_does_not_change_with_the_memory() -> None:
    _, block = make()
    written(block, 1)
    found = block.read()
    written(block, 2)
    assert found is not None and (found[1]["values"] == 1).all()


def test_a_writer_that_died_half_way_is_not_read_and_its_successor_is() -> None:
    memory, block = make()
    written(block, 1)
    memory[0] |= 1  # as left by a process killed within write()
    assert block.read() is None
    written(Block(memoryview(memory), 0, RECORD), 2)
    found = block.read()
    assert found is not None and found[1]["count"] == 2


def test_a_record_that_does_not_match_its_checksum_is_not_read() -> None:
    memory, block = make()
    written(block, 1)
    memory[HEAD_BYTES + 100] ^= 1
    assert block.read() is None


def test_a_record_under_another_sequence_is_not_read() -> None:
    memory, block = make()
    written(block, 1)
    memory[0] += 2
    assert block.read() is None


def test_blocks_are_whole_cache_lines() -> None:
    assert block_bytes(RECORD) % 64 == 0 and block_bytes(RECORD) >= HEAD_BYTES + RECORD.itemsize


def mapped(path: Path) -> mmap.mmap:
    """Map a file that several processes share."""
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), block_bytes(RECORD))


def hammer(path: Path, seconds: float) -> None:
    """Write as fast as possible."""
    block = Block(memoryview(mapped(path)), 0, RECORD)
    record, count, end = block.blank(), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        count += 1
        record["count"], record["values"] = count, count
        block.write(record)


def test_no_read_is_torn_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "block"
    path.write_bytes(bytes(block_bytes(RECORD)))
    block = Block(memoryview(mapped(path)), 0, RECORD)
    writer = multiprocessing.get_context("spawn").Process(target=hammer, args=(path, 1.0))
    writer.start()
    last = sequence = reads = 0
    while writer.is_alive():
        found = block.read(sequence)
        if found is None:
            continue
        sequence, record = found
        assert (record["values"] == record["count"]).all(), "torn"
        assert record["count"] > last, "older than one read before"
        last, reads = int(record["count"]), reads + 1
    writer.join()
    assert writer.exitcode == 0 and reads > 3
