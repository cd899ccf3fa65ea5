"""``python -m neon_ros.chaos.hooked``: the motor process with faults inside, each begun by a signal.

The signal's handler runs in the main thread, in the middle of whatever the 500 Hz loop is doing:

======================  ======================================================
SIGUSR1                 loops for ever
SIGUSR2                 holds the interpreter lock in a C call for 30 s
SIGRTMIN                raises an exception
======================  ======================================================

On leaving it says how many full collections the garbage collector made since the loop began.
"""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
from types import FrameType

from neon_ros.motor import process

HANG, HOLD_GIL, RAISE = signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN
INJECTED = "injected by chaos"


class InjectedError(Exception):
    """What chaos raises."""


def _hang(number: int, frame: FrameType | None) -> None:
    while True:
        pass


def _hold(number: int, frame: FrameType | None) -> None:
    ctypes.PyDLL(None).sleep(30)  # PyDLL does not release the interpreter lock, as a C extension that forgot to


def _raise(number: int, frame: FrameType | None) -> None:
    raise InjectedError(INJECTED)


def main() -> int:
    """Run the motor process; return its exit status."""
    signal.signal(HANG, _hang)
    signal.signal(HOLD_GIL, _hold)
    signal.signal(RAISE, _raise)
    collections: list[int] = []
    gc.callbacks.append(lambda phase, info: collections.append(info["generation"]) if phase == "stop" else None)
    quiet = process.quiet_interpreter

    def quiet_interpreter() -> None:
        quiet()
        collections.clear()

    process.quiet_interpreter = quiet_interpreter
    code = process.main()
    print(f"collections while it ran: {len(collections)}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
