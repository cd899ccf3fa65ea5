"""``neon check``: examine robot and machine without moving anything, and say what would keep the robot from arming."""

from __future__ import annotations

import json
from collections.abc import Sequence

from neon_ros.arguments import AUTO
from neon_ros.cli import words
from neon_ros.cli.checks import Check, Result
from neon_ros.cli.probe import Findings, probe
from neon_ros.graph import motor_settings, resolve
from neon_ros.guard.config import from_settings
from neon_ros.motor.link import LOOPBACK

SECONDS = 3.0
USAGE = f"""usage: neon check [name:=value ...] [--seconds N] [--json]

Look at network, robot, policy and machine without moving anything: no motor command is sent, no mode is changed.
Exits 0 when nothing failed; a warning (warn) does not fail.

  --seconds N    how long to listen, and again to measure this machine's 500 Hz loop (default {SECONDS:g})
  --json         print rows and limits as JSON

arguments (and their defaults)
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return 0 when nothing failed, 1 when something did."""
    if any(word in words.HELP for word in arguments):
        print(USAGE + words.help_of("check"))
        return 0
    given = words.read(arguments, {"seconds": True, "json": False})
    words.no_plain(given)
    seconds = words.seconds("seconds", given.flags.get("seconds", str(SECONDS)))
    asked = dict(given.assigned)
    interface = asked.pop("network_interface", AUTO)  # one that is not there is a row of the table, not an end
    values = resolve({**asked, "network_interface": LOOPBACK}, "check")
    if interface != AUTO or values["robot"] == "real":
        values["network_interface"] = "" if interface == AUTO else interface
    config = from_settings(motor_settings(values), simulated=values["robot"] == "sim")
    found = probe(values, seconds, config)
    print(as_json(found) if "json" in given.flags else as_text(found))
    return 1 if found.failed else 0


def as_json(found: Findings) -> str:
    """Return rows, limits and the verdict as JSON."""
    rows = [
        {"check": row.name, "result": row.result.value, "seen": row.seen, "allowed": row.allowed} for row in found.rows
    ]
    return json.dumps(
        {"ok": not found.failed, "failed": found.failed, "checks": rows, "limits": found.limits}, indent=1
    )


def as_text(found: Findings) -> str:
    """Return the table, the limits of the robot's joints and the verdict."""
    lines = table(found.rows)
    if found.limits:
        lines += ["", *limit_lines(found.limits)]
    warned = sum(row.result is Result.WARN for row in found.rows)
    verdict = f"FAILED: {', '.join(found.failed)}" if found.failed else "ok"
    return "\n".join([*lines, "", f"result    {verdict}; {warned} warning{'' if warned == 1 else 's'}"])


def table(rows: Sequence[Check]) -> list[str]:
    """Return the rows with aligned columns, a heading first."""
    cells = [
        ("check", "result", "seen", "allowed"),
        *((row.name, row.result.value, row.seen, row.allowed) for row in rows),
    ]
    widths = [min(max(len(cell[column]) for cell in cells), 60) for column in range(3)]
    return [
        "  ".join([*(f"{text:<{width}}" for text, width in zip(cell, widths, strict=False)), cell[3]]) for cell in cells
    ]


def limit_lines(limits: Sequence[dict[str, object]]) -> list[str]:
    """Return the limits of each joint: the robot's, then ours within them."""
    heading = f"{'limits of the joints':<28} {'range [rad]':>18} {'rad/s':>7} {'N m':>6}"
    ours = f"{'ours [rad]':>18} {'rad/s':>7} {'rad/s2':>7} {'rad/s3':>7} {'N m':>6}"
    lines = [f"{heading} | {ours}"]
    for row in limits:
        theirs = f"{row['lower']:8.3f} to {row['upper']:6.3f} {row['velocity']:7g} {row['effort']:6g}"
        mine = (
            f"{row['our_lower']:8.3f} to {row['our_upper']:6.3f} {row['our_velocity']:7g} {row['our_acceleration']:7g}"
        )
        lines.append(f"{row['joint']:<28} {theirs} | {mine} {row['our_jerk']:7g} {row['our_effort']:6g}")
    return lines
