"""The limiter under adversarial references: I1 to I6, I9 of the safety card, judged by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import ruckig
from hypothesis import given, settings
from hypothesis import strategies as st

from neon_ros.errors import ConfigError
from neon_ros.guard.limiter import ACCELERATION, COLLISION, JERK, POSITION, VELOCITY, Limiter, Reference
from neon_ros.guard.limits import MotionLimits

DT = 0.002


def _limits(n: int, rng: np.random.Generator | None = None) -> MotionLimits:
    """Return the same limits for ``n`` joints, or random ones."""
    if rng is None:
        return MotionLimits(-np.ones(n), np.ones(n), np.full(n, 4.0), np.full(n, 40.0), np.full(n, 2000.0))
    return MotionLimits(
        -rng.uniform(0.2, 3, n),
        rng.uniform(0.2, 3, n),
        rng.uniform(1, 12, n),
        rng.uniform(10, 100, n),
        rng.uniform(500, 8000, n),
    )


def _reference(q: np.ndarray, *rates: np.ndarray) -> Reference:
    """Return a reference at ``q`` with the given velocity, acceleration and jerk, zero where not given."""
    rows = [q, *rates, *([np.zeros_like(q)] * (3 - len(rates)))]
    return Reference(np.stack(rows), np.abs(rows[3]))


class _Adversary:
    """References for n joints that jump, shake, wander, lie about their rates and leave the range."""

    def __init__(self, limits: MotionLimits, rng: np.random.Generator) -> None:
        n = len(limits.lower)
        self.rng, self.n = rng, n
        self.middle, self.half = (limits.lower + limits.upper) / 2, (limits.upper - limits.lower) / 2
        self.kind = rng.integers(0, 6, n)
        self.rate = 2 * np.pi * rng.uniform(0.2, 8, n)
        self.size = rng.uniform(0.2, 1.5, n) * self.half
        self.target, self.walk, self.edge = self.middle.copy(), np.zeros(n), limits.upper

    def at(self, t: float) -> Reference:
        """Return the references at ``t``."""
        rng, n = self.rng, self.n
        thrown = self.middle + rng.uniform(-1.5, 1.5, n) * self.half
        self.target = np.where(rng.random(n) < 0.02, thrown, self.target)
        self.walk = self.walk + rng.normal(size=n) * 0.05
        wave, slope = np.sin(self.rate * t), np.cos(self.rate * t)
        sine = self.middle + self.size * wave
        q = np.choose(self.kind, [self.target, sine, thrown, self.middle + self.walk, self.edge, sine])
        honest, liar = self.kind == 1, self.kind == 5
        v = np.where(honest, self.size * self.rate * slope, np.where(liar, rng.normal(size=n) * 10, 0.0))
        a = np.where(honest, -self.size * self.rate**2 * wave, np.where(liar, rng.normal(size=n) * 100, 0.0))
        j = np.where(honest, -self.size * self.rate**3 * slope, np.where(liar, rng.normal(size=n) * 9000, 0.0))
        return _reference(q, v, a, j)


def _check_path(path: np.ndarray, limits: MotionLimits) -> None:
    """Check positions (ticks, n) against I1 to I5 by finite differences."""
    assert np.isfinite(path).all()
    assert (path >= limits.lower - 1e-9).all() and (path <= limits.upper + 1e-9).all()
    noise = 8 * np.finfo(float).eps * np.abs(path).max()  # rounding of the positions themselves
    for order, (bound, tolerance) in enumerate(
        ((limits.velocity, 1e-9), (limits.acceleration, 1e-6), (limits.jerk, 1e-6)), start=1
    ):
        rate = np.abs(np.diff(path, n=order, axis=0)) / DT**order
        assert (rate <= bound * (1 + tolerance) + noise / DT**order).all(), f"order {order}"


def _flown_brake_extent(
    q: np.ndarray, v: np.ndarray, a: np.ndarray, acceleration: np.ndarray, jerk: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return lowest and highest position while braking by a naive bang-bang law in steps of 20 microseconds.

    The law knows nothing of the closed form: it pushes the acceleration towards ``-sign(v)`` times the largest from
    which it can still return to zero when the velocity does.
    """
    h = 2e-5
    q, v, a = q.copy(), v.copy(), a.copy()
    low, high = q.copy(), q.copy()
    for _ in range(40_000):
        wanted = -np.sign(v) * np.minimum(np.sqrt(2 * jerk * np.abs(v)), acceleration)
        change = np.clip(wanted - a, -jerk * h, jerk * h)
        q, v, a = q + h * v + 0.5 * h * h * a, v + h * (a + 0.5 * change), a + change
        low, high = np.minimum(low, q), np.maximum(high, q)
        if (np.abs(v) < 1e-3).all() and (np.abs(a) < 0.5).all():
            break
    return low, high


