"""`point_at`: point at the named thing with the named hand, without touching anything.

Success: the line through the hand, from the wrist over the palm to the fingers, passes within 8 deg of the centre of
the right thing, palm 5 to 35 cm from its surface, for 0.5 s.  Failure: any other pair of hand and thing so for 0.5 s; a
hand that touches a thing; or no such pointing within 6 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.learn.language import HANDS
from neon_ros.learn.tasks.hands import Aim, Hands, Moment, towards, unit
from neon_ros.learn.tasks.scene import TabletopScene, begin
from neon_ros.learn.tasks.split import Area
from neon_ros.learn.tasks.task import Facts, Held, Referee, all_asked
from neon_ros.learn.tasks.touch import with_places
from neon_ros.sim.things import AREA_X, AREA_Y, NUM_OBJECTS

Array = NDArray[np.float64]

_INWARD = (0.9, 0.5)  # [rad] how far from straight ahead a hand points to the other side: elbow out, clear of the chest
_OWN_SIDE = (0.05, 0.12)  # [m] how far on the hand's own side a thing lies, for the first of these and for the second
_BACK = 0.18  # [m] palm before the thing it points at
_OVER_TOP, _OVER_TABLE = 0.09, 0.17  # [m] palm above the thing's top and above the table, at least
_SPEED = 0.30  # [m/s]


@dataclass(frozen=True)
class PointRules:
    """When an episode of `point_at` is won or lost.

    :param angle: largest angle between the hand and the line from palm to thing [rad].
    :param nearest: palm to surface [m], at least; ``farthest`` at most.
    :param hold: how long it must last [s].
    :param limit: time limit [s].
    """

    angle: float = np.deg2rad(8.0)
    nearest: float = 0.05
    farthest: float = 0.35
    hold: float = 0.5
    limit: float = 6.0


class PointReferee(Referee):
    """Judge `point_at`.

    :param hand: index of the commanded hand; ``target`` of the right thing.
    """

    def __init__(self, hand: int, target: int, rules: PointRules | None = None) -> None:
        self.rules = rules or PointRules()
        super().__init__(self.rules.limit)
        self._hand, self._target = hand, target
        self._held = Held((len(HANDS), NUM_OBJECTS))

    def decide(self, dt: float, facts: Facts) -> str | None:
        """Return the verdict of the rule."""
        rules = self.rules
        line = unit(facts.centre[None] - facts.palm[:, None])  # (2, 3, 3)
        straight = np.einsum("htk,hk->ht", line, unit(facts.fingers)) >= np.cos(rules.angle)
        within = (facts.distance >= rules.nearest) & (facts.distance <= rules.farthest)
        held = self._held.update(dt, straight & within, rules.hold)
        if facts.contact.any():
            return "touched"
        if held[self._hand, self._target]:
            return "success"
        held[self._hand, self._target] = False
        if held[self._hand].any():
            return "wrong_object"
        return "wrong_hand" if held.any() else None


class PointAt:
    """Point at a thing with the named hand."""

    name = "point_at"
    area = Area(AREA_X, AREA_Y)
    mark = walks = False

    def sample(self, seed: int, purpose: str = "train", held: Sequence[str] = ()) -> TabletopScene:
        """Return the scene of ``seed``: things as in `touch`."""
        return with_places(*begin(self.name, seed, purpose, held), self.area)

    def asked(self, scene: TabletopScene) -> NDArray[np.bool_]:
        """Return that every hand may be asked for every thing."""
        return all_asked()

    def expert(self, model: mujoco.MjModel, kp: Array | None) -> Hands:
        """Return an expert that brings the palm before and above the thing and turns the fingers to it."""
        return Hands(model, kp, _aim, weight=0.12, shares=(1.0, 0.3))

    def judge(self, scene: TabletopScene, facts: Facts) -> PointReferee:
        """Return the judge."""
        return PointReferee(HANDS.index(scene.hand), scene.target)


def _aim(moment: Moment, waist: Array) -> Aim:
    """Return how the pointing hand moves."""
    aim = Aim.still(moment, waist)
    rows, own = np.arange(len(moment.side)), moment.own
    # What lies ahead of the hand is out of reach for a palm that comes from the side.
    own_side = np.clip((moment.side * moment.centre[:, 1] - _OWN_SIDE[0]) / (_OWN_SIDE[1] - _OWN_SIDE[0]), 0.0, 1.0)
    inward = _INWARD[0] + (_INWARD[1] - _INWARD[0]) * own_side
    ahead = np.stack([np.cos(inward), -np.sin(inward) * moment.side], axis=1)
    table = moment.centre[:, 2] - moment.half[:, 2]
    height = np.maximum(moment.top[:, 2] + _OVER_TOP, table + _OVER_TABLE)
    goal = np.concatenate([moment.centre[:, :2] - _BACK * ahead, height[:, None]], axis=1)
    velocity = towards(goal, own, 3.0, _SPEED)
    # Rise before moving aside, so that nothing on the way is brushed.
    velocity[:, :2] *= np.clip(1.0 - (height - own[:, 2]) / 0.05, 0.1, 1.0)[:, None]
    fingers = unit(moment.centre - own)
    up = np.array([0.0, 0.0, 1.0]) - fingers * fingers[:, 2:]
    aim.active[rows, moment.row] = True
    aim.palm[rows, moment.row] = velocity
    aim.fingers[rows, moment.row] = fingers
    aim.back[rows, moment.row] = unit(up)
    return aim
