"""The head camera: what the colour sensor of the RealSense D435 on the torso sees, rendered offscreen by software.

Shadows, reflections, sky and multisampling are off: with a software renderer they cost more than all the rest.  Each
object owns an OpenGL context, so that every process (and every thread that makes its own) can render.
"""

from __future__ import annotations

import ctypes.util
import os
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.sim.model import CAMERA, VISUAL_GROUPS

GL_BACKENDS: tuple[str, ...] = ("egl", "osmesa")
_TILE = 128  # [px] edge of the block of noise that is cut at a random place


def gl_backend() -> str:
    """Return which OpenGL back end to use: ``MUJOCO_GL`` when it names one, else EGL, else OSMesa.

    :raises ConfigError: when neither library is installed, or ``MUJOCO_GL`` names neither.
    """
    asked = os.environ.get("MUJOCO_GL", "").strip().lower()
    if asked:
        if asked not in GL_BACKENDS:
            raise ConfigError(refuse("MUJOCO_GL", asked, ", ".join(GL_BACKENDS)))
        return asked
    for name, library in zip(GL_BACKENDS, ("EGL", "OSMesa"), strict=True):
        if ctypes.util.find_library(library):
            return name
    raise ConfigError(
        refuse(
            "offscreen OpenGL",
            "neither libEGL nor libOSMesa",
            "apt install libegl1 libgl1-mesa-dri or libosmesa6",
        )
    )


def _gl_context(width: int, height: int) -> Any:
    if gl_backend() == "egl":
        from mujoco.egl import GLContext
    else:
        from mujoco.osmesa import GLContext
    return GLContext(width, height)


def intrinsics(width: int, height: int, vfov: float) -> NDArray[np.float64]:
    """Return the pinhole matrix K (3, 3) [px] of square pixels and a centred principal point.

    :param vfov: vertical field of view [deg].
    """
    f = 0.5 * height / np.tan(np.deg2rad(vfov) / 2)
    return np.array([[f, 0.0, (width - 1) / 2], [0.0, f, (height - 1) / 2], [0.0, 0.0, 1.0]])


class HeadCamera:
    """Render the head camera of one compiled model.

    :param model: has the camera of :mod:`neon_ros.sim.model`.
    :param width: picture width [px].
    :param height: picture height [px].
    :param camera: name of the camera to look through.
    :param groups: geom groups to draw; the default leaves out collision shapes and the links that the head cannot see.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        width: int = 424,
        height: int = 240,
        camera: str = CAMERA,
        groups: tuple[int, ...] = VISUAL_GROUPS,
    ) -> None:
        self._id = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
        if self._id < 0:
            raise ConfigError(
                refuse(
                    "camera",
                    camera,
                    ", ".join(model.camera(i).name for i in range(model.ncam)),
                )
            )
        limit = (int(model.vis.global_.offwidth), int(model.vis.global_.offheight))
        if not (0 < width <= limit[0] and 0 < height <= limit[1]):
            raise ConfigError(refuse("camera size", f"{width}x{height}", f"1x1 to {limit[0]}x{limit[1]}"))
        self.width, self.height = width, height
        self.model = model
        self._gl = _gl_context(width, height)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        for flag in (
            mujoco.mjtRndFlag.mjRND_SHADOW,
            mujoco.mjtRndFlag.mjRND_REFLECTION,
            mujoco.mjtRndFlag.mjRND_SKYBOX,
        ):
            self._scene.flags[flag] = 0
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = [int(group in groups) for group in range(6)]
        self._option.sitegroup[:] = 0
        self._option.flags[mujoco.mjtVisFlag.mjVIS_TENDON] = 0
        self._view = mujoco.MjvCamera()
        self._view.type, self._view.fixedcamid = (
            mujoco.mjtCamera.mjCAMERA_FIXED,
            self._id,
        )
        self._perturb = mujoco.MjvPerturb()
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._pixels = np.empty((height, width, 3), np.uint8)

    @property
    def intrinsics(self) -> NDArray[np.float64]:
        """Pinhole matrix K (3, 3) [px]."""
        return intrinsics(self.width, self.height, float(self.model.cam_fovy[self._id]))

    def render(self, data: mujoco.MjData) -> NDArray[np.uint8]:
        """Return the picture of ``data`` (H, W, 3), RGB, top row first; kinematics must be up to date."""
        self._gl.make_current()
        mujoco.mjv_updateScene(
            self.model,
            data,
            self._option,
            self._perturb,
            self._view,
            mujoco.mjtCatBit.mjCAT_ALL.value,
            self._scene,
        )
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(self._pixels, None, self._rect, self._context)
        return np.ascontiguousarray(self._pixels[::-1])

    def close(self) -> None:
        """Free the OpenGL context; the object cannot render afterwards."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()


@dataclass(frozen=True)
class Exposure:
    """What a real camera does to a picture besides the lens: exposure, white balance and noise.

    :param gain: brightness factor of the exposure.
    :param white_balance: factor on red, green and blue.
    :param noise: standard deviation of the noise per pixel and channel [of 255].
    """

    gain: float = 1.0
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise: float = 0.0

    def __post_init__(self) -> None:
        factors = np.array([self.gain, *self.white_balance])
        if factors.shape != (4,) or not (np.isfinite(factors).all() and (factors > 0).all()):
            raise ContractError(refuse("camera gain and white balance", factors, "four finite numbers above 0"))
        if not 0 <= self.noise <= 64:
            raise ContractError(refuse("camera noise", self.noise, "0 to 64 of 255"))

    def expose(self, picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return ``picture`` (H, W, 3) as this camera would have delivered it."""
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ContractError(refuse("picture", f"{picture.dtype} {picture.shape}", "uint8 (H, W, 3)"))
        levels = np.arange(256)[:, None] * (self.gain * np.array(self.white_balance))  # (256, 3)
        table = np.clip(np.rint(levels), 0, 510).astype(np.int16)
        out = np.stack([table[:, c][picture[:, :, c]] for c in range(3)], axis=2)  # (H, W, 3)
        if self.noise > 0:
            out += _grain(picture.shape[0], picture.shape[1], self.noise, rng)
        return np.clip(out, 0, 255).astype(np.uint8)


def _grain(height: int, width: int, sigma: float, rng: np.random.Generator) -> NDArray[np.int16]:
    # One block of noise, cut at a random place and tiled: a third of the cost of drawing every pixel.
    tile = np.rint(rng.standard_normal((_TILE, _TILE, 3), dtype=np.float32) * sigma).astype(np.int16)
    repeats = (-(-height // _TILE) + 1, -(-width // _TILE) + 1, 1)
    top, left = (int(v) for v in rng.integers(0, _TILE, 2))
    return np.tile(tile, repeats)[top : top + height, left : left + width]
