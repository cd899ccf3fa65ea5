"""The robot's own state as messages: ``JointState``, ``Imu``, ``PoseArray``; quaternions are x y z w in ROS."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from geometry_msgs.msg import Pose, PoseArray
from numpy.typing import NDArray
from sensor_msgs.msg import Imu, JointState

from neon_ros.bridge.plain import filled, nanoseconds_of, time_of
from neon_ros.contracts import DoubleArray, RobotState, checked_array
from neon_ros.errors import ContractError, refuse
from neon_ros.robot.joints import JOINT_NAMES, NUM_JOINTS, joint_indices
from neon_ros.sense.imu import checked_quaternion, projected_gravity, wxyz_from_xyzw, xyzw_from_wxyz
from neon_ros.sense.joints import in_motor_order

PELVIS = "pelvis"


class Joints(NamedTuple):
    """Joints of one instant in motor order.

    :param stamp_ns: [ns, ROS clock].
    :param q: (29,) [rad].
    :param dq: (29,) [rad/s].
    """

    stamp_ns: int
    q: DoubleArray
    dq: DoubleArray


class Inertial(NamedTuple):
    """One IMU sample.

    :param stamp_ns: [ns, ROS clock].
    :param quaternion_xyzw: orientation in the world (4,), unit.
    :param gyroscope: body frame (3,) [rad/s].
    :param accelerometer: body frame (3,) [m/s^2].
    """

    stamp_ns: int
    quaternion_xyzw: DoubleArray
    gyroscope: DoubleArray
    accelerometer: DoubleArray

    def gravity(self) -> DoubleArray:
        """Return the unit vector of gravity in the body frame (3,): (0, 0, -1) when upright."""
        return projected_gravity(wxyz_from_xyzw(self.quaternion_xyzw))


def joints_to_msg(stamp_ns: int, state: RobotState) -> JointState:
    """Return all 29 joints by name."""
    msg = JointState(name=JOINT_NAMES)
    msg.header.stamp = time_of(stamp_ns)
    msg.position, msg.velocity, msg.effort = (
        filled(values.astype(np.float64, copy=False), "d") for values in (state.q, state.dq, state.tau)
    )
    return msg


def command_to_msg(
    stamp_ns: int,
    q: NDArray[np.floating],
    dq: NDArray[np.floating],
    tau: NDArray[np.floating],
    commanded: NDArray[np.bool_],
) -> JointState:
    """Return what the motors are commanded, by name; joints that nobody commands are left out.

    :param q: (29,) [rad]; ``dq`` [rad/s] and ``tau`` [N m] likewise.
    :param commanded: which joints have stiffness or damping (29,).
    """
    msg = JointState(name=[JOINT_NAMES[index] for index in np.flatnonzero(commanded)])
    msg.header.stamp = time_of(stamp_ns)
    msg.position, msg.velocity, msg.effort = (
        filled(values[commanded].astype(np.float64, copy=False), "d") for values in (q, dq, tau)
    )
    return msg


def command_from_msg(msg: Any) -> DoubleArray:
    """Return the commanded positions in motor order (29,) [rad]; nan where a joint is not commanded.

    :raises ContractError: on an unknown or repeated name, a wrong length, or a value that is not finite.
    """
    columns = joint_indices(list(msg.name))
    q = np.full(NUM_JOINTS, np.nan)
    q[columns] = checked_array("command_joint_states.position", msg.position, (len(columns),), np.float64)
    return q


def joints_from_msg(msg: Any) -> Joints:
    """Return the joints of a message in motor order.

    :raises ContractError: on an unknown, repeated or missing name, a wrong length, or a value that is not finite.
    """
    if len(msg.name) != NUM_JOINTS:
        raise ContractError(refuse("joint_states.name", f"{len(msg.name)} names", f"all {NUM_JOINTS} joints"))
    q = in_motor_order(msg.name, msg.position, "joint_states.position")
    dq = in_motor_order(msg.name, msg.velocity, "joint_states.velocity")
    return Joints(nanoseconds_of(msg.header.stamp), q, dq)


def imu_to_msg(
    stamp_ns: int,
    frame: str,
    quaternion_wxyz: NDArray[np.floating] | None,
    gyroscope: NDArray[np.floating],
    accelerometer: NDArray[np.floating],
) -> Imu:
    """Return an IMU message.

    :param quaternion_wxyz: orientation as on the Unitree wire; ``None`` for a sensor that has none (REP 145).
    :param gyroscope: (3,) [rad/s].
    :param accelerometer: (3,) [m/s^2].
    """
    msg = Imu()
    msg.header.stamp, msg.header.frame_id = time_of(stamp_ns), frame
    if quaternion_wxyz is None:
        msg.orientation_covariance[0] = -1.0
    else:
        o = msg.orientation
        o.x, o.y, o.z, o.w = xyzw_from_wxyz(quaternion_wxyz).tolist()
    for vector, values in ((msg.angular_velocity, gyroscope), (msg.linear_acceleration, accelerometer)):
        vector.x, vector.y, vector.z = (float(value) for value in values)
    return msg


def imu_from_msg(msg: Any) -> Inertial:
    """Return the sample of an IMU message.

    :raises ContractError: on values that are not finite, a quaternion that is no rotation, or no orientation at all.
    """
    if msg.orientation_covariance[0] == -1.0:
        raise ContractError(refuse("imu.orientation", "none (covariance -1)", "an orientation"))
    o, g, a = msg.orientation, msg.angular_velocity, msg.linear_acceleration
    return Inertial(
        nanoseconds_of(msg.header.stamp),
        checked_quaternion([o.x, o.y, o.z, o.w], "imu.orientation"),
        checked_array("imu.angular_velocity", [g.x, g.y, g.z], (3,), np.float64),
        checked_array("imu.linear_acceleration", [a.x, a.y, a.z], (3,), np.float64),
    )


def poses_to_msg(stamp_ns: int, poses: NDArray[np.floating], frame: str = PELVIS) -> PoseArray:
    """Return poses (N, 7), position [m] and quaternion x y z w, as a message; for the hands left first."""
    msg = PoseArray()
    msg.header.stamp, msg.header.frame_id = time_of(stamp_ns), frame
    for row in poses:
        pose = Pose()
        p, o = pose.position, pose.orientation
        p.x, p.y, p.z, o.x, o.y, o.z, o.w = (float(value) for value in row)
        msg.poses.append(pose)
    return msg


def hands_from_msg(msg: Any) -> tuple[int, DoubleArray]:
    """Return stamp [ns] and poses (2, 7) of left and right hand in the pelvis frame.

    :raises ContractError: on another frame or number of poses, values that are not finite, or no unit quaternion.
    """
    if msg.header.frame_id != PELVIS:
        raise ContractError(refuse("eef_poses.frame_id", repr(msg.header.frame_id), PELVIS))
    rows = [
        (p.position.x, p.position.y, p.position.z, p.orientation.x, p.orientation.y, p.orientation.z, p.orientation.w)
        for p in msg.poses
    ]
    if len(rows) != 2:
        raise ContractError(refuse("eef_poses.poses", f"{len(rows)} poses", "2: left hand, right hand"))
    poses = checked_array("eef_poses", rows, (2, 7), np.float64)
    for row, hand in zip(poses, ("left", "right"), strict=True):
        row[3:] = checked_quaternion(row[3:], f"eef_poses.{hand} quaternion")
    return nanoseconds_of(msg.header.stamp), poses
