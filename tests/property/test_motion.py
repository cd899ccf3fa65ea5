"""I1 to I6, I9 and I19 for millions of joint-trajectories: the real limiter and timeline, many joints side by side.

A *joint-trajectory* is one joint under one reference (or one chunk), begun in whatever state the last one left it in.
The limiter does not know how many joints it has, so thousands ride in one: that is the only difference from a robot.
``NEON_PROOF=0.1`` shortens every count for a quick look; the counts of a full run are those of the safety card.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

pytest.importorskip("ruckig")

from neon_ros.guard.admission import AdmittedChunk
from neon_ros.guard.limiter import REASONS, Limiter, Reference
from neon_ros.guard.limits import MotionLimits
from neon_ros.guard.timeline import Timeline
from oracles import robot
from oracles.adversary import HUGE, Adversary
from oracles.motion import Bounds, Brake, Spline, Worst, flown_stop
from oracles.parallel import PROCESSES, spread
from oracles.scale import scaled

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
DT = 0.002
WIDTH = 2048  # joints side by side
BLOCK = 25  # ticks of one trajectory, at least
ADVERSARIES = scaled(70_000_000)  # joint-ticks
SEAMS = scaled(55_000_000)
JOINT_TICKS = scaled(250_000_000)
TRAJECTORIES = scaled(5_000_000)
TRANSPARENT = scaled(1_000_000)  # joint-chunks
BRAKED = scaled(1_000_000)


def bounds_of(rng: np.random.Generator, n: int) -> Bounds:
    """Return the limits of ``n`` joints: half of them the G1's own, half drawn at random."""
    joints = rng.integers(0, 29, n)
    margin, dynamics = robot.MARGIN, robot.DYNAMICS[joints]
    g1 = [robot.LOWER[joints] + margin, robot.UPPER[joints] - margin, *dynamics.T]
    drawn = [
        -rng.uniform(0.2, 3, n),
        rng.uniform(0.2, 3, n),
        rng.uniform(1, 12, n),
        rng.uniform(10, 100, n),
        rng.uniform(500, 8000, n),
    ]
    return Bounds(*(np.where(np.arange(n) % 2, a, b) for a, b in zip(g1, drawn, strict=True)))


@dataclass
class Flight:
    """What was seen on the way."""

    worst: Worst = field(default_factory=Worst)
    trajectories: int = 0
    state_excess: np.ndarray = field(default_factory=lambda: np.zeros(2))
    braked: int = 0
    beyond: float = 0.0
    silent_changes: int = 0  # the output differed from the reference and no reason was given
    reasons: np.ndarray = field(default_factory=lambda: np.zeros(len(REASONS), dtype=np.int64))

    def add(self, other: Flight) -> Flight:
        """Take in what another process saw."""
        self.worst.add(other.worst)
        self.trajectories += other.trajectories
        self.state_excess = np.maximum(self.state_excess, other.state_excess)
        self.braked += other.braked
        self.beyond = max(self.beyond, other.beyond)
        self.silent_changes += other.silent_changes
        self.reasons = self.reasons + other.reasons
        return self

    def tick(self, limiter: Limiter, reference: np.ndarray) -> None:
        """Look at one period that followed ``reference`` (4, n)."""
        differs = limiter.state[0] != reference[0]
        self.silent_changes += int((differs & (limiter.reasons == 0)).sum())

    def block(self, limiter: Limiter, path: np.ndarray, bounds: Bounds, brake: Brake) -> None:
        """Look at a block of positions and at the state at its end."""
        self.worst.judge(path, bounds, DT)
        rates = np.abs(limiter.state[1:]) / np.stack([bounds.velocity, bounds.acceleration]) - 1.0
        self.state_excess = np.maximum(self.state_excess, rates.max(axis=1))
        self.reasons = self.reasons + np.bincount(limiter.reasons, minlength=len(REASONS))
        self.braked += path.shape[1]
        # A joint that began outside need only not be carried further out.
        already = np.maximum(np.maximum(bounds.lower - path, path - bounds.upper), 0.0).max(axis=0)
        self.beyond = max(self.beyond, float((brake.beyond(limiter.state) - already).max()))


