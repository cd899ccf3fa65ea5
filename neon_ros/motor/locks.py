"""One holder per role and session: a lock file that dies with its process."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from neon_ros.errors import ConfigError, Refused, RobotError, refuse

FOLDER = Path("/dev/shm/neon_ros")
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def session_file(session: str, suffix: str, folder: Path = FOLDER) -> Path:
    """Return the path of a session's file, in a folder that only this user can read.

    :param session: name of the session: letters, digits, ``_`` and ``-``.
    :raises ConfigError: on any other name.
    :raises RobotError: when the folder belongs to another user.
    """
    if not _SESSION.fullmatch(session):
        raise ConfigError(refuse("session", repr(session), "1 to 64 letters, digits, '_' or '-'"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = folder.stat().st_uid
    if owner != os.geteuid():
        raise RobotError(
            refuse(f"owner of {folder}", f"uid {owner}", f"uid {os.geteuid()}, the user who starts neon_ros")
        )
    return folder / f"{session}.{suffix}"


class RoleLock:
    """The exclusive right to one role in a session, held until :meth:`release` or the end of the process.

    :param role: e.g. ``motor``.
    :raises Refused: when another holder is alive.
    """

    def __init__(self, session: str, role: str, folder: Path = FOLDER) -> None:
        self._path = session_file(session, f"{role}.lock", folder)
        while True:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(self._fd, 32).decode(errors="replace").strip() or "unknown"
                os.close(self._fd)
                name = f"{role} of session {session!r}"
                raise Refused(refuse(name, f"a second one (process {holder} holds it)", "one at a time")) from None
            if self._is_current():
                break
            os.close(self._fd)  # its last holder removed the file between our open and our lock
        os.ftruncate(self._fd, 0)
        os.write(self._fd, str(os.getpid()).encode())

    def _is_current(self) -> bool:
        try:
            return os.stat(self._path).st_ino == os.fstat(self._fd).st_ino
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give the role back; a second call does nothing."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1
