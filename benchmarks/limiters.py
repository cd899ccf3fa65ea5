"""Compare this project's limiter with published rules under the same adversarial targets.

    python benchmarks/limiters.py [--channels 512] [--cycles 4000] [--seed 0]

Every rule gets the same targets: jumps, sines, noise and walks up to 1.5 times the position range, one every 2 ms.
The table counts the channel-cycles whose published position breaks a limit, by finite differences.  The published
rules are written here from their public description, as oracles:

- ros2_control ``joint_limits`` position saturation (``compute_position_limits`` in joint_limits_helpers.cpp);
- xr_teleoperate ``clip_arm_q_target`` (robot_arm.py), per channel;
- libfranka ``limitRate`` for joint positions with constant limits (rate_limiting.cpp);
- Ruckig towards rest at the target cut to the range, as its documentation advises.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import ruckig
from numpy.typing import NDArray

from neon_ros.guard.limiter import Limiter, Reference
from neon_ros.guard.limits import MotionLimits

DT = 0.002  # [s]
RANGE, VELOCITY, ACCELERATION, JERK = 1.0, 10.0, 100.0, 5000.0  # [rad, rad/s, rad/s^2, rad/s^3]

Vector = NDArray[np.float64]
Rule = Callable[[Vector], Vector]


class Row(NamedTuple):
    """What one rule did: shares of channel-cycles outside a limit [%], the worst as a multiple of the limit."""

    rule: str
    position: float
    worst_position: float  # [rad] beyond the range
    velocity: float
    acceleration: float
    worst_acceleration: float
    jerk: float
    worst_jerk: float
    microseconds: float  # per channel and cycle


def targets(channels: int, cycles: int, seed: int) -> Iterator[Vector]:
    """Yield the targets (channels,) [rad] of each cycle."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, channels)
    rate, size = 2 * np.pi * rng.uniform(0.2, 5.0, channels), rng.uniform(0.2, 1.5, channels) * RANGE
    jump, walk = np.zeros(channels), np.zeros(channels)
    for k in range(cycles):
        thrown = rng.uniform(-1.5, 1.5, channels) * RANGE
        jump = np.where(rng.random(channels) < 0.02, thrown, jump)
        walk = np.clip(walk + 0.05 * rng.normal(size=channels), -1.5 * RANGE, 1.5 * RANGE)
        yield np.choose(kind, [jump, size * np.sin(rate * k * DT), thrown, walk])


def ros2_control_saturation(channels: int) -> Rule:
    """Return the position saturation: the speed may rise by ``a dt``, but nothing bounds how it falls."""
    last, speed = np.zeros(channels), np.zeros(channels)

    def rule(target: Vector) -> Vector:
        nonlocal last, speed
        step = np.minimum(VELOCITY, np.abs(speed) + ACCELERATION * DT) * DT
        low, high = np.clip(last - step, -RANGE, RANGE), np.clip(last + step, -RANGE, RANGE)
        command = np.clip(target, low, high)
        last, speed = command, (command - last) / DT
        return command

    return rule


def xr_teleoperate_clip(channels: int) -> Rule:
    """Return the clip of the step towards the target to ``v dt``."""
    last = np.zeros(channels)

    def rule(target: Vector) -> Vector:
        nonlocal last
        step = target - last
        last = last + step / np.maximum(np.abs(step) / (VELOCITY * DT), 1.0)
        return last

    return rule


def libfranka_limit_rate(channels: int) -> Rule:
    """Return the rate limiter: jerk, then acceleration narrowed near the top speed; positions are not its business."""
    last, speed, rise = np.zeros(channels), np.zeros(channels), np.zeros(channels)

    def rule(target: Vector) -> Vector:
        nonlocal last, speed, rise
        jerk = np.clip((((target - last) / DT - speed) / DT - rise) / DT, -JERK, JERK)
        highest = np.minimum(JERK / ACCELERATION * (VELOCITY - speed), ACCELERATION)
        lowest = np.maximum(JERK / ACCELERATION * (-VELOCITY - speed), -ACCELERATION)
        after = speed + np.clip(rise + jerk * DT, lowest, highest) * DT
        rise, speed = (after - speed) / DT, after
        last = last + speed * DT
        return last

    return rule


