"""A .pth file is read as data: right numbers from both containers, and nothing that a file says is ever executed."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neon_ros.encode.torch_file import parse_state_dict, read_state_dict
from neon_ros.errors import CheckpointError, NeonError

MAGIC = 0x1950A86A20F9469CFC6C
NUMBERS = np.arange(6, dtype="<f4").tobytes()
SYSTEM = {"protocol_version": 1001, "little_endian": True}


class Opcodes(bytes):
    """Bytes that stand for a value in a program."""


def opcodes(value: Any) -> bytes:
    """Return the pickle opcodes (protocol 2) that make a plain value."""
    if isinstance(value, Opcodes):
        return bytes(value)
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if value is None:
        return b"N"
    if isinstance(value, int):
        raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + bytes([len(raw)]) + raw
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, tuple):
        return b"(" + b"".join(map(opcodes, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(opcodes, value)) + b"e"
    return b"}(" + b"".join(opcodes(key) + opcodes(item) for key, item in value.items()) + b"u"


def program(value: Any) -> bytes:
    return b"\x80\x02" + opcodes(value) + b"."


def tensor(
    shape: tuple[int, ...] = (2, 3),
    strides: tuple[int, ...] = (3, 1),
    offset: int = 0,
    length: int = 6,
    storage: bytes = b"ctorch\nFloatStorage\n",
    function: bytes = b"ctorch._utils\n_rebuild_tensor_v2\n",
    view: Any = None,
) -> Opcodes:
    """Return the opcodes of a tensor as torch writes them."""
    persistent = Opcodes(opcodes(("storage", Opcodes(storage), "k", "cpu", length, view)) + b"Q")
    hooks = Opcodes(b"ccollections\nOrderedDict\n)R")
    return Opcodes(function + opcodes((persistent, offset, shape, strides, False, hooks)) + b"R")


def legacy(
    state: Any, magic: int = MAGIC, protocol: int = 1001, system: Any = SYSTEM, raw: bytes = NUMBERS, count: int = 6
) -> bytes:
    return b"".join(map(program, (magic, protocol, system, state, ["k"]))) + struct.pack("<q", count) + raw


def zipped(state: Any, **files: bytes) -> bytes:
    stream = io.BytesIO()
    contents = {"a/data.pkl": program(state), "a/data/k": NUMBERS, **files}
    with zipfile.ZipFile(stream, "w") as archive:
        for name, raw in contents.items():
            archive.writestr(name, raw)
    return stream.getvalue()


@pytest.mark.parametrize("container", [legacy, zipped])
def test_both_containers_give_the_numbers(container: Any) -> None:
    read = parse_state_dict(container({"w": tensor(), "v": tensor((3, 2), (1, 3)), "s": tensor((), (), 4)}), "x.pth")
    numbers = np.arange(6, dtype=np.float32)
    assert list(read) == ["w", "v", "s"]
    assert np.array_equal(read["w"], numbers.reshape(2, 3)) and read["w"].dtype == np.float32
    assert np.array_equal(read["v"], numbers.reshape(2, 3).T)
    assert read["s"] == 4 and read["s"].shape == ()
    read["w"][0, 0] = 7  # a copy of its own
    assert read["v"][0, 0] == 0


def test_an_empty_tensor_is_a_tensor() -> None:
    assert parse_state_dict(legacy({"w": tensor((0, 3), (3, 1))}), "x.pth")["w"].shape == (0, 3)


EVIL = b"cos\nsystem\n" + opcodes(("touch executed",)) + b"R"


@pytest.mark.parametrize("container", [legacy, zipped])
@pytest.mark.parametrize(
    ("state", "message"),
    [
        (Opcodes(EVIL), r"pickle name: got os system; allowed: collections OrderedDict, torch\._utils"),
        ({"w": Opcodes(b"cbuiltins\neval\n" + opcodes(("1",)) + b"R")}, "pickle name: got builtins eval"),
        (Opcodes(b"(" + opcodes("touch executed") + b"ios\nsystem\n"), "pickle opcode: got INST"),
        (Opcodes(opcodes("os") + opcodes("system") + b"\x93"), "pickle opcode: got STACK_GLOBAL"),
        (Opcodes(b"ccollections\nOrderedDict\n)\x81"), "pickle opcode: got NEWOBJ"),
        (Opcodes(b"\x82\x01"), "pickle opcode: got EXT1"),
        ({"w": tensor(function=b"ccollections\nOrderedDict\n")}, "pickle call: got"),
        ({"w": tensor(function=b"ctorch\nFloatStorage\n")}, "pickle call: got"),
        ({"w": tensor(storage=b"ctorch\nQInt8Storage\n")}, "pickle name: got torch QInt8Storage"),
        ({"w": tensor(storage=b"ccollections\nOrderedDict\n")}, "persistent id: got .* allowed: a whole dense storage"),
        ({"w": tensor(view=("v", 0, 3))}, "persistent id: got"),
        ({"w": 5}, "entry 'w': got int; allowed: a tensor by name"),
        ({5: tensor()}, "entry 5: got _Tensor"),
        ([1, 2], "weights file: got list; allowed: a dict of tensors"),
        (Opcodes(b"](" + opcodes(1) + opcodes(2) + b"u"), "pickle SETITEMS: got list; allowed: a dict"),
        (Opcodes(b"}(" + opcodes(1) + b"e"), "pickle APPENDS: got dict; allowed: a list"),
        (Opcodes(b"ctorch._utils\n_rebuild_tensor_v2\n" + opcodes((1, 0, (), ())) + b"R"), "tensor storage: got int"),
        ({"w": tensor((2, 4), (3, 1))}, r"tensor w: got \(0, \(2, 4\), \(3, 1\)\); allowed: at most 6 numbers"),
        ({"w": tensor((2, 3), (4, 1))}, "tensor w: got .* allowed: inside 6 numbers"),
        ({"w": tensor(offset=1)}, "tensor w: got .* allowed: inside 6 numbers"),
        ({"w": tensor((2, 3), (-3, 1))}, "tensor w: got .* allowed: no negative size, stride or offset"),
        ({"w": tensor((2, 3), (1,))}, r"strides of w: got \(1,\); allowed: 2 numbers"),
        ({"w": tensor((10**9, 10**9), (0, 0))}, "tensor w: got .* allowed: at most 6 numbers"),
        (Opcodes(b"t"), "weights file: got unreadable"),
    ],
)
def test_what_a_state_dict_does_not_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: Any, state: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        parse_state_dict(container(state), "x.pth")
    assert not os.listdir(tmp_path)  # nothing was executed


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "x.pth: weights file: got unreadable"),
        (b"hello", "weights file: got unreadable"),
        (legacy({"w": tensor()}, magic=5), "weights file: got magic 5; allowed: a file of torch.save"),
        (legacy({"w": tensor()}, protocol=1002), "container protocol: got 1002; allowed: 1001"),
        (
            legacy({"w": tensor()}, system={"little_endian": False}),
            "byte order: got little_endian False",
        ),
        (legacy({"w": tensor()}, raw=b"12"), "storage of w: got 2 bytes; allowed: 24 bytes"),
        (legacy({"w": tensor()}, count=7), "storage k: got 7 numbers; allowed: what its tensors say"),
        (legacy({"w": tensor()})[:-26], "weights file: got unreadable"),
        (zipped({"w": tensor()}, **{"a/byteorder": b"big"}), "byte order: got b'big'; allowed: little"),
        (zipped({"w": tensor()}, **{"b/data.pkl": b""}), "zip container: got 2 files data.pkl; allowed: one"),
        (zipped({"w": tensor()}, **{"a/data/k": b"1"}), "storage of w: got 1 bytes"),
        (zipped({"w": tensor()})[:60], "weights file: got unreadable"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        parse_state_dict(raw, "x.pth")


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"weights file: got .*none\.pth: No such file"):
        read_state_dict(tmp_path / "none.pth")


@settings(max_examples=300)
@given(st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_no_flipped_byte_does_more_than_raise_our_error(place: int, value: int, zip_it: bool) -> None:
    raw = bytearray((zipped if zip_it else legacy)({"w": tensor(), "b": tensor((6,), (1,))}))
    raw[place % len(raw)] = value
    try:
        read = parse_state_dict(bytes(raw), "x.pth")
    except NeonError:
        return
    assert all(array.size <= 6 for array in read.values())


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_what_torch_saved_is_what_is_read(tmp_path: Path, new: bool) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state = module.state_dict()
    for kind in ("float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"):
        state[kind] = torch.arange(6).reshape(2, 3).to(getattr(torch, kind))
    state["turned"] = torch.arange(6.0).reshape(2, 3).T
    state["part"] = torch.arange(10.0)[3:7:2]
    state["scalar"] = torch.tensor(2.5)
    file = tmp_path / "saved.pth"
    torch.save(state, file, _use_new_zipfile_serialization=new)
    read = read_state_dict(file)
    assert read.keys() == state.keys()
    for name, value in state.items():
        assert read[name].dtype == value.numpy().dtype and np.array_equal(read[name], value.numpy()), name
