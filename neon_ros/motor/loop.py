"""One tick of the motor: newest LowState in, guard, LowCmd out.  No clock, no system calls: all are arguments."""

from __future__ import annotations

import logging
from collections.abc import Callable

from neon_ros.errors import ContractError, NeonError, Refused, RobotError, refuse
from neon_ros.guard.guard import Command
from neon_ros.guard.health import Finding
from neon_ros.guard.machine import Event, State
from neon_ros.motor.chronicle import Chronicle
from neon_ros.motor.parts import Door, Helper, Judge, Reader, Writer
from neon_ros.motor.realtime import Ticker
from neon_ros.motor.records import MotorReport
from neon_ros.motor.shared import MotorMemory
from neon_ros.robot.faults import motor_faults
from neon_ros.robot.joints import JOINT_NAMES, NUM_JOINTS
from neon_ros.robot.modes import ControlMode, control_mode
from neon_ros.robot.remote import Stop, StopButtons
from neon_ros.robot.variants import Variant, variant
from neon_ros.robot.wire import LowCmdFrame, LowState, LowStateDecoder

LOG = logging.getLogger("motor")

_SILENT = 1.0  # [s] without LowState after which the report says so
_NO_FAULT = bytes(4 * NUM_JOINTS)  # compared as bytes, a fifth of the time
_REPORT_TICKS = 10  # 50 reports a second


class TakenOver(RobotError):
    """The guardian has taken the robot; this process must not write again."""


