"""Every trap of the G1 that is known, and the test that falls into it when the code does.

The list is typed from the reference page "Traps, each one a test".  A trap that names no test, or a test that is not
there any more, fails here.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from neon_ros.errors import Refused, RobotError
from neon_ros.guard.admission import Admission
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS, variant
from oracles import robot
from oracles.makers import action_chunk, measured

TESTS = Path(__file__).parents[1]

WIRE, ADMISSION, GUARD = "unit/robot/test_wire.py", "unit/guard/test_admission.py", "unit/guard/test_guard.py"
LOOP, SIDE, MOTOR = "unit/motor/test_loop.py", "unit/motor/test_side.py", "system/test_motor.py"
FRAMES, HERE = "property/test_frames.py", "property/test_traps.py"

TRAPS: dict[str, tuple[str, ...]] = {
    "CRC over a zeroed buffer, no pointer cast": (
        f"{WIRE}::test_crc_equals_a_bitwise_reference_over_the_c_struct",
        f"{WIRE}::test_padding_is_zero_and_ignored",
    ),
    "bytes equal a golden frame": (
        f"{FRAMES}::test_i15_golden_low_cmd_to_the_byte",
        f"{FRAMES}::test_i15_golden_low_state_to_the_byte",
        f"{FRAMES}::test_i15_golden_frames_are_what_the_vendors_objects_serialise_to",
    ),
    "another mode_pr or mode_machine changes the CRC": (f"{WIRE}::test_crc_changes_with_either_mode",),
    "mode_machine 0 or unknown is refused": (
        f"{LOOP}::test_an_unknown_variant_is_never_configured",
        f"{MOTOR}::test_an_unknown_variant_is_refused",
        f"{HERE}::test_a_mode_machine_that_is_not_known_has_no_limits",
    ),
    "limits follow the state's variant, not the config": (
        f"{HERE}::test_limits_follow_the_variant_that_low_state_reports",
        f"{LOOP}::test_a_robot_that_turns_into_another_is_let_go_and_adopted",
    ),
    "mode_pr must be 0": (
        f"{WIRE}::test_wrong_modes_are_refused",
        "unit/guard/test_health.py::test_another_robot_than_configured_is_lost",
        f"{FRAMES}::test_i15_a_million_frames_have_the_reference_checksum_and_nothing_else_in_them",
    ),
    "swapped ankles": (
        f"{WIRE}::test_swapped_ankles_do_not_go_unseen",
        f"{HERE}::test_each_ankle_name_moves_its_motor",
    ),
    ".qd must not exist, dq reaches the wire": (f"{WIRE}::test_dq_reaches_the_wire_and_there_is_no_qd",),
    "chunk with NaN, Inf, wrong width, wrong or duplicate names, empty horizon": (
        f"{ADMISSION}::test_refuses_and_changes_nothing",
        "property/test_admission.py::test_i10_a_million_refused_chunks_leave_no_bit_behind",
    ),
    "out-of-order, future and 1970 stamps": (
        f"{ADMISSION}::test_newer_number_with_an_older_stamp_is_refused",
        "property/test_admission.py::test_i11_only_newer_unexpired_chunks_come_in",
        f"{HERE}::test_a_stamp_of_1970_is_refused",
    ),
    "executor stalls 200 ms, 1 s, for ever": (f"{HERE}::test_an_executor_that_stalls_ends_in_hold_and_damping",),
    "policy process killed": (
        f"{GUARD}::test_stale_policy_holds_then_damps_in_the_stated_cycles",
        "property/test_states.py::test_i13_every_timer_runs_out_in_the_stated_cycle",
    ),
    "LowState frozen with its tick unchanged": (
        "unit/guard/test_health.py::test_silence_and_a_stuck_counter",
        "property/test_states.py::test_i13_every_timer_runs_out_in_the_stated_cycle",
    ),
    "LowState at 10 % loss": (f"{HERE}::test_a_tenth_of_low_state_may_be_lost",),
    "clock jump, simulated time stops": (
        f"{ADMISSION}::test_clock_of_the_stamps_may_step",
        "property/test_time.py::test_i14_steps_of_the_ros_clock_change_no_bit",
    ),
    "two writers on rt/lowcmd": (
        f"{SIDE}::test_another_writer_forbids_arming_and_stops_an_armed_robot",
        f"{MOTOR}::test_another_writer_forbids_arming_and_stops_an_armed_robot",
        "property/test_writers.py::test_i18_never_armed_beside_another_writer_and_damped_when_one_comes",
    ),
    "motion service still active, ReleaseMode never clears": (
        f"{SIDE}::test_a_robot_that_does_not_let_go_is_not_armed",
        f"{MOTOR}::test_motors_that_are_not_released_are_not_fought_for",
        "system/test_link.py::test_a_controller_that_does_not_let_go_is_not_fought",
    ),
    "chunk switch of 1 rad in one step": (
        f"{GUARD}::test_jump_of_a_radian_stays_inside_every_limit",
        "property/test_motion.py::test_i05_jerk_stays_within_its_limit_also_across_seams_and_holds",
        "property/test_torque.py::test_i07_every_command_of_a_guard_for_any_robot_it_meets",
    ),
    "head checksum changes in the middle of a run": (
        f"{HERE}::test_another_head_in_the_same_epoch_is_refused",
        "unit/act/test_manifest.py::test_every_flipped_bit_is_seen",
    ),
    "last chunk expires at full speed": (f"{HERE}::test_a_chunk_that_ends_at_full_speed_is_slowed_to_rest",),
    "e-stop during a blend, second e-stop while latched": (f"{HERE}::test_stop_during_a_blend_and_a_second_one",),
    "arms_only leaves the legs alone, weight ramps both ways, slot 29 untouched otherwise": (
        f"{GUARD}::test_arm_sdk_modes_never_touch_the_legs",
        f"{GUARD}::test_arm_sdk_damping_holds_while_the_weight_falls_then_is_silent",
        f"{LOOP}::test_arm_sdk_never_touches_the_legs",
        f"{LOOP}::test_low_cmd_leaves_slot_29_alone",
        f"{WIRE}::test_slots_29_to_34_stay_zero_without_a_weight",
    ),
    "waist-locked and 23-DoF variants lack joints": (
        f"{ADMISSION}::test_joints_that_the_variant_lacks_are_refused",
        f"{GUARD}::test_absent_joints_get_no_gain",
        f"{LOOP}::test_absent_joints_are_off",
    ),
    "mirrored joint sign": (f"{HERE}::test_left_and_right_ranges_mirror",),
    "wrong order of joints is rejected, not remapped by position": (
        f"{HERE}::test_names_of_another_layout_are_refused_and_never_taken_by_place",
        "property/test_admission.py::test_i12_any_order_of_names_gives_the_same_bits",
    ),
}


@lru_cache(maxsize=64)
def _names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("trap", TRAPS)
def test_every_trap_has_a_test(trap: str) -> None:
    assert TRAPS[trap]
    for identifier in TRAPS[trap]:
        file, _, name = identifier.partition("::")
        assert name.startswith("test_") and name in _names_in(TESTS / file), identifier


def test_a_mode_machine_that_is_not_known_has_no_limits() -> None:
    for mode_machine in set(range(256)) - set(robot.KNOWN):
        with pytest.raises(RobotError, match=rf"mode_machine: got {mode_machine}; allowed: one of \[4, 5, 6, 10"):
            variant(mode_machine)


@pytest.mark.parametrize("mode_machine", robot.KNOWN)
def test_limits_follow_the_variant_that_low_state_reports(mode_machine: int) -> None:
    limits = VARIANTS[mode_machine].limits()
    np.testing.assert_array_equal(limits.lower, robot.LOWER)
    np.testing.assert_array_equal(limits.upper, robot.UPPER)
    np.testing.assert_array_equal(limits.effort, robot.effort(mode_machine))
    np.testing.assert_array_equal(limits.velocity, robot.velocity(mode_machine))
    assert np.flatnonzero(~VARIANTS[mode_machine].present()).tolist() == list(robot.absent(mode_machine))
    guard = Guard(MODES["whole_body"], GuardConfig())
    guard.configure(VARIANTS[mode_machine])
    rows = np.flatnonzero(VARIANTS[mode_machine].present())
    np.testing.assert_array_equal(guard.limiter.limits.upper, robot.UPPER[rows] - robot.MARGIN)
    np.testing.assert_array_equal(guard.limiter.limits.lower, robot.LOWER[rows] + robot.MARGIN)
    for part, column in (("velocity", 0), ("acceleration", 1), ("jerk", 2)):
        np.testing.assert_array_equal(getattr(guard.limiter.limits, part), robot.DYNAMICS[rows, column])


def test_each_ankle_name_moves_its_motor() -> None:
    """In AB mode the two swap; here pitch is always the first of the pair."""
    door = Admission(MODES["whole_body"], VARIANTS[5])
    q = np.zeros((2, 29), np.float32)
    q[:, [robot.NAMES.index("left_ankle_pitch_joint"), robot.NAMES.index("right_ankle_pitch_joint")]] = [-0.4, 0.3]
    got = door.admit(action_chunk(mode="whole_body", q=q, base_velocity=np.zeros((2, 3), np.float32)), 1, 1.0)
    assert np.flatnonzero(got.q[0]).tolist() == [4, 10]


def test_a_stamp_of_1970_is_refused() -> None:
    door = Admission(MODES["arms_only"], VARIANTS[5])
    with pytest.raises(Refused, match=r"chunk age: got 1[0-9]{9}\.\d+ s; allowed: less than 0\.060 s"):
        door.admit(action_chunk(stamp_ns=0), 1_790_000_000 * 10**9, 5.0)


def test_another_head_in_the_same_epoch_is_refused() -> None:
    door = Admission(MODES["arms_only"], VARIANTS[5])
    door.admit(action_chunk(epoch=3), 1, 1.0)
    for change in ({"checksum": "1" * 64}, {"head_id": "other"}):
        with pytest.raises(
            Refused, match=r"chunk head in epoch 3: got \(.*allowed: \('mlp_touch', '0+'\); another head"
        ):
            door.admit(action_chunk(epoch=3, sequence=2, **change), 1, 1.0)
    with pytest.raises(Refused, match=r"chunk\.checksum: got None; allowed: text"):
        door.admit(action_chunk(epoch=4, checksum=None), 1, 1.0)
    assert door.admit(action_chunk(epoch=3, sequence=2), 1, 1.0).sequence == 2
    assert door.admit(action_chunk(epoch=4, sequence=1, checksum="1" * 64), 1, 1.0).epoch == 4
    with pytest.raises(Refused, match=r"newer than"):
        door.admit(action_chunk(epoch=3, sequence=3), 1, 1.0)


def test_left_and_right_ranges_mirror() -> None:
    """Pitch joints keep their range, roll and yaw joints swap and negate it."""
    limits = VARIANTS[5].limits()
    for index, name in enumerate(robot.NAMES):
        if not name.startswith("left_"):
            continue
        other = robot.NAMES.index("right_" + name.removeprefix("left_"))
        low, high = limits.lower[index], limits.upper[index]
        keeps = "pitch" in name or "knee" in name or "elbow" in name
        wanted = (low, high) if keeps else (-high, -low)
        assert (limits.lower[other], limits.upper[other]) == wanted, name


def test_names_of_another_layout_are_refused_and_never_taken_by_place() -> None:
    """Menagerie's or a paper's names for the same 14 joints, in the right places: not one is taken."""
    door = Admission(MODES["arms_only"], VARIANTS[5])
    for change in (
        [name.removesuffix("_joint") for name in robot.NAMES[15:]],
        [name.upper() for name in robot.NAMES[15:]],
        ["kLeftShoulderPitch", *robot.NAMES[16:]],
        [f"joint_{i}" for i in range(14)],
        list(robot.NAMES[:14]),
    ):
        with pytest.raises(Refused, match=r"chunk\.joint_names: got (unknown|outside the mode)"):
            door.admit(action_chunk(joint_names=tuple(change)), 1, 1.0)
    assert door.counters.admitted == 0


class Run:
    """A guard at 500 Hz with a robot that goes where it is told."""

    def __init__(self, mode: str = "arms_only") -> None:
        self.guard = Guard(MODES[mode], GuardConfig(simulated=True, arm_seconds=0.2))
        self.guard.configure(VARIANTS[5])
        self.door = Admission(MODES[mode], VARIANTS[5])
        self.tick, self.number, self.q = 5000, 0, np.zeros(29)
        self.path: list[np.ndarray] = []
        self.go(2)
        self.guard.request("arm", self.now)
        self.go(110)
        assert self.state == "ACTIVE"

    @property
    def now(self) -> float:
        return self.tick * 0.002

    @property
    def state(self) -> str:
        return self.guard.machine.state.value

    def go(self, ticks: int, heard: float = 1.0, rng: np.random.Generator | None = None) -> None:
        """Run so many periods; each LowState arrives with probability ``heard``."""
        for _ in range(ticks):
            self.tick += 1
            arrives = rng is None or rng.random() < heard
            command = self.guard.step(measured(self.tick, self.now, self.q) if arrives else None, self.now)
            self.q = np.where(command.kp > 0, command.q, self.q)
            self.path.append(command.q.copy())

    def send(self, q: np.ndarray, dt: float = 0.02) -> None:
        """Send a chunk that begins now."""
        self.number += 1
        stamp = round(self.now * 1e9)
        base = np.zeros((len(q), 3), np.float32)
        chunk = action_chunk(q=q.astype(np.float32), base_velocity=base, dt=dt, sequence=self.number, stamp_ns=stamp)
        self.guard.submit(self.door.admit(chunk, stamp, self.now))

    def judge(self) -> None:
        """Check the path of the arms."""
        from oracles.motion import Bounds, Worst

        arms = slice(15, 29)
        worst = Worst()
        limits = (robot.LOWER + robot.MARGIN, robot.UPPER - robot.MARGIN, *robot.DYNAMICS.T)
        worst.judge(np.array(self.path[5:])[:, arms], Bounds(*(part[arms] for part in limits)), 0.002)
        assert worst.not_finite == 0 and worst.outside <= 1e-9
        assert worst.excess[0] <= 1e-9 and worst.excess[1] <= 1e-6 and worst.excess[2] <= 1e-6


@pytest.mark.parametrize(("seconds", "after"), [(0.2, "ACTIVE"), (1.0, "HOLD"), (5.0, "DAMPING")])
def test_an_executor_that_stalls_ends_in_hold_and_damping(seconds: float, after: str) -> None:
    """Chunks stop coming for a while; 300 ms of the last one are left.  The motor goes on by itself."""
    run = Run()
    ramp = np.linspace(0, 0.3, 16)[:, None] * np.ones(14)
    run.send(ramp)
    run.go(round(seconds / 0.002))
    assert run.state == after
    run.send(np.full((16, 14), 0.3))
    run.go(20)
    assert run.state == ("DAMPING" if after == "DAMPING" else "ACTIVE"), "a stall may end, DAMPING may not"
    run.judge()


def test_a_tenth_of_low_state_may_be_lost() -> None:
    run, rng = Run(), np.random.default_rng(10)
    for _ in range(40):
        run.send(run.q[15:] + rng.normal(size=14) * 0.02 * np.linspace(0, 1, 16)[:, None])
        run.go(50, heard=0.9, rng=rng)
        assert run.state == "ACTIVE"
    run.judge()


def test_a_chunk_that_ends_at_full_speed_is_slowed_to_rest() -> None:
    run = Run()
    speed = 3.5 * np.array([1, 1, 1, 1, 1, 1, 1] * 2)
    run.send(np.linspace(0, 0.3, 16)[:, None] * speed)
    ends = run.now + 0.3
    while run.now < ends - 0.02:
        run.go(1)
    moving = np.abs(run.path[-1] - run.path[-2])[15:] / 0.002
    assert moving.max() > 2.0, "at full speed"
    run.go(round(1.2 / 0.002))  # it comes to rest against the body, which it may only near slowly
    assert run.state == "HOLD"
    assert np.array_equal(run.path[-1], run.path[-2]), "at rest"
    run.judge()


def test_stop_during_a_blend_and_a_second_one() -> None:
    run = Run()
    run.send(np.full((16, 14), 0.5))
    run.go(60)
    run.send(np.full((16, 14), -0.5))  # one blends into the other
    run.go(10)
    run.guard.request("stop", run.now)
    run.go(1)
    assert run.state == "DAMPING"
    run.go(3)
    reason, since = run.guard.machine.reason, run.guard.machine.since
    run.guard.request("stop", run.now)
    run.go(1)
    assert (run.state, run.guard.machine.reason, run.guard.machine.since) == ("DAMPING", reason, since)
    run.go(400)
    assert np.array_equal(run.path[-1][15:], run.path[-2][15:]) and run.state == "DAMPING"
    run.judge()
