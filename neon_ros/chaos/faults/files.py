"""Files and settings that are wrong: F12, F26, F27."""

from __future__ import annotations

import math
from typing import Any

from neon_ros.chaos.bench import Bench, NotRun, fault
from neon_ros.chaos.rig import Rig
from neon_ros.errors import ConfigError, NeonError
from neon_ros.guard.config import numbers
from neon_ros.guard.limits import Dynamic, LimitConfig, motion_limits
from neon_ros.motor.process import guard_config
from neon_ros.robot.joints import JOINT_NAMES
from neon_ros.robot.variants import VARIANTS

_FLIPS = 40  # in each trial
_SETS = 1000  # in each trial


def _loading(rig: Rig, **question: Any) -> dict[str, Any]:
    """Ask a process that loads checkpoints."""
    if "loading" not in rig.children or not rig.children["loading"].alive:
        rig.launch("loading", "neon_ros.chaos.loading", "--folder", str(rig.setting.folder / "model"), asked=True)
    found = rig.children["loading"].ask(**question)
    if "missing" in found:
        raise NotRun(found["missing"])
    return found


@fault("F12", "NaN in the weights; finite weights that overflow", "not loaded; no chunk leaves the policy", armed=False)
def not_finite_weights(rig: Rig, bench: Bench) -> None:
    """Load a checkpoint with a NaN and a right checksum; act with one that overflows."""
    found = _loading(rig, poison="nan", seed=bench.trial)
    bench.exactly("loaded with NaN", found["loaded"], 0)
    bench.lasted("refused within", found["seconds"], 1.0, "ms")
    found = _loading(rig, poison="overflow", seed=bench.trial)
    bench.exactly("chunks sent from an overflow", found["acted"], 0)


@fault("F26", "model file with a flipped bit, cut short, swapped", "refused, naming the file", armed=False)
def damaged_model(rig: Rig, bench: Bench) -> None:
    """Damage a copy of the shipped checkpoint again and again."""
    found = _loading(rig, flips=_FLIPS, seed=bench.chance.randrange(2**31))
    bench.exactly("damaged checkpoints loaded", found["loaded"], 0)
    bench.exactly("refusals that do not name the file", found["unnamed"], 0)
    bench.exactly("crashes", found["crashed"], 0)
    bench.lasted("longest time to the refusal", found["seconds"], 1.0, "ms")


def _odd(bench: Bench, low: float, high: float) -> Any:
    """Return a value that a setting within ``low`` to ``high`` must not take, or by chance one that it may."""
    span = high - low
    chance = bench.chance
    return chance.choice(
        (
            math.nan,
            math.inf,
            -math.inf,
            low - span * chance.random() - 1e-6,
            high + span * chance.random() + 1e-6,
            high * 1e6 + 1.0,
            "",
            "wide",
            None,
            True,
            [high],
            chance.uniform(low, high),
        )
    )


@fault(
    "F27",
    "settings out of range, of a wrong type, limits wider than the URDF's",
    "refused; limits only tighten",
    armed=False,
)
def wrong_settings(rig: Rig, bench: Bench) -> None:
    """Offer settings to the guard, the limits and the motor's command line; nothing wide may pass."""
    taken = 0
    for _ in range(_SETS):
        item = bench.chance.choice(numbers())
        value = _odd(bench, item.metadata["low"], item.metadata["high"])
        taken += _taken_by_guard(item.name, value, item.metadata["low"], item.metadata["high"])
        taken += _widened(bench)
    bench.exactly(f"wrong settings taken, of {2 * _SETS}", taken, 0)


def _taken_by_guard(name: str, value: Any, low: float, high: float) -> bool:
    """Return whether the motor's command line takes a setting that is out of range."""
    right = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    try:
        guard_config([f"{name}={value}"], 500.0, simulated=True)
    except ConfigError:
        return False
    return not right


def _widened(bench: Bench) -> bool:
    """Return whether limits wider than a variant's were taken."""
    chance = bench.chance
    which = chance.choice(list(VARIANTS.values()))
    joint = chance.randrange(len(JOINT_NAMES))
    bound = float(which.limits().velocity[joint])
    velocity = _odd(bench, 1e-3, bound)
    right = isinstance(velocity, int | float) and not isinstance(velocity, bool) and 1e-3 <= velocity <= bound
    config = LimitConfig(joints={JOINT_NAMES[joint]: Dynamic(velocity, 10.0, 100.0)})
    try:
        motion_limits(which, config)
    except NeonError:
        return False
    return not right
