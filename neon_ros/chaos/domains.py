"""DDS domains that no other run on this machine holds."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neon_ros.errors import RobotError, refuse

_FIRST, _LAST = 20, 99  # ports of domain d start at 7400 + 250 d; above 101 they meet the kernel's ephemeral ports


@contextmanager
def reserved() -> Iterator[int]:
    """Hold a domain for the length of a block; the same locks as the tests use.

    :raises RobotError: when all are held.
    """
    for domain in range(_LAST, _FIRST - 1, -1):
        path = Path(tempfile.gettempdir()) / f"neon_ros-test-domain-{domain}.lock"
        with path.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    raise RobotError(refuse("DDS domain", f"all of {_FIRST} to {_LAST} are in use", "two free ones"))
