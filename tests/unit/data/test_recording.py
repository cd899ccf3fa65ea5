"""Recordings written, cut, damaged, killed and repaired."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytest.importorskip("mcap")
from mcap.reader import make_reader

from neon_ros.data import recording as module
from neon_ros.data.bag import Offer, Topic
from neon_ros.data.playback import Findings, files_at, messages, read_all, repair, survey
from neon_ros.data.recording import COMPRESSIONS, DiskError, Limits, Recording
from neon_ros.errors import ConfigError, ContractError

START = 1_700_000_000 * 10**9
STEP = 10**7
A = Topic("/a", "std_msgs/msg/UInt64", (Offer(),), "uint64 data", "RIHS01_x")
B = Topic("/b", "std_msgs/msg/UInt64", (Offer(),), "uint64 data")


def record(target: Path, count: int = 100, flush_every: int = 10, compression: str = "lz4") -> Recording:
    """Write ``count`` messages, turn by turn on two topics."""
    recording = Recording(target, compression)
    for topic in (A, B):
        recording.add(topic)
    for number in range(count):
        topic = A if number % 2 else B
        recording.write(topic.name, START + number * STEP, START, number.to_bytes(8, "little") * 20)
        if number % flush_every == flush_every - 1:
            recording.flush()
    return recording


def numbers(path: Path, findings: Findings | None = None) -> list[int]:
    return [int.from_bytes(message.data[:8], "little") for message in messages(path, findings or Findings())]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_went_in_comes_out(tmp_path: Path, compression: str) -> None:
    recording = record(tmp_path / "run", compression=compression)
    recording.close()
    recording.close()
    found = list(messages(recording.path, findings := Findings()))
    assert [int.from_bytes(message.data[:8], "little") for message in found] == list(range(100))
    assert found[1] == ("/a", START + STEP, START, (1).to_bytes(8, "little") * 20)
    assert findings.topics == {"/a": A, "/b": B} and not findings.problem
    for contents in (survey(recording.path), read_all(recording.path)):
        assert contents.counts == recording.counts and contents.findings == findings
    assert recording.counts.total == 100 and recording.counts.seconds == pytest.approx(0.99)
    information = yaml.safe_load((tmp_path / "run" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert information["message_count"] == 100
    with recording.path.open("rb") as file:  # the format's own reader agrees
        assert len(list(make_reader(file, validate_crcs=True).iter_messages())) == 100


def test_a_plain_file_stands_alone(tmp_path: Path) -> None:
    recording = record(tmp_path / "run.mcap")
    recording.close()
    assert [path.name for path in tmp_path.iterdir()] == ["run.mcap"] and recording.size > 0
    assert files_at(tmp_path / "run.mcap") == (recording.path,)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    record(tmp_path / "run").close()
    for name in ("run", "run/run_0.mcap"):
        with pytest.raises(ConfigError, match="recording: got .*, which exists; allowed: a new name"):
            Recording(tmp_path / name)
    with pytest.raises(DiskError, match="recording: got .* allowed: a file that can be made"):
        Recording(tmp_path / "run" / "metadata.yaml" / "x")


def test_cut_anywhere_it_gives_what_was_flushed_before(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "run.mcap")
    recording.add(A)
    flushed = [(0, 0)]
    for number in range(30):
        recording.write("/a", START + number * STEP, START, number.to_bytes(8, "little"))
        if number % 5 == 4:
            recording.flush()
            flushed.append((recording.size, number + 1))
    recording.close()
    whole = recording.path.read_bytes()
    cut = tmp_path / "cut.mcap"
    for size in range(8, len(whole)):
        cut.write_bytes(whole[:size])
        got = numbers(cut, findings := Findings())
        assert got == list(range(len(got)))
        assert len(got) >= max(count for end, count in flushed if end <= size), f"cut at {size}"
        assert findings.cut.startswith("cut off at byte"), f"cut at {size} of {len(whole)} and not told"
    for size in range(8):
        cut.write_bytes(whole[:size])
        with pytest.raises(ContractError, match=f"got {size} bytes that are no MCAP; allowed: an MCAP file"):
            numbers(cut)


def test_a_damaged_byte_anywhere_loses_a_chunk_at_most_and_is_told(tmp_path: Path) -> None:
    recording = record(tmp_path / "run.mcap", count=40)
    recording.close()
    whole = recording.path.read_bytes()
    hurt = tmp_path / "hurt.mcap"
    told = 0
    for at in range(8, len(whole), 7):
        hurt.write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        got = numbers(hurt, findings := Findings())
        told += bool(findings.problem)
        if not findings.problem:
            assert got == list(range(40)), f"byte {at} changed what is read, and nothing says so"
        elif not findings.cut:
            assert len(got) >= 20
    assert told > 20


def test_a_damaged_first_chunk_costs_its_messages_only(tmp_path: Path) -> None:
    recording = record(tmp_path / "run.mcap", count=40)
    recording.close()
    whole = bytearray(recording.path.read_bytes())
    at = whole.index(b"lz4") + 40
    whole[at] ^= 0xFF
    recording.path.write_bytes(whole)
    assert numbers(recording.path, findings := Findings()) == list(range(10, 40))
    assert findings.problem == "damaged chunks left out: 1"


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="recording: got .*nothing, which does not exist; allowed: an MCAP file or"):
        files_at(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="got no .mcap file; allowed: a whole bag"):
        files_at(tmp_path)
    record(tmp_path / "bag").close()
    (tmp_path / "bag" / "bag_0.mcap").unlink()
    with pytest.raises(ConfigError, match="got no .*bag_0.mcap; allowed: a whole bag"):
        files_at(tmp_path / "bag")
    (tmp_path / "x.mcap").write_bytes(b"PK" + bytes(100))
    with pytest.raises(ContractError, match="got 102 bytes that are no MCAP"):
        survey(tmp_path / "x.mcap")


def test_metadata_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    record(tmp_path / "outside.mcap").close()
    record(tmp_path / "bag").close()
    metadata = tmp_path / "bag" / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace('"bag_0.mcap"', '"../outside.mcap"'))
    with pytest.raises(ConfigError, match="bag/outside.mcap"):
        files_at(tmp_path / "bag")


def test_repair_makes_a_whole_file_of_a_cut_one(tmp_path: Path) -> None:
    recording = record(tmp_path / "run")
    end = recording.size
    recording.close()
    recording.path.write_bytes(recording.path.read_bytes()[: end + 30])
    assert "cut off" in survey(recording.path).findings.problem
    contents = repair(tmp_path / "run", tmp_path / "mended")
    assert contents.counts == recording.counts and "cut off" in contents.findings.problem
    mended = files_at(tmp_path / "mended")[0]
    assert numbers(mended, findings := Findings()) == list(range(100)) and not findings.problem
    assert findings.topics == {"/a": A, "/b": B}
    with pytest.raises(ConfigError, match="which exists"):
        repair(tmp_path / "run", tmp_path / "mended")
    (tmp_path / "empty.mcap").write_bytes(recording.path.read_bytes()[:30])
    with pytest.raises(ContractError, match="got no readable message: cut off at byte"):
        repair(tmp_path / "empty.mcap", tmp_path / "none")


WRITER = """
import sys, time
from pathlib import Path
from neon_ros.data.recording import Recording
from neon_ros.data.bag import Topic
recording = Recording(Path(sys.argv[1]))
recording.add(Topic("/a", "std_msgs/msg/UInt64", (), "uint64 data"))
number, due = 0, time.monotonic() + 0.1
while True:
    recording.write("/a", time.time_ns(), 0, number.to_bytes(8, "little") * 100)
    number += 1
    time.sleep(0.0005)
    if time.monotonic() > due:
        recording.flush()
        print(number, flush=True)
        due = time.monotonic() + 0.1
