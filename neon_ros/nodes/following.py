"""The heads that an encoder works for: that of its parameters, until the action head says which."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from std_msgs.msg import String

from neon_ros.act.heads import Head
from neon_ros.act.moment import part_id
from neon_ros.act.swap import HeadChoice, open_choice
from neon_ros.bridge import topics
from neon_ros.bridge.heads import heads_from_msg
from neon_ros.contracts import FloatArray
from neon_ros.errors import NeonError
from neon_ros.nodes.loading import Loader
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import EncoderParameters

Encode = Callable[[Head], FloatArray]


class FollowedHeads:
    """Keep the asked heads open, and encode for all of them.

    :param node: the encoder.
    :param config: names the head at the start.
    :param trial: encodes something with a head, so that its first sample is not late.
    """

    def __init__(self, node: Stage[Any], config: EncoderParameters, trial: Encode) -> None:
        self._node, self._trial, self._loader = node, trial, Loader[Head](node)
        choice = HeadChoice(config.head, config.checkpoint, config.mode)
        head = open_choice(choice)
        first = HeadChoice(config.head, config.checkpoint, config.mode, head.manifest.checksum)
        self._wanted: tuple[HeadChoice, ...] = (first,)
        self._heads: dict[HeadChoice, Head] = {first: head}
        self._loading: set[HeadChoice] = set()
        self._name()
        node.create_subscription(String, topics.HEADS, node.guarded(self._on_heads), topics.LATCHED)

    def encode(self, encode: Encode) -> dict[str, FloatArray]:
        """Return the tensors of one sample: ``features`` of the head in use, the second's by its model id."""
        first, *others = self._open()
        tensors = {"features": encode(first)}
        tensors |= {part_id(head.manifest): encode(head) for head in others}
        return tensors

    def _open(self) -> list[Head]:
        """Return what is open of what is wanted; until anything is, what was open before."""
        return [self._heads[choice] for choice in self._wanted if choice in self._heads] or [*self._heads.values()][:1]

    def _name(self) -> None:
        self._node.model_id = part_id(self._open()[0].manifest)

    def _on_heads(self, msg: Any) -> None:
        self._wanted = heads_from_msg(msg)
        for choice in self._wanted:
            if choice not in self._heads and choice not in self._loading:
                self._loading.add(choice)
                self._loader.submit(partial(self._load, choice), partial(self._take, choice))
        self._drop()

    def _load(self, choice: HeadChoice) -> Head:
        """Open a head; in the loader's thread."""
        head = open_choice(choice)
        self._trial(head)
        return head

    def _take(self, choice: HeadChoice, got: Head | NeonError) -> None:
        self._loading.discard(choice)
        if isinstance(got, NeonError):
            self._node.get_logger().error(f"no encoder for head {choice.words}: {got}")
        elif choice in self._wanted:
            self._heads[choice] = got
            self._drop()

    def _drop(self) -> None:
        """Close what is not wanted any more, once something that is wanted is open."""
        if any(choice in self._heads for choice in self._wanted):
            self._heads = {choice: head for choice, head in self._heads.items() if choice in self._wanted}
        before = self._node.model_id
        self._name()
        if self._node.model_id != before:
            self._node.get_logger().info(f"encoding for {self._node.model_id}, before for {before}")
