"""The shard format: one episode of demonstrations as one ``.npz`` of plain arrays, written whole or not at all.

Rows are frames at 10 Hz.  Each frame holds what the robot sensed and, for each of the six instructions that make
sense in its scene, what the expert would do next.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neon_ros.errors import ContractError, refuse

SHARD: dict[str, tuple[int | None, ...]] = {
    "vision": (None, None),  # picture tokens of the frozen backbone, float16
    "q": (29,),  # [rad]
    "dq": (29,),  # [rad/s]
    "gravity": (3,),  # direction of gravity, unit vector in the pelvis frame
    "gyroscope": (3,),  # [rad/s]
    "eef": (2, 7),  # left and right palm in the pelvis frame: position [m], quaternion x y z w
    "points": (None, 3),  # thinned cloud in the torso frame [m], float16, NaN where there is no point
    "chunks": (2, 3, 16, 17),  # per hand and thing: the expert's targets of waist and arms, absolute [rad]
    "colour": (3,),  # per thing: index into neon_ros.sim.things.COLOURS
    "shape": (3,),  # per thing: index into neon_ros.sim.things.SHAPES
    "place": (3, 3),  # per thing: centre in the pelvis frame [m]
    "uv": (3, 2),  # per thing: centre in the picture, 0 to 1 from the upper left corner
    "seen": (3,),  # per thing: whether the centre is in the picture
    "episode": (),  # number of the episode
}
"""Shape of one frame of each array; ``None`` matches any length."""

OPTIONAL: dict[str, tuple[tuple[int, ...], Any]] = {
    "base": ((2, 3, 16, 3), np.float32(0.0)),  # per hand and thing: velocity of the base [m/s, m/s, rad/s]
    "asked": ((2, 3), np.bool_(True)),  # whether that hand and thing make sense in the scene
    "task": ((), np.int8(0)),  # index into neon_ros.learn.language.TASK_NAMES
}
"""Arrays that the demonstrations of `touch` do without: shape of one frame, and the value of all where it is absent."""

_MAY_BE_NAN = ("points",)


def check_shard(arrays: Mapping[str, NDArray[Any]], name: str = "shard") -> int:
    """Return the number of frames of a shard.

    :param name: what it is called in errors.
    :raises ContractError: on a missing or unknown array, a wrong shape, or a value that is not finite, with its
        frame.
    """
    missing, unknown = sorted(set(SHARD) - set(arrays)), sorted(set(arrays) - set(SHARD) - set(OPTIONAL))
    if missing or unknown:
        raise ContractError(refuse(f"arrays of {name}", f"missing {missing}, unknown {unknown}", ", ".join(SHARD)))
    frames = len(np.atleast_1d(arrays["q"]))
    if frames == 0:
        raise ContractError(refuse(f"frames of {name}", 0, "at least one"))
    shapes = SHARD | {key: shape for key, (shape, _) in OPTIONAL.items() if key in arrays}
    for key, shape in shapes.items():
        array = arrays[key]
        if array.shape[:1] != (frames,) or not _matches(array.shape[1:], shape):
            raise ContractError(refuse(f"{key} of {name}", array.shape, (frames, *shape)))
        if array.dtype.kind == "f":
            bad = np.isinf(array) if key in _MAY_BE_NAN else ~np.isfinite(array)
            if bad.any():
                at = tuple(int(i) for i in np.argwhere(bad)[0])
                raise ContractError(
                    refuse(f"{key}{list(at[1:])} of frame {at[0]} of {name}", array[at], "finite values")
                )
        elif array.dtype.kind not in "iub":
            raise ContractError(refuse(f"{key} of {name}", array.dtype, "numbers"))
    return frames


def save_shard(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a checked shard; a reader never sees half of one.

    :raises ContractError: when :func:`check_shard` refuses it; nothing is written then.
    """
    check_shard(arrays, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    part.replace(path)


def load_shard(path: Path) -> dict[str, NDArray[Any]]:
    """Read a shard, :data:`OPTIONAL` arrays filled in where they are absent.

    :raises ContractError: when the file is missing, truncated, holds objects, or :func:`check_shard` refuses it.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ContractError(refuse(str(path), error, "a whole .npz of plain arrays")) from error
    frames = check_shard(arrays, str(path))
    for key, (shape, value) in OPTIONAL.items():
        arrays.setdefault(key, np.full((frames, *shape), value))
    return arrays


def _matches(got: Sequence[int], want: Sequence[int | None]) -> bool:
    return len(got) == len(want) and all(w in (None, g) for g, w in zip(got, want, strict=True))
