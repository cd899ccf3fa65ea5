"""Chunks that come late, not at all, in disorder, wrong or from a stranger: F3, F9 to F11, F13, F14, F28, F29, F39."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from neon_ros.chaos import reactions
from neon_ros.chaos.bench import CYCLE, Bench, fault
from neon_ros.chaos.rig import Rig
from neon_ros.chaos.tape import Records, reports_of

_QUIET = 0.06  # [s] after which everything that was sent has been judged and reported
_ANSWERED = 0.15  # [s] in which a chunk is admitted or refused; the buffered steps last longer than both
_HOP = 0.020  # [s] from a policy's publication to the motor, on a machine that is busy
_LENGTH = 0.3  # [s] of a chunk


def _held(records: Records) -> int:
    """Return how often the motor left ACTIVE."""
    return sum(state != "ACTIVE" for state in reactions.states_after(records, 0))


def _settled(rig: Rig) -> dict[str, Any]:
    """Return a report of the door's counts once nothing is under way any more; the policy must be mute."""
    before: dict[str, Any] = {}
    while True:
        time.sleep(_QUIET)
        report = rig.report()
        counts = {name: report[name] for name in ("chunks_admitted", "chunks_refused")}
        if counts == before:
            return dict(report)
        before = counts


def _offer(rig: Rig, how: str) -> tuple[int, int]:
    """Send one chunk with something wrong while the policy is else silent; return (admitted, refused)."""
    rig.habits(mute=True)
    time.sleep(_QUIET)
    mark, before = rig.mark(), rig.report()["chunks_refused"]
    number = rig.policy.ask(send=[how])["sent"][0][0]
    deadline, admitted, refused = time.monotonic() + _ANSWERED, False, 0
    while not (admitted or refused) and time.monotonic() < deadline:
        time.sleep(0.01)
        admitted = bool((reports_of(rig.records(mark))["number"] == number).any())
        refused = int(rig.report()["chunks_refused"] - before)
    rig.habits(mute=False)
    return int(admitted), refused


@fault("F3", "inference of 240 ms, of a random time up to it, of 500 ms", "no starved tick up to 240 ms; then as F1")
def slow_inference(rig: Rig, bench: Bench) -> None:
    """Delay every chunk; ticks without a step to follow show as a sudden stop."""
    for what, habits in (("240 ms", {"delay": 0.24}), ("0 to 240 ms", {"jitter": 0.24})):
        mark = rig.mark()
        rig.habits(rate=50.0, **habits)
        time.sleep(1.5)
        records = rig.records(mark)
        starved = len(reactions.sudden(records, rig.law)) + _held(records)
        bench.exactly(f"starved ticks, inference of {what}", starved, 0)
        rig.habits(delay=0.0, jitter=0.0)
        time.sleep(0.3)
    mark = rig.mark()
    rig.habits(delay=0.5)
    rig.until(lambda: rig.state() == "DAMPING", "DAMPING", 8.0)
    states = reactions.states_after(rig.records(mark), 0)
    bench.exactly("HOLD, then DAMPING at 500 ms", states == ["ACTIVE", "HOLD", "DAMPING"], 1)


@fault("F9", "chunk loss of 1, 10, 50 %, in bursts, of 100 %", "motion goes on from buffered steps; HOLD at 100 %")
def chunks_lost(rig: Rig, bench: Bench) -> None:
    """Lose chunks on their way."""
    for loss, burst in ((0.01, 1), (0.1, 1), (0.3, 3), (0.5, 1)):
        mark = rig.mark()
        rig.habits(loss=loss, burst=burst)
        time.sleep(1.0)
        records = rig.records(mark)
        if loss <= 0.1:
            left = len(reactions.sudden(records, rig.law)) + _held(records)
            bench.exactly("stops at a loss of up to 10 %", left, 0)
        bench.exactly("DAMPING at a loss of up to 50 %", rig.state() == "DAMPING", 0)
    mark = rig.mark()
    rig.habits(loss=1.0, burst=1)
    rig.until(lambda: rig.state() == "HOLD", "HOLD", 5.0)
    hold = reactions.state_from(rig.records(mark), ("HOLD",), 0)
    end = reactions.chunk_end(rig.records(mark), hold or 0, _LENGTH)
    bench.took("HOLD after the last step at 100 %", end or 0, hold, 0.1 + CYCLE + 0.005)


