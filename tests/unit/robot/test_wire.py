"""LowCmd and LowState over pre-laid buffers: byte for byte what the SDK makes, and nothing else gets in."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastcrc")

from neon_ros.errors import ContractError
from neon_ros.robot.layout import (
    LOW_CMD_BYTES,
    LOW_CMD_LAYOUT,
    LOW_STATE_BYTES,
    LOW_STATE_LAYOUT,
    NUM_SLOTS,
    Layout,
    crc_of,
)
from neon_ros.robot.wire import LowCmdFrame, LowStateDecoder, LowStateFrame, decode_low_cmd, decode_low_state

RNG = np.random.default_rng(7)


def random_joints(count: int) -> list[np.ndarray]:
    """Return ``count`` random joint vectors, exact in float32."""
    return [RNG.normal(size=29).astype(np.float32).astype(np.float64) for _ in range(count)]


def command_frame(values: list[np.ndarray], weight: float = 0.0, mode_machine: int = 5) -> LowCmdFrame:
    """Return a filled frame."""
    frame = LowCmdFrame()
    frame.set_mode(0, mode_machine)
    frame.set_motor_mode(1)
    frame.fill(*values)
    frame.set_weight(weight)
    return frame


def state_frame(values: list[np.ndarray]) -> LowStateFrame:
    """Return a filled frame with something in every field."""
    frame = LowStateFrame()
    frame.set_mode(0, 11)
    frame.fill(123456, *values)
    frame.set_imu([0.5, -0.5, 0.5, 0.5], [1, 2, 3], [4, 5, 6], [0.25, 0.5, 0.75])
    frame.set_health(np.arange(29) + 20, np.arange(29) + 40, np.arange(29), np.arange(29) * 0.5)
    frame.set_remote(bytes(range(40)))
    return frame


def bitwise_crc(words: list[int]) -> int:
    """Return the robot's CRC, bit by bit as the vendor's listing does it."""
    crc = 0xFFFFFFFF
    for word in words:
        for bit in range(31, -1, -1):
            top = crc >> 31 & 1
            crc = crc << 1 & 0xFFFFFFFF
            if top:
                crc ^= 0x04C11DB7
            if word >> bit & 1:
                crc ^= 0x04C11DB7
    return crc


def c_struct(payload: bytes, layout: Layout) -> bytes:
    """Return the C struct of a payload, unpacked from CDR and packed by the format of the vendor's crc.py."""
    if layout is LOW_CMD_LAYOUT:
        first = struct.unpack_from("<BBBx5fI", payload, 4)
        rest = [x for i in range(1, NUM_SLOTS) for x in struct.unpack_from("<B3x5fI", payload, 4 + 28 * i)]
        tail = struct.unpack_from("<5I", payload, 984)
        return struct.pack("<2B2x" + "B3x5fI" * NUM_SLOTS + "5I", *first, *rest, *tail)
    head = struct.unpack_from("<2I2B2xI13fhB", payload, 4)
    first = struct.unpack_from("<4f2hf7I", payload, 76)
    rest = [x for i in range(1, NUM_SLOTS) for x in struct.unpack_from("<B3x4f2hf7I", payload, 72 + 56 * i)]
    tail = struct.unpack_from("<40B5I", payload, 2032)
    return struct.pack("<2I2B2xI13fh2x" + "B3x4f2hf7I" * NUM_SLOTS + "40B5I", *head, *first, *rest, *tail)


def sdk_command(values: list[np.ndarray], weight: float) -> Any:
    """Return the SDK's own LowCmd with the same content."""
    default = pytest.importorskip("unitree_sdk2py.idl.default")
    message = default.unitree_hg_msg_dds__LowCmd_()
    message.mode_pr, message.mode_machine = 0, 5
    for i, motor in enumerate(message.motor_cmd[:29]):
        motor.mode = 1
        motor.q, motor.dq, motor.tau, motor.kp, motor.kd = (float(v[i]) for v in values)
    message.motor_cmd[29].q = weight
    message.crc = pytest.importorskip("unitree_sdk2py.utils.crc").CRC().Crc(message)
    return message


