"""What is sent when nothing is left to decide, and the guardian's judgement of a heartbeat."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.motor.fallback import RELEASE_RATE, Fallback
from neon_ros.robot.gains import DAMPING_KD
from neon_ros.robot.wire import LowCmd, LowCmdFrame, decode_low_cmd


def last(weight: float = 0.0) -> LowCmd:
    """Return a command in full swing."""
    frame = LowCmdFrame()
    frame.set_mode(0, 11)
    frame.set_motor_mode([1] * 13 + [0] + [1] * 15)
    frame.fill(np.full(29, 0.5), np.full(29, 3.0), np.full(29, 2.0), np.full(29, 60.0), np.full(29, 1.5))
    frame.set_weight(weight)
    return decode_low_cmd(frame.seal())


@pytest.mark.parametrize("since", [0.0, 0.1, 4.9])
def test_low_cmd_is_damped_at_once_and_for_good(since: float) -> None:
    fallback = Fallback(last(), "rt/lowcmd")
    sent = decode_low_cmd(fallback.frame(since))
    assert not sent.kp.any() and not sent.dq.any() and not sent.tau.any()
    assert np.array_equal(sent.kd, DAMPING_KD) and (sent.mode_machine, sent.weight) == (11, 0.0)
    assert sent.mode.tolist() == [1] * 13 + [0] + [1] * 15
    assert not fallback.released(since)


def test_arm_sdk_holds_its_pose_while_the_weight_falls() -> None:
    fallback = Fallback(last(weight=1.0), "rt/arm_sdk")
    weights = []
    for since in np.arange(0.0, 5.0, 0.002):
        sent = decode_low_cmd(fallback.frame(float(since)))
        assert (sent.q == 0.5).all() and (sent.kp == 60.0).all() and not sent.dq.any() and not sent.tau.any()
        weights.append(sent.weight)
    steps = np.diff(weights)
    assert weights[0] == 1.0 and weights[-1] == 0.0 and (steps <= 0).all()
    assert (steps >= -RELEASE_RATE * 0.002 - 1e-6).all()
    assert fallback.released(2.0) and not fallback.released(1.9)


def test_a_weight_half_way_falls_from_where_it_was() -> None:
    assert decode_low_cmd(Fallback(last(weight=0.25), "rt/arm_sdk").frame(0.1)).weight == pytest.approx(0.2)


def test_the_guardian_judges_a_heartbeat() -> None:
    pytest.importorskip("cyclonedds")
    from neon_ros.motor.guardian import POLL_NS, Vigil

    vigil = Vigil(0.020)
    beat, now, dead_at = 1_000_000_000, 1_000_000_000, 0
    for _ in range(20):  # beating every 2 ms
        now, beat = now + POLL_NS, now + POLL_NS - 1_000_000
        assert not vigil.dead(beat, now)
    for _ in range(10):  # stopped
        now += POLL_NS
        if vigil.dead(beat, now):
            dead_at = now
            break
    assert 20_000_000 < dead_at - beat <= 20_000_000 + POLL_NS


def test_a_guardian_that_slept_itself_looks_again_before_it_judges() -> None:
    pytest.importorskip("cyclonedds")
    from neon_ros.motor.guardian import POLL_NS, Vigil

    vigil = Vigil(0.020)
    now = 1_000_000_000
    assert not vigil.dead(now, now)
    now += 100_000_000  # both were starved of the processor for 100 ms; the beat looks old
    assert not vigil.dead(1_000_000_000, now)
    assert not vigil.dead(now + POLL_NS, now + POLL_NS), "the motor ran again: alive"
    now += 200_000_000
    verdicts = [vigil.dead(1_100_000_000, now + i * POLL_NS) for i in range(4)]
    assert verdicts == [False, False, True, True]