def _fly(limiter: Limiter, adversary: _Adversary, ticks: int, start: np.ndarray) -> np.ndarray:
    """Return the positions (ticks + 1, n) while the limiter follows the adversary, stopping now and then."""
    limiter.start(start)
    path = [limiter.state[0]]
    for k in range(ticks):
        if k % 700 > 650:
            limiter.stop()
        else:
            if k % 97 == 0:
                limiter.part()
            limiter.step(adversary.at(k * DT))
        path.append(limiter.state[0])
    return np.array(path)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_reference_breaks_a_limit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    limits = _limits(256, rng)
    path = _fly(Limiter(limits, DT), _Adversary(limits, rng), 2000, rng.uniform(limits.lower, limits.upper))
    _check_path(path, limits)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 40))
def test_no_reference_breaks_a_limit_long(seed: int) -> None:
    rng = np.random.default_rng(seed)
    limits = _limits(1024, rng)
    path = _fly(Limiter(limits, DT), _Adversary(limits, rng), 8000, rng.uniform(limits.lower, limits.upper))
    _check_path(path, limits)


def test_a_joint_moves_the_same_to_the_bit_alone_and_among_others() -> None:
    rng = np.random.default_rng(9)
    limits = _limits(40, rng)
    start = rng.uniform(limits.lower - 0.05, limits.upper + 0.05)
    adversary = _Adversary(limits, rng)
    references = [adversary.at(k * DT) for k in range(700)]

    def fly(joints: np.ndarray) -> tuple[bytes, bytes]:
        limiter = Limiter(limits.take(joints), DT)
        limiter.start(start[joints])
        states, reasons = [], []
        for k, (derivatives, peak) in enumerate(references):
            if k % 50 == 0:
                limiter.meet()
            limiter.stop() if k % 300 > 280 else limiter.step(Reference(derivatives[:, joints], peak[joints]))
            states.append(limiter.state[:, joints == 7])
            reasons.append(limiter.reasons[joints == 7])
        return np.array(states).tobytes(), np.array(reasons).tobytes()

    for seed in range(12):
        adversary.kind = np.roll(adversary.kind, 1)
        references = [adversary.at(k * DT) for k in range(700)]
        some = np.sort(np.append(np.setdiff1d(np.random.default_rng(seed).permutation(40)[:20], [7]), 7))
        assert fly(np.array([7])) == fly(np.arange(40)) == fly(some)


def test_brake_replaces_the_last_step_of_some_joints_by_their_quickest_stop() -> None:
    limits = _limits(4)
    limiter, twin = Limiter(limits, DT), Limiter(limits, DT)
    for one in (limiter, twin):
        one.start(np.array([0.0, 0.0, 0.0, 1.3]))
        one.part()
        for _ in range(60):
            one.step(_reference(np.array([0.8, 0.8, 0.8, -0.5])))
    limiter.step(_reference(np.array([0.8, 0.8, 0.8, -0.5])))
    some = np.array([True, False, False, True])
    limiter.brake(some)
    stepped = limiter.state.copy()
    twin.stop()
    np.testing.assert_array_equal(stepped[:, some], twin.state[:, some])
    assert (stepped[0, ~some] > twin.state[0, ~some]).all()
    assert limiter.reasons[some].tolist() == [COLLISION] * 2
    limiter.step(_reference(np.array([0.8, 0.8, 0.8, 1.4])))
    assert limiter.state[0, 3] <= twin.state[0, 3] + 1e-9, "the range has closed behind the braked joint"


