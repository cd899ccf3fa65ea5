"""The wireless remote inside LowState: 40 bytes of buttons and sticks, and which buttons mean "stop".

Layout ``xRockerBtnDataStruct``: two bytes of header, sixteen buttons as bits of a little-endian word, then five floats
lx, rx, ry, L2, ly and sixteen idle bytes (Unitree's page *Remote Control Data* of the G1 developer guide;
``unitree_rl_gym:deploy/deploy_real/common/remote_controller.py`` reads the same places).
"""

from __future__ import annotations

from typing import NamedTuple

from neon_ros.errors import ContractError, refuse

REMOTE_BYTES = 40
BUTTONS: tuple[str, ...] = (
    *("R1", "L1", "start", "select", "R2", "L2", "F1", "F2"),
    *("A", "B", "X", "Y", "up", "right", "down", "left"),
)
"""Name of each bit of the word at byte 2, lowest first."""

DAMP = "L2+B"
"""The robot's own damping (motion control 8.2 and later); it is never fought."""

STOPS: tuple[str, ...] = (DAMP, "L1+A", "select")
"""Held buttons that stop the robot: ``L1+A`` was damping before motion control 8.2, where ``L2+B`` meant nothing, and
``select`` ends the control loop of ``unitree_rl_gym:deploy_real.py`` and most that follow it."""

HELD = 3
"""LowStates in a row with the buttons down before they count: 6 ms, far less than any press of a finger."""

_WORD = 2  # offset of the buttons
_EMPTY = bytes(REMOTE_BYTES)


def _mask(buttons: str) -> int:
    return sum(1 << BUTTONS.index(name) for name in buttons.split("+"))


_MASKS: tuple[tuple[int, str], ...] = tuple((_mask(buttons), buttons) for buttons in STOPS)


def pressed(remote: bytes) -> tuple[str, ...]:
    """Return the names of the buttons that are down.

    :param remote: the 40 bytes.
    :raises ContractError: on another length.
    """
    if len(remote) != REMOTE_BYTES:
        raise ContractError(refuse("wireless_remote length", len(remote), REMOTE_BYTES))
    word = int.from_bytes(remote[_WORD : _WORD + 2], "little")
    return tuple(name for bit, name in enumerate(BUTTONS) if word >> bit & 1)


def remote_with(*buttons: str) -> bytes:
    """Return the 40 bytes of a remote on which ``buttons`` are down and the sticks rest.

    :raises ContractError: on an unknown button.
    """
    unknown = [name for name in buttons if name not in BUTTONS]
    if unknown:
        raise ContractError(refuse("buttons", unknown, ", ".join(BUTTONS)))
    remote = bytearray(_EMPTY)
    word = sum(1 << BUTTONS.index(name) for name in set(buttons))
    remote[_WORD : _WORD + 2] = word.to_bytes(2, "little")
    return bytes(remote)


def present(remote: bytes) -> bool:
    """Return whether the bytes come from a remote at all; all zeros are no remote."""
    return remote != _EMPTY


class Stop(NamedTuple):
    """The stop that an operator holds down on the remote.

    :param buttons: e.g. ``L2+B``.
    :param damp: whether the robot's own controller damps on it too, and must have the joints at once.
    """

    buttons: str
    damp: bool


class StopButtons:
    """Watch the remote of one robot; a stop counts once it was held for :data:`HELD` LowStates in a row.

    Bytes that are garbage are no error: they may stop the robot, never move it.
    """

    def __init__(self) -> None:
        self._held = 0
        self._buttons = ""

    def see(self, remote: bytes) -> Stop | None:
        """Take the remote of a new LowState; return the stop that is held, for as long as it is."""
        word = remote[_WORD] | remote[_WORD + 1] << 8 if len(remote) == REMOTE_BYTES else 0
        buttons = ""
        if word:
            buttons = next((name for mask, name in _MASKS if word & mask == mask), "")
        self._held = self._held + 1 if buttons and buttons == self._buttons else int(bool(buttons))
        self._buttons = buttons
        return Stop(buttons, buttons == DAMP) if self._held >= HELD else None
