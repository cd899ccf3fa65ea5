"""Makers of what a robot measures and a policy sends, for the tests that need many of them."""

from __future__ import annotations

import numpy as np

from neon_ros.contracts import ActionChunk, RobotState
from oracles import robot

UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])
ZERO3, COOL = np.zeros(3), np.full(29, 35.0)
GRAVITY = np.array([0.0, 0.0, 9.81])


def measured(tick: int, now: float, q: np.ndarray, dq: np.ndarray | None = None, **changes: object) -> RobotState:
    """Return a healthy, upright robot of variant 5 measured at ``now`` [s]."""
    fields: dict[str, object] = {
        "steady_ns": round(now * 1e9),
        "tick": tick,
        "q": q,
        "dq": np.zeros(29) if dq is None else dq,
        "tau": np.zeros(29),
        "quaternion_wxyz": UPRIGHT,
        "gyroscope": ZERO3,
        "accelerometer": GRAVITY,
        "mode_machine": 5,
        "temperature": COOL,
    }
    return RobotState(**{**fields, **changes})  # type: ignore[arg-type]


def action_chunk(**changes: object) -> ActionChunk:
    """Return a valid chunk of four steps at 20 ms, stamped 0 ns, all joints of its mode at 0.1 rad."""
    names = robot.MODE_JOINTS.get(str(changes.get("mode")), robot.MODE_JOINTS["arms_only"])
    fields: dict[str, object] = {
        "stamp_ns": 0,
        "epoch": 1,
        "sequence": 1,
        "mode": "arms_only",
        "head_id": "mlp_touch",
        "checksum": "0" * 64,
        "joint_names": names,
        "dt": 0.02,
        "q": np.full((4, len(names)), 0.1, dtype=np.float32),
        "base_velocity": np.zeros((4, 3), dtype=np.float32),
    }
    return ActionChunk(**{**fields, **changes})  # type: ignore[arg-type]
