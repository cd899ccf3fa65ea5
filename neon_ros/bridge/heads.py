"""The latched topic ``heads``: for which heads the encoders are to work, the one in use first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from std_msgs.msg import String

from neon_ros.act.swap import HeadChoice
from neon_ros.errors import ContractError, refuse

MAX_HEADS = 2
_MAX_LENGTH = 1 << 14
_NAMES = tuple(item.name for item in fields(HeadChoice))


def heads_to_msg(choices: Sequence[HeadChoice]) -> String:
    """Return the message of the heads."""
    return String(data=json.dumps([asdict(choice) for choice in choices]))


def heads_from_msg(msg: Any) -> tuple[HeadChoice, ...]:
    """Return the heads of a message.

    :raises ContractError: on anything but one or two heads with their four words.
    """
    allowed = f"1 or {MAX_HEADS} heads, each with {', '.join(_NAMES)}"
    if len(msg.data) > _MAX_LENGTH:
        raise ContractError(refuse("heads", f"{len(msg.data)} characters", f"at most {_MAX_LENGTH}"))
    try:
        raw = json.loads(msg.data)
    except (ValueError, RecursionError) as error:
        raise ContractError(refuse("heads", f"broken JSON ({error})", allowed)) from error
    if not isinstance(raw, list) or not 1 <= len(raw) <= MAX_HEADS:
        raise ContractError(refuse("heads", type(raw).__name__, allowed))
    for item in raw:
        if not isinstance(item, dict) or set(item) != set(_NAMES) or not all(isinstance(v, str) for v in item.values()):
            raise ContractError(refuse("heads", item, allowed))
    return tuple(HeadChoice(**item) for item in raw)
