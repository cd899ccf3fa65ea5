"""`lift`: take the named thing between both hands and lift it.

Two big things stand to the left and to the right, a small one farther away.  Success: the lowest point of the right
thing at least 8 cm above the table, in contact with both hands, for 0.5 s.  Failure: another thing raised by 3 cm or
moved by 8 cm; the right thing dropped, back below 1 cm after it was above 4 cm; a thing off the table; or not lifted
within 12 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.learn.expert import ExpertRules
from neon_ros.learn.language import HANDS
from neon_ros.learn.tasks.hands import PALM_IN, Aim, Hands, Moment, towards, unit
from neon_ros.learn.tasks.push import extent
from neon_ros.learn.tasks.scene import TabletopScene, apart, begin
from neon_ros.learn.tasks.split import Area
from neon_ros.learn.tasks.task import Facts, Held, Referee
from neon_ros.sim.table import TABLE_TOP
from neon_ros.sim.things import SceneObject

Array = NDArray[np.float64]

_BIG = {"cube": (0.075, 0.080), "ball": (0.075, 0.085), "can": (0.075, 0.085), "bar": (0.085, 0.095)}  # [m] half width
_ASIDE = (0.17, 0.20)  # [m] of a big thing from the middle: a hand fits between both
_MASS = (0.15, 0.30)  # [kg]
_FAR_X, _FAR_Y = (0.52, 0.60), (-0.20, 0.20)  # [m] where the small thing stands
_PALM = 0.024  # [m] from the palm's site to the surface of the hand
_CLEAR = 0.035  # [m] beside a thing while coming down
_HIGH = 0.24  # [m] palms above the table on the way
_LEAST = 0.052  # [m] palms above the table, at least: half a hand and a finger's breadth
_RAISE = 0.12  # [m] the thing above the table at the end
_SPEED, _CLOSE_SPEED, _LIFT_SPEED = 0.30, 0.10, 0.12  # [m/s]
_SQUEEZE = 8.0  # [N] each hand; friction 0.8 of it on both sides carries 1.3 kg
_CARRY = 2.0  # [N] upwards, each hand: a little more than half of the heaviest thing
_EASE = (0.31, 0.17)  # [m] ahead of the pelvis and to the side, where the thing is raised
_ARMS = ExpertRules(posture_gain=0.4, damping=0.02)  # a strong draw to the posture would hold the hands off their goal
_TURN = 0.8  # share of the thing's bearing that the waist turns
_PITCH = -0.05  # [rad] of the waist: both arms out and a lean are more than its motor holds


@dataclass(frozen=True)
class LiftRules:
    """When an episode of `lift` is won or lost.

    :param height: lowest point of the thing above the table [m].
    :param hold: how long it must be there in both hands [s].
    :param raised: how far another thing may be raised [m]; ``moved`` how far it may be moved.
    :param up: height from which a fall counts as dropped [m]; ``down`` height at which it has fallen.
    :param limit: time limit [s].
    """

    height: float = 0.08
    hold: float = 0.5
    raised: float = 0.03
    moved: float = 0.08
    up: float = 0.04
    down: float = 0.01
    limit: float = 12.0


class LiftReferee(Referee):
    """Judge `lift`.

    :param target: index of the right thing.
    :param start: centres of the things at the start (3, 3) [m].
    """

    def __init__(self, target: int, start: Array, rules: LiftRules | None = None) -> None:
        self.rules = rules or LiftRules()
        super().__init__(self.rules.limit)
        self._target, self._start = target, np.array(start)
        self._held, self._was_up = Held(), False

    def decide(self, dt: float, facts: Facts) -> str | None:
        """Return the verdict of the rule."""
        rules, target = self.rules, self._target
        if facts.centre[:, 2].min() < TABLE_TOP:
            return "knocked"
        others = np.arange(len(facts.centre)) != target
        moved = np.linalg.norm((facts.centre - self._start)[others, :2], axis=1)
        if (facts.bottom[others] - TABLE_TOP).max() > rules.raised or moved.max() > rules.moved:
            return "wrong_object"
        height = float(facts.bottom[target]) - TABLE_TOP
        self._was_up = self._was_up or height > rules.up
        if self._was_up and height < rules.down:
            return "dropped"
        both = bool(facts.contact[:, target].all())
        return "success" if self._held.update(dt, both and height >= rules.height, rules.hold) else None


class Lift:
    """Lift a big thing with both hands."""

    name = "lift"
    area = Area((0.29, 0.34), (-0.20, 0.20))  # an upright waist brings both hands no farther
    mark = walks = False

    def sample(self, seed: int, purpose: str = "train", held: Sequence[str] = ()) -> TabletopScene:
        """Return the scene of ``seed``: the target and one other thing big, one on each side."""
        scene, rng = begin(self.name, seed, purpose, held)
        order = [scene.target, *(i for i in rng.permutation(3).tolist() if i != scene.target)]
        side = 1.0 if rng.random() < 0.5 else -1.0
        while True:
            things = list(scene.objects)
            for index, sign in ((order[0], side), (order[1], -side)):
                x, y = float(rng.uniform(*self.area.x)), float(sign * rng.uniform(*_ASIDE))
                if index == order[0] and "places" in scene.held:
                    x, y = _rim(rng, x, y, self.area)
                things[index] = _big(things[index], x, y, rng)
            far = things[order[2]]
            things[order[2]] = replace(far, x=float(rng.uniform(*_FAR_X)), y=float(rng.uniform(*_FAR_Y)))
            if apart(things, 0.08):
                break
        thing = things[scene.target]
        return replace(scene, objects=tuple(things), hand=HANDS[0], place=(thing.x, thing.y), lean=_PITCH)

    def asked(self, scene: TabletopScene) -> NDArray[np.bool_]:
        """Return that each big thing may be asked for; both hands count as the left."""
        asked = np.zeros((len(HANDS), len(scene.objects)), dtype=bool)
        asked[0] = [thing.x < _FAR_X[0] for thing in scene.objects]
        return asked

    def expert(self, model: mujoco.MjModel, kp: Array | None) -> Hands:
        """Return an expert that closes both palms on the thing and raises them."""
        return Hands(model, kp, _aim, posture=PALM_IN, weight=0.08, shares=(0.4, 1.0), rules=_ARMS)

    def judge(self, scene: TabletopScene, facts: Facts) -> LiftReferee:
        """Return the judge."""
        return LiftReferee(scene.target, facts.centre)


def _rim(rng: np.random.Generator, x: float, y: float, area: Area) -> tuple[float, float]:
    """Return a place in the rim of the area, on the side of ``y``."""
    while True:
        at = area.draw(rng, rim=True)
        if at[0] > area.x[1]:
            return at[0], y
        if at[1] * y > 0.0:
            return x, at[1]


def _big(thing: SceneObject, x: float, y: float, rng: np.random.Generator) -> SceneObject:
    """Return ``thing`` as big as two hands want it, a bar lying across."""
    a = float(rng.uniform(*_BIG[thing.shape]))
    half = {"bar": (0.030, a, 0.030), "can": (a, a, 0.06)}.get(thing.shape, (a, a, a))
    yaw = float(np.arctan2(y, x) * _TURN + rng.uniform(-0.1, 0.1)) if thing.shape in ("bar", "cube") else thing.yaw
    return replace(thing, half=half, x=x, y=y, yaw=yaw, mass=float(rng.uniform(*_MASS)))


def _aim(moment: Moment, waist: Array) -> Aim:
    """Return how both hands move: beside the thing, down, together, and up."""
    batch = len(moment.side)
    bearing = np.arctan2(moment.centre[:, 1], moment.centre[:, 0])
    waist = waist.copy()
    waist[:, 0] = np.clip(_TURN * bearing, -0.5, 0.5)
    waist[:, 2] = _PITCH
    aim = Aim.still(moment, waist)
    # The hands are to the left and the right of the thing as the turned robot sees it.
    facing = _TURN * bearing
    across = np.stack([-np.sin(facing), np.cos(facing)], axis=1)  # (B, 2) to the left
    reach = extent(moment, across)
    height = np.maximum(moment.centre[:, 2], moment.centre[:, 2] - moment.half[:, 2] + _LEAST)
    bottom = moment.centre[:, 2] - moment.half[:, 2]
    table = np.minimum(bottom, 0.006)
    sign = np.array([1.0, -1.0])
    outward = sign[None, :, None] * across[:, None]  # (B, 2, 2) from the thing to each hand
    at = moment.palm[..., :2] - moment.centre[:, None, :2]
    out = (at * outward).sum(2)  # (B, 2)
    aside = np.linalg.norm(at - out[..., None] * outward, axis=2)
    level = np.abs(moment.palm[..., 2] - height[:, None])
    # At the height of the grip before closing; one that slips a little in the grip is still one.
    closed = np.clip((reach[:, None] + _PALM + _CLEAR - 0.010 - out) / 0.030, 0.0, 1.0)
    beside = (aside < 0.025) & (level < 0.015 + 0.045 * closed) & (out > reach[:, None] - 0.01)
    ready = beside.all(1)
    gripped = ready & (out < reach[:, None] + _PALM + 0.026).all(1)
    # On the way: above the station until over it, then down to the height of the grip.
    station = moment.centre[:, None, :2] + outward * (reach[:, None, None] + _PALM + _CLEAR)
    away = np.linalg.norm(station - moment.palm[..., :2], axis=2)
    over = height[:, None] + (table[:, None] + _HIGH - height[:, None]) * np.clip((away - 0.02) / 0.06, 0.0, 1.0)
    goal = np.concatenate([station, over[..., None]], axis=2)
    walk = towards(goal, moment.palm, 3.0, _SPEED)
    walk[..., :2] *= np.clip(1.0 - (over - moment.palm[..., 2]) / 0.05, 0.1, 1.0)[..., None]
    # Together: the surfaces of both palms to the sides of the thing, and a little in.
    grip = moment.centre[:, None, :2] + outward * (reach[:, None, None] + _PALM - 0.004)
    goal = np.concatenate([grip, np.repeat(height[:, None, None], 2, axis=1)], axis=2)
    close = towards(goal, moment.palm, 4.0, _CLOSE_SPEED)
    rise = np.clip(3.0 * (_RAISE - (bottom - table)), -_LIFT_SPEED, _LIFT_SPEED)
    # Not before both press: a hand that rises first slips.
    rise = rise * np.clip((reach + _PALM + 0.022 - out.max(1)) / 0.008, 0.0, 1.0)
    # In the grip the hands go up together, wherever on the thing they are.
    close[..., 2] = np.where(gripped[:, None], rise[:, None], close[..., 2])
    # What is held tends away from the robot and to the side: draw it back to where both arms are at ease.
    near = np.stack([np.full(batch, _EASE[0]), np.sign(moment.centre[:, 1]) * _EASE[1]], axis=1)
    back = np.clip(3.0 * (near - moment.centre[:, :2]), -_CLOSE_SPEED, _CLOSE_SPEED)
    close[..., :2] += np.where(gripped[:, None], back, 0.0)[:, None]
    aim.active[:] = True
    aim.palm = np.where(ready[:, None, None], close, walk)
    aim.carry[:, 2] = np.where(gripped, rise, 0.0)
    ahead = np.stack([np.cos(facing), np.sin(facing), np.full(batch, -0.15)], axis=1)
    aim.fingers = np.repeat(unit(ahead)[:, None], 2, axis=1)
    aim.back = np.concatenate([outward, np.zeros((batch, 2, 1))], axis=2)
    aim.force[..., :2] = np.where(gripped[:, None, None], -_SQUEEZE * outward, 0.0)
    aim.force[..., 2] = np.where(gripped, _CARRY, 0.0)[:, None]
    return aim
