"""``neon_ros_msgs/ActionChunk`` to the contract and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neon_ros.bridge.plain import filled, floats, nanoseconds_of, short, time_of
from neon_ros.contracts import ActionChunk
from neon_ros.errors import ContractError, refuse
from neon_ros.guard.authentic import MAC_BYTES
from neon_ros_msgs.msg import ActionChunk as ActionChunkMsg

TYPE = "neon_ros_msgs/msg/ActionChunk"
MAX_HORIZON = 1024
MAX_JOINTS = 64
FRAME = "pelvis"
"""Frame of base_velocity; the only one a chunk may carry."""
_UNSIGNED = bytes(MAC_BYTES)


def chunk_to_msg(chunk: ActionChunk) -> ActionChunkMsg:
    """Return the message of a chunk."""
    msg = ActionChunkMsg(
        epoch=chunk.epoch,
        sequence=chunk.sequence,
        mode=chunk.mode,
        head_id=chunk.head_id,
        checksum=chunk.checksum,
        joint_names=list(chunk.joint_names),
        dt=chunk.dt,
        horizon=chunk.horizon,
    )
    msg.header.stamp = time_of(chunk.stamp_ns)
    msg.header.frame_id = FRAME
    msg.valid_until = time_of(chunk.valid_until_ns)
    msg.q = filled(chunk.q.astype("float32", copy=False), "f")
    msg.base_velocity = filled(chunk.base_velocity.astype("float32", copy=False), "f")
    msg.mac = np.frombuffer(chunk.mac or _UNSIGNED, np.uint8)
    return msg


def chunk_from_msg(msg: Any, finite: bool = True) -> ActionChunk:
    """Return the chunk of a message; what it says of the robot is judged by :mod:`neon_ros.guard`.

    No field of the message is lost or repaired on the way, so that the MAC of the contract covers the message.

    :param finite: refuse values that are not; false for who judges them later, knowing who sent them.
    :raises ContractError: when lengths do not fit horizon and joints, a value is not finite, dt is no time, the frame
        is another one, or ``valid_until`` is not the end of the last step.
    """
    if msg.header.frame_id != FRAME:
        raise ContractError(refuse("chunk.header.frame_id", repr(short("frame_id", msg.header.frame_id)), FRAME))
    horizon, joints = int(msg.horizon), len(msg.joint_names)
    if not (1 <= horizon <= MAX_HORIZON and 1 <= joints <= MAX_JOINTS):
        allowed = f"1 to {MAX_HORIZON} steps of 1 to {MAX_JOINTS} joints"
        raise ContractError(refuse("chunk size", f"{horizon} steps of {joints} joints", allowed))
    if not (math.isfinite(msg.dt) and 0.0 < msg.dt <= 10.0):
        raise ContractError(refuse("chunk.dt", msg.dt, "above 0 to 10 s"))
    chunk = ActionChunk(
        stamp_ns=nanoseconds_of(msg.header.stamp),
        epoch=int(msg.epoch),
        sequence=int(msg.sequence),
        mode=short("chunk.mode", msg.mode),
        head_id=short("chunk.head_id", msg.head_id),
        checksum=short("chunk.checksum", msg.checksum),
        joint_names=tuple(short("chunk.joint_names", name) for name in msg.joint_names),
        dt=float(msg.dt),
        q=floats("chunk.q", msg.q, (horizon, joints), finite),
        base_velocity=floats("chunk.base_velocity", msg.base_velocity, (horizon, 3), finite),
        mac=bytes(msg.mac),
    )
    until = nanoseconds_of(msg.valid_until, "chunk.valid_until")
    if until != chunk.valid_until_ns:
        raise ContractError(refuse("chunk.valid_until", until, f"stamp + horizon * dt = {chunk.valid_until_ns} ns"))
    return chunk
