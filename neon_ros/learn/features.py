"""Swap the eyes: recorded pictures seen again by another backbone, everything else of the demonstrations kept.

Demonstrations recorded with their pictures (``neon record demos --pictures``) hold what any backbone would have seen.
Its features are computed once, into a folder of ordinary shards that says which model made them; a head is then trained
on that folder without the backbone ever looking at a picture again.  Its words are encoded once as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neon_ros.data.episode import load_shard, save_shard
from neon_ros.encode.backbones import Backbone, load
from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.learn.presets import Preset

PICTURES = "pictures"
META = "meta.json"
BATCH = 8
"""Pictures that are encoded at once."""

Words = Mapping[str, NDArray[np.float32]]


class Eyes(NamedTuple):
    """Which backbone made the features of a folder, as its ``meta.json`` says.

    :param name: of the backbone.
    :param options: it was loaded with.
    :param model_id: of its weights and cut.
    :param grid: rows and columns of its picture tokens.
    """

    name: str
    options: Mapping[str, Any]
    model_id: str
    grid: tuple[int, int]

    def load(self) -> Backbone:
        """Return the very backbone.

        :raises ConfigError: when the weights in its place are others now.
        """
        backbone = load(self.name, **self.options)
        if backbone.model_id != self.model_id:
            raise ConfigError(refuse(f"backbone {self.name}", backbone.model_id, f"{self.model_id}, as recorded"))
        return backbone


def save_pictures(folder: Path, name: str, pictures: NDArray[np.uint8]) -> None:
    """Keep the pictures (T, H, W, 3) of the shard called ``name``; a reader never sees half of them."""
    path = folder / PICTURES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, pictures=pictures)
    part.replace(path)


def load_pictures(folder: Path, name: str) -> NDArray[np.uint8]:
    """Return the pictures (T, H, W, 3) of the shard called ``name``.

    :raises ContractError: when they were not recorded, or the file is broken or holds something else.
    """
    path = folder / PICTURES / name
    try:
        with np.load(path, allow_pickle=False) as archive:
            pictures: NDArray[np.uint8] = archive["pictures"]
    except FileNotFoundError:
        allowed = "demonstrations recorded with --pictures"
        raise ContractError(refuse(f"pictures of {folder / name}", "none", allowed)) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ContractError(refuse(str(path), error, "an .npz with the array pictures")) from error
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
        raise ContractError(refuse(str(path), f"{pictures.dtype} {pictures.shape}", "uint8 (T, H, W, 3)"))
    return pictures


def grid_of(backbone: Backbone) -> tuple[int, int]:
    """Return rows and columns of a backbone's picture tokens.

    :raises ConfigError: when it does not say, or says what does not fit its tokens.
    """
    grid, tokens = getattr(backbone, "grid", None), backbone.tensors["vision"][0]
    if not isinstance(grid, tuple) or len(grid) != 2 or grid[0] * grid[1] != tokens:
        raise ConfigError(refuse(f"grid of {backbone.model_id}", grid, f"rows and columns of {tokens} picture tokens"))
    return grid


def see_again(
    data: Path,
    out: Path,
    name: str,
    options: Mapping[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write the demonstrations of ``data`` to ``out`` as another backbone sees them; what is there is kept.

    :param name: of the backbone.
    :param options: it is loaded with.
    :param progress: called with the number of shards done, and of how many.
    :returns: how many shards were made now.
    :raises ContractError: when there are no shards or pictures, or ``out`` holds features of another backbone.
    """
    shards = sorted(data.glob("*.npz"))
    if not shards:
        raise ContractError(refuse(f"demonstrations in {data}", "no *.npz", "at least one shard"))
    if out.resolve() == data.resolve():
        raise ConfigError(refuse("out", out, "another folder than the demonstrations'"))
    backbone = load(name, **options)
    eyes = Eyes(name, dict(options), backbone.model_id, grid_of(backbone))
    _agree(data, out, eyes)
    made = 0
    for number, shard in enumerate(shards):
        if not (out / shard.name).exists():
            arrays, pictures = load_shard(shard), load_pictures(data, shard.name)
            if len(pictures) != len(arrays["q"]):
                got = f"{len(pictures)} of them"
                raise ContractError(refuse(f"pictures of {shard}", got, f"{len(arrays['q'])}, one a frame"))
            seen = [backbone.encode_images(pictures[i : i + BATCH])["vision"] for i in range(0, len(pictures), BATCH)]
            save_shard(out / shard.name, {**arrays, "vision": np.concatenate(seen).astype(np.float16)})
            made += 1
        if progress is not None:
            progress(number + 1, len(shards))
    return made


def _agree(data: Path, out: Path, eyes: Eyes) -> None:
    """Write what ``out`` will hold, or check that it holds the same."""
    kept = _meta(data)
    wanted = {**kept, "backbone": eyes.name, "eyes": {**eyes._asdict(), "grid": list(eyes.grid)}}
    if (out / META).exists():
        found = _meta(out)
        if found != wanted:
            raise ContractError(refuse(f"settings of {out}", found, f"{wanted}, or another folder"))
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / META).write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")


def _meta(folder: Path) -> dict[str, Any]:
    path = folder / META
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ContractError(refuse(str(path), error, "a JSON object")) from error
    if not isinstance(found, dict):
        raise ContractError(refuse(str(path), type(found).__name__, "a JSON object"))
    return found


def eyes_of(data: Path) -> Eyes | None:
    """Return which backbone's features a folder holds; ``None`` if it was recorded with them.

    :raises ContractError: when its ``meta.json`` is broken.
    """
    said = _meta(data).get("eyes")
    if said is None:
        return None
    try:
        name, options, model_id, (rows, columns) = (said[field] for field in Eyes._fields)
        return Eyes(str(name), dict(options), str(model_id), (int(rows), int(columns)))
    except (TypeError, KeyError, ValueError) as error:
        raise ContractError(refuse(f"eyes in {data / META}", said, ", ".join(Eyes._fields))) from error


def refit(preset: Preset, data: Path) -> tuple[Preset, Callable[[Sequence[str]], Words] | None]:
    """Return the preset for the backbone whose features ``data`` holds, and what encodes its words if not the preset's.

    :raises ConfigError: when that backbone's weights are others now.
    """
    eyes = eyes_of(data)
    if eyes is None or (eyes.model_id == preset.backbone and eyes.grid == tuple(preset.grid)):
        return preset, None
    return replace(preset, backbone=eyes.model_id, grid=eyes.grid), KeptWords(eyes, data / "words")


class KeptWords:
    """Encode sentences with a backbone, each batch once: the next run reads them from ``folder``."""

    def __init__(self, eyes: Eyes, folder: Path) -> None:
        self._eyes, self._folder = eyes, folder
        self._backbone: Backbone | None = None

    def __call__(self, sentences: Sequence[str]) -> Words:
        """Return ``text`` (B, L, E) and ``text_mask`` (B, L).

        :raises ContractError: on a sentence that the backbone cannot read.
        """
        said = "\n".join([self._eyes.model_id, *sentences])
        path = self._folder / f"{hashlib.sha256(said.encode()).hexdigest()[:24]}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in ("text", "text_mask")}
        self._backbone = self._backbone or self._eyes.load()
        words = self._backbone.encode_texts(sentences)
        self._folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, text=words["text"], text_mask=words["text_mask"])
        part.replace(path)
        return words
