"""Self-collision: whatever is asked, arms keep off the body and each other, inside every limit, and can leave."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from neon_ros.contracts import RobotState
from neon_ros.errors import ConfigError
from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.collision import SLACK
from neon_ros.guard.command import GuardStatus
from neon_ros.guard.config import GuardConfig
from neon_ros.guard.guard import Guard
from neon_ros.guard.limits import motion_limits
from neon_ros.guard.machine import State
from neon_ros.robot.capsules import CAPSULES, PAIRS, body
from neon_ros.robot.joints import JOINT_INDEX, JOINT_NAMES
from neon_ros.robot.kinematics import kinematics_of
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS

DT, T0 = 0.002, 100.0
Maker = Callable[..., RobotState]
Array = np.ndarray
LEFT_ROLL, RIGHT_ROLL = JOINT_INDEX["left_shoulder_roll_joint"], JOINT_INDEX["right_shoulder_roll_joint"]
LEFT_NAME = JOINT_NAMES[LEFT_ROLL]
LEFT, RIGHT = set(JOINT_NAMES[15:22]), set(JOINT_NAMES[22:29])
ARM = np.array([0.2, 0.25, 0.0, 0.6, 0.0, 0.0, 0.0])
MIRROR = np.array([1, -1, -1, 1, -1, 1, -1])
STAND = np.concatenate([[-0.312, 0, 0, 0.669, -0.363, 0] * 2, np.zeros(3), ARM, ARM * MIRROR])
SIMULATED = GuardConfig(simulated=True, arm_seconds=0.2)


def shares(variant: int = 5) -> Array:
    """Return the longest lever of each pair's arms as a part of the longest of all (P,)."""
    farthest = body(variant).levers[:, 15:].max(axis=1)
    return np.asarray(farthest / farthest.max())


def stops(variant: int) -> Array:
    """Return the stop distance of each pair (P,) [m], from its meaning: as the square of that part."""
    return np.asarray(SIMULATED.collision_stop * shares(variant) ** 2)


STOP, SLACKS = stops(5), SLACK * shares()


