"""Node ``sim_sensors``: the simulated robot's camera, LiDAR and IMUs as its drivers publish them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, Imu, PointCloud2
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from neon_ros.bridge import topics
from neon_ros.bridge.markers import Solid, solids_to_msg
from neon_ros.bridge.robot import imu_to_msg
from neon_ros.bridge.sensors import camera_info_to_msg, cloud_to_msg, image_to_msg
from neon_ros.errors import NeonError, RobotError, refuse
from neon_ros.nodes.runtime import main_of
from neon_ros.nodes.stage import Stage
from neon_ros.parameters import SimSensorsParameters
from neon_ros.sense.imu import STANDARD_GRAVITY
from neon_ros.sim.faults import Faults
from neon_ros.sim.memory import SimClient, SimState
from neon_ros.sim.model import LIDAR
from neon_ros.sim.sensors import TORSO_IMU, SensorRig

OPTICAL_FRAME = "d435_optical_frame"
LIDAR_IMU = "/utlidar/imu_livox_mid360"
TORSO_TOPIC = "secondary_imu"


class SimSensorsNode(Stage[SimSensorsParameters]):
    """Publish ``image``, ``camera_info``, ``points``, both IMUs, the scene, and what the scene asks for."""

    def __init__(self) -> None:
        super().__init__("sim_sensors", SimSensorsParameters)

    def setup(self, config: SimSensorsParameters) -> None:
        """Make the publishers; the sensors are made in the thread that uses them, which OpenGL wants."""
        self._rig: SensorRig | None = None
        self._client: SimClient | None = None
        self._give_up = time.monotonic() + config.sim_timeout
        self._asked = ""
        self._image = self.create_publisher(Image, topics.IMAGE, topics.SENSOR_OUT)
        self._camera_info = self.create_publisher(CameraInfo, topics.CAMERA_INFO, topics.SENSOR_OUT)
        self._points = self.create_publisher(PointCloud2, topics.POINTS, topics.SENSOR_OUT)
        self._imus = {
            TORSO_IMU: self.create_publisher(Imu, TORSO_TOPIC, topics.SENSOR_OUT),
            LIDAR: self.create_publisher(Imu, LIDAR_IMU, topics.SENSOR_OUT),
        }
        self._scene = self.create_publisher(MarkerArray, topics.SCENE, topics.EVERY_OUT)
        self._instruction = self.create_publisher(String, topics.INSTRUCTION, topics.LATCHED)
        self.create_timer(1.0 / config.camera_rate, self._see)
        self.create_timer(1.0 / config.lidar_rate, self._scan)
        self.create_timer(1.0 / config.imu_rate, self._feel)
        self.create_timer(0.5, self._describe)
        self.watch("the simulator", 1.0)
        faults = "what is wrong with the robot, e.g. 'lowstate=lost tilt=0.3' (neon_ros.sim.faults); empty heals it"
        self.declare_parameter("faults", "", ParameterDescriptor(description=faults))
        self.declare_parameter("seed", 0, ParameterDescriptor(description="set it to lay out the scene of that seed"))
        self.add_on_set_parameters_callback(self._ask)

    def _ask(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        """Pass faults and seeds that are set at run time on to the simulator."""
        try:
            for parameter in parameters:
                if self._client is None:
                    raise RobotError(refuse("simulator", "not found yet", "a running one"))
                if parameter.name == "faults":
                    self._client.inject(Faults.from_words(str(parameter.value).split()))
                elif parameter.name == "seed":
                    self._client.reset(int(parameter.value))
        except NeonError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def destroy_node(self) -> None:
        """Free the camera."""
        rig: SensorRig | None = getattr(self, "_rig", None)
        if rig is not None:
            rig.close()
        super().destroy_node()

    def _update(self) -> tuple[SensorRig, SimState, int] | None:
        """Return the sensors with the newest state in them, and its stamp [ns, ROS clock]."""
        if self._client is None or self._client.removed:
            self._rig = None
            try:
                self._client = SimClient(self.config.session)
            except RobotError:
                if time.monotonic() > self._give_up:
                    raise
                return None
        if self._rig is None:
            if self._client.scene() is None:
                return None
            self._rig = SensorRig(self._client, self.config.width, self.config.height)
        state = self._rig.update()
        if state is None:
            return None
        age_ns = time.monotonic_ns() - state.steady_ns
        if age_ns > 1_000_000_000:
            return None  # the watch reports it
        self.health.heard, self._give_up = time.monotonic(), time.monotonic() + self.config.sim_timeout
        return self._rig, state, self.get_clock().now().nanoseconds - age_ns

    def _see(self) -> None:
        if (found := self._update()) is None:
            return
        rig, _, stamp_ns = found
        started = time.perf_counter()
        self._image.publish(image_to_msg(stamp_ns, OPTICAL_FRAME, rig.picture()))
        width, height = self.config.width, self.config.height
        info = camera_info_to_msg(stamp_ns, OPTICAL_FRAME, width, height, rig.camera.intrinsics)
        self._camera_info.publish(info)
        self.finished("camera", stamp_ns, started)

    def _scan(self) -> None:
        if (found := self._update()) is not None:
            rig, _, stamp_ns = found
            self._points.publish(cloud_to_msg(stamp_ns, LIDAR, rig.cloud()[:, :3]))

    def _feel(self) -> None:
        if (found := self._update()) is None:
            return
        rig, state, stamp_ns = found
        for site, imu in rig.imus.items():
            measured = imu.measure(rig.data, state.time)
            if measured is None:
                continue
            gyroscope, force = measured
            # The Livox driver publishes accelerations in g.
            force = force / STANDARD_GRAVITY if site == LIDAR else force
            quaternion = None if site == LIDAR else rig.orientation(site)  # the MID-360 has no orientation
            msg = imu_to_msg(stamp_ns, site, quaternion, gyroscope, force)
            self._imus[site].publish(msg)

    def _describe(self) -> None:
        if (found := self._update()) is None:
            return
        rig, _, stamp_ns = found
        self._scene.publish(solids_to_msg(stamp_ns, [Solid(*thing) for thing in rig.things()]))
        asked = rig.instruction() if self.config.say_task else ""
        if asked and asked != self._asked:
            self._asked = asked
            self._instruction.publish(String(data=asked))
            self.get_logger().info(f"the scene asks: {asked}")


main = main_of("sim_sensors", SimSensorsNode)

if __name__ == "__main__":
    main()