def fly_against_an_adversary(seed: int, ticks: int) -> Flight:
    """Let the limiter follow references that no policy should send."""
    rng = np.random.default_rng(seed)
    bounds = bounds_of(rng, WIDTH)
    limiter, adversary, brake, flight = (
        Limiter(MotionLimits(*bounds), DT),
        Adversary(bounds, rng),
        Brake(bounds),
        Flight(),
    )
    path, holding = np.empty((BLOCK + 3, WIDTH)), False
    for block in range(ticks // BLOCK):
        if block % 80 == 0:  # a new start anywhere, a few outside the range
            q = rng.uniform(bounds.lower, bounds.upper)
            out = rng.random(WIDTH) < 0.02
            limiter.start(np.where(out, bounds.upper + rng.uniform(0, 0.5, WIDTH), q))
            path[-3:] = limiter.state[0]
        path[:3] = path[-3:]
        if rng.random() < 0.8:  # else the last one goes on
            adversary.draw()
        holding = rng.random() < 0.15 or (holding and rng.random() < 0.7)  # HOLD: stops, and goes on later from rest
        blind = rng.random() < 0.1
        for k in range(BLOCK):
            if holding and k >= 5:
                limiter.stop()
            else:
                rows = adversary.at((block * BLOCK + k) * DT)
                if blind and k % 25 == 7:
                    rows[rng.integers(4), rng.integers(WIDTH)] = rng.choice([np.nan, np.inf, -np.inf])
                if k == 0 or rng.random() < 0.02:  # a late period, a jump
                    limiter.part()
                limiter.step(Reference(rows, np.abs(rows[3])))
                flight.tick(limiter, rows)
            path[k + 3] = limiter.state[0]
        flight.block(limiter, path, bounds, brake)
    flight.trajectories = adversary.trajectories
    assert (adversary.kind == HUGE).any()
    return flight


def chunk_for(rng: np.random.Generator, bounds: Bounds, t0: float, number: int) -> AdmittedChunk:
    """Return a chunk whose joints each do something of their own: tame or wild waves, steps, ramps, noise, all out of
    step with the last chunk."""
    n = len(bounds.lower)
    horizon, dt = int(rng.integers(4, 21)), float(rng.uniform(0.01, 0.04))
    t = dt * np.arange(horizon)[:, None]
    middle, half = (bounds.lower + bounds.upper) / 2, (bounds.upper - bounds.lower) / 2
    rate = 2 * np.pi * rng.uniform(0.1, 4.0, n)
    fits = np.minimum(np.minimum(bounds.velocity / rate, bounds.acceleration / rate**2), bounds.jerk / rate**3)
    tame = np.minimum(0.5 * fits, 0.9 * half)
    wave = np.sin(rate * (t + t0) + rng.uniform(0, 6.3, n))
    wild = rng.uniform(-1, 1, (horizon, n)) * half
    place = middle + rng.uniform(-1.2, 1.2, n) * half
    q = np.choose(
        rng.integers(0, 5, n),
        [middle + tame * wave, middle + half * wave, place + 0 * t, place + rng.normal(size=n) * 3 * t, middle + wild],
    )
    q = np.clip(q, bounds.lower - 0.5, bounds.upper + 0.5)  # what admission lets through
    return AdmittedChunk(t0, dt, q, np.ones(n, dtype=bool), np.zeros((horizon, 3)), 1, number)


def fly_along_chunks(seed: int, ticks: int) -> Flight:
    """Let limiter and timeline follow chunks that do not fit each other, late, early and with pauses between."""
    rng = np.random.default_rng(seed)
    bounds = bounds_of(rng, WIDTH)
    limits = MotionLimits(*bounds)
    limiter, timeline, brake, flight = Limiter(limits, DT), Timeline(limits), Brake(bounds), Flight()
    path = np.empty((BLOCK + 3, WIDTH))
    for block in range(ticks // BLOCK):
        if block % 120 == 0:
            limiter.start(rng.uniform(bounds.lower, bounds.upper))
            path[-3:] = limiter.state[0]
            timeline.clear()
        path[:3] = path[-3:]
        begin = block * BLOCK * DT
        age = rng.uniform(0.0, 0.06)
        if rng.random() < 0.93:  # else the last chunk runs out: slow to rest
            timeline.join(chunk_for(rng, bounds, begin - age, block), begin, *limiter.state)
            limiter.meet()
            flight.trajectories += WIDTH
        stops = BLOCK if rng.random() < 0.9 else int(rng.integers(1, BLOCK))  # HOLD and back
        for k in range(BLOCK):
            now = begin + (k + 1) * DT
            if k >= stops or timeline.chunk is None:
                limiter.stop()
            else:
                reference = timeline.sample(now).reference
                limiter.step(reference)
                flight.tick(limiter, reference.derivatives)
            path[k + 3] = limiter.state[0]
        flight.block(limiter, path, bounds, brake)
    return flight


def fly_transparently(seed: int, chunks: int) -> tuple[Flight, float, int]:
    """Let limiter and timeline follow chunks inside the limits, from the state in which each begins.

    :returns: with the flight, the largest distance from a knot [rad] and the joint-ticks that were held back.
    """
    rng = np.random.default_rng(seed)
    bounds = bounds_of(rng, WIDTH)
    limits = MotionLimits(*bounds)
    limiter, timeline, brake, flight = Limiter(limits, DT), Timeline(limits), Brake(bounds), Flight()
    horizon, dt, every = 16, 0.02, 10  # the chunk of the design; knots fall on ticks
    path = np.empty(((horizon - 1) * every + 3, WIDTH))
    farthest, held = 0.0, 0
    t = dt * np.arange(horizon)[:, None]
    for number in range(chunks):
        rate = 2 * np.pi * rng.uniform(0.1, 4.0, WIDTH)
        fits = np.minimum(np.minimum(bounds.velocity / rate, bounds.acceleration / rate**2), bounds.jerk / rate**3)
        middle, half = (bounds.lower + bounds.upper) / 2, (bounds.upper - bounds.lower) / 2
        size = np.minimum(rng.uniform(0.0, 0.75, WIDTH) * fits, 0.7 * half)
        place = middle + rng.uniform(-0.1, 0.1, WIDTH) * half
        q = place + size * np.sin(rate * t + rng.uniform(0, 6.3, WIDTH))
        begin = number * 10.0
        wanted = Spline(q, dt)
        limiter.start(q[0])
        limiter.state = wanted.at(0.0)
        timeline.clear()
        chunk = AdmittedChunk(begin, dt, q, np.ones(WIDTH, dtype=bool), np.zeros((horizon, 3)), 1, number)
        timeline.join(chunk, begin, *limiter.state)
        limiter.meet()
        path[:3] = (
            wanted.at(0.0)[0] + np.arange(-2, 1)[:, None] * DT * wanted.at(0.0)[1]
        )  # as if it had come at that speed
        path[:3] += (np.arange(-2, 1)[:, None] * DT) ** 2 / 2 * wanted.at(0.0)[2]
        for k in range(1, (horizon - 1) * every + 1):
            reference = timeline.sample(begin + k * DT).reference
            limiter.step(reference)
            flight.tick(limiter, reference.derivatives)
            if k < (horizon - 1) * every:  # at the last knot the way to rest begins, which may ask for more
                held += int(np.count_nonzero(limiter.reasons))
            path[k + 2] = limiter.state[0]
            if k % every == 0:
                farthest = max(farthest, float(np.abs(limiter.state[0] - q[k // every]).max()))
            elif k == 14:  # and between the knots, by a spline solved another way
                farthest = max(farthest, float(np.abs(limiter.state - wanted.at(k * DT))[0].max()))
        flight.trajectories += WIDTH
        flight.block(limiter, path, bounds, brake)
    return flight, farthest, held


def _flown(work: object, joint_ticks: int, seed: int) -> Flight:
    shares = 4 * PROCESSES
    ticks = -(-joint_ticks // (WIDTH * BLOCK * shares)) * BLOCK
    whole, *others = spread(work, [(seed + i, ticks) for i in range(shares)])  # type: ignore[arg-type]
    for other in others:
        whole.add(other)
    return whole


@pytest.fixture(scope="module")
def transparent() -> tuple[Flight, float, int]:
    """The flight along chunks inside the limits: what it saw, the farthest from a knot, joint-ticks held back."""
    shares = 4 * PROCESSES
    parts = spread(fly_transparently, [(3000 + i, -(-TRANSPARENT // (WIDTH * shares))) for i in range(shares)])
    whole = parts[0][0]
    for part in parts[1:]:
        whole.add(part[0])
    return whole, max(part[1] for part in parts), sum(part[2] for part in parts)


@pytest.fixture(scope="module")
def flight(transparent: tuple[Flight, float, int]) -> Flight:
    """All flights of one run."""
    whole = _flown(fly_against_an_adversary, ADVERSARIES, 1000).add(_flown(fly_along_chunks, SEAMS, 2000))
    return whole.add(transparent[0])


def test_the_counts_are_those_of_the_safety_card(flight: Flight) -> None:
    assert flight.worst.ticks >= JOINT_TICKS
    assert flight.trajectories >= TRAJECTORIES
    assert flight.braked >= BRAKED
    assert (flight.reasons[:5] > 0).all(), "some joint was held back for each reason, and some for none"


def test_i01_every_output_is_finite(flight: Flight) -> None:
    assert flight.worst.not_finite == 0


def test_i02_positions_stay_in_the_range_and_come_back_into_it(flight: Flight) -> None:
    assert flight.worst.outside <= 1e-9


def test_i03_velocity_stays_within_its_limit(flight: Flight) -> None:
    assert flight.worst.excess[0] <= 1e-9
    assert flight.state_excess[0] <= 1e-9


def test_i04_acceleration_stays_within_its_limit(flight: Flight) -> None:
    assert flight.worst.excess[1] <= 1e-6
    assert flight.state_excess[1] <= 1e-6


def test_i05_jerk_stays_within_its_limit_also_across_seams_and_holds(flight: Flight) -> None:
    assert flight.worst.excess[2] <= 1e-6


def test_i06_from_every_state_a_stop_inside_the_range_exists(flight: Flight) -> None:
    assert flight.beyond <= 1e-9


def test_i06_the_stop_simulated_in_small_steps_agrees() -> None:
    """The brake oracle against a third one, which flies the stop in steps of 20 microseconds."""
    rng = np.random.default_rng(5)
    bounds = bounds_of(rng, 512)
    limiter, adversary, brake = Limiter(MotionLimits(*bounds), DT), Adversary(bounds, rng), Brake(bounds)
    limiter.start(rng.uniform(bounds.lower, bounds.upper))
    for k in range(200):
        limiter.step(Reference(rows := adversary.at(k * DT), np.abs(rows[3])))
        if k % 40 == 39:
            low, high = flown_stop(limiter.state, bounds.acceleration, bounds.jerk)
            slack = 2e-3  # what the naive law overshoots by
            assert (low >= bounds.lower - slack).all() and (high <= bounds.upper + slack).all()
            assert (brake.beyond(limiter.state) <= 1e-9).all()
            adversary.draw()


def test_i09_a_chunk_inside_the_limits_is_reproduced(transparent: tuple[Flight, float, int]) -> None:
    flown, farthest, held = transparent
    assert flown.trajectories >= TRANSPARENT
    assert farthest <= 1e-6
    assert held == 0, "no limiter flag"


def test_i19_whatever_differs_from_the_reference_has_a_reason(flight: Flight) -> None:
    assert flight.silent_changes == 0


def test_many_joints_side_by_side_are_each_what_it_would_be_alone_to_the_bit() -> None:
    """The batch that the proofs fly, against limiters of one joint each and of 29, led along the same references.

    None is ever set to the state of another: one different bit would stay.
    """
    rng = np.random.default_rng(29)
    n, ticks = 58, -(-scaled(100_000) // 58)
    bounds = bounds_of(rng, n)
    adversary = Adversary(bounds, rng)
    parts = [*np.arange(29)[:, None], np.arange(29, 58)]
    whole = Limiter(MotionLimits(*bounds), DT)
    alone = [Limiter(MotionLimits(*(part[rows] for part in bounds)), DT) for rows in parts]
    everyone = [(whole, slice(None)), *zip(alone, parts, strict=True)]
    met: set[int] = set()
    for k in range(ticks):
        if k % 500 == 0:
            q = rng.uniform(bounds.lower - 0.1, bounds.upper + 0.1)
            for limiter, rows in everyone:
                limiter.start(q[rows])
        if k % 40 == 0:
            adversary.draw()
        rows_of = adversary.at(k * DT)
        stopping, parting = k % 97 > 90, k % 31 == 0
        for limiter, rows in everyone:
            if parting:
                limiter.part()
            if stopping:
                limiter.stop()
            else:
                limiter.step(Reference(np.ascontiguousarray(rows_of[:, rows]), np.abs(rows_of[3, rows])))
        together = np.concatenate([limiter.state for limiter in alone], axis=1)
        np.testing.assert_array_equal(together, whole.state)
        np.testing.assert_array_equal(np.concatenate([limiter.reasons for limiter in alone]), whole.reasons)
        met |= set(whole.reasons.tolist())
    assert met >= {0, 1, 2, 3, 4}
