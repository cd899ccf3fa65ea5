"""What every test shares: domains of its own, loopback only, and no process left behind."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ["XDG_STATE_HOME"] = os.path.join(tempfile.gettempdir(), "neon_ros-test-state")  # audit logs
os.environ.setdefault("ROS_LOG_DIR", os.path.join(tempfile.gettempdir(), "neon_ros-test-logs"))

# DDS ports of domain d start at 7400 + 250 d; above 101 they meet the kernel's ephemeral ports.
_FIRST, _LAST = (int(bound) for bound in os.environ.get("NEON_ROS_TEST_DOMAINS", "20-99").split("-"))
_PR_SET_CHILD_SUBREAPER = 36


@contextmanager
def _reserved_domain() -> Iterator[int]:
    """Hold a DDS domain that no other test run on this machine holds."""
    for domain in range(_FIRST, _LAST + 1):
        path = Path(tempfile.gettempdir()) / f"neon_ros-test-domain-{domain}.lock"
        with path.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    raise RuntimeError(f"no free DDS domain from {_FIRST} to {_LAST}")


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A ROS domain of this test's own, set as ROS_DOMAIN_ID."""
    with _reserved_domain() as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        yield domain


@pytest.fixture
def robot_domain() -> Iterator[int]:
    """A DDS domain of this test's own for the robot's wire; never the ROS domain."""
    with _reserved_domain() as domain:
        yield domain


@pytest.fixture(scope="module")
def module_domains() -> Iterator[tuple[int, int]]:
    """Two domains for all tests of a module: (ROS, robot)."""
    with ExitStack() as stack:
        yield stack.enter_context(_reserved_domain()), stack.enter_context(_reserved_domain())


def _children(parent: int) -> dict[int, str]:
    """Return the pid and command line of the processes whose parent is ``parent``."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            after_name = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (OSError, IndexError):
            continue  # it ended meanwhile
        if int(after_name[1]) == parent and after_name[0] != "Z":
            found[int(entry.name)] = command
    return found


def _end(pid: int) -> None:
    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                if os.waitpid(pid, os.WNOHANG)[0] == pid:
                    return
            except ChildProcessError:
                return
            time.sleep(0.02)


@pytest.fixture(scope="module", autouse=True)
def _no_process_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """End what the tests of a module started and left running, orphaned grandchildren included."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = set(_children(os.getpid()))
    yield
    left = {
        pid: command
        for pid, command in _children(os.getpid()).items()
        if pid not in before and "multiprocessing" not in command and command
    }
    for pid in left:
        _end(pid)
    if left:
        warnings.warn(f"{request.node.name} left processes running: {sorted(left.values())}", stacklevel=1)
