"""I10 to I12: a refused chunk leaves no trace, only newer ones come in, and names decide, never places."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from neon_ros.contracts import ActionChunk
from neon_ros.errors import Refused
from neon_ros.guard.admission import Admission, AdmittedChunk
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS
from oracles import robot
from oracles.makers import action_chunk, measured
from oracles.parallel import PROCESSES, spread
from oracles.scale import scaled

REFUSALS = scaled(1_000_000)
DECISIONS = scaled(1_000_000)
PERMUTATIONS = scaled(100_000)
MS = 1_000_000  # [ns]
ARMS = robot.MODE_JOINTS["arms_only"]
BAD_NUMBERS = (math.nan, math.inf, -math.inf, 1e308, -1e308, 3.5e38, 4.0, -4.0)


def fields_of(chunk: AdmittedChunk) -> tuple[bytes | object, ...]:
    """Return every bit of an admitted chunk."""
    values = (getattr(chunk, name) for name in AdmittedChunk.__dataclass_fields__)
    return tuple(value.tobytes() if isinstance(value, np.ndarray) else value for value in values)


def state_of(admission: Admission) -> dict[str, object]:
    """Return all that an admission remembers, without its counters."""
    kept = {name: value for name, value in vars(admission).items() if name != "counters"}
    return {name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in kept.items()}


def spoil(rng: np.random.Generator, chunk: ActionChunk, now_ns: int, newest: int) -> ActionChunk:
    """Return the chunk with one thing wrong with it."""
    changes: dict[str, Any] = {}
    kind = int(rng.integers(0, 17))
    if kind <= 2:
        q = chunk.q.astype(np.float64)
        q[rng.integers(len(q)), rng.integers(q.shape[1])] = BAD_NUMBERS[rng.integers(len(BAD_NUMBERS))]
        changes["q"] = q
    elif kind == 3:
        base = chunk.base_velocity.astype(np.float64)
        base[rng.integers(len(base)), rng.integers(3)] = BAD_NUMBERS[rng.integers(len(BAD_NUMBERS))]
        changes["base_velocity"] = base
    elif kind == 4:
        changes["q"] = [chunk.q[:, :-1], chunk.q[:1], chunk.q[0], chunk.q[:0], chunk.q.tolist(), None][rng.integers(6)]
    elif kind == 5:
        names = list(chunk.joint_names)
        names[rng.integers(14)] = ["left_knee_joint", names[0] if names[0] != names[1] else names[2], "x", ""][
            rng.integers(4)
        ]
        if len(set(names)) == 14 and set(names) == set(ARMS):
            names = names[1:]
        changes["joint_names"] = tuple(names)
    elif kind == 6:
        changes["joint_names"] = [None, 3, "abc", (1,) * 14, chunk.joint_names[:-1], ()][rng.integers(6)]
    elif kind == 7:
        changes["stamp_ns"] = now_ns - int(rng.integers(60 * MS, 10**18))  # at least its own length old
    elif kind == 8:
        changes["stamp_ns"] = now_ns + int(rng.integers(501 * MS, 10**18))
    elif kind == 9:
        changes["stamp_ns"] = [0, None, 1.5, "now", True][rng.integers(5)]
    elif kind == 10:
        changes["sequence"] = [newest, newest - 1, 0, -1, 2**64, 1.5, None, True][rng.integers(8)]
    elif kind == 11:
        changes["epoch"] = [0, -1, 2**64, None, "1"][rng.integers(5)]
    elif kind == 12:
        changes["mode"] = ["upper_body", "whole_body", "", "ARMS_ONLY", None][rng.integers(5)]
    elif kind == 13:
        changes["dt"] = [0.0, -0.02, math.nan, math.inf, 0.004, 0.6, None, "0.02", True][rng.integers(9)]
    elif kind == 14:
        changes["base_velocity"] = [chunk.base_velocity[:-1], chunk.base_velocity[:, :2], None][rng.integers(3)]
    elif kind == 15:
        changes[("head_id", "checksum")[int(rng.integers(2))]] = ["another", "", None, 7][int(rng.integers(4))]
    else:
        changes["q"], changes["base_velocity"] = np.zeros((65, 14)), np.zeros((65, 3))
    return ActionChunk(**{**vars(chunk), **changes})


def refuse_many(seed: int, count: int) -> tuple[int, int, dict[str, int]]:
    """Offer ``count`` spoilt chunks among good ones to one door, and the good ones alone to its twin.

    :returns: refusals, admissions and the reasons counted.
    """
    rng = np.random.default_rng(seed)
    door, twin = (Admission(MODES["arms_only"], VARIANTS[5]) for _ in range(2))
    now_ns, number = 10**18, 1
    for one in (door, twin):
        one.admit(action_chunk(stamp_ns=now_ns - 10 * MS), now_ns, now_ns * 1e-9 - 3.0)
    refused, admitted = 0, 1
    remembered = state_of(door)
    while refused < count:
        now_ns += 20 * MS
        number += 1
        q = rng.uniform(-0.3, 0.3, (4, 14)).astype(np.float32)
        good = action_chunk(q=q, stamp_ns=now_ns - 10 * MS, sequence=number)
        for _ in range(50):
            bad = spoil(rng, good, now_ns, number - 1)
            with pytest.raises(Refused):
                door.admit(bad, now_ns, now_ns * 1e-9 - 3.0)
            refused += 1
        assert state_of(door) == remembered, "a refusal leaves nothing behind"
        a, b = (one.admit(good, now_ns, now_ns * 1e-9 - 3.0) for one in (door, twin))
        assert fields_of(a) == fields_of(b)
        admitted += 1
        remembered = state_of(door)
    assert door.counters.refused == refused == sum(door.counters.reasons.values())
    assert door.counters.admitted == admitted == twin.counters.admitted
    return refused, admitted, door.counters.reasons


def test_i10_a_million_refused_chunks_leave_no_bit_behind() -> None:
    shares = 2 * PROCESSES
    found = spread(refuse_many, [(100 + i, -(-REFUSALS // shares)) for i in range(shares)])
    assert sum(one[0] for one in found) >= REFUSALS
    seen = set.union(*(set(one[2]) for one in found))
    assert seen >= {"mode", "joint names", "shape", "not finite", "position", "base velocity", "dt", "horizon", "stale",
                    "future", "stamp", "not newer", "epoch", "sequence", "head"}  # fmt: skip


def guarded_stream(chunks: Iterator[tuple[int, AdmittedChunk | None]], noise: np.random.Generator | None) -> bytes:
    """Return the bytes of 400 commands of a guard that is offered ``chunks``, and wrong ones too when ``noise``."""
    guard = Guard(MODES["arms_only"], GuardConfig(period=0.01, simulated=True, arm_seconds=0.2))
    guard.configure(VARIANTS[5])
    q, out = np.zeros(29), []
    plan = dict(chunks)
    for k in range(400):
        now = 5.0 + k * 0.01
        if k == 2:
            guard.request("arm", now)
        good = plan.get(k)
        if noise is not None and good is not None:
            for change in (
                {"q": np.full((8, 29), np.nan)},
                {"q": np.full((8, 29), 9.0)},
                {"q": np.zeros((8, 28))},
                {"moved": np.ones(29, dtype=bool)},
                {"moved": np.zeros(3, dtype=bool)},
                {"t0": math.inf},
                {"dt": 0.0},
                {"dt": 0.7},
                {"base_velocity": np.full((8, 3), 7.0)},
                {"base_velocity": np.zeros((7, 3))},
                {"epoch": -2},
            ):
                bad = AdmittedChunk(**{**vars(good), **change})
                with pytest.raises(Refused):
                    guard.submit(bad)
        if good is not None:
            guard.submit(good)
            if noise is not None:
                with pytest.raises(Refused):
                    guard.submit(copy.copy(good))  # the same again
        command = guard.step(measured(k, now, q), now)
        if command.writes:
            q = np.where(command.kp > 0, command.q, q)
        for part in (command.q, command.dq, command.tau, command.kp, command.kd, command.base_velocity):
            out.append(part.tobytes())
        out.append(repr((command.weight, command.state, command.writes)).encode())
    return b"".join(out)


@pytest.mark.parametrize("seed", range(10))
def test_i10_the_whole_guard_gives_the_same_bits_as_if_the_refused_had_never_been_sent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    moved = np.arange(29) >= 15
    plan = []
    for number, k in enumerate(range(30, 380, int(rng.integers(5, 12)))):
        q = np.cumsum(rng.normal(size=(8, 29)) * 0.02, axis=0) * moved
        chunk = AdmittedChunk(5.0 + k * 0.01 - 0.02, 0.04, q, moved, rng.uniform(-0.3, 0.3, (8, 3)), 1, number)
        plan.append((k, chunk))
    assert guarded_stream(iter(plan), rng) == guarded_stream(iter(plan), None)


def decide_many(seed: int, count: int) -> tuple[int, int]:
    """Offer chunks with random numbers and stamps to a door; return how many were decided and how many came in.

    The oracle is the safety card's sentence: strictly newer (epoch, sequence), unexpired, at most 500 ms ahead; and,
    as stamps must order the data, not before the last admitted one (1 ms of slack between two clocks).
    """
    rng = np.random.default_rng(seed)
    door = Admission(MODES["arms_only"], VARIANTS[5])
    newest, newest_stamp = (-1, -1), -(10**30)
    admitted = 0
    now_ns = 10**18
    steps = {h: (np.zeros((h, 14), np.float32), np.zeros((h, 3), np.float32)) for h in (2, 4, 8)}
    jumps = rng.integers(-3, 5, (count, 2))
    ages = rng.integers(-700 * MS, 700 * MS, count)
    edges = rng.random(count)
    for i in range(count):
        now_ns += int(rng.integers(0, 30)) * MS
        horizon = (2, 4, 8)[i % 3]
        if newest[1] > 1000 or newest[0] > 10**6:  # begin anew, so that small numbers are met again
            door, newest, newest_stamp = Admission(MODES["arms_only"], VARIANTS[5]), (-1, -1), -(10**30)
        epoch = max(newest[0] + (int(jumps[i, 0]) if edges[i] < 0.1 else 0), 0)
        sequence = max(newest[1] + int(jumps[i, 1]), 0)
        length = (horizon - 1) * 20 * MS
        age = int(ages[i])
        if edges[i] > 0.9:  # on the edges, where a test of 1 ns matters
            age = (length - 1000, length, length + 1000, -500 * MS + 1000, -500 * MS - 1000)[i % 5]
        stamp = now_ns - age
        q, base = steps[horizon]
        chunk = action_chunk(q=q, base_velocity=base, stamp_ns=stamp, epoch=epoch, sequence=sequence)
        slack = abs(newest_stamp - stamp - MS) < 1000  # two clocks, floats: undecided within a microsecond
        wanted = (epoch, sequence) > newest and -500 * MS <= age < length and stamp >= newest_stamp - MS
        try:
            door.admit(chunk, now_ns, now_ns * 1e-9)
            got = True
        except Refused:
            got = False
        assert got == wanted or slack, (epoch, sequence, newest, age, length, stamp - newest_stamp)
        if got:
            admitted += 1
            newest, newest_stamp = (epoch, sequence), stamp
    return count, admitted


def test_i11_only_newer_unexpired_chunks_come_in() -> None:
    shares = 2 * PROCESSES
    found = spread(decide_many, [(110 + i, -(-DECISIONS // shares)) for i in range(shares)])
    assert sum(one[0] for one in found) >= DECISIONS
    admitted = sum(one[1] for one in found)
    assert 0.02 * DECISIONS < admitted < 0.9 * DECISIONS, "both answers are given often"


def permute_many(seed: int, count: int) -> int:
    """Offer permuted chunks of every mode and variant; each comes out as the bits of the one in motor order."""
    rng = np.random.default_rng(seed)
    done = 0
    while done < count:
        mode = ("arms_only", "upper_body", "whole_body")[int(rng.integers(3))]
        machine = int(rng.choice(robot.KNOWN))
        missing = {robot.NAMES[i] for i in robot.absent(machine)}
        names = [name for name in robot.MODE_JOINTS[mode] if name not in missing]
        places = [robot.NAMES.index(name) for name in names]
        q = rng.uniform(robot.LOWER[places], robot.UPPER[places], (3, len(names))).astype(np.float32)
        base = np.zeros((3, 3), np.float32)
        full = np.zeros((3, 29))
        full[:, places] = q
        door = Admission(MODES[mode], VARIANTS[machine])
        for number in range(200):
            order = rng.permutation(len(names))
            given = tuple(names[i] for i in order)
            chunk = action_chunk(
                mode=mode, joint_names=given, q=q[:, order], base_velocity=base, sequence=number, stamp_ns=0
            )
            got = door.admit(chunk, 1, 1.0)
            assert got.q.tobytes() == full.tobytes()
            assert np.flatnonzero(got.moved).tolist() == places
            done += 1
            if number % 10 == 0:
                wrong = list(given)
                wrong[int(rng.integers(len(wrong)))] = str(
                    rng.choice(["tail_joint", given[0] if order[0] else given[1]])
                )
                for bad in (tuple(wrong), given[1:], (*given, given[0]), (*given, "tail_joint")):
                    if sorted(bad) == sorted(given):
                        continue
                    spoilt = action_chunk(mode=mode, joint_names=bad, q=np.zeros((3, len(bad)), np.float32),
                                          base_velocity=base, sequence=number + 1)  # fmt: skip
                    with pytest.raises(Refused, match=r"chunk\.joint_names: got (unknown|repeated|missing)"):
                        door.admit(spoilt, 1, 1.0)
    return done


def test_i12_any_order_of_names_gives_the_same_bits() -> None:
    found = spread(permute_many, [(120 + i, -(-PERMUTATIONS // PROCESSES)) for i in range(PROCESSES)])
    assert sum(found) >= PERMUTATIONS
