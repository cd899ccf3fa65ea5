"""The body of the G1 as capsules: where links may meet, and how far apart they are for given joint angles.

A capsule is all that lies within ``radius`` of a segment.  Each was fitted to the vertices of its link's mesh (the
vendor's STL files as the MuJoCo Menagerie ships them) by minimising its volume, then rounded up by a millimetre;
``tests/unit/robot/test_capsules.py`` checks them against those meshes.  The hand is the rubber hand.

Not covered: the shoulder against its own torso (adjacent), shanks and feet, and legs against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from neon_ros.contracts import DoubleArray
from neon_ros.robot.joints import NUM_JOINTS
from neon_ros.robot.kinematics import Kinematics, joint_terms, kinematics_of

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Capsule:
    """One capsule.

    :param name: side and part, e.g. ``left_forearm``.
    :param link: link that carries it.
    :param start: one end of its segment in the link's frame [m].
    :param end: the other end [m].
    :param radius: [m].
    """

    name: str
    link: str
    start: Point
    end: Point
    radius: float


# Of the left side; the right is its mirror image in y.
_LEFT: tuple[tuple[str, str, Point, Point, float], ...] = (
    ("shoulder", "left_shoulder_roll_link", (0.0, 0.002, -0.001), (0.0, 0.006, -0.061), 0.049),
    ("upper_arm", "left_shoulder_yaw_link", (0.0, 0.0011, 0.0246), (-0.0037, 0.0019, -0.0358), 0.0347),
    ("elbow", "left_shoulder_yaw_link", (0.0090, -0.0041, -0.0713), (0.0138, -0.0048, -0.0803), 0.0446),
    ("forearm", "left_elbow_link", (0.001, 0.010, -0.004), (0.144, 0.000, -0.012), 0.039),
    ("palm", "left_wrist_yaw_link", (-0.005, 0.004, -0.006), (0.160, -0.021, -0.013), 0.036),
    ("thumb", "left_wrist_yaw_link", (0.008, 0.009, 0.012), (0.155, -0.021, 0.029), 0.038),
    ("chest", "torso_link", (0.022, 0.045, 0.040), (0.027, 0.055, 0.262), 0.053),
    ("back", "torso_link", (-0.016, 0.051, 0.037), (-0.015, 0.058, 0.262), 0.051),
    ("hip", "left_hip_pitch_link", (0.008, 0.033, -0.010), (0.003, 0.051, -0.030), 0.058),
    ("hip_side", "left_hip_roll_link", (0.026, 0.0, -0.114), (0.037, 0.0, -0.010), 0.058),
    ("thigh", "left_hip_yaw_link", (0.001, 0.0, -0.022), (-0.070, -0.008, -0.175), 0.061),
)


def _mirrored(point: Point) -> Point:
    return point[0], -point[1], point[2]


CAPSULES: tuple[Capsule, ...] = (
    *(Capsule(f"left_{part}", *row) for part, *row in _LEFT),  # type: ignore[arg-type]
    *(
        Capsule(f"right_{part}", link.replace("left_", "right_"), _mirrored(start), _mirrored(end), radius)
        for part, link, start, end, radius in _LEFT
    ),
    Capsule("trunk", "torso_link", (0.003, 0.0, 0.056), (0.006, 0.0, 0.235), 0.081),
    Capsule("head", "torso_link", (-0.003, 0.0, 0.303), (0.011, 0.0, 0.412), 0.081),
    Capsule("pelvis", "pelvis", (0.0, 0.0, -0.060), (0.0, 0.0, -0.100), 0.078),
)
"""Every capsule of the robot."""

_UPPER_ARM = ("upper_arm", "elbow")
_HAND = ("palm", "thumb")
_REACHING = ("forearm", *_HAND)
_LEGS = ("left_hip", "right_hip", "left_hip_side", "right_hip_side", "left_thigh", "right_thigh")
_TRUNK = ("trunk", "left_chest", "right_chest", "left_back", "right_back", "head")


def _pairs() -> tuple[tuple[str, str], ...]:
    """Return the pairs that can meet, without neighbours: arm against arm, each arm against the body and itself."""
    arm = (*_UPPER_ARM, *_REACHING)
    pairs = [(f"left_{a}", f"right_{b}") for a in arm for b in arm]
    for side, other in (("left", "right"), ("right", "left")):
        pairs += [(f"{side}_{a}", part) for a in _UPPER_ARM for part in _TRUNK]
        pairs += [(f"{side}_{a}", part) for a in _REACHING for part in (*_TRUNK, "pelvis", *_LEGS)]
        pairs += [(f"{side}_{a}", f"{other}_shoulder") for a in _REACHING]
        pairs += [(f"{side}_{a}", f"{side}_{b}") for a in _HAND for b in ("shoulder", *_UPPER_ARM)]
    return tuple(pairs)


PAIRS: tuple[tuple[str, str], ...] = _pairs()
"""The pairs of capsules whose distance is watched, by name."""

# Joints by threes, so that a few products of stacked matrices suffice: waist, shoulders, wrists, hips; and elbows.
_BLOCKS = np.array([[12, 13, 14], [15, 16, 17], [22, 23, 24], [19, 20, 21], [26, 27, 28], [0, 1, 2], [6, 7, 8]])
_ELBOWS = np.array([18, 25])
_MOTORS = np.concatenate([_BLOCKS.T.ravel(), _ELBOWS])
_LINKS = (
    *("torso_link", "left_shoulder_roll_link", "right_shoulder_roll_link", "left_shoulder_yaw_link"),
    *("right_shoulder_yaw_link", "left_elbow_link", "right_elbow_link", "left_wrist_yaw_link", "right_wrist_yaw_link"),
    *("left_hip_pitch_link", "right_hip_pitch_link", "left_hip_roll_link", "right_hip_roll_link"),
    *("left_hip_yaw_link", "right_hip_yaw_link", "pelvis"),
)


class Body:
    """Distances between the capsules of the robot.

    :param kinematics: where the links are.
    """

    def __init__(self, kinematics: Kinematics | None = None) -> None:
        tree = Kinematics() if kinematics is None else kinematics
        chains = {capsule.name: tree.chain(capsule.link)[0] for capsule in CAPSULES}
        terms = {joint.motor: joint_terms(joint) for chain in chains.values() for joint in chain}
        # pose(q) = A + sin(q) B + (1 - cos(q)) C of all joints at once: one product with (1, sin, cos).
        a, b, c = np.array([terms[motor] for motor in _MOTORS]).swapaxes(0, 1).reshape(3, len(_MOTORS), 16)
        spread = np.eye(len(_MOTORS))[:, :, None]
        self._terms = np.concatenate(
            [(a + c).reshape(1, -1), (spread * b).reshape(len(_MOTORS), -1), (-spread * c).reshape(len(_MOTORS), -1)]
        )  # (47, 23 x 16)
        self._frame = np.array([_LINKS.index(capsule.link) for capsule in CAPSULES])
        ends = np.array([[capsule.start, capsule.end] for capsule in CAPSULES])  # (C, 2, 3)
        self._rays = np.zeros((len(CAPSULES), 4, 2))  # start and direction, homogeneous
        self._rays[:, :3, 0], self._rays[:, 3, 0], self._rays[:, :3, 1] = ends[:, 0], 1.0, ends[:, 1] - ends[:, 0]
        names = [capsule.name for capsule in CAPSULES]
        first = np.array([names.index(name) for name, _ in PAIRS])
        second = np.array([names.index(name) for _, name in PAIRS])
        radius = np.array([capsule.radius for capsule in CAPSULES])
        self._radii = radius[first] + radius[second]
        length = ((ends[:, 1] - ends[:, 0]) ** 2).sum(axis=1)
        self._a, self._e = length[first], length[second]  # above 0: no capsule is a ball
        d1, d2, width = first + len(names), second + len(names), 2 * len(names)
        dots = [(d1, d2), (d1, first), (d1, second), (d2, first), (d2, second)]
        dots += [(first, first), (second, second), (first, second)]
        self._products = np.array([row * width + column for row, column in dots])  # (8, P)
        levers = {
            capsule.name: _levers([(joint.motor, joint.origin, joint.axis) for joint in chains[capsule.name]], capsule)
            for capsule in CAPSULES
        }
        self.levers = np.zeros((len(PAIRS), NUM_JOINTS))
        """How fast each distance changes at most with each joint (P, 29) [m/rad], for any configuration."""
        for row, (one, other) in enumerate(PAIRS):
            for motor in set(levers[one]) ^ set(levers[other]):
                self.levers[row, motor] = levers[one].get(motor, 0.0) + levers[other].get(motor, 0.0)

    def rays(self, q: DoubleArray) -> DoubleArray:
        """Return start and direction of every capsule's segment in the pelvis frame (N, C, 3, 2) [m].

        :param q: joint positions in motor order (N, 29) [rad].
        """
        n, joints = len(q), len(_MOTORS)
        angles = q.take(_MOTORS, axis=1)
        features = np.ones((n, 1 + 2 * joints))
        np.sin(angles, out=features[:, 1 : 1 + joints])
        np.cos(angles, out=features[:, 1 + joints :])
        local = features.dot(self._terms).reshape(n, joints, 4, 4)
        first = local[:, :7]
        second = first @ local[:, 7:14]
        third = second @ local[:, 14:21]
        on_torso = np.empty((n, 8, 4, 4))
        on_torso[:, :2], on_torso[:, 2:4] = second[:, 1:3], third[:, 1:3]
        np.matmul(third[:, 1:3], local[:, 21:], out=on_torso[:, 4:6])
        np.matmul(on_torso[:, 4:6], third[:, 3:5], out=on_torso[:, 6:])
        frames = np.empty((n, len(_LINKS), 4, 4))
        frames[:, 0] = third[:, 0]
        np.matmul(third[:, :1], on_torso, out=frames[:, 1:9])
        frames[:, 9:11], frames[:, 11:13], frames[:, 13:15], frames[:, 15] = (
            first[:, 5:],
            second[:, 5:],
            third[:, 5:],
            _I,
        )
        rays: DoubleArray = frames.take(self._frame, axis=1)[:, :, :3] @ self._rays
        return rays

    def segments(self, q: DoubleArray) -> DoubleArray:
        """Return both ends of every capsule's segment in the pelvis frame (N, C, 3, 2) [m], for drawing them.

        :param q: joint positions in motor order (N, 29) [rad].
        """
        return np.cumsum(self.rays(q), axis=-1)

    def distances(self, q: DoubleArray, pairs: NDArray[np.intp] | None = None) -> DoubleArray:
        """Return the distance between the surfaces of each of :data:`PAIRS` (N, P) [m]; negative when they overlap.

        :param q: joint positions in motor order (N, 29) [rad].
        :param pairs: rows of :data:`PAIRS` that are wanted, all without.
        """
        a, e, radii, which = self._a, self._e, self._radii, self._products
        if pairs is not None:
            a, e, radii, which = a[pairs], e[pairs], radii[pairs], which[:, pairs]
        n = len(q)
        vectors = self.rays(q).transpose(0, 2, 3, 1).reshape(n, 3, -1)  # (N, 3, 2C) starts, directions
        products = (vectors.swapaxes(1, 2) @ vectors).reshape(n, -1).take(which, axis=1)  # (N, 8, P)
        b, d1p1, d1p2, d2p1, d2p2, p1p1, p2p2, p1p2 = products.swapaxes(0, 1)
        gap = segment_distance(a, b, e, d1p1 - d1p2, d2p1 - d2p2, p1p1 + p2p2 - 2.0 * p1p2)
        gap -= radii
        return gap


def segment_distance(
    a: DoubleArray, b: DoubleArray, e: DoubleArray, c: DoubleArray, f: DoubleArray, rr: DoubleArray
) -> DoubleArray:
    """Return the distance between segments ``p1 + s d1`` and ``p2 + t d2``, s and t within 0 to 1; ``r = p1 - p2``.

    The nearest points of both lines, cut to the first segment; then the nearest to that on the second, cut; then the
    nearest to that on the first, cut.  Exact, also for parallel segments, where any first point will do (Ericson,
    "Real-Time Collision Detection", 2005, section 5.1.9).

    :param a: ``d1 d1``, above 0; ``b``: ``d1 d2``; ``e``: ``d2 d2``, above 0 [m^2].
    :param c: ``d1 r``; ``f``: ``d2 r``; ``rr``: ``r r`` [m^2].
    """
    s = _cut((b * f - c * e) / np.maximum(a * e - b * b, _TINY))
    t = _cut((b * s + f) / e)
    towards = b * t - c
    s = _cut(towards / a)
    squared = rr + s * (a * s - 2.0 * towards) + t * (e * t - 2.0 * f)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def _cut(share: DoubleArray) -> DoubleArray:
    """Return ``share`` within 0 to 1, in place."""
    np.maximum(share, 0.0, out=share)
    return np.asarray(np.minimum(share, 1.0, out=share))


_TINY = 1e-30
_I = np.eye(4)


def _levers(chain: list[tuple[int, DoubleArray, DoubleArray]], capsule: Capsule) -> dict[int, float]:
    """Return how far the capsule's segment can be from the axis of each joint that carries it [m].

    Whatever the joints after it do, the segment stays inside a ball around a joint's origin; the ball's radius grows
    up the chain by each offset.
    """
    ball = max(float(np.linalg.norm(capsule.start)), float(np.linalg.norm(capsule.end)))
    reach: dict[int, float] = {}
    offset: NDArray[np.float64] | None = None
    for motor, origin, axis in reversed(chain):
        if offset is None:
            off = max(_off_axis(np.array(end), axis) for end in (capsule.start, capsule.end))
            reach[motor] = off
        else:
            reach[motor] = _off_axis(offset, axis) + ball
            ball += float(np.linalg.norm(offset))
        offset = origin[:3, 3]
    return reach


def _off_axis(point: DoubleArray, axis: DoubleArray) -> float:
    """Return the distance of ``point`` from a line through the origin along ``axis``."""
    return float(np.linalg.norm(np.cross(point, axis)))


@cache
def body(mode_machine: int = 5) -> Body:
    """Return the capsules of the variant that reports ``mode_machine``.

    :raises RobotError: for a value that no G1 reports.
    """
    return Body(kinematics_of(mode_machine))
