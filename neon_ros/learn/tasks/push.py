"""`push`: slide the named thing onto the mark on the table.

Two things stand to the left and to the right of the mark; the words say which is meant.  Success: its centre within
3 cm of the mark's, slower than 5 cm/s, for 0.5 s.  Failure: another thing moved by more than 3 cm; a thing off the
table or on its way down; or not there within 10 s.  Any hand may push.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.learn.language import HANDS
from neon_ros.learn.tasks.hands import Aim, Hands, Moment, towards, unit
from neon_ros.learn.tasks.scene import TabletopScene, apart, begin
from neon_ros.learn.tasks.split import Area
from neon_ros.learn.tasks.task import Facts, Held, Referee
from neon_ros.sim.table import TABLE_TOP
from neon_ros.sim.things import GAP, SceneObject, sample_objects, sample_pairs

Array = NDArray[np.float64]

_AWAY = (0.09, 0.13)  # [m] of a thing from the mark
_FAR_X, _FAR_Y = (0.50, 0.60), (-0.20, 0.20)  # [m] where the third thing stands, out of the way but in the picture
_EDGE, _AHEAD = 0.063, 0.024  # [m] of the thumb's tip, which pushes: beside the palm's site and ahead of it, palm down
_CLEAR = 0.045  # [m] beside a thing while coming down
_LOW, _HIGH = 0.048, 0.20  # [m] palm above the table while pushing; on the way
_SPEED, _PUSH_SPEED = 0.30, 0.12  # [m/s]
_FORCE = 3.0  # [N] twice the friction of the heaviest thing


@dataclass(frozen=True)
class PushRules:
    """When an episode of `push` is won or lost.

    :param near: centre of the thing to that of the mark [m].
    :param slow: speed of the thing [m/s].
    :param hold: how long both must last [s].
    :param disturbed: how far another thing may be moved [m].
    :param limit: time limit [s].
    """

    near: float = 0.03
    slow: float = 0.05
    hold: float = 0.5
    disturbed: float = 0.03
    limit: float = 10.0


class PushReferee(Referee):
    """Judge `push`.

    :param target: index of the right thing.
    :param mark: centre of the mark (2,) [m].
    :param start: centres of the things at the start (3, 3) [m].
    """

    def __init__(self, target: int, mark: tuple[float, float], start: Array, rules: PushRules | None = None) -> None:
        self.rules = rules or PushRules()
        super().__init__(self.rules.limit)
        self._target, self._mark, self._start = target, np.array(mark), np.array(start)
        self._held = Held()

    def decide(self, dt: float, facts: Facts) -> str | None:
        """Return the verdict of the rule."""
        rules, target = self.rules, self._target
        if facts.centre[:, 2].min() < TABLE_TOP:
            return "knocked"
        moved = np.linalg.norm((facts.centre - self._start)[:, :2], axis=1)
        moved[target] = 0.0
        if moved.max() > rules.disturbed:
            return "wrong_object"
        there = np.linalg.norm(facts.centre[target, :2] - self._mark) <= rules.near
        held = self._held.update(dt, bool(there and facts.speed[target] <= rules.slow), rules.hold)
        return "success" if held else None


class Push:
    """Push a thing onto the mark."""

    name = "push"
    area = Area((0.33, 0.41), (-0.03, 0.03))  # of the mark
    mark, walks = True, False

    def sample(self, seed: int, purpose: str = "train", held: Sequence[str] = ()) -> TabletopScene:
        """Return the scene of ``seed``.

        The things beside the mark are no balls and no bars: a ball that is pushed rolls away, and where it stops says
        nothing; a bar turns under the thumb and takes the hand aside.
        """
        scene, rng = begin(self.name, seed, purpose, held)
        while True:
            names, target = sample_pairs(rng, scene.pairs)
            order = [target, *(i for i in rng.permutation(3).tolist() if i != target)]
            if any(names[index][1] in ("ball", "bar") for index in order[:2]):
                continue
            things = list(sample_objects(rng, names))
            mark = self.area.draw(rng, "places" in scene.held)
            side = 1.0 if rng.random() < 0.5 else -1.0
            for index, sign in ((order[0], side), (order[1], -side)):
                things[index] = _beside(things[index], mark, sign, rng)
            far = things[order[2]]
            things[order[2]] = replace(far, x=float(rng.uniform(*_FAR_X)), y=float(rng.uniform(*_FAR_Y)))
            if apart(things, GAP):
                break
        hand = HANDS[0] if side > 0 else HANDS[1]
        return replace(scene, objects=tuple(things), target=target, hand=hand, mark=mark, place=mark)

    def asked(self, scene: TabletopScene) -> NDArray[np.bool_]:
        """Return that each thing beside the mark may be asked for, with the hand of its side."""
        asked = np.zeros((len(HANDS), len(scene.objects)), dtype=bool)
        for index, thing in enumerate(scene.objects):
            if thing.x < _FAR_X[0]:
                asked[0 if thing.y > (scene.mark or scene.place)[1] else 1, index] = True
        return asked

    def expert(self, model: mujoco.MjModel, kp: Array | None) -> Hands:
        """Return an expert that goes behind the thing and pushes it with the edge of the hand."""
        return Hands(model, kp, _aim, shares=(1.0, 1.0))

    def judge(self, scene: TabletopScene, facts: Facts) -> PushReferee:
        """Return the judge."""
        return PushReferee(scene.target, scene.mark or scene.place, facts.centre)


def _beside(thing: SceneObject, mark: tuple[float, float], sign: float, rng: np.random.Generator) -> SceneObject:
    """Return ``thing`` on one side of the mark."""
    away, angle = float(rng.uniform(*_AWAY)), float(rng.uniform(-0.35, 0.35))
    return replace(thing, x=mark[0] + away * np.sin(angle), y=mark[1] + sign * away * np.cos(angle))


def extent(moment: Moment, direction: Array) -> Array:
    """Return how far the thing reaches from its centre along ``direction``, plane unit vectors (B, 2): (B,) [m]."""
    half, turn = moment.half, moment.turn
    along = np.abs(np.cos(turn) * direction[:, 0] + np.sin(turn) * direction[:, 1])
    across = np.abs(-np.sin(turn) * direction[:, 0] + np.cos(turn) * direction[:, 1])
    return np.where(moment.round, half[:, 0], half[:, 0] * along + half[:, 1] * across)


def _aim(moment: Moment, waist: Array) -> Aim:
    """Return how the pushing hand moves: beside the thing, down, against it, and on until it is there."""
    aim = Aim.still(moment, waist)
    rows, own = np.arange(len(moment.side)), moment.own
    table = moment.centre[:, 2] - moment.half[:, 2]
    left = moment.mark[:, :2] - moment.centre[:, :2]
    remaining = np.linalg.norm(left, axis=1)
    # Once it is almost there its direction says nothing: the hand keeps facing its own way.
    inward = np.stack([np.zeros_like(moment.side), -moment.side], axis=1)
    along = unit(np.where(remaining[:, None] > 0.02, left, inward))
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)  # (B, 2)
    reach = extent(moment, along)
    tip = own[:, :2] + _AHEAD * moment.rotation[rows, moment.row, :2, 0]
    at = tip - moment.centre[:, :2]
    behind, beside = (at * along).sum(1), (at * across).sum(1)
    low = own[:, 2] - table < _LOW + 0.045
    ready = low & (np.abs(beside) < 0.03) & (behind < -reach)
    # On the way: a point beside the thing, above it until the hand is over that point.
    station = moment.centre[:, :2] - along * (reach + _EDGE + _CLEAR)[:, None]
    away = np.linalg.norm(station - tip, axis=1)
    height = table + _LOW + (_HIGH - _LOW) * np.clip((away - 0.02) / 0.06, 0.0, 1.0)
    goal = np.concatenate([station + own[:, :2] - tip, height[:, None]], axis=1)
    walk = towards(goal, own, 3.0, _SPEED)
    walk[:, :2] *= np.clip(1.0 - (height - own[:, 2]) / 0.05, 0.1, 1.0)[:, None]
    # Against it: the edge of the hand stays at the thing, and the thing goes to the mark.
    contact = moment.centre[:, :2] - along * (reach + _EDGE)[:, None]
    far = remaining > 0.01
    onward = np.clip(3.0 * (((contact - tip) * along).sum(1) + remaining + 0.01), -_PUSH_SPEED, _PUSH_SPEED)
    aside = np.clip(-5.0 * beside, -_PUSH_SPEED, _PUSH_SPEED)
    push = np.zeros_like(own)
    push[:, :2] = np.where(far[:, None], along * onward[:, None] + across * aside[:, None], 0.0)
    push[:, 2] = np.clip(4.0 * (table + _LOW - own[:, 2]), -0.15, 0.15)
    touching = ready & (behind > -(reach + _EDGE + 0.006))
    aim.force[rows, moment.row, :2] = along * np.where(touching & far, _FORCE, 0.0)[:, None]
    aim.active[rows, moment.row] = True
    aim.palm[rows, moment.row] = np.where(ready[:, None], push, walk)
    fingers = np.where(across[:, :1] < 0.0, -across, across)
    fingers = unit(np.concatenate([fingers, np.full((len(fingers), 1), 0.12)], axis=1))  # tips off the table
    aim.fingers[rows, moment.row] = fingers
    aim.back[rows, moment.row] = (0.0, 0.0, 1.0)
    aim.carry[:, :2] = np.where(touching[:, None], along * (push[:, :2] * along).sum(1, keepdims=True), 0.0)
    return aim
