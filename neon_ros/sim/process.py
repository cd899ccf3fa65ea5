"""``python -m neon_ros.sim.process``: the simulated G1 behind the robot's own DDS topics and services, without ROS."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from neon_ros.errors import ConfigError, NeonError, refuse
from neon_ros.motor.link import Link
from neon_ros.motor.realtime import threads_under_fifo
from neon_ros.motor.rpc import CHECK_MODE, GET_FSM, RELEASE_MODE, SELECT_MODE, SET_FSM, SET_VELOCITY, RpcServer
from neon_ros.robot.battery import encode_battery
from neon_ros.sim.balance import WalkingPolicy
from neon_ros.sim.faults import Faults
from neon_ros.sim.firmware import Firmware
from neon_ros.sim.memory import SimReport, SimServer
from neon_ros.sim.model import BASES, TIMESTEP
from neon_ros.sim.motors import Drive
from neon_ros.sim.scene import TASKS, SceneDescription
from neon_ros.sim.telemetry import Telemetry
from neon_ros.sim.world import World

MAX_BACKLOG = 0.02  # [s] a late simulator hurries to make up for this much and gives up the rest
STATE_EVERY = 4  # steps between two states in shared memory: 125 Hz
IMU_EVERY = 2  # steps between two frames of the secondary IMU: 250 Hz
BATTERY_EVERY = 250  # steps between two words about the battery: 2 Hz
CONTROL_EVERY = 5  # steps between two looks for a request
REPORT_PERIOD = 0.2  # [s]
WARN_PERIOD = 10.0  # [s] between two words about a machine that is too slow
WARN_LOST = 0.2  # [s] of real time lost that are worth a word
PRIORITY = 30  # of SCHED_FIFO, below the motor's
_YIELD = 0.001  # [s] left to the others by a simulator that cannot keep up


class Simulator:
    """The robot's computer, its body and its wire, stepped together.

    :param scene: what to simulate.
    :param link: DDS link to the robot's domain.
    :param session: name of the shared memory.
    """

    def __init__(self, scene: SceneDescription, link: Link, session: str) -> None:
        self.world = World(scene)
        policy = WalkingPolicy() if scene.base == "free" else None
        self.firmware = Firmware(scene.machine, scene.start_pose(), policy)
        self.faults = Faults()
        self.lost = 0.0
        self._telemetry = Telemetry(scene.seed)
        self._lock = threading.Lock()
        self._low_cmd = link.low_cmd_reader("rt/lowcmd")
        self._arm_sdk = link.low_cmd_reader("rt/arm_sdk")
        self._low_state = link.low_state_writer()
        self._imu = link.imu_writer()
        self._battery = link.battery_writer()
        self._low_states = 0
        self._answered, self._refusal = 0, ""
        self._factor = 1.0
        self._link = link  # its entities live as long as it does
        self.memory = SimServer(session)
        self.memory.publish_scene(scene)
        self._services = self._serve(link)

    def step(self) -> None:
        """Advance the robot by one time step and say on the wire what it measures."""
        world, firmware, faults = self.world, self.firmware, self.faults
        steps = world.tick // round(TIMESTEP * 1000)
        if steps % CONTROL_EVERY == 0:
            self._take_request()
        low_cmd, arm_sdk = self._low_cmd.take_newest(), self._arm_sdk.take_newest()
        with self._lock:
            if faults.powered:
                if low_cmd is not None:
                    firmware.low_cmd(low_cmd)
                if arm_sdk is not None:
                    firmware.arm_sdk(arm_sdk)
                pelvis = world.imu("pelvis")
                drive = firmware.step(world.time, world.q, world.dq, pelvis.quaternion_wxyz, pelvis.gyroscope)
            else:
                drive = Drive.damping(0.0)
        world.step(drive)
        payload = self._telemetry.low_state(world, firmware, faults)
        if payload is not None:
            self._low_state.write(payload)
            self._low_states += 1
        if steps % IMU_EVERY == 0 and faults.powered:
            self._imu.write(self._telemetry.imu_state(world.imu("torso")))
        if steps % BATTERY_EVERY == 0 and faults.powered and faults.charge >= 0:
            self._battery.write(encode_battery(faults.charge))
        if steps % STATE_EVERY == 0:
            self.memory.publish_state(world.time, world.data.qpos, world.data.qvel)

    def report(self, factor: float | None = None) -> SimReport:
        """Publish how the simulator is, and return it.

        :param factor: simulated over real time; ``None`` keeps the last one.
        """
        self._factor = self._factor if factor is None else factor
        firmware = self.firmware
        report = SimReport(
            time=self.world.time,
            factor=round(self._factor, 4),
            lost=round(self.lost, 4),
            owner=firmware.owner,
            fsm=firmware.fsm,
            weight=firmware.weight,
            velocity=tuple(float(v) for v in firmware.velocity),
            machine=firmware.machine,
            low_states=self._low_states,
            counts=asdict(firmware.counts),
            faults=asdict(self.faults),
            generation=self.memory.generation,
            answered=self._answered,
            refusal=self._refusal,
        )
        self.memory.publish_report(report)
        return report

    def close(self) -> None:
        """Stop the services and remove the shared memory."""
        for service in self._services:
            service.close()
        self.memory.close()

    def _serve(self, link: Link) -> tuple[RpcServer, ...]:
        firmware = self.firmware

        def guarded(handler: Any) -> Any:
            def call(parameter: dict[str, Any]) -> tuple[int, dict[str, Any]]:
                with self._lock:
                    return handler(parameter)

            return call

        switcher = {
            CHECK_MODE: firmware.check_mode,
            SELECT_MODE: firmware.select_mode,
            RELEASE_MODE: firmware.release_mode,
        }
        sport = {GET_FSM: firmware.get_fsm, SET_FSM: firmware.set_fsm, SET_VELOCITY: firmware.set_velocity}
        return tuple(
            RpcServer(link, service, {api: guarded(handler) for api, handler in handlers.items()})
            for service, handlers in (("motion_switcher", switcher), ("sport", sport))
        )

    def _take_request(self) -> None:
        request = self.memory.take_request()
        if request is None:
            return
        self._answered, content = request
        try:
            with self._lock:
                if "faults" in content:
                    self._apply(Faults(**content["faults"]))
                if "reset" in content:
                    self._reset(**content["reset"])
            self._refusal = ""
        except (NeonError, TypeError) as error:
            self._refusal = str(error)
        self.report()

    def _apply(self, faults: Faults) -> None:
        before, self.faults = self.faults, faults
        if faults.blocked_joint != before.blocked_joint:
            self.world.block(faults.blocked_joint)
        if faults.tilt != before.tilt:
            self.world.tilt(faults.tilt)
        self.firmware.press(faults.held)
        self.firmware.machine = faults.mode_machine or self.world.scene.machine
        for service in self._services:
            service.silent = not faults.powered
        if faults.powered and not before.powered:
            self.firmware.reset(self.world.scene.start_pose())

    def _reset(self, seed: int, purpose: str, pairs: str, robot: bool) -> None:
        scene = replace(self.world.scene, seed=seed, purpose=purpose, pairs=pairs)
        self.world.reset(scene, robot)
        if robot:
            self.firmware.reset(scene.start_pose())
        self.memory.publish_scene(scene)
        self.memory.publish_state(self.world.time, self.world.data.qpos, self.world.data.qvel)


def run(simulator: Simulator, rate: float, stop: threading.Event) -> SimReport:
    """Step in real time until ``stop``.

    Time that the machine cannot keep up with is given up, never jumped over: each step is 2 ms of simulated time and
    one tick.

    :param rate: simulated over real time that is asked for.
    """
    period = TIMESTEP / rate
    due = time.monotonic()
    marked, mark_time = due, simulator.world.time
    warned, warned_lost = due - WARN_PERIOD, 0.0
    while not stop.is_set():
        simulator.step()
        due += period
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
        elif now - due > MAX_BACKLOG:
            time.sleep(_YIELD)
            now = time.monotonic()
            simulator.lost += now - due
            due = now
        if now - marked >= REPORT_PERIOD:
            report = simulator.report((simulator.world.time - mark_time) / (now - marked))
            marked, mark_time = now, simulator.world.time
            if report.lost - warned_lost > WARN_LOST and now - warned > WARN_PERIOD:
                gone = report.lost - warned_lost
                text = f"sim: too slow: {gone:.2f} s of real time lost, {report.factor:.2f} of real time now"
                print(text, file=sys.stderr, flush=True)
                warned, warned_lost = now, report.lost
    return simulator.report()


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    out = argparse.ArgumentParser(
        prog="neon_ros.sim.process", description="The simulated G1 behind the robot's own DDS."
    )
    out.add_argument("--session", required=True, help="name of the shared memory /dev/shm/neon_ros/<session>.sim")
    out.add_argument("--domain", type=int, default=1, help="DDS domain of the robot")
    out.add_argument("--interface", default="lo", help="network interface")
    out.add_argument(
        "--base", choices=BASES, default="stand", help="stand holds the pelvis, free lets the robot balance"
    )
    out.add_argument("--variant", type=int, default=5, help="mode_machine of the robot")
    out.add_argument("--task", choices=TASKS, default="touch", help="scene")
    out.add_argument("--seed", type=int, default=0, help="of the scene")
    out.add_argument("--rate", type=float, default=1.0, help="simulated over real time, 0.01 to 1")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulated robot until SIGINT or SIGTERM."""
    options = parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        if not 0.01 <= options.rate <= 1.0:
            raise ConfigError(refuse("--rate", options.rate, "0.01 to 1"))
        scene = SceneDescription(base=options.base, machine=options.variant, task=options.task, seed=options.seed)
        with threads_under_fifo(PRIORITY):
            link = Link(options.domain, options.interface)
        simulator = Simulator(scene, link, options.session)
    except NeonError as error:
        print(f"sim: {error}", file=sys.stderr, flush=True)
        return 1
    print(
        f"sim: G1 mode_machine {scene.machine}, base {scene.base}, task {scene.task}, seed {scene.seed}; "
        f"DDS domain {options.domain} on {options.interface}",
        flush=True,
    )
    with suppress(OSError):  # the robot has its own computer; where it is allowed, its simulation runs before all else
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    try:
        report = run(simulator, options.rate, stop)
    finally:
        simulator.close()
    print(f"sim: {report.time:.1f} s simulated, {report.lost:.2f} s of real time not kept up with", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
