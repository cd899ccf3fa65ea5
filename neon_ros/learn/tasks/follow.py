"""`follow`: keep the named hand above the named thing, which moves.

The thing that is meant slides to and fro, another does so as well, the third lies still.  Success: the palm within 4 cm
of the thing's centre, seen from above, and 4 to 15 cm above its top, for 3 s without a break.  Failure: any other pair
of hand and thing so for 1.5 s; a hand that touches a thing; or not within 12 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.learn.language import HANDS
from neon_ros.learn.tasks.hands import Aim, Hands, Moment, towards
from neon_ros.learn.tasks.scene import Sway, TabletopScene, at_target, begin, index_rest, radius
from neon_ros.learn.tasks.split import Area
from neon_ros.learn.tasks.task import Facts, Held, Referee, all_asked
from neon_ros.sim.things import NUM_OBJECTS

Array = NDArray[np.float64]

_AMPLITUDE, _PERIOD = (0.03, 0.05), (4.0, 7.0)  # [m], [s]: at most 8 cm/s
_GAP = 0.03  # [m] between the ways of two things
_OTHERS = Area((0.30, 0.46), (-0.19, 0.19))  # where things that are not meant may be
_ABOVE = 0.09  # [m] palm above the top of the thing
_SPEED = 0.35  # [m/s]


@dataclass(frozen=True)
class FollowRules:
    """When an episode of `follow` is won or lost.

    :param near: palm to the thing's centre, seen from above [m].
    :param lowest: palm above the thing's top [m], at least; ``highest`` at most.
    :param hold: how long it must last [s]; ``wrong`` the same for any other pair.
    :param limit: time limit [s].
    """

    near: float = 0.04
    lowest: float = 0.04
    highest: float = 0.15
    hold: float = 3.0
    wrong: float = 1.5
    limit: float = 12.0


class FollowReferee(Referee):
    """Judge `follow`.

    :param hand: index of the commanded hand; ``target`` of the right thing.
    """

    def __init__(self, hand: int, target: int, rules: FollowRules | None = None) -> None:
        self.rules = rules or FollowRules()
        super().__init__(self.rules.limit)
        self._hand, self._target = hand, target
        self._right, self._wrong = Held((len(HANDS), NUM_OBJECTS)), Held((len(HANDS), NUM_OBJECTS))

    def decide(self, dt: float, facts: Facts) -> str | None:
        """Return the verdict of the rule."""
        rules = self.rules
        if facts.contact.any():
            return "touched"
        aside = np.linalg.norm(facts.palm[:, None, :2] - facts.centre[None, :, :2], axis=2)  # (2, 3)
        above = facts.palm[:, None, 2] - facts.top[None]
        over = (aside <= rules.near) & (above >= rules.lowest) & (above <= rules.highest)
        if self._right.update(dt, over, rules.hold)[self._hand, self._target]:
            return "success"
        wrong = self._wrong.update(dt, over, rules.wrong).copy()
        wrong[self._hand, self._target] = False
        if wrong[self._hand].any():
            return "wrong_object"
        return "wrong_hand" if wrong.any() else None


class Follow:
    """Keep a hand above a thing that moves."""

    name = "follow"
    area = Area((0.33, 0.42), (-0.13, 0.13))  # of the middle of the way
    mark = walks = False

    def sample(self, seed: int, purpose: str = "train", held: Sequence[str] = ()) -> TabletopScene:
        """Return the scene of ``seed``."""
        scene, rng = begin(self.name, seed, purpose, held)
        first, second = (int(i) for i in rng.permutation(index_rest(scene.target)))
        while True:
            things = list(scene.objects)
            sways: list[Sway | None] = [None] * NUM_OBJECTS
            for index in (scene.target, first, second):
                at = self.area.draw(rng, "places" in scene.held) if index == scene.target else _OTHERS.draw(rng, False)
                things[index] = replace(things[index], x=at[0], y=at[1])
                if index != second:
                    sways[index] = _sway(rng)
            ways = [_way((t.x, t.y), sway) for t, sway in zip(things, sways, strict=True)]
            if all(
                _between(ways[i], ways[j]) - radius(things[i]) - radius(things[j]) >= _GAP
                for i in range(NUM_OBJECTS)
                for j in range(i)
            ):
                return at_target(replace(scene, objects=tuple(things), sways=tuple(sways)))

    def asked(self, scene: TabletopScene) -> NDArray[np.bool_]:
        """Return that every hand may be asked for every thing."""
        return all_asked()

    def expert(self, model: mujoco.MjModel, kp: Array | None) -> Hands:
        """Return an expert that holds the palm above the thing and moves as fast as it does."""
        return Hands(model, kp, _aim)

    def judge(self, scene: TabletopScene, facts: Facts) -> FollowReferee:
        """Return the judge."""
        return FollowReferee(HANDS.index(scene.hand), scene.target)


def _sway(rng: np.random.Generator) -> Sway:
    amplitude, period = float(rng.uniform(*_AMPLITUDE)), float(rng.uniform(*_PERIOD))
    return Sway(amplitude, period, float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, np.pi)))


def _way(centre: tuple[float, float], sway: Sway | None) -> Array:
    """Return points along the way of a thing (N, 2) [m]."""
    if sway is None:
        return np.array([centre])
    along = sway.amplitude * np.array([np.cos(sway.direction), np.sin(sway.direction)])
    return np.array(centre) + np.linspace(-1.0, 1.0, 11)[:, None] * along


def _between(one: Array, other: Array) -> float:
    """Return the least distance of two ways [m]."""
    return float(np.linalg.norm(one[:, None] - other[None], axis=2).min())


def _aim(moment: Moment, waist: Array) -> Aim:
    """Return how the following hand moves."""
    aim = Aim.still(moment, waist)
    rows, own = np.arange(len(moment.side)), moment.own
    goal = moment.top + np.array([0.0, 0.0, _ABOVE])
    velocity = towards(goal, own, 3.0, _SPEED) + moment.velocity
    # Rise before moving aside, so that nothing on the way is brushed.
    velocity[:, :2] *= np.clip(1.0 - (goal[:, 2] - 0.03 - own[:, 2]) / 0.05, 0.1, 1.0)[:, None]
    aim.active[rows, moment.row] = True
    aim.palm[rows, moment.row] = velocity
    return aim
