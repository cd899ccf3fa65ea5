"""Nobody without the key makes a chunk that passes: forged, flipped, truncated, of another key or with fields moved."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neon_ros.contracts import ActionChunk
from neon_ros.errors import ConfigError, ContractError
from neon_ros.guard.authentic import KEY_BYTES, MAC_BYTES, ChunkKey, signed_form

Maker = Callable[..., ActionChunk]
SECRET = bytes(range(KEY_BYTES))
KEY = ChunkKey(SECRET)


def test_a_signed_chunk_is_known_again_and_nothing_else_of_it_has_changed(action_chunk: Maker) -> None:
    chunk = action_chunk()
    signed = KEY.signed(chunk)
    assert KEY.made(signed) and len(signed.mac) == MAC_BYTES
    assert signed_form(signed) == signed_form(chunk)
    assert not KEY.made(chunk) and not KEY.made(replace(chunk, mac=bytes(MAC_BYTES)))


def test_the_form_is_written_down_once_and_for_all(action_chunk: Maker) -> None:
    names = action_chunk().joint_names[:2]
    chunk = action_chunk(
        stamp_ns=1_000_000_007,
        epoch=2,
        sequence=3,
        joint_names=names,
        q=np.array([[0.5, -1.0]], np.float32),
        base_velocity=np.array([[0.0, 0.25, 0.0]], np.float32),
        checksum="ab",
    )
    expected = b"".join(
        [
            b"\x16\0\0\0neon_ros/ActionChunk/1",
            b"\x09\0\0\0arms_only",
            b"\x09\0\0\0mlp_touch",
            b"\x02\0\0\0ab",
            (1_000_000_007).to_bytes(8, "little"),
            (1_020_000_007).to_bytes(8, "little"),
            b"\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0",
            bytes.fromhex("7b14ae47e17a943f"),  # 0.02
            b"\x01\0\0\0\x02\0\0\0",
            *(len(name).to_bytes(4, "little") + name.encode() for name in names),
            b"\x08\0\0\0" + bytes.fromhex("0000003f000080bf"),
            b"\x0c\0\0\0" + bytes.fromhex("000000000000803e00000000"),
        ]
    )
    assert signed_form(chunk) == expected


CHANGES: dict[str, dict[str, object]] = {
    "stamp": {"stamp_ns": 1},
    "epoch": {"epoch": 2},
    "sequence": {"sequence": 2},
    "mode": {"mode": "upper_body"},
    "head": {"head_id": "mlp_touch2"},
    "checksum": {"checksum": "1" * 64},
    "dt": {"dt": float(np.nextafter(0.02, 1))},
    "numbers swapped": {"epoch": 5, "sequence": 1},
}


@pytest.mark.parametrize("case", CHANGES)
def test_every_field_is_under_the_mac(case: str, action_chunk: Maker) -> None:
    signed = KEY.signed(action_chunk())
    assert not KEY.made(replace(signed, **CHANGES[case]))  # type: ignore[arg-type]


def test_values_are_signed_as_bytes_not_as_numbers(action_chunk: Maker) -> None:
    signed = KEY.signed(action_chunk(q=np.zeros((16, 14), np.float32)))
    for value in (-0.0, 1e-45, np.nan):
        q = signed.q.copy()
        q[15, 13] = value
        assert not KEY.made(replace(signed, q=q)), value
    base = signed.base_velocity.copy()
    base[0, 2] = 1e-45
    assert not KEY.made(replace(signed, base_velocity=base))
    order = np.asfortranarray(signed.q)
    assert KEY.made(replace(signed, q=order)), "the order in memory is not part of what is said"


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "arms_onlym", "head_id": "lp_touch"},
        {"head_id": "mlp_touch" + "0", "checksum": "0" * 63},
        {"mode": "", "head_id": "arms_onlymlp_touch"},
    ],
)
def test_text_cannot_move_from_field_to_field(change: dict[str, str], action_chunk: Maker) -> None:
    chunk = action_chunk()
    moved = replace(chunk, **change)  # type: ignore[arg-type]
    together = [c.mode + c.head_id + c.checksum for c in (chunk, moved)]
    assert together[0] == together[1] and signed_form(chunk) != signed_form(moved)


def test_names_cannot_be_cut_elsewhere(action_chunk: Maker) -> None:
    names = action_chunk().joint_names
    joined = (names[0] + names[1][0], names[1][1:], *names[2:])
    assert signed_form(action_chunk(joint_names=joined)) != signed_form(action_chunk())


def test_a_table_cannot_be_read_with_another_width(action_chunk: Maker) -> None:
    q = np.arange(4 * 14, dtype=np.float32)
    wide = action_chunk(q=q.reshape(4, 14), base_velocity=np.zeros((4, 3), np.float32))
    tall = replace(wide, q=q.reshape(8, 7), base_velocity=np.zeros((8, 3), np.float32))
    assert signed_form(wide) != signed_form(tall)


_text = st.text(max_size=6)
_chunks = st.builds(
    lambda stamp, epoch, sequence, mode, head, names, dt, values: ActionChunk(
        stamp, epoch, sequence, mode, head, "", tuple(names), dt, np.float32([values]), np.zeros((1, 3), np.float32)
    ),
    st.integers(0, 2**62),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    _text,
    _text,
    st.lists(_text, max_size=3),
    st.floats(1e-3, 10.0),
    st.lists(st.floats(width=32), max_size=3),
)


def _same(a: ActionChunk, b: ActionChunk) -> bool:
    names = ("stamp_ns", "epoch", "sequence", "mode", "head_id", "joint_names", "dt")
    return all(getattr(a, name) == getattr(b, name) for name in names) and a.q.tobytes() == b.q.tobytes()


@settings(max_examples=400, deadline=None)
@given(_chunks, _chunks)
def test_two_chunks_that_differ_have_two_forms(a: ActionChunk, b: ActionChunk) -> None:
    assert (signed_form(a) == signed_form(b)) == _same(a, b)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": -1},
        {"sequence": 2**64},
        {"stamp_ns": 2**63},
        {"dt": float("inf")},
        {"dt": "0.02"},
        {"mode": None},
        {"mode": "\ud800"},
        {"q": np.array([["a"]])},
    ],
)
def test_what_the_form_cannot_hold_is_refused(change: dict[str, object], action_chunk: Maker) -> None:
    with pytest.raises(ContractError) as refusal:
        signed_form(replace(action_chunk(), **change))  # type: ignore[arg-type]
    got = refusal.value.__cause__
    assert str(refusal.value) == f"chunk to be signed: got {got}; allowed: fields as in the message ActionChunk"


def test_every_single_bit_counts(action_chunk: Maker) -> None:
    signed = KEY.signed(action_chunk())
    form = bytearray(signed_form(signed))
    for bit in range(8 * len(form)):
        form[bit // 8] ^= 1 << bit % 8
        assert not KEY.fits(bytes(form), signed.mac), bit
        form[bit // 8] ^= 1 << bit % 8
    mac = bytearray(signed.mac)
    for bit in range(8 * MAC_BYTES):
        mac[bit // 8] ^= 1 << bit % 8
        assert not KEY.fits(bytes(form), bytes(mac)), bit
        mac[bit // 8] ^= 1 << bit % 8
    assert KEY.fits(bytes(form), bytes(mac))


@pytest.mark.parametrize("count", [200_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_none_of_so_many_forgeries_passes(count: int, action_chunk: Maker) -> None:
    rng = np.random.default_rng(7)
    signed = KEY.signed(action_chunk(q=rng.uniform(-1, 1, (16, 14)).astype(np.float32)))
    form, mac = signed_form(signed), signed.mac
    length = len(form)
    other = ChunkKey(rng.bytes(KEY_BYTES))
    kinds, accepted = rng.integers(0, 6, count), 0
    places, bits = rng.integers(0, length, (count, 4)), 1 << rng.integers(0, 8, count)
    for index in range(count):
        kind, place = kinds[index], int(places[index, 0])
        if kind == 0:  # one bit of the form
            spoilt = form[:place] + bytes([form[place] ^ int(bits[index])]) + form[place + 1 :]
            accepted += KEY.fits(spoilt, mac)
        elif kind == 1:  # one byte of the MAC
            at = place % MAC_BYTES
            accepted += KEY.fits(form, mac[:at] + bytes([mac[at] ^ int(bits[index])]) + mac[at + 1 :])
        elif kind == 2:  # truncated, form or MAC
            accepted += KEY.fits(form[:place], mac)
            accepted += KEY.fits(form, mac[: place % MAC_BYTES])
        elif kind == 3:  # a guessed MAC
            accepted += KEY.fits(form, rng.bytes(MAC_BYTES))
        elif kind == 4:  # longer, or two parts exchanged
            first, last = sorted(int(p) for p in places[index, :2])
            turned = form[first:] + form[:first] if first else form + b"\0"
            accepted += KEY.fits(turned, mac) and turned != form
            accepted += KEY.fits(form + form[first:last] + b"\0", mac)
        else:  # changed, and signed with another key
            spoilt = form[:place] + bytes([form[place] ^ int(bits[index])]) + form[place + 1 :]
            accepted += KEY.fits(spoilt, other.mac(spoilt))
    assert accepted == 0
    assert KEY.fits(form, mac)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mac=st.binary(max_size=40))
def test_no_guess_of_any_length_passes_or_raises(mac: bytes, action_chunk: Maker) -> None:
    assert not KEY.made(replace(action_chunk(), mac=mac))


def test_the_key_shows_itself_to_nobody() -> None:
    said = f"{KEY} {KEY!r} {[KEY]} {KEY.fingerprint}"
    for shown in (SECRET.hex(), repr(SECRET)[2:-1], SECRET.hex()[:16]):
        assert shown not in said
    assert not hasattr(KEY, "__dict__")
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as raised:
            copied(KEY)
        sentence = "a ChunkKey is not copied into files or other processes; each reads the key file itself"
        assert str(raised.value) == sentence
    with pytest.raises(ConfigError, match="chunk key: got 31 bytes; allowed: 32 random bytes") as refused:
        ChunkKey(SECRET[:31])
    assert SECRET[:8].hex() not in str(refused.value)
    assert ChunkKey(SECRET).fingerprint == KEY.fingerprint != ChunkKey(bytes(KEY_BYTES)).fingerprint
