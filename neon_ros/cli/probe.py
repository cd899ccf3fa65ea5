"""Gather what ``neon check`` judges: listen to the robot, ask it two questions that change nothing, read files.

Never makes a writer of LowCmd; of the services only CheckMode (1001) and the walker's state (7001) are called.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from neon_ros.act.manifest import Manifest
from neon_ros.cli import checks
from neon_ros.cli.checks import Check, Heard, Result
from neon_ros.errors import ContractError, NeonError, RobotError
from neon_ros.guard.config import GuardConfig
from neon_ros.motor.jitter import Jitter
from neon_ros.motor.key import KeyFile
from neon_ros.motor.link import Link
from neon_ros.motor.rpc import Locomotion, MotionSwitcher
from neon_ros.motor.shared import MotorMemory
from neon_ros.robot.battery import decode_battery
from neon_ros.robot.modes import ControlMode, control_mode
from neon_ros.robot.selftest import crc_trouble
from neon_ros.robot.variants import Variant

COMMAND_TOPICS = ("rt/lowcmd", "rt/arm_sdk")
_ANSWER = 2.0  # [s] for a service to be found and to answer


class Findings:
    """Rows of the table, and the limits of the robot that was found."""

    def __init__(self) -> None:
        self.rows: list[Check] = []
        self.limits: list[dict[str, object]] = []

    def add(self, *rows: Check) -> None:
        """Take rows."""
        self.rows += rows

    def skip(self, *names: str) -> None:
        """Note what could not be judged without a robot."""
        self.add(*(Check(name, Result.SKIP, "not judged", "a robot that is heard") for name in names))

    @property
    def failed(self) -> list[str]:
        """Return the names of the checks that failed."""
        return [row.name for row in self.rows if row.result is Result.FAIL]


def probe(values: Mapping[str, str], seconds: float, config: GuardConfig) -> Findings:
    """Look at robot and machine.

    :param values: arguments of the graph, with their defaults.
    :param seconds: how long to listen, and again to measure the loop [s].
    :param config: settings of the guard that would judge this robot.
    """
    found, mode = Findings(), control_mode(values["mode"])
    name = values["network_interface"]
    found.add(checks.interface(name, [known for _, known in socket.if_nameindex()], _state_of(name)))
    which = _look_at_robot(values, mode, seconds, config, found)
    found.add(_head(values, mode, which), _key(values["session"], values["key_file"]), _session(values["session"]))
    found.add(*_machine(seconds, real=values["robot"] == "real"))
    if which is not None:
        found.limits = checks.limit_table(which, config)
    return found


def _state_of(name: str) -> str:
    try:
        return Path(f"/sys/class/net/{name}/operstate").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _look_at_robot(
    values: Mapping[str, str], mode: ControlMode, seconds: float, config: GuardConfig, found: Findings
) -> Variant | None:
    """Judge everything that comes over the robot's DDS; return the variant."""
    domain, where = int(values["robot_domain"]), values["network_interface"]
    trouble = crc_trouble()
    found.add(checks.judged("CRC self-test", bool(trouble), trouble or "golden frames", "the vendor's sums"))
    try:
        link = Link(domain, where, mark=f"neon_ros/{values['session']}")
    except NeonError as error:
        found.add(checks.domains(domain, values["ros_domain"], str(error)))
        found.skip("LowState", "clocks", "motors' owner", "variant", "motors", "battery", "writers")
        return None
    found.add(checks.domains(domain, values["ros_domain"], ""))
    with link:
        return _listen(link, values, mode, seconds, config, found)


def _listen(
    link: Link, values: Mapping[str, str], mode: ControlMode, seconds: float, config: GuardConfig, found: Findings
) -> Variant | None:
    switcher, walker = MotionSwitcher(link, _ANSWER), Locomotion(link, _ANSWER)
    watches = [link.watch_writers(topic) for topic in COMMAND_TOPICS]
    reader, battery = link.low_state_reader(), link.battery_reader()
    heard, charge = Heard(), None
    reader.wait_newest(seconds)  # discovery is no loss
    began, wall = time.monotonic(), time.time()
    while (since := time.monotonic() - began) < seconds:
        payload = reader.wait_newest(seconds - since)
        if payload is not None:
            heard.take(payload, time.monotonic_ns())
    heard.seconds = time.monotonic() - began
    found.add(*checks.clock(time.time(), time.time() - wall, heard.seconds))
    if (payload := battery.take_newest()) is not None:
        try:
            charge = decode_battery(payload).charge
        except ContractError as error:
            found.add(Check("battery message", Result.WARN, str(error), "a sound one"))
    found.add(*checks.low_state(heard, f"rt/lowstate, domain {link.domain}, interface {link.interface}"))
    topic = f"rt/{mode.topic}"
    found.add(*(checks.writers(watch.topic, watch.foreign(), watch.topic == topic) for watch in watches))
    if heard.state is None:
        found.skip("motors' owner", "variant", "motors", "battery", "remote")
        return None
    try:
        found.add(checks.owner(mode, switcher.active(), ""))
    except RobotError as error:
        found.add(checks.owner(mode, None, str(error)))
    try:
        found.add(checks.walker(mode, walker.fsm(), ""))
    except RobotError as error:
        found.add(checks.walker(mode, None, str(error)))
    rows, which = checks.machine(mode, heard.state, config)
    found.add(*rows, *checks.posture(heard.state, config))
    if which is not None:
        found.add(*checks.motors(heard.state, which, config))
    found.add(checks.battery(charge, config), checks.remote(heard.state.wireless_remote))
    return which


def _head(values: Mapping[str, str], mode: ControlMode, which: Variant | None) -> Check:
    """Open the checkpoint as the head would, every fingerprint compared."""
    from neon_ros.act.checkpoint import open_checkpoint

    folder = values["checkpoint"]
    if not folder:
        return Check("checkpoint", Result.OK, f"head {values['head']} has no weights", "a head without a checkpoint")
    try:
        manifest: Manifest = open_checkpoint(folder, mode=mode.name).manifest
    except NeonError as error:
        return checks.head(values["head"], mode, "", (), "", which, str(error))
    return checks.head(manifest.head_id, mode, manifest.mode, manifest.joint_names, manifest.checksum, which, "")


def _key(session: str, named: str) -> Check:
    """Look at the file with the key of the chunks without reading it."""
    try:
        found = os.lstat(KeyFile(session, named).path)
    except FileNotFoundError:
        return checks.key(None, 0, True)
    except (OSError, NeonError) as error:
        return Check("chunk key", Result.FAIL, str(error), "a file of yours, mode 0600")
    return checks.key(stat.S_IMODE(found.st_mode), found.st_size, found.st_uid == os.geteuid())


def _session(name: str) -> Check:
    try:
        with MotorMemory.open(name) as memory:
            report = memory.read_report()
            state = report.state if report else "no report yet"
            return checks.session(name, f"motor process {memory.motor_pid} runs: {state}")
    except NeonError:
        return checks.session(name, "")


def _machine(seconds: float, real: bool) -> list[Check]:
    """Measure a bare loop in a process of its own."""
    words = [sys.executable, "-m", "neon_ros.motor.jitter", "--seconds", f"{seconds:g}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 30.0, check=True)
        return checks.punctuality(Jitter(**json.loads(done.stdout)), real)
    except (OSError, subprocess.SubprocessError, ValueError, TypeError) as error:
        return [Check("500 Hz loop", Result.FAIL, str(error), "a loop that can be measured")]
