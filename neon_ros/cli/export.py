"""``neon export``: write a checkpoint as ONNX files that stand alone, for the edge as int8."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from neon_ros.cli import words
from neon_ros.errors import ConfigError, refuse

USAGE = """usage: neon export CHECKPOINT [--int8] --out FOLDER

Write a checkpoint (a folder, or the name of a head that ships with one) as ONNX files that hold their weights, and the
manifest in their metadata.  The result is a checkpoint too: head:=mlp checkpoint:=FOLDER.

  --int8         store the head's matrices as int8: a quarter of the size, quicker on the edge
  --out FOLDER   a new folder
"""


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return its exit code."""
    if any(word in words.HELP for word in arguments):
        print(USAGE)
        return 0
    given = words.read(arguments, {"int8": False, "out": True})
    if len(given.plain) != 1 or given.assigned:
        got = " ".join([*given.plain, *given.assigned]) or "nothing"
        raise ConfigError(refuse("checkpoint", got, "one folder, or the name of a head"))
    folder = Path(words.required("--out", given.flags.get("out", "")))
    from neon_ros.act.checkpoint import open_checkpoint
    from neon_ros.act.exporting import TRIALS, export_whole
    from neon_ros.graph import shipped_checkpoint

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    source = open_checkpoint(shipped_checkpoint(given.plain[0]) or given.plain[0])
    done = export_whole(source, folder, int8="int8" in given.flags)
    print(f"{done.manifest.head_id}: {folder}/head.onnx has {done.bytes / 1e6:.1f} MB")
    print(
        f"joints differ from the checkpoint's by {1e3 * done.mean:.3f} mrad in the mean and at most"
        f" {1e3 * done.largest:.3f} mrad, over {TRIALS} random inputs"
    )
    return 0
