"""The audit log: a chain whose changes are seen, bounded in size, and of no weight to whoever notes something."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neon_ros.errors import ConfigError, RobotError
from neon_ros.motor import audit
from neon_ros.motor.audit import AuditLog, audit_folder
from neon_ros.motor.audit_check import check, last_entries, logs_in, words_of

PATIENCE = 20.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where logs of this test lie."""
    return tmp_path / "state" / "s"


def turn(log: AuditLog, now: float = 0.0, last: bool = False) -> None:
    """Do what the thread does, once."""
    log._turn(now, last)


def filled(folder: Path, count: int = 10, **settings: int) -> Path:
    """Write a log of ``count`` lines in one run and return its file."""
    log = AuditLog(folder, "motor", **settings)
    for index in range(count):
        log.note("state", state="ACTIVE", number=index)
        turn(log)
    log.close()
    return log.path


def until(done: Callable[[], Any], what: str) -> None:
    """Wait for a thread."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_lines_are_chained_and_say_when_who_and_what(folder: Path) -> None:
    path = filled(folder, 3)
    lines = path.read_bytes().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["n"] for entry in entries] == [1, 2, 3]
    assert entries[0]["prev"] == "0" * 64
    assert [entry["prev"] for entry in entries[1:]] == [audit.digest_of(line) for line in lines[:2]]
    assert entries[2]["facts"] == {"state": "ACTIVE", "number": 2} and entries[2]["by"] == "motor"
    assert abs(entries[0]["steady"] - time.monotonic()) < 60 and entries[0]["wall"].endswith("+00:00")
    assert check(path).broken == () and check(path).head == (3, audit.digest_of(lines[2]))
    assert path.stat().st_mode & 0o777 == 0o600 and folder.stat().st_mode & 0o777 == 0o700


def test_the_next_run_goes_on_where_the_last_ended(folder: Path) -> None:
    filled(folder, 3)
    path = filled(folder, 4)
    found = check(path)
    assert (found.entries, found.first, found.head.n, found.broken) == (7, 1, 7, ())


def edited(lines: list[bytes], how: str) -> list[bytes]:
    """Return the lines after somebody has been at them."""
    if how == "changed":
        lines[4] = lines[4].replace(b"ACTIVE", b"DAMPED")
    elif how == "changed and chained to its neighbour":
        entry = json.loads(lines[4])
        entry["facts"]["state"] = "HOLD"
        lines[4] = json.dumps(entry, separators=(",", ":")).encode()
    elif how == "removed":
        del lines[4]
    elif how == "exchanged":
        lines[4], lines[5] = lines[5], lines[4]
    elif how == "repeated":
        lines.insert(4, lines[4])
    elif how == "the first removed":
        del lines[0]
    elif how == "the last removed":
        del lines[-1]
    elif how == "many of the end removed":
        del lines[3:]
    elif how == "all removed":
        lines.clear()
    elif how == "a line that is none":
        lines.insert(4, b"not a line")
    elif how == "an empty line":
        lines.insert(4, b"")
    return lines


EDITS = {
    "changed": "line 6 does not follow line 5",
    "changed and chained to its neighbour": "line 6 does not follow line 5",
    "removed": "line 6 does not follow line 4",
    "exchanged": "line 6 does not follow line 4",
    "repeated": "line 5 does not follow line 5",
    "the first removed": "begins at line 2, and the file before it is missing",
    "the last removed": "ends at line 9; line 10 of its head is missing",
    "many of the end removed": "ends at line 3; line 10 of its head is missing",
    "all removed": "ends at line 0; line 10 of its head is missing",
    "a line that is none": "behind a line that is none, and nobody has said so",
    "an empty line": "behind a line that is none, and nobody has said so",
}


@pytest.mark.parametrize("how", EDITS)
def test_what_was_done_to_the_file_is_seen(how: str, folder: Path) -> None:
    path = filled(folder)
    lines = edited(path.read_bytes().splitlines(), how)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    assert any(EDITS[how] in why for why in check(path).broken), check(path).broken


@pytest.mark.parametrize("how", ["the last removed", "many of the end removed", "all removed"])
def test_a_cut_end_is_not_hidden_by_going_on(how: str, folder: Path) -> None:
    path = filled(folder)
    path.write_bytes(b"".join(line + b"\n" for line in edited(path.read_bytes().splitlines(), how)))
    filled(folder, 5)
    assert any("the end was not as it was left (10 " in why for why in check(path).broken)


def test_every_changed_byte_is_seen(folder: Path) -> None:
    path = filled(folder, 4)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert check(path).broken, (place, content[place : place + 20])


def test_a_removed_log_is_missed_because_of_its_head(folder: Path) -> None:
    path = filled(folder)
    path.unlink()
    assert logs_in(folder) == [path] and "ends at line 0; line 10" in check(path).broken[0]


def test_a_line_torn_by_a_power_cut_is_told_of_and_the_chain_goes_on(folder: Path) -> None:
    path = filled(folder)
    with path.open("ab") as file:
        file.write(b'{"n":11,"wall":"2026')
    assert "its last line is torn" in check(path).broken[0]
    filled(folder, 2)
    found = check(path)
    assert (found.broken, found.head.n) == ((), 13), "ten, two, and one that tells of the torn one"
    resumed = last_entries(path, 3)[0]
    assert (resumed["kind"], resumed["facts"]["torn_bytes"]) == ("resumed", 20)


def test_a_head_that_is_behind_its_log_is_no_fault(folder: Path) -> None:
    path = filled(folder)
    (folder / "motor.head").write_text(f"8 {audit.digest_of(path.read_bytes().splitlines()[7])}\n")
    assert check(path).broken == ()
    filled(folder, 1)
    assert check(path).broken == ()


def test_files_are_bounded_and_the_chain_goes_through_them(folder: Path) -> None:
    limit = 4000
    path = filled(folder, 200, file_bytes=limit)
    before = path.with_suffix(".1.jsonl")
    assert 0 < path.stat().st_size <= limit and 0 < before.stat().st_size <= limit
    assert sorted(entry.name for entry in folder.iterdir()) == ["motor.1.jsonl", "motor.head", "motor.jsonl"]
    found = check(path)
    assert found.broken == () and found.head.n == 200 and found.first > 150
    filled(folder, 1, file_bytes=limit)
    assert check(path).broken == () and check(path).head.n == 201
    before.unlink()
    assert "and the file before it is missing" in check(path).broken[0]


def test_a_run_that_begins_right_after_a_change_of_files_goes_on(folder: Path) -> None:
    path = filled(folder, 20)
    os.replace(path, path.with_suffix(".1.jsonl"))
    filled(folder, 1)
    assert check(path).broken == () and check(path).head.n == 21


def test_what_comes_often_is_told_at_once_and_then_as_one_count(folder: Path) -> None:
    log = AuditLog(folder, "motor")
    log.count("refusal", "not authentic", said="first")
    turn(log, 0.0)
    for _ in range(50_000):
        log.count("refusal", "not authentic", said="again")
    log.total("intervention", "left_elbow_joint jerk", 7)
    for now in (0.2, 5.0, 9.9):
        turn(log, now)
    assert [entry["facts"]["more"] for entry in last_entries(log.path, 9)] == [1, 7]
    turn(log, 10.1)
    entry = last_entries(log.path, 1)[0]
    assert entry["facts"] == {"what": "not authentic", "more": 50_000, "total": 50_001, "said": "again"}
    turn(log, 30.0)
    assert len(last_entries(log.path, 99)) == 3, "nothing new, nothing told"
    log.count("refusal", "not authentic")
    turn(log, 30.2, last=True)
    assert last_entries(log.path, 1)[0]["facts"]["total"] == 50_002
    log.close()


def test_more_kinds_of_things_than_anyone_needs_are_not_kept(folder: Path) -> None:
    log = AuditLog(folder, "motor")
    for index in range(5_000):
        log.count("refusal", str(index))
    assert len(log._totals) <= 1024


def test_a_queue_that_is_full_drops_counts_and_tells(folder: Path) -> None:
    log = AuditLog(folder, "motor")
    for index in range(audit.QUEUE + 500):
        log.note("state", number=index)
    assert log.dropped == 500
    turn(log)
    assert check(log.path).entries == 257, "one turn is bounded, for the sake of the loop beside"
    turn(log, last=True)
    log.close()
    found = check(log.path)
    assert (found.entries, found.dropped, found.broken) == (audit.QUEUE + 1, 500, ())
    lost = next(entry for entry in last_entries(log.path, 5_000) if entry["kind"] == "dropped")
    assert lost["facts"] == {"lines": 500, "why": "more than the queue holds"}


def test_a_full_disk_costs_lines_not_the_chain(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(folder, "motor")
    log.note("state", number=0)
    turn(log)
    real, full = os.write, True

    def write(file: int, data: bytes) -> int:
        if full:
            real(file, data[: len(data) // 2])  # as a disk does that fills up in the middle
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data)

    monkeypatch.setattr(audit.os, "write", write)
    for index in range(6_000):
        log.note("state", number=index)
        if index % 100 == 0:
            turn(log, index * 0.1)
    assert log.troubles == 1 and "No space left on device" in log.trouble and log.dropped > 0
    assert len(log._queue) <= audit.QUEUE
    full = False
    turn(log, 1e4, last=True)
    assert log.trouble == ""
    log.close()
    found = check(log.path)
    assert found.broken == () and found.dropped == log.dropped > 1000
    assert found.entries + found.dropped == 6_000 + 1 + 1
    lost = next(entry for entry in last_entries(log.path, 9_000) if entry["kind"] == "dropped")
    assert "No space left" in lost["facts"]["why"]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = shutil.which("mount")
    words = [mount or "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if mount is None or os.geteuid() != 0 or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("needs to mount a tiny disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_really_full_is_survived(tiny: Path) -> None:
    log = AuditLog(tiny / "s", "motor")
    for index in range(3_000):
        log.note("state", number=index, text="x" * 40)
        if index % 50 == 0:
            turn(log, index * 1.0)
    assert log.troubles == 1 and log.trouble
    ballast = (tiny / "s" / "motor.jsonl").stat().st_size
    assert ballast <= 65536 and check(log.path).broken == ()
    log.close()
    subprocess.run(["mount", "-o", "remount,size=4m", str(tiny)], check=True)
    log = AuditLog(tiny / "s", "motor")
    log.note("state", number=1)
    turn(log)
    log.close()
    assert check(log.path).broken == ()


def test_a_folder_that_cannot_be_made_is_an_alarm_not_an_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = AuditLog(tmp_path / "file" / "s", "motor")
    log.start()
    log.note("state", number=0)
    until(lambda: log.trouble, "no word on the folder")
    assert "Not a directory" in log.trouble or "File exists" in log.trouble
    assert log.troubles == 1
    log.close()


def test_a_second_writer_of_the_same_log_is_kept_out(folder: Path) -> None:
    first, second = AuditLog(folder, "motor"), AuditLog(folder, "motor")
    for log in (first, second, first):
        log.note("state", number=1)
        turn(log)
    assert "another process writes it" in second.trouble and first.trouble == ""
    first.close()
    second.close()
    assert check(first.path).broken == () and check(first.path).entries == 2


def test_the_thread_writes_what_is_left_at_the_end(folder: Path) -> None:
    log = AuditLog(folder, "motor")
    log.start()
    for index in range(100):
        log.note("state", number=index)
    log.count("refusal", "x")
    log.close()
    assert check(log.path).entries == 101 and check(log.path).broken == ()


def test_texts_from_outside_cannot_forge_a_line(folder: Path) -> None:
    log = AuditLog(folder, "motor")
    nasty = 'x"}\n{"n":2,"kind":"state"}\x1b[2J' + "y" * 5_000
    log.note("refusal", said=nasty, value=float("nan"), far=float("inf"), lone="\ud800")
    turn(log)
    log.close()
    (entry,) = last_entries(log.path, 9)
    assert len(log.path.read_bytes().splitlines()) == 1 and check(log.path).broken == ()
    assert len(entry["facts"]["said"]) == 1000 and entry["facts"]["value"] == "nan"
    assert "\n" not in words_of(entry) and "\x1b" not in words_of(entry)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"{}\n" * 3, b'{"n":"1"}\n', b"\0" * 4096, b"\n" * 9])
def test_a_file_of_anything_is_broken_not_a_crash(content: bytes, folder: Path) -> None:
    folder.mkdir(parents=True)
    path = folder / "motor.jsonl"
    path.write_bytes(content)
    assert check(path).broken
    filled(folder, 2)
    assert last_entries(path, 1)[0]["facts"]["number"] == 1


def test_where_the_logs_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert audit_folder("neon") == tmp_path / "neon_ros" / "neon"
    assert audit_folder("neon", "/var/log/robot") == Path("/var/log/robot/neon")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/g1")
    assert audit_folder("neon") == Path("/home/g1/.local/state/neon_ros/neon")
    with pytest.raises(ConfigError, match="session: got '../x'; allowed: 1 to 64 letters"):
        audit_folder("../x")
    with pytest.raises(ConfigError, match="audit_folder: got logs; allowed: an absolute path"):
        audit_folder("neon", "logs")
    with pytest.raises(RobotError, match="audit log: got none in .*; allowed: a folder where neon_ros has run"):
        logs_in(tmp_path / "nothing")
