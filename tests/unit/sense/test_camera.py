"""Pictures that come in time and show nothing of now."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.errors import ContractError
from neon_ros.sense.camera import CameraWatch

S = 10**9
GREY = np.full((48, 64, 3), 100, np.uint8)


def noisy(seed: int) -> np.ndarray:
    return GREY + np.random.default_rng(seed).integers(0, 3, GREY.shape, dtype=np.uint8)


def test_a_frozen_picture_is_refused_until_another_comes() -> None:
    watch = CameraWatch(0.5)
    for tenth in range(5):
        watch.check(tenth * S // 10, GREY)
    for tenth in (5, 6):
        with pytest.raises(ContractError, match=r"image: got the same picture for 0\.[56] s; allowed: at most 0\.5 s"):
            watch.check(tenth * S // 10, GREY)
    watch.check(S, noisy(0))
    watch.check(S + 1, GREY)
    with pytest.raises(ContractError, match="the same picture for 2.0 s"):
        watch.check(3 * S + 1, GREY)


def test_a_still_scene_has_the_noise_of_the_sensor_and_a_clock_may_be_set_back() -> None:
    watch = CameraWatch(0.5)
    for number in range(30):
        watch.check(number * S // 10, noisy(number))
    watch.check(S, noisy(29))
    watch.check(S + S // 4, noisy(29))


def test_zero_lets_a_picture_stay_for_ever_and_black_is_refused_at_once() -> None:
    watch = CameraWatch(0.0)
    for second in (0, 100):
        watch.check(second * S, GREY)
    with pytest.raises(ContractError, match=r"image: got a black picture \(mean 1.0 of 255\); allowed: mean 2 or more"):
        watch.check(101 * S, np.ones((48, 64, 3), np.uint8))
