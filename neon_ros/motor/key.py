"""The key of a session's chunks as a file that only its owner can read.

By default it lies beside the session's shared memory and is renewed whenever ``g1_command`` opens that memory, so that
nothing signed before can ever be admitted again; whoever signs reads the file again when it has changed.  A file named
by the operator (for a policy on another machine, which holds a copy) is made once and then kept.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from neon_ros.errors import ConfigError, refuse
from neon_ros.guard.authentic import KEY_BYTES, ChunkKey
from neon_ros.motor.locks import FOLDER, session_file

Identity = tuple[int, int, int, int]


class KeyFile:
    """Where a session's key lies.

    :param session: name of the session; its key lies in ``folder`` when no file is named.
    :param named: path of a file named by the operator; empty for the session's own.
    :raises ConfigError: when neither is given.
    """

    def __init__(self, session: str, named: str = "", folder: Path = FOLDER) -> None:
        if not session and not named:
            raise ConfigError(refuse("key of the chunks", "neither session nor key_file", "one of them, or insecure"))
        self.renewable = not named
        self.path = Path(named) if named else session_file(session, "key", folder)
        self._seen: tuple[Identity, ChunkKey] | None = None

    def prepare(self) -> None:
        """Refuse a file that others could have read or written; make a named one when there is none.

        The session's own is made by :meth:`renew`, once it is sure that this process may.

        :raises ConfigError: naming the file, what it is and what is allowed.
        """
        if self.renewable:
            if os.path.lexists(self.path):
                self.key()
            return
        try:
            self._write(exclusive=True)
        except FileExistsError:
            self.key()

    def renew(self) -> None:
        """Put a new key in the place of the old one, at once and complete.

        :raises ConfigError: when the file was named by the operator, or cannot be written.
        """
        if not self.renewable:
            raise ConfigError(refuse("renewal of the key", self.path, "the session's own key, not a named file"))
        self._write(exclusive=False)

    def remove(self) -> None:
        """Forget the session's own key; a named file stays."""
        self._seen = None
        if self.renewable:
            self.path.unlink(missing_ok=True)

    def key(self) -> ChunkKey:
        """Return the key; reads the file again only when it is another one than before.

        :raises ConfigError: when there is none, or others could have read or written it.
        """
        if self._seen is not None:
            try:
                found = os.lstat(self.path)
            except OSError:
                self._seen = None
            else:
                if self._seen[0] == _identity(found):
                    return self._seen[1]
        self._seen = _read(self.path)
        return self._seen[1]

    def _write(self, exclusive: bool) -> None:
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.write(file, secrets.token_bytes(KEY_BYTES))
                os.fchmod(file, 0o600)  # whatever the umask
            finally:
                os.close(file)
            if exclusive:
                os.link(partial, self.path)  # complete before anyone can see it, and only if there is none
            else:
                os.replace(partial, self.path)
        except FileExistsError:
            raise
        except OSError as error:
            allowed = "a folder that this user can write"
            raise ConfigError(refuse(f"key file {self.path}", error.strerror, allowed)) from error
        finally:
            partial.unlink(missing_ok=True)


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _read(path: Path) -> tuple[Identity, ChunkKey]:
    """Return identity and key of a file, judged by what was opened, not by its name."""
    name = f"key file {path}"
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ConfigError(refuse(name, "no such file", "the file that g1_command makes at its start")) from None
    except OSError as error:
        if path.is_symlink():
            raise ConfigError(refuse(name, "a symbolic link", "a file of its own")) from error
        raise ConfigError(refuse(name, error.strerror, "a file that this user can read")) from error
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(refuse(name, "no regular file", "a file of its own"))
        if found.st_uid != os.geteuid():
            raise ConfigError(refuse(name, f"owner uid {found.st_uid}", f"uid {os.geteuid()}, who runs neon_ros"))
        if found.st_mode & 0o077:
            mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
            raise ConfigError(refuse(name, mode, "0600: its owner only (chmod 600, and a new key if it mattered)"))
        if found.st_size != KEY_BYTES:
            raise ConfigError(refuse(name, f"{found.st_size} bytes", f"{KEY_BYTES} random bytes"))
        return _identity(found), ChunkKey(os.read(file, KEY_BYTES))
    finally:
        os.close(file)
