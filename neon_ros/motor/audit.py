"""What was refused, changed and done, as lines that cannot be altered unseen; written beside the control path.

.. code-block:: text

    <folder>/<name>.jsonl      one JSON object a line, the newest last; <name>.1.jsonl is the file before it
    <folder>/<name>.head       number and sha256 of the newest line, so that a cut end is seen too

    {"n": 7, "wall": "2026-01-31T12:00:00.123456+00:00", "steady": 81.5, "by": "motor", "kind": "state",
     "facts": {...}, "prev": sha256 of line 6}

Whoever notes something only appends to a bounded queue in memory; a thread writes.  A disk that is full, read-only or
slow loses lines, which are counted, and delays nothing.  What comes often is told the first time at once and then as
one count every ten seconds.  The chain shows changes, gaps and cuts to whoever checks it; somebody who may write the
folder and recomputes the whole chain and its head is not seen: keep a copy of the head elsewhere where that matters.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from neon_ros.errors import ConfigError, refuse

LOG = logging.getLogger("audit")

FILE_BYTES = 8 << 20
"""Size at which a file becomes the one before, and that one is forgotten [bytes]."""
QUEUE = 4096
"""Most lines that wait for the thread; more are dropped and counted."""
FIRST = "0" * 64
"""What the first line of all has as ``prev``."""
RESUMED, DROPPED, TAMPERED = "resumed", "dropped", "tampered"
_BATCH = 256  # most lines written at once: a loop beside this thread waits for the interpreter meanwhile
_KEYS = 1024  # most different things counted
_TURN = 0.2  # [s] between two looks at the queue
_TOLD = 10.0  # [s] between two counts of the same thing
_RETRY = 1.0  # [s] between two tries on a disk that does not take lines
_LONGEST = 1000  # characters of a text
_TAIL = 1 << 16  # bytes at the end of a file in which its last line is looked for
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")

Fact = str | int | float | bool


class Head(NamedTuple):
    """The newest line: its number (0 before the first) and sha256."""

    n: int = 0
    digest: str = FIRST


def audit_folder(session: str, named: str = "") -> Path:
    """Return where a session's audit log lies.

    :param named: a folder named by the operator; empty for ``$XDG_STATE_HOME/neon_ros``.
    :raises ConfigError: on a session that is no name, or a folder that is not absolute.
    """
    if not _SESSION.fullmatch(session):
        raise ConfigError(refuse("session", repr(session), "1 to 64 letters, digits, '_' or '-'"))
    if named and not os.path.isabs(named):
        raise ConfigError(refuse("audit_folder", named, "an absolute path"))
    state = os.environ.get("XDG_STATE_HOME", "")
    state = state if os.path.isabs(state) else os.path.expanduser("~/.local/state")
    return (Path(named) if named else Path(state) / "neon_ros") / session


def digest_of(line: bytes) -> str:
    """Return the sha256 of a line without its end."""
    return hashlib.sha256(line).hexdigest()


def read_head(path: Path) -> Head | None:
    """Return the head that was written last; ``None`` when there is none that can be read."""
    try:
        number, digest = path.read_text(encoding="ascii").split()
        return Head(int(number), digest)
    except (OSError, ValueError):
        return None


class AuditLog:
    """The audit log of one process.

    :param folder: see :func:`audit_folder`; made when the first line is written.
    :param name: of the process.
    :param file_bytes: see :data:`FILE_BYTES`.
    :param ready: called on the thread before it begins; where the process has a loop under SCHED_FIFO it must raise the
        thread above ordinary ones, since a thread that is put aside while it holds the interpreter holds up the loop.
    """

    def __init__(
        self, folder: Path, name: str, file_bytes: int = FILE_BYTES, ready: Callable[[], object] | None = None
    ) -> None:
        self.path = folder / f"{name}.jsonl"
        self.head_path = folder / f"{name}.head"
        self.name = name
        self.trouble = ""
        """Why lines are being lost; empty when none are."""
        self.troubles = 0
        """How often that began."""
        self.dropped = 0
        """Lines lost since the start."""
        self._limit = file_bytes
        self._ready = ready
        self._queue: deque[tuple[int, int, str, dict[str, Fact]]] = deque()
        self._totals: dict[tuple[str, str], tuple[int, str]] = {}
        self._tables: dict[str, tuple[tuple[str, str, int], ...]] = {}
        self._reported: dict[tuple[str, str], tuple[int, float]] = {}
        self._told_dropped = 0
        self._file, self._size, self._head, self._retry_at = -1, 0, Head(), 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"audit {name}", daemon=True)

    @property
    def started(self) -> bool:
        """Whether lines are being written."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what is left, and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def note(self, kind: str, **facts: Fact) -> None:
        """Note one event; waits for nothing and raises nothing."""
        if len(self._queue) >= QUEUE:
            self.dropped += 1
            return
        self._queue.append((time.time_ns(), time.monotonic_ns(), kind, facts))

    def count(self, kind: str, what: str, number: int = 1, said: str = "") -> None:
        """Count something that may come often.

        :param what: tells apart what is counted, e.g. joint and reason.
        :param number: how many more.
        :param said: the newest sentence about it.
        """
        self.total(kind, what, self._totals.get((kind, what), (0, ""))[0] + number, said)

    def total(self, kind: str, what: str, total: int, said: str = "") -> None:
        """Note how often something has happened since the start; see :meth:`count`."""
        if (kind, what) in self._totals or len(self._totals) < _KEYS:
            self._totals[kind, what] = (total, said)

    def table(self, kind: str, rows: tuple[tuple[str, str, int], ...]) -> None:
        """Note many totals at once, as (what, why, total); the thread reads them, so that this costs nothing."""
        self._tables[kind] = rows

    # the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        if self._ready is not None:
            self._ready()
        while not self._stop.wait(_TURN):
            self._turn(time.monotonic())
        self._turn(time.monotonic(), last=True)

    def _turn(self, now: float, last: bool = False) -> None:
        """Write what has come."""
        try:
            self._tell_totals(now, last)
            if self._queue and (now >= self._retry_at or last):
                self._write(now)
            while last and self._queue:
                self._write(now)
        except Exception as error:  # the log must not end the process it watches
            self._failed(error, now)

    def _tell_totals(self, now: float, last: bool) -> None:
        for kind, rows in list(self._tables.items()):
            for what, why, total in rows:
                self.total(kind, f"{what} {why}", total)
        for key, (total, said) in list(self._totals.items()):
            before, told_at = self._reported.get(key, (0, -_TOLD))
            if total != before and (last or now - told_at >= _TOLD):
                self._reported[key] = (total, now)
                more: dict[str, Fact] = {"said": said} if said else {}
                self.note(key[0], what=key[1], more=total - before, total=total, **more)

    def _write(self, now: float) -> None:
        """Append the queue to the file in one write, and only then take it off the queue."""
        if self._file < 0:
            self._open()
        count = min(len(self._queue), _BATCH)
        entries = [self._queue[index] for index in range(count)]
        if self.dropped != self._told_dropped:
            lost: dict[str, Fact] = {
                "lines": self.dropped - self._told_dropped,
                "why": self.trouble or "more than the queue holds",
            }
            entries.append((time.time_ns(), time.monotonic_ns(), DROPPED, lost))
        head, lines = self._head, []
        for wall, steady, kind, facts in entries:
            line = self._line(head, wall, steady, kind, facts)
            head = Head(head.n + 1, digest_of(line))
            lines.append(line + b"\n")
        data = b"".join(lines)
        if self._size and self._size + len(data) > self._limit:
            self._rotate()
        self._append(data)
        self._head, self._told_dropped = head, self.dropped
        for _ in range(count):
            self._queue.popleft()
        self._write_head()
        if self.trouble:
            LOG.info("%s takes lines again", self.path)
            self.trouble = ""

    def _line(self, head: Head, wall: int, steady: int, kind: str, facts: dict[str, Fact]) -> bytes:
        """Return the line behind ``head``, without its end."""
        entry = {
            "n": head.n + 1,
            "wall": datetime.fromtimestamp(wall * 1e-9, timezone.utc).isoformat(timespec="microseconds"),
            "steady": round(steady * 1e-9, 6),
            "by": self.name,
            "kind": kind,
            "facts": {name: _told(value) for name, value in facts.items()},
            "prev": head.digest,
        }
        return json.dumps(entry, separators=(",", ":")).encode()

    def _append(self, data: bytes) -> None:
        """Write all of ``data`` or nothing."""
        try:
            written = os.write(self._file, data)
            if written != len(data):
                raise OSError(f"{written} of {len(data)} bytes")
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _write_head(self) -> None:
        partial = self.head_path.with_suffix(".partial")
        partial.write_text(f"{self._head.n} {self._head.digest}\n", encoding="ascii")
        os.replace(partial, self.head_path)

    def _open(self) -> None:
        """Open the file and go on behind its last whole line; say so when it is not as it was left."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = os.fstat(file).st_size
            tail = os.pread(file, _TAIL, max(0, size - _TAIL))
            if not tail and (before := self.path.with_suffix(".1.jsonl")).exists():
                tail = before.read_bytes()[-_TAIL:]
            left = read_head(self.head_path)
            head, facts, torn = _where(tail, left)
            if torn and size:
                os.write(file, b"\n")
                size += 1
        except Exception:
            os.close(file)
            raise
        self._file, self._size, self._head = file, size, head
        if facts:
            # In front of what waits, so that the check meets it where the chain goes on.
            kind = TAMPERED if "expected" in facts else RESUMED
            self._queue.appendleft((time.time_ns(), time.monotonic_ns(), kind, facts))

    def _rotate(self) -> None:
        os.replace(self.path, self.path.with_suffix(".1.jsonl"))
        os.close(self._file)
        self._file = -1
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file, self._size = os.open(self.path, flags, 0o600), 0
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _failed(self, error: Exception, now: float) -> None:
        """Give up the waiting lines, once the queue is half full, and try again later."""
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if isinstance(error, BlockingIOError):
            said = "another process writes it"
        if not self.trouble:
            self.troubles += 1
            self.trouble = refuse(
                f"audit log {self.path}", said, "a disk that takes lines; what does not fit is dropped"
            )
            LOG.error("%s", self.trouble)
        self._retry_at = now + _RETRY
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        while len(self._queue) > QUEUE // 2:
            self._queue.popleft()
            self.dropped += 1


def _told(value: Fact) -> Fact:
    """Return a fact as it is written: numbers that JSON has, texts that are not endless."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    return str(value)[:_LONGEST]


def _where(tail: bytes, left: Head | None) -> tuple[Head, dict[str, Fact], bool]:
    """Return where a file ends, what must be said about that, and whether its last line is torn.

    :param tail: the end of the file.
    :param left: the head as it was left.
    """
    *whole, torn = tail.split(b"\n")
    last = next((line for line in reversed(whole) if _number(line) is not None), b"")
    number = _number(last)
    head = Head() if number is None else Head(number, digest_of(last))
    facts: dict[str, Fact] = {}
    if torn:
        facts |= {"torn_bytes": len(torn), "torn": digest_of(torn)}
    if left is not None and (head.n < left.n or (head.n == left.n and head.digest != left.digest)):
        facts |= {"expected": f"{left.n} {left.digest}"}
    return head, facts, bool(torn)


def _number(line: bytes) -> int | None:
    """Return the number of a whole line; ``None`` when it is none."""
    try:
        entry = json.loads(line)
        return int(entry["n"]) if "prev" in entry else None
    except (ValueError, TypeError, KeyError):
        return None
