"""Work out the motion of the next period before it begins, so that less is left to do once LowState is there.

Most periods come on time and nothing intervenes.  What timeline and limiter will then do follows from what is known
already: it is done on copies of both, and the period takes the copies if it finds exactly what they were made for.
Otherwise they are dropped.  The outcome is the same to the bit, with foresight and without.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.limiter import Limiter
from neon_ros.guard.stopping import Vector
from neon_ros.guard.timeline import Sample, Timeline

_Part = TypeVar("_Part", Limiter, Timeline)


class Foresight(NamedTuple):
    """One period of motion, done in advance; it holds only while the limiter and timeline it began from are untouched.

    :param at: time of the path at its end [s].
    :param chunk: joined at its beginning; None when none was.
    :param derated: part of the velocity limits that the temperatures left.
    :param limiter: as it is at its end, and ``timeline`` likewise.
    :param sample: the reference it followed.
    """

    at: float
    chunk: AdmittedChunk | None
    derated: Vector | float
    limiter: Limiter
    timeline: Timeline
    sample: Sample

    def fits(self, at: float, chunk: AdmittedChunk | None, derated: Vector | float) -> bool:
        """Return whether the period that has come is the one that was foreseen."""
        return self.at == at and self.chunk is chunk and self.derated is derated


def pursue(limiter: Limiter, timeline: Timeline, at: float, chunk: AdmittedChunk | None) -> Sample:
    """Advance ``limiter`` one period along ``timeline``, and return the reference it followed.

    :param at: time of the path at the end of the period [s].
    :param chunk: to be joined at its beginning, if any.
    """
    if chunk is not None:
        timeline.join(chunk, at - limiter.period, *limiter.state)
        limiter.meet()
    sample = timeline.sample(at)
    limiter.step(sample.reference)
    return sample


def _twin(part: _Part) -> _Part:
    """Return a shallow copy that may go on on its own, as neither changes an array in place; quicker than copy.copy."""
    twin = object.__new__(type(part))
    twin.__dict__.update(part.__dict__)
    return twin


def foresee(limiter: Limiter, timeline: Timeline, at: float, chunk: AdmittedChunk | None) -> Foresight:
    """Return one period of motion, done on copies; parameters as of :func:`pursue`."""
    limiter, timeline = _twin(limiter), _twin(timeline)
    sample = pursue(limiter, timeline, at, chunk)
    return Foresight(at, chunk, limiter.derated, limiter, timeline, sample)
