"""The motor process: ``python -m neon_ros.motor.process``.  500 commands a second, no rclpy, no torch.

Comes up silent, adopts the robot's variant from LowState, and writes nothing until it is armed through the shared
memory.  On SIGTERM or SIGINT it brings the robot to rest, lets go of it and exits 0.  When anything in the loop fails
it sends damping frames, prints one traceback and exits 1; the guardian goes on damping from there.
"""

from __future__ import annotations

import argparse
import logging
import os
import queue
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener
from types import FrameType

from neon_ros.errors import ConfigError, NeonError, refuse
from neon_ros.guard.config import GuardConfig, from_settings
from neon_ros.guard.guard import Guard
from neon_ros.guard.machine import State
from neon_ros.motor.audit import AuditLog, audit_folder
from neon_ros.motor.chronicle import Chronicle
from neon_ros.motor.fallback import Fallback
from neon_ros.motor.link import Link
from neon_ros.motor.loop import Door, MotorLoop, TakenOver
from neon_ros.motor.realtime import (
    MOTOR_PRIORITY,
    SIDE_PRIORITY,
    Ticker,
    lock_memory,
    prefer_fifo,
    quiet_interpreter,
    receive_under_fifo,
    sleep_until,
    threads_under_fifo,
    warm_linear_algebra,
)
from neon_ros.motor.rpc import Locomotion, MotionSwitcher
from neon_ros.motor.shared import MotorMemory
from neon_ros.motor.side import Side, fifo_ready
from neon_ros.robot.modes import MODES, ControlMode, control_mode
from neon_ros.robot.wire import decode_low_cmd

LOG = logging.getLogger("motor")

LOW_STATE = "rt/lowstate"
_DOMAIN = {"real": 0, "sim": 1}
_REST = 0.3  # [s] of damping frames on rt/lowcmd before the process leaves
_STOP = 2.5  # [s] after which it leaves in any case
_FALLBACK = 0.5  # [s] of damping frames after a failure
_GUARDIAN_FIFO, _GUARDIAN_SHARED = (
    0.034,  # the robot damps within 40 ms of the guardian's death
    0.25,
)  # [s] age of the guardian's beat that stops the robot, with FIFO and without

EXIT_FAILED, EXIT_REFUSED, EXIT_TAKEN_OVER = 1, 2, 4


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    options = argparse.ArgumentParser(prog="neon_ros.motor.process", description=__doc__.splitlines()[0])
    options.add_argument("--session", required=True, help="name shared with g1_command and the guardian")
    options.add_argument("--mode", required=True, choices=sorted(MODES), help="control mode")
    options.add_argument("--robot", default="sim", choices=("sim", "real"), help="simulated or real robot")
    options.add_argument("--domain", type=int, help="DDS domain of the robot; 0 for real, 1 for sim")
    options.add_argument("--interface", default="lo", help="network interface of the robot, e.g. eth0; lo for sim")
    options.add_argument("--rate", type=float, default=500.0, help="commands per second [Hz], 50 to 1000")
    options.add_argument("--fifo", action=argparse.BooleanOptionalAction, default=True, help="ask for SCHED_FIFO")
    options.add_argument(
        "--guardian",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="need a living guardian",
    )
    options.add_argument(
        "--other-writers",
        default="refuse",
        choices=("refuse", "allow"),
        help="what another writer on our command topic means; allow only where the robot itself keeps a silent one",
    )
    options.add_argument(
        "--audit-folder", default="", help="folder of the audit logs; $XDG_STATE_HOME/neon_ros if empty"
    )
    options.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the guard, e.g. arm_seconds=3 or limits.arm.velocity=2",
    )
    return options


def guard_config(settings: Sequence[str], rate: float, simulated: bool) -> GuardConfig:
    """Return the guard's settings from ``NAME=VALUE`` texts.

    :raises ConfigError: on an unknown name, a value that is no number or out of range.
    """
    if not 50.0 <= rate <= 1000.0:
        raise ConfigError(refuse("rate", rate, "50 to 1000 Hz"))
    values: dict[str, float] = {}
    for text in settings:
        name, separator, value = text.partition("=")
        if not separator:
            raise ConfigError(refuse("--set", text, "NAME=VALUE"))
        try:
            values[name] = float(value)
        except ValueError as error:
            raise ConfigError(refuse(f"--set {name}", value, "a number")) from error
    return from_settings(values, period=1.0 / rate, simulated=simulated, where="guard")


