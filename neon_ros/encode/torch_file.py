"""Read the tensors of a ``.pth`` file without torch and without unpickling: nothing in the file is ever executed.

A ``.pth`` file is a pickle program plus raw numbers, in one of two containers: since torch 1.6 a zip archive
(``data.pkl`` and ``data/<key>``), before that a row of pickles followed by the storages (layout: torch's
``torch/serialization.py:_legacy_load``).  The program is read as data with :func:`pickletools.genops`; the few
opcodes that a state dict needs are interpreted here on plain values, and every other opcode or name is refused.
"""

from __future__ import annotations

import io
import math
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import CheckpointError, refuse

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_DTYPES: dict[str, str] = {
    "torch FloatStorage": "<f4",
    "torch DoubleStorage": "<f8",
    "torch HalfStorage": "<f2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
    "torch ShortStorage": "<i2",
    "torch CharStorage": "|i1",
    "torch ByteStorage": "|u1",
    "torch BoolStorage": "|b1",
}
_ORDERED_DICT = "collections OrderedDict"
_REBUILD = "torch._utils _rebuild_tensor_v2"
_ALLOWED = (_ORDERED_DICT, _REBUILD, *_DTYPES)


_UNREADABLE = (
    *(ValueError, IndexError, KeyError, TypeError, OverflowError, EOFError, struct.error),
    *(zipfile.BadZipFile, zlib.error, RuntimeError),
)
"""What damaged bytes make the standard library raise."""


class _Name(NamedTuple):
    """A global that the program named; it is never imported."""

    text: str


class _Storage(NamedTuple):
    key: str
    dtype: str
    length: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_MARK = object()


