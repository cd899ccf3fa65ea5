"""What a backbone is shown: checked at the door, cut and joined without losing a sample, windows that roll in steps."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.encode.backbones.foundation.clock import Tick, clip_indices, heard_until, smooth, ticks_until
from neon_ros.encode.backbones.observation import Frame, Observation, Sound
from neon_ros.encode.backbones.window import RollingWindows
from neon_ros.errors import ConfigError, ContractError

SECOND = 1_000_000_000
BLACK = np.zeros((32, 32, 3), dtype=np.uint8)


def ramp(count: int, start_ns: int = 0, first: int = 0) -> Sound:
    """Return samples that tell where they stood."""
    return Sound(start_ns, (np.arange(first, first + count) / 1e6).astype(np.float32))


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(0, np.float32), 16000, "sound.samples: got 0 samples; allowed: 1 sample to 60 s"),
        (np.zeros((8, 100), np.float32), 16000, r"got float32 \(8, 100\); allowed: a float32 array \(S,\) of one"),
        (np.zeros(44100, np.float32), 44100, "sound.rate: got 44100 Hz; allowed: 16000 Hz"),
        (np.zeros(100, np.int16), 16000, r"got int16 \(100,\)"),
        ([0.0], 16000, r"got list \(1,\)"),
        (np.array([0.0, np.nan], np.float32), 16000, "got a value of nan; allowed: finite values from -1 to 1"),
        (np.array([0.0, 2.0], np.float32), 16000, "got a value of 2.0"),
        (np.zeros(61 * 16000, np.float32), 16000, "got 976000 samples"),
    ],
)
def test_sound_that_cannot_be_heard_is_refused(samples: object, rate: int, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        Sound(0, samples, rate)  # type: ignore[arg-type]


def test_sound_is_cut_and_joined_in_its_place() -> None:
    whole = ramp(16000, SECOND)
    assert whole.end_ns == 2 * SECOND
    late = whole.since(SECOND + SECOND // 4)
    assert late is not None and len(late.samples) == 12000 and late.start_ns == SECOND + SECOND // 4
    assert np.array_equal(late.samples, whole.samples[4000:])
    assert whole.since(0) is not None and len(whole.since(0).samples) == 16000  # type: ignore[union-attr]
    assert whole.since(2 * SECOND) is None
    joined = whole.joined(ramp(1600, 2 * SECOND + 1_000_000, 16000))
    assert joined.start_ns == SECOND and np.array_equal(joined.samples, ramp(17600).samples)
    moved = whole.joined(ramp(1600, 2 * SECOND + 10_000_000))  # 10 ms of drift: the newest end counts
    assert moved.start_ns == SECOND + 10_000_000
    with pytest.raises(ContractError, match="got 100 ms between two pieces; allowed: pieces that follow each other"):
        whole.joined(ramp(1600, 2 * SECOND + SECOND // 10))


def test_an_observation_is_checked() -> None:
    with pytest.raises(ContractError, match="observation.frames: got none; allowed: at least one picture"):
        Observation(())
    with pytest.raises(ContractError, match=r"observation.frames\[1\].stamp_ns: got 5 after 5; allowed: stamps that"):
        Observation((Frame(5, BLACK), Frame(5, BLACK)))
    with pytest.raises(ContractError, match=r"observation.frames\[0\]: got float64 array"):
        Observation((Frame(0, np.full((32, 32, 3), np.nan)),))
    with pytest.raises(ContractError, match="instruction: got U.000A"):
        Observation((Frame(0, BLACK),), "touch\nthe cube")
    with pytest.raises(ContractError, match="observation: got 61.0 s long; allowed: at most 60 s"):
        Observation((Frame(0, BLACK), Frame(61 * SECOND, BLACK)))
    assert Observation((Frame(SECOND, BLACK),), sound=ramp(100, 7)).start_ns == 7


def test_windows_begin_in_steps_and_each_picture_enters_each_open_window() -> None:
    windows = RollingWindows(frames=6, stride=3)
    lengths = []
    for number in range(14):
        piece = ramp(1600, number * SECOND // 10, 1600 * number)
        found = windows.add(Frame(number * SECOND // 10, BLACK), "go", piece)
        lengths.append([len(window.frames) for window in found.values()])
        for first, window in found.items():
            assert window.frames[0].stamp_ns == first * SECOND // 10 and window.sound is not None
            assert window.sound.samples[0] == pytest.approx(1600 * first / 1e6)
            assert len(window.sound.samples) == 1600 * len(window.frames)
    assert lengths[:8] == [[1], [2], [3], [4, 1], [5, 2], [6, 3], [4, 1], [5, 2]]
    with pytest.raises(ContractError, match="frame.stamp_ns: got 0 after"):
        windows.add(Frame(0, BLACK), "go", None)
    back = windows.add(Frame(90 * SECOND, BLACK), "go", None)  # the camera was away: a window of its own
    assert [len(window.frames) for window in back.values()] == [1]
    windows.clear()
    assert [len(w.frames) for w in windows.add(Frame(0, BLACK), "", None).values()] == [1]


def test_windows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="frames: got 65; allowed: 1 to 64"):
        RollingWindows(65, 1)
    with pytest.raises(ConfigError, match="stride: got 5; allowed: a divisor of 8 frames"):
        RollingWindows(8, 5)


def test_ticks_are_counted_from_the_epoch() -> None:
    period = SECOND // 4
    ticks = ticks_until(10 * SECOND + 10, 9 * SECOND, period, 3)
    assert [tick.number for tick in ticks] == [38, 39, 40]
    assert ticks[0].end_ns == ticks[1].start_ns - 1 and ticks[-1].end_ns == 10 * SECOND + 10
    assert [tick.number for tick in ticks_until(10 * SECOND, 10 * SECOND - 1, period, 9)] == [39, 40]


def test_a_clip_takes_the_newest_picture_of_each_step() -> None:
    stamps = [0, 10, 20, 30, 40]
    assert clip_indices(stamps, 40, 40e-9, 4) == [1, 2, 3, 4]
    assert clip_indices(stamps, 25, 40e-9, 4) == [0, 0, 1, 2]  # before the first picture that one stands still


def test_sound_of_a_tick_is_what_was_heard_in_it() -> None:
    tick = Tick(4, SECOND, SECOND + SECOND // 4 - 1)
    samples, inside = heard_until(ramp(32000), tick, 0.5) or (None, 0.0)
    assert samples is not None and np.array_equal(samples, ramp(32000).samples[12000:20000]) and inside == 0.25
    samples, inside = heard_until(ramp(17600), tick, 0.5) or (None, 0.0)
    assert samples is not None and inside == pytest.approx(0.1) and len(samples) == 8000
    assert heard_until(ramp(16000), tick, 0.5) is None
    assert heard_until(ramp(1600, 2 * SECOND), tick, 0.5) is None


def test_smoothing_is_a_mean_over_time() -> None:
    values = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    assert smooth(values, 0.0) is values
    assert np.allclose(smooth(np.ones((7, 3), np.float32), 2.0), 1.0)
    assert np.allclose(smooth(values, 1e6), values.mean(0), atol=1e-5)