@fault("F10", "chunks reordered, duplicated, delayed by 0 to 500 ms", "only newer, unexpired ones are accepted")
def chunks_disordered(rig: Rig, bench: Bench) -> None:
    """Shuffle chunks in time; count what could rightly be admitted, and what was."""
    mark, before = rig.mark(), rig.report()["chunks_admitted"]
    rig.policy.ask(log=True)
    sequence = rig.policy.ask()["sequence"]
    rig.habits(jitter=0.5, duplicate=0.3, rate=50.0)
    time.sleep(2.0)
    rig.habits(mute=True)
    time.sleep(0.6)
    admitted = _settled(rig)["chunks_admitted"] - before
    newest, rightly = sequence - 1, 0
    for number, stamp, sent, _ in rig.policy.ask(log=True)["log"]:
        if number > newest and sent - stamp < _LENGTH:
            newest, rightly = number, rightly + 1
    numbers = reports_of(rig.records(mark))["number"].astype(np.int64)
    bench.exactly("accepted that were not newer", int((np.diff(numbers) < 0).sum()), 0)
    bench.exactly("accepted beyond what was newer and unexpired", max(0, admitted - rightly), 0)
    bench.counted("accepted", admitted, float("inf"), least=1)


@fault("F11", "NaN, infinity or 1e38 in one cell of a chunk", "the whole chunk is refused; three in a row: HOLD")
def not_finite(rig: Rig, bench: Bench) -> None:
    """Send one bad chunk of each kind between good ones, then bad ones only."""
    for how in ("nan", "inf", "huge"):
        mark = rig.mark()
        admitted, refused = _offer(rig, how)
        bench.exactly("admitted with such a cell", admitted, 0)
        bench.counted("refused", refused, float("inf"), least=1)
        records = rig.records(mark)
        bench.exactly("reactions to one", len(reactions.sudden(records, rig.law)) + _held(records), 0)
        time.sleep(0.2)
    mark = rig.mark()
    rig.habits(wrong=bench.turn("nan", "inf", "huge"))
    sequence = rig.policy.ask()["sequence"]
    rig.until(lambda: rig.state() in ("HOLD", "DAMPING"), "HOLD", 5.0)
    hold = reactions.state_from(rig.records(mark), ("HOLD",), 0)
    log = [entry for entry in rig.policy.ask(log=True)["log"] if entry[0] > sequence]
    bench.took("HOLD after the third in a row was sent", log[2][3] if len(log) > 2 else 0, hold, _HOP)


@fault(
    "F13", "policy jumps by 1 rad, asks for a pose 6 rad away", "limited motion, alarm; what is far outside is refused"
)
def jumps(rig: Rig, bench: Bench) -> None:
    """Let every chunk jump for a second, then offer one far outside the range."""
    mark = rig.mark()
    limited = int(reports_of(rig.records(mark - 200))["limited"][-1])
    rig.habits(wrong="jump")
    time.sleep(1.0)
    rig.habits(wrong="")
    time.sleep(0.1)
    records = rig.records(mark)
    bench.counted("interventions counted", int(reports_of(records)["limited"][-1]) - limited, float("inf"), least=1)
    bench.exactly("DAMPING", "DAMPING" in reactions.states_after(records, 0), 0)
    time.sleep(0.6)
    admitted, _ = _offer(rig, "far")
    bench.exactly("admitted 6 rad away", admitted, 0)


@fault("F14", "wrong, missing, doubled, permuted joint names; a 23-joint robot", "refused, or taken by name")
def wrong_names(rig: Rig, bench: Bench) -> None:
    """Offer chunks with other columns, and stamps, modes and epochs that do not fit; then be a smaller robot."""
    mark = rig.mark()
    for how in ("missing", "duplicated", "unknown", "mode", "old", "future", "epoch"):
        admitted, _ = _offer(rig, how)
        bench.exactly("admitted with wrong names, mode, stamp or epoch", admitted, 0)
        time.sleep(0.15)
    admitted, _ = _offer(rig, "permuted")
    bench.exactly("admitted in another order", admitted, 1)
    records = rig.records(mark)
    bench.exactly("reactions on the wire", len(reactions.sudden(records, rig.law)) + _held(records), 0)
    if bench.trial == 0:
        _smaller(rig, bench)


