"""Judge motion by its positions alone: finite differences, braking distance, the torque law."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import ruckig


class Bounds(NamedTuple):
    """Limits of n joints, each (n,): [rad], [rad], [rad/s], [rad/s^2], [rad/s^3]."""

    lower: np.ndarray
    upper: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray


class Worst:
    """The worst excess over each invariant seen so far, as a share of its limit (I2: [rad])."""

    def __init__(self) -> None:
        self.ticks = 0
        self.not_finite = 0
        self.outside = 0.0
        self.excess = np.zeros(3)

    def judge(self, path: np.ndarray, bounds: Bounds, dt: float) -> None:
        """Judge positions (ticks, n), the first three of which were judged before.

        A mean of the k-th derivative over k periods is the k-th difference over dt^k: it cannot exceed a bound that the
        derivative keeps.  Rounding of the positions is allowed for, nothing else.
        """
        self.ticks += (len(path) - 3) * path.shape[1]
        self.not_finite += int((~np.isfinite(path)).sum())
        beyond = np.maximum(np.maximum(bounds.lower - path, path - bounds.upper), 0.0)
        # Inside it must stay; outside it may only come closer.
        self.outside = max(self.outside, float((beyond[1:] - beyond[:-1]).max()))
        noise = 8.0 * np.finfo(float).eps * max(1.0, float(np.abs(path).max()))
        rate = path
        for order, bound in enumerate((bounds.velocity, bounds.acceleration, bounds.jerk)):
            rate = np.diff(rate, axis=0)
            largest = np.maximum(rate.max(axis=0), -rate.min(axis=0))
            share = (largest - noise) / (dt ** (order + 1) * bound) - 1.0
            self.excess[order] = max(self.excess[order], float(share.max()))

    def add(self, other: Worst) -> None:
        """Take in what another process saw."""
        self.ticks += other.ticks
        self.not_finite += other.not_finite
        self.outside = max(self.outside, other.outside)
        self.excess = np.maximum(self.excess, other.excess)


class Brake:
    """Whether a stop inside the range exists: Ruckig's time-optimal velocity control to rest, an independent code.

    :param bounds: of the n joints.
    """

    def __init__(self, bounds: Bounds) -> None:
        n = len(bounds.lower)
        self.bounds = bounds
        self._otg, self._wanted, self._way = ruckig.Ruckig(n), ruckig.InputParameter(n), ruckig.Trajectory(n)
        wanted = self._wanted
        wanted.control_interface = ruckig.ControlInterface.Velocity
        wanted.synchronization = ruckig.Synchronization.No
        wanted.target_velocity = wanted.target_acceleration = [0.0] * n
        wanted.max_velocity = [1e3] * n
        wanted.max_acceleration = (bounds.acceleration * (1.0 + 1e-9)).tolist()
        wanted.max_jerk = bounds.jerk.tolist()

    def beyond(self, state: np.ndarray) -> np.ndarray:
        """Return how far the stop from ``state`` (3, n) leaves the range, or was outside already (n,) [rad]."""
        self._wanted.current_position, self._wanted.current_velocity, self._wanted.current_acceleration = state.tolist()
        assert self._otg.calculate(self._wanted, self._way) in (ruckig.Result.Working, ruckig.Result.Finished)
        ends = self._way.position_extrema
        low, high = np.array([end.min for end in ends]), np.array([end.max for end in ends])
        return np.maximum(np.maximum(self.bounds.lower - low, high - self.bounds.upper), 0.0)


def flown_stop(
    state: np.ndarray, acceleration: np.ndarray, jerk: np.ndarray, h: float = 2e-5
) -> tuple[np.ndarray, np.ndarray]:
    """Return lowest and highest position (n,) while braking from ``state`` (3, n) by a naive law in small steps.

    The law knows no closed form: it pushes the acceleration towards ``-sign(v)`` times the largest from which it can
    still return to zero when the velocity does.
    """
    q, v, a = (part.copy() for part in state)
    low, high = q.copy(), q.copy()
    for _ in range(60_000):
        wanted = -np.sign(v) * np.minimum(np.sqrt(2 * jerk * np.abs(v)), acceleration)
        change = np.clip(wanted - a, -jerk * h, jerk * h)
        q = q + h * (v + h * (0.5 * a + change / 6.0))
        v, a = v + h * (a + 0.5 * change), a + change
        np.minimum(low, q, out=low)
        np.maximum(high, q, out=high)
        if (np.abs(v) < 1e-3).all() and (np.abs(a) < 0.5).all():
            return low, high
    raise AssertionError("never at rest")


def motor_torque(kp: float, kd: float, tau: float, q: float, dq: float, measured_q: float, measured_dq: float) -> float:
    """Return what the motor applies [N m]: the vendor's law, one joint, plain numbers."""
    return tau + kp * (q - measured_q) + kd * (dq - measured_dq)


class Spline:
    """The C2 piecewise cubic through knots, third derivative continuous at the second and the last but one.

    Solved as one linear system of the four coefficients of every piece, with nothing clever about it.

    :param q: knots (H, n), H > 3.
    :param dt: between knots [s].
    """

    def __init__(self, q: np.ndarray, dt: float) -> None:
        pieces = len(q) - 1
        rows, right = np.zeros((4 * pieces, 4 * pieces)), np.zeros((4 * pieces, q.shape[1]))
        self.dt = dt
        at_end = [self._powers(1.0, k) for k in range(4)]
        row = 0
        for i in range(pieces):  # in units of one piece's time
            rows[row, 4 * i], right[row] = 1.0, q[i]
            rows[row + 1, 4 * i : 4 * i + 4], right[row + 1] = at_end[0], q[i + 1]
            row += 2
        for i in range(pieces - 1):
            orders = (1, 2, 3) if i in (0, pieces - 2) else (1, 2)
            for k in orders:
                rows[row, 4 * i : 4 * i + 4] = at_end[k]
                rows[row, 4 * i + 4 : 4 * i + 8] = -self._powers(0.0, k)
                row += 1
        self.coefficients = np.linalg.solve(rows, right).reshape(pieces, 4, -1)

    @staticmethod
    def _powers(u: float, k: int) -> np.ndarray:
        derived = np.polynomial.polynomial.polyder(np.eye(4), k, axis=0) if k else np.eye(4)
        return np.polynomial.polynomial.polyval(u, derived)

    def at(self, t: float) -> np.ndarray:
        """Return value, first and second derivative at ``t`` (3, n)."""
        piece = min(int(t / self.dt), len(self.coefficients) - 1)
        u = t / self.dt - piece
        return np.stack([self._powers(u, k) @ self.coefficients[piece] / self.dt**k for k in range(3)])
