"""The data that passes between rooms: frozen dataclasses with shapes, units and checks at the door.

Nothing here knows ROS or torch.  Stamps are integer nanoseconds of the ROS clock and only order data;
deadlines are kept on a steady clock by whoever holds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ContractError, refuse

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]

FEATURE_SOURCES: tuple[str, ...] = ("backbone", "lidar", "proprio", "eef")


def checked_array(
    name: str, value: object, shape: Sequence[int | None], dtype: type[np.floating] = np.float32
) -> NDArray[Any]:
    """Return ``value`` as a finite, C-contiguous array of ``shape``; refuse anything else.

    :param shape: expected shape; ``None`` matches any length in that dimension.
    :raises ContractError: on a wrong rank, length, dtype or a value that is not finite.
    """
    try:
        array = np.ascontiguousarray(value, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise ContractError(refuse(name, type(value).__name__, f"numbers of shape {tuple(shape)}")) from error
    matches = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not matches:
        raise ContractError(refuse(f"{name} shape", array.shape, tuple(shape)))
    if not np.isfinite(array).all():
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ContractError(refuse(f"{name}{list(first)}", array[first], "finite values"))
    return array


@dataclass(frozen=True)
class Features:
    """What an encoder says of one capture.

    :param stamp_ns: capture time of the sensor data [ns, ROS clock].
    :param source: one of :data:`FEATURE_SOURCES`.
    :param model_id: which weights made it, e.g. ``compact/lite0-s16+minilm-l6``.
    :param tensors: named float32 arrays, e.g. ``{"vision": (112, 112), "text": (32, 384)}``.
    """

    stamp_ns: int
    source: str
    model_id: str
    tensors: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        if self.source not in FEATURE_SOURCES:
            raise ContractError(refuse("features.source", self.source, FEATURE_SOURCES))
        if not self.tensors:
            raise ContractError(refuse("features.tensors", "none", "at least one named tensor"))
        for name, value in self.tensors.items():
            checked_array(f"features.{self.source}.{name}", value, (None,) * np.ndim(value))


@dataclass(frozen=True)
class ActionChunk:
    """A short future of the robot: ``q[k]`` is wanted at ``stamp_ns + k * dt``.

    :param stamp_ns: capture time of the observation the chunk answers [ns, ROS clock].
    :param epoch: counts (re)starts and swaps of the policy; a newer epoch replaces an older one.
    :param sequence: counts chunks within an epoch, strictly increasing.
    :param mode: control mode, see :mod:`neon_ros.robot.modes`.
    :param head_id: name of the head, e.g. ``mlp_touch``.
    :param checksum: sha256 (hex) of the head's weights.
    :param joint_names: the J joints of the columns of ``q``, by name, in any order.
    :param dt: time between steps [s].
    :param q: joint positions, float32 (H, J) [rad].
    :param base_velocity: vx, vy, yaw rate, float32 (H, 3) [m/s, m/s, rad/s].
    :param mac: who made it, 32 bytes, see :mod:`neon_ros.guard.authentic`; empty when it is not signed.
    """

    stamp_ns: int
    epoch: int
    sequence: int
    mode: str
    head_id: str
    checksum: str
    joint_names: tuple[str, ...]
    dt: float
    q: FloatArray
    base_velocity: FloatArray
    mac: bytes = b""

    @property
    def horizon(self) -> int:
        """Number of steps H."""
        return int(np.shape(self.q)[0])

    @property
    def valid_until_ns(self) -> int:
        """End of the last step [ns, ROS clock]."""
        return self.stamp_ns + round(self.horizon * self.dt * 1e9)


@dataclass(frozen=True)
class RobotState:
    """What the robot measured at one instant, in motor order (see :mod:`neon_ros.robot.joints`).

    :param steady_ns: arrival on the steady clock [ns].
    :param tick: the robot's own millisecond counter.
    :param q: joint positions (29,) [rad].
    :param dq: joint velocities (29,) [rad/s].
    :param tau: estimated joint torques (29,) [N m].
    :param quaternion_wxyz: pelvis orientation in the world, w x y z as on the Unitree wire (4,).
    :param gyroscope: pelvis angular velocity, body frame (3,) [rad/s].
    :param accelerometer: pelvis specific force, body frame (3,) [m/s^2].
    :param mode_machine: variant reported by the robot, see :mod:`neon_ros.robot.variants`.
    :param temperature: of each motor's casing (29,) [deg C].
    :param winding: temperature of each motor's winding (29,) [deg C].
    """

    steady_ns: int
    tick: int
    q: DoubleArray
    dq: DoubleArray
    tau: DoubleArray
    quaternion_wxyz: DoubleArray
    gyroscope: DoubleArray
    accelerometer: DoubleArray
    mode_machine: int
    mode_pr: int = 0
    temperature: DoubleArray = field(default_factory=lambda: np.zeros(29))
    winding: DoubleArray = field(default_factory=lambda: np.zeros(29))