"""


@pytest.mark.parametrize("turn", range(3))
def test_killed_it_keeps_what_was_flushed(tmp_path: Path, turn: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(4):
            said = int(process.stdout.readline())
        time.sleep(0.01 + 0.037 * turn)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        killed_ns = time.time_ns()
    file = files_at(tmp_path / "run")[0]  # metadata.yaml is there although nobody closed
    got = numbers(file, findings := Findings())
    assert got == list(range(len(got))) and len(got) >= int(rest[-1] if rest else said)
    assert "cut off" in findings.problem
    assert killed_ns - read_all(file).counts.end_ns < 10 * 10**9


def test_a_full_disk_ends_the_recording_and_keeps_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = record(tmp_path / "run", count=50)
    safe, write = recording.size, os.write

    def full(number: int, data: bytes) -> int:
        if len(data) < 100:
            return write(number, data)
        write(number, data[:40])  # a disk fills in the middle of a chunk
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "write", full)
    recording.write("/a", START + 10**9, START, bytes(1000))
    with pytest.raises(DiskError, match="recording: got a full disk; allowed: space for the recording; .* whole up to"):
        recording.flush()
    monkeypatch.undo()
    for more in (recording.flush, lambda: recording.write("/a", START, START, b"")):
        with pytest.raises(DiskError, match="got one more message; allowed: none: it has ended"):
            more()
    recording.close()
    assert recording.path.stat().st_size == safe
    assert numbers(recording.path) == list(range(50))


def test_limits_say_which_is_reached() -> None:
    limits = Limits(size=10**6, seconds=10.0, keep_free=10**9)
    assert limits.reached(10**6 - 1, 9.9, 10**9) == ""
    assert limits.reached(0, 10.0, 10**12) == "recorded 10 s, the longest allowed"
    assert limits.reached(10**6, 1.0, 10**12) == "the file has 1 MB, the most allowed"
    assert limits.reached(0, 1.0, 5 * 10**8) == "the disk has 500 MB left, and 1000 MB stay free"