def ruckig_clipped(channels: int) -> Rule:
    """Return Ruckig to rest at the target cut to the range."""
    otg, wanted, out = ruckig.Ruckig(channels, DT), ruckig.InputParameter(channels), ruckig.OutputParameter(channels)
    wanted.synchronization = ruckig.Synchronization.No
    wanted.max_velocity, wanted.max_acceleration = [VELOCITY] * channels, [ACCELERATION] * channels
    wanted.max_jerk = [JERK] * channels

    def rule(target: Vector) -> Vector:
        wanted.target_position = np.clip(target, -RANGE, RANGE).tolist()
        otg.update(wanted, out)
        out.pass_to_input(wanted)
        return np.array(out.new_position)

    return rule


def neon_ros_limiter(channels: int) -> Rule:
    """Return this project's limiter, told nothing but the targets."""
    one = np.ones(channels)
    limits = MotionLimits(-RANGE * one, RANGE * one, VELOCITY * one, ACCELERATION * one, JERK * one)
    limiter = Limiter(limits, DT)
    limiter.start(np.zeros(channels))
    reference = np.zeros((4, channels))

    def rule(target: Vector) -> Vector:
        derivatives = reference.copy()
        derivatives[0] = target
        limiter.part()  # a target says nothing of how it is reached
        limiter.step(Reference(derivatives, reference[0]))
        return limiter.state[0]

    return rule


RULES: dict[str, Callable[[int], Rule]] = {
    "ros2_control saturation, position mode": ros2_control_saturation,
    "xr_teleoperate clip": xr_teleoperate_clip,
    "libfranka limitRate, constant limits": libfranka_limit_rate,
    "Ruckig, targets clipped to the range": ruckig_clipped,
    "neon_ros guard": neon_ros_limiter,
}


def judge(name: str, channels: int, cycles: int, seed: int) -> Row:
    """Run one rule over the targets and count what it breaks."""
    rule = RULES[name](channels)
    path = np.zeros((cycles + 3, channels))  # three cycles at rest before the first target
    spent = 0.0
    for k, target in enumerate(targets(channels, cycles, seed)):
        begin = time.perf_counter()
        path[k + 3] = rule(target)
        spent += time.perf_counter() - begin
    beyond = np.abs(path) - RANGE
    shares, worst = [], []
    for order, (bound, tolerance) in enumerate(((VELOCITY, 1e-9), (ACCELERATION, 1e-6), (JERK, 1e-6)), start=1):
        share = np.abs(np.diff(path, n=order, axis=0)) / DT**order / bound
        rounding = 8 * np.finfo(float).eps * float(np.abs(path).max()) / DT**order / bound
        shares.append(100 * float((share > 1 + tolerance + rounding).mean()))
        worst.append(float(share.max()))
    return Row(
        name,
        position=100 * float((beyond > 1e-9).mean()),
        worst_position=float(max(beyond.max(), 0.0)),
        velocity=shares[0],
        acceleration=shares[1],
        worst_acceleration=worst[1],
        jerk=shares[2],
        worst_jerk=worst[2],
        microseconds=1e6 * spent / cycles / channels,
    )


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| rule | outside the range | velocity | acceleration (worst) | jerk (worst) | us per joint |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.rule} | {row.position:.1f} % ({row.worst_position:.2f} rad) | {row.velocity:.1f} % "
            f"| {row.acceleration:.1f} % ({row.worst_acceleration:.1f}x) | {row.jerk:.1f} % ({row.worst_jerk:.1f}x) "
            f"| {row.microseconds:.2f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table; return 1 when the guard broke a limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=512, help="joints side by side")
    parser.add_argument("--cycles", type=int, default=4000, help="periods of 2 ms")
    parser.add_argument("--seed", type=int, default=0, help="of the targets")
    arguments = parser.parse_args()
    rows = [judge(name, arguments.channels, arguments.cycles, arguments.seed) for name in RULES]
    print(f"{arguments.channels} channels x {arguments.cycles} cycles of 2 ms, seed {arguments.seed};", end=" ")
    print(f"v = {VELOCITY:g}, a = {ACCELERATION:g}, j = {JERK:g}, range +-{RANGE:g} rad\n")
    print(table(rows))
    ours = rows[-1]
    return int(any((ours.position, ours.velocity, ours.acceleration, ours.jerk)))


if __name__ == "__main__":
    raise SystemExit(main())
