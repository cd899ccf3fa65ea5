"""Every variant in every mode: joints that a robot lacks are refused at the door, never commanded, and switched off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from neon_ros.contracts import ActionChunk, RobotState
from neon_ros.errors import Refused
from neon_ros.guard.admission import Admission
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.machine import State
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS

Chunks = Callable[..., ActionChunk]
PAIRS = [(machine, mode) for machine in VARIANTS for mode in MODES]
EXPECTED = {"arms_only": (14, 10), "upper_body": (17, 11), "whole_body": (29, 23)}
WAIST_LOCKED, DOF_23 = (6, 12, 14, 16), (4, 10)


def present(machine: int, mode: str) -> tuple[str, ...]:
    return tuple(name for name in MODES[mode].joint_names if name not in VARIANTS[machine].absent)


@pytest.mark.parametrize(("machine", "mode"), PAIRS)
def test_chunks_name_exactly_the_joints_that_are_there(machine: int, mode: str, action_chunk: Chunks) -> None:
    names = present(machine, mode)
    locked = 2 if machine in WAIST_LOCKED and mode != "arms_only" else 0
    assert len(names) == (EXPECTED[mode][1] if machine in DOF_23 else EXPECTED[mode][0] - locked)
    admission = Admission(MODES[mode], VARIANTS[machine])
    assert admission.joint_names == names
    good = action_chunk(mode=mode, joint_names=names, q=np.full((16, len(names)), 0.05, np.float32))
    admitted = admission.admit(good, 0, 10.0)
    assert admitted.moved.sum() == len(names)
    full = action_chunk(mode=mode, sequence=2)
    absent = [name for name in full.joint_names if name not in names]
    if absent:
        with pytest.raises(Refused, match=rf"absent on this variant \['{absent[0]}'"):
            admission.admit(full, 0, 10.0)
    else:
        admission.admit(full, 0, 10.0)


@pytest.mark.parametrize(("machine", "mode"), PAIRS)
def test_absent_joints_are_never_commanded(
    machine: int, mode: str, action_chunk: Chunks, robot_state: Callable[..., RobotState]
) -> None:
    names = present(machine, mode)
    # The pose asked for lays the right hand on the thigh; that is another test's matter.
    guard = Guard(MODES[mode], GuardConfig(simulated=True, arm_seconds=0.2, self_collision=False))
    guard.configure(VARIANTS[machine])
    admission = Admission(MODES[mode], VARIANTS[machine])
    gone = ~VARIANTS[machine].present()
    strange = np.where(gone, 9.0, 0.0)  # what absent joints report means nothing
    q = strange.copy()
    sequence = 0
    for tick in range(400):
        now = 10.0 + tick * 0.002
        if tick == 2:
            guard.request("arm", now)
        if tick > 110 and tick % 50 == 0:
            sequence += 1
            ask = action_chunk(
                mode=mode, joint_names=names, sequence=sequence, q=np.full((16, len(names)), 0.05, np.float32)
            )
            guard.submit(admission.admit(ask, 0, now))
        command = guard.step(robot_state(now, q=q.copy(), mode_machine=machine), now)
        assert not command.kp[gone].any() and not command.kd[gone].any() and not command.q[gone].any()
        if mode != "whole_body":
            assert not command.kp[:12].any()
            assert tick < 4 or (command.kp[12:][~gone[12:]] > 0).all(), "rt/arm_sdk holds waist and arms together"
        if command.writes:
            q = np.where(command.kp > 0, command.q, q)
    assert guard.machine.state is State.ACTIVE, guard.machine.reason
    moved = np.isin(np.arange(29), [i for i in range(29) if guard._moved[i]])
    assert moved.sum() == len(names) and np.allclose(q[moved], 0.05, atol=0.01)
    if mode == "arms_only":
        assert not command.q[12:15].any(), "the waist stays where it was measured"


@pytest.mark.parametrize(("machine", "mode"), [(m, mode) for m, mode in PAIRS if VARIANTS[m].absent])
def test_a_chunk_that_moves_absent_joints_is_refused_by_the_guard_too(
    machine: int, mode: str, action_chunk: Chunks
) -> None:
    if present(machine, mode) == MODES[mode].joint_names:
        return  # this mode needs none of the absent joints
    admitted = Admission(MODES[mode], VARIANTS[5]).admit(action_chunk(mode=mode), 0, 10.0)
    guard = Guard(MODES[mode], GuardConfig(simulated=True))
    guard.configure(VARIANTS[machine])
    with pytest.raises(Refused, match="chunk joints: got"):
        guard.submit(replace(admitted, sequence=2))
