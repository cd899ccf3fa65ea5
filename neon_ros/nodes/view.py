"""Node ``view``: everything in a browser, and the decision as standard topics for RViz, Foxglove and rqt.

It only listens: nothing that moves the robot waits for it, and bad input degrades the picture, never the command path.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from sensor_msgs.msg import Image, Imu, JointState, PointCloud2
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from neon_ros.arguments import ARGUMENTS
from neon_ros.bridge import topics
from neon_ros.bridge.chunk import chunk_from_msg
from neon_ros.bridge.features import latency_from_msg
from neon_ros.bridge.markers import solids_from_msg
from neon_ros.bridge.robot import command_from_msg, imu_from_msg, joints_from_msg
from neon_ros.bridge.sensors import cloud_from_msg, image_from_msg
from neon_ros.errors import Refused, refuse
from neon_ros.guard.timeline import TimelineConfig
from neon_ros.nodes.operating import RosOperator
from neon_ros.nodes.polling import Polled
from neon_ros.nodes.predicted import PredictedTopics
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import ViewParameters
from neon_ros.robot.description import BODIES_29
from neon_ros.robot.joints import NUM_JOINTS
from neon_ros.robot.kinematics import kinematics_of
from neon_ros.robot.variants import VARIANTS
from neon_ros.sense.instruction import checked_instruction
from neon_ros.sense.points import transformed
from neon_ros.sense.poses import matrix_from_pose
from neon_ros.show.browser import PLOT_SECONDS, BrowserView, ViewConfig, WorldObject
from neon_ros.show.panel import Latency, Status
from neon_ros.show.prediction import Prediction, predict
from neon_ros.show.task import TaskWatch, Thing
from neon_ros.show.trail import Trail
from neon_ros_msgs.msg import ActionChunk, GuardReport, StageLatency

STATE_PERIOD, CAPSULE_PERIOD = 0.25, 0.5
"""Time between two publications of state and of capsules [s]."""
TRAIL_SECONDS = 1.0
"""Palm path that is drawn [s]."""
STALE = 0.5
"""Age from which command, chunk and latencies are not shown any more [s]."""


_Listener = tuple[Any, str, Callable[[Any], None], Any]

JITTER = 0.1
"""How much later than a chunk the joint states may arrive by whose clock it is judged [s]."""


class ViewNode(Stage[ViewParameters]):
    """Subscribe everything, publish ``predicted/*``, and pass the operator's words and buttons on."""

    def __init__(self) -> None:
        super().__init__("view", ViewParameters)

    def setup(self, config: ViewParameters) -> None:
        """Open the page, then listen."""
        self._kinematics = kinematics_of(BODIES_29[0])
        self._q: NDArray[np.float64] | None = None
        self._robot_clock = 0  # [ns] ahead of the steady clock
        self._commanded = np.full(NUM_JOINTS, np.nan)
        self._commanded_at = self._chunk_at = -np.inf
        self._before: Prediction | None = None
        self._status: Status | None = None
        self._limits: dict[tuple[str, str], None] = {}
        self._latencies: dict[str, tuple[float, Latency]] = {}
        self._said, self._reply, self._models = "", "", dict[str, str]()
        self._things: list[Thing] = []
        self._task = TaskWatch()
        self._trail = Trail(round(config.rate * PLOT_SECONDS) + 1)
        self._fade = TimelineConfig().fade
        self._view: BrowserView | None = None
        self._operator = RosOperator(self)
        self._out = PredictedTopics(self)
        if config.browser:
            page = ViewConfig(host=config.host, port=config.port, rate=config.rate, token=config.token)
            view = self._view = BrowserView(page, self._kinematics, self._operator, ARGUMENTS["head"].choices or ())
            self.get_logger().info(f"open {view.address} in a browser")
            if view.missing:
                self.get_logger().warning(f"no mesh of {', '.join(view.missing)}: drawn as simple shapes")
            if view.open_to_others:
                self.get_logger().warning("who has that address can operate the robot, and HTTP is not encrypted")
        self._polled = Polled(self)
        listeners: list[_Listener] = [
            (JointState, topics.JOINT_STATES, self._on_joints, topics.SENSOR_IN),
            (JointState, topics.COMMAND_JOINT_STATES, self._on_command, topics.SENSOR_IN),
            (GuardReport, topics.GUARD_REPORT, self._on_report, topics.SENSOR_IN),
            (StageLatency, topics.LATENCY, self._on_latency, topics.LATENCY_IN),
            (ActionChunk, topics.ACTION_CHUNK, self._on_chunk, topics.SENSOR_IN),
            (String, topics.INSTRUCTION, self._on_instruction, topics.LATCHED),
            (String, topics.SPEECH, self._on_speech, topics.EVERY_IN),
        ]
        if self._view:
            listeners += [
                (Imu, topics.IMU, self._on_imu, topics.SENSOR_IN),
                (Image, topics.IMAGE, self._on_image, topics.SENSOR_IN),
                (PointCloud2, topics.POINTS, self._on_points, topics.SENSOR_IN),
                (MarkerArray, topics.SCENE, self._on_scene, topics.EVERY_IN),
                (DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, topics.EVERY_IN),
            ]
        for kind, topic, callback, qos in listeners:
            self._polled.subscribe(kind, topic, self.guarded(callback), qos)
        self._ticks = 0
        self._state_ticks, self._capsule_ticks = (
            max(1, round(config.rate * period)) for period in (STATE_PERIOD, CAPSULE_PERIOD)
        )
        self.create_timer(1.0 / config.rate, self._tick)
        self.watch("joint_states", 2.0)

    def destroy_node(self) -> None:
        """Close the page."""
        view: BrowserView | None = getattr(self, "_view", None)
        if view is not None:
            view.close()
        super().destroy_node()

    # on time ----------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Read all topics, keep command and measurement side by side, and publish and show what is due."""
        self._polled.poll()
        self._ticks += 1
        if self._q is not None:
            now = time.monotonic()
            if now - self._commanded_at > STALE:
                self._commanded[:] = np.nan
            self._trail.add(now, self._q, self._commanded)
            if self._ticks % self._capsule_ticks == 0:
                self._out.capsules(self.get_clock().now().nanoseconds, self._kinematics.poses(self._q))
        if self._ticks % self._state_ticks == 0:
            self._publish_state()
            self._operator.expire()
        if self._view:
            self._view.refresh(time.monotonic())

    def _publish_state(self) -> None:
        now, stamp_ns = time.monotonic(), self.get_clock().now().nanoseconds
        self._latencies = {name: row for name, row in self._latencies.items() if now - row[0] < 10 * STALE}
        latencies = {name: latency for name, (_, latency) in self._latencies.items()}
        poses = None if self._q is None else self._kinematics.poses(self._q)
        trail = self._palm_trail(now)
        limits, self._limits = tuple(self._limits), {}
        words = (self._said, self._reply)
        self._out.state(stamp_ns, self._status, limits, words, latencies, poses, trail)
        if self._view is None:
            return
        if now - self._chunk_at > 2.0 and self._before is not None:
            self._before = None
            self._view.set_prediction(None)
        for name, latency in latencies.items():
            self._view.set_latency(name, latency)
        task = ""
        if poses is not None:
            palms = np.stack([poses["left_palm"][:3, 3], poses["right_palm"][:3, 3]])
            task = self._task.update(now, self._said, self._things, palms)
        self._view.set_words(self._said, self._reply, [thing.name for thing in self._things], task)
        self._view.set_models(self._models)
        self._view.set_window(self._trail.window(now, PLOT_SECONDS), *trail)

    def _palm_trail(self, now: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return commanded and measured palm paths (2, N, 3) [m]; of joints nobody commands, the measured value."""
        window = self._trail.window(now, TRAIL_SECONDS)
        measured = self._kinematics.palms(window.measured)[:, :, :3, 3].transpose(1, 0, 2)
        ordered = ~np.isnan(window.commanded).all(axis=1)
        if not ordered.any():
            return measured[:, :0], measured
        q = np.where(np.isnan(window.commanded), window.measured, window.commanded)[ordered]
        return self._kinematics.palms(q)[:, :, :3, 3].transpose(1, 0, 2), measured

    # the topics -------------------------------------------------------------------------------------------------

    def _on_joints(self, msg: Any) -> None:
        joints = joints_from_msg(msg)
        self._q, self._robot_clock = joints.q, joints.stamp_ns - time.monotonic_ns()
        self.health.heard = time.monotonic()
        if self._view:
            self._view.set_joints(self._q)

    def _on_command(self, msg: Any) -> None:
        self._commanded, self._commanded_at = command_from_msg(msg), time.monotonic()

    def _on_imu(self, msg: Any) -> None:
        if self._view:
            pose = np.concatenate([np.zeros(3), imu_from_msg(msg).quaternion_xyzw])
            self._view.set_orientation(matrix_from_pose(pose)[:3, :3])

    def _on_image(self, msg: Any) -> None:
        if self._view:
            self._view.set_camera(image_from_msg(msg).rgb)

    def _on_points(self, msg: Any) -> None:
        if self._view is None or self._q is None:
            return
        cloud = cloud_from_msg(msg)
        link, pose = self._kinematics.mount(cloud.frame)  # refuses a frame that the robot has not
        self._view.set_points(transformed(cloud.points, self._kinematics.poses(self._q)[link] @ pose))

    def _on_chunk(self, msg: Any) -> None:
        if self._q is None:
            return
        chunk = chunk_from_msg(msg)
        prediction = predict(self._kinematics, self._q, chunk)
        # By the clock of the joint states, which is the robot's, or that of a recording.
        age = (self._robot_clock + time.monotonic_ns() - chunk.stamp_ns) * 1e-9
        if not -JITTER <= age < 10.0:
            raise Refused(refuse("age of action_chunk", f"{age:.3f} s", "0 to 10 s: do the clocks agree?"))
        age = max(age, 0.0)
        began = max(age - self._polled.waited, 0.0)
        blend = (began, began + self._fade)
        self._out.chunk(chunk, prediction, self._before, blend)
        self._before, self._chunk_at = prediction, time.monotonic()
        if self._view:
            self._view.set_prediction(prediction, blend, (chunk.head_id, chunk.checksum))

    def _on_report(self, msg: Any) -> None:
        limits = tuple(zip(msg.limited_joints, msg.limited_reasons, strict=False))
        self._limits.update(dict.fromkeys(limits))
        self._status = Status(
            state=msg.state,
            reason=msg.reason,
            mode=msg.mode,
            mode_machine=msg.mode_machine,
            chunks_admitted=msg.chunks_admitted,
            chunks_refused=msg.chunks_refused,
            last_refusal=msg.last_refusal,
            commands_sent=msg.commands_sent,
            chunk_age=msg.chunk_age,
            limits=limits,
            limit_count=msg.limit_count,
            counts=tuple(zip(msg.counted_joints, msg.counted_reasons, msg.counts, strict=False)),
            clearance=msg.clearance,
            alarms=msg.alarms,
            last_alarm=msg.last_alarm,
        )
        if msg.mode_machine:
            self._out.describe(msg.mode_machine)
            known = msg.mode_machine if msg.mode_machine in VARIANTS else BODIES_29[0]
            self._kinematics = kinematics_of(known)
            if self._view:
                self._view.set_kinematics(self._kinematics)
        if self._view:
            self._view.set_status(self._status, time.monotonic())

    def _on_latency(self, msg: Any) -> None:
        latency = latency_from_msg(msg)
        if len(self._latencies) < 32 or latency.stage in self._latencies:
            self._latencies[latency.stage] = time.monotonic(), Latency(latency.compute, latency.since_capture)

    def _on_instruction(self, msg: Any) -> None:
        self._said = checked_instruction(msg.data)

    def _on_speech(self, msg: Any) -> None:
        self._reply = str(msg.data)[:1000]

    def _on_diagnostics(self, msg: Any) -> None:
        for status in msg.status:
            model = next((item.value for item in status.values if item.key == "model"), "")
            if model and status.name.startswith("neon_ros: ") and len(self._models) < 32:
                self._models[status.name.removeprefix("neon_ros: ")] = model

    def _on_scene(self, msg: Any) -> None:
        solids = solids_from_msg(msg)
        self._things = [_thing(solid) for solid in solids if " " in solid.name]  # "red cube"; furniture has one word
        if self._view:
            self._view.set_world([_world_object(solid) for solid in solids])


def _world_object(solid: Any) -> WorldObject:
    rgb = tuple(round(255 * channel) for channel in solid.rgb)
    place, turn = tuple(solid.position.tolist()), tuple(solid.quaternion_wxyz.tolist())
    return WorldObject(solid.name, solid.shape, solid.size, rgb, place, turn)


def _thing(solid: Any) -> Thing:
    w, x, y, z = solid.quaternion_wxyz
    return Thing(solid.name, solid.shape, solid.size, matrix_from_pose(np.array([*solid.position, x, y, z, w])))


main = main_of("view", ViewNode)

if __name__ == "__main__":
    main()
