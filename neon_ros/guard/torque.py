"""Bound the torque that a command asks for, by its gains; the position asked for never jumps.

The motor's law is ``tau + kp (q* - q) + kd (dq* - dq)`` (``reference``: unitree_sdk2 low-level examples).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def asked_torque(
    q: Vector, dq: Vector, tau: Vector, kp: Vector, kd: Vector, measured_q: Vector, measured_dq: Vector
) -> Vector:
    """Return the torque the motors would apply (n,) [N m]."""
    return kp * (q - measured_q) + kd * (dq - measured_dq) + tau


def torque_scale(
    q: Vector, dq: Vector, tau: Vector, kp: Vector, kd: Vector, measured_q: Vector, measured_dq: Vector, bound: Vector
) -> Vector:
    """Return the factor in 0 to 1 on ``kp``, ``kd`` and ``tau`` that keeps the asked torque within ``bound``.

    :param bound: largest torque (n,) [N m].
    :returns: 1 exactly where the torque is within the bound (n,).
    """
    asked = np.abs(asked_torque(q, dq, tau, kp, kd, measured_q, measured_dq))
    return bound / np.maximum(asked, bound)
