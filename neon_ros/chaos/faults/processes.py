"""Processes that die, hang, raise, come twice or come again: F1, F2, F4 to F8, F34, F36."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from neon_ros.chaos import reactions
from neon_ros.chaos.bench import CYCLE, WALL, Bench, fault
from neon_ros.chaos.hooked import HANG, HOLD_GIL, RAISE
from neon_ros.chaos.referee import is_damping
from neon_ros.chaos.rig import Rig
from neon_ros.chaos.tape import ARM_SDK, commands_of
from neon_ros.respawn import CRASHES, PAUSE, Respawn

CHUNK = 15 * 0.02  # [s] from the first step of a chunk to its last
STREAM = 5.0  # [s] of damping after a motor's death


def _silenced(rig: Rig, bench: Bench, mark: int, moment: int) -> None:
    """Measure HOLD after the last step of the last chunk, then DAMPING."""
    rig.until(lambda: rig.state() == "DAMPING", "DAMPING", 10.0)
    records = rig.records(mark)
    hold = reactions.state_from(records, ("HOLD", "DAMPING"), moment)
    end = reactions.chunk_end(records, hold or moment, CHUNK)
    bench.took("HOLD after the last step", end or moment, hold, 0.1 + CYCLE + WALL, least=0.1 - CYCLE)
    damping = reactions.damping_from(records, rig.law, moment)
    bench.took("DAMPING after HOLD", hold or moment, damping, 2.0 + CYCLE + WALL, "s", least=2.0 - CYCLE)
    rest = reactions.rest_from(records[records["time"] <= (hold or moment)], rig.law, end or moment)
    bench.took("at rest after the last step", end or moment, rest, 0.2 + CYCLE + WALL)


@fault("F1", "policy or g1_command killed (-9) mid-chunk", "accepted steps, stop, HOLD, then DAMPING")
def policy_killed(rig: Rig, bench: Bench) -> None:
    """Kill the policy, in every third trial g1_command in its place, at a random moment."""
    mark = rig.mark()
    bench.moment()
    victim = rig.command if bench.turn("policy", "policy", "command") == "command" else rig.policy
    moment = victim.signal(signal.SIGKILL)
    _silenced(rig, bench, mark, moment)


@fault("F2", "policy frozen (SIGSTOP)", "as F1: mere liveliness is not enough")
def policy_frozen(rig: Rig, bench: Bench) -> None:
    """Stop the policy's process, let it go on later: it must not resume the motion."""
    mark = rig.mark()
    bench.moment()
    moment = rig.policy.signal(signal.SIGSTOP)
    _silenced(rig, bench, mark, moment)
    rig.policy.signal(signal.SIGCONT)
    time.sleep(0.3)
    bench.exactly("ACTIVE again by itself", rig.state() == "ACTIVE", 0)


def _takeover(rig: Rig, bench: Bench, mark: int, moment: int, stream: bool) -> None:
    """Measure the guardian's first frame and its stream."""
    time.sleep(STREAM + 0.4 if stream else 0.3)
    records = rig.records(mark)
    first = reactions.damping_from(records, rig.law, moment)
    bench.took("first frame of the guardian", moment, first, 0.040, typical=0.020)
    if first is not None and stream:
        last = reactions.last_command(records)
        bench.took("length of the damping stream", first, last, 10.0, "s", least=STREAM - 0.05)
        bench.counted("longest gap in it", reactions.longest_gap(records, first, last), 0.02, unit="ms")


@fault("F4", "motor process killed (-9)", "guardian streams DAMPING for 5 s")
def motor_killed(rig: Rig, bench: Bench) -> None:
    """Kill the process that writes the commands."""
    mark = rig.mark()
    bench.moment()
    moment = rig.motor.signal(signal.SIGKILL)
    _takeover(rig, bench, mark, moment, stream=True)


@fault("F5", "motor process hangs: stopped, endless loop, interpreter lock held", "as F4; what comes back leaves")
def motor_hangs(rig: Rig, bench: Bench) -> None:
    """Hang it in each of the three ways."""
    for number in (signal.SIGSTOP, HANG, HOLD_GIL):
        mark = rig.mark()
        bench.moment()
        moment = rig.motor.signal(number)
        _takeover(rig, bench, mark, moment, stream=True)
        if number == signal.SIGSTOP:
            rig.motor.signal(signal.SIGCONT)
            bench.exactly("exit code of a motor that comes back", rig.motor.wait(5.0) or 0, 4)
        else:
            rig.motor.kill()
        if number != HOLD_GIL:
            rig.active()


def _unguarded(rig: Rig, bench: Bench, mark: int, moment: int, after: str = "") -> None:
    """Measure HOLD, then DAMPING, of a motor without a guardian."""
    rig.until(lambda: rig.state() == "DAMPING", "DAMPING", 6.0)
    records = rig.records(mark)
    hold = reactions.state_from(records, ("HOLD", "DAMPING"), moment)
    bench.took(f"HOLD{after}", moment, hold, 0.040)
    damping = reactions.damping_from(records, rig.law, moment)
    bench.took(f"DAMPING{after}", moment, damping, 0.040 + 2.0 + CYCLE + WALL, "s")


@fault("F6", "guardian killed", "HOLD, then DAMPING, and an alarm")
def guardian_killed(rig: Rig, bench: Bench) -> None:
    """Kill the guardian; arming must then be refused."""
    mark, alarms = rig.mark(), rig.report()["alarms"]
    bench.moment()
    moment = rig.guardian.signal(signal.SIGKILL)
    _unguarded(rig, bench, mark, moment)
    bench.counted("alarms raised", rig.report()["alarms"] - alarms, float("inf"), least=1)
    bench.exactly("reason names the guardian", "guardian" in rig.now(), 1)
    bench.exactly("armed without a guardian", rig.arm()["success"], 0)


