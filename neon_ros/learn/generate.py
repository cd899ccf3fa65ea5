"""Make a set of demonstrations with several processes: repeatable by seed, safe to stop and take up again."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

from neon_ros.data.episode import load_shard, save_shard
from neon_ros.errors import ConfigError, ContractError, refuse
from neon_ros.learn.features import load_pictures, save_pictures
from neon_ros.learn.recorder import GenerateConfig, Recorder
from neon_ros.learn.tasks.recorder import recorder_of
from neon_ros.sim.things import COLOURS, SHAPES

__all__ = ["FORMAT", "GenerateConfig", "Recorder", "generate", "shard_name"]

FORMAT = "neon_ros/{task}/1"


def generate(
    config: GenerateConfig, folder: Path, workers: int = 2, progress: Callable[[int, int, float], None] | None = None
) -> int:
    """Record ``config.episodes`` shards into ``folder``; those already there are kept.

    :param workers: processes.
    :param progress: called after each episode with the number done, of how many, and the seconds left.
    :returns: how many episodes were recorded now.
    :raises ConfigError: when ``workers`` is out of range.
    :raises ContractError: when ``folder`` holds data made with other settings.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= 64:
        raise ConfigError(refuse("record workers", workers, "a whole number from 1 to 64"))
    _agree(config, folder)
    wanted = range(config.seed, config.seed + config.episodes)
    missing = [number for number in wanted if not _is_whole(folder, shard_name(config.kind, number), config.pictures)]
    if progress is not None:
        progress(len(wanted) - len(missing), len(wanted), float("nan"))
    started = time.monotonic()
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(workers, max(1, len(missing))), _begin, (config, str(folder))) as pool:
        for done, _ in enumerate(pool.imap_unordered(_record, missing), start=1):
            if progress is not None:
                left = (time.monotonic() - started) / done * (len(missing) - done)
                progress(len(wanted) - len(missing) + done, len(wanted), left)
    return len(missing)


def shard_name(kind: str, number: int) -> str:
    """Return the file name of a shard."""
    return f"{kind}_{number:08d}.npz"


_recorder: Recorder | None = None
_folder = Path()


def _begin(config: GenerateConfig, folder: str) -> None:
    """Make the recorder of a worker process."""
    global _recorder, _folder
    _recorder, _folder = recorder_of(config), Path(folder)


def _record(number: int) -> int:
    if _recorder is None:
        raise ConfigError(refuse("recorder", "none", "a worker that has begun"))
    shard, name = _recorder.shard(number), shard_name(_recorder.config.kind, number)
    if _recorder.config.pictures:
        save_pictures(_folder, name, shard.pop("pictures"))
    save_shard(_folder / name, shard)
    return number


def _is_whole(folder: Path, name: str, pictures: bool) -> bool:
    """Return whether the shard is there and can be read, with its pictures if wanted; a broken one is recorded anew."""
    if not (folder / name).exists():
        return False
    try:
        load_shard(folder / name)
        if pictures:
            load_pictures(folder, name)
    except ContractError:
        return False
    return True


def _agree(config: GenerateConfig, folder: Path) -> None:
    """Write what the folder holds, or check that it is the same."""
    meta = {
        "format": FORMAT.format(task=config.task),
        "colours": list(COLOURS),
        "shapes": list(SHAPES),
        "backbone": config.backbone,
    }
    path = folder / "meta.json"
    if path.exists():
        try:
            found = json.loads(path.read_text())
        except ValueError as error:
            raise ContractError(refuse(str(path), error, "a JSON object")) from error
        if found != meta:
            raise ContractError(refuse(f"settings of {folder}", found, f"{meta}, or another folder"))
        return
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(meta, indent=1) + "\n")
