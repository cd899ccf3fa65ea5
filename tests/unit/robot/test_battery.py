"""BmsState: the SDK's own bytes are read, and ours are read by the SDK."""

from __future__ import annotations

import pytest

from neon_ros.errors import ContractError
from neon_ros.robot.battery import BMS_STATE, Battery, decode_battery, encode_battery


def test_what_is_written_is_read() -> None:
    assert decode_battery(encode_battery(73, 98, 41)) == Battery(73.0, 98.0, 41.0)


def test_the_bytes_are_those_of_the_sdk() -> None:
    hg = pytest.importorskip("unitree_sdk2py.idl.unitree_hg.msg.dds_")
    theirs = hg.BmsState_(
        *(1, 2, 3, [4000 + i for i in range(40)], [1, 2, 3], -5, 77, 99),
        *([20 + i for i in range(12)], 7, 8, [1, 2, 3, 4, 5], [6, 7, 8]),
    )
    assert decode_battery(theirs.serialize()) == Battery(77.0, 99.0, 31.0)
    ours = hg.BmsState_.deserialize(encode_battery(15, 90, 33))
    assert (ours.soc, ours.soh, list(ours.temperature)) == (15, 90, [33] * 12)
    assert ours.serialize() == encode_battery(15, 90, 33)


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (b"", "BmsState length: got 0 bytes; allowed: 168 bytes"),
        (bytes(BMS_STATE.itemsize), "BmsState CDR header: got 0000; allowed: 0001"),
        (encode_battery(101), "BmsState.soc: got 101; allowed: 0 to 100 %"),
    ],
)
def test_what_is_no_battery_is_refused(payload: bytes, sentence: str) -> None:
    with pytest.raises(ContractError) as caught:
        decode_battery(payload)
    assert str(caught.value) == sentence
