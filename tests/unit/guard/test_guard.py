"""The guard as a whole: arming, following, stopping, and the faults of the safety card, on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from neon_ros.contracts import ActionChunk, RobotState
from neon_ros.errors import ConfigError, Refused
from neon_ros.guard.admission import Admission, AdmittedChunk
from neon_ros.guard.command import Command
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.limits import Dynamic, LimitConfig
from neon_ros.guard.machine import State
from neon_ros.robot.gains import gains
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS

DT = 0.002
T0 = 100.0
Maker = Callable[..., RobotState]
# Most tests here move all joints alike, which would press an arm against the chest: test_collision.py is about that.
SIMULATED = GuardConfig(simulated=True, arm_seconds=0.2, self_collision=False)


class Bench:
    """A guard, a robot that goes where it is told, and a virtual clock of 2 ms ticks."""

    def __init__(
        self, robot_state: Maker, mode: str = "arms_only", config: GuardConfig = SIMULATED, variant: int = 5
    ) -> None:
        self.make = robot_state
        self.guard = Guard(MODES[mode], config)
        self.guard.configure(VARIANTS[variant])
        self.mode, self.variant = mode, variant
        self.q = np.zeros(29)
        self.tick, self.sequence = 0, 0
        self.changes: dict[str, object] = {}
        self.silent = False
        self.commands: list[Command] = []

    @property
    def now(self) -> float:
        """Time of the next tick [s]."""
        return T0 + self.tick * DT

    def run(self, ticks: int, late: float = 0.0) -> Command:
        """Run ``ticks`` periods, each step so late [s], and return the last command."""
        for _ in range(ticks):
            fields = {"q": self.q.copy(), "mode_machine": self.variant, **self.changes}
            command = self.guard.step(None if self.silent else self.make(self.now, **fields), self.now + late)
            if command.writes:
                self.q = np.where(command.kp > 0, command.q, self.q)
            self.commands.append(command)
            self.tick += 1
        return command

    def arm(self) -> None:
        """Arm and wait until ACTIVE."""
        self.run(3)
        self.guard.request("arm", self.now)
        self.run(round(self.guard.config.arm_seconds / DT) + 2)
        assert self.state is State.ACTIVE, self.guard.report().reason

    def chunk(self, value: float = 0.1, **changes: object) -> AdmittedChunk:
        """Return a chunk captured 40 ms ago that asks all moved joints to be at ``value``."""
        self.sequence += 1
        moved = np.zeros(29, dtype=bool)
        moved[[i for i in range(29) if self.guard._moved[i]]] = True
        q = np.where(moved, value, 0.0) * np.ones((16, 1))
        made = AdmittedChunk(self.now - 0.04, 0.02, q, moved, np.zeros((16, 3)), 1, self.sequence)
        return replace(made, **changes)  # type: ignore[arg-type]

    @property
    def state(self) -> State:
        """State of the guard."""
        return self.guard.machine.state

    def path(self) -> np.ndarray:
        """Return the commanded positions so far (ticks, 29)."""
        return np.array([command.q for command in self.commands if command.writes])


@pytest.fixture
def bench(robot_state: Maker) -> Bench:
    """An arms_only bench of variant 5, armed in 0.2 s."""
    return Bench(robot_state)


# -- before and while arming -------------------------------------------------------------------------------------


def test_unconfigured_guard_is_silent_and_refuses(robot_state: Maker, bench: Bench) -> None:
    guard = Guard(MODES["arms_only"])
    command = guard.step(robot_state(T0), T0)
    assert not command.writes and command.state is State.UNCONFIGURED and not command.kp.any()
    with pytest.raises(Refused, match=r"arm in state: got UNCONFIGURED"):
        guard.request("arm", T0)
    with pytest.raises(Refused, match=r"chunk: got a chunk; allowed: chunks after the variant is known"):
        guard.submit(bench.chunk())
    guard.request("stop", T0)
    assert guard.report().state is State.UNCONFIGURED


def test_configured_guard_is_silent_until_armed(bench: Bench) -> None:
    bench.guard.submit(bench.chunk())
    command = bench.run(200)
    assert bench.state is State.INACTIVE and not any(c.writes for c in bench.commands)
    assert command.weight == 0.0 and not command.kp.any() and bench.guard.report().commands_sent == 0


@pytest.mark.parametrize("mode", MODES)
def test_arming_is_bumpless(mode: str, robot_state: Maker) -> None:
    """I8: the first command is the measured pose, at rest; authority rises over at least two seconds."""
    bench = Bench(robot_state, mode, GuardConfig())
    bench.q = np.linspace(-0.2, 0.2, 29)
    start = bench.q.copy()
    bench.run(3)
    bench.guard.request("arm", bench.now)
    first = bench.run(1)
    held = slice(0, 29) if mode == "whole_body" else slice(12, 29)
    np.testing.assert_array_equal(first.q[held], start[held])
    assert first.writes and not first.dq.any() and not first.tau.any() and first.state is State.ARMING
    authority = []
    for _ in range(1200):
        command = bench.run(1)
        np.testing.assert_array_equal(command.q[held], start[held])
        authority.append(command.weight if mode != "whole_body" else command.kp[3] / 150.0)
    assert authority[0] < 0.01 and authority[898] < 0.95 and authority[-1] == 1.0
    assert np.diff(authority).max() <= DT / 2.0 + 1e-9 and np.diff(authority).min() >= 0.0
    assert bench.state is State.ACTIVE


def test_arm_sdk_modes_never_touch_the_legs(robot_state: Maker) -> None:
    for mode in ("arms_only", "upper_body"):
        bench = Bench(robot_state, mode)
        bench.q = np.full(29, 0.05)
        bench.arm()
        bench.guard.submit(bench.chunk())
        bench.run(100)
        for command in bench.commands:
            assert not command.kp[:12].any() and not command.kd[:12].any() and not command.q[:12].any()
        if mode == "arms_only":  # the waist is under the weight too: it is held where it was
            np.testing.assert_array_equal(bench.commands[-1].q[12:15], np.full(3, 0.05))
            assert (bench.commands[-1].kp[12:15] == 60.0).all()


def test_absent_joints_get_no_gain(robot_state: Maker) -> None:
    bench = Bench(robot_state, "upper_body", variant=14)
    bench.arm()
    assert not bench.commands[-1].kp[13:15].any() and bench.commands[-1].kp[12] == 60.0


REFUSALS: dict[str, tuple[dict[str, object], str]] = {
    "tilt": ({"quaternion_wxyz": np.array([0.5, 0.866, 0.0, 0.0])}, r"cannot arm: the robot: got tilt 2\.09 rad"),
    "hot": (
        {"temperature": np.full(29, 90.0)},
        r"got left_hip_pitch_joint casing at 90 deg C; it must stay below 85 deg C",
    ),
    "variant": ({"mode_machine": 6}, r"got mode_machine changed from 5 to 6"),
    "unknown variant": ({"mode_machine": 0}, r"got mode_machine changed from 5 to 0"),
    "mode_pr": ({"mode_pr": 1}, r"got mode_pr is 1"),
    "moving": ({"dq": np.full(29, 1.2)}, r"cannot arm: left_hip_pitch_joint speed: got 1\.20 rad/s"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_arming_is_refused_with_the_reason(case: str, bench: Bench) -> None:
    changes, message = REFUSALS[case]
    bench.run(3)
    bench.changes = changes
    bench.run(2)
    with pytest.raises(Refused, match=message):
        bench.guard.request("arm", bench.now)
    assert bench.state is State.INACTIVE and not bench.run(5).writes


def test_arming_without_fresh_lowstate_is_refused(bench: Bench) -> None:
    with pytest.raises(Refused, match=r"cannot arm: LowState: got none; allowed: a fresh one"):
        bench.guard.request("arm", bench.now)
    bench.run(3)
    bench.silent = True
    bench.run(15)
    with pytest.raises(Refused, match=r"cannot arm: LowState: got silent for 0\.03"):
        bench.guard.request("arm", bench.now)


def test_inhibitions_of_the_caller_are_refusals(bench: Bench) -> None:
    bench.run(3)
    bench.guard.inhibit("writers", "a second writer on rt/lowcmd")
    with pytest.raises(Refused, match=r"cannot arm: got a second writer on rt/lowcmd; allowed: none of these"):
        bench.guard.request("arm", bench.now)
    bench.guard.inhibit("writers", None)
    bench.guard.inhibit("unknown", None)
    bench.guard.request("arm", bench.now)


@pytest.mark.parametrize("ticks", [1, 200])
def test_arming_twice_is_refused(ticks: int, bench: Bench) -> None:
    bench.run(3)
    bench.guard.request("arm", bench.now)
    bench.run(ticks)
    with pytest.raises(Refused, match=r"arm in state: got A\w+; allowed: INACTIVE or DAMPING; it is armed already"):
        bench.guard.request("arm", bench.now)
    assert bench.run(1).writes


@pytest.mark.parametrize("kind", ["", "ARM", "fly"])
def test_unknown_request_is_refused(kind: str, bench: Bench) -> None:
    with pytest.raises(Refused, match=rf"request: got {kind}; allowed: arm, disarm or stop"):
        bench.guard.request(kind, bench.now)


def test_configuring_an_armed_guard_is_refused(bench: Bench) -> None:
    bench.arm()
    with pytest.raises(Refused, match=r"configure in state: got ACTIVE; allowed: INACTIVE; disarm first"):
        bench.guard.configure(VARIANTS[6])
    assert bench.run(5).state is State.ACTIVE


# -- following ---------------------------------------------------------------------------------------------------


def test_waits_in_active_until_the_first_chunk(bench: Bench) -> None:
    bench.arm()
    command = bench.run(3000)
    assert command.state is State.ACTIVE and not command.q.any() and command.weight == 1.0
    assert bench.guard.report().reason == "armed; holding until a chunk comes"
    assert bench.guard.report().chunk_age == -1.0


def test_golden_chunk_is_reproduced_at_its_knots_without_intervention(
    bench: Bench, action_chunk: Callable[..., ActionChunk]
) -> None:
    """I9: chunks of one smooth motion, through the door, come out at their knots to 1e-6 rad."""
    bench.arm()
    door = Admission(MODES["arms_only"], VARIANTS[5])
    rate = np.linspace(1.0, 2.5, 14)
    begin = bench.now

    def motion(t: np.ndarray) -> np.ndarray:
        """Return positions that leave rest smoothly (C3) and then swing."""
        rise = np.clip(t / 0.8, 0, 1)[:, None]
        rise = rise**4 * (35 - 84 * rise + 70 * rise**2 - 20 * rise**3)
        return 0.3 * rise * np.sin(rate * t[:, None])

    for k in range(1500):
        if k % 50 == 0:
            stamp = bench.now - 0.06
            q = motion(np.maximum(stamp + 0.02 * np.arange(16) - begin, 0.0))
            chunk = action_chunk(stamp_ns=0, sequence=k + 1, q=q)
            bench.guard.submit(door.admit(chunk, 60_000_000, bench.now))
        command = bench.run(1)
        at = bench.now - DT - begin
        if k > 60 and k % 10 == 0:  # a knot, once the first joining has faded
            np.testing.assert_allclose(command.q[15:], motion(np.array([at]))[0], atol=1e-6)
    status = bench.guard.report()
    assert status.limit_count == 0 and status.limited_joints == () and status.chunks_joined == 30
    assert status.limits_by_reason == dict.fromkeys(
        ("position", "velocity", "acceleration", "jerk", "torque", "collision"), 0
    )


def test_jump_of_a_radian_stays_inside_every_limit(bench: Bench) -> None:
    bench.arm()
    for k in range(2000):
        if k % 50 == 0:
            bench.guard.submit(bench.chunk(1.0 if k % 1000 < 500 else -0.5))
        bench.run(1)
    path = bench.path()[:, 15:]
    for order, bound in ((1, 4.0), (2, 40.0), (3, 2000.0)):
        assert np.abs(np.diff(path, n=order, axis=0)).max() / DT**order <= bound * (1 + 1e-6)
    assert path.max() == pytest.approx(1.0, abs=1e-5) and path[-1].max() == pytest.approx(-0.5, abs=1e-5)


def test_interventions_are_named_and_counted(bench: Bench) -> None:
    bench.arm()
    steps = np.arange(16)[:, None] * 0.3  # 15 rad/s
    chunk = bench.chunk(0.0)
    bench.guard.submit(replace(chunk, q=np.where(chunk.moved, np.minimum(steps, 1.2), 0.0)))
    for _ in range(60):
        bench.run(1)
        status = bench.guard.report()
        if "velocity" in status.limited_reasons:
            break
    else:
        raise AssertionError("velocity never limited")
    assert set(status.limited_joints) <= set(MODES["arms_only"].joint_names)
    assert len(status.limited_joints) == len(status.limited_reasons) > 0
    assert status.limit_count == sum(status.limits_by_reason.values()) > 0


def test_torque_is_bounded_by_gains_and_reported(robot_state: Maker) -> None:
    """I7: a robot that is far from its command is not torn to it."""
    bench = Bench(robot_state)
    bench.arm()
    bench.changes = {"q": np.where(np.arange(29) == 20, 0.2, 0.0)}  # left wrist pitch, 5 N m
    command = bench.run(5)
    asked = command.kp * (command.q - bench.changes["q"]) + command.kd * command.dq  # type: ignore[operator]
    assert abs(asked[20]) == pytest.approx(4.5) and command.q[20] == 0.0
    status = bench.guard.report()
    assert (status.limited_joints, status.limited_reasons) == (("left_wrist_pitch_joint",), ("torque",))


def test_heat_takes_torque(robot_state: Maker) -> None:
    bench = Bench(robot_state)
    bench.arm()
    bench.changes = {
        "q": np.where(np.arange(29) == 20, 0.2, 0.0),
        "temperature": np.where(np.arange(29) == 20, 84.9, 30.0),
    }
    command = bench.run(5)
    assert abs(command.kp[20] * 0.2) == pytest.approx(4.5 * 0.503, rel=1e-2)


def test_late_chunks_start_in_their_middle_and_expired_ones_are_dropped(bench: Bench) -> None:
    bench.arm()
    ramp = 0.02 * np.arange(16)[:, None]
    chunk = bench.chunk()
    bench.guard.submit(replace(chunk, t0=bench.now - 0.06, q=np.where(chunk.moved, ramp, 0.0)))
    bench.run(119)
    assert bench.commands[-1].q[15] == pytest.approx(0.296, abs=2e-3)
    bench.guard.submit(bench.chunk(t0=bench.now - 0.31))
    bench.run(2)
    assert bench.guard.report().chunks_expired == 1 and bench.guard.report().chunks_joined == 1
    bench.guard.submit(bench.chunk(t0=bench.now + 0.7))
    bench.run(2)
    assert bench.guard.report().chunks_expired == 2


def test_early_chunk_waits_for_its_time(bench: Bench) -> None:
    bench.arm()
    bench.guard.submit(bench.chunk(0.1))
    bench.run(100)
    bench.guard.submit(bench.chunk(0.4, t0=bench.now + 0.05))
    bench.run(24)
    np.testing.assert_allclose(bench.commands[-1].q[15:], 0.1, atol=1e-9)
    bench.run(150)
    np.testing.assert_allclose(bench.commands[-1].q[15:], 0.4, atol=1e-9)


def test_base_velocity_is_ramped_and_ends_with_the_chunk(bench: Bench) -> None:
    bench.arm()
    base = np.tile([0.5, 0.0, 0.4], (16, 1))
    bench.guard.submit(bench.chunk(base_velocity=base))
    velocities = [bench.run(1).base_velocity for _ in range(400)]
    steps = np.abs(np.diff(velocities, axis=0))
    assert (steps <= np.array([1.0, 1.0, 2.0]) * DT + 1e-12).all()
    assert max(v[0] for v in velocities) == pytest.approx(0.26, abs=0.01) and not velocities[-1].any()
    assert max(v[2] for v in velocities) == pytest.approx(0.4)


BAD_CHUNKS: dict[str, tuple[dict[str, object], str]] = {
    "nan": ({"q": np.full((16, 29), np.nan)}, r"chunk values: got nan; allowed: finite values"),
    "inf t0": ({"t0": np.inf}, r"chunk values: got inf"),
    "dt": ({"dt": 1.0}, r"chunk values: got .*; allowed: finite values and dt within 0\.005 to 0\.5 s"),
    "joints": ({"moved": np.ones(29, dtype=bool)}, r"chunk joints: got .*; allowed: the 14 joints of arms_only"),
    "moved shape": ({"moved": np.ones(5, dtype=bool)}, r"chunk joints"),
    "shape": ({"q": np.zeros((16, 14))}, r"chunk shapes: got .*; allowed: \(H, 29\) and \(H, 3\), H > 1"),
    "one step": ({"q": np.zeros((1, 29)), "base_velocity": np.zeros((1, 3))}, r"chunk shapes"),
    "base": ({"base_velocity": np.zeros((15, 3))}, r"chunk shapes"),
    "position": (
        {"q": np.full((16, 29), 0.9) * 4},
        r"chunk step 0 left_hip_pitch_joint: got 3\.600; allowed: -3\.031 to",
    ),
    "huge": ({"q": np.full((16, 29), 1e300)}, r"chunk step 0 left_hip_pitch_joint: got 1000"),
    "base fast": (
        {"base_velocity": np.full((16, 3), 2.0)},
        r"chunk base velocity: got \[2\. 2\. 2\.\]; allowed: at most",
    ),
    "old": ({"sequence": 1}, r"chunk \(epoch, sequence\): got \(1, 1\); allowed: newer than \(1, 1\)"),
}


@pytest.mark.parametrize("case", BAD_CHUNKS)
def test_bad_chunk_leaves_the_output_bit_identical(case: str, robot_state: Maker) -> None:
    """I10, at the second door too."""
    changes, message = BAD_CHUNKS[case]
    outputs = []
    for tried in (True, False):
        bench = Bench(robot_state)
        bench.arm()
        bench.guard.submit(bench.chunk(0.3, sequence=1))
        bench.run(20)
        if tried:
            with pytest.raises(Refused, match=message):
                bench.guard.submit(replace(bench.chunk(0.9, sequence=2), **changes))  # type: ignore[arg-type]
        bench.run(100)
        outputs.append(bench.path().tobytes())
    assert outputs[0] == outputs[1]


# -- stopping ----------------------------------------------------------------------------------------------------


def test_stale_policy_holds_then_damps_in_the_stated_cycles(bench: Bench) -> None:
    """F1, I13: HOLD 100 ms after the last step, DAMPING two seconds later, exact to the cycle."""
    bench.arm()
    chunk = bench.chunk(0.3)
    bench.guard.submit(chunk)
    bench.run(1500)
    states = [command.state for command in bench.commands]
    began = {state: T0 + DT * states.index(state) for state in (State.HOLD, State.DAMPING)}
    assert 0.1 < began[State.HOLD] - chunk.end <= 0.1 + 2 * DT
    assert 2.0 <= began[State.DAMPING] - began[State.HOLD] <= 2.0 + DT + 1e-9
    order = [State.INACTIVE, State.ARMING, State.ACTIVE, State.HOLD, State.DAMPING]
    assert all(order.index(b) >= order.index(a) for a, b in pairwise(states))
    assert "HOLD for 2 s (no new chunk 100 ms after the last step)" in bench.guard.report().reason


def test_new_chunk_ends_a_hold_but_never_damping(bench: Bench) -> None:
    bench.arm()
    bench.guard.submit(bench.chunk(0.2))
    bench.run(300)
    assert bench.state is State.HOLD
    bench.guard.submit(bench.chunk(0.4))
    bench.run(2)
    assert bench.state is State.ACTIVE
    bench.guard.request("stop", bench.now)
    for _ in range(50):
        bench.guard.submit(bench.chunk(0.4))
        bench.run(20)
        assert bench.state is State.DAMPING


def test_arm_sdk_damping_holds_while_the_weight_falls_then_is_silent(bench: Bench) -> None:
    bench.arm()
    bench.guard.submit(bench.chunk(0.5))
    bench.run(60)
    assert np.abs(bench.commands[-1].dq).max() > 0.5
    bench.guard.request("stop", bench.now)
    begin = len(bench.commands)
    bench.run(700)
    after = bench.commands[begin:]
    weights = np.array([command.weight for command in after])
    assert weights[0] > 0.99 and np.abs(np.diff(weights)).max() <= DT / 1.0 + 1e-9 and weights[500] == 0.0
    assert (after[0].kp[12:] == 60.0).all() and (after[499].kp[12:] == 60.0).all()
    assert after[540].writes and not after[560].writes and after[-1].state is State.DAMPING
    path = bench.path()[:, 15:]
    for order, bound in ((1, 4.0), (2, 40.0), (3, 2000.0)):
        assert np.abs(np.diff(path, n=order, axis=0)).max() / DT**order <= bound * (1 + 1e-6)


def test_lowcmd_damping_loses_stiffness_within_200_ms_and_goes_on(robot_state: Maker) -> None:
    bench = Bench(robot_state, "whole_body")
    bench.arm()
    bench.guard.request("stop", bench.now)
    first = bench.run(1)
    assert first.kp[3] == pytest.approx(150.0 * (1 - DT / 0.2)) and (first.kd == 3.0).all()
    command = bench.run(99)
    assert not command.kp.any() and (command.kd == 3.0).all() and not command.tau.any() and not command.dq.any()
    bench.changes = {"q": np.full(29, -0.05)}
    command = bench.run(3000)
    np.testing.assert_array_equal(command.q, np.full(29, -0.05))
    assert command.writes and command.state is State.DAMPING


FAULTS: dict[str, tuple[dict[str, object], int, str]] = {
    "tilt": ({"quaternion_wxyz": np.array([0.5, 0.866, 0.0, 0.0])}, 2, "tilt"),
    "heat": ({"temperature": np.full(29, 90.0)}, 2, "deg C"),
    "nan": ({"q": np.full(29, np.nan)}, 4, "implausible"),
    "spike": ({"dq": np.full(29, 11.0)}, 4, "implausible"),
    "stuck": ({"tick": 7}, 28, "50 ms"),
}


@pytest.mark.parametrize("case", FAULTS)
@pytest.mark.parametrize("mode", ["arms_only", "whole_body"])
def test_faults_damp_within_their_cycles_and_stay(case: str, mode: str, robot_state: Maker) -> None:
    changes, cycles, words = FAULTS[case]
    bench = Bench(robot_state, mode)
    bench.arm()
    bench.guard.submit(bench.chunk(0.1))
    bench.run(20)
    bench.changes = changes
    bench.run(cycles)
    assert bench.state is State.DAMPING and words in bench.guard.report().reason
    command = bench.commands[-1]
    assert all(np.isfinite(part).all() for part in (command.q, command.dq, command.tau, command.kp, command.kd))
    if mode == "whole_body" and case != "heat":
        assert not command.kp.any()
    bench.changes = {}
    bench.run(500)
    assert bench.state is State.DAMPING


def test_silence_holds_at_20_ms_and_damps_at_50_ms(bench: Bench) -> None:
    """F15, to the cycle."""
    bench.arm()
    bench.guard.submit(bench.chunk(0.1))
    bench.run(20)
    last = bench.now - DT
    bench.silent = True
    bench.run(40)
    states = [command.state for command in bench.commands]
    hold, damp = (T0 + DT * states.index(state) - last for state in (State.HOLD, State.DAMPING))
    assert 0.02 < hold <= 0.022 + 1e-9 and 0.05 < damp <= 0.052 + 1e-9


def test_short_silence_is_a_hold_that_a_new_chunk_ends(bench: Bench) -> None:
    bench.arm()
    bench.guard.submit(bench.chunk(0.1))
    bench.run(20)
    bench.silent = True
    bench.run(15)
    bench.guard.submit(bench.chunk(0.1))
    bench.run(1)
    assert bench.state is State.HOLD
    bench.silent = False
    bench.run(3)
    assert bench.state is State.ACTIVE


@pytest.mark.parametrize("changes", [{"mode_machine": 6}, {"mode_pr": 1}])
def test_another_owner_silences_the_guard_within_two_cycles(changes: dict[str, object], bench: Bench) -> None:
    """F21."""
    bench.arm()
    bench.changes = changes
    command = bench.run(2)
    assert bench.state is State.INACTIVE and not command.writes and command.weight == 0.0
    bench.changes = {}
    assert not bench.run(500).writes


def test_blocked_joint_holds_within_110_ms_and_damps(bench: Bench) -> None:
    """F38."""
    bench.arm()
    bench.guard.submit(bench.chunk(0.0))
    bench.run(5)
    bench.changes = {"q": np.where(np.arange(29) == 18, 0.35, 0.0)}
    bench.run(1)  # outside the jump allowed in one sample, hence brought there in two
    began = len(bench.commands)
    bench.run(60)
    states = [command.state for command in bench.commands[began - 1 :]]
    assert State.HOLD in states and states.index(State.HOLD) * DT <= 0.11
    bench.guard.submit(bench.chunk(0.0))
    bench.run(20)
    assert bench.state is State.HOLD
    bench.run(1100)
    assert bench.state is State.DAMPING


def test_faults_of_the_caller(bench: Bench) -> None:
    bench.arm()
    bench.guard.fault("three refused chunks", bench.now, pause=True)
    assert bench.run(1).state is State.HOLD
    bench.guard.fault("a foreign writer", bench.now)
    assert bench.run(1).state is State.DAMPING and bench.guard.report().reason == "a foreign writer"


def test_disarm_lets_go_and_is_ready_again(robot_state: Maker) -> None:
    for mode, ticks in (("arms_only", 600), ("whole_body", 1200)):
        bench = Bench(robot_state, mode)
        bench.arm()
        bench.guard.request("disarm", bench.now)
        assert bench.run(1).state is State.DAMPING
        with pytest.raises(
            Refused, match=r"cannot arm: authority: got (0\.99|1\.00); allowed: 0, once DAMPING has let go"
        ):
            bench.guard.request("arm", bench.now)
        assert not bench.run(ticks).writes and bench.state is State.INACTIVE
        bench.arm()


def test_operator_rearms_from_damping_and_acknowledges_with_disarm(bench: Bench) -> None:
    bench.arm()
    bench.guard.request("stop", bench.now)
    bench.guard.request("stop", bench.now)  # a second emergency stop changes nothing
    bench.run(600)
    assert bench.state is State.DAMPING
    bench.guard.request("disarm", bench.now)
    bench.run(60)
    assert bench.state is State.INACTIVE
    bench.arm()
    bench.guard.request("stop", bench.now)
    bench.run(600)
    bench.arm()


def test_power_lost_and_back_starts_from_the_measured_pose(bench: Bench) -> None:
    """F37: no wind-up."""
    bench.arm()
    bench.guard.submit(bench.chunk(0.5))
    bench.run(100)
    bench.silent = True
    bench.run(800)
    bench.silent, bench.q = False, np.full(29, -0.1)
    bench.run(10)
    bench.guard.request("arm", bench.now)
    first = bench.run(1)
    np.testing.assert_array_equal(first.q[12:], np.full(17, -0.1))


# -- time --------------------------------------------------------------------------------------------------------


def _flight(robot_state: Maker, times: Callable[[int, np.random.Generator], float]) -> bytes:
    """Return the bytes of 600 commands of a guard stepped at ``times``, chunks on the ideal grid."""
    bench = Bench(robot_state)
    bench.arm()
    rng = np.random.default_rng(0)
    commands = []
    for k in range(600):
        if k % 50 == 3:
            bench.guard.submit(bench.chunk(0.3 * np.sin(k)))
        now = bench.now + times(k, rng)
        commands.append(bench.guard.step(robot_state(now, q=bench.q, tick=bench.tick), now))
        bench.q = np.where(commands[-1].kp > 0, commands[-1].q, bench.q)
        bench.tick += 1
    return b"".join(part.tobytes() for c in commands for part in (c.q, c.dq, c.kp, c.kd))


def test_jitter_changes_no_bit(robot_state: Maker) -> None:
    """I14, I17: steps up to 1 ms late give the same commands as a perfect clock."""
    assert _flight(robot_state, lambda k, rng: rng.uniform(0, 0.001)) == _flight(robot_state, lambda k, rng: 0.0)


@pytest.mark.parametrize("late", [0.005, 0.1, 1.0, 10.0])
def test_late_step_is_no_larger_than_one_period_allows(late: float, bench: Bench) -> None:
    bench.arm()
    for k in range(300):
        if k % 50 == 0:
            bench.guard.submit(bench.chunk(0.5 * (k % 100) / 50))
        if k == 160:
            bench.tick += round(late / DT)
        bench.run(1)
    path = bench.path()[:, 15:]
    for order, bound in ((1, 4.0), (2, 40.0), (3, 2000.0)):
        assert np.abs(np.diff(path, n=order, axis=0)).max() / DT**order <= bound * (1 + 1e-6)
    assert bench.guard.report().late_steps == 1 or late > 1


def test_stalls_of_ten_milliseconds_need_no_limit(bench: Bench) -> None:
    """A process without real-time priority stalls; the path then fades onto the chunk, which no limit has to mend."""
    bench.arm()
    for k in range(600):
        if k % 50 == 0:
            ramp = 0.2 * (bench.now - 0.04 - T0 + 0.02 * np.arange(16))[:, None] - 0.05
            chunk = bench.chunk()
            bench.guard.submit(replace(chunk, q=np.where(chunk.moved, ramp, 0.0)))
        if k % 120 == 119:
            bench.tick += 5
        bench.run(1)
    status = bench.guard.report()
    assert status.late_steps == 5 and status.limit_count == 0 and status.state is State.ACTIVE


def _moved(bench: Bench, lateness: np.ndarray) -> np.ndarray:
    """Return the path of a joint on a ramp, each step so late [s]; NaN for one that is missed."""
    bench.arm()
    for k, late in enumerate(lateness):
        if k % 50 == 0:
            ramp = 0.2 * (bench.now - 0.04 - T0 + 0.02 * np.arange(16))[:, None] - 0.05
            chunk = bench.chunk()
            bench.guard.submit(replace(chunk, q=np.where(chunk.moved, ramp, 0.0)))
        if np.isnan(late):
            bench.tick += 1
        else:
            bench.run(1, float(late))
    return bench.path()[-len(lateness) + 100 :, 15]


def test_no_step_on_time_repeats_a_command(bench: Bench) -> None:
    """After a stall the path keeps the phase of the steps: a repeat would be a joint that stands still for a period."""
    lateness = np.zeros(600)
    lateness[[150, 300, 450]] = 0.0034, 0.0036, 0.0039  # and the next one on time again
    lateness[151::2] += 0.0003
    path = _moved(bench, np.where(np.roll(lateness, 1) > 0.003, np.nan, lateness))
    assert (np.diff(path) > 0).all() and bench.guard.report().early_steps == 0


def test_a_clock_that_runs_ahead_is_followed_smoothly(bench: Bench) -> None:
    """A robot whose 2 ms are 1.99: the path waits for a period now and then, and the joints do not."""
    path = _moved(bench, -0.00001 * np.arange(600))
    status = bench.guard.report()
    assert status.early_steps == 0 and status.late_steps >= 2 and status.limit_count == 0
    assert (np.diff(path) > 0).all() and np.abs(np.diff(path, n=2)).max() / DT**2 <= 1.0


@pytest.mark.parametrize("strange", [float("nan"), float("inf"), float("-inf"), -3600.0, 0.0])
def test_time_that_is_no_time_moves_nothing(strange: float, bench: Bench, robot_state: Maker) -> None:
    bench.arm()
    bench.guard.submit(bench.chunk(0.5))
    bench.run(40)
    before = bench.commands[-1]
    for _ in range(100):
        command = bench.guard.step(robot_state(bench.now - DT, q=bench.q), strange)
        np.testing.assert_array_equal(command.q, before.q)
    assert bench.guard.report().early_steps == 100
    bench.run(40)
    assert bench.state is State.ACTIVE and bench.commands[-1].q[15] > before.q[15]


def test_guard_never_stepped_with_a_time_is_silent(robot_state: Maker) -> None:
    guard = Guard(MODES["arms_only"])
    assert not guard.step(robot_state(1.0), float("nan")).writes


def test_same_inputs_give_the_same_bytes(robot_state: Maker) -> None:
    """I17."""
    assert _flight(robot_state, lambda k, rng: rng.uniform(0, 0.02)) == _flight(
        robot_state, lambda k, rng: rng.uniform(0, 0.02)
    )


# -- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arm_seconds": 0.5}, r"guard\.arm_seconds: got 0\.5; allowed: at least 2 s unless simulated"),
        ({"hold_seconds": 3.0}, r"guard\.hold_seconds: got 3\.0; allowed: 0\.1 to 2 s"),
        ({"stale_after": 0.2}, r"guard\.stale_after: got 0\.2"),
        ({"silent_hold": 0.03}, r"guard\.silent_hold: got 0\.03"),
        ({"silent_damp": 0.015}, r"guard\.silent_damp: got 0\.015; allowed: at least silent_hold, 0\.02 s"),
        ({"max_tilt": 1.5}, r"guard\.max_tilt: got 1\.5"),
        ({"max_winding": float("nan")}, r"guard\.max_winding: got nan"),
        ({"period": "fast"}, r"guard\.period: got fast"),
        ({"outliers": True}, r"guard\.outliers: got True"),
        ({"outliers": 2.5}, r"guard\.outliers: got 2\.5; allowed: a whole number of samples"),
        ({"simulated": 1}, r"guard\.simulated: got 1; allowed: bool"),
        ({"limits": None}, r"guard\.limits: got None; allowed: LimitConfig"),
    ],
)
def test_settings_may_only_tighten(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GuardConfig(**changes)  # type: ignore[arg-type]


def test_limits_wider_than_the_variant_are_refused_at_configure(bench: Bench) -> None:
    guard = Guard(MODES["arms_only"], GuardConfig(limits=LimitConfig(arm=Dynamic(30.0, 40.0, 2000.0))))
    with pytest.raises(ConfigError, match=r"left_wrist_pitch_joint velocity limit: got 30\.0"):
        guard.configure(VARIANTS[5])
    assert guard.report().state is State.UNCONFIGURED


def test_gains_are_the_declared_ones(bench: Bench) -> None:
    bench.arm()
    np.testing.assert_array_equal(bench.commands[-1].kp, gains("arm_sdk").kp)
    np.testing.assert_array_equal(bench.commands[-1].kd, gains("arm_sdk").kd)


def test_report_forgets_a_limit_that_no_longer_holds(robot_state: Maker) -> None:
    """Also of a joint that is held but not moved: the waist in arms_only."""
    bench = Bench(robot_state)
    bench.arm()
    bench.changes = {"q": np.where(np.arange(29) == 13, 0.3, 0.0)}
    bench.run(1)
    bench.changes = {"q": np.where(np.arange(29) == 13, 0.55, 0.0)}  # waist roll, 60 N m/rad against 31.5 N m
    bench.run(2)
    assert bench.guard.report().limited_joints == ("waist_roll_joint",)
    bench.changes = {"q": np.where(np.arange(29) == 13, 0.3, 0.0)}
    bench.run(2)
    assert bench.guard.report().limited_joints == () and bench.guard.report().limit_count > 0
