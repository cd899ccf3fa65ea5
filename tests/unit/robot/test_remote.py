"""The wireless remote: its bytes, and which of them stop the robot."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.errors import ContractError
from neon_ros.robot.remote import BUTTONS, HELD, REMOTE_BYTES, STOPS, Stop, StopButtons, present, pressed, remote_with

NONE = bytes(REMOTE_BYTES)


def hold(buttons: StopButtons, remote: bytes, times: int) -> list[Stop | None]:
    """Return what so many LowStates with this remote lead to."""
    return [buttons.see(remote) for _ in range(times)]


@pytest.mark.parametrize(
    ("word", "names"),
    [
        (b"\x00\x00", ()),
        (b"\x20\x02", ("L2", "B")),
        (b"\x08\x00", ("select",)),
        (b"\x02\x01", ("L1", "A")),
        (b"\x00\x80", ("left",)),
        (b"\xff\xff", BUTTONS),
    ],
)
def test_buttons_are_bits_of_the_word_at_byte_2(word: bytes, names: tuple[str, ...]) -> None:
    remote = b"\x55\x51" + word + bytes(36)
    assert pressed(remote) == names
    assert remote_with(*names)[2:4] == word and pressed(remote_with(*names)) == names


def test_all_zeros_are_no_remote() -> None:
    assert not present(NONE) and present(remote_with("A")) and present(b"\x55\x51" + bytes(38))
    assert hold(StopButtons(), NONE, 20) == [None] * 20


@pytest.mark.parametrize("combination", STOPS)
def test_a_stop_counts_once_it_is_held(combination: str) -> None:
    remote = remote_with(*combination.split("+"), "up")
    found = hold(StopButtons(), remote, HELD + 2)
    assert found[: HELD - 1] == [None] * (HELD - 1)
    assert found[HELD - 1 :] == [Stop(combination, combination == "L2+B")] * 3


def test_a_shorter_touch_and_single_buttons_stop_nothing() -> None:
    buttons = StopButtons()
    for _ in range(10):
        assert hold(buttons, remote_with("select"), HELD - 1) == [None] * (HELD - 1)
        assert buttons.see(NONE) is None
    for name in BUTTONS:
        found = hold(StopButtons(), remote_with(name), 10)
        assert (found[-1] is not None) is (name == "select"), name


def test_two_stops_in_turn_are_not_one_that_is_held() -> None:
    buttons = StopButtons()
    for _ in range(10):
        assert buttons.see(remote_with("L2", "B")) is None and buttons.see(remote_with("select")) is None


def test_the_robots_own_damping_goes_before_the_others() -> None:
    found = hold(StopButtons(), remote_with("select", "L2", "B", "L1", "A"), HELD)
    assert found[-1] == Stop("L2+B", True)


def test_garbage_never_raises() -> None:
    rng, buttons = np.random.default_rng(0), StopButtons()
    for _ in range(20_000):
        found = buttons.see(rng.bytes(REMOTE_BYTES))
        assert found is None or found.buttons in STOPS
    for length in (0, 1, 3, 39, 41, 400):
        assert buttons.see(rng.bytes(length)) is None


def test_wrong_lengths_and_names_are_refused_where_they_are_read() -> None:
    with pytest.raises(ContractError, match="wireless_remote length: got 3; allowed: 40"):
        pressed(b"abc")
    with pytest.raises(ContractError, match=r"buttons: got \['Z'\]; allowed: R1, L1, start"):
        remote_with("Z")
