"""Who made a chunk: HMAC-SHA256 over one unambiguous form of all its fields, with a key that only this session has.

.. code-block:: text

    form = texts(tag, mode, head_id, checksum) | numbers | texts(joint names) | blobs(q, base_velocity)
    numbers  stamp_ns int64, valid_until_ns int64, epoch uint64, sequence uint64, dt float64, horizon uint32, joints
             uint32
    texts    each UTF-8 behind its length (uint32)
    blobs    float32, row-major, each behind its length in bytes (uint32)

Everything is little endian.  Every part stands behind its length and the tag names the version, so no two chunks, and
nothing else that is ever signed with the key, share a form.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from neon_ros.contracts import ActionChunk
from neon_ros.errors import ConfigError, ContractError, refuse

TAG = "neon_ros/ActionChunk/1"
KEY_BYTES = 32
MAC_BYTES = 32
_HASH = "sha256"
_NUMBERS = struct.Struct("<qqQQdII")
_LENGTH = struct.Struct("<I")


def signed_form(chunk: ActionChunk) -> bytes:
    """Return the bytes that stand for every field of a chunk but its MAC.

    :raises ContractError: on a field that the form cannot hold.
    """
    try:
        numbers = _NUMBERS.pack(
            chunk.stamp_ns,
            chunk.valid_until_ns,
            chunk.epoch,
            chunk.sequence,
            chunk.dt,
            chunk.horizon,
            len(chunk.joint_names),
        )
        texts = [text.encode() for text in (TAG, chunk.mode, chunk.head_id, chunk.checksum)]
        names = [name.encode() for name in chunk.joint_names]
        blobs = [_float_bytes(chunk.q), _float_bytes(chunk.base_velocity)]
    except (struct.error, ValueError, OverflowError, TypeError, AttributeError) as error:
        raise ContractError(refuse("chunk to be signed", error, "fields as in the message ActionChunk")) from error
    return b"".join([*_measured(texts), numbers, *_measured(names), *_measured(blobs)])


def _measured(parts: Iterable[bytes]) -> Iterable[bytes]:
    """Yield each part behind its length."""
    for part in parts:
        yield _LENGTH.pack(len(part))
        yield part


def _float_bytes(values: NDArray[np.floating]) -> bytes:
    return np.ascontiguousarray(values, dtype="<f4").tobytes()


class ChunkKey:
    """The secret that a session's chunks are signed with; shows itself to nobody.

    :param secret: 32 random bytes.
    :raises ConfigError: on any other length.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ConfigError(refuse("chunk key", f"{len(secret)} bytes", f"{KEY_BYTES} random bytes"))
        self._secret = bytes(secret)

    @property
    def fingerprint(self) -> str:
        """Tell two keys apart, without telling the key."""
        return hmac.digest(self._secret, b"neon_ros/fingerprint/1", _HASH)[:4].hex()

    def __repr__(self) -> str:
        return f"ChunkKey(fingerprint {self.fingerprint})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a ChunkKey is not copied into files or other processes; each reads the key file itself")

    def mac(self, form: bytes) -> bytes:
        """Return the MAC (32 bytes) of a form, see :func:`signed_form`."""
        return hmac.digest(self._secret, form, _HASH)

    def fits(self, form: bytes, mac: bytes) -> bool:
        """Return whether ``mac`` is that of ``form``; takes the same time wherever the two differ."""
        return hmac.compare_digest(self.mac(form), mac)

    def signed(self, chunk: ActionChunk) -> ActionChunk:
        """Return the chunk with its MAC."""
        return replace(chunk, mac=self.mac(signed_form(chunk)))

    def made(self, chunk: ActionChunk) -> bool:
        """Return whether whoever made the chunk holds this key, and no bit of it has changed since."""
        return self.fits(signed_form(chunk), chunk.mac)
