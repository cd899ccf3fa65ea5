"""The Livox MID-360 on the robot's head, ray-cast in MuJoCo.

The sensor hangs upside down: its own field of view, 360 deg by -7 to 52 deg (Livox MID-360 user manual), looks at the
floor and the table in front of the robot.  Its pattern does not repeat; here each scan takes the next stretch of a
two-dimensional low-discrepancy sequence, so that successive scans fill each other's gaps and scan k is always the same.
The body that carries the sensor (``torso_link``: torso and head shell) is left out because the sensor sits inside its
shell; arms, hands and legs are hit as on the real robot.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, refuse
from neon_ros.sim.model import GROUP_SCENE, GROUP_UNSEEN, GROUP_VISUAL, LIDAR

ELEVATION_DEG = (-7.0, 52.0)  # [deg] in the sensor's frame
RANGE_MIN = 0.1  # [m] blind zone
RANGE_MAX = 40.0  # [m] at 10 % reflectivity
RANGE_NOISE = 0.02  # [m] one standard deviation
SCAN_RATE = 10.0  # [Hz]
REAL_POINTS = 20_000  # points per scan of the real sensor
_PLASTIC = 1.32471795724474602596  # root of x^3 = x + 1, R2 sequence (Roberts, 2018)


def directions(index: int, count: int) -> NDArray[np.float64]:
    """Return the unit rays of scan ``index`` in the sensor's frame (count, 3)."""
    if index < 0 or count < 1:
        raise ConfigError(refuse("LiDAR scan index, points", (index, count), "index >= 0 and points >= 1"))
    n = np.arange(index * count, (index + 1) * count, dtype=np.float64) + 1.0
    azimuth = 2 * np.pi * np.mod(n / _PLASTIC, 1.0)
    low, high = np.deg2rad(ELEVATION_DEG)
    elevation = low + (high - low) * np.mod(n / _PLASTIC**2, 1.0)
    flat = np.cos(elevation)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=1)


class Mid360:
    """Scan one compiled model.

    :param model: has the LiDAR's site of :mod:`neon_ros.sim.model`.
    :param points: rays per scan; the real sensor has :data:`REAL_POINTS`, fewer cost less.
    :param noise: standard deviation of the range [m].
    :param seed: of the noise; the same seed and scan index give the same scan.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        points: int = 4000,
        noise: float = RANGE_NOISE,
        seed: int = 0,
    ) -> None:
        self._site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, LIDAR)
        if self._site < 0:
            raise ConfigError(refuse("LiDAR site", "none", f"a model with the site {LIDAR}"))
        if not 1 <= points <= 10 * REAL_POINTS:
            raise ConfigError(refuse("LiDAR points", points, f"1 to {10 * REAL_POINTS}"))
        if not (np.isfinite(noise) and noise >= 0):
            raise ConfigError(refuse("LiDAR noise", noise, "0 m or more"))
        self.model, self.points, self.noise, self.seed = model, points, noise, seed
        self._body = int(model.site_bodyid[self._site])
        self._groups = np.zeros(6, np.uint8)
        self._groups[[GROUP_SCENE, GROUP_UNSEEN, GROUP_VISUAL]] = 1
        self._geom = np.empty(points, np.int32)
        self._range = np.empty(points, np.float64)

    def scan(self, data: mujoco.MjData, index: int = 0) -> NDArray[np.float32]:
        """Return the points that scan ``index`` hits, x y z [m] in ``livox_frame`` and intensity 0 to 255 (N, 4).

        Kinematics of ``data`` must be up to date.  Rays that hit nothing within range have no point.
        """
        rays = directions(index, self.points)
        rotation = data.site_xmat[self._site].reshape(3, 3)
        mujoco.mj_multiRay(
            self.model,
            data,
            data.site_xpos[self._site],
            (rays @ rotation.T).ravel(),
            self._groups,
            True,
            self._body,
            self._geom,
            self._range,
            None,
            self.points,
            RANGE_MAX,
        )
        hit = (self._geom >= 0) & (self._range >= RANGE_MIN) & (self._range <= RANGE_MAX)
        distance = self._range[hit]
        if self.noise > 0:
            distance = distance + np.random.default_rng((self.seed, index)).normal(0.0, self.noise, distance.size)
        scan = np.empty((distance.size, 4), np.float32)
        scan[:, :3] = rays[hit] * distance[:, None]
        scan[:, 3] = 255.0 * self.model.geom_rgba[self._geom[hit], :3].mean(axis=1)
        return scan
