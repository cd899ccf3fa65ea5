"""The backbone alone, for a second machine with a GPU; the bring-up then takes local_backbone:=false."""

from __future__ import annotations

from launch import LaunchDescription
from neon_ros.launching import description


def generate_launch_description() -> LaunchDescription:
    """Return what to launch; the graph itself is described in neon_ros/graph.py."""
    return description("backbone")
