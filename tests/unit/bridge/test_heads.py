"""The topic that tells encoders for which heads to work."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("rclpy")
from std_msgs.msg import String

from neon_ros.act.swap import HeadChoice
from neon_ros.bridge.heads import heads_from_msg, heads_to_msg
from neon_ros.errors import ContractError

MLP = HeadChoice("mlp", "/a folder/of mine", "upper_body", "0" * 64)


def test_heads_return_in_their_order() -> None:
    both = (MLP, HeadChoice("hold", "", "upper_body", "1" * 64))
    assert heads_from_msg(heads_to_msg(both)) == both


WHOLE = {"head": "mlp", "checkpoint": "", "mode": "arms_only", "checksum": ""}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "heads: got broken JSON"),
        ("[" * 10_000, "heads: got broken JSON"),
        ("{}", "heads: got dict; allowed: 1 or 2 heads, each with head, checkpoint, mode, checksum"),
        ("[]", "heads: got list"),
        (json.dumps([WHOLE] * 3), "heads: got list"),
        (json.dumps([{"head": "mlp"}]), "heads: got {'head': 'mlp'}; allowed"),
        (json.dumps([{**WHOLE, "mode": None}]), "heads: got {"),
        (" " * 20_000, "heads: got 20000 characters; allowed: at most 16384"),
    ],
)
def test_broken_heads_are_refused(text: str, message: str) -> None:
    with pytest.raises(ContractError) as refused:
        heads_from_msg(String(data=text))
    assert message in str(refused.value)
