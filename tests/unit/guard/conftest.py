"""Makers of inputs for the guard's tests, and oracles written apart from the code under test."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("ruckig")

from neon_ros.contracts import ActionChunk, RobotState
from neon_ros.robot.modes import MODES

MS = 1_000_000  # [ns]


def _robot_state(now: float, **changes: object) -> RobotState:
    """Return a healthy, still, upright robot of variant 5 measured at ``now`` [s]."""
    fields: dict[str, object] = {
        "steady_ns": round(now * 1e9),
        "tick": round(now * 1000),
        "q": np.zeros(29),
        "dq": np.zeros(29),
        "tau": np.zeros(29),
        "quaternion_wxyz": np.array([1.0, 0.0, 0.0, 0.0]),
        "gyroscope": np.zeros(3),
        "accelerometer": np.array([0.0, 0.0, 9.81]),
        "mode_machine": 5,
        "temperature": np.full(29, 35.0),
    }
    return RobotState(**{**fields, **changes})  # type: ignore[arg-type]


def _action_chunk(**changes: object) -> ActionChunk:
    """Return a valid arms_only chunk of 16 steps at 20 ms, stamped 0 ns, all joints at 0.1 rad."""
    names = MODES[str(changes.get("mode", "arms_only"))].joint_names
    fields: dict[str, object] = {
        "stamp_ns": 0,
        "epoch": 1,
        "sequence": 1,
        "mode": "arms_only",
        "head_id": "mlp_touch",
        "checksum": "0" * 64,
        "joint_names": names,
        "dt": 0.02,
        "q": np.full((16, len(names)), 0.1, dtype=np.float32),
        "base_velocity": np.zeros((16, 3), dtype=np.float32),
    }
    return ActionChunk(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def robot_state() -> Callable[..., RobotState]:
    """A maker of measurements."""
    return _robot_state


@pytest.fixture
def action_chunk() -> Callable[..., ActionChunk]:
    """A maker of chunks."""
    return _action_chunk
