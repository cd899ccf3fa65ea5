"""I15 and I16: a million frames with the right checksum, golden frames to the byte, and no input that ends us."""

from __future__ import annotations

import resource
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neon_ros.errors import NeonError, Refused
from neon_ros.guard.admission import Admission
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS
from neon_ros.robot.wire import LowCmdFrame, LowStateFrame, decode_low_cmd, decode_low_state
from oracles import crc, robot
from oracles.golden import LOW_CMD, LOW_STATE
from oracles.makers import action_chunk
from oracles.parallel import PROCESSES, spread
from oracles.scale import scaled

FRAMES = scaled(1_000_000)
FUZZED = scaled(1_000_000)
BATCH = 10_000


def fill_many(seed: int, count: int) -> int:
    """Fill ``count`` frames with random commands and judge all bytes of each."""
    rng = np.random.default_rng(seed)
    made = 0
    while made < count:
        arm_sdk = bool(rng.integers(2))
        machine = int(rng.choice(robot.KNOWN))
        frame = LowCmdFrame()
        frame.set_mode(0, machine)
        modes = np.ones(29, dtype=np.uint8)
        modes[list(robot.absent(machine))] = 0
        frame.set_motor_mode(modes)
        values = (rng.normal(size=(BATCH, 5, 29)) * 10.0 ** rng.integers(-30, 30, (BATCH, 5, 29))).astype(np.float32)
        weights = rng.random(BATCH).astype(np.float32) if arm_sdk else np.zeros(BATCH, np.float32)
        payloads = np.empty((BATCH, 1004), dtype=np.uint8)
        for i in range(BATCH):
            frame.fill(*values[i])
            if arm_sdk:
                frame.set_weight(float(weights[i]))
            payloads[i] = np.frombuffer(frame.seal(), np.uint8)
        assert (payloads[:, :4] == (0, 1, 0, 0)).all()
        assert (payloads[:, 4] == 0).all(), "mode_pr is 0"
        assert (payloads[:, 5] == machine).all(), "mode_machine is the robot's"
        assert (payloads[:, 7] == 0).all(), "padding"
        for slot in range(35):
            motor = payloads[:, 8 + 28 * slot : 32 + 28 * slot]
            numbers = np.ascontiguousarray(motor[:, :20]).view("<f4")
            mode = payloads[:, 6] if slot == 0 else payloads[:, 4 + 28 * slot]
            assert not motor[:, 20:].any(), "reserve"
            if slot:
                assert not payloads[:, 5 + 28 * slot : 8 + 28 * slot].any(), "padding"
            if slot < 29:
                assert (mode == modes[slot]).all()
                np.testing.assert_array_equal(numbers, values[:, :, slot])
            elif slot == 29:
                np.testing.assert_array_equal(numbers[:, 0], weights)
                assert not numbers[:, 1:].any() and not mode.any()
            else:
                assert not numbers.any() and not mode.any()
        assert not payloads[:, 984:1000].any()
        sums = np.ascontiguousarray(payloads[:, 1000:]).view("<u4")[:, 0]
        np.testing.assert_array_equal(sums, crc.of_many(crc.low_cmd_words(payloads)))
        made += BATCH
    return made


