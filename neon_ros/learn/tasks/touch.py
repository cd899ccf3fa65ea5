"""`touch`: put the named hand on the named thing; scenes, expert and rule are those of :mod:`neon_ros.learn.touch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.learn.expert import HORIZON, Expert
from neon_ros.learn.language import HANDS
from neon_ros.learn.tasks.hands import Situation
from neon_ros.learn.tasks.scene import TabletopScene, apart, begin, index_rest, move_target
from neon_ros.learn.tasks.split import Area
from neon_ros.learn.tasks.task import Facts, Referee, all_asked
from neon_ros.learn.touch import Judge, TouchRules
from neon_ros.sim.things import AREA_X, AREA_Y

Array = NDArray[np.float64]


class TouchReferee(Referee):
    """The judge of `touch` behind the face of all judges.

    :param judge: whose verdict counts, its time limit too.
    """

    def __init__(self, judge: Judge) -> None:
        super().__init__(judge.rules.limit)
        self._judge = judge

    def update(self, dt: float, facts: Facts) -> str | None:
        """Return the verdict of the judge."""
        self.verdict = self._judge.update(dt, facts.distance, facts.contact, facts.centre)
        self.elapsed = self._judge.elapsed
        return self.verdict


class TouchExpert:
    """The expert of `touch` behind the face of all experts."""

    def __init__(self, model: mujoco.MjModel, kp: Array | None) -> None:
        self._expert = Expert(model, kp)

    def chunks(self, situation: Situation, hand: NDArray[np.intp], thing: NDArray[np.intp]) -> tuple[Array, Array]:
        """Return targets and a base at rest."""
        top = situation.top[np.arange(len(hand)), thing]
        return self._expert.chunks(situation.q, situation.dq, hand, top), np.zeros((len(hand), HORIZON, 3))


class Touch:
    """Touch a thing with the named hand."""

    name = "touch"
    area = Area(AREA_X, AREA_Y)
    mark = walks = False

    def sample(self, seed: int, purpose: str = "train", held: Sequence[str] = ()) -> TabletopScene:
        """Return the scene of ``seed``; without held-out parts it is the one that `touch` always had."""
        return with_places(*begin(self.name, seed, purpose, held), self.area)

    def asked(self, scene: TabletopScene) -> NDArray[np.bool_]:
        """Return that every hand may be asked for every thing."""
        return all_asked()

    def expert(self, model: mujoco.MjModel, kp: Array | None) -> TouchExpert:
        """Return the expert of `touch`."""
        return TouchExpert(model, kp)

    def judge(self, scene: TabletopScene, facts: Facts) -> TouchReferee:
        """Return the judge of `touch`."""
        return touch_referee(scene, facts, TouchRules())


def touch_referee(scene: TabletopScene, facts: Facts, rules: TouchRules) -> TouchReferee:
    """Return a judge of `touch` for what ``scene`` asks for."""
    return TouchReferee(Judge(HANDS.index(scene.hand), scene.target, facts.centre, rules))


def with_places(scene: TabletopScene, rng: np.random.Generator, area: Area) -> TabletopScene:
    """Return ``scene`` as it is, or with its target in the rim of ``area`` when places are held out."""
    if "places" not in scene.held:
        return scene
    while True:
        moved = move_target(scene, *area.draw(rng, rim=True))
        if apart(moved.objects):
            return moved
        # The others may stand in the way of every place in the rim: they move as well.
        others = list(scene.objects)
        for index in index_rest(scene.target):
            x, y = area.draw(rng, False)
            others[index] = replace(others[index], x=x, y=y)
        scene = replace(scene, objects=tuple(others))