def test_derated_joints_slow_down_within_their_limits() -> None:
    limits, rows = _limits(3), np.array([2, 0, 1])
    limiter = Limiter(limits, DT)
    limiter.start(np.full(3, -0.9))
    path = [limiter.state[0]]
    part = np.array([0.5, 1.0, 0.25])
    for k in range(500):
        if k == 100:
            limiter.derate(part, rows)
        limiter.step(_reference(np.full(3, 0.9)))
        path.append(limiter.state[0])
        if k > 200:
            assert (np.abs(limiter.state[1]) <= 4.0 * part[rows] * (1 + 1e-9)).all()
    _check_path(np.array(path), limits)
    limiter.derate(1.0, rows)
    np.testing.assert_array_equal(limiter.limits.velocity, limits.velocity)


def test_every_state_can_stop_inside_the_range() -> None:
    rng = np.random.default_rng(5)
    limits = _limits(128, rng)
    limiter, adversary = Limiter(limits, DT), _Adversary(limits, rng)
    limiter.start(rng.uniform(limits.lower, limits.upper))
    for k in range(400):
        limiter.step(adversary.at(k * DT))
        if k % 80 == 79:
            low, high = _flown_brake_extent(*limiter.state, limits.acceleration, limits.jerk)
            assert (low >= limits.lower - 2e-3).all() and (high <= limits.upper + 2e-3).all()  # the oracle's own slack


def test_reference_inside_the_limits_comes_out_bit_for_bit() -> None:
    n = 64
    rng = np.random.default_rng(2)
    limits = _limits(n)
    size, rate = rng.uniform(0.05, 0.4, n), rng.uniform(0.5, 6.0, n)
    size = np.minimum(size, 0.9 * np.minimum(4.0 / rate, np.minimum(40.0 / rate**2, 2000.0 / rate**3)))

    def at(t: float) -> Reference:
        wave, slope = np.cos(rate * t), np.sin(rate * t)
        jerk = size * rate**3 * slope
        rows = np.stack([size * wave, -size * rate * slope, -size * rate**2 * wave, jerk])
        return Reference(rows, np.abs(jerk))

    limiter = Limiter(limits, DT)
    limiter.start(at(0.0).derivatives[0])
    limiter.state = at(0.0).derivatives[:3]
    limiter.meet()
    for k in range(1, 2000):
        reference = at(k * DT)
        limiter.step(reference)
        np.testing.assert_array_equal(limiter.state, reference.derivatives[:3])
        assert not limiter.reasons.any()


def test_catches_a_moving_reference_and_then_passes_it_on() -> None:
    limits = _limits(1)
    limiter = Limiter(limits, DT)
    limiter.start(np.array([-0.4]))
    path, caught = [limiter.state[0]], None
    for k in range(1, 1500):
        t = k * DT
        reference = _reference(
            *(np.array([x]) for x in (0.3 * np.sin(2 * t), 0.6 * np.cos(2 * t), -1.2 * np.sin(2 * t)))
        )
        reference = Reference(np.vstack([reference.derivatives[:3], [[-2.4 * np.cos(2 * t)]]]), np.array([2.4]))
        if k == 1:
            limiter.part()
        limiter.step(reference)
        path.append(limiter.state[0])
        if caught is None and not limiter.reasons.any():
            caught = k
    assert caught is not None and caught * DT < 0.4
    np.testing.assert_array_equal(limiter.state, reference.derivatives[:3])
    _check_path(np.array(path), limits)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ((3.0, 0.0, 0.0, 0.0), POSITION),
        ((0.5, 9.0, 0.0, 0.0), VELOCITY),
        ((0.5, 0.0, 90.0, 0.0), ACCELERATION),
        ((0.5, 0.0, 0.0, 0.0), JERK),
    ],
)
def test_says_which_limit_held_the_joint_back(rows: tuple[float, ...], code: int) -> None:
    limiter = Limiter(_limits(2), DT)
    limiter.start(np.zeros(2))
    pair = np.array(rows)[:, None] * np.array([1.0, 0.0])
    limiter.step(Reference(pair, np.abs(pair[3])))
    assert limiter.reasons.tolist() == [code, 0]


