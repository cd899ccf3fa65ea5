"""The tape: what is written is read in order, and what is lost is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neon_ros.chaos.tape import LENGTH, MEASURED, RECORD, REPORT, SILENT, Tape, measured_of, reports_of, standstill
from neon_ros.errors import ContractError, RobotError


def record(time: int, kind: int = MEASURED, age: float = 0.0) -> np.ndarray:
    made = np.zeros(1, RECORD)
    made["time"], made["kind"], made["age"] = time, kind, age
    return made


def test_records_are_read_in_order_from_anywhere(tmp_path: Path) -> None:
    writer = Tape.create("tape-test", tmp_path)
    reader = Tape.open("tape-test", tmp_path)
    for number in range(10):
        writer.write(record(number, REPORT if number % 2 else MEASURED))
    count, records = reader.read(4)
    assert count == 10 and records["time"].tolist() == [4, 5, 6, 7, 8, 9]
    assert reports_of(records)["time"].tolist() == [5, 7, 9] and measured_of(records)["time"].tolist() == [4, 6, 8]
    assert reader.last(3)["time"].tolist() == [7, 8, 9] and len(reader.last(100)) == 10
    reader.close()
    writer.close(remove=True)
    assert not list(tmp_path.glob("*.tape"))


def test_a_look_that_comes_too_late_is_refused(tmp_path: Path) -> None:
    writer = Tape.create("tape-late", tmp_path)
    one = record(1)
    for _ in range(LENGTH + 1):
        writer.write(one)
    with pytest.raises(RobotError, match=f"tape: got {LENGTH + 1} records since the last look; allowed: "):
        writer.read(0)
    assert writer.read(LENGTH)[0] == LENGTH + 1
    writer.close(remove=True)


def test_what_is_no_tape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RobotError, match="tape: got none at .*; allowed: a running stub robot"):
        Tape.open("tape-none", tmp_path)
    (tmp_path / "tape-short.tape").write_bytes(bytes(100))
    with pytest.raises(ContractError, match="got 100 bytes; allowed: "):
        Tape.open("tape-short", tmp_path)
    Tape.create("tape-zero", tmp_path).close()
    path = tmp_path / "tape-zero.tape"
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(ContractError, match="got another magic; allowed: a tape"):
        Tape.open("tape-zero", tmp_path)


def test_the_robots_own_lateness_is_the_machines() -> None:
    records = np.concatenate([record(1, age=0.001), record(2, SILENT, age=0.04), record(3, REPORT, age=9.0)])
    assert standstill(records) == 0.04 and standstill(records[2:]) == 0.0