def _left(rig: Rig, bench: Bench, mark: int, moment: int, names: tuple[str, ...]) -> None:
    """Measure how processes that were told to end left."""
    for name in names:
        code = rig.children[name].wait(5.0)
        bench.took(f"{name} has left", moment, time.monotonic_ns() if code is not None else None, 3.0, "s")
        bench.exactly(f"exit code of {name}", -1 if code is None else code, 0)
    records = rig.records(mark)
    slack = reactions.slack_from(records, rig.law, moment)
    sdk = rig.mode.topic == "arm_sdk"
    bench.took("stopped and slack", moment, slack, 1.5 if sdk else 0.5)
    last = commands_of(records)[-1:]
    soft = bool(is_damping(last, rig.law)[0]) or (last["kind"][0] == ARM_SDK and float(last["weight"][0]) < 0.01)
    bench.exactly("last frame is damping", soft, 1)


@fault("F7", "Ctrl-C or SIGTERM mid-motion: to the motor alone, to all at once", "stop, DAMPING, exit 0")
def told_to_end(rig: Rig, bench: Bench) -> None:
    """Signal the motor alone; then all at once, as a launch does; then g1_command alone."""
    mark = rig.mark()
    bench.moment()
    moment = rig.motor.signal(signal.SIGTERM if bench.trial % 2 else signal.SIGINT)
    _left(rig, bench, mark, moment, ("motor",))
    rig.active()
    mark = rig.mark()
    bench.moment()
    for name in ("g1_command", "guardian", "motor"):
        moment = rig.children[name].signal(signal.SIGINT)
    _left(rig, bench, mark, moment, ("motor", "guardian", "g1_command"))
    rig.active()
    mark = rig.mark()
    moment = rig.command.signal(signal.SIGINT)
    code = rig.command.wait(5.0)
    bench.exactly("exit code of g1_command", -1 if code is None else code, 0)
    damping = reactions.damping_from(rig.records(mark), rig.law, moment)
    bench.took("DAMPING after g1_command is told to end", moment, damping, 0.5)


@fault(
    "F8",
    "an exception in the loop of the motor, of the guardian, in a callback of g1_command",
    "DAMPING (without a guardian HOLD first), one traceback",
)
def exceptions(rig: Rig, bench: Bench) -> None:
    """Raise in each process in turn."""
    for name in ("motor", "g1_command", "guardian"):
        child = rig.children[name]
        mark = rig.mark()
        bench.moment()
        moment = child.signal(RAISE)
        code = child.wait(5.0)
        time.sleep(0.1)
        if name == "guardian":
            _unguarded(rig, bench, mark, moment, " after guardian")
        else:
            damping = reactions.damping_from(rig.records(mark), rig.law, moment)
            bench.took(f"DAMPING after {name}", moment, damping, CYCLE + 0.020)
        bench.exactly("exit code is an error's", (code or 0) != 0, 1)
        bench.exactly("tracebacks", child.said().count("Traceback"), 1)
        if name == "motor":
            time.sleep(STREAM + 0.3)  # until the guardian has done its part
        if name != "guardian":
            rig.active()


@fault("F34", "two motors, two guardians, two g1_commands", "the second refuses, the first goes on")
def started_twice(rig: Rig, bench: Bench) -> None:
    """Start each a second time beside the first."""
    mark = rig.mark()
    for name in ("motor", "guardian"):
        moment = time.monotonic_ns()
        second = rig.launch(f"second_{name}", *rig.command_line(name))
        code = second.wait(10.0)
        bench.took(f"second {name} refuses", moment, time.monotonic_ns() if code is not None else None, 1.0, "s")
        bench.exactly("exit code of the second", -1 if code is None else code, 2)
        bench.exactly("it says who is there", "a second one" in second.said(), 1)
    bench.exactly("ACTIVE all the while", float(reactions.states_after(rig.records(mark), 0) == ["ACTIVE"]), 1)


def _crash_again_and_again(bench: Bench) -> None:
    """Start a process that crashes for as long as the rule of the supervisor says so."""
    rule, starts, again = Respawn(), 0, True
    while again and starts <= CRASHES:
        code = subprocess.run(
            [sys.executable, "-m", "neon_ros.chaos.crash"], capture_output=True, check=False
        ).returncode
        starts += 1
        again, _ = rule.again(code, time.monotonic())
        time.sleep(PAUSE if again else 0.0)
    bench.exactly("starts of a process that crashes at once", starts, CRASHES)


@fault(
    "F36",
    "respawn loop: the motor crashes again and again; so does a process that is started anew by rule",
    "comes back INACTIVE, never ACTIVE; after 3 in 60 s it stays down",
    most=20,
)
def respawned(rig: Rig, bench: Bench) -> None:
    """Kill the motor and start it again at once, while the guardian still damps; let another crash all the time."""
    if bench.trial == 0:
        _crash_again_and_again(bench)
    rig.motor.signal(signal.SIGKILL)
    mark = rig.mark()
    rig.start("motor")
    rig.until(lambda: rig.state() == "INACTIVE", "INACTIVE")
    rig.wait_ready()
    time.sleep(0.2)
    states = reactions.states_after(rig.records(mark), 0)
    bench.exactly("ACTIVE or ARMING by itself", sum(state in ("ACTIVE", "ARMING") for state in states[1:]), 0)
    bench.exactly("a motor's end ends the graph", rig.vital("motor"), 1)