class Motor:
    """One run of the process.

    :param memory: shared with the ROS side, in the role of the motor.
    :param options: the parsed command line.
    :param config: of the guard.
    :param audit: the audit log of this process.
    """

    def __init__(self, memory: MotorMemory, options: argparse.Namespace, config: GuardConfig, audit: AuditLog) -> None:
        domain = options.domain if options.domain is not None else _DOMAIN[options.robot]
        self.memory = memory
        self._guarded = options.guardian
        self._fifo, how = receive_under_fifo() if options.fifo else (False, "SCHED_FIFO not asked for")
        LOG.info("%s", how)
        self.ticker = Ticker(options.rate)
        with threads_under_fifo(MOTOR_PRIORITY, options.fifo):
            link = Link(domain, options.interface, mark=f"neon_ros/{options.session}")
        self._link, self._config = link, config
        mode = control_mode(options.mode)
        door = self._door(mode)
        self.side = Side(
            mode,
            door.watch,
            MotionSwitcher(link),
            Locomotion(link),
            refuse_writers=options.other_writers == "refuse",
            ready=fifo_ready if self._fifo else None,
            battery=link.battery_reader(),
            min_charge=config.min_charge,
        )
        states = self.ticker.follow = link.low_state_reader(LOW_STATE)
        self._source = f"{LOW_STATE}, domain {domain}, interface {options.interface}"
        self.loop = MotorLoop(
            mode,
            door.guard,
            self.memory,
            states,
            door.commands,
            self.side,
            self.ticker,
            self._source,
        )
        self.ticker.before = self.loop.prepare
        self.loop.door_of = self._door
        self.loop.chronicle = Chronicle(audit)
        self._signal = ""

    def _door(self, mode: ControlMode) -> Door:
        """Make what belongs to one control mode."""
        topic = f"rt/{mode.topic}"
        self.commands = self._link.low_cmd_writer(topic)
        return Door(Guard(mode, self._config), self.commands, self._link.watch_writers(topic))

    def run(self) -> int:
        """Tick until a signal comes; return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note_signal)
        LOG.info("mode %s, LowState from %s, commands to %s", self.memory.mode, self._source, self.commands.topic)
        warm_linear_algebra()
        LOG.info("%s", lock_memory())
        if self._fifo:
            LOG.info("loop: %s", prefer_fifo(MOTOR_PRIORITY)[1])
        if self._guarded:
            self.loop.guardian_timeout = _GUARDIAN_FIFO if self._fifo else _GUARDIAN_SHARED
        self.side.start()
        quiet_interpreter()
        try:
            self._tick_until_signal()
            self._tick_to_rest()
        except TakenOver as error:
            LOG.error("%s", error)
            return EXIT_TAKEN_OVER
        except Exception:
            LOG.exception("the loop failed; sending damping frames")
            self._fall_back()
            return EXIT_FAILED
        self.memory.commanding = False
        self.side.close()
        LOG.info("stopped by %s; the robot is at rest", self._signal)
        return 0

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = signal.Signals(number).name

    def _tick_until_signal(self) -> None:
        wait, tick = self.ticker.wait, self.loop.tick
        while not self._signal:
            tick(wait())

    def _tick_to_rest(self) -> None:
        """Stop, and go on ticking until the robot is at rest and let go."""
        began = now = time.monotonic()
        self.loop.stop(now, f"stopped by {self._signal}")
        damped = None
        while self.loop.writing and now - began < _STOP:
            woke = self.ticker.wait()
            self.loop.tick(woke)
            now = woke * 1e-9
            if self.loop.state is State.DAMPING and self.commands.topic == "rt/lowcmd":
                damped = now if damped is None else damped
                if now - damped >= _REST:
                    break

    def _fall_back(self) -> None:
        """Bring the robot to rest without the guard; the beat stops, so that the guardian takes over in any case."""
        if not self.memory.commanding:
            return
        with suppress(NeonError):
            last = self.memory.last_command()
            if last is None:
                return
            fallback = Fallback(decode_low_cmd(last), self.commands.topic)
            began = time.monotonic_ns()
            for step in range(int(_FALLBACK * 1e9 / self.ticker.period_ns)):
                if self.memory.taken_over:
                    return
                self.commands.write(fallback.frame(step * self.ticker.period_ns * 1e-9))
                sleep_until(began + (step + 1) * self.ticker.period_ns)


def audit_ready() -> None:
    """Give the thread of the audit log a priority that ordinary processes cannot preempt, like the side thread's."""
    LOG.info("audit log: %s", prefer_fifo(SIDE_PRIORITY)[1])


def log_without_waiting(program: str) -> QueueListener:
    """Send log records to stderr from a thread of their own: a full pipe must not stop the loop."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"[%(asctime)s] [{program}] %(levelname)s %(message)s"))
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(QueueHandler(records))
    listener = QueueListener(records, handler)
    listener.start()
    return listener


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the motor process; return its exit status."""
    options = parser().parse_args(arguments)
    listener = log_without_waiting("motor")
    try:
        if options.robot == "real" and not options.guardian:
            raise ConfigError(refuse("--no-guardian", "--robot real", "--robot sim only"))
        config = guard_config(options.set, options.rate, simulated=options.robot == "sim")
        folder = audit_folder(options.session, options.audit_folder)
        audit = AuditLog(folder, "motor", ready=audit_ready if options.fifo else None)
        with MotorMemory.create(options.session, options.mode, robot=options.robot) as memory:
            audit.start()
            audit.note("start", robot=options.robot, mode=options.mode, pid=os.getpid())
            code = Motor(memory, options, config, audit).run()
            audit.note("end", code=code)
            audit.close()
            return code
    except NeonError as error:
        LOG.error("%s", error)
        return EXIT_REFUSED
    finally:
        listener.stop()


if __name__ == "__main__":
    sys.exit(main())
