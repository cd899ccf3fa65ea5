"""Where a chunk takes the robot."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.contracts import ActionChunk
from neon_ros.errors import ContractError
from neon_ros.robot.kinematics import Kinematics
from neon_ros.show.prediction import predict


class _Links:
    """Palms whose x is the left and right elbow angle, and a torso that leans by the waist's pitch."""

    def poses(self, q: np.ndarray) -> dict[str, np.ndarray]:
        frames = {name: np.tile(np.eye(4), (*q.shape[:-1], 1, 1)) for name in ("left_palm", "right_palm", "torso_link")}
        frames["left_palm"][..., 0, 3] = q[..., 18]
        frames["right_palm"][..., 0, 3] = q[..., 25]
        frames["torso_link"][..., 0, 2] = q[..., 14]
        return frames


def _chunk(names: tuple[str, ...], q: np.ndarray) -> ActionChunk:
    velocity = np.tile(np.array([0.1, 0.2, 0.3], np.float32), (len(q), 1))
    return ActionChunk(0, 1, 1, "arms_only", "test", "", names, 0.02, q, velocity)


def test_columns_are_found_by_name_and_other_joints_stay() -> None:
    q_now = np.full(29, 0.1)
    q = np.stack([np.linspace(0, 1.5, 16), np.linspace(0, -1.5, 16)], axis=1).astype(np.float32)
    out = predict(_Links(), q_now, _chunk(("right_elbow_joint", "left_elbow_joint"), q))
    np.testing.assert_allclose(out.paths[0, :, 0], q[:, 1])
    np.testing.assert_allclose(out.paths[1, :, 0], q[:, 0])
    np.testing.assert_allclose(out.paths[2, :, 0], 0.1 * 0.3)
    assert np.all(out.q[:, 3] == 0.1)
    np.testing.assert_allclose(out.seconds, np.arange(16) * 0.02)
    np.testing.assert_allclose(out.end["left_palm"][0, 3], -1.5)
    np.testing.assert_allclose(out.base_velocity, [0.1, 0.2, 0.3], rtol=1e-6)


def test_the_real_kinematics_agrees_with_its_own_palms() -> None:
    kinematics, rng = Kinematics(), np.random.default_rng(1)
    q = rng.uniform(-0.4, 0.4, (16, 2)).astype(np.float32)
    out = predict(kinematics, np.zeros(29), _chunk(("left_elbow_joint", "waist_yaw_joint"), q))
    np.testing.assert_allclose(out.paths[:2], kinematics.palms(out.q)[:, :, :3, 3].transpose(1, 0, 2), atol=1e-9)


def test_unknown_joints_and_bad_numbers_are_refused_by_name() -> None:
    with pytest.raises(ContractError, match="joint names: got \\['tail_joint'\\]"):
        predict(_Links(), np.zeros(29), _chunk(("tail_joint",), np.zeros((16, 1), np.float32)))
    bad = np.zeros((16, 1), np.float32)
    bad[3, 0] = np.nan
    with pytest.raises(ContractError, match=r"action_chunk.q\[3, 0\]: got nan"):
        predict(_Links(), np.zeros(29), _chunk(("left_elbow_joint",), bad))