class MotorLoop:
    """What happens every two milliseconds.

    :param mode: control mode.
    :param guard: judges every command.
    :param memory: shared with the ROS side, in the role of the motor.
    :param states: where LowState comes from.
    :param commands: where LowCmd goes.
    :param side: the slow thread.
    :param ticker: whose figures are reported.
    :param source: where LowState is expected from, in words, for the operator.
    """

    def __init__(
        self,
        mode: ControlMode,
        guard: Judge,
        memory: MotorMemory,
        states: Reader,
        commands: Writer,
        side: Helper,
        ticker: Ticker,
        source: str,
    ) -> None:
        self._mode = mode
        self._guard = guard
        self._memory = memory
        self._states = states
        self._commands = commands
        self._side = side
        self._ticker = ticker
        self._source = source
        self.door_of: Callable[[ControlMode], Door] | None = None
        """Makes what another mode needs; ``None`` where the mode cannot be changed."""
        self.guardian_timeout: float | None = None
        """Age of the guardian's beat that stops the robot [s]; ``None`` where there is no guardian."""
        self.chronicle: Chronicle | None = None
        """Notes states, answers and interventions; ``None`` where no audit log is kept."""
        self._frame, self._decoder = LowCmdFrame(), LowStateDecoder()
        self._measured: LowState | None = None
        self._variant: Variant | None = None
        self._heard_ns = 0
        self._trouble = f"waiting for LowState on {source}"
        self._arming = self._prepared = False
        self._said = ("", "")
        self._sent = self._low_states = self._bad = self._chunks = 0
        self._newest = (0, 0)
        self._buttons = StopButtons()
        self._stop: Stop | None = None
        self._alarms = 0
        self._last_alarm = self._motor_trouble = ""
        self._alarming: tuple[bool, ...] = ()
        self.state = State.UNCONFIGURED
        self.writing = False
        """Whether the last tick wrote a command."""

    def prepare(self) -> None:
        """Do what the coming period needs of its chunk, before LowState is there; :meth:`tick` does the rest."""
        self._prepared = True
        self._take_chunk()
        self._guard.foresee()

    def tick(self, now_ns: int) -> None:
        """Do one period, :meth:`prepare` included where that was not done.

        :param now_ns: [ns, steady clock].
        :raises TakenOver: when the guardian has taken the robot.
        :raises NeonError: when a command cannot be sent; the caller must send damping frames.
        """
        self._check_taken_over()
        now = now_ns * 1e-9
        self._heard_ns = self._heard_ns or now_ns
        self._memory.beat(now_ns)
        fresh = self._receive(now_ns)
        self._watch(fresh, now)
        self._serve(now)
        if not self._prepared:
            self._take_chunk()
        self._prepared = False
        command = self._guard.step(fresh, now)
        self.state = command.state
        self._memory.commanding = command.writes
        if command.writes:
            self._send(command, now_ns)
        if fresh is not None:  # after the command: nothing that can wait may come between a LowState and its answer
            self._memory.write_state(fresh.payload, now_ns)
        self.writing = command.writes
        self._side.commanding = command.writes
        vx, vy, yaw_rate = command.base_velocity.tolist()
        self._side.base_velocity = (vx, vy, yaw_rate)
        if self._ticker.ticks % _REPORT_TICKS == 0 or command.state.value != self._said[0]:  # a change is told at once
            self._report(now_ns)

    def stop(self, now: float, reason: str) -> None:
        """Bring the robot to rest; for signals and alarms."""
        if self._arming:
            self._answer("arm", False, reason)
        if self.writing and self.state is not State.DAMPING:
            self._guard.fault(reason, now)

    def _receive(self, now_ns: int) -> LowState | None:
        """Return the LowState that arrived since the last tick, if it is sound; learn the variant from it."""
        payload = self._states.take_newest()
        if payload is None:
            if now_ns - self._heard_ns > _SILENT * 1e9:
                self._trouble = refuse("LowState", f"none for {_SILENT:g} s", f"500 a second on {self._source}")
            return None
        try:
            measured = self._decoder.decode(payload, now_ns)
        except ContractError as error:
            self._bad += 1
            self._trouble = str(error)
            return None
        self._measured = measured
        self._heard_ns = now_ns
        self._low_states += 1
        self._trouble = ""
        if self._variant is None or (measured.mode_machine != self._variant.mode_machine and not self.writing):
            self._adopt(measured.mode_machine)
        return measured

    def _adopt(self, mode_machine: int) -> None:
        """Learn which robot it is; an unknown one leaves the guard unable to arm."""
        try:
            found = variant(mode_machine)
            self._guard.configure(found)
        except NeonError as error:  # a robot we do not know, or limits that would be wider than its own
            self._trouble = str(error)
            self._guard.inhibit("variant", self._trouble)
            return
        LOG.info("robot is %s (mode_machine %d)", found.urdf, mode_machine)
        self._guard.inhibit("variant", None)
        self._variant = found
        self._frame.set_mode(0, mode_machine)
        self._frame.set_motor_mode(found.present().astype(int))

    def _watch(self, fresh: LowState | None, now: float) -> None:
        """Tell the guard what only this process sees, the gravest first: who else has the robot, stops, faults."""
        side, guard = self._side, self._guard
        if fresh is not None:
            self._stop = self._buttons.see(fresh.wireless_remote)
            self._motor_trouble = _motor_trouble(fresh)
        stop = self._stop
        pressed = refuse("remote", f"{stop.buttons} held down", "no stop") if stop else ""
        troubles = self._guardian_trouble(now), self._motor_trouble, side.weak
        causes = (side.lost, side.alarm, pressed, *troubles)
        if not (any(causes) or any(self._alarming)):
            return
        worst = next(filter(None, causes), "")
        guard.inhibit("motor", worst or None)
        guard.impair(next(filter(None, troubles), ""))
        if worst and self.writing:
            if side.lost:
                guard.react(Finding(Event.LOST, side.lost), now)
            elif stop:
                guard.react(Finding(Event.STOP, pressed, limp=stop.damp, yields=stop.damp), now)
            if side.alarm and self.state is not State.DAMPING:
                guard.fault(side.alarm, now)
        self._count_alarms(causes)

    def _count_alarms(self, causes: tuple[str, ...]) -> None:
        """Count and keep each cause that was not there in the last tick."""
        alarming = tuple(map(bool, causes))
        if alarming == self._alarming:
            return
        for cause, before in zip(causes, self._alarming or (False,) * len(causes), strict=True):
            if cause and not before:
                self._alarms += 1
                self._last_alarm = cause
                LOG.warning("alarm: %s", cause)
        self._alarming = alarming

    def _guardian_trouble(self, now: float) -> str:
        if self.guardian_timeout is None:
            return ""
        age = self._memory.beat_age("guardian", round(now * 1e9))
        if age <= self.guardian_timeout:
            return ""
        return refuse("guardian", f"its last beat {age:.3f} s ago", f"{self.guardian_timeout:g} s: a running guardian")

    def _serve(self, now: float) -> None:
        """Answer requests; arming first waits for the slow thread's verdict."""
        kinds = self._memory.take_requests()
        safer = [kind for kind in kinds if kind != "arm"]
        for kind in safer:
            if kind == "mode":
                self._change_mode()
            else:
                self._ask(kind, now)
        if safer and (self._arming or "arm" in kinds):
            self._answer("arm", False, f"a {safer[0]} came while the robot was being armed")
        elif "arm" in kinds and self._trouble:  # nothing sound comes from the robot: its services need not be asked
            self._answer("arm", False, self._trouble)
        elif "arm" in kinds and not self._arming:
            self._arming = True
            self._side.prepare()
        if self._arming and (verdict := self._side.verdict()) is not None:
            if verdict.accepted:
                self._ask("arm", now)
            else:
                self._answer("arm", False, verdict.text)

    def _ask(self, kind: str, now: float) -> None:
        try:
            if kind == "pause":
                self._pause(now)
            else:
                self._guard.request(kind, now)
        except (Refused, RobotError) as error:
            self._answer(kind, False, self._trouble or str(error))
        else:
            self._answer(kind, True, f"{kind}: accepted")

    def _change_mode(self) -> None:
        """Answer a request for another control mode: only a silent motor changes its guard, topic and watch."""
        wanted = self._memory.wanted_mode
        try:
            if self.state not in (State.UNCONFIGURED, State.INACTIVE) or self.writing:
                raise Refused(refuse(f"mode {wanted}", f"asked for in {self.state.value}", "INACTIVE; disarm first"))
            if self.door_of is None:
                raise Refused(refuse("mode", wanted, f"{self._mode.name}, until the motor process is started anew"))
            mode = control_mode(wanted)
            door = self.door_of(mode)
        except NeonError as error:
            self._answer("mode", False, str(error))
            return
        self._mode, self._guard, self._commands = mode, door.guard, door.commands
        self._side.switch(mode, door.watch)
        self._frame.set_weight(0.0)  # slot 29 belongs to rt/arm_sdk alone
        self._memory.mode = mode.name
        self._newest = (0, 0)
        if self._measured is not None:
            self._adopt(self._measured.mode_machine)
        self._answer("mode", True, f"mode: {mode.name}, commands to {self._commands.topic}")

    def _pause(self, now: float) -> None:
        """Bring an active robot to rest because its chunks are wrong; the next right one lets it go on."""
        if self.state is not State.ACTIVE:
            raise Refused(refuse("pause in state", self.state.value, State.ACTIVE.value))
        self._guard.fault("the policy's chunks are refused, see chunks_refused and last_refusal", now, pause=True)

    def _answer(self, kind: str, accepted: bool, text: str) -> None:
        self._memory.give_answer(kind, accepted, text)
        LOG.info("%s %s: %s", kind, "accepted" if accepted else "refused", text)
        if self.chronicle is not None:
            self.chronicle.answer(kind, accepted, text)
        if kind == "arm":
            self._arming = False

    def _take_chunk(self) -> None:
        chunk = self._memory.take_chunk()
        if chunk is None:
            return
        try:
            self._guard.submit(chunk)
        except Refused as error:
            LOG.warning("chunk refused: %s", error)
            if self.chronicle is not None:
                self.chronicle.chunk_refused(str(error))
            return
        self._chunks += 1
        self._newest = (chunk.epoch, chunk.sequence)

    def _check_taken_over(self) -> None:
        if self._memory.taken_over:
            raise TakenOver(refuse("this motor process", "taken over by the guardian", "a heartbeat that never stops"))

    def _send(self, command: Command, now_ns: int) -> None:
        frame = self._frame
        frame.fill(command.q, command.dq, command.tau, command.kp, command.kd)
        if self._mode.topic == "arm_sdk":
            frame.set_weight(command.weight)
        payload = frame.seal()
        self._check_taken_over()  # a process that was stopped in the midst of a tick goes on here, seconds later
        self._commands.write(payload)
        self._memory.write_command(payload, self._commands.topic, now_ns)
        self._sent += 1

    def _report(self, now_ns: int) -> None:
        status = self._guard.report()
        reason = self._trouble or status.reason
        period, computing = self._ticker.p99()
        report = MotorReport(
            steady_ns=now_ns,
            state=status.state.value,
            reason=reason,
            mode=self._mode.name,
            mode_machine=self._measured.mode_machine if self._measured else 0,
            commands_sent=self._sent,
            ticks=self._ticker.ticks,
            late_ticks=self._ticker.late,
            low_states=self._low_states,
            bad_low_states=self._bad,
            chunks_taken=self._chunks,
            chunk_epoch=self._newest[0],
            chunk_sequence=self._newest[1],
            chunk_age=status.chunk_age,
            limited_joints=status.limited_joints,
            limited_reasons=status.limited_reasons,
            limit_count=status.limit_count,
            counts=status.counts,
            clearance=status.clearance,
            alarms=self._alarms,
            last_alarm=self._last_alarm,
            charge=self._side.charge,
            period_p99=period,
            tick_p99=computing,
        )
        self._memory.write_report(report)
        if self.chronicle is not None:
            self.chronicle.report(report)
        if self._said != (status.state.value, reason):
            self._said = (status.state.value, reason)
            LOG.info("%s: %s", *self._said)


def _motor_trouble(measured: LowState) -> str:
    """Return which motor reports a fault, empty when none does."""
    if (bits := measured.motorstate).tobytes() == _NO_FAULT:
        return ""
    joint = int(bits.argmax())
    return refuse(f"motor {JOINT_NAMES[joint]}", ", ".join(motor_faults(int(bits[joint]))), "no fault")