def test_i15_a_million_frames_have_the_reference_checksum_and_nothing_else_in_them() -> None:
    found = spread(fill_many, [(150 + i, -(-FRAMES // PROCESSES)) for i in range(PROCESSES)])
    assert sum(found) >= FRAMES


def test_i15_the_batch_oracle_agrees_with_the_bitwise_one_over_the_c_struct() -> None:
    rng = np.random.default_rng(15)
    payloads = rng.integers(0, 256, (20, 1004)).astype(np.uint8)
    payloads[:, 7] = 0
    batch = crc.of_many(crc.low_cmd_words(payloads))
    for payload, got in zip(payloads, batch, strict=True):
        words = struct.unpack("<251I", crc.low_cmd_struct(payload.tobytes()))
        assert crc.bitwise(list(words[:-1])) == got


def golden_cmd_frame() -> LowCmdFrame:
    """Return the frame whose bytes are kept in ``oracles/golden.py``."""
    joints = np.arange(29, dtype=np.float64)
    frame = LowCmdFrame()
    frame.set_mode(0, 5)
    frame.set_motor_mode(1)
    frame.fill(joints / 32 - 0.5, joints / 16 - 1, 1 - joints / 8, joints + 40, joints / 4)
    frame.set_weight(0.75)
    return frame


def golden_state_frame() -> LowStateFrame:
    """Return the frame whose bytes are kept in ``oracles/golden.py``."""
    joints = np.arange(29, dtype=np.float64)
    frame = LowStateFrame()
    frame.set_mode(0, 15)
    frame.fill(0x01020304, joints / 64, joints / 8 - 2, 1 - joints / 4, joints - 14)
    frame.set_imu([0.5, -0.5, 0.5, -0.5], [0.25, 0.5, 0.75], [0.125, -0.25, 9.75], [1.5, -0.5, 0.25])
    frame.set_health(joints + 25, joints + 50, joints * 3, 48.0 + joints / 16)
    frame.set_remote(bytes(range(100, 140)))
    return frame


def test_i15_golden_low_cmd_to_the_byte() -> None:
    payload = bytes(golden_cmd_frame().seal())
    assert payload.hex() == LOW_CMD
    assert int.from_bytes(payload[1000:], "little") == crc.bitwise(
        list(struct.unpack("<250I", crc.low_cmd_struct(payload)[:1000]))
    )
    command = decode_low_cmd(bytes.fromhex(LOW_CMD))
    assert command.q[0] == -0.5 and command.dq[28] == 0.75 and command.kp[1] == 41.0 and command.weight == 0.75
    assert (command.mode_pr, command.mode_machine) == (0, 5) and command.mode.all()


def test_i15_golden_low_state_to_the_byte() -> None:
    payload = bytes(golden_state_frame().seal())
    assert payload.hex() == LOW_STATE
    state = decode_low_state(bytes.fromhex(LOW_STATE), 3)
    assert state.q[28] == 28 / 64 and state.dq[0] == -2.0 and state.tau[4] == 0.0 and state.tick == 0x01020304
    assert (
        state.temperature[3] == 28.0 and state.winding[3] == 53.0 and state.motorstate[2] == 6 and state.rpy[0] == 1.5
    )
    assert state.wireless_remote == bytes(range(100, 140)) and state.mode_machine == 15


def test_i15_golden_frames_are_what_the_vendors_objects_serialise_to() -> None:
    default = pytest.importorskip("unitree_sdk2py.idl.default")
    checksum = pytest.importorskip("unitree_sdk2py.utils.crc").CRC()
    for kind, text in (
        (default.unitree_hg_msg_dds__LowCmd_, LOW_CMD),
        (default.unitree_hg_msg_dds__LowState_, LOW_STATE),
    ):
        message = type(kind()).deserialize(bytes.fromhex(text))
        assert checksum.Crc(message) == message.crc
        assert message.serialize().hex() == text


def hostile_low_state(rng: np.random.Generator, sound: bytes) -> bytes:
    """Return bytes that a network could deliver instead of a LowState."""
    kind = int(rng.integers(6))
    if kind == 0:
        return rng.bytes(int(rng.integers(0, 3000)))
    payload = bytearray(sound)
    if kind == 1:
        return bytes(payload[: int(rng.integers(0, len(payload)))])
    if kind == 2:
        return bytes(payload) + rng.bytes(int(rng.integers(1, 100)))
    for _ in range(int(rng.integers(1, 8))):
        payload[int(rng.integers(len(payload)))] = int(rng.integers(256))
    if kind == 3:
        return bytes(payload)
    if kind == 4:
        payload[76:2032] = rng.bytes(1956)
    return bytes(payload)


def hostile_chunk(rng: np.random.Generator) -> Any:
    """Return an ActionChunk-like object with anything in any field."""
    anything = (None, 0, -1, 2**63, 2**200, 1.5, float("nan"), float("inf"), "", "x" * 100, b"\xff", [], {}, object(),
                np.zeros(3), np.full((4, 14), np.nan), np.zeros((4, 14), dtype=complex), np.zeros((4, 14), dtype="O"),
                np.array("x"), True, (1, 2), ("left_knee_joint",) * 14)  # fmt: skip
    names = ("stamp_ns", "epoch", "sequence", "mode", "joint_names", "dt", "q", "base_velocity")
    return action_chunk(**{names[int(rng.integers(8))]: anything[int(rng.integers(len(anything)))] for _ in range(2)})


def resident_kb() -> int:
    """Return the resident memory of this process [kB]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def fuzz_many(seed: int, count: int) -> tuple[int, int, int]:
    """Throw ``count`` inputs at every parser; return inputs, those refused, and the growth of memory [kB]."""
    rng = np.random.default_rng(seed)
    state, command = bytes(golden_state_frame().seal()), bytes(golden_cmd_frame().seal())
    door = Admission(MODES["arms_only"], VARIANTS[5])
    before, refused = 0, 0
    for i in range(count):
        if i == 20_000 or (i == count // 4 and before == 0):
            before = resident_kb()
        try:
            if i % 10 < 4:
                decode_low_state(hostile_low_state(rng, state), i)
            elif i % 10 < 7:
                decode_low_cmd(hostile_low_state(rng, command))
            else:
                door.admit(hostile_chunk(rng), 10 * 10**6, 1.0)
        except NeonError:
            refused += 1
    return count, refused, resident_kb() - before


def test_i16_no_input_ends_the_process_or_fills_its_memory() -> None:
    found = spread(fuzz_many, [(160 + i, -(-FUZZED // PROCESSES)) for i in range(PROCESSES)])
    assert sum(one[0] for one in found) >= FUZZED
    assert sum(one[1] for one in found) > 0.9 * FUZZED, "nearly all of it is refused, with a sentence"
    assert max(one[2] for one in found) <= 16 * 1024


def test_i16_a_frame_with_a_right_checksum_and_any_content_is_read_or_refused() -> None:
    rng = np.random.default_rng(161)
    frame = LowStateFrame()
    for _ in range(scaled(20_000)):
        numbers = rng.integers(0, 2**32, (3, 29), dtype=np.uint32).view(np.float32)
        frame.set_mode(0, int(rng.integers(256)))
        frame.fill(int(rng.integers(2**40)), *numbers)
        payload = bytes(frame.seal())
        try:
            state = decode_low_state(payload, 0)
        except NeonError as error:
            assert "allowed: finite values" in str(error)
            assert not np.isfinite(numbers).all()
        else:
            assert np.isfinite(numbers).all() and np.isfinite(state.q).all()


def test_i16_messages_with_anything_in_them_are_refused_or_admitted() -> None:
    chunks = pytest.importorskip("neon_ros.bridge.chunk")
    rng = np.random.default_rng(162)
    door = Admission(MODES["arms_only"], VARIANTS[5])
    strange = (float("nan"), float("inf"), -1.0, 0.0, 1e38, 5e-324)
    refused = 0
    for i in range(scaled(20_000)):
        msg = chunks.chunk_to_msg(action_chunk(sequence=i + 1))
        for _ in range(int(rng.integers(1, 4))):
            kind = int(rng.integers(8))
            if kind == 0:
                msg.dt = float(rng.choice(strange))
            elif kind == 1:
                msg.horizon = int(rng.integers(0, 2**16))
            elif kind == 2:
                msg.joint_names = [["x" * 3000], [], ["left_knee_joint"] * 14, list(msg.joint_names)[::-1]][
                    int(rng.integers(4))
                ]
            elif kind == 3:
                msg.q = rng.choice(strange[:5], int(rng.integers(0, 80))).astype("float32").tolist()
            elif kind == 4:
                msg.base_velocity = rng.normal(size=int(rng.integers(0, 30))).astype("float32").tolist()
            elif kind == 5:
                msg.header.stamp.sec = int(rng.integers(-(2**31), 2**31))
            elif kind == 6:
                msg.mode = "é" * int(rng.integers(0, 300))
            else:
                msg.valid_until.nanosec = int(rng.integers(0, 2**32))
        try:
            door.admit(chunks.chunk_from_msg(msg), 10 * 10**6, 1.0)
        except (NeonError, Refused):
            refused += 1
    assert refused > 0
