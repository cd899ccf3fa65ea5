"""``neon train``: train an action head from a preset on recorded demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neon_ros.cli import words
from neon_ros.errors import ConfigError, refuse

USAGE = """usage: neon train --preset NAME|FILE.yaml --data FOLDER --out FOLDER

Train, validate and export a checkpoint.  A run found in --out is taken up where it was.  Demonstrations seen by another
backbone (`neon backbone features`) make a checkpoint for that one.  Several processes share the batches of one run:
torchrun --nproc-per-node 2 --no-python neon train --preset …
"""
NAMES = ("preset", "data", "out")


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    if any(word in words.HELP for word in arguments):
        print(USAGE)
        return 0
    given = words.read(arguments, dict.fromkeys(NAMES, True))
    words.nothing_else(given)
    preset_name, data, out = (
        words.required(f"--{name}", given.flags.get(name, "")) for name in ("preset", "data", "out")
    )
    from neon_ros.learn.presets import load_preset

    preset = load_preset(preset_name)
    try:
        from neon_ros.learn.features import refit
        from neon_ros.learn.trainer import train
    except ModuleNotFoundError as error:
        raise ConfigError(refuse("neon train", f"no {error.name}", "an environment with the extra [train]")) from error
    preset, encode_texts = refit(preset, Path(data))
    folder = train(preset, data, out, encode_texts=encode_texts)
    return 0 if folder is not None else 1
