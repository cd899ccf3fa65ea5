"""The robot's DDS with the SDK's own topics, types and QoS, but bytes instead of objects.

A topic is made with the SDK's type, so that its name, type and hash are what every Unitree peer expects; then its
Python type is replaced by :class:`Payload`, which hands the serialised bytes through.  Proved against cyclonedds
0.10.5; version 11 crashes a C++ 0.10 peer and is refused.

A process may hold one link per domain, and must not import rclpy.
"""

from __future__ import annotations

import time
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from xml.sax.saxutils import quoteattr

from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsPublication, DcpsEndpoint
from cyclonedds.core import DDSException, InstanceState, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from unitree_sdk2py.idl.unitree_hg.msg.dds_ import BmsState_, IMUState_, LowCmd_, LowState_

from neon_ros.errors import ConfigError, RobotError, refuse
from neon_ros.robot.battery import BATTERY_TOPIC

LOOPBACK = "lo"
_MAX_PARTICIPANTS = 64  # on one machine; the default of 9 is less than a test run needs

_LOOPBACK_XML = f"""<CycloneDDS><Domain Id="any">
<General><Interfaces><NetworkInterface name="lo" multicast="false"/></Interfaces>
<AllowMulticast>false</AllowMulticast></General>
<Discovery><ParticipantIndex>auto</ParticipantIndex>
<MaxAutoParticipantIndex>{_MAX_PARTICIPANTS}</MaxAutoParticipantIndex>
<Peers><Peer address="127.0.0.1"/></Peers></Discovery>
</Domain></CycloneDDS>"""

_INTERFACE_XML = """<CycloneDDS><Domain Id="any">
<General><Interfaces><NetworkInterface name={name} priority="default" multicast="default"/></Interfaces></General>
</Domain></CycloneDDS>"""


def dds_config(interface: str) -> str:
    """Return the CycloneDDS configuration for one network interface, as XML.

    :param interface: ``lo`` for this machine only (no multicast), else a name such as ``eth0``.
    :raises ConfigError: on an empty name.
    """
    if not interface:
        raise ConfigError(refuse("interface", "an empty name", "'lo' or a network interface such as 'eth0'"))
    return _LOOPBACK_XML if interface == LOOPBACK else _INTERFACE_XML.format(name=quoteattr(interface))


class Payload:
    """A message that is its own serialised form: CDR header and body."""

    __slots__ = ("data", "sample_info")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sample_info: object = None

    def serialize(self, use_version_2: bool | None = None) -> bytes:
        """Return the bytes; called by the DDS writer."""
        return self.data

    @classmethod
    def deserialize(cls, data: bytes) -> Payload:
        """Keep the bytes; called by the DDS reader."""
        return cls(data)


class PayloadWriter:
    """Writes payloads on one topic."""

    def __init__(self, topic: Topic, link: Link) -> None:
        self.topic = topic.name
        self._link = link  # DDS ends with it
        qos = Qos(Policy.Userdata(link.mark)) if link.mark else None
        self._writer = DataWriter(link.participant, topic, qos=qos)

    def write(self, payload: bytes | memoryview) -> None:
        """Send one payload, without waiting for anyone to receive it.

        :raises RobotError: when DDS refuses it.
        """
        try:
            self._writer.write(Payload(bytes(payload)))
        except DDSException as error:
            raise RobotError(refuse(f"write on {self.topic}", error, "a working DDS link")) from error


class PayloadReader:
    """Reads payloads from one topic; only the newest ``depth`` are kept (one, in the SDK's QoS)."""

    def __init__(self, topic: Topic, link: Link, depth: int = 1) -> None:
        self.topic = topic.name
        self._link = link  # DDS ends with it
        qos = Qos(Policy.History.KeepLast(depth)) if depth > 1 else None
        self._reader = DataReader(link.participant, topic, qos=qos)
        condition = ReadCondition(self._reader, ViewState.Any | SampleState.NotRead | InstanceState.Any)
        self._waitset = WaitSet(link.participant)
        self._waitset.attach(condition)
        self._condition = condition
        self._held: bytes | None = None

    def take_newest(self) -> bytes | None:
        """Return what arrived since the last call, ``None`` when nothing did; never waits."""
        held, self._held = self._held, None
        newest = self._take()
        return held if newest is None else newest

    def hold(self) -> bool:
        """Put aside what has arrived for :meth:`take_newest`; return whether anything had.  Never waits."""
        newest = self._take()
        if newest is None:
            return False
        self._held = newest
        return True

    def wait_until(self, deadline_ns: int) -> bool:
        """Wait for a payload that is neither taken nor held; return whether there is one.

        :param deadline_ns: [ns, steady clock].
        """
        left = deadline_ns - time.monotonic_ns()
        return left > 0 and bool(self._waitset.wait(left))

    def _take(self) -> bytes | None:
        newest = None
        for sample in self._reader.take(N=8):
            if isinstance(sample, Payload):
                newest = sample.data
        return newest

    def wait_newest(self, timeout: float) -> bytes | None:
        """Wait for a payload and return it.

        :param timeout: [s].
        :returns: ``None`` when nothing arrived in time.
        """
        deadline = time.monotonic() + timeout
        while (payload := self.take_newest()) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._waitset.wait(int(left * 1e9))
        return payload

    def wait_each(self, timeout: float) -> list[bytes]:
        """Wait for payloads and return all that came, the oldest first; for those who must not miss one.

        :param timeout: [s].
        """
        self._waitset.wait(max(0, int(timeout * 1e9)))
        return [sample.data for sample in self._reader.take(N=64) if isinstance(sample, Payload)]


