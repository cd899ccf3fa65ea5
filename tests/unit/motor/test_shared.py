"""The memory between the ROS side, the motor and the guardian."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from neon_ros.errors import ConfigError, ContractError, Refused, RobotError
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.motor.locks import RoleLock, session_file
from neon_ros.motor.records import MAX_STEPS, REPORT, REQUESTS, MotorReport
from neon_ros.motor.shared import MotorMemory
from neon_ros.robot.wire import LowCmdFrame, LowStateFrame

CHUNK = AdmittedChunk(
    t0=12.5,
    dt=0.02,
    q=np.arange(16 * 29, dtype=np.float64).reshape(16, 29),
    moved=np.arange(29) >= 12,
    base_velocity=np.arange(48, dtype=np.float64).reshape(16, 3),
    epoch=3,
    sequence=41,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder in place of /dev/shm/neon_ros."""
    return tmp_path / "neon_ros"


@pytest.fixture
def motor(folder: Path) -> Iterator[MotorMemory]:
    """Yield the motor's side of session ``s``."""
    with MotorMemory.create("s", "upper_body", folder) as memory:
        yield memory


@pytest.fixture
def command(motor: MotorMemory, folder: Path) -> Iterator[MotorMemory]:
    """Yield the ROS side of session ``s``."""
    with MotorMemory.open("s", "command", folder) as memory:
        yield memory


def test_a_chunk_crosses_unchanged_and_once(motor: MotorMemory, command: MotorMemory) -> None:
    assert motor.take_chunk() is None
    command.write_chunk(CHUNK)
    taken = motor.take_chunk()
    assert taken is not None and motor.take_chunk() is None
    for item in fields(AdmittedChunk):
        assert np.array_equal(getattr(taken, item.name), getattr(CHUNK, item.name)), item.name
    assert taken.moved.dtype == bool


def test_only_the_newest_chunk_is_taken(motor: MotorMemory, command: MotorMemory) -> None:
    for sequence in range(3):
        command.write_chunk(replace(CHUNK, sequence=sequence))
    taken = motor.take_chunk()
    assert taken is not None and taken.sequence == 2


@pytest.mark.parametrize("steps", [0, MAX_STEPS + 1])
def test_a_chunk_of_wrong_length_is_refused(command: MotorMemory, steps: int) -> None:
    chunk = replace(CHUNK, q=np.zeros((steps, 29)), base_velocity=np.zeros((steps, 3)))
    with pytest.raises(ContractError, match=f"chunk steps: got {steps}; allowed: 1 to {MAX_STEPS}"):
        command.write_chunk(chunk)


def test_a_chunk_of_wrong_width_is_refused(command: MotorMemory) -> None:
    with pytest.raises(ContractError, match=r"chunk shapes: got q \(16, 17\), .*; allowed: q \(16, 29\)"):
        command.write_chunk(replace(CHUNK, q=np.zeros((16, 17))))


def test_requests_come_in_order_of_safety_and_are_answered(motor: MotorMemory, command: MotorMemory) -> None:
    arm, stop = command.post("arm"), command.post("stop")
    assert motor.take_requests() == ["stop", "arm"] and motor.take_requests() == []
    assert command.answer("arm", arm) is None
    motor.give_answer("stop", True, "stopped")
    motor.give_answer("arm", False, "a stop came")
    assert command.answer("arm", arm) == (False, "a stop came")
    assert command.answer("stop", stop) == (True, "stopped")
    again = command.post("arm")
    assert again == arm + 1 and command.answer("arm", again) is None
    assert motor.take_requests() == ["arm"]


def test_a_request_waits_for_its_answer(motor: MotorMemory, command: MotorMemory) -> None:
    def serve() -> None:
        while not motor.take_requests():
            time.sleep(0.001)
        motor.give_answer("arm", True, "armed")

    thread = threading.Thread(target=serve)
    thread.start()
    assert command.request("arm", timeout=5.0) == (True, "armed")
    thread.join()


def test_a_silent_motor_is_named(command: MotorMemory) -> None:
    with pytest.raises(RobotError, match=r"request 'stop': got no answer in 0.02 s .*; allowed: a motor process"):
        command.request("stop", timeout=0.02)


def test_an_unknown_request_is_refused(command: MotorMemory) -> None:
    with pytest.raises(ConfigError, match=f"request: got dance; allowed: {', '.join(REQUESTS)}"):
        command.post("dance")


def test_state_and_command_cross_as_they_went_over_the_wire(motor: MotorMemory, command: MotorMemory) -> None:
    state, frame = LowStateFrame(), LowCmdFrame()
    state.fill(77, np.full(29, 0.5), *[np.zeros(29)] * 2)
    assert command.read_state() is None and command.read_command() is None and command.last_command() is None
    motor.write_state(bytes(state.seal()), 123)
    frame.fill(*[np.full(29, 0.25)] * 5)
    motor.write_command(frame.seal(), "rt/arm_sdk", 456)
    read = command.read_state()
    assert read is not None and (read.tick, read.steady_ns, read.q[0]) == (77, 123, 0.5)
    sent = command.read_command()
    assert sent is not None and sent[:2] == (456, "rt/arm_sdk") and sent[2].kp[28] == 0.25
    assert command.read_state() is None and command.read_command() is None
    assert command.last_command() == bytes(frame.payload)


