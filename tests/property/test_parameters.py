"""F27, S7: a hundred thousand wrong settings, each refused by name, value and what is allowed; the old value stays."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neon_ros.errors import ConfigError
from neon_ros.guard.admission import AdmissionConfig
from neon_ros.guard.config import GuardConfig, numbers
from neon_ros.guard.guard import Guard
from neon_ros.guard.limits import Dynamic, LimitConfig, motion_limits
from neon_ros.guard.timeline import TimelineConfig
from neon_ros.motor.process import guard_config
from neon_ros.parameters import NODES, check_value, checked
from neon_ros.robot.modes import MODES
from neon_ros.robot.variants import VARIANTS
from oracles import robot
from oracles.scale import scaled

SETS = scaled(100_000)
SENTENCE = re.compile(r"^.+: got .*; allowed: .+", re.DOTALL)

# The ranges of the guard's settings, typed from docs and safety card: name, lowest, highest.
GUARD = {
    "period": (0.001, 0.02), "arm_seconds": (0.2, 10.0), "release_seconds": (0.2, 2.0), "damp_seconds": (0.02, 0.2),
    "stale_after": (0.0, 0.1), "hold_seconds": (0.1, 2.0), "silent_hold": (0.005, 0.02), "silent_damp": (0.01, 0.05),
    "outliers": (1, 3), "max_dq": (1.0, 10.0), "max_gyroscope": (0.5, 6.0), "max_jump": (0.05, 0.3),
    "max_tilt": (0.1, 1.0), "max_casing": (40.0, 85.0), "max_winding": (40.0, 120.0),
    "derate_from": (0.1, 0.8), "derate_to": (0.1, 1.0), "min_charge": (20.0, 90.0),
    "torque_margin": (0.1, 1.0), "following_error": (0.05, 0.3), "following_seconds": (0.02, 0.1),
    "arm_max_dq": (0.1, 2.0), "base_acceleration": (0.1, 2.0), "base_yaw_acceleration": (0.1, 4.0),
    "collision_stop": (0.01, 0.05), "collision_slow": (0.04, 0.2),
}  # fmt: skip
TIMELINE = {"fade": (0.02, 0.2), "longest_fade": (0.02, 1.0), "share": (0.05, 0.9), "rest": (0.05, 1.0)}
DEFAULTS = {
    "period": 0.002, "arm_seconds": 2.0, "release_seconds": 1.0, "damp_seconds": 0.2, "stale_after": 0.1,
    "hold_seconds": 2.0, "silent_hold": 0.02, "silent_damp": 0.05, "outliers": 3, "max_dq": 10.0, "max_gyroscope": 6.0,
    "max_jump": 0.3, "max_tilt": 1.0, "max_casing": 85.0, "max_winding": 120.0, "derate_from": 0.8, "derate_to": 0.5,
    "min_charge": 20.0, "collision_stop": 0.01, "collision_slow": 0.04,
    "torque_margin": 0.9, "following_error": 0.3, "following_seconds": 0.1, "arm_max_dq": 1.0, "base_acceleration": 1.0,
    "base_yaw_acceleration": 2.0,
}  # fmt: skip
WRONG_TYPES = (None, "0.1", b"1", [], (1.0,), {}, object(), True, False, 1j, np.zeros(2), np.array("x"))
NOT_FINITE = (math.nan, math.inf, -math.inf)


def wrong_number(rng: np.random.Generator, low: float, high: float) -> object:
    """Return something that is no number within ``low`` to ``high``."""
    kind = int(rng.integers(6))
    if kind == 0:
        return WRONG_TYPES[int(rng.integers(len(WRONG_TYPES)))]
    if kind == 1:
        return NOT_FINITE[int(rng.integers(3))]
    if kind == 2:
        return float(np.nextafter(high, math.inf)) if rng.random() < 0.5 else float(np.nextafter(low, -math.inf))
    if kind == 3:
        return high + float(10.0 ** rng.uniform(-9, 300))
    if kind == 4:
        return low - float(10.0 ** rng.uniform(-9, 300))
    return int(rng.choice([-1, 10**6, -(10**18)]))


def refused(make: Callable[[], object], name: str) -> None:
    """Check that ``make`` refuses, and says what, what it got and what is allowed."""
    with pytest.raises(ConfigError) as error:
        make()
    assert SENTENCE.match(str(error.value)) and name in str(error.value)


def test_guard_settings_are_the_documented_ones() -> None:
    assert {item.name: (item.metadata["low"], item.metadata["high"]) for item in numbers()} == GUARD
    assert {item.name: item.default for item in numbers()} == DEFAULTS
    assert dataclasses.asdict(TimelineConfig()) == {"fade": 0.08, "longest_fade": 0.5, "share": 0.6, "rest": 0.2}
    assert all(item.metadata["description"] for item in numbers())
    made = LimitConfig()
    assert made.position_margin == robot.MARGIN and not made.joints
    for index, part in ((0, made.leg), (12, made.waist), (28, made.arm)):
        assert dataclasses.astuple(part) == tuple(robot.DYNAMICS[index])
    door = AdmissionConfig()
    assert (door.max_future, door.max_age, door.dt_range, door.horizon_range) == (0.5, None, (0.005, 0.5), (2, 64))
    assert (door.position_tolerance, door.base_velocity) == (0.5, (1.5, 0.5, 1.0))


def test_a_hundred_thousand_wrong_sets_are_refused_and_change_nothing() -> None:
    rng = np.random.default_rng(27)
    guard = Guard(MODES["arms_only"], GuardConfig())
    guard.configure(VARIANTS[5])
    before = repr(guard.config), repr(guard.report()), guard.limiter.limits
    names, times, nodes = list(GUARD), list(TIMELINE), list(NODES)
    counts = dict.fromkeys(("guard", "timeline", "admission", "limits", "node", "--set"), 0)
    for k in range(SETS):
        kind = tuple(counts)[k % 6]
        counts[kind] += 1
        if kind == "guard":
            name = names[int(rng.integers(len(names)))]
            value = wrong_number(rng, *GUARD[name])
            refused(lambda n=name, v=value: dataclasses.replace(guard.config, **{n: v}), f"guard.{name}")
        elif kind == "timeline":
            name = times[int(rng.integers(4))]
            value = wrong_number(rng, *TIMELINE[name])
            refused(lambda n=name, v=value: dataclasses.replace(TimelineConfig(), **{n: v}), f"timeline.{name}")
        elif kind == "admission":
            which = int(rng.integers(4))
            if which == 0:
                change: dict[str, Any] = {"max_future": wrong_number(rng, 0.0, 0.5)}
            elif which == 1:
                change = {"position_tolerance": wrong_number(rng, 0.0, 0.5)}
            elif which == 2:
                change = {"dt_range": (wrong_number(rng, 0.005, 0.5), 0.5)}
            else:
                base = [1.5, 0.5, 1.0]
                axis = int(rng.integers(3))
                bad = wrong_number(rng, 0.0, base[axis])
                change = {"base_velocity": tuple(bad if i == axis else x for i, x in enumerate(base))}
            refused(lambda c=change: AdmissionConfig(**c), "admission.")
        elif kind == "limits":
            joint = int(rng.integers(29))
            machine = int(rng.choice(robot.KNOWN))
            bounds = (float(robot.velocity(machine)[joint]), 200.0, 20000.0)
            column = int(rng.integers(3))
            values: list[Any] = list(robot.DYNAMICS[joint])
            values[column] = wrong_number(rng, 1e-3, bounds[column])
            config = LimitConfig(joints={robot.NAMES[joint]: Dynamic(*values)})
            refused(lambda c=config, m=machine: motion_limits(VARIANTS[m], c), robot.NAMES[joint])
        elif kind == "node":
            node = nodes[int(rng.integers(len(nodes)))]
            item = dataclasses.fields(NODES[node])[int(rng.integers(len(dataclasses.fields(NODES[node]))))]
            spoilt = _wrong_for(rng, item)
            refused(lambda i=item, v=spoilt, n=node: check_value(f"{n}.{i.name}", i, v), item.name)
        else:
            name = names[1 + int(rng.integers(len(names) - 1))]
            text = str(wrong_number(rng, *GUARD[name]))
            if text in ("True", "False") or not _outside(text, *GUARD[name]):
                text = "x"
            line = str(
                rng.choice([f"{name}={text}", f"no_{name}=1", name, f"{name}=", "=", "", f"{name}:1", "period=1"])
            )
            refused(lambda t=line: guard_config([t], 500.0, simulated=False), "")
    assert sum(counts.values()) == SETS
    assert (repr(guard.config), repr(guard.report()), guard.limiter.limits) == before


def _outside(text: str, low: float, high: float) -> bool:
    try:
        return not low <= float(text) <= high
    except ValueError:
        return True


def _wrong_for(rng: np.random.Generator, item: dataclasses.Field[Any]) -> object:
    """Return a value that the parameter does not allow."""
    low, high, kind = item.metadata["low"], item.metadata["high"], str(item.type)
    if low is not None and rng.random() < 0.6:
        way = float(10.0 ** rng.uniform(-3, 200))
        if kind == "int":
            return int(rng.choice([low - 1, high + 1, -(2**62), 2**62]))
        return [high + way, low - way, math.nan, math.inf, -math.inf][int(rng.integers(5))]
    if item.metadata["choices"] and rng.random() < 0.6:
        return str(rng.choice(["", "sim ", "REAL", "x" * 300]))
    others = {"float": (1, "1.0", True, None, [1.0]), "int": (1.0, "1", True, None, [1]), "bool": (1, 0, "true", None),
              "str": (1, 1.5, True, None, b"x", ["x"])}[kind]  # fmt: skip
    return others[int(rng.integers(len(others)))]


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(GUARD)),
    value=st.one_of(
        st.floats(), st.integers(), st.text(max_size=5), st.none(), st.booleans(), st.lists(st.floats(), max_size=2)
    ),
)
def test_a_guard_setting_is_taken_exactly_when_it_is_in_its_range(name: str, value: object) -> None:
    low, high = GUARD[name]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    allowed = number and low <= value <= high  # type: ignore[operator]
    allowed = allowed and (name != "outliers" or value == int(value))  # type: ignore[call-overload]
    others = {"silent_hold": 0.005} if name == "silent_damp" else {}
    if name == "silent_hold":
        others = {"silent_damp": 0.05}
    make = lambda: GuardConfig(simulated=True, **{**others, name: value})  # type: ignore[arg-type]  # noqa: E731
    if allowed:
        assert getattr(make(), name) == value
    else:
        refused(make, f"guard.{name}")


@pytest.mark.parametrize("mode_machine", robot.KNOWN)
def test_a_config_that_would_widen_any_limit_is_refused_at_configure(mode_machine: int) -> None:
    """Naming joint, value and bound; and the guard stays UNCONFIGURED."""
    variant = VARIANTS[mode_machine]
    for index, joint in enumerate(robot.NAMES):
        top = float(robot.velocity(mode_machine)[index])
        for quantity, bound in (("velocity", top), ("acceleration", 200.0), ("jerk", 20000.0)):
            wider = dataclasses.replace(Dynamic(1.0, 10.0, 100.0), **{quantity: bound * (1 + 1e-9)})
            guard = Guard(MODES["whole_body"], GuardConfig(limits=LimitConfig(joints={joint: wider})))
            with pytest.raises(ConfigError, match=rf"{joint} {quantity} limit: got .*; allowed: 0\.001 to {bound:g}"):
                guard.configure(variant)
            assert guard.machine.state.value == "UNCONFIGURED"
            motion_limits(variant, LimitConfig(joints={joint: dataclasses.replace(wider, **{quantity: bound})}))
    for margin in (-0.001, -1e-12, math.nan, 0.15, True, "0"):
        with pytest.raises(ConfigError, match=r"limits\.position_margin: got"):
            motion_limits(variant, LimitConfig(position_margin=margin))  # type: ignore[arg-type]


@pytest.mark.parametrize("node", NODES)
def test_unknown_names_are_refused(node: str) -> None:
    with pytest.raises(ConfigError, match=rf"{node}\.no_such: got an unknown parameter; allowed: "):
        checked(NODES[node], {"no_such": 1}, node)