def test_low_cmd_equals_the_sdk_byte_for_byte() -> None:
    values = random_joints(5)
    message = sdk_command(values, 0.5)
    payload = command_frame(values, 0.5).seal()
    assert bytes(payload) == message.serialize()


def test_low_state_equals_the_sdk_byte_for_byte() -> None:
    default = pytest.importorskip("unitree_sdk2py.idl.default")
    values = random_joints(4)
    message = default.unitree_hg_msg_dds__LowState_()
    message.mode_machine, message.tick = 11, 123456
    imu = message.imu_state
    imu.quaternion, imu.gyroscope, imu.accelerometer = [0.5, -0.5, 0.5, 0.5], [1, 2, 3], [4, 5, 6]
    imu.rpy, imu.temperature = [0.25, 0.5, 0.75], 48
    for i, motor in enumerate(message.motor_state[:29]):
        motor.mode = 1
        motor.q, motor.dq, motor.tau_est, motor.ddq = (float(v[i]) for v in values)
        motor.temperature, motor.motorstate, motor.vol = [20 + i, 40 + i], i, i * 0.5
    message.wireless_remote = list(range(40))
    message.crc = pytest.importorskip("unitree_sdk2py.utils.crc").CRC().Crc(message)
    payload = bytes(state_frame(values).seal())
    assert payload == message.serialize()
    again = type(message).deserialize(payload)
    assert again.motor_state == message.motor_state and again.imu_state == message.imu_state


@pytest.mark.parametrize("layout", [LOW_CMD_LAYOUT, LOW_STATE_LAYOUT], ids=lambda layout: layout.name)
def test_crc_equals_a_bitwise_reference_over_the_c_struct(layout: Layout) -> None:
    frame = command_frame(random_joints(5), 1.0) if layout is LOW_CMD_LAYOUT else state_frame(random_joints(4))
    payload = bytes(frame.seal())
    struct_bytes = c_struct(payload, layout)
    assert len(struct_bytes) == layout.size
    words = list(struct.unpack(f"<{layout.size // 4}I", struct_bytes))
    assert bitwise_crc(words[:-1]) == words[-1] == int.from_bytes(payload[-4:], "little")
    assert struct_bytes[76:] == payload[76:]


def test_golden_low_cmd_frame() -> None:
    """The simplest frame, worked out by hand: header, modes, one float, CRC from the bitwise reference."""
    frame = LowCmdFrame()
    frame.set_mode(0, 5)
    frame.set_motor_mode([1, *[0] * 28])
    zeros = np.zeros(29)
    frame.fill([1.0, *[0.0] * 28], zeros, zeros, zeros, zeros)
    payload = bytes(frame.seal())
    words = [0x0500, 0x01, 0x3F800000, *[0] * 247]
    assert payload[:12] == bytes.fromhex("00010000 00050100 0000803f")
    assert not any(payload[12:1000])
    assert int.from_bytes(payload[1000:], "little") == bitwise_crc(words)


def test_padding_is_zero_and_ignored() -> None:
    payload = bytearray(state_frame(random_joints(4)).seal())
    assert payload[14:16] == b"\0\0"
    assert all(payload[72 + 56 * i + pad] == 0 for i in range(1, NUM_SLOTS) for pad in (1, 2, 3))
    payload[14] = payload[72 + 56 * 5 + 2] = 0xFF  # a peer's uninitialised padding is not part of the message
    assert decode_low_state(bytes(payload), 0).tick == 123456


@pytest.mark.parametrize("frame", [LowCmdFrame(), LowStateFrame()], ids=["LowCmd", "LowState"])
def test_crc_changes_with_either_mode(frame: LowCmdFrame | LowStateFrame) -> None:
    seen = set()
    for mode_pr, mode_machine in ((0, 5), (1, 5), (0, 11)):
        frame.set_mode(mode_pr, mode_machine)
        seen.add(bytes(frame.seal()[-4:]))
    assert len(seen) == 3


