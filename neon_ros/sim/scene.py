"""What world is simulated: a few words from which every process builds the same model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.robot.variants import variant
from neon_ros.sim.model import BASES, build_spec, place_robot, stand_pose
from neon_ros.sim.table import TouchScene, add_table

TASKS: tuple[str, ...] = ("touch", "none")


@dataclass(frozen=True)
class SceneDescription:
    """The world in words.

    :param base: ``stand`` or ``free``, see :func:`neon_ros.sim.model.build_spec`.
    :param machine: the robot's ``mode_machine``.
    :param task: ``touch`` puts a table with three things before the robot, ``none`` leaves the floor empty.
    :param seed: of the scene.
    :param purpose: ``train`` or ``eval``, see :class:`neon_ros.sim.table.TouchScene`.
    :param pairs: ``trained`` or ``heldout``.
    """

    base: str = "stand"
    machine: int = 5
    task: str = "touch"
    seed: int = 0
    purpose: str = "eval"
    pairs: str = "trained"

    def __post_init__(self) -> None:
        if self.base not in BASES:
            raise ConfigError(refuse("base", self.base, ", ".join(BASES)))
        if self.task not in TASKS:
            raise ConfigError(refuse("task", self.task, ", ".join(TASKS)))
        variant(self.machine)
        if self.task == "touch":
            self.touch()

    def touch(self) -> TouchScene:
        """Return the table scene.

        :raises ConfigError: when the task is another.
        """
        if self.task != "touch":
            raise ConfigError(refuse("table scene", f"task {self.task}", "task touch"))
        return TouchScene.sample(self.seed, self.purpose, self.pairs)

    def start_pose(self) -> NDArray[np.float64]:
        """Return the pose in which the robot starts (29,) [rad]; joints that the variant lacks are at zero."""
        q = self.touch().rest_pose() if self.task == "touch" else stand_pose()
        return np.where(variant(self.machine).present(), q, 0.0)

    def to_json(self) -> str:
        """Return it as a JSON object."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> SceneDescription:
        """Return the description in ``text``.

        :raises ContractError: when it is not a JSON object with exactly these fields.
        """
        names = tuple(item.name for item in fields(SceneDescription))
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ContractError(refuse("scene description", text, "a JSON object")) from error
        if not isinstance(value, dict) or set(value) != set(names):
            raise ContractError(refuse("scene description", text, f"a JSON object with {', '.join(names)}"))
        return SceneDescription(**value)


def build(scene: SceneDescription) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """Return the compiled world with the robot in its starting pose."""
    spec = build_spec(scene.base, scene.machine)
    if scene.task == "touch":
        add_table(spec)
    model = spec.compile()
    data = mujoco.MjData(model)
    dress(model, data, scene)
    return model, data


def dress(model: mujoco.MjModel, data: mujoco.MjData, scene: SceneDescription, robot: bool = True) -> None:
    """Put ``scene`` into a model of the same base, variant and task without compiling it again.

    :param robot: also put the robot back into its starting pose.
    """
    if scene.task == "touch":
        scene.touch().apply(model, data)
    if robot:
        place_robot(model, data, scene.start_pose())
