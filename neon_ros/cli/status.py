"""``neon status``: what robot and guard are doing, read from the motor's shared memory, and which nodes are alive."""

from __future__ import annotations

import time
from collections.abc import Sequence

from neon_ros.cli import words
from neon_ros.cli.ros import node, settle, spin_until
from neon_ros.errors import RobotError
from neon_ros.motor.records import MotorReport
from neon_ros.motor.shared import MotorMemory
from neon_ros.parameters import NODES


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return 0 when a motor process is alive."""
    if any(word in words.HELP for word in arguments):
        print(f"usage: neon status [name:=value ...]\n\n{words.help_of('operator')}")
        return 0
    given = words.read(arguments, {})
    words.no_plain(given)
    values = settle(given.assigned)
    alive = True
    try:
        with MotorMemory.open(values["session"]) as memory:
            report = memory.read_report()
            print("\n".join(motor_lines(report, memory.motor_pid, memory.beat_age("motor"))))
    except RobotError as error:
        alive = False
        print(f"motor     {error}")
    names = _living_nodes()
    print(f"nodes     {', '.join(names) or 'none'} (ROS domain {values['ros_domain']})")
    return 0 if alive else 1


def motor_lines(report: MotorReport | None, pid: int, beat_age: float) -> list[str]:
    """Return the motor's report in words."""
    lines = [f"motor     process {pid}, last beat {beat_age * 1e3:.0f} ms ago"]
    if report is None:
        return [*lines, "state     no report yet"]
    age = "no chunk" if report.chunk_age < 0 else f"chunk {report.chunk_age * 1e3:.0f} ms old"
    old = (time.monotonic_ns() - report.steady_ns) * 1e-9
    return [
        *lines,
        f"state     {report.state}: {report.reason} ({old:.2f} s ago)",
        f"robot     variant {report.mode_machine}, mode {report.mode}, {report.low_states} LowStates",
        f"commands  {report.commands_sent} sent, p99 period {report.period_p99 * 1e3:.2f} ms, {age}",
        f"limits    {report.limit_count} joint-ticks touched",
    ]


def _living_nodes(patience: float = 1.0) -> list[str]:
    with node("status") as made:
        spin_until(made, lambda: False, patience)
        found = set(made.get_node_names())
    return sorted(found & set(NODES))