class Bench:
    """A guard and a robot that goes where it is told; the legs are where ``legs`` says in the arm_sdk modes."""

    def __init__(
        self,
        make: Maker,
        mode: str = "arms_only",
        variant: int = 5,
        start: Array = STAND,
        config: GuardConfig = SIMULATED,
    ) -> None:
        self.make, self.variant = make, variant
        self.guard = Guard(MODES[mode], config)
        self.guard.configure(VARIANTS[variant])
        self.present = VARIANTS[variant].present()
        self.q = start * self.present
        self.moved = np.isin(np.array(JOINT_NAMES), MODES[mode].joint_names) & self.present
        self.tick, self.sequence = 0, 0
        self.path: list[Array] = []
        self.flagged: list[set[str]] = []
        self.clearances: list[float] = []
        self.run(3)
        self.guard.request("arm", self.now)
        self.run(102)
        assert self.guard.machine.state is State.ACTIVE, self.guard.report().reason

    @property
    def now(self) -> float:
        return T0 + self.tick * DT

    def run(self, ticks: int, legs: Callable[[int], Array] | None = None) -> GuardStatus:
        """Run ``ticks`` periods; note where all joints are told to be, or are when they are not told."""
        for k in range(ticks):
            if legs is not None:
                self.q[:12] = legs(k)
            command = self.guard.step(self.make(self.now, q=self.q.copy(), mode_machine=self.variant), self.now)
            self.tick += 1
            if command.writes:
                self.q = np.where((command.kp > 0) & self.present, command.q, self.q)
                self.path.append(self.q.copy())
                status = self.guard.report()
                pairs = zip(status.limited_joints, status.limited_reasons, strict=True)
                self.flagged.append({joint for joint, reason in pairs if reason == "collision"})
                self.clearances.append(status.clearance)
        return self.guard.report()

    def ask(self, q: Array, ahead: int = 16) -> None:
        """Submit a chunk that asks for ``q`` (29,) or (H, 29) [rad] from now on."""
        self.sequence += 1
        rows = np.where(self.moved, np.broadcast_to(q, (ahead, 29)) if q.ndim == 1 else q, 0.0)
        still = np.zeros((len(rows), 3))
        self.guard.submit(AdmittedChunk(self.now - 0.02, 0.02, rows, self.moved, still, 1, self.sequence))

    def keep_asking(self, q: Array, seconds: float) -> None:
        """Ask for ``q`` again and again."""
        for _ in range(round(seconds / 0.1)):
            self.ask(q)
            self.run(50)

    def distances(self) -> Array:
        """Return the distances of every pair at every noted configuration (T, P) [m], by the oracle."""
        return np.concatenate(
            [distances(part, self.variant) for part in np.array_split(np.array(self.path), len(self.path) // 50)]
        )


def distances(q: Array, variant: int = 5) -> Array:
    """Return pair distances (T, P) [m] by the oracle: the tree's own kinematics, and another formula than the guard's.

    Two segments are nearest at an end of one of them or, where the feet of the common normal lie on both, there.
    """
    poses = kinematics_of(variant).poses(q)
    ends, radius = {}, {}
    for capsule in CAPSULES:
        pose = poses[capsule.link]
        ends[capsule.name] = [pose[:, :3, :3] @ np.array(p) + pose[:, :3, 3] for p in (capsule.start, capsule.end)]
        radius[capsule.name] = capsule.radius
    first = np.array([ends[a] for a, _ in PAIRS]).transpose(1, 2, 0, 3)  # (2, T, P, 3)
    second = np.array([ends[b] for _, b in PAIRS]).transpose(1, 2, 0, 3)

    def to_segment(point: Array, line: Array) -> Array:
        d = line[1] - line[0]
        share = np.clip(((point - line[0]) * d).sum(-1) / (d * d).sum(-1), 0.0, 1.0)
        return np.asarray(np.linalg.norm(point - line[0] - share[..., None] * d, axis=-1))

    least = np.min([to_segment(p, second) for p in first] + [to_segment(p, first) for p in second], axis=0)
    d1, d2, r = first[1] - first[0], second[1] - second[0], second[0] - first[0]
    normal = np.cross(d1, d2)
    size = np.maximum((normal * normal).sum(-1), 1e-30)
    s, t = (np.cross(r, d2) * normal).sum(-1) / size, (np.cross(r, d1) * normal).sum(-1) / size
    inside = (s > 0.0) & (s < 1.0) & (t > 0.0) & (t < 1.0)
    least = np.where(inside, np.minimum(least, np.abs((r * normal).sum(-1)) / np.sqrt(size)), least)
    return np.asarray(least - [radius[a] + radius[b] for a, b in PAIRS])


def pairs(*parts: str) -> list[int]:
    """Return the rows of pairs of which one capsule's name ends with one of ``parts``."""
    return [row for row, pair in enumerate(PAIRS) if any(name.endswith(parts) for name in pair)]


def check_limits(bench: Bench) -> None:
    """I2-I5 by finite differences."""
    rows = np.flatnonzero(bench.moved)
    limits, q = motion_limits(VARIANTS[bench.variant]).take(rows), np.array(bench.path)[:, rows]
    assert (q >= limits.lower - 1e-9).all() and (q <= limits.upper + 1e-9).all()
    for order, bound in enumerate((limits.velocity, limits.acceleration, limits.jerk), start=1):
        assert (np.abs(np.diff(q, n=order, axis=0)) / DT**order <= bound * (1 + 1e-6)).all(), order


def torment(bench: Bench, style: str, seed: int, seconds: float, still: slice = slice(0, 0)) -> None:
    """Ask for anything in the range: jumps, ways towards anything, noise; at times what was chosen to press."""
    rng = np.random.default_rng(seed)
    limits = motion_limits(VARIANTS[bench.variant])
    while bench.tick * DT < seconds:
        goal = rng.uniform(limits.lower, limits.upper)
        if style == "press":  # of many goals the one whose capsules overlap most
            goals = rng.uniform(limits.lower, limits.upper, (40, 29))
            goal = goals[distances(goals).min(axis=1).argmin()]
        share = np.linspace(0.0, rng.uniform(0.1, 1.0), 16)[:, None]
        q = {
            "jump": np.broadcast_to(goal, (16, 29)),
            "press": np.broadcast_to(goal, (16, 29)),
            "way": bench.q + (goal - bench.q) * share,
            "noise": rng.uniform(limits.lower, limits.upper, (16, 29)),
        }[style].copy()
        q[:, still] = STAND[still]
        bench.ask(q)
        bench.run(int(rng.integers(30, 150)))


# -- never nearer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["jump", "press", "way", "noise"])
@pytest.mark.parametrize(
    ("mode", "variant"), [("arms_only", 5), ("upper_body", 5), ("upper_body", 4), ("arms_only", 14), ("upper_body", 13)]
)
def test_arms_never_come_nearer_than_the_stop_distance(mode: str, variant: int, style: str, robot_state: Maker) -> None:
    bench = Bench(robot_state, mode, variant)
    torment(bench, style, seed=variant, seconds=1.6)
    near = bench.distances()
    stop = stops(variant)
    assert (near >= stop - 1e-9).all(), PAIRS[int((near - stop).min(axis=0).argmin())]
    assert bench.guard.report().limits_by_reason["collision"] > 0
    check_limits(bench)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    ("mode", "variant"), [("arms_only", 5), ("upper_body", 15), ("upper_body", 6), ("upper_body", 10)]
)
def test_arms_never_come_nearer_than_the_stop_distance_long(
    mode: str, variant: int, seed: int, robot_state: Maker
) -> None:
    bench = Bench(robot_state, mode, variant)
    torment(bench, ["jump", "press", "way", "noise"][seed % 4], seed, seconds=20.0)
    assert (bench.distances() >= stops(variant) - 1e-9).all()
    check_limits(bench)


@pytest.mark.parametrize("style", ["jump", "press", "noise"])
def test_in_whole_body_arms_keep_off_while_legs_and_waist_are_still(style: str, robot_state: Maker) -> None:
    bench = Bench(robot_state, "whole_body")
    torment(bench, style, seed=1, seconds=2.0, still=slice(0, 15))
    assert (bench.distances() >= STOP - 1e-9).all()
    assert bench.guard.report().limits_by_reason["collision"] > 0
    check_limits(bench)


def test_in_whole_body_nothing_but_arms_is_held_back(robot_state: Maker) -> None:
    """Legs and waist keep the balance; what moves with the torso is still kept apart."""
    bench = Bench(robot_state, "whole_body")
    torment(bench, "press", seed=2, seconds=2.5)
    on_torso = [row for row in range(len(PAIRS)) if not body().levers[row, :15].any()]
    assert len(on_torso) > 60
    assert (bench.distances()[:, on_torso] >= STOP[on_torso] - 1e-9).all()
    assert set().union(*bench.flagged) <= LEFT | RIGHT and set().union(*bench.flagged)
    check_limits(bench)


def test_no_contact_in_mujoco(robot_state: Maker) -> None:
    """The meshes' own convex hulls agree: nothing touches along a path that was asked to press."""
    mujoco = pytest.importorskip("mujoco")
    robot = pytest.importorskip("neon_ros.sim.model")
    model = robot.build_spec("stand").compile()
    data = mujoco.MjData(model)
    arms = {model.body(f"{side}_{link}_link").id for side, link in product(("left", "right"), ("elbow", "wrist_yaw"))}
    bench = Bench(robot_state, "upper_body")
    torment(bench, "press", seed=3, seconds=4.0)
    for q in bench.path[::10]:
        robot.place_robot(model, data, q)
        for contact in data.contact[: data.ncon]:
            bodies = {int(model.geom_bodyid[geom]) for geom in contact.geom}
            names = sorted(model.body(i).name for i in bodies)
            assert not bodies & arms or 0 in bodies or len(bodies) == 1, names


# -- slowed, then stopped --------------------------------------------------------------------------------------------


def test_an_arm_pressed_to_the_chest_is_slowed_then_stopped_and_the_other_moves_on(robot_state: Maker) -> None:
    bench = Bench(robot_state)
    goal = STAND.copy()
    goal[15:19] = 0.2, -0.8, 0.0, 0.6  # the left elbow through the ribs
    goal[22:26] = -0.4, -0.8, 0.0, 0.2
    bench.keep_asking(goal, 3.0)
    near = bench.distances()
    row = int((near - STOP)[-1].argmin())
    assert set(PAIRS[row]) <= {"left_upper_arm", "left_elbow", "left_forearm", "left_chest", "left_back", "trunk"}
    d = near[:, row]
    assert STOP[row] <= d[-1] <= STOP[row] + SLACKS[row] + 1e-3
    closing = -np.diff(d) / DT
    slow = SIMULATED.collision_slow
    threshold = STOP[row] + SLACKS[row]
    within = (d[1:] < slow) & (d[1:] > threshold)
    allowed = 0.05 + 0.45 * (d[1:] - threshold) / (slow - threshold)
    assert within.any() and closing.max() > 0.1
    assert (closing <= allowed + 0.05)[within].all()  # what it takes to brake
    assert (closing <= allowed + 0.002)[within & (d[1:] < threshold + 1e-3)].all()
    assert (np.abs(np.diff(np.array(bench.path)[-200:, 15:22], axis=0)) <= 0.01 * DT).all()  # at rest
    assert bench.flagged[-1] and all(flags <= LEFT for flags in bench.flagged)
    np.testing.assert_allclose(bench.path[-1][22:26], goal[22:26], atol=1e-9)
    counts = {(joint, reason): count for joint, reason, count in bench.guard.report().counts}
    assert counts["left_shoulder_roll_joint", "collision"] == sum(LEFT_NAME in flags for flags in bench.flagged)
    check_limits(bench)


def test_a_higher_stop_distance_stops_earlier(robot_state: Maker) -> None:
    rolls = []
    for times, slow in ((1.0, 0.04), (3.0, 0.1)):
        config = GuardConfig(simulated=True, arm_seconds=0.2, collision_stop=times * 0.01, collision_slow=slow)
        bench = Bench(robot_state, config=config, start=np.where(np.arange(29) == LEFT_ROLL, 0.6, STAND))
        bench.keep_asking(np.where(np.arange(29) == LEFT_ROLL, -0.8, STAND), 2.0)
        assert (bench.distances() >= times * STOP - 1e-9).all()
        rolls.append(bench.path[-1][LEFT_ROLL])
    assert rolls[0] + 0.005 < rolls[1] < 0.6


# -- always free to leave --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("roll", [0.0, -0.05, -0.1])
def test_a_robot_armed_with_its_arms_against_the_body_can_leave_but_not_press(roll: float, robot_state: Maker) -> None:
    start = STAND.copy()
    start[[LEFT_ROLL, RIGHT_ROLL]] = roll, -roll
    first = distances(start[None])[0]
    assert first.min() < STOP.min()
    inwards, outwards = start.copy(), STAND.copy()
    inwards[[LEFT_ROLL, RIGHT_ROLL]] += -0.3, 0.3
    outwards[[LEFT_ROLL, RIGHT_ROLL]] = 0.6, -0.6
    bench = Bench(robot_state, start=start)
    bench.keep_asking(inwards, 0.6)
    bench.keep_asking(outwards, 2.0)
    bench.keep_asking(inwards, 2.0)
    near = bench.distances()
    floor = np.minimum(STOP, first - 2.0 * SLACKS)
    assert (near >= floor - 1e-9).all()
    there = int(np.argmax(np.array(bench.path)[:, LEFT_ROLL]))
    assert bench.path[there][LEFT_ROLL] == pytest.approx(0.6, abs=2e-3)
    assert (near[there:] >= STOP - 1e-9).all()  # once out, the way back ends where it does for everyone
    check_limits(bench)


def test_an_arm_leaves_though_the_other_presses_on(robot_state: Maker) -> None:
    """Hands against each other: as one goes, the other, which follows, does not hold it."""
    start = STAND.copy()
    start[15:22] = -0.6, 0.1, 0.3, 0.3, 0.0, 0.0, 0.0
    start[22:29] = start[15:22] * MIRROR
    bench = Bench(robot_state, start=start)
    meet = start.copy()
    meet[[17, 24]] = -0.9, 0.9  # both forearms inwards
    bench.keep_asking(meet, 2.0)
    rows = [i for i, (a, b) in enumerate(PAIRS) if a.startswith("left") and b.startswith("right")]
    assert (bench.distances()[-1, rows] - STOP[rows]).min() < SLACK + 1e-3
    leave = meet.copy()
    leave[22:29] = start[22:29]
    bench.keep_asking(leave, 2.0)
    np.testing.assert_allclose(bench.path[-1][22:29], start[22:29], atol=1e-9)
    near = bench.distances()
    assert (near >= STOP - 1e-9).all()
    check_limits(bench)


def test_after_a_stop_the_reference_is_met_again_without_a_trace(robot_state: Maker) -> None:
    bench = Bench(robot_state)
    bench.keep_asking(np.where(np.arange(29) == LEFT_ROLL, -0.8, STAND), 1.5)
    assert bench.flagged[-1] and bench.flagged[-1] <= LEFT
    away = np.where(np.arange(29) == LEFT_ROLL, 0.7, STAND)
    bench.keep_asking(away, 2.0)
    assert not bench.flagged[-1] and bench.guard.report().limited_joints == ()
    np.testing.assert_allclose(bench.path[-1][15:], away[15:], atol=1e-12)
    check_limits(bench)


# -- legs that others move -------------------------------------------------------------------------------------------


def test_noise_of_measured_legs_does_not_let_a_hand_sink_into_a_thigh(robot_state: Maker) -> None:
    rng = np.random.default_rng(4)
    start = STAND.copy()
    start[15:19] = 0.0, 0.5, 0.0, 1.5
    bench = Bench(robot_state, start=start)
    goal = STAND.copy()
    goal[15:19] = 0.0, 0.05, 0.0, 1.5  # the left arm straight down, into the hip
    for _ in range(15):
        bench.ask(goal)
        bench.run(100, legs=lambda _: STAND[:12] + rng.normal(0.0, 3e-4, 12))
    rows = pairs("hip", "hip_side", "thigh")
    near = bench.distances()
    assert near[:, rows].min() < STOP.max() + 0.004
    assert (near[:, rows] >= STOP[rows] - 1.5e-3).all()


def test_a_leg_that_comes_does_not_move_an_arm_and_a_pressing_arm_does_not_follow(robot_state: Maker) -> None:
    start = STAND.copy()
    start[15:19] = 0.0, 0.45, 0.0, 1.5
    bench = Bench(robot_state, start=start)
    pressing = start.copy()
    pressing[LEFT_ROLL] = 0.1

    def legs(k: int) -> Array:
        q = STAND[:12].copy()
        q[1] += 0.3 * np.sin(min(k, 400) / 400 * np.pi)  # the left leg swings out and back
        return q

    bench.keep_asking(pressing, 1.5)
    begin = len(bench.path)
    for part in range(4):
        bench.ask(pressing)
        bench.run(100, legs=lambda k, first=100 * part: legs(first + k))
    rows = pairs("hip_side", "thigh")
    near, path = bench.distances()[begin:, rows], np.array(bench.path[begin:])
    closest = int(near.min(axis=1).argmin())
    # Where the leg came nearer than allowed, the arm did nothing to bring it nearer still.
    frozen = path.copy()
    frozen[1:, :12] = path[1:, :12]
    frozen[1:, 12:] = path[:-1, 12:]
    without = np.concatenate([distances(part) for part in np.array_split(frozen, 40)])[:, rows]
    crossing = near < STOP[rows] - 1e-9
    assert near[closest].min() < STOP[rows].max()
    assert (near[crossing] >= without[crossing] - 1e-5).all()


# -- transparency and report -----------------------------------------------------------------------------------------


def wave(bench: Bench, seconds: float) -> None:
    """Ask for a smooth swing of both arms in front of the body, clear of it, in chunks of one motion."""
    begin = bench.now

    def motion(t: Array) -> Array:
        rise = np.clip(t / 0.8, 0, 1)[:, None]
        rise = rise**4 * (35 - 84 * rise + 70 * rise**2 - 20 * rise**3)
        size = np.zeros(29)
        size[15:22], size[22:29] = 0.2, 0.2 * MIRROR
        return (
            STAND
            + np.where(np.arange(29) == LEFT_ROLL, 0.4, np.where(np.arange(29) == RIGHT_ROLL, -0.4, 0.0)) * rise
            + size * rise * np.sin(3.0 * t[:, None])
        )

    while bench.now - begin < seconds:
        bench.ask(motion(np.maximum(bench.now - 0.02 + 0.02 * np.arange(16) - begin, 0.0)))
        bench.run(50)


def test_a_clear_motion_is_reproduced_to_the_bit(robot_state: Maker) -> None:
    watched = Bench(robot_state, start=STAND)
    free = Bench(robot_state, start=STAND, config=GuardConfig(simulated=True, arm_seconds=0.2, self_collision=False))
    for bench in (watched, free):
        wave(bench, 3.0)
    np.testing.assert_array_equal(np.array(watched.path), np.array(free.path))
    assert watched.guard.report().limits_by_reason["collision"] == 0
    assert free.guard.report().clearance == -1.0


def test_clearance_is_the_least_distance_or_less(robot_state: Maker) -> None:
    guard = Guard(MODES["arms_only"])
    assert guard.report().clearance == -1.0
    bench = Bench(robot_state, "upper_body")
    torment(bench, "way", seed=5, seconds=3.0)
    least = bench.distances().min(axis=1)
    reported = np.array(bench.clearances)
    assert (reported <= least + 1e-9).all()
    near = least < STOP.min() + SLACKS.min()
    np.testing.assert_allclose(reported[near], least[near], atol=1e-9)
    assert np.median(least - reported) < 0.03


def test_the_stop_that_a_request_makes_is_watched_too(robot_state: Maker) -> None:
    """A stop needs no leave: the state it starts from has one in reserve."""
    bench = Bench(robot_state)
    bench.ask(np.where(np.arange(29) == LEFT_ROLL, -0.8, STAND))
    bench.run(60)
    bench.guard.request("stop", bench.now)
    bench.run(200)
    assert (bench.distances() >= STOP - 1e-9).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"self_collision": False}, r"guard.self_collision: got False; allowed: True unless simulated"),
        ({"self_collision": 1}, r"guard.self_collision: got 1; allowed: bool"),
        ({"collision_stop": 0.005}, r"guard.collision_stop: got 0.005; allowed: 0.01 to 0.05 m"),
        ({"collision_slow": 0.03}, r"guard.collision_slow: got 0.03; allowed: 0.04 to 0.2 m"),
        (
            {"collision_stop": 0.05, "collision_slow": 0.06},
            r"guard.collision_slow: got 0.06; allowed: at least 0.02 m above collision_stop, 0.05 m",
        ),
    ],
)
def test_settings_may_only_tighten(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GuardConfig(**changes)  # type: ignore[arg-type]
    assert not GuardConfig(simulated=True, self_collision=False).self_collision
