"""The faults F1 to F39, one small function each, in files by what is hurt; importing this package registers them."""

from __future__ import annotations

from neon_ros.chaos.faults import chunks, files, machine, measured, nodes, processes

__all__ = ["chunks", "files", "machine", "measured", "nodes", "processes"]
