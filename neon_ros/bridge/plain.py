"""Small conversions that every message needs: stamps and big arrays."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray

from neon_ros.errors import ContractError, refuse


def time_of(stamp_ns: int) -> Time:
    """Return the message form of a stamp [ns].

    :raises ContractError: on a stamp before 1970 or after 2106, which the message cannot hold.
    """
    seconds, nanoseconds = divmod(int(stamp_ns), 1_000_000_000)
    if not 0 <= seconds < 2**31:
        raise ContractError(refuse("stamp", stamp_ns, f"0 to {2**31 - 1} s"))
    return Time(sec=seconds, nanosec=nanoseconds)


def nanoseconds_of(stamp: Any, name: str = "header.stamp") -> int:
    """Return a message's stamp [ns].

    :raises ContractError: on 0, which drivers leave when they do not know the time of capture, or a negative one, or
        one with more than a second of nanoseconds, which would be a second way to write the same time.
    """
    if stamp.nanosec >= 1_000_000_000:
        raise ContractError(refuse(f"{name}.nanosec", stamp.nanosec, "below 1000000000"))
    value = int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
    if value <= 0:
        raise ContractError(refuse(name, value, "the time of capture"))
    return value


def filled(values: NDArray[np.generic], typecode: str) -> array.array[Any]:
    """Return ``values`` as the array type that a message field takes without looking at every element.

    The setter of a message field walks every byte of ``bytes`` or a list, but takes an ``array.array`` as it is.

    :param typecode: ``B`` for uint8[], ``f`` for float32[], ``d`` for float64[].
    """
    result: array.array[Any] = array.array(typecode)
    result.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return result


def floats(name: str, data: Any, shape: tuple[int, ...], finite: bool = True) -> NDArray[np.float32]:
    """Return a float32[] field as a finite array of ``shape``; a copy, so that it outlives the message.

    :param finite: refuse values that are not.
    :raises ContractError: when the length does not fit the shape or a value is not finite.
    """
    flat = np.frombuffer(data, dtype=np.float32) if len(data) else np.zeros(0, dtype=np.float32)
    size = int(np.prod(shape, dtype=np.int64))
    if flat.size != size:
        raise ContractError(refuse(f"{name} length", flat.size, f"{size} for shape {shape}"))
    if finite and not np.isfinite(flat).all():
        first = int(np.argmin(np.isfinite(flat)))
        raise ContractError(refuse(f"{name}[{first}]", flat[first], "finite values"))
    return flat.reshape(shape).copy()


def short(name: str, text: str, longest: int = 256) -> str:
    """Return a text field; refuse one that is longer than any honest sender writes.

    :raises ContractError: on more than ``longest`` characters.
    """
    if len(text) > longest:
        raise ContractError(refuse(f"{name} length", f"{len(text)} characters", f"at most {longest}"))
    return text
