"""The browser view of a running system, and predicted/* for RViz."""

from __future__ import annotations

from launch import LaunchDescription
from neon_ros.launching import description


def generate_launch_description() -> LaunchDescription:
    """Return what to launch; the graph itself is described in neon_ros/graph.py."""
    return description("view")