def test_reference_beyond_the_range_ends_at_its_edge() -> None:
    limiter = Limiter(_limits(1), DT)
    limiter.start(np.zeros(1))
    for _ in range(2000):
        limiter.step(_reference(np.array([1.4])))
    np.testing.assert_allclose(limiter.state[0], [1.0], atol=1e-5)
    assert limiter.state[0] <= 1.0
    assert limiter.reasons[0] == POSITION


@settings(max_examples=10, deadline=None)
@given(start=st.floats(1.0, 1.4), wanted=st.floats(-2.0, 2.0))
def test_from_outside_the_range_moves_only_inwards(start: float, wanted: float) -> None:
    limiter = Limiter(_limits(1), DT)
    limiter.start(np.array([start]))
    last = start
    for _ in range(800):
        limiter.step(_reference(np.array([wanted])))
        now = float(limiter.state[0, 0])
        assert now <= last + 1e-9 or now <= 1.0
        last = now
    assert last <= 1.0 + 1e-6 or wanted > 1.0


def test_a_joint_that_came_back_into_the_range_does_not_leave_it_again() -> None:
    """Begun outside, thrown about: a stop that begins just inside must not lead out again."""
    n, worst = 512, 0.0
    limits = _limits(n)
    limiter = Limiter(limits, DT)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        limiter.start(1.0 + rng.uniform(0.0, 0.3, n) * rng.choice([1.0, 0.01], n))
        last = limiter.state[0]
        for _ in range(300):
            rows = np.stack([rng.uniform(0.9, 1.3, n), *(rng.normal(0, size, n) for size in (3.0, 60.0, 3000.0))])
            limiter.step(Reference(rows, np.abs(rows[3])))
            now = limiter.state[0]
            worst = max(worst, float((np.maximum(now, 1.0) - np.maximum(last, 1.0)).max()))
            last = now
    assert worst <= 1e-9


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 1, 2, 3])
def test_reference_that_is_not_finite_means_stop(bad: float, row: int) -> None:
    limits = _limits(3)
    limiter = Limiter(limits, DT)
    limiter.start(np.zeros(3))
    path = [limiter.state[0]]
    for k in range(400):
        rows = np.zeros((4, 3))
        rows[0] = 0.5
        if k > 50:
            rows[row, 1] = bad
        limiter.step(Reference(rows, np.abs(rows[3])))
        path.append(limiter.state[0])
    assert not limiter.state[1:].any()
    assert limiter.reasons.tolist() == [POSITION] * 3
    _check_path(np.array(path), limits)


@pytest.mark.parametrize("how", ["raises", "fails"])
def test_planner_that_finds_no_way_means_stop(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    class Broken:
        def reset(self) -> None:
            pass

        def update(self, *_: object) -> ruckig.Result:
            if how == "raises":
                raise ruckig.RuckigError("no way")
            return ruckig.Result.ErrorExecutionTimeCalculation

    limits = _limits(2)
    limiter = Limiter(limits, DT)
    limiter.start(np.zeros(2))
    path = [limiter.state[0]]
    for k in range(300):
        if k == 60:
            monkeypatch.setattr(limiter, "_otg", Broken())
        limiter.step(_reference(np.full(2, 0.9)))
        path.append(limiter.state[0])
    assert not limiter.state[1:].any()
    _check_path(np.array(path), limits)


@pytest.mark.parametrize("period", [0.0, -0.002, 1.0, float("nan")])
def test_period_out_of_range_is_refused(period: float) -> None:
    with pytest.raises(ConfigError, match=r"limiter period: got .*; allowed: 0\.0001 to 0\.1 s"):
        Limiter(_limits(1), period)
