"""Who publishes the chunks: one, the same from arming on, and of the agreed type.  More than that is an alarm.

Names on a ROS graph are claims that nobody proves; what is executed is decided by the MAC alone.  This is the look at
the graph besides: it refuses to arm while it is unclear whose chunks will move the robot, and tells the operator when
somebody else begins to publish.  The robot goes on with its own chunks then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from neon_ros.errors import refuse
from neon_ros.guard.alarms import Alarms

_HASHED = "RIHS"  # how every valid type hash begins; releases before Iron tell none


class Publisher(NamedTuple):
    """One publisher of the topic.

    :param gid: what the middleware tells it apart by, in hex.
    :param node: name of its node, as it claims.
    :param kind: type of what it publishes.
    :param digest: hash of that type's definition; empty where the middleware tells none.
    """

    gid: str
    node: str
    kind: str
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.node} ({self.gid[:16]})"


class PublisherWatch:
    """Follow who publishes one topic.

    :param topic: its name, for the sentences.
    :param kind: type that all must publish.
    :param digest: hash of the type's definition as this process has it; empty when it is not known.
    :param alarms: to raise alarms in.
    """

    def __init__(self, topic: str, kind: str, digest: str, alarms: Alarms) -> None:
        self._topic = topic
        self._kind = kind
        self._digest = digest
        self._alarms = alarms
        self._pinned: str | None = None
        self.armed = False
        """Whether it holds on to one publisher."""
        self._told: set[tuple[str, str]] = set()

    def objection(self, seen: Sequence[Publisher]) -> str:
        """Return why the robot cannot be armed; empty when it can."""
        for publisher in seen:
            if wrong := self._wrong_kind(publisher):
                return wrong
        if len(seen) > 1:
            named = ", ".join(str(publisher) for publisher in seen)
            return refuse(f"publishers of {self._topic}", f"{len(seen)} ({named})", "at most one")
        return ""

    def arm(self, seen: Sequence[Publisher]) -> None:
        """Hold on to the one there is; when there is none, to the first that comes."""
        self.armed = True
        self._pinned = seen[0].gid if seen else None
        self._forget_gone(seen)

    def disarm(self) -> None:
        """Forget who it was."""
        self.armed, self._pinned = False, None

    def look(self, seen: Sequence[Publisher], now: float) -> str:
        """Raise an alarm for each publisher that should not be there; return the last one raised.

        Once for each, and once more when its node's name becomes known, which the middleware may discover later.

        :param now: [s, steady clock].
        """
        raised = ""
        self._forget_gone(seen)
        for publisher in seen:
            wrong = self._wrong_kind(publisher)
            if not wrong and self.armed:
                self._pinned = self._pinned or publisher.gid
                if publisher.gid != self._pinned:
                    wrong = refuse(f"publisher of {self._topic}", f"another one, {publisher}", "the one armed with")
            if wrong and (publisher.gid, publisher.node) not in self._told:
                self._told.add((publisher.gid, publisher.node))
                self._alarms.sound(wrong, now)
                raised = wrong
        return raised

    def _forget_gone(self, seen: Sequence[Publisher]) -> None:
        """Tell of a publisher anew that went and comes back."""
        there = {publisher.gid for publisher in seen}
        self._told = {told for told in self._told if told[0] in there}

    def _wrong_kind(self, publisher: Publisher) -> str:
        """Return why nobody can read what this one publishes; empty when it is of our type."""
        name = f"publisher {publisher} of {self._topic}"
        if publisher.kind != self._kind:
            return refuse(name, f"type {publisher.kind}", self._kind)
        hashed = publisher.digest.startswith(_HASHED) and self._digest.startswith(_HASHED)
        if hashed and publisher.digest != self._digest:
            got = f"another definition of {self._kind} ({publisher.digest[:15]})"
            return refuse(name, got, f"{self._digest[:15]}: build both sides from the same neon_ros_msgs")
        return ""