class WriterWatch:
    """Knows who writes on a topic, from discovery alone; nothing is subscribed."""

    def __init__(self, topic: str, link: Link) -> None:
        self.topic = topic
        self._link = link  # DDS ends with it
        self._own = link.participant.guid
        self._reader = BuiltinDataReader(link.participant, BuiltinTopicDcpsPublication)
        self._foreign: dict[int, str] = {}

    def foreign(self) -> tuple[str, ...]:
        """Return the ids of writers on the topic that are neither this participant's nor bear its mark; never waits."""
        for sample in self._reader.take(N=256):
            info = sample.sample_info
            if info.instance_state != InstanceState.Alive:
                self._foreign.pop(info.instance_handle, None)
            elif isinstance(sample, DcpsEndpoint) and sample.topic_name == self.topic and not self._is_ours(sample):
                self._foreign[info.instance_handle] = str(sample.key)
        return tuple(self._foreign.values())

    def _is_ours(self, sample: DcpsEndpoint) -> bool:
        if sample.participant_key == self._own:
            return True
        data = sample.qos[Policy.Userdata] if sample.qos is not None and Policy.Userdata in sample.qos else None
        return bool(self._link.mark) and data is not None and data.data == self._link.mark


class Link:
    """One DDS participant on one domain and interface.

    :param domain: DDS domain id; 0 on the real robot, 1 for simulators.
    :param interface: ``lo`` or the name of a network interface.
    :param mark: tag put on our writers, by which processes of one session know each other.
    :raises ConfigError: on a domain outside 0 to 232 or an empty interface.
    :raises RobotError: when DDS does not start there, or the installed cyclonedds is not 0.10.
    """

    def __init__(self, domain: int, interface: str, mark: str = "") -> None:
        if not 0 <= domain <= 232:
            raise ConfigError(refuse("domain", domain, "0 to 232"))
        self.domain = domain
        self.interface = interface
        self.mark = mark.encode()
        config = dds_config(interface)
        _check_version()
        try:
            self._domain = Domain(domain, config)
            self._participant = DomainParticipant(domain)
        except DDSException as error:
            allowed = "an existing network interface, and one link per domain in a process"
            raise RobotError(refuse(f"DDS domain {domain} on interface {interface!r}", error, allowed)) from error

    def low_cmd_writer(self, topic: str) -> PayloadWriter:
        """Return a writer of LowCmd.

        :param topic: with its prefix, e.g. ``rt/lowcmd`` or ``rt/arm_sdk``.
        """
        return PayloadWriter(self._topic(topic, LowCmd_), self)

    def low_cmd_reader(self, topic: str, depth: int = 1) -> PayloadReader:
        """Return a reader of LowCmd.

        :param depth: how many are kept for it.
        """
        return PayloadReader(self._topic(topic, LowCmd_), self, depth)

    def low_state_writer(self, topic: str = "rt/lowstate") -> PayloadWriter:
        """Return a writer of LowState."""
        return PayloadWriter(self._topic(topic, LowState_), self)

    def low_state_reader(self, topic: str = "rt/lowstate") -> PayloadReader:
        """Return a reader of LowState."""
        return PayloadReader(self._topic(topic, LowState_), self)

    def imu_writer(self, topic: str = "rt/secondary_imu") -> PayloadWriter:
        """Return a writer of IMUState."""
        return PayloadWriter(self._topic(topic, IMUState_), self)

    def battery_writer(self, topic: str = BATTERY_TOPIC) -> PayloadWriter:
        """Return a writer of BmsState."""
        return PayloadWriter(self._topic(topic, BmsState_), self)

    def battery_reader(self, topic: str = BATTERY_TOPIC) -> PayloadReader:
        """Return a reader of BmsState."""
        return PayloadReader(self._topic(topic, BmsState_), self)

    def watch_writers(self, topic: str) -> WriterWatch:
        """Return a watch on the writers of a topic."""
        return WriterWatch(topic, self)

    @property
    def participant(self) -> DomainParticipant:
        """Return the DDS participant, for topics whose messages are objects (RPC)."""
        return self._participant

    def close(self) -> None:
        """Leave DDS with all that was made from this link; peers are told at once.  A second call does nothing."""
        for entity in (self._participant, self._domain):
            entity.__del__()  # what the binding does when the last reference goes, which cycles may delay for ever

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _topic(self, name: str, message: type) -> Topic:
        topic: Topic = Topic(self._participant, name, message)
        topic.data_type = Payload
        return topic


def _check_version() -> None:
    """Refuse any cyclonedds but 0.10."""
    for package in ("tensor-ipc-cyclonedds", "cyclonedds"):
        try:
            found = version(package)
        except PackageNotFoundError:
            continue
        if not found.startswith("0.10."):
            raise RobotError(refuse(f"{package} version", found, "0.10.x; others crash the robot's own 0.10.2"))
        return
