"""Faults can only be asked for in words that mean something."""

from __future__ import annotations

import pytest

from neon_ros.errors import ConfigError
from neon_ros.sim.faults import Faults


def test_the_default_is_a_healthy_robot() -> None:
    assert Faults() == Faults(lowstate="ok", loss=0.0, hot_joint="", blocked_joint="", tilt=0.0, powered=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lowstate": "weird"}, "fault lowstate: got weird; allowed: ok, lost, frozen, corrupt"),
        ({"hot_joint": "tail"}, "fault hot_joint: got tail; allowed: empty or one of left_hip_pitch_joint"),
        ({"blocked_joint": "tail"}, "fault blocked_joint: got tail"),
        ({"loss": 1.5}, "fault loss: got 1.5; allowed: 0 to 1"),
        ({"loss": True}, "fault loss: got True"),
        ({"temperature": float("nan")}, "fault temperature: got nan; allowed: -40 to 300"),
        ({"tilt": 7.0}, "fault tilt: got 7.0"),
        ({"tilt": "much"}, "fault tilt: got much"),
        ({"mode_machine": 256}, "fault mode_machine: got 256; allowed: 0 to 255"),
        ({"powered": 1}, "fault powered: got 1; allowed: true or false"),
        ({"faulty_joint": "tail"}, "fault faulty_joint: got tail; allowed: empty or one of"),
        ({"motorstate": -1}, "fault motorstate: got -1; allowed: 0 to 4294967295"),
        ({"charge": 101}, "fault charge: got 101; allowed: -1 to 100"),
        ({"buttons": "L2+Q"}, r"fault buttons: got L2\+Q; allowed: names joined by \+, among R1, L1"),
    ],
)
def test_nonsense_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Faults(**values)


@pytest.mark.parametrize(
    ("words", "faults"),
    [
        (["lowstate=lost"], Faults(lowstate="lost")),
        (["tilt=0.3", "blocked_joint=left_elbow_joint"], Faults(tilt=0.3, blocked_joint="left_elbow_joint")),
        (["powered=false", "mode_machine=6"], Faults(powered=False, mode_machine=6)),
        (["buttons=L2+B", "charge=15"], Faults(buttons="L2+B", charge=15)),
        (["faulty_joint=left_knee_joint", "motorstate=0x400"], Faults(faulty_joint="left_knee_joint", motorstate=1024)),
    ],
)
def test_words_become_faults(words: list[str], faults: Faults) -> None:
    assert Faults.from_words(words) == faults


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("gravity=0", "fault: got gravity=0; allowed: name=value with a name among lowstate, loss"),
        ("tilt", "fault: got tilt; allowed: name=value"),
        ("tilt=much", "fault tilt: got much; allowed: a value of type float"),
        ("powered=1", "fault powered: got 1; allowed: true or false"),
        ("lowstate=late", "fault lowstate: got late; allowed: ok, lost, frozen, corrupt"),
    ],
)
def test_other_words_are_refused(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Faults.from_words([word])
