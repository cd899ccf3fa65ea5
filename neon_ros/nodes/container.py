"""Process ``container``: several nodes in one process, each with its own thread and executor."""

from __future__ import annotations

import sys
from importlib import import_module

from rclpy.utilities import remove_ros_args

from neon_ros.errors import ConfigError, refuse
from neon_ros.nodes.runtime import EXIT_REFUSED, run

CLASSES = {
    "g1_command": "G1CommandNode",
    "backbone": "BackboneNode",
    "proprio_encoder": "ProprioEncoderNode",
    "lidar_encoder": "LidarEncoderNode",
    "eef_encoder": "EefEncoderNode",
    "action_head": "ActionHeadNode",
    "sim_sensors": "SimSensorsNode",
    "view": "ViewNode",
    "recorder": "RecorderNode",
}
"""Node name to the class in ``neon_ros.nodes.<name>``."""


def check_names(names: list[str]) -> None:
    """Refuse names that are unknown, repeated or none.

    :raises ConfigError: listing the known names.
    """
    unknown = [name for name in names if name not in CLASSES]
    if unknown or not names or len(set(names)) != len(names):
        raise ConfigError(
            refuse("nodes of the container", " ".join(names) or "none", ", ".join(CLASSES) + ", each once")
        )


def main() -> None:
    """Run the nodes named on the command line in one process."""
    names = remove_ros_args(sys.argv)[1:]
    try:
        check_names(names)
    except ConfigError as error:
        print(f"container: {error}", file=sys.stderr)
        sys.exit(EXIT_REFUSED)
    sys.exit(run({name: getattr(import_module(f"neon_ros.nodes.{name}"), CLASSES[name]) for name in names}))


if __name__ == "__main__":
    main()
