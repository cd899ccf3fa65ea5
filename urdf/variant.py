"""Print the URDF of a variant of the G1, with meshes where the description package is installed.

python urdf/variant.py 13              # mode_machine as the robot reports it: 5, 6, 11 to 16
python urdf/variant.py 13 --shapes     # simple shapes, no file needed
"""

from __future__ import annotations

import sys

from neon_ros.errors import NeonError
from neon_ros.robot.description import BODIES_29, urdf_of
from neon_ros.show.meshes import mesh_visuals


def main(arguments: list[str]) -> None:
    """Print the URDF, or say what is allowed."""
    if not arguments or not arguments[0].isdecimal() or arguments[1:] not in ([], ["--shapes"]):
        raise SystemExit(f"usage: python urdf/variant.py {{{','.join(map(str, BODIES_29))}}} [--shapes]")
    try:
        print(urdf_of(int(arguments[0]), {} if arguments[1:] else mesh_visuals()), end="")
    except NeonError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main(sys.argv[1:])
