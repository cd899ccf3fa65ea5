"""``neon audit``: check the chain of a session's audit logs, or show their last lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from neon_ros.cli import words
from neon_ros.errors import ConfigError, refuse
from neon_ros.graph import resolve
from neon_ros.motor.audit import audit_folder
from neon_ros.motor.audit_check import check, last_entries, logs_in, words_of

USAGE = """usage: neon audit verify|show [session:=NAME] [--folder FOLDER] [--last N]

  verify           follow each log's chain from its oldest line to the head; exit 1 when a line was changed, cut or lost
  show             print the newest lines of all logs by time, 20 or --last N
  --folder FOLDER  where the logs lie; $XDG_STATE_HOME/neon_ros by default, see the argument audit_folder of neon up
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return 0 when every log is whole."""
    if any(word in words.HELP for word in arguments):
        print(USAGE)
        return 0
    given = words.read(arguments, {"folder": True, "last": True})
    if len(given.plain) != 1 or given.plain[0] not in ("verify", "show"):
        raise ConfigError(refuse("audit", " ".join(given.plain) or "nothing", "verify or show"))
    session = resolve(given.assigned, "operator")["session"]
    logs = logs_in(audit_folder(session, given.flags.get("folder", "")))
    if given.plain[0] == "show":
        count = words.whole("last", given.flags.get("last", "20"))
        entries = [entry for path in logs for entry in last_entries(path, count)]
        entries.sort(key=lambda entry: str(entry["wall"]))
        print("\n".join(words_of(entry) for entry in entries[-count:] if count))
        return 0
    whole = True
    for path in logs:
        found = check(path)
        lost = f", {found.dropped} lines lost to the disk" if found.dropped else ""
        state = "BROKEN" if found.broken else "whole"
        print(f"{path.stem:<12} {state}: {found.entries} lines from {found.first} to {found.head.n}{lost}")
        print(f"{'':<12} head {found.head.digest}  {path}")
        for why in found.broken:
            print(f"{path.stem}: {why}", file=sys.stderr)
        whole = whole and not found.broken
    return 0 if whole else 1
