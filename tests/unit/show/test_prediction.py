"""Where a chunk takes the palms."""

from __future__ import annotations

import numpy as np
import pytest

from neon_ros.contracts import ActionChunk
from neon_ros.errors import ContractError
from neon_ros.show.figure import quaternion_wxyz
from neon_ros.show.prediction import predict


class _Palms:
    """Palms whose x is the left and right elbow angle."""

    def palms(self, q: np.ndarray) -> np.ndarray:
        frames = np.tile(np.eye(4), (*q.shape[:-1], 2, 1, 1))
        frames[..., 0, 0, 3] = q[..., 18]
        frames[..., 1, 0, 3] = q[..., 25]
        return frames


def _chunk(names: tuple[str, ...], q: np.ndarray) -> ActionChunk:
    return ActionChunk(0, 1, 1, "arms_only", "test", "", names, 0.02, q, np.zeros((len(q), 3), np.float32))


def test_columns_are_found_by_name_and_other_joints_stay() -> None:
    q_now = np.full(29, 0.1)
    q = np.stack([np.linspace(0, 1.5, 16), np.linspace(0, -1.5, 16)], axis=1).astype(np.float32)
    out = predict(_Palms(), q_now, _chunk(("right_elbow_joint", "left_elbow_joint"), q))
    np.testing.assert_allclose(out.palms[0, :, 0], q[:, 1])
    np.testing.assert_allclose(out.palms[1, :, 0], q[:, 0])
    assert np.all(out.q[:, 3] == 0.1)
    np.testing.assert_allclose(out.seconds, np.arange(16) * 0.02)


def test_unknown_joints_and_bad_numbers_are_refused_by_name() -> None:
    with pytest.raises(ContractError, match="joint names: got \\['tail_joint'\\]"):
        predict(_Palms(), np.zeros(29), _chunk(("tail_joint",), np.zeros((16, 1), np.float32)))
    bad = np.zeros((16, 1), np.float32)
    bad[3, 0] = np.nan
    with pytest.raises(ContractError, match=r"action_chunk.q\[3, 0\]: got nan"):
        predict(_Palms(), np.zeros(29), _chunk(("left_elbow_joint",), bad))


@pytest.mark.parametrize("seed", range(20))
def test_quaternions_turn_vectors_as_their_matrix_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    w, *xyz = quaternion_wxyz(rotation)
    vector = rng.normal(size=3)
    turned = vector + 2 * np.cross(xyz, np.cross(xyz, vector) + w * vector)
    np.testing.assert_allclose(turned, rotation @ vector, atol=1e-9)
    assert w >= 0
