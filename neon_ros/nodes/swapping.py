"""The heads of the node ``action_head``: the one in use and, while another takes its place, the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.task import Future
from std_msgs.msg import String

from neon_ros.act.runtime import Runtime
from neon_ros.act.speculative import SpeculativePolicy
from neon_ros.act.swap import Draft, HeadChoice, Seat, check_backbone, check_fit, open_choice, warm_up
from neon_ros.bridge import topics
from neon_ros.bridge.heads import heads_to_msg
from neon_ros.contracts import Features
from neon_ros.errors import ContractError, NeonError, refuse
from neon_ros.graph import shipped_checkpoint
from neon_ros.guard.admission import AdmissionConfig
from neon_ros.nodes.loading import Loader
from neon_ros.nodes.setting import AwaitedParameters
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import ActionHeadParameters

PATIENCE = 5.0
"""Longest wait of a loaded head for features of its own [s]; the slowest encoder makes 5 a second."""
IDLE = 1.0
"""After this time without a chunk there is no stream that a swap could interrupt [s]."""


class Seats:
    """Load, seat and swap heads.

    :param node: the action head.
    :param taken_over: called when another head is in use.
    """

    def __init__(self, node: Stage[ActionHeadParameters], taken_over: Callable[[], None]) -> None:
        self._node, self._config, self._taken_over = node, node.config, taken_over
        config = node.config
        self._loader = Loader[Seat](node)
        self.live = self._opened(HeadChoice(config.head, config.checkpoint, config.mode))
        self.next: Seat | None = None
        self.swaps, self._said = 0, "none"
        self._asked: Future | None = None
        self._started = self._deadline = self._loaded = 0.0
        self.acted = -IDLE  # [s, steady clock]
        self._heads = node.create_publisher(String, topics.HEADS, topics.LATCHED)
        self._heads.publish(heads_to_msg([self.live.choice]))
        self._parameters = AwaitedParameters(node, ("head", "checkpoint"), self.ask)

    @property
    def reads_backbone(self) -> bool:
        """Whether any of the heads does."""
        return self.live.reads_backbone or (self.next is not None and self.next.reads_backbone)

    def needs_backbone(self) -> bool:
        """Whether the head in use acts on the backbone's features only."""
        return self._config.needs_backbone and self.live.reads_backbone

    def facts(self) -> dict[str, str]:
        """Return which head is in use and what became of the last swap."""
        run = f"{self._config.runtime} on {self._config.provider}"
        facts = {"head": self.live.choice.words, "runtime": run, "swaps": str(self.swaps), "last swap": self._said}
        if isinstance(self.live.head, SpeculativePolicy):
            counts = self.live.head.counts
            facts["drafts accepted"] = f"{counts.accepted} of {counts.asked}"
        return facts

    def add(self, features: Features) -> None:
        """Give features to the heads they are for.

        :raises ContractError: when they were made for neither.
        """
        if self.next is not None:
            try:
                self.next.offer(features)
            except ContractError as error:
                self._end(False, str(error))
        self.live.add(features)

    def ask(self, values: Mapping[str, str]) -> Future:
        """Begin a swap; the future tells whether it was done, and what to say.

        :param values: ``head``, ``checkpoint`` or both; a head alone comes with the checkpoint that ships for it.
        """
        answer = Future()
        if self._asked is not None:
            answer.set_result((False, refuse("head", "a second swap at once", "one after the other")))
            return answer
        live = self.live.choice
        head = values.get("head", live.head)
        folder = values.get("checkpoint", shipped_checkpoint(head) if "head" in values else live.checkpoint)
        choice = HeadChoice(head, folder, self._config.mode)
        self._asked, self._started, self._said = answer, time.monotonic(), f"loading {choice.words}"
        self._loader.submit(lambda: self._tried(choice), self._seat)
        return answer

    def swap_when_ready(self, present: tuple[str, ...]) -> None:
        """Let the next head take over if it can; to be called between two chunks.

        :param present: the sources of the last chunk.
        """
        if self.next is None:
            return
        lacks = self.next.lacks(present, self._config.needs_backbone)
        now = time.monotonic()
        if not lacks or now - self.acted > IDLE:
            self._take_over()
        elif now > self._deadline:
            got = f"no features from {', '.join(lacks)} in {PATIENCE:g} s"
            allowed = "those that the head in use has"
            self._end(False, refuse(f"head {self.next.model_id}", got, allowed))

    def _opened(self, choice: HeadChoice) -> Seat:
        runtime = Runtime(self._config.runtime, self._config.provider)
        draft = Draft(self._config.draft, self._config.tolerance) if self._config.draft else None
        seat = Seat(choice, open_choice(choice, runtime, draft), self._config.max_age)
        check_backbone(seat.manifest, self._config.backbone)
        return seat

    def _tried(self, choice: HeadChoice) -> Seat:
        """Return a head that has proved that it can take over; in the loader's thread."""
        seat, door = self._opened(choice), AdmissionConfig()
        check_fit(seat.manifest, self.live.manifest, door.dt_range, door.horizon_range)
        warm_up(seat.head)
        return seat

    def _seat(self, got: Seat | NeonError) -> None:
        if isinstance(got, NeonError):
            self._end(False, str(got))
            return
        self.next, self._loaded = got, time.monotonic()
        self._deadline = self._loaded + PATIENCE
        self._said = f"waiting for features of {got.model_id}"
        self._heads.publish(heads_to_msg([self.live.choice, got.choice]))
        self._taken_over()

    def _take_over(self) -> None:
        before, self.live = self.live, self.next or self.live
        self.swaps += 1
        took, loading = time.monotonic() - self._started, self._loaded - self._started
        choice = self.live.choice
        self._parameters.apply({"head": choice.head, "checkpoint": choice.checkpoint})
        said = (
            f"{self.live.model_id} took over from {before.model_id} after {took:.2f} s, {loading:.2f} s of it loading"
        )
        self._end(True, said)

    def _end(self, done: bool, said: str) -> None:
        """Answer who asked; the head in use goes on."""
        self.next = None
        self._said = said if done else f"refused: {said}"
        self._heads.publish(heads_to_msg([self.live.choice]))
        log: Any = self._node.get_logger()
        if done:
            log.info(said)
        else:
            log.warning(f"the head stays {self.live.model_id}: {said}")
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.set_result((done, said))
        self._taken_over()
