"""What disturbs an episode: late chunks, a noisy camera, a missing sense, pushes of the robot and of the thing.

A disturbance is a function of variant and scene alone, so that every agent meets the same one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neon_ros.errors import ConfigError, refuse
from neon_ros.learn.tasks.scene import TabletopScene
from neon_ros.learn.tasks.world import TabletopWorld

LATENCY = 0.05  # [s] capture to admitted chunk, as measured on the node graph
_PUSH_FORCE, _PUSH_SECONDS, _PUSH_EVERY = 20.0, 0.15, 1.5  # [N] on a wrist, [s], [s]
_SHOVE, _SHOVE_SECONDS, _SHOVE_AFTER = 0.025, 0.2, (0.4, 1.2)  # [m] of the thing, [s], [s] after the start


@dataclass(frozen=True)
class Variant:
    """One way to make an episode harder.

    :param name: as it is asked for.
    :param latency: from capture to chunk [s].
    :param camera_noise: added to the standard deviation of the camera's noise [of 255].
    :param missing: a modality that does not arrive: ``lidar``, ``proprio`` or ``eef``.
    :param pushed_robot: whether a wrist is pushed for 0.15 s, every 1.5 s.
    :param pushed_thing: whether the target is shoved by 2.5 cm, once.
    """

    name: str
    latency: float = LATENCY
    camera_noise: float = 0.0
    missing: tuple[str, ...] = ()
    pushed_robot: bool = False
    pushed_thing: bool = False


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("plain"),
        Variant("latency_100", latency=0.1),
        Variant("latency_200", latency=0.2),
        Variant("camera_noise", camera_noise=20.0),
        Variant("no_lidar", missing=("lidar",)),
        Variant("no_proprio", missing=("proprio",)),
        Variant("no_eef", missing=("eef",)),
        Variant("pushed_robot", pushed_robot=True),
        Variant("pushed_thing", pushed_thing=True),
    )
}
"""All variants by name."""


def variant_of(name: str) -> Variant:
    """Return the variant called ``name``.

    :raises ConfigError: when there is none; the error lists all.
    """
    if name not in VARIANTS:
        raise ConfigError(refuse("variant", name, ", ".join(VARIANTS)))
    return VARIANTS[name]


class Disturbance:
    """Push robot and thing during one episode.

    :param variant: which pushes there are.
    :param scene: its seed decides when and where to.
    :param start: simulated time at which the episode begins [s].
    """

    def __init__(self, variant: Variant, scene: TabletopScene, start: float) -> None:
        rng = np.random.default_rng(np.random.SeedSequence(scene.seed, spawn_key=(31,)))
        self._variant, self._target, self._start = variant, scene.target, start
        self._wrist = int(rng.integers(2))
        self._first = float(rng.uniform(0.3, 0.3 + _PUSH_EVERY))
        self._forces = _PUSH_FORCE * _directions(rng, 20, 3)
        self._shove_at = float(rng.uniform(*_SHOVE_AFTER))
        self._shove = _directions(rng, 1, 2)[0] * _SHOVE / _SHOVE_SECONDS

    def __call__(self, world: TabletopWorld) -> None:
        """Push what is to be pushed at this moment."""
        time = float(world.data.time) - self._start
        if self._variant.pushed_robot:
            count, since = divmod(time - self._first, _PUSH_EVERY)
            pushing = count >= 0 and since < _PUSH_SECONDS
            force = self._forces[int(count) % len(self._forces)] if pushing else np.zeros(3)
            world.data.xfrc_applied[world.wrists[self._wrist], :3] = force
        if self._variant.pushed_thing and self._shove_at <= time < self._shove_at + _SHOVE_SECONDS:
            at, dof = world.thing_at[self._target], world.thing_dof[self._target]
            world.data.qpos[at : at + 2] += self._shove * world.dt
            world.data.qvel[dof : dof + 2] = 0.0


def _directions(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Return unit vectors, even over the sphere (count, size)."""
    vectors = rng.standard_normal((count, size))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
