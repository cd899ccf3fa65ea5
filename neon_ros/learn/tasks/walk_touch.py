"""`walk_touch`: walk to the table, by base velocity, and touch the named thing with the named hand.

The robot starts 0.35 to 0.75 m from where it would stand, to one side and turned.  Rule and failures are those of
`touch`, with 15 s.  The base is kinematic, see :mod:`neon_ros.learn.tasks.world`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.learn.expert import ExpertRules, approach
from neon_ros.learn.tasks.hands import Aim, Hands, Moment, turned
from neon_ros.learn.tasks.scene import TabletopScene, at_target, begin
from neon_ros.learn.tasks.split import Area
from neon_ros.learn.tasks.task import Facts, all_asked
from neon_ros.learn.tasks.touch import TouchReferee, touch_referee, with_places
from neon_ros.learn.touch import TouchRules
from neon_ros.sim.things import AREA_X, AREA_Y

Array = NDArray[np.float64]

_SHIFT = 0.20  # [m] of all things along the table
_START_X, _START_Y, _START_YAW = (-0.75, -0.35), 0.30, 0.35  # [m], [m], [rad]
_LEAN = -0.20  # [rad] waist pitch on the way: the head camera then sees the table from afar
_UPRIGHT, _FAR = 0.12, 0.50  # [m] from where it will stand: ready pose; leaning back
_OWN_SIDE = 0.05  # [m] a thing lies on the hand's own side of the robot
_GAIN, _TURN_GAIN = 1.2, 1.5  # [1/s]
_WALK = np.array([0.40, 0.25])  # [m/s] ahead, aside; within the sport service's 1.5 and 0.5
_TURN = 0.50  # [rad/s] of 1.0
_ARRIVED, _FACING = 0.06, 0.12  # [m], [rad] from where the arm begins to reach
_RULES = ExpertRules()


class WalkTouch:
    """Walk to the table and touch a thing with the named hand."""

    name = "walk_touch"
    area = Area(AREA_X, (AREA_Y[0] - _SHIFT, AREA_Y[1] + _SHIFT))
    mark, walks = False, True

    def sample(self, seed: int, purpose: str = "train", held: Sequence[str] = ()) -> TabletopScene:
        """Return the scene of ``seed``."""
        scene, rng = begin(self.name, seed, purpose, held)
        scene = with_places(scene, rng, Area(AREA_X, AREA_Y))
        # A thing in the rim keeps its distance to the edge of the area: all of them move to that side.
        side = np.sign(scene.place[1]) if "places" in scene.held else 0.0
        shift = float(side * _SHIFT if side else rng.uniform(-_SHIFT, _SHIFT))
        things = tuple(replace(thing, y=thing.y + shift) for thing in scene.objects)
        start = (
            float(rng.uniform(*_START_X)),
            shift + float(rng.uniform(-_START_Y, _START_Y)),
            float(rng.uniform(-_START_YAW, _START_YAW)),
        )
        return at_target(replace(scene, objects=things, start=start, lean=_LEAN))

    def asked(self, scene: TabletopScene) -> NDArray[np.bool_]:
        """Return that every hand may be asked for every thing."""
        return all_asked()

    def expert(self, model: mujoco.MjModel, kp: Array | None) -> Hands:
        """Return an expert that walks until the thing lies before the hand, and then touches it."""
        return Hands(model, kp, _aim)

    def judge(self, scene: TabletopScene, facts: Facts) -> TouchReferee:
        """Return the judge of `touch`, with more time."""
        return touch_referee(scene, facts, TouchRules(limit=15.0))


def _aim(moment: Moment, waist: Array) -> Aim:
    """Return how base, waist and hand move."""
    table = moment.table
    along = turned(moment.centre[:, :2] - table[:, :2], -table[:, 2])[:, 1]  # of the thing, along the table's edge
    stand = np.stack([np.zeros_like(along), along - _OWN_SIDE * moment.side], axis=1)
    way = table[:, :2] + turned(stand, table[:, 2])  # to where the robot shall stand, seen from it
    away = np.linalg.norm(way, axis=1)
    back = np.clip((away - _UPRIGHT) / (_FAR - _UPRIGHT), 0.0, 1.0)
    near = (away < _ARRIVED) & (np.abs(table[:, 2]) < _FACING)
    waist = waist.copy()
    waist[:, 2] += back * (_LEAN - waist[:, 2])
    waist[:, 0] = np.where(near, waist[:, 0], 0.0)
    aim = Aim.still(moment, waist)
    rows = np.arange(len(away))
    aim.base[:, :2] = _GAIN * way
    slower = np.min(_WALK / np.maximum(np.abs(aim.base[:, :2]), 1e-9), axis=1, keepdims=True)
    aim.base[:, :2] *= np.minimum(1.0, slower)
    aim.base[:, 2] = np.clip(_TURN_GAIN * table[:, 2], -_TURN, _TURN)
    aim.active[rows, moment.row] = near
    aim.palm[rows, moment.row] = approach(_RULES, moment.own, moment.top.copy())
    return aim
