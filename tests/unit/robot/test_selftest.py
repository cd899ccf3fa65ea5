"""The self-test of the frames: its golden sums are the vendor's, and it notices what would be wrong."""

from __future__ import annotations

import pytest

from neon_ros.robot import selftest
from neon_ros.robot.selftest import GOLDEN_LOW_CMD, GOLDEN_LOW_STATE, crc_trouble, golden_low_cmd, golden_low_state


def test_this_machine_computes_the_golden_sums() -> None:
    assert crc_trouble() == ""
    assert int.from_bytes(golden_low_cmd()[-4:], "little") == GOLDEN_LOW_CMD
    assert int.from_bytes(golden_low_state()[-4:], "little") == GOLDEN_LOW_STATE


def test_the_golden_sums_are_the_vendors() -> None:
    crc = pytest.importorskip("unitree_sdk2py.utils.crc").CRC()
    hg = pytest.importorskip("unitree_sdk2py.idl.unitree_hg.msg.dds_")
    assert crc.Crc(hg.LowCmd_.deserialize(golden_low_cmd())) == GOLDEN_LOW_CMD
    assert crc.Crc(hg.LowState_.deserialize(golden_low_state())) == GOLDEN_LOW_STATE


def test_another_sum_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "GOLDEN_LOW_STATE", 1)
    sentence = f"CRC of the golden LowState: got {GOLDEN_LOW_STATE:#010x}; allowed: 0x00000001"
    assert crc_trouble() == sentence


def test_a_sum_that_sees_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "crc_of", lambda payload, layout: GOLDEN_LOW_CMD)
    assert crc_trouble() == "CRC of a spoiled LowCmd: got unchanged; allowed: another one"
    monkeypatch.undo()
    monkeypatch.setattr(selftest, "golden_low_cmd", lambda mode_machine=5: golden_low_cmd())
    assert crc_trouble() == "CRC of LowCmd: got the same for two variants; allowed: one that covers mode_machine"
