"""A recording written by a thread of its own, and when its messages are due again."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcap")
from neon_ros.data.bag import Topic
from neon_ros.data.pace import Pace
from neon_ros.data.playback import Findings, Recorded, messages, read_all
from neon_ros.data.recording import Limits, Recording
from neon_ros.data.tape import Tape

A = Topic("/a", "std_msgs/msg/UInt64", (), "uint64 data")
NONE = Limits(size=2**40, seconds=1e6, keep_free=0)
SECOND = 10**9


def message(number: int, size: int = 100) -> Recorded:
    return Recorded("/a", number * 10**6, 0, number.to_bytes(8, "little").ljust(size, b"\0"))


def until(done: Any, what: str) -> None:
    deadline = time.monotonic() + 30.0
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_all_threads_messages_are_there_in_the_end(tmp_path: Path) -> None:
    tape = Tape(Recording(tmp_path / "run"), NONE, 0.05)
    tape.add(A)
    threads = [
        threading.Thread(target=lambda turn=turn: [tape.put(message(turn * 1000 + k)) for k in range(500)])
        for turn in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tape.close()
    contents = read_all(tape.recording.path)
    assert contents.counts.messages == {"/a": 2000} and not contents.findings.problem
    assert tape.dropped == 0 and not tape.ended


def test_it_is_on_the_disk_before_it_is_closed(tmp_path: Path) -> None:
    tape = Tape(Recording(tmp_path / "run"), NONE, 0.05)
    tape.add(A)
    for number in range(10):
        tape.put(message(number))
    until(lambda: len(list(messages(tape.recording.path, Findings()))) == 10, "ten messages")
    tape.close()


def test_what_a_slow_disk_cannot_take_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording, go = Recording(tmp_path / "run"), threading.Event()
    monkeypatch.setattr(recording, "flush", lambda: go.wait(30.0))
    tape = Tape(recording, NONE, 0.05, room=1000)
    tape.add(A)
    time.sleep(0.2)  # by now it waits for the disk
    for number in range(30):
        tape.put(message(number))
    assert tape.dropped >= 20
    go.set()
    tape.close()
    assert read_all(recording.path).counts.total == 30 - tape.dropped


def test_limits_end_it_and_the_file_is_whole(tmp_path: Path) -> None:
    tape = Tape(Recording(tmp_path / "run", "none"), Limits(size=10_000, seconds=1e6, keep_free=0), 0.05)
    tape.add(A)
    for number in range(200):
        tape.put(message(number))
    until(lambda: tape.ended, "the limit")
    assert tape.ended == "the file has 0 MB, the most allowed"
    tape.close()
    assert not read_all(tape.recording.path).findings.problem


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk of 1 MB, where the machine allows one to be made."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a tmpfs here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_ends_it_and_what_was_flushed_is_there(small_disk: Path) -> None:
    tape = Tape(Recording(small_disk / "run", "none"), NONE, 0.02)
    tape.add(A)
    number = 0
    while not tape.ended and number < 5000:
        tape.put(message(number, 1000))
        number += 1
        time.sleep(0.0005)
    until(lambda: tape.ended, "a full disk")
    assert "recording: got a full disk; allowed: space for the recording" in tape.ended
    tape.close()
    found = list(messages(tape.recording.path, findings := Findings()))
    assert 100 < len(found) < number and "cut off" in findings.problem
    assert [int.from_bytes(item.data[:8], "little") for item in found] == list(range(len(found)))


def test_messages_are_due_as_far_apart_as_they_were() -> None:
    pace = Pace(2.0, 10.0)
    assert [pace.due(at) for at in (5 * SECOND, 6 * SECOND, 6 * SECOND, 9 * SECOND)] == [10.0, 10.5, 10.5, 12.0]


def test_disorder_costs_no_time() -> None:
    pace = Pace(1.0, 0.0)
    assert [pace.due(at * 10**8) for at in (10, 12, 11, 13)] == pytest.approx([0.0, 0.2, 0.2, 0.3])


def test_a_clock_that_jumped_back_shifts_what_follows() -> None:
    pace = Pace(1.0, 0.0)
    times = [100 * SECOND, 101 * SECOND, 3 * SECOND, 4 * SECOND]
    assert [pace.due(at) for at in times] == pytest.approx([0.0, 1.0, 1.0, 2.0])
