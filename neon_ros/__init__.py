"""neon_ros: any frozen foundation model as a policy for the Unitree G1."""

__version__ = "0.1.0"
