"""Subscriptions that are read on a timer instead of waking the node for every message.

An executor of rclpy spends more on waking up than most messages are worth.  A node that only shows what it hears reads
at the rate it shows; the middleware keeps the newest meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

MOST = 64
"""Messages that one poll takes from one topic, so that a flood cannot hold the node."""

LONGEST = 1.0
"""Longest time between two polls [s]."""


class _NeverReady(CallbackGroup):
    """A group whose members the executor leaves alone."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        pass


class Polled:
    """Subscriptions of ``node`` that :meth:`poll` reads."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._group = _NeverReady()
        self._subscriptions: list[tuple[Any, Callable[[Any], None]]] = []
        self.waited = 0.0
        """How long the message that is being handed over lay here [s]."""

    def subscribe(self, kind: Any, topic: str, callback: Callable[[Any], None], qos: Any) -> None:
        """Add a topic; ``callback`` is called within :meth:`poll`."""
        made = self._node.create_subscription(kind, topic, callback, qos, callback_group=self._group)
        self._subscriptions.append((made, callback))

    def poll(self) -> None:
        """Hand over what has come since the last call, in order."""
        for subscription, callback in self._subscriptions:
            for _ in range(MOST):
                with subscription.handle:
                    taken = subscription.handle.take_message(subscription.msg_type, False)
                if taken is None:
                    break
                self.waited = _age(taken[1])
                callback(taken[0])


def _age(info: Mapping[str, int]) -> float:
    """Return how long ago a message was received [s]; 0 where the middleware does not say, or a clock has jumped."""
    age = (time.time_ns() - info["received_timestamp"]) * 1e-9
    return age if 0.0 < age < LONGEST else 0.0
