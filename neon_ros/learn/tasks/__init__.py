"""The task suite `tabletop`: six tasks at a table, each a module with its scenes, instruction, expert and judge."""

from __future__ import annotations

from neon_ros.errors import ConfigError, refuse
from neon_ros.learn.tasks.follow import Follow
from neon_ros.learn.tasks.lift import Lift
from neon_ros.learn.tasks.point_at import PointAt
from neon_ros.learn.tasks.push import Push
from neon_ros.learn.tasks.task import Task
from neon_ros.learn.tasks.touch import Touch
from neon_ros.learn.tasks.walk_touch import WalkTouch

TASKS: dict[str, Task] = {task.name: task for task in (Touch(), PointAt(), Push(), Lift(), Follow(), WalkTouch())}
"""All tasks by name."""


def task_of(name: str) -> Task:
    """Return the task called ``name``.

    :raises ConfigError: when there is none; the error lists all.
    """
    if name not in TASKS:
        raise ConfigError(refuse("task", name, ", ".join(TASKS)))
    return TASKS[name]