def test_every_byte_of_low_cmd_but_padding_is_covered_by_the_crc() -> None:
    payload = bytes(command_frame(random_joints(5), 0.25).seal())
    padding = {7} | {4 + 28 * i + pad for i in range(1, NUM_SLOTS) for pad in (1, 2, 3)} | {2, 3}
    for index in range(len(payload)):
        broken = bytearray(payload)
        broken[index] ^= 0x10
        if index in padding:
            decode_low_cmd(bytes(broken))
        else:
            with pytest.raises(ContractError, match=r"LowCmd (CRC|CDR header): got"):
                decode_low_cmd(bytes(broken))


def test_dq_reaches_the_wire_and_there_is_no_qd() -> None:
    q, dq, tau, kp, kd = random_joints(5)
    command = decode_low_cmd(command_frame([q, dq, tau, kp, kd]).seal())
    assert np.array_equal(command.dq, dq) and np.array_equal(command.q, q)
    for thing in (command, LowCmdFrame()):
        assert not hasattr(thing, "qd")
    with pytest.raises(AttributeError):
        command.qd = dq  # type: ignore[attr-defined]


def test_low_cmd_round_trip() -> None:
    values = random_joints(5)
    frame = command_frame(values, 0.5, mode_machine=15)
    mode = np.ones(29, int)
    mode[[0, 13]] = 0
    frame.set_motor_mode(mode)
    command = decode_low_cmd(bytes(frame.seal()))
    for got, want in zip((command.q, command.dq, command.tau, command.kp, command.kd), values, strict=True):
        assert np.array_equal(got, want)
    assert (command.mode_pr, command.mode_machine, command.weight) == (0, 15, 0.5)
    assert np.array_equal(command.mode, mode)


def test_swapped_ankles_do_not_go_unseen() -> None:
    values = random_joints(5)
    swapped = [v.copy() for v in values]
    swapped[0][[4, 5]] = swapped[0][[5, 4]]
    assert bytes(command_frame(values).seal()) != bytes(command_frame(swapped).seal())
    assert decode_low_cmd(command_frame(values).seal()).q[4] == values[0][4]


def test_low_state_round_trip() -> None:
    q, dq, tau, ddq = random_joints(4)
    state = decode_low_state(bytes(state_frame([q, dq, tau, ddq]).seal()), steady_ns=99)
    assert np.array_equal(state.q, q) and np.array_equal(state.dq, dq)
    assert np.array_equal(state.tau, tau) and np.array_equal(state.ddq, ddq)
    assert (state.steady_ns, state.tick, state.mode_machine, state.mode_pr) == (99, 123456, 11, 0)
    assert state.quaternion_wxyz.tolist() == [0.5, -0.5, 0.5, 0.5]
    assert state.gyroscope.tolist() == [1, 2, 3] and state.accelerometer.tolist() == [4, 5, 6]
    assert state.rpy.tolist() == [0.25, 0.5, 0.75]
    assert state.temperature.tolist() == list(range(20, 49)) and state.winding.tolist() == list(range(40, 69))
    assert state.motorstate.tolist() == list(range(29)) and state.voltage[3] == 1.5
    assert state.mode.tolist() == [1] * 29
    assert state.wireless_remote == bytes(range(40))


def test_a_decoded_state_does_not_change_with_its_buffer() -> None:
    frame = state_frame(random_joints(4))
    state = decode_low_state(frame.seal(), 0)
    q = state.q.copy()
    frame.fill(1, *[np.zeros(29)] * 3)
    frame.seal()
    assert np.array_equal(state.q, q) and state.temperature[0] == 20


@pytest.mark.parametrize("size", [0, 3, 1003, 1005, 2091, 2093, 4096])
def test_wrong_length_is_refused(size: int) -> None:
    with pytest.raises(ContractError, match=f"LowCmd length: got {size} bytes; allowed: {LOW_CMD_BYTES} bytes"):
        decode_low_cmd(bytes(size))
    with pytest.raises(ContractError, match=f"LowState length: got {size} bytes; allowed: {LOW_STATE_BYTES} bytes"):
        decode_low_state(bytes(size), 0)


