"""The machine gets in the way: clock, cores, memory, disk, floods, network: F22 to F25, F30, F32."""

from __future__ import annotations

import math
import os
import signal
import time

import numpy as np

from neon_ros.chaos import reactions
from neon_ros.chaos.bench import CYCLE, WALL, Bench, fault
from neon_ros.chaos.faults.processes import CHUNK
from neon_ros.chaos.rig import Rig
from neon_ros.chaos.surroundings import Clock, Network, burning, memory_limit, small_disk
from neon_ros.chaos.tape import Records, commands_of, reports_of
from neon_ros.chaos.witness import watching

_STARVED = 10.0  # [s] with every core busy
_PIECE = 2.0  # [s] of each of the interleaved measurements of jitter
_FLOOD = 10_000.0  # [Hz]


def _p99(records: Records, rig: Rig) -> float:
    """Return the p99 of how far apart from the period the commands came [s]."""
    errors = reactions.period_errors(records, rig.law)
    return float(np.quantile(errors, 0.99)) if len(errors) else float("nan")


@fault("F22", "system clock +-1 h, slewed", "no output change", most=10, armed=False)
def clock_steps(rig: Rig, bench: Bench) -> None:
    """Step the clock of a whole graph, while it moves."""
    clock = Clock(rig.setting.folder)
    with rig.beside(environment=clock.environment) as other:
        other.up()
        other.active()
        for what, steps in (
            ("+1 h", (3600.0,)),
            ("-1 h", (0.0,)),
            ("-1 h again", (-3600.0,)),
            ("slewed by 500 ppm", tuple(-3600.0 + 5e-4 * 0.02 * i for i in range(50))),
        ):
            mark = other.mark()
            for step in steps:
                clock.step(step)
                time.sleep(0.02)
            time.sleep(0.7)
            records = other.records(mark)
            left = sum(state != "ACTIVE" for state in reactions.states_after(records, 0))
            bench.exactly(f"reactions to {what}", len(reactions.sudden(records, other.law)) + left, 0)
        bench.exactly("moved on", bool(np.abs(commands_of(other.records(mark))["dq"]).max() > 0.05), 1)


@fault(
    "F23",
    "every core busy with two ordinary processes each",
    "at most one missed cycle in 10 s, never a larger step",
    most=10,
)
def starved(rig: Rig, bench: Bench) -> None:
    """Burn all cores for ten seconds; cycles in which a core stood still for everybody say nothing about the motor."""
    with watching() as stalls:
        mark = rig.mark()
        with burning(2 * (os.cpu_count() or 1)):
            time.sleep(_STARVED)
        records = rig.records(mark)
    errors = reactions.period_errors(records, rig.law)
    times = commands_of(records)["time"].astype(np.int64)
    stalled = stalls.within(times[:-1], times[1:])
    bench.counted("missed cycles in 10 s", int((errors[~stalled] > CYCLE / 2).sum()), 1)
    bench.counted("more, in which a core stood still for everybody", int((errors[stalled] > CYCLE / 2).sum()), math.inf)
    bench.lasted("p99.9 of the period error", float(np.quantile(errors[~stalled], 0.999)), 0.0004)
    bench.exactly("DAMPING", rig.state() == "DAMPING", 0)


@fault(
    "F24",
    "garbage collector storm and memory pressure in the policy, until it is killed",
    "no collection in the motor; then as F1",
)
def out_of_memory(rig: Rig, bench: Bench) -> None:
    """Let the policy make a million cycles, then more memory than its control group allows."""
    rig.policy.ask(litter=0.2)
    rig.active()
    mark = rig.mark()
    with memory_limit(256, rig.policy.pid):
        moment = time.monotonic_ns()
        rig.policy.tell(hog=600)
        code = rig.policy.wait(10.0)
    bench.exactly("the policy was killed", code == -signal.SIGKILL, 1)
    rig.until(lambda: rig.state() == "DAMPING", "DAMPING", 10.0)
    records = rig.records(mark)
    hold = reactions.state_from(records, ("HOLD",), moment)
    end = reactions.chunk_end(records, hold or moment, CHUNK)
    bench.took("HOLD after the last step", end or moment, hold, 0.1 + CYCLE + WALL)
    rig.motor.signal(signal.SIGTERM)
    rig.motor.wait(5.0)
    said = rig.motor.said()
    count = said.rsplit("collections while it ran: ", 1)[-1].split("\n", 1)[0] if "collections while" in said else "1"
    bench.exactly("collections in the motor", int(count), 0)


