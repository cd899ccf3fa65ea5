"""Find the files that travel beside the code: urdf/, config/, launch/.

The same relative name works in a source checkout, in a pip installation (``<prefix>/share/neon_ros``) and in a
colcon workspace.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from neon_ros.errors import ConfigError, refuse


def _roots() -> Iterator[Path]:
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / "package.xml").is_file():
        yield checkout
    for prefix in filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        yield Path(prefix) / "share" / "neon_ros"
    yield Path(sys.prefix) / "share" / "neon_ros"


def share(relative: str) -> Path:
    """Return the path of a shipped file or folder.

    :param relative: e.g. ``urdf/g1_29dof.urdf``.
    :raises ConfigError: when no installation of neon_ros has it; the error lists where it was looked for.
    """
    roots = list(_roots())
    for root in roots:
        if (root / relative).exists():
            return root / relative
    raise ConfigError(refuse("shipped file", relative, " or ".join(str(root / relative) for root in roots)))
