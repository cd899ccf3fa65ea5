"""Streams of stamps: thinning keeps its phase, frozen and replaying senders are noticed."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.errors import ConfigError, ContractError
from neon_ros.sense.stream import RESTART_NS, Newest, RateLimit

MS = 1_000_000


def passed(limit: RateLimit, stamps: np.ndarray) -> list[int]:
    return [int(stamp) for stamp in stamps if limit.passes(int(stamp))]


@pytest.mark.parametrize(("source", "wanted", "rate"), [(30.0, 10.0, 10.0), (10.0, 10.0, 10.0), (15.0, 10.0, 7.5)])
def test_a_jittering_stream_is_thinned_to_the_rate(source: float, wanted: float, rate: float) -> None:
    rng = np.random.default_rng(0)
    stamps = 5_000 * MS + (np.arange(300) / source * 1e9 + rng.uniform(-3, 3, 300) * MS).astype(np.int64)
    kept = passed(RateLimit(wanted), stamps)
    assert (len(kept) - 1) / ((kept[-1] - kept[0]) * 1e-9) == pytest.approx(rate, rel=0.35)
    assert (len(kept) - 1) / ((kept[-1] - kept[0]) * 1e-9) <= wanted * 1.02


def test_a_pause_and_a_restarted_clock_start_anew() -> None:
    limit = RateLimit(10.0)
    assert limit.passes(10_000 * MS)
    assert not limit.passes(10_050 * MS)
    assert limit.passes(12_000 * MS)
    assert limit.passes(5_000 * MS)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="rate: got 0.0; allowed: above 0 Hz"):
        RateLimit(0.0)


def test_repeated_and_older_stamps_are_refused_and_a_restarted_clock_is_not() -> None:
    newest = Newest("image")
    newest.check(10_000 * MS)
    for stamp in (10_000 * MS, 9_500 * MS):
        with pytest.raises(ContractError, match=r"image stamp: got 0\.[05]00 s behind the newest; allowed: a newer"):
            newest.check(stamp)
    newest.check(10_001 * MS)
    newest.check(10_001 * MS - RESTART_NS)
