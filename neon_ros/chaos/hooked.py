"""``python -m neon_ros.chaos.hooked NAME ...``: a process of the graph with faults inside, each begun by a signal.

``motor`` and ``guardian``: the signal's handler runs in the main thread, in the middle of whatever the loop is doing.
``g1_command``: the next callback raises.

======================  ======================================================
SIGUSR1                 loops for ever
SIGUSR2                 holds the interpreter lock in a C call for 30 s
SIGRTMIN                raises an exception
======================  ======================================================

On leaving, the motor says how often the garbage collector ran since the loop began.
"""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import Any

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


def _motor() -> int:
    """Run the motor process, and count the collections."""
    process = import_module("neon_ros.motor.process")
    collections: list[int] = []
    gc.callbacks.append(lambda phase, info: collections.append(info["generation"]) if phase == "stop" else None)
    quiet = process.quiet_interpreter

    def quiet_interpreter() -> None:
        quiet()
        collections.clear()

    process.quiet_interpreter = quiet_interpreter  # type: ignore[attr-defined]
    code: int = process.main()
    print(f"collections while it ran: {len(collections)}", file=sys.stderr, flush=True)
    return code


def _guardian() -> int:
    """Run the guardian process."""
    code: int = import_module("neon_ros.motor.guardian").main()
    return code


def _g1_command() -> int:
    """Run the node, whose callbacks raise once they are told to."""
    module = import_module("neon_ros.nodes.g1_command")
    broken: list[int] = []
    signal.signal(RAISE, lambda number, frame: broken.append(number))

    def fragile(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *given: Any) -> Any:
            if broken:
                raise InjectedError(INJECTED)
            return method(self, *given)

        return call

    node = module.G1CommandNode
    for name in ("_tick", "_on_chunk", "_report_health"):
        setattr(node, name, fragile(getattr(node, name)))
    module.main()
    return 0


_PROGRAMS = {"motor": _motor, "guardian": _guardian, "g1_command": _g1_command}


def main() -> int:
    """Run one process; return its exit status."""
    signal.signal(HANG, _hang)
    signal.signal(HOLD_GIL, _hold)
    signal.signal(RAISE, _raise)
    return _PROGRAMS[sys.argv.pop(1)]()


if __name__ == "__main__":
    sys.exit(main())
