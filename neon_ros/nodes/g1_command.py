"""Node ``g1_command``: admits chunks to the motor process, owns arming, publishes what the robot measures.

A lifecycle node: configure opens the motor's shared memory, activate admits chunks, deactivate disarms.  Unless a
lifecycle manager wants to (``autoactivate:=false``) it goes there by itself.  None of this ever arms the robot.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.task import Future
from sensor_msgs.msg import Imu, JointState
from std_srvs.srv import Trigger

from neon_ros.bridge import topics
from neon_ros.bridge.guard import error_of, report_facts, report_to_msg
from neon_ros.bridge.plain import nanoseconds_of
from neon_ros.bridge.robot import PELVIS, command_to_msg, imu_to_msg, joints_to_msg, poses_to_msg
from neon_ros.contracts import RobotState
from neon_ros.errors import ConfigError, NeonError, Refused, RobotError, refuse
from neon_ros.guard.machine import State
from neon_ros.motor.records import MotorReport
from neon_ros.motor.requests import Done, OpenRequests
from neon_ros.motor.shared import MotorMemory
from neon_ros.nodes.intake import Intake
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Reporting, declare
from neon_ros.parameters import G1CommandParameters
from neon_ros.robot.kinematics import kinematics_of
from neon_ros.robot.modes import control_mode
from neon_ros.robot.variants import VARIANTS, variant
from neon_ros.sense.poses import pose_from_matrix
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg
from neon_ros_msgs.msg import GuardReport

RIVAL = 0.7
"""Longest wait for another g1_command of this session to leave [s]; then this one does (F34)."""
MODE_PATIENCE = 0.5
"""Longest wait for the motor's answer to another mode [s]; it answers in its next period."""
LOOK = 0.1
"""Time between two looks at who publishes chunks [s]."""
STEADY = 1.0
"""How long every chunk must have come before a simulated robot arms itself [s]."""