@fault("F25", "disk full under logs and audit", "control unaffected", most=10, armed=False)
def disk_full(rig: Rig, bench: Bench) -> None:
    """Fill and empty a tiny disk that all logs of a graph lie on, in turn; make it write by stopping and arming."""
    disk = rig.setting.folder / "disk"
    places = {"ROS_LOG_DIR": str(disk / "ros"), "XDG_STATE_HOME": str(disk / "state"), "HOME": str(disk)}
    with small_disk(disk) as fill, rig.beside(environment=places) as other:
        other.up()
        late: dict[bool, list[float]] = {False: [], True: []}
        for full in (False, True, True, False) * 2:
            fill(full)
            other.active(settle=0.2)
            mark = other.mark()
            time.sleep(_PIECE / 2)
            late[full].append(_p99(other.records(mark), other))
            other.peer.ask(call="stop")
            other.until(lambda: other.state() == "DAMPING", "DAMPING")
        bench.counted("p99 period error, full over empty", float(np.median(late[True]) / np.median(late[False])), 1.1)
        ended = sum(not other.children[name].alive for name in ("motor", "guardian", "g1_command"))
        bench.exactly("processes that ended", ended, 0)


@fault("F30", "garbage at up to 10 kHz on action_chunk", "LowCmd on time, memory bounded", most=20)
def flooded(rig: Rig, bench: Bench) -> None:
    """Flood, and measure the commands before, during and after."""
    stranger = rig.start("stranger")
    rig.active()
    before = {name: rig.children[name].memory() for name in ("motor", "g1_command")}
    mark = rig.mark()
    time.sleep(_PIECE)
    quiet = _p99(rig.records(mark), rig)
    mark = rig.mark()
    sent = stranger.ask(flood={"seconds": 2 * _PIECE, "rate": _FLOOD, "seed": bench.trial})["sent"]
    records = rig.records(mark)
    stranger.kill()
    rig.children.pop("stranger")
    bench.counted("messages a second", sent / (2 * _PIECE), float("inf"), least=500.0)
    bench.counted("p99 period error, flood over quiet", _p99(records, rig) / quiet, 2.0)
    for name, size in before.items():
        grown = (rig.children[name].memory() - size) / 2**20
        bench.counted(f"growth of {name} [MiB]", grown, 16.0)
    states = reactions.states_after(records, 0)
    first = next((index for index, state in enumerate(states) if state != "ACTIVE"), len(states))
    bench.exactly("ARMING by itself", states[first:].count("ARMING"), 0)
    numbers = reports_of(records)["number"].astype(np.int64)
    bench.exactly("garbage executed", int((numbers > rig.policy.ask()["sequence"]).any()), 0)


@fault("F32", "interface down and up, g1_command restarted", "as F15, recovers only to INACTIVE", most=10, armed=False)
def network_lost(rig: Rig, bench: Bench) -> None:
    """Take the network of a whole graph away for a second; restart g1_command in between."""
    network = Network()
    try:
        with rig.beside(prepare=network.enter) as other:
            other.up()
            other.active()
            mark = other.mark()
            moment = network.loopback(False)
            time.sleep(1.0)
            records = other.records(mark)
            hold = reactions.state_from(records, ("HOLD",), moment)
            damping = reactions.state_from(records, ("DAMPING",), moment)
            bench.took("HOLD after the interface went down", moment, hold, 0.020 + 2 * CYCLE + WALL)
            bench.took("DAMPING after it", moment, damping, 0.050 + 2 * CYCLE + WALL)
            bench.exactly("processes that ended", sum(not child.alive for child in other.children.values()), 0)
            network.loopback(True)
            time.sleep(1.0)
            other.start("g1_command")
            time.sleep(2.0)
            states = reactions.states_after(other.records(mark), damping or moment)
            bench.exactly("ACTIVE or ARMING by itself", sum(s in ("ACTIVE", "ARMING") for s in states), 0)
            other.active()
            bench.exactly("armed again by an operator", other.state() == "ACTIVE", 1)
    finally:
        network.close()
