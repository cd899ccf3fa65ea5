"""Read an audit log and tell whether it is whole, see :mod:`neon_ros.motor.audit`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neon_ros.errors import RobotError, refuse
from neon_ros.motor.audit import DROPPED, FIRST, RESUMED, TAMPERED, Head, digest_of, read_head

Entry = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """What became of one log.

    :param path: its newest file.
    :param entries: how many lines are chained.
    :param first: number of the oldest line kept.
    :param head: the newest line.
    :param dropped: lines that could not be written, as the log itself tells.
    :param broken: what is wrong, in words; empty when the log is whole.
    """

    path: Path
    entries: int
    first: int
    head: Head
    dropped: int
    broken: tuple[str, ...]


def logs_in(folder: Path) -> list[Path]:
    """Return the logs of a session.

    :raises RobotError: when there is none.
    """
    names = {path.name.split(".")[0] for ending in ("*.jsonl", "*.head") for path in folder.glob(ending)}
    found = [folder / f"{name}.jsonl" for name in sorted(names)]
    if not found:
        raise RobotError(refuse("audit log", f"none in {folder}", "a folder where neon_ros has run, see audit_folder"))
    return found


def check(path: Path) -> Finding:
    """Follow the chain of a log, both files, up to the head that was left.

    :param path: its newest file.
    """
    broken: list[str] = []
    head, entries, first, dropped = Head(), 0, 0, 0
    torn: bytes | None = None
    left = read_head(path.with_suffix(".head"))
    met = left is None
    for place, line in _lines(path):
        entry = _entry(line)
        if entry is None:
            if torn is not None:
                broken.append(f"{place}: two lines in a row that are none")
            torn = line
            continue
        if torn is not None:
            if entry["kind"] != RESUMED or entry["facts"].get("torn") != digest_of(torn):
                broken.append(f"{place}: behind a line that is none, and nobody has said so")
            torn = None
        if entries == 0:
            first = entry["n"]
            if (entry["n"] == 1) != (entry["prev"] == FIRST):
                broken.append(f"{place}: line {entry['n']} does not begin the chain")
        elif (entry["n"], entry["prev"]) != (head.n + 1, head.digest):
            broken.append(f"{place}: line {entry['n']} does not follow line {head.n}")
        if entry["kind"] == TAMPERED:
            broken.append(f"{place}: the end was not as it was left ({entry['facts'].get('expected', '')[:24]}…)")
        if entry["kind"] == DROPPED:
            dropped += entry["facts"].get("lines", 0)
        head, entries = Head(entry["n"], digest_of(line)), entries + 1
        met = met or head == left
    if first > 1 and not path.with_suffix(".1.jsonl").exists():
        broken.append(f"{path.name}: begins at line {first}, and the file before it is missing")
    if torn is not None:
        broken.append(f"{path.name}: its last line is torn")
    if not met and left is not None:
        broken.append(f"{path.name}: ends at line {head.n}; line {left.n} of its head is missing")
    return Finding(path, entries, first, head, dropped, tuple(broken))


def last_entries(path: Path, count: int) -> list[Entry]:
    """Return the newest entries of a log, the newest last, whether the chain holds or not."""
    found = [entry for _, line in _lines(path) if (entry := _entry(line)) is not None]
    return found[-count:] if count > 0 else []


def words_of(entry: Entry) -> str:
    """Return an entry as one line for people."""
    facts = ", ".join(f"{name} {json.dumps(value, ensure_ascii=True)}" for name, value in entry["facts"].items())
    return f"{entry['wall']} {entry['by']:<10} {entry['kind']:<12} {facts}"


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield place and content of each line, the older file first."""
    for part in (path.with_suffix(".1.jsonl"), path):
        if not part.exists():
            continue
        try:
            content = part.read_bytes()
        except OSError as error:
            raise RobotError(refuse(f"audit log {part}", error.strerror, "a file that this user can read")) from error
        for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), 1):
            if line or number > 1:
                yield f"{part.name}:{number}", line


def _entry(line: bytes) -> Entry | None:
    """Return the entry of a line; ``None`` when it is none."""
    try:
        entry = json.loads(line)
        known = isinstance(entry["n"], int) and all(
            isinstance(entry[name], str) for name in ("wall", "by", "kind", "prev")
        )
        return entry if known and isinstance(entry["facts"], dict) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