def test_big_endian_cdr_is_refused() -> None:
    payload = b"\0\0" + bytes(state_frame(random_joints(4)).seal())[2:]
    with pytest.raises(ContractError, match="LowState CDR header: got 0000; allowed: 0001"):
        decode_low_state(payload, 0)


def test_bad_crc_is_refused() -> None:
    payload = bytearray(state_frame(random_joints(4)).seal())
    payload[-1] ^= 1
    with pytest.raises(ContractError, match=r"LowState CRC: got 0x[0-9a-f]{8}; allowed: 0x[0-9a-f]{8}, computed"):
        decode_low_state(bytes(payload), 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("row", "name"), enumerate(["q", "dq", "tau_est", "ddq"]))
def test_low_state_that_is_not_finite_is_refused_by_name(bad: float, row: int, name: str) -> None:
    values = random_joints(4)
    values[row][3] = bad
    with pytest.raises(ContractError, match=rf"LowState: got {name}\[left_knee_joint\] = .*; allowed: finite"):
        decode_low_state(bytes(state_frame(values).seal()), 0)


def test_an_imu_that_is_not_finite_is_refused() -> None:
    frame = state_frame(random_joints(4))
    frame.set_imu([1, 0, 0, 0], [0, np.nan, 0], [0, 0, 9.8], [0, 0, 0])
    with pytest.raises(ContractError, match=r"LowState: got imu float 5 \(.*gyroscope 4-6.*= nan"):
        decode_low_state(bytes(frame.seal()), 0)


def test_the_largest_floats_are_finite() -> None:
    values = [np.full(29, np.finfo(np.float32).max, dtype=np.float64) for _ in range(4)]
    assert np.array_equal(decode_low_state(bytes(state_frame(values).seal()), 0).q, values[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e308])
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_command_that_is_not_finite_is_never_sealed(bad: float) -> None:
    values = random_joints(5)
    values[4][28] = bad
    frame = command_frame(values)
    with pytest.raises(ContractError, match=r"LowCmd.kd\[right_wrist_yaw_joint\]: got (nan|inf); allowed: finite"):
        frame.seal()
    with pytest.raises(ContractError, match="LowCmd payload: got changed after seal"):
        _ = frame.payload


@pytest.mark.parametrize("shape", [(28,), (30,), (1,), (), (29, 1)])
def test_a_command_of_wrong_width_is_refused(shape: tuple[int, ...]) -> None:
    zeros = np.zeros(29)
    with pytest.raises(ContractError, match=r"LowCmd.tau shape: got .*; allowed: \(29,\)"):
        LowCmdFrame().fill(zeros, zeros, np.zeros(shape), zeros, zeros)


@pytest.mark.parametrize("weight", [-0.01, 1.01, float("nan")])
def test_a_weight_outside_zero_to_one_is_refused(weight: float) -> None:
    with pytest.raises(ContractError, match=r"arm_sdk weight: got .*; allowed: 0 to 1"):
        LowCmdFrame().set_weight(weight)


def test_slots_29_to_34_stay_zero_without_a_weight() -> None:
    payload = bytes(command_frame(random_joints(5)).seal())
    assert not any(payload[4 + 28 * 29 : 984])


def test_wrong_modes_are_refused() -> None:
    frame = LowCmdFrame()
    with pytest.raises(ContractError, match=r"LowCmd.mode_pr: got 2; allowed: 0"):
        frame.set_mode(2, 5)
    with pytest.raises(ContractError, match=r"LowCmd.mode_machine: got 256; allowed: 0 to 255"):
        frame.set_mode(0, 256)
    for mode in (2, [1] * 28, [1] * 28 + [3]):
        with pytest.raises(ContractError, match=r"LowCmd motor mode: got .*; allowed: 0 or 1, once or 29 times"):
            frame.set_motor_mode(mode)


