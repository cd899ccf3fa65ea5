"""The capsules that the robot's own links must keep apart, for drawing."""

from __future__ import annotations

from neon_ros.show.body import LinkCapsule, capsules_of, link_shapes


def robot_capsules() -> list[LinkCapsule]:
    """Return the capsules of all links, made from the shapes that the URDF collides with."""
    return capsules_of(link_shapes())