class G1CommandNode(Reporting, LifecycleNode):
    """Subscribe ``action_chunk``, serve ``arm``, ``disarm`` and ``stop``, publish the robot's state."""

    def __init__(self) -> None:
        super().__init__("g1_command")
        self._requests = OpenRequests()
        try:
            self.config = declare(self, G1CommandParameters)
            if self.config.autostart and self.config.robot != "sim":
                raise ConfigError(refuse("g1_command.autostart", "true with robot real", "only with robot sim"))
            self._mode = control_mode(self.config.mode)
            self._intake = Intake(self, self.config, self._mode)
        except NeonError:
            self.destroy_node()
            raise
        self.start_reporting()
        self._memory: MotorMemory | None = None
        self._obstacle = "not looked for yet"
        self._report = MotorReport()
        self._active, self._autostart_at, self._steady = False, 0.0, (0.0, 0)
        self._joints = self.create_publisher(JointState, topics.JOINT_STATES, topics.SENSOR_OUT)
        self._command = self.create_publisher(JointState, topics.COMMAND_JOINT_STATES, topics.SENSOR_OUT)
        self._imu = self.create_publisher(Imu, topics.IMU, topics.SENSOR_OUT)
        self._hands = self.create_publisher(PoseArray, topics.EEF_POSES, topics.SENSOR_OUT)
        self._guard = self.create_publisher(GuardReport, topics.GUARD_REPORT, topics.EVERY_OUT)
        self.create_subscription(ActionChunkMsg, topics.ACTION_CHUNK, self.guarded(self._on_chunk), topics.SENSOR_IN)
        operator = ReentrantCallbackGroup()  # a request that waits for its answer holds up nothing else
        for kind in (topics.ARM, topics.DISARM, topics.STOP):
            self.create_service(Trigger, kind, self._server(kind), callback_group=operator)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._given_up = time.monotonic() + self.config.motor_timeout
        self.create_timer(1.0 / self.config.rate, self._tick)
        self.create_timer(LOOK, self._look)
        self.watch("the robot's state", 0.5)

    # lifecycle --------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the motor's shared memory; from here on the session has a new key."""
        try:
            memory = MotorMemory.open(self.config.session, "command")
        except NeonError as error:
            if isinstance(error, Refused):  # another g1_command has it: wait only for one that is just leaving
                self._given_up = min(self._given_up, time.monotonic() + RIVAL)
            self._obstacle = str(error)
            self.get_logger().warning(f"waiting for the motor process: {error}", throttle_duration_sec=5.0)
            return TransitionCallbackReturn.FAILURE
        for name, got, wanted in (
            ("mode", memory.mode, self._mode.name),
            ("robot", memory.robot, self.config.robot),
        ):
            if got != wanted:
                self._obstacle = refuse(f"{name} of the motor process", got, wanted)
                self.get_logger().error(self._obstacle)
                memory.close()
                return TransitionCallbackReturn.FAILURE
        self._memory = memory
        self._intake.open()
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Admit chunks from now on."""
        self._active = True
        signed = "signed chunks" if self._intake.signed else "any chunks, signed or not (insecure),"
        self.get_logger().info(f"admitting {signed} for {self._mode.name}; `neon arm` or the service arm arms")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disarm and admit no more chunks."""
        self._active = False
        if self._memory is not None:
            self._memory.post("disarm")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the motor's memory."""
        self._let_go()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Disarm and let go."""
        self._active = False
        self._let_go()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Disarm and let go, whatever the lifecycle state."""
        self._let_go()
        intake: Intake | None = getattr(self, "_intake", None)
        if intake is not None:
            intake.log.close()
        super().destroy_node()

    def _let_go(self) -> None:
        memory, self._memory = getattr(self, "_memory", None), None
        self._requests.give_up("the node lets go of the motor")
        if memory is not None:
            self._intake.close()
            memory.post("disarm")
            memory.close()

    # the motor --------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Beat, pass on what the motor measured, and go through the lifecycle when nobody else does."""
        if self._memory is None:
            if self.config.autoactivate:
                self._activate()
            return
        if self._memory.removed:
            self.get_logger().error("the motor process has left; waiting for another one")
            self._memory.close()
            self._memory = None
            self._requests.give_up("the motor process has left")
            self._given_up = time.monotonic() + self.config.motor_timeout
            self.trigger_deactivate()
            self.trigger_cleanup()
            return
        self._memory.beat()
        self._requests.poll(self._memory)
        now_ns, steady_ns = self.get_clock().now().nanoseconds, time.monotonic_ns()
        if (state := self._memory.read_state()) is not None:
            self.health.heard = time.monotonic()
            self._publish_state(now_ns - (steady_ns - state.steady_ns), state)
        if (command := self._memory.read_command()) is not None:
            written_ns, _, cmd = command
            stamp_ns, commanded = now_ns - (steady_ns - written_ns), (cmd.kp > 0.0) | (cmd.kd > 0.0)
            self._command.publish(command_to_msg(stamp_ns, cmd.q, cmd.dq, cmd.tau, commanded))
        if (report := self._memory.read_report()) is not None:
            self._take_report(now_ns - (steady_ns - report.steady_ns), report)

    def _activate(self) -> None:
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()
        elif time.monotonic() > self._given_up:
            allowed = f"a motor process of session {self.config.session} within {self.config.motor_timeout:g} s"
            raise RobotError(refuse("motor process", f"none ({self._obstacle})", allowed))

    def _publish_state(self, stamp_ns: int, state: RobotState) -> None:
        self._joints.publish(joints_to_msg(stamp_ns, state))
        imu = imu_to_msg(stamp_ns, PELVIS, state.quaternion_wxyz, state.gyroscope, state.accelerometer)
        self._imu.publish(imu)
        if state.mode_machine in VARIANTS:  # where the hands of an unknown robot are, nobody knows
            palms = kinematics_of(state.mode_machine).palms(state.q)
            self._hands.publish(poses_to_msg(stamp_ns, np.stack([pose_from_matrix(palm) for palm in palms])))

    def _take_report(self, stamp_ns: int, report: MotorReport) -> None:
        if report.state != self._report.state:
            self.get_logger().info(f"{self._report.state} -> {report.state}: {report.reason}")
        door = self._intake.door
        if report.mode_machine and not (door.ready and report.mode_machine == self._report.mode_machine):
            door.adopt(variant(report.mode_machine))
        self._report = report
        self._guard.publish(report_to_msg(stamp_ns, report, door.counters, self._intake.alarms))

    def _look(self) -> None:
        if raised := self._intake.look(self._report.state):
            self.get_logger().error(f"alarm: {raised}")

    def _on_chunk(self, msg: Any) -> None:
        started, now_ns = time.perf_counter(), self.get_clock().now().nanoseconds
        if not self._active or self._memory is None or not self._intake.door.ready:
            return
        try:
            admitted = self._intake.admit(msg, now_ns)
        finally:
            if (why := self._intake.door.take_stop()) and self._report.state == State.ACTIVE.value:
                self.get_logger().error(why)
                self._memory.post("pause")
        self._memory.write_chunk(admitted)
        self.finished("command", nanoseconds_of(msg.header.stamp), started)
        if self.config.autostart:
            self._autostart(admitted.sequence)

    # the operator -----------------------------------------------------------------------------------------------

    def _on_parameters(self, given: list[Parameter[Any]]) -> SetParametersResult:
        """Let the motor change its mode, when it is silent; every other parameter is read-only."""
        try:
            for parameter in given:
                if parameter.name == "mode":
                    self._change_mode(str(parameter.value))
        except NeonError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _change_mode(self, name: str) -> None:
        """Ask the motor for another mode; :raises Refused: when it keeps the one it has, and so does this node."""
        mode = control_mode(name)
        if self._memory is None:
            raise Refused(refuse(f"mode {name}", "no motor process", "a running motor process"))
        accepted, said = self._memory.request("mode", MODE_PATIENCE, mode.name)
        if not accepted:
            raise Refused(said)
        self._mode = mode
        self._intake.change_mode(mode)
        self.get_logger().info(said)

    def _server(self, kind: str) -> Any:
        async def serve(request: Any, response: Any) -> Any:
            answer = Future()
            try:
                self._ask(kind, lambda accepted, said: answer.set_result((accepted, said)))
                response.success, response.message = await answer
            except NeonError as error:
                response.success, response.message = False, str(error)
            self.get_logger().info(f"{kind}: {'done' if response.success else 'refused'}: {response.message}")
            self._intake.log.note("service", service=kind, accepted=response.success, said=response.message)
            return response

        return serve

    def _ask(self, kind: str, done: Done) -> None:
        """Ask the motor; :raises Refused: when this node cannot stand for the chunks."""
        if self._memory is None:
            raise Refused(refuse(kind, "no motor process", "a running motor process"))
        if kind != topics.ARM:
            self._requests.post(self._memory, kind, done)
            return
        if self._memory.mode != self._mode.name:
            raise Refused(refuse(kind, f"a motor process in mode {self._memory.mode}", self._mode.name))
        if not self._active:
            raise Refused(refuse(kind, "an inactive node", "an active one"))
        self._intake.check_arming()

        def answered(accepted: bool, said: str) -> None:
            if not accepted:
                self._intake.not_armed()
            done(accepted, said)

        self._requests.post(self._memory, kind, answered)

    def _autostart(self, sequence: int) -> None:
        """Arm a simulated robot once, when chunks have come for a while; after that only an operator does."""
        now = time.monotonic()
        if sequence != self._steady[1] + 1:  # the first, or one was lost: the machine is still starting up
            self._steady = (now, sequence)
        self._steady = (self._steady[0], sequence)
        if now < max(self._autostart_at, self._steady[0] + STEADY) or self._report.state != "INACTIVE":
            return
        self._autostart_at = float("inf")
        self._ask(topics.ARM, self._autostarted)

    def _autostarted(self, accepted: bool, said: str) -> None:
        if not accepted:
            self._autostart_at = time.monotonic() + 1.0
        self.get_logger().info(f"autostart: {'armed' if accepted else 'refused'}: {said}")

    def problem(self) -> str:
        """Return why the robot does not move, where that is a fault."""
        if self._memory is None:
            return "no motor process"
        return super().problem() or (f"DAMPING: {self._report.reason}" if self._report.state == "DAMPING" else "")

    def error(self) -> str:
        """Return a fresh alarm, or why the robot damps."""
        return error_of(self._report, self._intake.alarms, time.monotonic())

    def facts(self) -> dict[str, str]:
        """Return what motor, guard and door are doing."""
        return report_facts(self._report, self._intake.alarms, self._intake.signed)


main = main_of("g1_command", G1CommandNode)

if __name__ == "__main__":
    main()