def test_a_remote_of_wrong_length_is_refused() -> None:
    with pytest.raises(ContractError, match="wireless_remote length: got 39; allowed: 40"):
        LowStateFrame().set_remote(bytes(39))


def test_payload_is_read_only_and_needs_a_seal() -> None:
    frame = command_frame(random_joints(5))
    with pytest.raises(ContractError, match="LowCmd payload: got changed after seal"):
        _ = frame.payload
    payload = frame.seal()
    assert frame.payload == payload and payload.readonly
    for change in (lambda: frame.set_weight(0.5), lambda: frame.set_mode(0, 6), lambda: frame.set_motor_mode(0)):
        frame.seal()
        change()
        with pytest.raises(ContractError, match="changed after seal"):
            _ = frame.payload


def test_tick_wraps_at_32_bits() -> None:
    frame = LowStateFrame()
    frame.fill(2**32 + 5, *[np.zeros(29)] * 3)
    assert decode_low_state(frame.seal(), 0).tick == 5


@pytest.mark.parametrize("layout", [LOW_CMD_LAYOUT, LOW_STATE_LAYOUT], ids=lambda layout: layout.name)
def test_arbitrary_bytes_are_refused_and_nothing_else_happens(layout: Layout) -> None:
    frame = command_frame(random_joints(5)) if layout is LOW_CMD_LAYOUT else state_frame(random_joints(4))
    sound = bytes(frame.seal())
    for case in range(2000):
        broken = bytearray(sound) if case % 2 else bytearray(RNG.bytes(layout.size))
        for index in RNG.integers(4, layout.size, size=1 + case % 5):
            broken[index] ^= int(RNG.integers(1, 256))
        payload = bytes(broken[: RNG.integers(0, layout.size)] if case % 7 == 0 else broken)
        try:
            value = decode_low_cmd(payload) if layout is LOW_CMD_LAYOUT else decode_low_state(payload, 0)
        except ContractError:
            continue
        good = decode_low_cmd(sound) if layout is LOW_CMD_LAYOUT else decode_low_state(sound, 0)
        assert np.array_equal(value.q, good.q), "only padding may differ"


def test_arbitrary_floats_with_a_right_crc_are_read_or_refused_as_not_finite() -> None:
    for _ in range(300):
        payload = bytearray(state_frame(random_joints(4)).seal())
        payload[76:2032] = RNG.bytes(2032 - 76)
        payload[-4:] = crc_of(payload, LOW_STATE_LAYOUT).to_bytes(4, "little")
        try:
            state = decode_low_state(bytes(payload), 0)
        except ContractError as error:
            assert "allowed: finite values" in str(error)
        else:
            assert np.isfinite(state.q).all() and np.isfinite(state.dq).all() and np.isfinite(state.tau).all()


def test_a_decoder_keeps_nothing_of_one_payload_for_the_next() -> None:
    decoder, frame = LowStateDecoder(), state_frame(random_joints(3))
    first = decoder.decode(bytes(frame.seal()), 1)
    before = first.q.copy(), first.dq.copy(), first.quaternion_wxyz.copy(), first.temperature.copy()
    frame.fill(7, *random_joints(3))
    with pytest.raises(ContractError, match="LowState CRC"):
        decoder.decode(bytes(frame._buffer), 2)
    frame.set_health(50, 60)
    second, alone = decoder.decode(bytes(frame.seal()), 3), decode_low_state(bytes(frame.seal()), 3)
    for name in ("q", "dq", "tau", "quaternion_wxyz", "gyroscope", "accelerometer", "temperature", "winding"):
        np.testing.assert_array_equal(getattr(second, name), getattr(alone, name))
    assert (second.temperature == 50).all() and (second.winding == 60).all()
    for was, value in zip(before, (first.q, first.dq, first.quaternion_wxyz, first.temperature), strict=True):
        np.testing.assert_array_equal(was, value)
