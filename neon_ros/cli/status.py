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
    charge = "battery not known" if report.charge < 0 else f"battery {report.charge:.0f} %"
    low_states = f"{report.low_states} LowStates, {report.bad_low_states} refused"
    return [
        *lines,
        f"state     {report.state}: {report.reason} ({old:.2f} s ago)",
        f"robot     variant {report.mode_machine}, mode {report.mode}, {charge}, {low_states}",
        f"commands  {report.commands_sent} sent, p99 period {report.period_p99 * 1e3:.2f} ms, {age}",
        f"alarms    {report.alarms}" + (f", the last: {report.last_alarm}" if report.alarms else ""),
        f"clearance {'not checked' if report.clearance < 0 else f'{report.clearance:.3f} m between links'}",
        f"limits    {report.limit_count} joint-periods held back since the start",
        *intervention_lines(report),
    ]


def intervention_lines(report: MotorReport) -> list[str]:
    """Return one line per joint that a limit has held back, the most held back first; * marks those held back now."""
    joints: dict[str, list[tuple[str, int]]] = {}
    for joint, reason, count in report.counts:
        joints.setdefault(joint, []).append((reason, count))
    ordered = sorted(joints.items(), key=lambda item: -sum(count for _, count in item[1]))
    now = dict(zip(report.limited_joints, report.limited_reasons, strict=True))
    return [
        f"          {joint:<28} "
        + ", ".join(f"{reason} {count}{'*' if now.get(joint) == reason else ''}" for reason, count in counts)
        for joint, counts in ordered
    ]


def _living_nodes(patience: float = 1.0) -> list[str]:
    with node("status") as made:
        spin_until(made, lambda: False, patience)
        found = set(made.get_node_names())
    return sorted(found & set(NODES))
