"""The graph under test: motor, guardian and g1_command as they are run, between a stub robot and a stub policy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from neon_ros.chaos import domains
from neon_ros.chaos.child import PATIENCE, Child
from neon_ros.chaos.setting import ARM_SECONDS, HEALTHY, WELL, Setting, clear, law_of, session_name
from neon_ros.chaos.tape import STATES, Records, Tape, measured_of, reports_of
from neon_ros.errors import NeonError, RobotError, refuse
from neon_ros.graph import build
from neon_ros.motor.locks import FOLDER
from neon_ros.motor.shared import MotorMemory
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.robot.modes import control_mode
from neon_ros.robot.variants import variant

Found = TypeVar("Found")

SETTLED = 0.7  # [s] from ACTIVE until the joints are on the policy's path
_POLL = 0.005
_OUTSIDE = ("stub", "peer", "stranger", "rogue", "loading")
"""Processes that are no part of the graph under test: its environment is not theirs."""
_GUARDIAN = 0.03  # [s] age of a beat that shows a living guardian


class Rig:
    """One running graph; a context manager that ends all of it.

    :param setting: how it is run.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.mode = control_mode(setting.mode)
        self.law = law_of(setting.mode)
        self.children: dict[str, Child] = {}
        self.tape: Tape | None = None
        self.mode_machine = 5
        self._absent: tuple[str, ...] = ()
        given = {
            "robot": "sim",
            "head": "hold",
            "mode": setting.mode,
            "view": "false",
            "session": setting.session,
            "ros_domain": str(setting.ros_domain),
            "robot_domain": str(setting.robot_domain),
        }
        self._graph = build(given)

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # processes --------------------------------------------------------------------------------------------------

    @property
    def motor(self) -> Child:
        """Return the motor process."""
        return self.children["motor"]

    @property
    def guardian(self) -> Child:
        """Return the guardian process."""
        return self.children["guardian"]

    @property
    def command(self) -> Child:
        """Return the node g1_command."""
        return self.children["g1_command"]

    @property
    def robot(self) -> Child:
        """Return the stub robot."""
        return self.children["stub"]

    @property
    def policy(self) -> Child:
        """Return the stub policy."""
        return self.children["policy"]

    @property
    def peer(self) -> Child:
        """Return the operator's hand on the ROS side."""
        return self.children["peer"]

    def launch(self, name: str, module: str, *words: str, key: str = "", asked: bool = False) -> Child:
        """Start one process under ``key`` (its name when empty), ending one that is there."""
        key = key or name
        if key in self.children:
            self.children.pop(key).kill()
        setting = self.setting
        environment = {**self._graph.environment, **({} if name in _OUTSIDE else setting.environment)}
        log = setting.folder / f"{name}.log"
        child = Child(key, ["-m", module, *words], log, asked, environment, setting.prepare)
        self.children[key] = child
        if asked:
            child.answered()
        return child

    def start(self, name: str) -> Child:
        """Start one of the processes by name; a second time: anew."""
        setting = self.setting
        if name == "stub":
            if self.tape is not None:
                self.tape.close()
            words = ("--domain", str(setting.robot_domain), "--session", setting.session, "--topic", self.mode.topic)
            child = self.launch("stub", "neon_ros.chaos.stub", *words, "--seed", str(setting.seed), asked=True)
            self.tape = Tape.open(setting.session)
            return child
        if name == "policy":
            words = ("--mode", setting.mode, "--session", setting.session, "--seed", str(setting.seed))
            more = ("--absent", *self._absent) if self._absent else ()
            return self.launch("policy", "neon_ros.chaos.policy", *words, *more, asked=True)
        if name == "rogue":
            return self.launch("rogue", "neon_ros.chaos.rogue", "--domain", str(setting.robot_domain), asked=True)
        if name in ("peer", "stranger"):
            deaf = ["--stranger"] if name == "stranger" else []
            return self.launch(name, "neon_ros.chaos.peer", *deaf, asked=True)
        return self.launch(name, *self.command_line(name))

    def command_line(self, name: str) -> list[str]:
        """Return module and words of a process of the graph, with the settings of this run."""
        process = next(process for process in self._graph.processes if process.name == name)
        words = list(process.command()[2:])
        words.insert(1, name)
        words[0] = "neon_ros.chaos.hooked"
        if name == "motor":
            words += ["--set", f"arm_seconds={ARM_SECONDS}", *self.setting.motor_words]
        if name in ("motor", "guardian") and not self.setting.fifo:
            words.append("--no-fifo")
        return words

    def up(self) -> None:
        """Start everything and wait until the robot can be armed."""
        for name in ("stub", "guardian", "motor", "g1_command", "peer", "policy"):
            if name not in self.children or not self.children[name].alive:
                self.start(name)
        self.wait_ready()

    def vital(self, name: str) -> bool:
        """Return whether the graph goes down when a process of it ends."""
        return next(process.vital for process in self._graph.processes if process.name == name)

    def renew(self) -> None:
        """End everything and start it anew, after something went wrong."""
        for child in self.children.values():
            child.kill()
        self.children.clear()
        self.up()

    def wait_ready(self) -> None:
        """Wait until every process does its part."""
        self.until(lambda: self.state() not in (None, "UNCONFIGURED"), "a motor that knows the robot")
        self.until(lambda: self.guardian_age() < _GUARDIAN, "a guardian")
        self.until(lambda: self.policy.ask()["started"], "a policy that moves")
        admitted = self.report().get("chunks_admitted", 0)
        self.until(lambda: self.report().get("chunks_admitted", 0) != admitted, "admitted chunks")

    def close(self) -> None:
        """End everything and remove what it left in shared memory."""
        for child in self.children.values():
            child.kill()
        if self.tape is not None:
            self.tape.close()
        for path in FOLDER.glob(f"{self.setting.session}.*"):
            with suppress(OSError):
                path.unlink()

    def __del__(self) -> None:
        for child in self.children.values():
            with suppress(OSError):
                child.kill()

    # looking ----------------------------------------------------------------------------------------------------

    def until(self, done: Callable[[], Found], what: str, timeout: float = PATIENCE) -> Found:
        """Return the first true value of ``done``.

        :raises RobotError: when there is none in time.
        """
        deadline = time.monotonic() + timeout
        while not (value := done()):
            if time.monotonic() > deadline:
                dead = [f"{name}: {child.last_words()}" for name, child in self.children.items() if not child.alive]
                raise RobotError(
                    refuse(what, f"none in {timeout:g} s; {self.now()}; {' '.join(dead)}", "a sound graph")
                )
            time.sleep(_POLL)
        return value

    def now(self) -> str:
        """Return the state and its reason in words."""
        with suppress(NeonError), MotorMemory.open(self.setting.session) as memory:
            report = memory.read_report()
            if report is not None:
                return f"{report.state}: {report.reason}"
        return "no motor"

    def guardian_age(self) -> float:
        """Return the age of the guardian's beat [s]."""
        with suppress(NeonError), MotorMemory.open(self.setting.session) as memory:
            return memory.beat_age("guardian")
        return float("inf")

    def records(self, since: int) -> Records:
        """Return what happened since tape count ``since``."""
        assert self.tape is not None
        return self.tape.read(since)[1]

    def mark(self) -> int:
        """Return the tape's count now."""
        assert self.tape is not None
        return self.tape.count

    def state(self) -> str | None:
        """Return the state of the motor by its newest report, ``None`` without a fresh one."""
        assert self.tape is not None
        reports = reports_of(self.tape.last(512))
        if len(reports) == 0 or time.monotonic_ns() - int(reports["time"][-1]) > 500_000_000:
            return None
        return STATES[reports["state"][-1]]

    def report(self) -> dict[str, Any]:
        """Return the newest guard report of the ROS side."""
        return self.peer.ask()

    def measured(self) -> np.ndarray:
        """Return the pose that the robot last sent (29,) [rad]."""
        assert self.tape is not None
        return np.asarray(measured_of(self.tape.last(512))["q"][-1], dtype=np.float64)

    # acting -----------------------------------------------------------------------------------------------------

    def ills(self, **values: Any) -> int:
        """Make the robot ill; return when the first LowState with it was sent [ns]."""
        return int(self.robot.ask(set=values)["at"])

    def habits(self, **values: Any) -> None:
        """Make the policy behave so."""
        self.policy.ask(set=values)

    def heal(self) -> None:
        """Take all faults away."""
        owner = "" if self.mode.needs_release else "ai"  # none, so that arming is quick; or who balances
        self.robot.ask(set={**HEALTHY, "mode_machine": self.mode_machine, "owner": owner})
        self.policy.ask(set=WELL)

    def arm(self) -> dict[str, Any]:
        """Ask for arming through the ROS service; return the answer."""
        return self.peer.ask(call="arm")

    def active(self, settle: float = SETTLED) -> None:
        """Bring the graph, whatever state it is in, to ACTIVE and onto the policy's path.

        :raises RobotError: when it does not come there.
        """
        for name in ("stub", "guardian", "motor", "g1_command", "peer", "policy"):
            if name not in self.children or not self.children[name].alive:
                self.start(name)
        self.heal()
        self.wait_ready()
        deadline = time.monotonic() + PATIENCE
        while not self._settled(deadline, settle):
            if time.monotonic() > deadline:
                raise RobotError(refuse("the graph before the fault", self.now(), "ACTIVE"))

    def _settled(self, deadline: float, settle: float) -> bool:
        """Arm, and return whether the graph was ACTIVE without a break for so long [s]: no other fault is under way."""
        answer: dict[str, Any] = {}
        while self.state() not in ("ACTIVE", "ARMING"):
            if time.monotonic() > deadline:
                raise RobotError(refuse("arm", answer.get("message", "no answer"), "a robot that can be armed"))
            if self.state() == "HOLD":
                self.peer.ask(call="disarm")
            answer = self.arm()
            if answer.get("success"):
                self.until(lambda: self.state() in ("ARMING", "ACTIVE", "HOLD", "DAMPING"), "an answer to arming")
            else:
                time.sleep(0.05)
        while self.state() == "ARMING":
            time.sleep(_POLL)
        mark = self.mark()
        time.sleep(settle)
        return self.state() == "ACTIVE" and set(reports_of(self.records(mark))["state"]) <= {STATES.index("ACTIVE")}

    def inactive(self) -> None:
        """Disarm and wait until the motor is silent; one that has ended is."""
        if not (self.motor.alive and self.command.alive):
            return
        self.peer.ask(call="disarm")
        self.until(lambda: self.state() == "INACTIVE", "INACTIVE")

    @contextmanager
    def beside(self, **changes: Any) -> Iterator[Rig]:
        """Run a second graph with another setting, on domains of its own; this one is disarmed meanwhile."""
        self.inactive()
        folder = clear(self.setting.folder / "beside")
        with domains.reserved() as ros_domain, domains.reserved() as robot_domain:
            setting = replace(
                self.setting,
                ros_domain=ros_domain,
                robot_domain=robot_domain,
                session=session_name(),
                folder=folder,
                **changes,
            )
            with Rig(setting) as rig:
                yield rig

    def be(self, mode_machine: int) -> None:
        """Let the robot be another variant, and the policy and the law follow; the motor must be silent."""
        self.mode_machine = mode_machine
        self.law = law_of(self.setting.mode, mode_machine)
        present = variant(mode_machine).present()
        self._absent = tuple(name for name in self.mode.joint_names if not present[JOINT_INDEX[name]])
        self.ills(mode_machine=mode_machine)

    def logs(self) -> str:
        """Return the names of the log files, for an operator."""
        return ", ".join(sorted(str(path) for path in self.setting.folder.glob("*.log")))
