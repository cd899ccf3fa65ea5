"""``neon backbone``: look a backbone over, see demonstrations again with it, export its vision tower."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neon_ros.cli import words
from neon_ros.errors import ConfigError, refuse

USAGE = """usage: neon backbone look NAME [option:=value ...]
       neon backbone features NAME --data FOLDER --out FOLDER [option:=value ...]
       neon backbone export NAME --out FILE.onnx [option:=value ...]

look      load it, warm it up, and say what it gives and what a picture costs here
features  see demonstrations again that were recorded with --pictures; `neon train --data OUT` then makes a head for it
export    write its vision tower as ONNX, checked against the model

Options are those of the backbone, such as path:=FOLDER precision:=bf16 device:=cuda layer:=18 (docs/backbones.md).
"""
ACTIONS = ("look", "features", "export")


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    if any(word in words.HELP for word in arguments):
        print(USAGE)
        return 0
    given = words.read(arguments, {"data": True, "out": True})
    if len(given.plain) != 2:
        raise ConfigError(
            refuse("neon backbone", " ".join(given.plain) or "nothing", "an action and a backbone's name")
        )
    action, name = given.plain
    words.choice("action", action, ACTIONS)
    options = {option: typed(value) for option, value in given.assigned.items()}
    if action == "look":
        return _look(name, options)
    out = Path(words.required("--out", given.flags.get("out", "")))
    if action == "export":
        return _export(name, options, out)
    data = Path(words.required("--data", given.flags.get("data", "")))
    from neon_ros.learn.features import see_again

    made = see_again(data, out, name, options, lambda done, of: print(f"\r{done}/{of} shards   ", end="", flush=True))
    print(f"\n{made} shards seen by {name}, in {out}")
    return 0


def typed(value: str) -> Any:
    """Return an option as the number, true or false it spells, or as text."""
    if value in ("true", "false"):
        return value == "true"
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            pass
    return value


def _look(name: str, options: dict[str, Any]) -> int:
    from neon_ros.encode.backbones import load
    from neon_ros.encode.backbones.looking import Looking

    began = time.perf_counter()
    backbone = load(name, progress=print, **options)
    print(f"{backbone.model_id}, ready after {time.perf_counter() - began:.1f} s")
    for tensor, shape in backbone.tensors.items():
        print(f"  {tensor:<12} {shape}")
    Looking(backbone).warm_up(9, 10.0, print)
    return 0


def _export(name: str, options: dict[str, Any], out: Path) -> int:
    from neon_ros.encode.backbones import load
    from neon_ros.encode.backbones.foundation.export import export_vision

    worst = export_vision(load(name, progress=print, **options), out)
    print(f"{out}: {out.stat().st_size / 2**20:.1f} MiB, largest difference to the model {worst:.1e}")
    return 0