def read_state_dict(path: str | Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a ``.pth`` file by name, as arrays of their own dtype and shape.

    :param path: a state dict saved by ``torch.save`` (either container), little endian, dense tensors.
    :raises CheckpointError: on a missing, truncated or foreign file, and on any opcode, name or tensor that a plain
        state dict does not hold.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(refuse("weights file", f"{path}: {error.strerror}", "a readable file")) from error
    return parse_state_dict(raw, str(path))


def parse_state_dict(raw: bytes, name: str) -> dict[str, NDArray[Any]]:
    """Return the tensors held by the bytes of a ``.pth`` file; see :func:`read_state_dict`.

    :param raw: the whole file.
    :param name: what the file is called in errors.
    """
    try:
        entries, storages = _read_zip(raw) if raw.startswith(b"PK") else _read_legacy(raw)
        return {entry: _array(entry, tensor, storages) for entry, tensor in entries.items()}
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from error
    except _UNREADABLE as error:
        got = f"unreadable ({type(error).__name__}: {error})"
        raise CheckpointError(f"{name}: {refuse('weights file', got, 'a state dict of torch.save')}") from error


def _read_zip(raw: bytes) -> tuple[dict[str, _Tensor], dict[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        programs = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(programs) != 1:
            raise CheckpointError(refuse("zip container", f"{len(programs)} files data.pkl", "one"))
        root = programs[0][: -len("data.pkl")]
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
            raise CheckpointError(refuse("byte order", archive.read(f"{root}byteorder"), "little"))
        entries = _state_dict(_interpret(io.BytesIO(archive.read(programs[0]))))
        keys = {tensor.storage.key for tensor in entries.values()}
        return entries, {key: archive.read(f"{root}data/{key}") for key in keys}


def _read_legacy(raw: bytes) -> tuple[dict[str, _Tensor], dict[str, bytes]]:
    stream = io.BytesIO(raw)
    if (magic := _interpret(stream)) != _LEGACY_MAGIC:
        raise CheckpointError(refuse("weights file", f"magic {magic!r}", "a file of torch.save"))
    if (protocol := _interpret(stream)) != _LEGACY_PROTOCOL:
        raise CheckpointError(refuse("container protocol", protocol, _LEGACY_PROTOCOL))
    if (system := _interpret(stream))["little_endian"] is not True:
        raise CheckpointError(refuse("byte order", f"little_endian {system['little_endian']}", "little"))
    entries = _state_dict(_interpret(stream))
    keys = _interpret(stream)
    sizes = {tensor.storage.key: tensor.storage for tensor in entries.values()}
    storages: dict[str, bytes] = {}
    for key in keys:
        (count,) = struct.unpack("<q", stream.read(8))
        if key not in sizes or count != sizes[key].length:
            raise CheckpointError(refuse(f"storage {key}", f"{count} numbers", "what its tensors say"))
        storages[key] = stream.read(count * np.dtype(sizes[key].dtype).itemsize)
    return entries, storages


def _state_dict(value: Any) -> dict[str, _Tensor]:
    if not isinstance(value, dict):
        raise CheckpointError(refuse("weights file", type(value).__name__, "a dict of tensors"))
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise CheckpointError(refuse(f"entry {name!r}", type(tensor).__name__, "a tensor by name"))
    return value


def _array(name: str, tensor: _Tensor, storages: dict[str, bytes]) -> NDArray[Any]:
    dtype = np.dtype(tensor.storage.dtype)
    raw = storages[tensor.storage.key]
    if len(raw) != tensor.storage.length * dtype.itemsize:
        allowed = f"{tensor.storage.length * dtype.itemsize} bytes"
        raise CheckpointError(refuse(f"storage of {name}", f"{len(raw)} bytes", allowed))
    if any(number < 0 for number in (*tensor.shape, *tensor.strides, tensor.offset)):
        raise CheckpointError(refuse(f"tensor {name}", tensor[1:], "no negative size, stride or offset"))
    if len(tensor.shape) != len(tensor.strides):
        raise CheckpointError(refuse(f"strides of {name}", tensor.strides, f"{len(tensor.shape)} numbers"))
    if math.prod(tensor.shape) > tensor.storage.length:
        raise CheckpointError(refuse(f"tensor {name}", tensor[1:], f"at most {tensor.storage.length} numbers"))
    reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if math.prod(tensor.shape) and tensor.offset + reach >= tensor.storage.length:
        raise CheckpointError(refuse(f"tensor {name}", tensor[1:], f"inside {tensor.storage.length} numbers"))
    strides = tuple(stride * dtype.itemsize for stride in tensor.strides)
    flat = np.frombuffer(raw, dtype=dtype)[tensor.offset :] if math.prod(tensor.shape) else np.empty(0, dtype)
    return np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False).copy()


def _interpret(stream: io.BytesIO) -> Any:
    """Return the value that the next pickle program of ``stream`` describes, in plain values and the tuples above."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "STOP":
            return stack.pop()
        if opcode.name not in _ACTIONS:
            raise CheckpointError(refuse("pickle opcode", opcode.name, "those of a plain state dict"))
        _ACTIONS[opcode.name](stack, memo, argument)
    raise EOFError("the program has no end")


def _since_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1 - stack[::-1].index(_MARK)
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _push(stack: list[Any], memo: dict[int, Any], argument: Any) -> None:
    stack.append(argument)


def _global(stack: list[Any], memo: dict[int, Any], argument: str) -> None:
    if argument not in _ALLOWED:
        raise CheckpointError(refuse("pickle name", argument, ", ".join(_ALLOWED)))
    stack.append(_Name(argument))


def _reduce(stack: list[Any], memo: dict[int, Any], argument: None) -> None:
    arguments, name = stack.pop(), stack.pop()
    if name == _Name(_ORDERED_DICT) and arguments == ():
        stack.append({})
    elif name == _Name(_REBUILD):
        storage, offset, shape, strides = arguments[:4]
        if not isinstance(storage, _Storage):
            raise CheckpointError(refuse("tensor storage", type(storage).__name__, "a storage of this file"))
        stack.append(_Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides))))
    else:
        raise CheckpointError(refuse("pickle call", name, f"{_ORDERED_DICT}() or {_REBUILD}(...)"))


def _persistent(stack: list[Any], memo: dict[int, Any], argument: None) -> None:
    kind, storage_type, key, _, count, *view = stack.pop()
    if kind != "storage" or not isinstance(storage_type, _Name) or storage_type.text not in _DTYPES or any(view):
        raise CheckpointError(refuse("persistent id", (kind, storage_type), "a whole dense storage"))
    stack.append(_Storage(str(key), _DTYPES[storage_type.text], int(count)))


def _set_items(stack: list[Any], items: list[Any]) -> None:
    if not isinstance(stack[-1], dict):
        raise CheckpointError(refuse("pickle SETITEMS", type(stack[-1]).__name__, "a dict"))
    stack[-1].update(zip(items[::2], items[1::2], strict=True))


def _append(stack: list[Any], items: list[Any]) -> None:
    if not isinstance(stack[-1], list):
        raise CheckpointError(refuse("pickle APPENDS", type(stack[-1]).__name__, "a list"))
    stack[-1].extend(items)


def _take(stack: list[Any], count: int) -> list[Any]:
    items = stack[-count:]
    del stack[-count:]
    return items


_Action = Callable[[list[Any], dict[int, Any], Any], Any]
_ACTIONS: dict[str, _Action] = {
    "PROTO": lambda stack, memo, argument: None,
    "FRAME": lambda stack, memo, argument: None,
    "MARK": lambda stack, memo, argument: stack.append(_MARK),
    "NONE": _push,
    "NEWTRUE": lambda stack, memo, argument: stack.append(True),
    "NEWFALSE": lambda stack, memo, argument: stack.append(False),
    "EMPTY_DICT": lambda stack, memo, argument: stack.append({}),
    "EMPTY_LIST": lambda stack, memo, argument: stack.append([]),
    "EMPTY_TUPLE": lambda stack, memo, argument: stack.append(()),
    "TUPLE": lambda stack, memo, argument: stack.append(tuple(_since_mark(stack))),
    "TUPLE1": lambda stack, memo, argument: stack.append(tuple(_take(stack, 1))),
    "TUPLE2": lambda stack, memo, argument: stack.append(tuple(_take(stack, 2))),
    "TUPLE3": lambda stack, memo, argument: stack.append(tuple(_take(stack, 3))),
    "SETITEM": lambda stack, memo, argument: _set_items(stack, _take(stack, 2)),
    "SETITEMS": lambda stack, memo, argument: _set_items(stack, _since_mark(stack)),
    "APPEND": lambda stack, memo, argument: _append(stack, _take(stack, 1)),
    "APPENDS": lambda stack, memo, argument: _append(stack, _since_mark(stack)),
    "GLOBAL": _global,
    "REDUCE": _reduce,
    "BINPERSID": _persistent,
    "BUILD": lambda stack, memo, argument: stack.pop(),  # attributes (a module's _metadata) hold no tensor
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _push),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda stack, memo, argument: memo.update({argument: stack[-1]})),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda stack, memo, argument: stack.append(memo[argument])),
}
