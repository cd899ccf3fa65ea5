"""``neon_ros_msgs/Features`` and ``StageLatency`` to contracts and back."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from neon_ros.bridge.plain import filled, floats, nanoseconds_of, short, time_of
from neon_ros.contracts import Features
from neon_ros.errors import ContractError, refuse
from neon_ros_msgs.msg import Features as FeaturesMsg
from neon_ros_msgs.msg import StageLatency, Tensor

MAX_TENSORS = 16
MAX_RANK = 4
MAX_VALUES = 1 << 22
"""Most values of one tensor (16 MiB); the largest backbone token grids are a tenth of it."""


def features_to_msg(features: Features) -> FeaturesMsg:
    """Return the message of checked features."""
    msg = FeaturesMsg(source=features.source, model_id=features.model_id)
    msg.header.stamp = time_of(features.stamp_ns)
    for name, value in features.tensors.items():
        tensor = Tensor(name=name, shape=list(value.shape))
        tensor.data = filled(value.astype("float32", copy=False), "f")
        msg.tensors.append(tensor)
    return msg


def features_from_msg(msg: Any) -> Features:
    """Return the features of a message.

    :raises ContractError: on an unknown source, a repeated tensor, a shape that does not fit the data, values that are
        not finite, no stamp, or more tensors than anyone sends.
    """
    if len(msg.tensors) > MAX_TENSORS:
        raise ContractError(refuse("features.tensors", f"{len(msg.tensors)} of them", f"at most {MAX_TENSORS}"))
    tensors = {}
    for tensor in msg.tensors:
        name = short("features tensor name", tensor.name, 64)
        shape = tuple(int(size) for size in tensor.shape)
        if name in tensors:
            raise ContractError(refuse("features.tensors", f"{name} twice", "each name once"))
        if len(shape) > MAX_RANK or math.prod(shape) > MAX_VALUES:
            raise ContractError(refuse(f"features.{name} shape", shape, f"rank {MAX_RANK}, {MAX_VALUES} values"))
        tensors[name] = floats(f"features.{name}", tensor.data, shape)
    source, model_id = short("features.source", msg.source), short("features.model_id", msg.model_id)
    return Features(nanoseconds_of(msg.header.stamp), source, model_id, tensors)


class Latency(NamedTuple):
    """How long a stage took for one capture.

    :param stamp_ns: capture [ns, ROS clock].
    :param compute: [s] in the stage itself.
    :param since_capture: [s] from the capture to the end of the stage.
    """

    stamp_ns: int
    stage: str
    compute: float
    since_capture: float


def latency_to_msg(latency: Latency) -> StageLatency:
    """Return the message of a latency."""
    msg = StageLatency(stage=latency.stage, compute=latency.compute, since_capture=latency.since_capture)
    msg.header.stamp = time_of(latency.stamp_ns)
    return msg


def latency_from_msg(msg: Any) -> Latency:
    """Return the latency of a message.

    :raises ContractError: on times that are not finite, no stamp, or a stage name longer than any.
    """
    if not (math.isfinite(msg.compute) and math.isfinite(msg.since_capture)):
        raise ContractError(refuse("latency", (msg.compute, msg.since_capture), "finite seconds"))
    return Latency(nanoseconds_of(msg.header.stamp), short("stage", msg.stage, 64), msg.compute, msg.since_capture)
