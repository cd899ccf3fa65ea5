"""The robot's services: requests and responses of ``unitree_api`` over DDS, as the SDK speaks them.

The SDK's own client classes keep one process-wide channel factory, print, and sleep half a second each; here the SDK's
message types go through our own :class:`~neon_ros.motor.link.Link`, with a timeout on every wait.  A call blocks its
caller: never make one from the 500 Hz loop.

Service names and ids: ``unitree_sdk2_python:comm/motion_switcher/motion_switcher_api.py``, ``g1/loco/g1_loco_api.py``,
``g1/audio/g1_audio_api.py``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from cyclonedds.core import DDSException, InstanceState, Listener, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from unitree_sdk2py.idl.unitree_api.msg.dds_ import (
    Request_,
    RequestHeader_,
    RequestIdentity_,
    RequestLease_,
    RequestPolicy_,
    Response_,
    ResponseHeader_,
    ResponseStatus_,
)

from neon_ros.errors import Refused, RobotError, refuse
from neon_ros.motor.link import Link

CHECK_MODE, SELECT_MODE, RELEASE_MODE = 1001, 1002, 1003
GET_FSM, SET_FSM, SET_VELOCITY = 7001, 7101, 7105
SAY, GET_VOLUME, SET_VOLUME = 1001, 1005, 1006
OK, NOT_IMPLEMENTED, BAD_PARAMETER, INTERNAL = 0, 3203, 3204, 3202

_RESEND = 0.3
"""[s] A request is sent again after this: we may have discovered the service before it has discovered us.  The calls
set states rather than change them, so that serving one twice does no harm."""

Handler = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]
"""Takes the parameters of a request; returns a code (0 is success) and the data of the response."""

_KEEP = Qos(Policy.History.KeepLast(16))


class _Matches(Listener):
    """Counts the peers of a writer and of a reader."""

    def __init__(self) -> None:
        super().__init__()
        self.readers = 0
        self.writers = 0

    def on_publication_matched(self, writer: DataWriter, status: Any) -> None:
        """Note how many readers our writer has."""
        self.readers = int(status.current_count)

    def on_subscription_matched(self, reader: DataReader, status: Any) -> None:
        """Note how many writers our reader has."""
        self.writers = int(status.current_count)


class _Channel:
    """A pair of topics: we write on one and read from the other."""

    def __init__(self, link: Link, write: tuple[str, type], read: tuple[str, type]) -> None:
        self._link = link  # DDS ends with it
        participant = link.participant
        self.matches = _Matches()
        self.writer = DataWriter(participant, Topic(participant, *write), listener=self.matches)
        self.reader = DataReader(participant, Topic(participant, *read), qos=_KEEP, listener=self.matches)
        condition = ReadCondition(self.reader, ViewState.Any | SampleState.NotRead | InstanceState.Any)
        self._waitset = WaitSet(participant)
        self._waitset.attach(condition)
        self._condition = condition

    def take(self, timeout: float) -> list[Any]:
        """Return what has arrived, waiting up to ``timeout`` [s] for the first."""
        if not (samples := self.reader.take(N=16)) and timeout > 0:
            self._waitset.wait(int(timeout * 1e9))
            samples = self.reader.take(N=16)
        return samples


class RpcClient:
    """Calls one service.

    :param link: the DDS link of this process.
    :param service: e.g. ``sport`` or ``motion_switcher``.
    :param timeout: for each call, discovery included [s].
    :param resend: time without an answer after which a request is sent again [s].
    """

    def __init__(self, link: Link, service: str, timeout: float = 1.0, resend: float = _RESEND) -> None:
        self.service = service
        self._timeout, self._resend = timeout, resend
        name = f"rt/api/{service}"
        self._channel = _Channel(link, (f"{name}/request", Request_), (f"{name}/response", Response_))
        self._lock = threading.Lock()

    def call(self, api_id: int, parameter: Mapping[str, Any], timeout: float | None = None) -> dict[str, Any]:
        """Make one call and return the data of its response.

        :raises RobotError: when the service is not there, does not answer in time, or answers with an error code.
        """
        timeout = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        name = f"service {self.service!r}, api {api_id}"
        with self._lock:
            while not (self._channel.matches.readers and self._channel.matches.writers):
                if time.monotonic() > deadline:
                    raise RobotError(refuse(name, f"no such service on DDS within {timeout} s", "a running service"))
                time.sleep(0.01)
            identity = RequestIdentity_(time.monotonic_ns(), api_id)
            header = RequestHeader_(identity, RequestLease_(0), RequestPolicy_(0, False))
            request = Request_(header, json.dumps(dict(parameter)), [])
            response = None
            while response is None and time.monotonic() < deadline:
                try:
                    self._channel.writer.write(request)
                except DDSException as error:
                    raise RobotError(refuse(name, error, "a working DDS link")) from error
                response = self._response(identity, min(deadline, time.monotonic() + self._resend))
        if response is None:
            raise RobotError(refuse(name, f"no answer within {timeout} s", "an answer"))
        code = int(response.header.status.code)
        if code != OK:
            raise RobotError(refuse(name, f"error code {code}", "code 0"))
        return _parse(name, response.data)

    def _response(self, identity: RequestIdentity_, deadline: float) -> Response_ | None:
        while (left := deadline - time.monotonic()) > 0:
            for sample in self._channel.take(left):
                if isinstance(sample, Response_) and sample.header.identity.id == identity.id:
                    return sample
        return None


class MotionSwitcher:
    """Which controller of the robot owns the motors."""

    def __init__(self, link: Link, timeout: float = 1.0) -> None:
        self._client = RpcClient(link, "motion_switcher", timeout)

    def active(self, timeout: float | None = None) -> str:
        """Return the name of the controller that owns the motors, empty when it was released.

        :param timeout: shorter than this client's, for those who cannot wait [s].
        """
        return str(self._client.call(CHECK_MODE, {}, timeout).get("name") or "")

    def select(self, name: str) -> None:
        """Give the motors back to a controller of the robot, e.g. ``ai``."""
        self._client.call(SELECT_MODE, {"name": name})

    def release(self, tries: int = 5, pause: float = 2.0) -> None:
        """Release the motors: ask, look again, until no controller owns them.

        :param tries: how often to ask.
        :param pause: between asking and looking again [s].
        :raises Refused: when a controller still owns them; we do not fight it.
        :raises RobotError: when the service does not answer.
        """
        for _ in range(tries):
            owner = self.active()
            if not owner:
                return
            self._client.call(RELEASE_MODE, {})
            deadline = time.monotonic() + pause
            while time.monotonic() < deadline and self.active():
                time.sleep(min(0.1, pause))
        if owner := self.active():
            got = f"{owner!r} after {tries} requests to release"
            raise Refused(
                refuse("owner of the motors", got, "none: release it with the remote (L2+R2), then arm again")
            )


class Locomotion:
    """The robot's own walking controller."""

    def __init__(self, link: Link, timeout: float = 0.2) -> None:
        self._client = RpcClient(link, "sport", timeout)

    def fsm(self, timeout: float | None = None) -> int:
        """Return the state of the walking controller: 0 zero torque, 1 damping, 4 locked stand, 500 and above walking.

        :param timeout: shorter than this client's, for those who cannot wait [s].
        :raises RobotError: when the service does not say it.
        """
        data = self._client.call(GET_FSM, {}, timeout).get("data")
        if not isinstance(data, int) or isinstance(data, bool):
            raise RobotError(refuse("service 'sport', state", repr(data), "a whole number"))
        return data

    def set_velocity(self, vx: float, vy: float, yaw_rate: float, duration: float = 0.5) -> None:
        """Ask for a base velocity, which ends by itself.

        :param vx: forward [m/s].
        :param vy: left [m/s].
        :param yaw_rate: [rad/s].
        :param duration: after which the robot stops [s].
        """
        self._client.call(SET_VELOCITY, {"velocity": [vx, vy, yaw_rate], "duration": duration})


