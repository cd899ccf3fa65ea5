"""What a process can be put into, where the machine allows it: another clock, network, memory limit, a full disk.

Each refusal of the machine is a :class:`~neon_ros.chaos.bench.NotRun`, with its reason.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neon_ros.chaos.bench import NotRun

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000  # sched.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1  # linux/sockios.h, linux/if.h

_CLOCK_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long long *shift;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
  real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  int file = open(getenv("CHAOS_CLOCK"), O_RDONLY);
  if (file >= 0) shift = mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
  if (shift == MAP_FAILED) shift = 0;
}

int clock_gettime(clockid_t id, struct timespec *now) {
  int result = real_clock_gettime(id, now);
  if (result == 0 && shift && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
    long long ns = now->tv_sec * 1000000000LL + now->tv_nsec + *shift;
    now->tv_sec = ns / 1000000000LL;
    now->tv_nsec = ns % 1000000000LL;
  }
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  int result = clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return result;
}

/* Waits for a time of this clock are waits of the kernel for a time of its own; those of the steady clock are small. */
static struct timespec unshifted(const struct timespec *until) {
  struct timespec kernel = *until;
  if (shift && until->tv_sec > 1000000000LL) {
    long long ns = until->tv_sec * 1000000000LL + until->tv_nsec - *shift;
    kernel.tv_sec = ns / 1000000000LL;
    kernel.tv_nsec = ns % 1000000000LL;
  }
  return kernel;
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until) {
  static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
  if (!real) real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  if (!real) real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  struct timespec kernel = unshifted(until);
  return real(cond, mutex, &kernel);
}

int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t id, const struct timespec *until) {
  static int (*real)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
  struct timespec kernel = unshifted(until);
  return real(cond, mutex, id, &kernel);
}

time_t time(time_t *out) {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (out) *out = exact.tv_sec;
  return exact.tv_sec;
}
"""


class Clock:
    """A system clock of their own for processes started with :attr:`environment`; the steady clock stays.

    :param folder: for the library, which is compiled here.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise NotRun("no C compiler to make a clock with")
        source, library, shift = folder / "clock.c", folder / "clock.so", folder / "clock"
        source.write_text(_CLOCK_SOURCE, encoding="utf-8")
        words = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotRun(f"the clock does not compile: {done.stderr.strip().splitlines()[-1:]}")
        shift.write_bytes(bytes(8))
        with shift.open("r+b") as file:
            self._shift = mmap.mmap(file.fileno(), 8)
        self.environment = {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(shift)}

    def step(self, seconds: float) -> None:
        """Set the clock so far ahead of the machine's (behind, where negative) [s]."""
        self._shift[:8] = struct.pack("<q", round(seconds * 1e9))


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


class Network:
    """A network namespace with nothing but a loopback interface."""

    def __init__(self) -> None:
        ready, done = os.pipe(), os.pipe()
        self._holder = os.fork()
        if self._holder == 0:
            self._hold(ready[1], done[0], done[1])
        os.close(ready[1])
        os.close(done[0])
        self._done = done[1]
        said = os.read(ready[0], 200).decode()
        os.close(ready[0])
        if said != "ok":
            self.close()
            raise NotRun(f"no network of its own: {said}")
        self._file = os.open(f"/proc/{self._holder}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    @staticmethod
    def _hold(ready: int, done: int, other: int) -> None:
        """Be the process that keeps the namespace alive."""
        os.close(other)
        try:
            _check(_LIBC.unshare(_CLONE_NEWNET), "unshare")
            _set_loopback(True)
            os.write(ready, b"ok")
        except OSError as error:
            os.write(ready, str(error).encode()[:200])
        os.close(ready)
        os.read(done, 1)
        os._exit(0)

    def enter(self) -> None:
        """Move the calling process into it; for a new process before it runs its program."""
        _check(_LIBC.setns(self._file, _CLONE_NEWNET), "setns")

    def loopback(self, up: bool) -> int:
        """Set its only interface up or down; return when, just before [ns, steady clock]."""
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            with suppress(OSError):
                self.enter()
                moment = time.monotonic_ns()
                _set_loopback(up)
                os.write(tell, str(moment).encode())
            os._exit(0)
        os.close(tell)
        said = os.read(told, 32)
        os.close(told)
        os.waitpid(child, 0)
        if not said:
            raise NotRun(f"the interface cannot be set {'up' if up else 'down'}")
        return int(said)

    def close(self) -> None:
        """Give it up."""
        os.close(self._done)
        os.waitpid(self._holder, 0)


def _set_loopback(up: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        flags = flags | _IFF_UP if up else flags & ~_IFF_UP
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))


@contextmanager
def memory_limit(megabytes: int, pid: int) -> Iterator[None]:
    """Let a process have no more memory than so much beyond what it has now, in a control group of its own [MiB]."""
    name = f"neon_chaos_{pid}"
    for root, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = Path(root) / name
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(megabytes * 2**20), encoding="ascii")
            (group / "cgroup.procs").write_text(str(pid), encoding="ascii")
        except OSError as error:
            group.rmdir()
            raise NotRun(f"no memory limit: {error}") from error
        try:
            yield
        finally:
            with suppress(OSError):
                (group.parent / "cgroup.procs").write_text(str(pid), encoding="ascii")
            with suppress(OSError):
                group.rmdir()
        return
    raise NotRun("no control group for memory can be made here")


@contextmanager
def small_disk(folder: Path, size: str = "256k") -> Iterator[Callable[[bool], None]]:
    """Mount a tiny file system on a folder; yields what fills it or empties it again."""
    folder.mkdir(parents=True, exist_ok=True)
    if _LIBC.mount(b"chaos", str(folder).encode(), b"tmpfs", 0, f"size={size}".encode()):
        raise NotRun(f"no tmpfs can be mounted: {os.strerror(ctypes.get_errno())}")
    filler = folder / "filler"

    def fill(full: bool) -> None:
        filler.unlink(missing_ok=True)
        if full:
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

    try:
        yield fill
    finally:
        _LIBC.umount2(str(folder).encode(), 2)  # MNT_DETACH: a process may still hold a file open


@contextmanager
def burning(processes: int) -> Iterator[None]:
    """Keep every core busy with so many ordinary processes."""
    burners = [subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"]) for _ in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