def _smaller(rig: Rig, bench: Bench) -> None:
    """Be a robot without wrists and two waist joints: its chunks have 23 names."""
    rig.inactive()
    bench.judge(rig)
    rig.be(4)
    time.sleep(0.3)
    admitted, _ = _offer(rig, "")
    bench.exactly("29 joints admitted on a robot of 23", admitted, 0)
    rig.policy.kill()
    try:
        rig.active()
        admitted, _ = _offer(rig, "")
        bench.exactly("23 joints admitted on it", admitted, 1)
    finally:
        rig.inactive()
        bench.judge(rig)
        rig.be(5)
        rig.policy.kill()


@fault("F28", "a stranger publishes chunks; a stranger writes rt/lowcmd", "never executed, alarm; DAMPING on lowcmd")
def strangers(rig: Rig, bench: Bench) -> None:
    """Forge, flip and cut chunks; then open a writer of commands."""
    how = bench.turn("forged", "flipped", "truncated")
    mark, before = rig.mark(), rig.report()["alarms"]
    rig.peer.ask(rogue={"count": 20, "how": how, "seed": bench.trial})
    time.sleep(0.15)
    after, records = rig.report(), rig.records(mark)
    own = rig.policy.ask()["sequence"]
    bench.exactly("a stranger's chunks executed", int((reports_of(records)["number"] > own).any()), 0)
    bench.counted("alarms raised", after["alarms"] - before, float("inf"), least=1)
    bench.exactly("DAMPING for a stranger's chunks", rig.state() == "DAMPING", 0)
    rig.active()
    rogue = rig.start("rogue")
    time.sleep(1.0)  # the stranger is discovered, and writes nothing yet
    mark = rig.mark()
    moment = rogue.ask(write=f"rt/{rig.mode.topic}")["at"]
    time.sleep(0.5)
    damping = reactions.damping_from(rig.records(mark), rig.law, moment)
    bench.took("DAMPING after a stranger's writer was there", moment, damping, 0.1)
    bench.exactly("armed beside it", rig.arm()["success"], 0)
    rogue.kill()
    rig.children.pop("rogue")


@fault("F29", "old valid chunks are replayed, bit for bit", "refused by their numbers")
def replayed(rig: Rig, bench: Bench) -> None:
    """Send the last chunks of the policy again, from itself and from a stranger."""
    mark = rig.mark()
    rig.habits(mute=True)
    before = _settled(rig)["chunks_admitted"]
    rig.until(lambda: len(reports_of(rig.records(mark))) > 0, "a report of the motor")
    newest = int(reports_of(rig.records(mark))["number"][-1])
    unheard = max(0, rig.policy.ask()["sequence"] - newest)  # a busy machine may lose them on the way: never admitted
    rig.policy.ask(replay=64)
    rig.peer.ask(rogue={"count": 8, "how": "replayed", "seed": 0})
    bench.exactly("admitted twice", max(0, _settled(rig)["chunks_admitted"] - before - unheard), 0)
    rig.habits(mute=False)
    time.sleep(0.2)
    bench.exactly("the policy is still heard", rig.report()["chunks_admitted"] > before, 1)
    numbers = reports_of(rig.records(mark))["number"].astype(np.int64)
    bench.exactly("steps back in the sequence", int((np.diff(numbers) < 0).sum()), 0)


_TRIES: tuple[tuple[str, Any], ...] = (
    ("mode", "arms_only"),
    ("rate", 400.0),
    ("rate", 1e9),
    ("robot", "real"),
    ("autostart", True),
    ("session", 7),
    ("no_such_parameter", 1.0),
)


@fault("F39", "reconfiguration during motion: parameters, another policy", "refused, or blended within the limits")
def reconfigured(rig: Rig, bench: Bench) -> None:
    """Try to set parameters of g1_command, then swap the policy for one with another path."""
    mark = rig.mark()
    granted = rig.peer.ask(parameters=_TRIES)["results"]
    bench.exactly("parameters changed while ACTIVE", sum(granted), 0)
    records = rig.records(mark)
    bench.exactly("reactions on the wire", len(reactions.sudden(records, rig.law)) + _held(records), 0)
    mark = rig.mark()
    rig.policy.ask(swap=True)
    rig.habits(amplitude=0.08)
    time.sleep(1.0)
    records = rig.records(mark)
    bench.exactly("left ACTIVE while the policy was swapped", _held(records), 0)
    first = int(reports_of(records)["number"][-1])
    bench.exactly("the new policy is followed", 0 < first <= rig.policy.ask()["sequence"], 1)