class Speaker:
    """The robot's loudspeaker, behind its own synthesiser.

    :param link: the DDS link of this process.
    :param timeout: for each call, discovery included [s].
    """

    ENGLISH = 1
    """Speaker id of the English voice (``unitree_sdk2_python:example/g1/audio``)."""

    def __init__(self, link: Link, timeout: float = 2.0) -> None:
        self._asking = RpcClient(link, "voice", timeout)
        self._saying = RpcClient(link, "voice", timeout, resend=timeout)  # a sentence is not said twice
        self._spoken = 0

    def volume(self) -> int:
        """Return the volume, 0 to 100."""
        return int(self._asking.call(GET_VOLUME, {}).get("volume", -1))

    def set_volume(self, percent: int) -> None:
        """Set the volume.

        :param percent: 0 to 100.
        """
        self._asking.call(SET_VOLUME, {"volume": percent})

    def say(self, text: str) -> None:
        """Say a sentence; returns when the robot has taken it, before it has said it.

        :raises RobotError: when the robot does not take it.
        """
        self._spoken += 1
        self._saying.call(SAY, {"index": self._spoken, "text": text, "speaker_id": self.ENGLISH})


class RpcServer:
    """Answers one service on a thread of its own; what the simulator offers in the robot's place.

    :param link: the DDS link of this process.
    :param service: e.g. ``sport``.
    :param handlers: one per api id; called on the server's thread, one at a time.
    """

    def __init__(self, link: Link, service: str, handlers: Mapping[int, Handler]) -> None:
        self.service = service
        self._handlers = dict(handlers)
        name = f"rt/api/{service}"
        self._channel = _Channel(link, (f"{name}/response", Response_), (f"{name}/request", Request_))
        self.silent = False  # a robot that is switched off takes requests and says nothing
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"rpc {service}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering; returns when the thread has ended."""
        self._stopping.set()
        self._thread.join()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            for sample in self._channel.take(0.1):
                if isinstance(sample, Request_):
                    self._answer(sample)

    def _answer(self, request: Request_) -> None:
        if self.silent:
            return
        code, data = self._handle(request.header.identity.api_id, request.parameter)
        if request.header.policy.noreply:
            return
        header = ResponseHeader_(request.header.identity, ResponseStatus_(code))
        self._channel.writer.write(Response_(header, json.dumps(data) if code == OK else "", []))

    def _handle(self, api_id: int, parameter: str) -> tuple[int, dict[str, Any]]:
        handler = self._handlers.get(api_id)
        if handler is None:
            return NOT_IMPLEMENTED, {}
        try:
            parsed = _parse("request", parameter)
        except RobotError:
            return BAD_PARAMETER, {}
        try:
            return handler(parsed)
        except Exception:  # a peer's request must not end the server; the code tells the peer
            return INTERNAL, {}


def _parse(name: str, text: str) -> dict[str, Any]:
    """Return the JSON object in ``text``; empty text is an empty object.

    :raises RobotError: on anything else.
    """
    try:
        value = json.loads(text) if text else {}
    except ValueError as error:
        raise RobotError(refuse(f"{name} data", text, "a JSON object")) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RobotError(refuse(f"{name} data", text, "a JSON object"))
    return value
