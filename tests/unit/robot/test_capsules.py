"""The robot's capsules: against its meshes, against kinematics, and their distances against oracles written apart."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from neon_ros.robot.capsules import CAPSULES, PAIRS, Body, body, segment_distance
from neon_ros.robot.joints import JOINT_INDEX
from neon_ros.robot.kinematics import Kinematics
from neon_ros.robot.variants import VARIANTS

Array = NDArray[np.float64]
LIMITS = VARIANTS[5].limits()
UNCOVERED = 0.005  # [m] that a mesh may stick out of the capsules
FATTEST = 0.035  # [m] that the middle of a capsule may lie outside its link


def anywhere(rng: np.random.Generator, count: int) -> Array:
    """Return configurations anywhere in the range (count, 29) [rad]."""
    return rng.uniform(LIMITS.lower, LIMITS.upper, (count, 29))


def distance_oracle(p1: Array, q1: Array, p2: Array, q2: Array) -> Array:
    """Return distances between segments (N,): the least of the inner solution and of every end against the other."""

    def to_segment(point: Array, p: Array, q: Array) -> Array:
        d = q - p
        share = np.clip(((point - p) * d).sum(-1) / np.maximum((d * d).sum(-1), 1e-300), 0.0, 1.0)
        return np.asarray(np.linalg.norm(point - p - share[..., None] * d, axis=-1))

    ends = [to_segment(p1, p2, q2), to_segment(q1, p2, q2), to_segment(p2, p1, q1), to_segment(q2, p1, q1)]
    least = np.min(ends, axis=0)
    for i in np.ndindex(least.shape):
        matrix = np.stack([q1[i] - p1[i], p2[i] - q2[i]], axis=1)
        solution, *_ = np.linalg.lstsq(matrix, p2[i] - p1[i], rcond=None)
        if ((solution >= 0.0) & (solution <= 1.0)).all():
            least[i] = min(least[i], np.linalg.norm(matrix @ solution - (p2[i] - p1[i])))
    return np.asarray(least)


def distance_of(p1: Array, q1: Array, p2: Array, q2: Array) -> Array:
    """Return what the code under test says of segments given by their ends (N, 3)."""
    d1, d2, r = q1 - p1, q2 - p2, p1 - p2

    def dot(x: Array, y: Array) -> Array:
        return np.asarray((x * y).sum(-1))

    return segment_distance(dot(d1, d1), dot(d1, d2), dot(d2, d2), dot(d1, r), dot(d2, r), dot(r, r))


def test_the_right_side_mirrors_the_left() -> None:
    by_name = {capsule.name: capsule for capsule in CAPSULES}
    assert len(by_name) == len(CAPSULES)
    for name, capsule in by_name.items():
        if name.startswith("left_"):
            other = by_name[name.replace("left_", "right_")]
            assert other.radius == capsule.radius and other.link == capsule.link.replace("left_", "right_")
            for mine, its in ((capsule.start, other.start), (capsule.end, other.end)):
                assert its == (mine[0], -mine[1], mine[2])


def test_pairs_cover_arm_against_arm_and_arms_against_the_body_without_neighbours() -> None:
    assert len({frozenset(pair) for pair in PAIRS}) == len(PAIRS) and all(a != b for a, b in PAIRS)
    watched = {frozenset(pair) for pair in PAIRS}
    arm = ("upper_arm", "forearm", "palm", "thumb")
    for a, b in product(arm, arm):
        assert frozenset((f"left_{a}", f"right_{b}")) in watched
    for side in ("left", "right"):
        for part in arm[1:]:
            for other in ("trunk", "head", "pelvis", "left_chest", "right_back", "left_thigh", "right_hip_side"):
                assert frozenset((f"{side}_{part}", other)) in watched
        assert frozenset((f"{side}_upper_arm", f"{side}_chest")) in watched
        for near in (("upper_arm", "forearm"), ("forearm", "palm"), ("palm", "thumb"), ("shoulder", "upper_arm")):
            assert frozenset(f"{side}_{part}" for part in near) not in watched
    names = {capsule.name for capsule in CAPSULES}
    assert all(name in names for pair in PAIRS for name in pair)


def test_segments_are_where_kinematics_puts_them() -> None:
    q = anywhere(np.random.default_rng(0), 40)
    poses, segments = Kinematics().poses(q), Body().segments(q)
    for index, capsule in enumerate(CAPSULES):
        pose = poses[capsule.link]
        for end, point in enumerate((capsule.start, capsule.end)):
            wanted = pose[:, :3, :3] @ np.array(point) + pose[:, :3, 3]
            np.testing.assert_allclose(segments[:, index, :, end], wanted, atol=1e-12)


def test_distances_agree_with_the_oracle() -> None:
    q = anywhere(np.random.default_rng(1), 12)
    segments, got = body().segments(q), body().distances(q)
    names = [capsule.name for capsule in CAPSULES]
    for column, (a, b) in enumerate(PAIRS):
        first, second = segments[:, names.index(a)], segments[:, names.index(b)]
        radii = CAPSULES[names.index(a)].radius + CAPSULES[names.index(b)].radius
        wanted = distance_oracle(first[..., 0], first[..., 1], second[..., 0], second[..., 1]) - radii
        # Square roots of differences: where segments cross, half the digits are left.
        np.testing.assert_allclose(got[:, column], wanted, atol=1e-7)
        apart = wanted > 1e-3 - radii
        np.testing.assert_allclose(got[apart, column], wanted[apart], atol=1e-12)


@pytest.mark.parametrize("kind", ["any", "parallel", "almost parallel", "collinear", "crossing", "touching", "short"])
def test_segment_distance_agrees_with_the_oracle(kind: str) -> None:
    rng = np.random.default_rng(2)
    p1, q1, p2, q2 = rng.normal(size=(4, 400, 3))
    if kind == "parallel":
        q2 = p2 + (q1 - p1) * rng.uniform(-2.0, 2.0, (400, 1))
    elif kind == "almost parallel":
        q2 = p2 + (q1 - p1) * rng.uniform(-2.0, 2.0, (400, 1)) + 10.0 ** rng.uniform(-12, -3, (400, 1))
    elif kind == "collinear":
        p2, q2 = (p1 + (q1 - p1) * rng.uniform(-3.0, 3.0, (400, 1)) for _ in range(2))
    elif kind == "crossing":
        middle = p1 + (q1 - p1) * rng.uniform(0.1, 0.9, (400, 1))
        p2, q2 = middle + (p2 - middle), middle - (p2 - middle) * rng.uniform(0.1, 2.0, (400, 1))
    elif kind == "touching":
        p2 = p1 + (q1 - p1) * rng.choice([0.0, 0.3, 1.0], (400, 1))
    elif kind == "short":
        q1, q2 = p1 + 1e-4 * (q1 - p1), p2 + 1e-4 * (q2 - p2)
    np.testing.assert_allclose(distance_of(p1, q1, p2, q2), distance_oracle(p1, q1, p2, q2), atol=2e-7)


def test_the_oracle_agrees_with_a_search() -> None:
    rng = np.random.default_rng(3)
    p1, q1, p2, q2 = rng.normal(size=(4, 200, 3))
    share = np.linspace(0.0, 1.0, 201)[:, None, None]
    first, second = p1 + share * (q1 - p1), p2 + share * (q2 - p2)
    least = np.full(200, np.inf)
    for point in first:
        least = np.minimum(least, np.linalg.norm(point - second, axis=-1).min(axis=0))
    oracle = distance_oracle(p1, q1, p2, q2)
    step = (np.linalg.norm(q1 - p1, axis=1) + np.linalg.norm(q2 - p2, axis=1)) / 200.0
    assert (least >= oracle - 1e-12).all() and (least <= oracle + step).all()


def test_levers_bound_how_fast_distances_change() -> None:
    rng = np.random.default_rng(4)
    q = anywhere(rng, 3000)
    step = rng.normal(size=q.shape) * 10.0 ** rng.uniform(-4, 0, (len(q), 1)) * (rng.random(q.shape) < 0.2)
    change = np.abs(body().distances(q + step) - body().distances(q))
    assert (change <= np.abs(step) @ body().levers.T + 1e-9).all()


def test_levers_are_not_idle() -> None:
    """For every pair some configuration uses a good part of the bound, and joints that do not matter have none."""
    rng = np.random.default_rng(5)
    q = anywhere(rng, 400)
    levers = body().levers
    for motor in range(29):
        step = np.zeros(29)
        step[motor] = 1e-5
        used = np.abs(body().distances(q + step) - body().distances(q)).max(axis=0) / 1e-5
        assert (used[levers[:, motor] == 0.0] < 1e-6).all()
        if motor not in (3, 4, 5, 9, 10, 11):
            assert levers[:, motor].any() and (used / np.maximum(levers[:, motor], 1e-9)).max() > 0.6, motor
    torso = [row for row, pair in enumerate(PAIRS) if pair[1] in ("trunk", "head")]
    assert not levers[torso][:, [JOINT_INDEX["waist_yaw_joint"], JOINT_INDEX["waist_pitch_joint"]]].any()


# -- against the real meshes -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def surfaces() -> dict[str, Array]:
    """Points on every visual mesh of the installed model by link, in the link's frame (N, 3) [m]."""
    rng = np.random.default_rng(6)
    found = {}
    for link, shapes in _meshes().items():
        points = []
        for triangles in shapes:
            some = triangles[:: max(1, len(triangles) // 3000)]
            weights = rng.dirichlet(np.ones(3), len(some))
            points += [some.reshape(-1, 3), np.einsum("tc,tcx->tx", weights, some)]
        found[link] = np.concatenate(points)
    return found


def _meshes() -> dict[str, list[Array]]:
    """Return the triangles (T, 3, 3) of every visual mesh by link [m]."""
    mujoco = pytest.importorskip("mujoco")
    model_module = pytest.importorskip("neon_ros.sim.model")
    model = mujoco.MjModel.from_xml_path(str(model_module.model_path()))
    found: dict[str, list[Array]] = {}
    for geom in range(model.ngeom):
        if model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_MESH or model.geom_group[geom] != 2:
            continue
        mesh = int(model.geom_dataid[geom])
        first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
        vertices = model.mesh_vert[first : first + count] @ rotation.reshape(3, 3).T + model.geom_pos[geom]
        face, faces = int(model.mesh_faceadr[mesh]), int(model.mesh_facenum[mesh])
        name = model.body(int(model.geom_bodyid[geom])).name
        found.setdefault(name, []).append(vertices[model.mesh_face[face : face + faces]])
    return found


def depth(points: Array, starts: Array, ends: Array, radii: Array) -> Array:
    """Return how far points (N, 3) lie outside the union of capsules (C, 3), negative inside (N,) [m]."""
    outside = np.full(len(points), np.inf)
    for start, end, radius in zip(starts, ends, radii, strict=True):
        d = end - start
        share = np.clip((points - start) @ d / (d @ d), 0.0, 1.0)
        outside = np.minimum(outside, np.linalg.norm(points - start - share[:, None] * d, axis=1) - radius)
    return outside


COVERED = (
    *("shoulder_roll_link", "shoulder_yaw_link", "elbow_link", "wrist_roll_link", "wrist_pitch_link"),
    *("wrist_yaw_link", "hip_pitch_link", "hip_roll_link", "hip_yaw_link"),
)


def test_meshes_lie_inside_the_capsules(surfaces: dict[str, Array]) -> None:
    """Whatever the joints do: links without a capsule of their own (the wrist's) lie inside their neighbours'."""
    q = np.concatenate([np.zeros((1, 29)), anywhere(np.random.default_rng(8), 11)])
    poses, segments = Kinematics().poses(q), body().segments(q)
    radii = np.array([capsule.radius for capsule in CAPSULES])
    links = ["torso_link", "pelvis", *(f"{side}_{link}" for side in ("left", "right") for link in COVERED)]
    for link in links:
        for k in range(len(q)):
            points = surfaces[link][k % 2 :: 2] @ poses[link][k, :3, :3].T + poses[link][k, :3, 3]
            outside = depth(points, segments[k, ..., 0], segments[k, ..., 1], radii)
            assert outside.max() <= UNCOVERED, (link, outside.max(), q[k])


def test_capsules_are_not_fat(surfaces: dict[str, Array]) -> None:
    """A capsule's surface touches its own mesh, or nearly, and most of the mesh that it covers is near it."""
    for capsule in CAPSULES:
        points = surfaces[capsule.link]
        start, end = np.array(capsule.start), np.array(capsule.end)
        d = end - start
        share = np.clip((points - start) @ d / (d @ d), 0.0, 1.0)
        around = np.linalg.norm(points - start - share[:, None] * d, axis=1)
        inside = around[around <= capsule.radius + UNCOVERED]
        assert capsule.radius - inside.max() <= 0.004, capsule.name
        assert capsule.radius - np.median(inside) <= FATTEST, capsule.name


def test_the_stand_and_the_ready_pose_are_clear() -> None:
    model = pytest.importorskip("neon_ros.sim.model")
    for pose in (model.stand_pose(), model.ready_pose()):
        assert body().distances(pose[None]).min() > 0.015
