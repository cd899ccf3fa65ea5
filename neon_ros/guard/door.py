"""All that a chunk must pass before the motor sees it: who made it, is it fresh, is it right; and what raises an alarm.

Chunks that nobody with the key has made, or that come late, early or a second time, are attacks or faults of the way
here: refused and an alarm, but the robot goes on with what it has admitted, since else whoever can send to the topic
could stop it.  Chunks that the policy itself made and that are wrong are a fault of the policy: three different ones in
a row stop the robot (HOLD), and a right one lets it go on.
"""

from __future__ import annotations

from collections.abc import Callable

from neon_ros.contracts import ActionChunk
from neon_ros.errors import NeonError, refuse
from neon_ros.guard.admission import (
    BEFORE,
    Admission,
    AdmissionConfig,
    AdmissionCounters,
    AdmittedChunk,
    Freshness,
    NotAdmitted,
)
from neon_ros.guard.alarms import Alarms
from neon_ros.guard.authentic import ChunkKey
from neon_ros.robot.modes import ControlMode
from neon_ros.robot.variants import Variant

FORGED, MALFORMED = "not authentic", "malformed"
OF_THE_WAY = frozenset({FORGED, MALFORMED, BEFORE, "stale", "future", "not newer", "out of order"})
"""Reasons that speak of who sent a chunk and when, not of the policy; each raises an alarm."""
IN_A_ROW = 3
"""Different wrong chunks of the policy, one after the other, that stop the robot."""
_SETTLE = 5.0  # [s] after the start in which a chunk from before it is no alarm: it was on its way


class Door:
    """Admit the chunks of one session.

    :param mode: the mode that chunks must be made for.
    :param begun: when this door was opened [s, steady clock]; no chunk captured before passes.
    :param key: gives the session's key; None where chunks need not be signed.
    :param alarms: to raise alarms in.
    :param config: bounds of a chunk.
    """

    def __init__(
        self,
        mode: ControlMode,
        begun: float,
        key: Callable[[], ChunkKey] | None,
        alarms: Alarms,
        config: AdmissionConfig | None = None,
    ) -> None:
        self.counters = AdmissionCounters()
        self._mode = mode
        self._begun = begun
        self._key = key
        self._alarms = alarms
        self._config = config
        self._admission: Admission | None = None
        self._wrong = 0
        self._newest_wrong = (-1, -1)
        self._stop = ""

    @property
    def authenticated(self) -> bool:
        """Whether chunks must be signed."""
        return self._key is not None

    @property
    def ready(self) -> bool:
        """Whether it is known what robot the chunks are for."""
        return self._admission is not None

    def adopt(self, variant: Variant) -> None:
        """Judge for this robot from now on; what has been admitted before stays old."""
        newest = Freshness(t0=self._begun) if self._admission is None else self._admission.newest
        self._admission = Admission(self._mode, variant, self._config, self.counters, newest)

    def admit(self, chunk: ActionChunk, now_ros_ns: int, now_steady: float) -> AdmittedChunk:
        """Return the chunk as the motor takes it.

        :param now_ros_ns: now on the clock of the stamps [ns].
        :param now_steady: now on the steady clock [s].
        :raises Refused: saying what was got and what is allowed; then nothing but counters and alarms has changed.
        """
        try:
            if self._key is not None:
                self._check_maker(self._key, chunk, now_ros_ns, now_steady)
            if self._admission is None:
                raise NotAdmitted("no robot", refuse("chunk", "a chunk", "none before LowState tells the variant"))
            admitted = self._admission.admit(chunk, now_ros_ns, now_steady)
        except NotAdmitted as refusal:
            if refusal.reason == BEFORE and now_steady - self._begun < _SETTLE:
                pass
            elif refusal.reason in OF_THE_WAY:
                self._alarms.sound(str(refusal), now_steady)
            else:
                self._count_wrong((chunk.epoch, chunk.sequence), str(refusal), now_steady)
            raise
        self._wrong = 0
        return admitted

    def malformed(self, error: NeonError, now_steady: float) -> NotAdmitted:
        """Count a message that is no chunk, and return its refusal."""
        refusal = NotAdmitted(MALFORMED, str(error))
        self.counters.count(refusal)
        self._alarms.sound(str(refusal), now_steady)
        return refusal

    def take_stop(self) -> str:
        """Return, once, why the robot must stop; empty when it need not."""
        why, self._stop = self._stop, ""
        return why

    def _check_maker(self, key: Callable[[], ChunkKey], chunk: ActionChunk, now_ros_ns: int, now: float) -> None:
        """Refuse a chunk that was not made, bit for bit, by a holder of the key."""
        try:
            if key().made(chunk):
                return
            sentence = refuse("chunk.mac", "a MAC that does not fit", "one made with this session's key")
        except NeonError as error:  # no key that can be trusted, or fields that no signed chunk can have
            sentence = str(error)
        before = now - (now_ros_ns - chunk.stamp_ns) * 1e-9 < self._begun and now - self._begun < _SETTLE
        refusal = NotAdmitted(BEFORE if before else FORGED, sentence)
        self.counters.count(refusal)
        raise refusal

    def _count_wrong(self, number: tuple[int, int], sentence: str, now: float) -> None:
        """Count a wrong chunk of the policy; the same one sent again is a replay and counts once."""
        newest = (-1, -1) if self._admission is None else self._admission.newest.number
        try:
            if not number > max(newest, self._newest_wrong):
                return
        except TypeError:  # numbers that are none; such a chunk is wrong each time
            return
        self._newest_wrong = number
        self._wrong += 1
        if self._wrong == IN_A_ROW:
            self._wrong = 0
            self._stop = f"{IN_A_ROW} chunks in a row were refused; the last: {sentence}"
            self._alarms.sound(self._stop, now)