def test_a_report_crosses_whole(motor: MotorMemory, command: MotorMemory) -> None:
    report = MotorReport(
        steady_ns=1,
        state="HOLD",
        reason="no new chunk",
        mode="upper_body",
        mode_machine=11,
        commands_sent=2,
        ticks=3,
        late_ticks=4,
        low_states=5,
        bad_low_states=6,
        chunks_taken=7,
        chunk_epoch=8,
        chunk_sequence=9,
        chunk_age=0.25,
        limited_joints=("waist_yaw_joint", "left_elbow_joint"),
        limited_reasons=("jerk", "torque"),
        limit_count=10,
        period_p99=0.0021,
        tick_p99=0.0002,
    )
    motor.write_report(report)
    assert command.read_report() == report and command.read_report() is None
    unpacked = {item.name for item in fields(MotorReport)} - {"limited_joints", "limited_reasons"}
    assert unpacked == set(REPORT.names or ()) - {"limited"}


def test_a_long_reason_is_cut(motor: MotorMemory, command: MotorMemory) -> None:
    motor.write_report(MotorReport(reason="ä" * 1000))
    report = command.read_report()
    assert report is not None and report.reason == "ä" * 128
    motor.give_answer("arm", False, "x" * 1000)
    command.post("arm")


def test_beats_and_flags(motor: MotorMemory, command: MotorMemory, folder: Path) -> None:
    assert command.beat_age("motor") == float("inf") and command.motor_beat_ns == 0
    motor.beat(1_000_000_000)
    assert command.beat_age("motor", 1_500_000_000) == pytest.approx(0.5)
    assert command.motor_beat_ns == 1_000_000_000 and not command.commanding
    motor.commanding = True
    assert command.commanding and command.motor_pid == os.getpid() and command.mode == "upper_body"
    with MotorMemory.open("s", "guardian", folder) as guardian:
        guardian.take_over()
        guardian.beat()
        assert motor.taken_over and motor.beat_age("guardian") < 1.0
    with pytest.raises(Refused, match="take over: got role 'command'; allowed: role 'guardian' only"):
        command.take_over()


def test_a_view_only_reads(motor: MotorMemory, folder: Path) -> None:
    with MotorMemory.open("s", "view", folder) as view, MotorMemory.open("s", "view", folder):
        with pytest.raises(Refused, match="beat: got a view"):
            view.beat()
        with pytest.raises(Refused, match="write of block 'chunk': got role 'view'; allowed: role 'command' only"):
            view.write_chunk(CHUNK)
        with pytest.raises(Refused, match="write of block 'report': got role 'view'; allowed: role 'motor' only"):
            view.write_report(MotorReport())


def test_a_second_holder_of_a_role_is_refused(motor: MotorMemory, command: MotorMemory, folder: Path) -> None:
    with pytest.raises(Refused, match=rf"motor of session 's': got a second one \(process {os.getpid()} holds it\)"):
        MotorMemory.create("s", "arms_only", folder)
    with pytest.raises(Refused, match="command of session 's': got a second one"):
        MotorMemory.open("s", "command", folder)
    assert not command.removed and command.mode == "upper_body"


def test_a_lock_dies_with_its_process(folder: Path) -> None:
    program = (
        "import sys, pathlib, os; from neon_ros.motor.locks import RoleLock\n"
        "lock = RoleLock('s', 'motor', pathlib.Path(sys.argv[1])); print('held', flush=True); os.kill(os.getpid(), 9)"
    )
    child = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, timeout=30)
    assert child.stdout == "held\n"
    lock = RoleLock("s", "motor", folder)
    lock.release()
    lock.release()
    assert not list(folder.iterdir())


def test_an_unknown_session_names_the_running_ones(motor: MotorMemory, folder: Path) -> None:
    with pytest.raises(RobotError, match="session: got other; allowed: a session with a running motor process: s"):
        MotorMemory.open("other", "view", folder)


def test_no_session_at_all_is_said(folder: Path) -> None:
    with pytest.raises(RobotError, match=r"session: got s; .* none is running"):
        MotorMemory.open("s", "view", folder)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65, "a b", "-x"])
def test_a_session_name_that_is_no_file_name_is_refused(name: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"session: got {name!r}"[:40])):
        session_file(name, "motor", folder)


def test_a_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(RobotError, match=r"owner of .*neon_ros: got uid .*the user who starts neon_ros"):
        session_file("s", "motor", folder)


def test_files_are_private(motor: MotorMemory, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_unknown_role_is_refused(motor: MotorMemory, folder: Path) -> None:
    with pytest.raises(ConfigError, match="role: got motor; allowed: command, guardian, view"):
        MotorMemory.open("s", "motor", folder)


def test_a_foreign_file_is_refused(folder: Path) -> None:
    path = session_file("s", "motor", folder)
    for content in (b"", b"short", b"\0" * 4096):
        path.write_bytes(content)
        with pytest.raises(ContractError, match="got not a motor memory; allowed: a file that begins with"):
            MotorMemory.open("s", "view", folder)


def test_another_version_is_refused(motor: MotorMemory, folder: Path) -> None:
    motor._header["version"] = 99
    with pytest.raises(RobotError, match=r"got version 99, .* restart both sides"):
        MotorMemory.open("s", "view", folder)


def test_the_memory_of_a_dead_motor_is_refused(motor: MotorMemory, folder: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    motor._header["motor_pid"] = child.pid
    with pytest.raises(RobotError, match=rf"session s: got a motor process \({child.pid}\) that has ended"):
        MotorMemory.open("s", "view", folder)


def test_a_new_motor_starts_clean_and_the_old_memory_knows(folder: Path) -> None:
    first = MotorMemory.create("s", "upper_body", folder)
    command = MotorMemory.open("s", "command", folder)
    command.write_chunk(CHUNK)
    command.post("arm")
    first.close()
    first.close()
    assert command.removed
    with MotorMemory.create("s", "whole_body", folder) as second:
        assert second.take_chunk() is None and second.take_requests() == [] and not second.commanding
        command.close()
        with MotorMemory.open("s", "command", folder) as again:
            assert again.mode == "whole_body" and not again.removed
