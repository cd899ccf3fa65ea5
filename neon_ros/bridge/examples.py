"""One valid example of each contract, for tests and for trying a node by hand."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from neon_ros.contracts import ActionChunk, Features, RobotState
from neon_ros.robot.modes import MODES

Contract = TypeVar("Contract", Features, ActionChunk, RobotState)
STAMP_NS = 1_700_000_000_123_456_789


def make_example(kind: type[Contract], stamp_ns: int = STAMP_NS) -> Contract:
    """Return a valid instance of a contract.

    :param stamp_ns: its capture [ns, ROS clock], where it has one.
    :raises KeyError: when ``kind`` is no contract.
    """
    makers = {Features: _features, ActionChunk: _chunk, RobotState: _state}
    return makers[kind](stamp_ns)  # type: ignore[return-value]


def _features(stamp_ns: int) -> Features:
    values = np.linspace(-1.0, 1.0, 12, dtype=np.float32)
    return Features(stamp_ns, "backbone", "example/1", {"vision": values.reshape(3, 4), "text": values.reshape(2, 6)})


def _chunk(stamp_ns: int) -> ActionChunk:
    names = MODES["arms_only"].joint_names
    q = np.tile(np.linspace(-0.2, 0.2, len(names), dtype=np.float32), (16, 1))
    still = np.zeros((16, 3), dtype=np.float32)
    return ActionChunk(stamp_ns, 1, 1, "arms_only", "hold", "0" * 64, names, 0.02, q, still)


def _state(stamp_ns: int) -> RobotState:
    zeros = np.zeros(29)
    upright = np.array([1.0, 0.0, 0.0, 0.0])
    gravity = np.array([0.0, 0.0, 9.81])
    return RobotState(0, 0, zeros, zeros.copy(), zeros.copy(), upright, np.zeros(3), gravity, mode_machine=5)
